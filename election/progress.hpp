// Progress: what the leader knows of one other member (thesis, sections 3.5 and 10.2.1).
//
// Three states. Probe: where the logs meet is not known; one request at a time. Replicate: requests
// are pipelined, `next` runs ahead of the answers, up to a bounded window. Snapshot: what the
// member needs is no longer in the log; entries wait until a snapshot is in place.
//
// Invariant: match < next. `match` only rises: it is what the member said is synced in this term.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>

#include "coord/base/ids.hpp"

namespace coord::election {

class Progress {
 public:
  enum class State : std::uint8_t { probe, replicate, snapshot };
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min() / 2;

  Progress() = default;
  explicit Progress(Index next) noexcept : next_(next) {}

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] Index match() const noexcept { return match_; }
  [[nodiscard]] Index next() const noexcept { return next_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.size(); }
  // Did it ever answer? Without that, replied_at is when the leader began to count.
  [[nodiscard]] bool is_heard() const noexcept {
    return match_ != Index() || acknowledged_sent_at != kNever;
  }
  // May a request with entries leave now?
  [[nodiscard]] bool can_send(std::size_t in_flight_max) const noexcept;

  // Entries up to `last` have left.
  void sent(Index last);
  // The member has synced everything up to `match`. True if that is news.
  bool acknowledged(Index match);
  // The member refused a request that followed `refused`; the logs may meet at `meeting_point`.
  // False if the answer is an old one.
  bool refused(Index refused, Index meeting_point);
  void become_snapshot() noexcept;
  // The snapshot is in place, or given up: find out where the logs meet.
  void become_probe() noexcept;

  std::uint64_t acknowledged_round = 0;        // The last round that it answered.
  std::int64_t acknowledged_sent_at = kNever;  // When that answer's request left, by our clock.
  std::int64_t replied_at = kNever;            // When it was heard last.
  std::int64_t snapshot_sent_at = kNever;
  std::int64_t caught_up_since = kNever;  // For standbys; kNever: it lags.
  Index commit_sent;                      // The commit index that it was told last.
  Index hurried;                          // Somebody there waits for it.
  std::int64_t paused_until = kNever;     // Of an observer: Options::observer_interval_ms.

 private:
  State state_ = State::probe;
  Index match_;
  Index next_ = Index(1);
  bool is_probing_ = false;  // In probe: a request is out.
  std::deque<Index> in_flight_;
};

}  // namespace coord::election
