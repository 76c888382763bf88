#include "api/route_table.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "api/recipe_route.hpp"

namespace coord::api {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 0> kNone{};
constexpr std::array<std::string_view, 2> kTreeGet{"at", "as"};
constexpr std::array<std::string_view, 5> kTreePut{"mode", "ttl", "parents", "version", "as"};
constexpr std::array<std::string_view, 4> kTreePost{"prefix", "mode", "ttl", "parents"};
constexpr std::array<std::string_view, 2> kTreePatch{"add", "version"};
constexpr std::array<std::string_view, 2> kTreeDelete{"recursive", "version"};
constexpr std::array<std::string_view, 4> kChildren{"prefix", "stat", "values", "system"};
constexpr std::array<std::string_view, 4> kWalk{"depth", "values", "acls", "system"};
constexpr std::array<std::string_view, 1> kImport{"source"};
constexpr std::array<std::string_view, 1> kVersion{"version"};
constexpr std::array<std::string_view, 2> kQuotaPut{"nodes", "bytes"};
constexpr std::array<std::string_view, 7> kWatch{"path",   "depth", "from",  "initial",
                                                 "values", "prev",  "system"};
constexpr std::array<std::string_view, 4> kChanges{"from", "values", "prev", "system"};
constexpr std::array<std::string_view, 3> kSessionOpen{"ttl", "ttl_ms", "name"};
constexpr std::array<std::string_view, 1> kAtOnly{"at"};
constexpr std::array<std::string_view, 5> kMemberAdd{"id", "peer", "role", "replaces", "dry_run"};
constexpr std::array<std::string_view, 2> kMemberChange{"role", "dry_run"};
constexpr std::array<std::string_view, 1> kMemberRemove{"dry_run"};
constexpr std::array<std::string_view, 1> kTransfer{"to"};

constexpr std::array<std::string_view, 3> kReadNames{"consistency", "max_staleness",
                                                     "min_revision"};
constexpr std::array<std::string_view, 2> kListNames{"limit", "cursor"};
constexpr std::array<std::string_view, 2> kWaitNames{"wait", "since"};
constexpr std::array<std::string_view, 1> kTimeoutNames{"timeout"};

constexpr std::uint8_t kRead = trait_read;
constexpr std::uint8_t kWrite = trait_write;
constexpr std::uint8_t kBodyWrite = trait_write | trait_body;
constexpr std::uint8_t kBodyChange = trait_change | trait_body;
constexpr std::uint8_t kPage = trait_read | trait_list;

// The tree stands first: it is what most requests ask for.
constexpr std::array kRoutes = {
    RouteSpec{Method::get, "/v1/tree/{path}", Endpoint::tree_get, trait_read | trait_wait, kTreeGet,
              "The value of a node, raw or in an envelope; HEAD without the body"},
    RouteSpec{Method::put, "/v1/tree/{path}", Endpoint::tree_put, kBodyWrite, kTreePut,
              "Set a node, or create it when it is missing"},
    RouteSpec{Method::post, "/v1/tree/{path}", Endpoint::tree_post, kBodyWrite, kTreePost,
              "Create a sequential child"},
    RouteSpec{Method::patch, "/v1/tree/{path}", Endpoint::tree_patch, kBodyWrite, kTreePatch,
              "Apply a JSON merge patch to a JSON value, or add to a number"},
    RouteSpec{Method::erase, "/v1/tree/{path}", Endpoint::tree_delete, kWrite, kTreeDelete,
              "Delete a node, or a whole subtree"},
    RouteSpec{Method::get, "/v1/stat/{path}", Endpoint::stat_get, kRead, kAtOnly,
              "The stat of a node"},
    RouteSpec{Method::get, "/v1/children/{path}", Endpoint::children_get,
              trait_read | trait_list | trait_wait, kChildren, "The children of a node, in pages"},
    RouteSpec{Method::get, "/v1/walk/{path}", Endpoint::walk_get, kPage, kWalk,
              "A subtree as NDJSON, at one revision"},
    RouteSpec{Method::get, "/v1/history/{path}", Endpoint::history_get, kPage, kNone,
              "Past versions of a node, the newest first"},
    RouteSpec{Method::get, "/v1/acl/{path}", Endpoint::acl_get, kRead, kNone, "A node's ACL"},
    RouteSpec{Method::put, "/v1/acl/{path}", Endpoint::acl_put, kBodyWrite, kVersion,
              "Set a node's ACL"},
    RouteSpec{Method::get, "/v1/quotas/{path}", Endpoint::quota_get, kRead, kNone,
              "The quota of a subtree, and what is used of it"},
    RouteSpec{Method::put, "/v1/quotas/{path}", Endpoint::quota_put, kBodyWrite, kQuotaPut,
              "Set the quota of a subtree"},
    RouteSpec{Method::erase, "/v1/quotas/{path}", Endpoint::quota_delete, kWrite, kNone,
              "Remove the quota of a subtree"},
    RouteSpec{Method::post, "/v1/txn", Endpoint::txn_post, kBodyWrite, kNone,
              "Compare, then do all of one list of operations or all of the other"},
    RouteSpec{Method::get, "/v1/watch", Endpoint::watch_get, trait_stream, kWatch,
              "A stream of changes, by SSE or NDJSON"},
    RouteSpec{Method::get, "/v1/changes", Endpoint::changes_get, kPage, kChanges,
              "The same changes in pages"},
    RouteSpec{Method::post, "/v1/sessions", Endpoint::session_open, kBodyWrite, kSessionOpen,
              "Open a session"},
    RouteSpec{Method::get, "/v1/sessions", Endpoint::session_list, kPage, kNone,
              "The sessions, in pages"},
    RouteSpec{Method::get, "/v1/sessions/{id}", Endpoint::session_get, kRead, kNone,
              "What is known of a session"},
    RouteSpec{Method::erase, "/v1/sessions/{id}", Endpoint::session_delete, kWrite, kNone,
              "Close a session; its ephemerals go in the same revision"},
    RouteSpec{Method::post, "/v1/sessions/{id}/keepalive", Endpoint::session_keepalive, trait_body,
              kNone, "Renew a session, confirmed by the leader"},
    RouteSpec{Method::get, "/v1/status", Endpoint::status_get, trait_none, kNone,
              "The state of this member"},
    RouteSpec{Method::get, "/v1/cluster", Endpoint::cluster_get, trait_none, kNone,
              "The members, what they do, and how many more may fail"},
    RouteSpec{Method::post, "/v1/cluster/members", Endpoint::member_add, kBodyChange, kMemberAdd,
              "Add an empty member, as standby or observer"},
    RouteSpec{Method::patch, "/v1/cluster/members/{id}", Endpoint::member_change, kBodyChange,
              kMemberChange, "Change a member's role"},
    RouteSpec{Method::erase, "/v1/cluster/members/{id}", Endpoint::member_remove, kBodyChange,
              kMemberRemove, "Remove a member; its id is never used again"},
    RouteSpec{Method::post, "/v1/cluster/members/{id}/repair", Endpoint::member_repair, kBodyChange,
              kNone, "Rebuild a member's state from the leader's; answered once it has begun"},
    RouteSpec{Method::post, "/v1/cluster/transfer-leader", Endpoint::transfer_post, kBodyChange,
              kTransfer, "Hand leadership over; answered once the other leads"},
    RouteSpec{Method::get, "/v1/backup", Endpoint::backup_get, trait_none, kNone,
              "All state as of one revision, as coordd --restore reads it"},
    RouteSpec{Method::put, "/v1/imports/{path}", Endpoint::import_begin, kWrite, kImport,
              "Close a subtree for all but an import"},
    RouteSpec{Method::post, "/v1/imports/{path}", Endpoint::import_nodes, kBodyWrite, kNone,
              "Nodes as another service had them, with versions and times: NDJSON, all or nothing"},
    RouteSpec{Method::erase, "/v1/imports/{path}", Endpoint::import_finish, kWrite, kNone,
              "End an import: the subtree is open to everybody again"},
    RouteSpec{Method::get, "/livez", Endpoint::livez, trait_local, kNone, "Is the process alive"},
    RouteSpec{Method::get, "/readyz", Endpoint::readyz, trait_local, kNone,
              "Does this member serve"},
    RouteSpec{Method::get, "/metrics", Endpoint::metrics, trait_local, kNone,
              "Metrics in Prometheus' text format"},
    RouteSpec{Method::get, "/version", Endpoint::version, trait_local, kNone,
              "The version of this member"},
    RouteSpec{Method::get, "/openapi.json", Endpoint::openapi, trait_local, kNone, "This document"},
};

// Does `path` fit the template? Sets the arguments.
bool fits(std::string_view spec, std::string_view path, RouteMatch& match) noexcept {
  std::size_t count = 0;
  while (true) {
    if (spec.starts_with("/{path}")) {
      if (!path.empty()) path.remove_prefix(1);
      match.arguments[count] = path;
      return true;
    }
    if (spec.empty() || path.empty()) return spec.empty() && path.empty();
    const auto wanted = spec.substr(1, spec.find('/', 1) - 1);
    const auto there = path.substr(1, path.find('/', 1) - 1);
    if (wanted.starts_with('{')) {
      if (there.empty()) return false;
      match.arguments[count++] = there;
    } else if (wanted != there) {
      return false;
    }
    spec.remove_prefix(wanted.size() + 1);
    path.remove_prefix(there.size() + 1);
  }
}

// "meta." among the names stands for any longer name that begins so.
bool has(Names names, std::string_view name) noexcept {
  return std::any_of(names.begin(), names.end(), [name](std::string_view known) {
    if (!known.ends_with('.')) return name == known;
    return name.size() > known.size() && name.starts_with(known);
  });
}

}  // namespace

