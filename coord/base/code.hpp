// Code: every outcome that a client can see, as one stable word each.
//
// Outcomes are part of replicated behaviour: apply() returns them, tests compare them, and the API
// page lists them. The numeric values are stored (retry window) and sent between members: append
// only, never renumber.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace coord {

enum class Code : std::uint8_t {
  ok = 0,
  bad_request = 1,
  session_required = 2,
  unauthenticated = 3,
  forbidden = 4,
  not_owner = 5,
  bad_session_secret = 6,
  no_node = 7,
  not_found = 8,
  no_route = 9,
  method_not_allowed = 10,
  not_acceptable = 11,
  request_timeout = 12,
  node_exists = 13,
  not_empty = 14,
  no_children_for_ephemerals = 15,
  lock_held = 16,
  fence_stale = 17,
  deadlock = 18,
  permits_mismatch = 19,
  instance_held = 20,
  not_caught_up = 21,
  quorum_at_risk = 22,
  compacted = 23,
  session_expired = 24,
  release_trimmed = 25,
  bad_version = 26,
  too_large = 27,
  unsupported_media_type = 28,
  invalid = 29,
  schema_refused = 30,
  idempotency_mismatch = 31,
  throttled = 32,
  headers_too_large = 33,
  no_leader = 34,
  overloaded = 35,
  behind = 36,
  stale = 37,
  diverged = 38,
  not_ready = 39,
  outcome_unknown = 40,
  quota = 41,
  disk_full = 42,
  precondition_exists = 43,  // The word is node-exists; the status 412 (create only, guarded).
  precondition_no_node =
      44,                    // The word is no-node; the status 412 (a guarded write never creates).
  transaction_aborted = 45,  // An op of a transaction that did not run because another failed.
  internal = 46,
  session_moved = 47,  // Another connection has taken the session over since.
  conflict = 48        // Its state does not allow it; the detail says what that is.
};

// The stable word of the API ("no-node"), a static string.
[[nodiscard]] std::string_view word_of(Code code) noexcept;
// The HTTP status that the API page names for the code.
[[nodiscard]] int status_of(Code code) noexcept;
// The code of a stored number, or none if there is no such code.
[[nodiscard]] std::optional<Code> code_from(std::uint8_t value) noexcept;
// May the same request succeed when it is sent again unchanged a little later?
[[nodiscard]] bool is_retryable(Code code) noexcept;

}  // namespace coord

template <>
struct fmt::formatter<coord::Code> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(coord::Code code, Context& context) const {
    return fmt::formatter<std::string_view>::format(coord::word_of(code), context);
  }
};
