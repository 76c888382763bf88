// The one table of routes: the router and the OpenAPI document are both made of it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/request_view.hpp"

namespace coord::api {

enum class Endpoint : std::uint8_t {
  tree_get,
  tree_put,
  tree_post,
  tree_patch,
  tree_delete,
  stat_get,
  children_get,
  walk_get,
  history_get,
  acl_get,
  acl_put,
  quota_get,
  quota_put,
  quota_delete,
  txn_post,
  watch_get,
  changes_get,
  session_open,
  session_list,
  session_get,
  session_delete,
  session_keepalive,
  status_get,
  cluster_get,
  member_add,
  member_change,
  member_remove,
  member_repair,
  transfer_post,
  backup_get,
  import_begin,
  import_nodes,
  import_finish,
  livez,
  readyz,
  metrics,
  version,
  openapi,
  recipe,  // RouteSpec::recipe says the rest.
};

// What a route takes beside its own query parameters.
enum RouteTrait : std::uint8_t {
  trait_none = 0,
  trait_read = 1,      // consistency=, max_staleness=, min_revision=.
  trait_write = 2,     // Idempotency-Key, Coord-Fence; refusals say `outcome`.
  trait_list = 4,      // limit=, cursor=.
  trait_wait = 8,      // wait=, since=, If-None-Match, and SSE by Accept.
  trait_stream = 16,   // Answers with a stream of events.
  trait_local = 32,    // Answered by this member at once: no timeout=.
  trait_body = 64,     // Takes a body.
  trait_change = 128,  // Changes something that is no node: refusals say `outcome`.
};

struct RecipeRoute;

struct RouteSpec {
  Method method;
  std::string_view path;  // "{path}" at the end stands for any number of segments, also none;
                          // another name in braces for one.
  Endpoint endpoint;
  std::uint8_t traits;
  std::span<const std::string_view> query;  // Beside those of the traits. One that ends in "."
                                            // stands for all that begin so ("meta.zone").
  std::string_view summary;
  const RecipeRoute* recipe = nullptr;  // Of Endpoint::recipe (recipe_route.hpp).
};

[[nodiscard]] std::span<const RouteSpec> route_table();

inline constexpr std::size_t kRouteArgumentsMax = 3;

struct RouteMatch {
  const RouteSpec* route = nullptr;  // Null: no such path, or no such method on it.
  // What stands for the names in braces, in their order.
  std::array<std::string_view, kRouteArgumentsMax> arguments{};
  std::string allow;  // The methods of the path, when the method is not among them.
};

// `path` is decoded already. HEAD is served by GET's route.
[[nodiscard]] RouteMatch match_route(Method method, std::string_view path);
// Does the route look at If-Match, at If-None-Match: *, when it writes?
[[nodiscard]] bool takes_if_match(const RouteSpec& route) noexcept;
[[nodiscard]] bool takes_if_none_match(const RouteSpec& route) noexcept;
// Is `name` a query parameter of the route?
[[nodiscard]] bool takes_parameter(const RouteSpec& route, std::string_view name) noexcept;
// All its query parameters.
[[nodiscard]] std::vector<std::string_view> parameters_of(const RouteSpec& route);

}  // namespace coord::api