std::span<const RouteSpec> route_table() {
  static const std::vector<RouteSpec> table = [] {
    std::vector<RouteSpec> all(kRoutes.begin(), kRoutes.end());
    for (const auto& routes : recipe_routes()) all.insert(all.end(), routes.begin(), routes.end());
    return all;
  }();
  return table;
}

RouteMatch match_route(Method method, std::string_view path) {
  RouteMatch match;
  const Method wanted = method == Method::head ? Method::get : method;
  if (!path.starts_with('/')) return match;
  // Where "/v1/queues/{name}/take" and "/v1/queues/{name}/{item}" both fit, the words win over the
  // names, whatever the method.
  std::ptrdiff_t fewest = std::numeric_limits<std::ptrdiff_t>::max();
  for (const auto& route : route_table()) {
    RouteMatch one;
    if (!fits(route.path, path, one)) continue;
    const auto names = std::count(route.path.begin(), route.path.end(), '{');
    if (names > fewest) continue;
    if (names < fewest) match = RouteMatch();
    fewest = names;
    if (route.method == wanted) {
      match.route = &route;
      match.arguments = one.arguments;
      match.allow.clear();
      if (route.recipe == nullptr) return match;  // Only recipes' routes overlap.
    }
    if (match.route != nullptr) continue;
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += word_of(route.method);
    if (route.method == Method::get) match.allow += ", HEAD";
  }
  if (!match.allow.empty()) match.allow += ", OPTIONS";
  return match;
}

