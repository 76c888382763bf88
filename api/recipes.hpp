// The routes of each recipe, one source each: recipe_counter.cpp and so on.
#pragma once

#include <span>

#include "api/route_table.hpp"

namespace coord::api {

[[nodiscard]] std::span<const RouteSpec> counter_routes() noexcept;

}  // namespace coord::api
