#include "tests/sim/network.hpp"

#include "tests/sim/member.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {

void Network::send(std::vector<core::Message> messages) {
  for (const auto& message : messages) {
    world_.count(Count::message_sent);
    if (world_.chance(faults.lost_percent)) continue;
    carry(message);
    if (world_.chance(faults.doubled_percent)) carry(message);
  }
}

void Network::carry(const core::Message& message) {
  world_.after(world_.delay(world_.plan().network_us), [this, message] {
    if (cuts_.contains({message.from, message.to})) return;
    for (auto& member : world_.members()) {
      if (member->id() == message.to) member->receive(core::PeerMessage{message});
    }
  });
}

}  // namespace coord::sim