bool takes_if_match(const RouteSpec& route) noexcept {
  switch (route.endpoint) {
    case Endpoint::tree_put:
    case Endpoint::tree_patch:
    case Endpoint::tree_delete:
      return true;
    default:
      return (route.traits & trait_write) != 0 && route.path.starts_with("/v1/config/");
  }
}

bool takes_if_none_match(const RouteSpec& route) noexcept {
  return route.method == Method::put && takes_if_match(route);
}

bool takes_parameter(const RouteSpec& route, std::string_view name) noexcept {
  if (has(route.query, name)) return true;
  // "label." stands for all names that begin so.
  const auto dot = name.find('.');
  if (dot != std::string_view::npos && has(route.query, name.substr(0, dot + 1))) return true;
  if ((route.traits & trait_read) != 0 && has(kReadNames, name)) return true;
  if ((route.traits & trait_list) != 0 && has(kListNames, name)) return true;
  if ((route.traits & trait_wait) != 0 && has(kWaitNames, name)) return true;
  return (route.traits & trait_local) == 0 && has(kTimeoutNames, name);
}

std::vector<std::string_view> parameters_of(const RouteSpec& route) {
  std::vector<std::string_view> names(route.query.begin(), route.query.end());
  const auto add = [&](Names more) { names.insert(names.end(), more.begin(), more.end()); };
  if ((route.traits & trait_read) != 0) add(kReadNames);
  if ((route.traits & trait_list) != 0) add(kListNames);
  if ((route.traits & trait_wait) != 0) add(kWaitNames);
  if ((route.traits & trait_local) == 0) add(kTimeoutNames);
  return names;
}

}  // namespace coord::api
