// Bodies: the JSON that clients send, parsed and checked (nlohmann/json; bounded in depth).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/plan.hpp"

namespace coord::api {

// "jobs=57", "election:boss=58", several by comma. False if malformed or too many.
[[nodiscard]] bool parse_fences(std::string_view text, std::size_t most,
                                std::vector<core::Fence>& out);
// "persistent", "ephemeral", "container", "ttl".
[[nodiscard]] std::optional<znode::Mode> parse_mode(std::string_view text) noexcept;

// POST /v1/txn. Sets plan.request.op and the names of the operations.
[[nodiscard]] Problem parse_txn(std::string_view body, const HttpOptions& options, Plan& plan);
// POST /v1/sessions: ttl_ms, ttl, name.
[[nodiscard]] Problem parse_session(std::string_view body, core::OpenSession& out);
// PUT /v1/acl: [{"permissions": ["read", ...] | "cdrwa", "scheme": ..., "id": ...}], or an object
// with that list as `acl`.
[[nodiscard]] Problem parse_acl(std::string_view body, znode::Acl& out);
// PUT /v1/quotas: {"nodes": N, "bytes": N}.
[[nodiscard]] Problem parse_quota(std::string_view body, core::SetQuota& out);

// POST /v1/imports: a line for each node, {"path", "value", "encoding", "acl", "mode", "ttl_ms",
// "version", "aversion", "children_created", "ctime_ms", "mtime_ms"} or {"path", "deleted": true}.
[[nodiscard]] Problem parse_import(std::string_view body, const HttpOptions& options,
                                   core::ImportNodes& out);

// What the routes under /v1/cluster take: id, peer, role, replaces, to, dry_run.
struct MemberFields {
  std::optional<std::uint64_t> id;
  std::string peer;
  std::string role;
  std::optional<std::uint64_t> replaces;
  std::optional<std::uint64_t> to;
  bool dry_run = false;
};
[[nodiscard]] Problem parse_member(std::string_view body, MemberFields& out);

// RFC 7396: the JSON text of `value` after `patch`. A value that is no JSON gives `invalid`, and so
// does a number in either that would not be written as it was read.
[[nodiscard]] Problem merge_patch(std::string_view value, std::string_view patch, std::string& out);
// Is the text one JSON document within the bound on depth?
[[nodiscard]] Problem check_json(std::string_view text);

}  // namespace coord::api
