// Expiry: when sessions run out, on the leader only, and in memory only.
//
// Deadlines lie in buckets of kBucketMs (rounded up, so never early). A touch of a known session
// writes its deadline and nothing else, O(1): it moves to its new bucket only when the old one
// passes, at most once a ttl. Time is the leader's monotonic clock, handed in. A session is never
// due before its whole ttl has passed since the last touch. What is due is proposed as a log
// entry; only that ends the session.
//
// Invariant between calls: every session lies in exactly one bucket, and that is not later than
// its deadline's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "coord/base/ids.hpp"

namespace coord::session {

class Expiry {
 public:
  static constexpr std::int64_t kBucketMs = 20;
  // Sessions that one due() moves on because they were touched: more wait for the next call, so
  // that a million sessions in one bucket never stall the loop. They are late then, never early.
  static constexpr std::size_t kMovesMax = 20'000;

  Expiry();
  ~Expiry();
  Expiry(Expiry&&) noexcept;
  Expiry& operator=(Expiry&&) noexcept;

  // Adds the session, or gives it a full ttl again from `now_ms`. A touch never brings a deadline
  // forward.
  void touch(SessionId id, std::int64_t ttl_ms, std::int64_t now_ms);
  void remove(SessionId id);
  // Forgets all: on losing leadership.
  void clear();
  // Grants every known session a full ttl from `now_ms`: after a stall of the leader. O(1).
  void grace(std::int64_t now_ms);
  // Takes the sessions whose deadline has passed, at most `most`, by (bucket of the deadline, id).
  // A session that was taken is known no more; touch() adds it again.
  [[nodiscard]] std::vector<SessionId> due(std::int64_t now_ms, std::size_t most);
  // To the exact deadline, zero when it has passed; none if the session is not known.
  [[nodiscard]] std::optional<std::int64_t> remaining_ms(SessionId id, std::int64_t now_ms) const;
  // A time before which due() gives nothing; none if no session is known.
  [[nodiscard]] std::optional<std::int64_t> next_deadline() const;
  [[nodiscard]] std::size_t size() const noexcept;
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::session
