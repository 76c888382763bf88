// The two sources of /v1/config: requests (recipe_config.cpp) and answers
// (recipe_config_answer.cpp).
#pragma once

#include <string>

#include "api/config_check.hpp"
#include "api/recipe_route.hpp"
#include "coord/recipes/config.hpp"

namespace coord::api::config_route {

// What a step will be made of, while it is checked.
struct Draft {
  recipes::config::Step step;
  Misfit misfit;  // With plan.recipe.refusal.
};
[[nodiscard]] Draft& draft_of(const Plan& plan);

// A configuration's value for a client, and a release: raw unless JSON is asked for.
void answer_value(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_list(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_releases(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_diff(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_schema(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_gray(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_clients(const Plan& plan, const core::Reply& reply, RecipeBody& body);
[[nodiscard]] SeenClient told(const Plan& plan, const core::Reply& reply);
// Of writes: 201 and the release; 201 or 200; 204.
void answer_published(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_set(const Plan& plan, const core::Reply& reply, RecipeBody& body);
void answer_gone(const Plan& plan, const core::Reply& reply, RecipeBody& body);
// Says what of a value does not fit the schema.
void add_misfit(const Plan& plan, const core::Reply& reply, JsonObject& object);

}  // namespace coord::api::config_route
