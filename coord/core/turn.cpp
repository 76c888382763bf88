#include "coord/core/turn.hpp"

#include <utility>

namespace coord::core {

bool run_turn(Inbox& inbox, Node& node, const Tick& now, Ports& ports) {
  node.step(now);
  for (std::size_t i = 0; i < kEventsPerTurn && !inbox.empty(); ++i) {
    node.step(std::move(inbox.front()));
    inbox.pop_front();
  }
  auto effects = node.take_effects();
  if (!effects.messages.empty()) ports.send(std::move(effects.messages));
  if (effects.persist) {
    ports.persist(std::move(*effects.persist), std::move(effects.messages_after_persist));
  } else if (!effects.messages_after_persist.empty()) {
    ports.send_after_persist(std::move(effects.messages_after_persist));
  }
  if (!effects.deliveries.empty()) ports.deliver(std::move(effects.deliveries));
  if (effects.checkpoint) ports.checkpoint(std::move(*effects.checkpoint));
  for (auto& read : effects.store_reads) ports.read_store(std::move(read));
  if (effects.recycle) ports.recycle(*effects.recycle);
  for (auto& read : effects.snapshot_reads) ports.read_snapshot(std::move(read));
  for (auto& write : effects.snapshot_writes) ports.write_snapshot(std::move(write));
  return !inbox.empty() || node.wants_turn();
}

}  // namespace coord::core
