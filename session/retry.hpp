// RetryWindow: the exactly-once memory behind Idempotency-Key.
//
// Keyed by (scope, key), where the scope is the session or else the identity. Replicated, part of
// checkpoint and digest, checked in apply(). An entry leaves, in apply() and by a rule that is the
// same on all members: when it is older than limits.age_ms of service time and not among the last
// limits.entries_kept, or beyond limits.entries_max.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "coord/base/ids.hpp"
#include "coord/base/limits.hpp"
#include "coord/base/records.hpp"

namespace coord::session {

struct RetryEntry {
  Zxid zxid;                       // The entry that did the work.
  std::int64_t service_ms = 0;     // Its service time.
  std::uint64_t request_hash = 0;  // Of what was asked; another hash under the key is a mismatch.
  std::string outcome;             // The encoded first answer, opaque here.
};

class RetryWindow {
 public:
  explicit RetryWindow(RetryLimits limits);
  ~RetryWindow();
  RetryWindow(RetryWindow&&) noexcept;
  RetryWindow& operator=(RetryWindow&&) noexcept;

  // Null if there is none. Valid until the next change.
  [[nodiscard]] const RetryEntry* find(std::string_view scope, std::string_view key) const;
  // Requires: find() gives null, and no entry that is held has a larger zxid. Several entries of
  // one zxid keep the order in which they were inserted, by an ordinal.
  void insert(std::string_view scope, std::string_view key, RetryEntry entry, DirtyMap& dirty);
  // Drops what the rule lets go, at most `most` entries: called in every apply(), O(1) amortised.
  void trim(std::int64_t service_ms, std::size_t most, DirtyMap& dirty);

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::uint64_t digest() const noexcept;
  // Records of Table::retry, in key order (which is age order).
  [[nodiscard]] std::string load(std::string_view key, std::string_view bytes);
  void put_all(DirtyMap& dirty) const;
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::session
