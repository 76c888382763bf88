// Expiry: when sessions run out, on the leader only, and in memory only.
//
// Deadlines lie in buckets of kBucketMs (rounded up, so never early): touch is O(1), due() looks at
// the buckets that have passed. Time is the leader's monotonic clock, handed in. A session is never
// due before its whole ttl has passed since the last touch. What is due is proposed as a log
// entry; only that ends the session.
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
  // Grants every known session a full ttl from `now_ms`: after a stall of the leader.
  void grace(std::int64_t now_ms);
  // Takes the sessions whose deadline has passed, at most `most`, soonest first, in a fixed order.
  // A session that was taken is known no more; touch() adds it again.
  [[nodiscard]] std::vector<SessionId> due(std::int64_t now_ms, std::size_t most);
  [[nodiscard]] std::optional<std::int64_t> remaining_ms(SessionId id, std::int64_t now_ms) const;
  [[nodiscard]] std::optional<std::int64_t> next_deadline() const;
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::session
