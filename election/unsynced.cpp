#include "election/unsynced.hpp"

#include <algorithm>

#include "coord/base/check.hpp"

namespace coord::election {

std::uint64_t Unsynced::issue(Index last, const std::optional<HardState>& hard_state) {
  COORD_CHECK(last >= synced_, "a persist does not lower what is synced", last, synced_);
  in_flight_.push_back(InFlight{++number_, last, hard_state});
  return number_;
}

void Unsynced::lower(Index last) noexcept {
  synced_ = std::min(synced_, last);
  for (auto& persist : in_flight_) persist.last = std::min(persist.last, last);
}

void Unsynced::raise(Index index) noexcept { synced_ = std::max(synced_, index); }

void Unsynced::persisted(std::uint64_t number) {
  COORD_CHECK(number <= number_, "only what was issued is persisted", number, number_);
  while (!in_flight_.empty() && in_flight_.front().number <= number) {
    const auto& done = in_flight_.front();
    synced_ = std::max(synced_, done.last);
    if (done.hard_state) hard_state_ = *done.hard_state;
    in_flight_.pop_front();
  }
}

}  // namespace coord::election
