// Pending: the writes of this member's clients that wait for their entry to be applied.
//
// Keyed by log index, which grows by one for each proposal: taking one is O(1). It knows nothing of
// what was asked. An answer comes from apply(), or says that the fate is unknown; nothing else.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
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
  // Takes all: on losing leadership.
  [[nodiscard]] std::vector<Waiter> take_all();
  // Forgets the waiters of a connection; their writes still happen.
  void drop_connection(ConnectionId connection);
  [[nodiscard]] std::size_t size() const noexcept { return live_; }

 private:
  std::deque<std::optional<Waiter>> waiters_;
  Index first_;  // Of waiters_.front().
  std::size_t live_ = 0;
  std::int64_t soonest_ms_ = INT64_MAX;  // Not above any deadline that is held.
};

}  // namespace coord::core
