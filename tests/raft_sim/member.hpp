// Member: one Raft with its disk and its clock. Plain data, moved by World.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "raft_sim/image.hpp"

namespace coord::raft_sim {

// One unit of the disk's queue: a persist (or none) and what waits for it.
struct DiskWork {
  std::optional<Persist> persist;
  std::vector<Message> messages;
};

struct Member {
  MemberId id;
  std::unique_ptr<Raft> raft;     // None while it is down.
  std::uint64_t incarnation = 0;  // Events of an earlier one are void.
  std::int64_t paused_until = 0;

  // The monotonic clock: base + (t - since) * rate / 1000.
  std::int64_t clock_base_us = 0;
  std::int64_t clock_since = 0;
  std::int64_t clock_rate = 1000;
  [[nodiscard]] std::int64_t clock_ms(std::int64_t t) const {
    return (clock_base_us + (t - clock_since) * clock_rate / 1000) / 1000;
  }

  Image disk;    // Synced.
  Image mirror;  // Handed out.
  std::deque<DiskWork> disk_queue;
  bool is_installing = false;

  std::vector<Message> inbox;
  bool has_turn = false;  // One is scheduled.

  // The state machine.
  Index applied;
  std::uint64_t chain = 0;
  Membership applied_membership;

  std::map<ReadId, Index> reads;  // What a grant must reach at least.

  [[nodiscard]] bool is_up() const { return raft != nullptr; }
};

}  // namespace coord::raft_sim
