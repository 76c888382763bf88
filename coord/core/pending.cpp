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

std::vector<std::pair<Index, Waiter>> Pending::take_all() {
  std::vector<std::pair<Index, Waiter>> all;
  auto index = first_;
  for (const auto& waiter : waiters_) {
    if (waiter) all.emplace_back(index, *waiter);
    index = index.next();
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

// ---------------------------------------------------------------- Limbo

void Limbo::add(Term term, std::uint64_t key, const Waiter& waiter) {
  const bool is_new = waiters_.try_emplace({term, key}, waiter).second;
  COORD_CHECK(is_new, "a key of a term waits once", term, key);
  soonest_ms_ = std::min(soonest_ms_, waiter.deadline_ms);
}

std::optional<Waiter> Limbo::take(Term term, std::uint64_t key) {
  const auto at = waiters_.find({term, key});
  if (at == waiters_.end()) return std::nullopt;
  const auto found = at->second;
  waiters_.erase(at);
  return found;
}

std::vector<Waiter> Limbo::take_before(Term term) {
  std::vector<Waiter> taken;
  while (!waiters_.empty() && waiters_.begin()->first.first < term) {
    taken.push_back(waiters_.begin()->second);
    waiters_.erase(waiters_.begin());
  }
  return taken;
}

std::vector<Waiter> Limbo::expire(std::int64_t now_ms) {
  std::vector<Waiter> late;
  if (now_ms < soonest_ms_) return late;
  soonest_ms_ = INT64_MAX;
  std::erase_if(waiters_, [&](const auto& entry) {
    const auto& waiter = entry.second;
    if (waiter.deadline_ms <= now_ms) {
      late.push_back(waiter);
      return true;
    }
    soonest_ms_ = std::min(soonest_ms_, waiter.deadline_ms);
    return false;
  });
  return late;
}

void Limbo::drop_connection(ConnectionId connection) {
  std::erase_if(waiters_,
                [connection](const auto& entry) { return entry.second.connection == connection; });
}

}  // namespace coord::core
