#include "coord/base/code.hpp"

#include <array>

#include "coord/base/check.hpp"

namespace coord {
namespace {

struct Row {
  Code code;
  std::string_view word;
  int status;
  bool retryable;
};

constexpr std::array kRows = {
    Row{Code::ok, "ok", 200, false},
    Row{Code::bad_request, "bad-request", 400, false},
    Row{Code::session_required, "session-required", 400, false},
    Row{Code::unauthenticated, "unauthenticated", 401, false},
    Row{Code::forbidden, "forbidden", 403, false},
    Row{Code::not_owner, "not-owner", 403, false},
    Row{Code::bad_session_secret, "bad-session-secret", 403, false},
    Row{Code::no_node, "no-node", 404, false},
    Row{Code::not_found, "not-found", 404, false},
    Row{Code::no_route, "no-route", 404, false},
    Row{Code::method_not_allowed, "method-not-allowed", 405, false},
    Row{Code::not_acceptable, "not-acceptable", 406, false},
    Row{Code::request_timeout, "request-timeout", 408, true},
    Row{Code::node_exists, "node-exists", 409, false},
    Row{Code::not_empty, "not-empty", 409, false},
    Row{Code::no_children_for_ephemerals, "no-children-for-ephemerals", 409, false},
    Row{Code::lock_held, "lock-held", 409, true},
    Row{Code::fence_stale, "fence-stale", 409, false},
    Row{Code::deadlock, "deadlock", 409, false},
    Row{Code::permits_mismatch, "permits-mismatch", 409, false},
    Row{Code::instance_held, "instance-held", 409, false},
    Row{Code::not_caught_up, "not-caught-up", 409, true},
    Row{Code::quorum_at_risk, "quorum-at-risk", 409, false},
    Row{Code::compacted, "compacted", 410, false},
    Row{Code::session_expired, "session-expired", 410, false},
    Row{Code::release_trimmed, "release-trimmed", 410, false},
    Row{Code::bad_version, "bad-version", 412, false},
    Row{Code::too_large, "too-large", 413, false},
    Row{Code::unsupported_media_type, "unsupported-media-type", 415, false},
    Row{Code::invalid, "invalid", 422, false},
    Row{Code::schema_refused, "schema-refused", 422, false},
    Row{Code::idempotency_mismatch, "idempotency-mismatch", 422, false},
    Row{Code::throttled, "throttled", 429, true},
    Row{Code::headers_too_large, "headers-too-large", 431, false},
    Row{Code::no_leader, "no-leader", 503, true},
    Row{Code::overloaded, "overloaded", 503, true},
    Row{Code::behind, "behind", 503, true},
    Row{Code::stale, "stale", 503, true},
    Row{Code::diverged, "diverged", 503, false},
    Row{Code::not_ready, "not-ready", 503, true},
    Row{Code::outcome_unknown, "outcome-unknown", 504, false},
    Row{Code::quota, "quota", 507, false},
    Row{Code::disk_full, "disk-full", 507, true},
    Row{Code::precondition_exists, "node-exists", 412, false},
    Row{Code::precondition_no_node, "no-node", 412, false},
    Row{Code::transaction_aborted, "transaction-aborted", 409, false},
    Row{Code::internal, "internal", 500, false},
    Row{Code::session_moved, "session-moved", 409, false},
    Row{Code::conflict, "conflict", 409, false},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].code) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order(), "one row for each code, in order");

const Row& row_of(Code code) noexcept {
  const auto at = static_cast<std::size_t>(code);
  COORD_CHECK(at < kRows.size(), "a code has a row", at);
  return kRows[at];
}

}  // namespace

std::string_view word_of(Code code) noexcept { return row_of(code).word; }
int status_of(Code code) noexcept { return row_of(code).status; }
bool is_retryable(Code code) noexcept { return row_of(code).retryable; }

std::optional<Code> code_from(std::uint8_t value) noexcept {
  if (value >= kRows.size()) return std::nullopt;
  return static_cast<Code>(value);
}

}  // namespace coord
