// Locks: what the entries do to locks, and what must hold of it after each.
//
// A second copy of the replicated state follows the committed entries; it says what the steps of
// recipes answered, which the model does not work out by itself. What is checked here is checked
// by rules of its own: never two holders of an exclusive lock, permits never exceeded, tokens only
// grow and nobody has another's, first come first served, nobody waits whose turn it is, no circle
// of waiting, no holder without a session. Violations go to World::fail().
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coord/core/state_machine.hpp"
#include "coord/recipes/lock.hpp"

namespace coord::sim {

class World;

class Locks {
 public:
  Locks(World& world, const core::StateLimits& limits);

  // Were all of them held before the entry that comes next?
  [[nodiscard]] bool holds(const std::vector<core::Fence>& fences) const;
  // The next entry. What it did, valid until the next.
  const core::Applied& apply(const election::LogEntry& entry);
  // A write that carried this fence was done.
  void on_fenced_write(const core::Fence& fence);
  [[nodiscard]] Zxid applied() const noexcept { return state_.applied(); }
  // At the end, when every session is gone.
  void check_free() const;

 private:
  using Actor = std::pair<SessionId, std::string>;
  struct Lock {
    std::uint32_t permits = 0;
    bool is_delayed = false;
    std::vector<recipes::lock::Ticket> tickets;  // In the order of the queue.
  };
  [[nodiscard]] std::map<std::string, Lock> read() const;
  void check(const std::string& name, const Lock& lock);
  void check_tokens(const std::string& name, const Lock& lock);
  void check_no_circle(std::map<std::string, Lock> locks) const;
  static bool grant_next(Lock& lock);

  World& world_;
  core::StateMachine state_;
  core::Applied applied_;
  std::map<std::string, Lock> locks_;
  std::map<std::string, std::uint64_t> highest_;  // Also of locks whose nodes have gone.
  std::map<std::string, std::uint64_t> written_;  // The token of the last fenced write.
  std::map<std::string, std::uint64_t> known_;    // The token of each ticket that holds.
};

}  // namespace coord::sim
