#include "api/problem_titles.hpp"

namespace coord::api {

std::string_view title_of(Code code) noexcept {
  switch (code) {
    case Code::bad_request:
      return "The request is malformed";
    case Code::session_required:
      return "A session is required";
    case Code::unauthenticated:
      return "The credentials are not understood";
    case Code::forbidden:
      return "The caller may not do this";
    case Code::not_owner:
      return "It belongs to another session";
    case Code::bad_session_secret:
      return "The session's secret is wrong";
    case Code::no_node:
    case Code::precondition_no_node:
      return "There is no such node";
    case Code::not_found:
      return "There is no such thing";
    case Code::no_route:
      return "There is no such route";
    case Code::method_not_allowed:
      return "The route does not take this method";
    case Code::not_acceptable:
      return "No form of the answer is acceptable";
    case Code::request_timeout:
      return "The request came too slowly";
    case Code::node_exists:
    case Code::precondition_exists:
      return "The node exists already";
    case Code::not_empty:
      return "The node has children";
    case Code::no_children_for_ephemerals:
      return "An ephemeral node has no children";
    case Code::fence_stale:
      return "The fence is stale";
    case Code::compacted:
      return "The history does not reach so far back";
    case Code::session_expired:
      return "The session has ended";
    case Code::bad_version:
      return "The node has another version";
    case Code::release_trimmed:
      return "The release is not kept any more";
    case Code::schema_refused:
      return "The value does not fit the schema";
    case Code::too_large:
      return "A limit is exceeded";
    case Code::unsupported_media_type:
      return "The body's encoding is not supported";
    case Code::invalid:
      return "The request cannot be carried out as it stands";
    case Code::idempotency_mismatch:
      return "The idempotency key belongs to another request";
    case Code::throttled:
      return "Too many requests";
    case Code::headers_too_large:
      return "The request's header is too large";
    case Code::no_leader:
      return "There is no leader";
    case Code::overloaded:
      return "The member is overloaded";
    case Code::behind:
      return "The member has not applied that revision yet";
    case Code::stale:
      return "The member's state is too old";
    case Code::not_caught_up:
      return "The member has not caught up";
    case Code::quorum_at_risk:
      return "Too few voters would be left that are up";
    case Code::diverged:
      return "The member's state differs from the others'";
    case Code::not_ready:
      return "The member is not ready";
    case Code::outcome_unknown:
      return "It is not known whether the write was applied";
    case Code::quota:
      return "A quota is exceeded";
    case Code::disk_full:
      return "The disk is full";
    case Code::conflict:
      return "Its present state does not allow this";
    default:
      return word_of(code);
  }
}

}  // namespace coord::api
