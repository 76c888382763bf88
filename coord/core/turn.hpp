// run_turn: the one place that orders effects.
//
// Ports are the verbs that the world offers; Asio implements them in coord/server, an event queue
// in the simulator. One of the five virtual seams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "coord/core/effects.hpp"
#include "coord/core/node.hpp"

namespace coord::core {

class Ports {
 public:
  virtual ~Ports() = default;
  virtual void send(std::vector<Message> messages) = 0;
  // Write and sync; then send `after`, and step Persisted{persist.number}. Calls may come while an
  // earlier one is not synced yet: they take effect in order, and may share one sync.
  virtual void persist(election::Persist persist, std::vector<Message> after) = 0;
  // Messages that promise nothing beyond what was handed to persist() before: they leave when all
  // of that is synced (at once, when nothing is under way).
  virtual void send_after_persist(std::vector<Message> messages) = 0;
  virtual void deliver(std::vector<Delivery> deliveries) = 0;
  virtual void checkpoint(Checkpoint checkpoint) = 0;
  virtual void read_store(StoreRead read) = 0;
  virtual void recycle(Index up_to) = 0;
  // Answered by SnapshotWasRead, unless it lets the source go.
  virtual void read_snapshot(SnapshotRead read) = 0;
  // Answered by SnapshotWritten, unless it drops the install. After the checkpoint, in order.
  virtual void write_snapshot(SnapshotWrite write) = 0;
};

// Events that wait for the next turn.
using Inbox = std::deque<Event>;

inline constexpr std::size_t kEventsPerTurn = 4096;

// Takes a bounded number of events from the inbox. The time is stepped first, so that nothing is
// judged by an old one. Returns true if there is more to do at once.
bool run_turn(Inbox& inbox, Node& node, const Tick& now, Ports& ports);

}  // namespace coord::core
