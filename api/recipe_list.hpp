// Listings of recipes at the edge: limit= and cursor=, and the list as JSON. Pure.
#pragma once

#include <functional>
#include <string_view>

#include "api/recipe_route.hpp"
#include "coord/recipes/listing.hpp"

namespace coord::api {

// Sets `query` by limit= and cursor=.
[[nodiscard]] Problem take_list(const PlanInput& in, Plan& plan, recipes::ListQuery& query);
// {"counters": [{each}, ...], "cursor": ..., "revision": N}: `each` writes the fields of one entry.
void append_list(std::string& out, std::string_view name, const core::Reply& reply,
                 const std::function<void(const recipes::ListEntry&, JsonObject&)>& each);

}  // namespace coord::api
