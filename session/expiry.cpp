#include "session/expiry.hpp"

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"

namespace coord::session {
namespace {

// Rounded up, also below zero: a deadline lies in the bucket that ends at it or next after it.
std::int64_t bucket_of(std::int64_t deadline_ms) noexcept {
  const auto quotient = deadline_ms / Expiry::kBucketMs;
  return quotient + (deadline_ms % Expiry::kBucketMs > 0 ? 1 : 0);
}

struct Known {
  std::int64_t deadline_ms = 0;
  std::int64_t ttl_ms = 0;
  std::int64_t bucket = 0;  // Where it lies, not later than bucket_of(deadline).
};

}  // namespace

struct Expiry::Impl {
  absl::flat_hash_map<SessionId, Known> known;
  absl::btree_set<std::pair<std::int64_t, SessionId>> buckets;
  // The last grace. It is not written into the sessions but counted in when a deadline is asked
  // for; whoever was added later has a later deadline anyway.
  std::optional<std::int64_t> grace_ms;

  [[nodiscard]] std::int64_t deadline_of(const Known& one) const noexcept {
    return grace_ms ? std::max(one.deadline_ms, *grace_ms + one.ttl_ms) : one.deadline_ms;
  }
};

Expiry::Expiry() : impl_(std::make_unique<Impl>()) {}
Expiry::~Expiry() = default;
Expiry::Expiry(Expiry&&) noexcept = default;
Expiry& Expiry::operator=(Expiry&&) noexcept = default;

void Expiry::touch(SessionId id, std::int64_t ttl_ms, std::int64_t now_ms) {
  COORD_CHECK(ttl_ms > 0, "a ttl is positive", id, ttl_ms);
  const auto [at, is_new] = impl_->known.try_emplace(id);
  auto& one = at->second;
  if (is_new) {
    one.deadline_ms = now_ms + ttl_ms;
    one.ttl_ms = ttl_ms;
    one.bucket = bucket_of(one.deadline_ms);
    impl_->buckets.emplace(one.bucket, id);
    return;
  }
  one.deadline_ms = std::max(impl_->deadline_of(one), now_ms + ttl_ms);
  one.ttl_ms = ttl_ms;
}

void Expiry::remove(SessionId id) {
  const auto at = impl_->known.find(id);
  if (at == impl_->known.end()) return;
  impl_->buckets.erase({at->second.bucket, id});
  impl_->known.erase(at);
}

void Expiry::clear() { *impl_ = Impl(); }

void Expiry::grace(std::int64_t now_ms) {
  impl_->grace_ms = impl_->grace_ms ? std::max(*impl_->grace_ms, now_ms) : now_ms;
}

std::vector<SessionId> Expiry::due(std::int64_t now_ms, std::size_t most) {
  std::vector<SessionId> out;
  std::size_t moves = 0;
  while (!impl_->buckets.empty() && out.size() < most) {
    const auto front = impl_->buckets.begin();
    const auto [bucket, id] = *front;
    if (bucket * kBucketMs > now_ms) break;
    const auto at = impl_->known.find(id);
    COORD_CHECK(at != impl_->known.end(), "whoever is in a bucket is known", id);
    const auto wanted = bucket_of(impl_->deadline_of(at->second));
    if (wanted == bucket) {
      out.push_back(id);
      impl_->known.erase(at);
      impl_->buckets.erase(front);
      continue;
    }
    if (++moves > kMovesMax) break;
    at->second.bucket = wanted;
    impl_->buckets.erase(front);
    impl_->buckets.emplace(wanted, id);
  }
  return out;
}

std::optional<std::int64_t> Expiry::remaining_ms(SessionId id, std::int64_t now_ms) const {
  const auto at = impl_->known.find(id);
  if (at == impl_->known.end()) return std::nullopt;
  return std::max<std::int64_t>(0, impl_->deadline_of(at->second) - now_ms);
}

std::optional<std::int64_t> Expiry::next_deadline() const {
  if (impl_->buckets.empty()) return std::nullopt;
  return impl_->buckets.begin()->first * kBucketMs;
}

std::size_t Expiry::size() const noexcept { return impl_->known.size(); }

void Expiry::check_invariants() const {
  for (const auto& [bucket, id] : impl_->buckets) {
    const auto at = impl_->known.find(id);
    COORD_CHECK(at != impl_->known.end(), "whoever is in a bucket is known", id);
    COORD_CHECK(at->second.bucket == bucket, "a session knows its bucket", id);
    COORD_CHECK(bucket <= bucket_of(impl_->deadline_of(at->second)),
                "a bucket is not later than the deadline", id);
  }
  COORD_CHECK(impl_->buckets.size() == impl_->known.size(), "a session lies in one bucket");
}

}  // namespace coord::session
