// Network: what carries messages between members. Delay, loss, repetition and cuts.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "coord/core/peer_message.hpp"

namespace coord::sim {

class World;

struct NetworkFaults {
  std::uint64_t lost_percent = 0;
  std::uint64_t doubled_percent = 0;
};

class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  NetworkFaults faults;

  // Each message goes its own way: they may pass each other, as over several connections.
  void send(std::vector<core::Message> messages);
  // Nothing goes from one to the other until it is healed; the way back is a cut of its own.
  void cut(MemberId from, MemberId to) { cuts_.emplace(from, to); }
  void heal() { cuts_.clear(); }

 private:
  void carry(const core::Message& message);
  World& world_;
  std::set<std::pair<MemberId, MemberId>> cuts_;
};

}  // namespace coord::sim
