#include "coord/core/pending.hpp"

#include <algorithm>

#include "coord/base/check.hpp"

namespace coord::core {

void Pending::add(Index index, const Waiter& waiter) {
  if (waiters_.empty()) first_ = index;
  const Index next(first_.value() + waiters_.size());
  COORD_CHECK(index >= next, "indices of pending writes grow", index, next);
  // Entries between (a no-op, an expiry) have nobody who waits.
  waiters_.resize(static_cast<std::size_t>(index.value() - first_.value()));
  waiters_.emplace_back(waiter);
  ++live_;
  soonest_ms_ = std::min(soonest_ms_, waiter.deadline_ms);
}

std::optional<Waiter> Pending::take(Index index) {
  std::optional<Waiter> found;
  while (!waiters_.empty() && first_ <= index) {
    found = first_ == index ? waiters_.front() : std::nullopt;
    if (waiters_.front()) --live_;
    waiters_.pop_front();
    first_ = first_.next();
  }
  return found;
}

std::vector<Waiter> Pending::expire(std::int64_t now_ms) {
  std::vector<Waiter> late;
  if (now_ms < soonest_ms_) return late;
  soonest_ms_ = INT64_MAX;
  for (auto& waiter : waiters_) {
    if (!waiter) continue;
    if (waiter->deadline_ms <= now_ms) {
      late.push_back(*waiter);
      waiter.reset();
      --live_;
    } else {
      soonest_ms_ = std::min(soonest_ms_, waiter->deadline_ms);
    }
  }
  return late;
}

std::vector<Waiter> Pending::take_all() {
  std::vector<Waiter> all;
  for (const auto& waiter : waiters_) {
    if (waiter) all.push_back(*waiter);
  }
  waiters_.clear();
  live_ = 0;
  soonest_ms_ = INT64_MAX;
  return all;
}

void Pending::drop_connection(ConnectionId connection) {
  for (auto& waiter : waiters_) {
    if (waiter && waiter->connection == connection) {
      waiter.reset();
      --live_;
    }
  }
}

}  // namespace coord::core
