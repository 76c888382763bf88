// The routes of each recipe, one source each: recipe_counter.cpp and so on.
#pragma once

#include <span>

#include "api/route_table.hpp"

namespace coord::api {

[[nodiscard]] std::span<const RouteSpec> barrier_routes() noexcept;
[[nodiscard]] std::span<const RouteSpec> counter_routes() noexcept;
[[nodiscard]] std::span<const RouteSpec> decision_routes() noexcept;
[[nodiscard]] std::span<const RouteSpec> queue_routes() noexcept;
[[nodiscard]] std::span<const RouteSpec> transaction_routes() noexcept;

}  // namespace coord::api
