#include "api/recipe_route.hpp"

#include <fmt/format.h>

#include "api/recipes.hpp"
#include "coord/base/check.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::api {

std::vector<std::span<const RouteSpec>> recipe_routes() {
  return {
      barrier_routes(), config_routes(), counter_routes(), decision_routes(),    election_routes(),
      lock_routes(),    queue_routes(),  service_routes(), transaction_routes(),
  };
}

const core::RecipeResult& recipe_result(const core::Reply& reply) {
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  COORD_CHECK(result != nullptr, "a recipe's reply has its result");
  return *result;
}

void answer_nothing(const Plan&, const core::Reply&, RecipeBody& body) { body.status = 204; }

Problem check_name(std::string_view what, std::string_view name) {
  const auto wrong = recipes::name_error(name);
  if (wrong.empty()) return {};
  return bad_request(fmt::format("{}: {}", what, wrong));
}

void set_step(Plan& plan, recipes::Kind kind, std::string bytes) {
  plan.request.op = core::RecipeStep{kind, std::move(bytes), {}};
}

void set_query(Plan& plan, recipes::Kind kind, std::string bytes) {
  plan.request.op = core::RecipeQuery{kind, std::move(bytes)};
}

void set_renewal(Plan& plan, recipes::Kind kind, std::string bytes) {
  plan.request.op = core::RecipeRenew{kind, std::move(bytes)};
}

void try_renewal(Plan& plan, recipes::Kind kind, std::string bytes) {
  // What is exactly once, or fenced, is decided by a step alone.
  if (!plan.request.idempotency_key.empty() || !plan.request.fences.empty()) return;
  plan.recipe.renewal = core::RecipeRenew{kind, std::move(bytes)};
}

Problem take_page(const PlanInput& in, std::size_t& limit, std::string& after) {
  Problem problem;
  const auto& limits = in.options.requests;
  limit = in.query.count("limit", problem).value_or(limits.list_limit_default);
  if (problem) return problem;
  if (limit == 0 || limit > limits.list_limit_max) {
    return bad_request(fmt::format("limit must be 1 to {}", limits.list_limit_max));
  }
  const auto* text = in.query.find("cursor");
  if (text == nullptr) return {};
  auto cursor = decode_cursor(*text);
  if (!cursor) return bad_request("this is not a cursor that a listing gave");
  after = std::move(*cursor);
  return {};
}

void watch_kind(Plan& plan, recipes::Kind kind) {
  plan.filter.paths.assign(1, fmt::format("{}/{}", recipes::kRoot, recipes::directory_of(kind)));
  plan.filter.depth = watch::Depth::subtree;
  plan.filter.with_system = true;
}

void watch_recipe(Plan& plan, recipes::Kind kind, std::string_view name) {
  plan.filter.paths.assign(1, recipes::path_of(kind, name));
  plan.filter.depth = watch::Depth::subtree;
  plan.filter.with_system = true;
}

Problem bring_session(const PlanInput& in, Plan& plan, std::int64_t ttl_ms, std::string name) {
  if (plan.request.session) return {};
  const auto& limits = in.options.sessions;
  if (ttl_ms < limits.ttl_ms_min || ttl_ms > limits.ttl_ms_max) {
    return {Code::invalid,
            fmt::format("the ttl must be {} to {} ms", limits.ttl_ms_min, limits.ttl_ms_max),
            {},
            {}};
  }
  core::OwnSession own;
  own.ttl_ms = ttl_ms;
  own.name = std::move(name);
  if (own.name.size() > limits.name_bytes_max) own.name.resize(limits.name_bytes_max);
  own.address = in.caller.address;
  std::get<core::RecipeStep>(plan.request.op).own_session = std::move(own);
  return {};
}

}  // namespace coord::api
