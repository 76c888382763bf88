#include "election/progress.hpp"

#include <algorithm>

#include "coord/base/check.hpp"

namespace coord::election {

bool Progress::can_send(std::size_t in_flight_max) const noexcept {
  switch (state_) {
    case State::probe:
      return !is_probing_;
    case State::replicate:
      return in_flight_.size() < in_flight_max;
    case State::snapshot:
      return false;
  }
  return false;
}

void Progress::sent(Index last) {
  COORD_CHECK(state_ != State::snapshot, "entries wait for the snapshot");
  COORD_CHECK(last.next() >= next_, "requests go forward", last, next_);
  if (state_ == State::probe) {
    is_probing_ = true;
    return;
  }
  if (last.next() == next_) return;  // Without entries.
  next_ = last.next();
  in_flight_.push_back(last);
}

bool Progress::acknowledged(Index match) {
  const bool is_news = match > match_;
  match_ = std::max(match_, match);
  next_ = std::max(next_, match_.next());
  while (!in_flight_.empty() && in_flight_.front() <= match_) in_flight_.pop_front();
  if (state_ == State::probe) {
    // Only an answer tells where the logs meet, and from there on they are sent in a stream.
    state_ = State::replicate;
    is_probing_ = false;
    next_ = match_.next();
  }
  return is_news;
}

bool Progress::refused(Index refused, Index meeting_point) {
  if (refused <= match_ || state_ == State::snapshot) return false;
  if (state_ == State::replicate) {
    if (refused >= next_) return false;
    become_probe();
    next_ = std::max(std::min(refused, meeting_point.next()), match_.next());
    return true;
  }
  if (refused.next() != next_) return false;
  next_ = std::max(std::min(refused, meeting_point.next()), match_.next());
  is_probing_ = false;
  return true;
}

void Progress::become_snapshot() noexcept {
  state_ = State::snapshot;
  is_probing_ = false;
  in_flight_.clear();
}

void Progress::become_probe() noexcept {
  next_ = match_.next();
  state_ = State::probe;
  is_probing_ = false;
  in_flight_.clear();
}

}  // namespace coord::election
