// Pending: the writes of this member's clients that wait for their entry to be applied.
//
// Keyed by log index, which grows by one for each proposal: taking one is O(1). It knows nothing of
// what was asked. An answer comes from apply(), or says that the fate is unknown; nothing else.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "coord/base/ids.hpp"

namespace coord::core {

struct Waiter {
  ConnectionId connection;
  RequestId request;
  std::int64_t deadline_ms = 0;  // By the member's monotonic clock.
};

class Pending {
 public:
  // Requires: index is above every one added before.
  void add(Index index, const Waiter& waiter);
  // Who waits for the entry, if anyone does. Everything before it is forgotten.
  [[nodiscard]] std::optional<Waiter> take(Index index);
  // Takes those whose deadline has passed.
  [[nodiscard]] std::vector<Waiter> expire(std::int64_t now_ms);
  // Takes all, with their indices: on losing leadership.
  [[nodiscard]] std::vector<std::pair<Index, Waiter>> take_all();
  // Forgets the waiters of a connection; their writes still happen.
  void drop_connection(ConnectionId connection);
  [[nodiscard]] std::size_t size() const noexcept { return live_; }

 private:
  std::deque<std::optional<Waiter>> waiters_;
  Index first_;  // Of waiters_.front().
  std::size_t live_ = 0;
  std::int64_t soonest_ms_ = INT64_MAX;  // Not above any deadline that is held.
};

// Limbo: writes whose fate this member alone does not decide, by the term that they were proposed
// in and a key: the index of those that it proposed before it lost its leadership, the number of
// those that it forwarded.
//
// An entry of term t is only committed before the first entry of a later term. So when one of a
// later term is applied, whoever waits here for an earlier one is known not to be applied.
class Limbo {
 public:
  void add(Term term, std::uint64_t key, const Waiter& waiter);
  [[nodiscard]] std::optional<Waiter> take(Term term, std::uint64_t key);
  // Takes those of terms before `term`.
  [[nodiscard]] std::vector<Waiter> take_before(Term term);
  [[nodiscard]] std::vector<Waiter> expire(std::int64_t now_ms);
  void drop_connection(ConnectionId connection);
  [[nodiscard]] std::size_t size() const noexcept { return waiters_.size(); }

 private:
  std::map<std::pair<Term, std::uint64_t>, Waiter> waiters_;
  std::int64_t soonest_ms_ = INT64_MAX;  // Not above any deadline that is held.
};

}  // namespace coord::core
