// RecipeRoute: what the edge knows of a route that belongs to a recipe.
//
// A recipe has one source here (recipe_lock.cpp, ...) with its routes, how their requests become
// steps or queries, and how their answers become JSON. Everything between, waiting and streams too,
// is the same for all of them (connection_recipe.cpp). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/client_board.hpp"
#include "api/json.hpp"
#include "api/plan.hpp"
#include "api/plan_parts.hpp"

namespace coord::api {

// What an answer consists of; respond puts the head around it.
struct RecipeBody {
  int status = 200;  // 204: without a body.
  std::string_view content_type = "application/json";
  std::string headers;  // Whole lines, each with its "\r\n".
  std::string& text;    // Empty at first.
  // Instead of the text: bytes that lie in the reply, and the type they are served with.
  std::optional<std::string_view> raw = {};
  std::string raw_type = {};
  bool is_volatile = false;  // It shows more than the state: no ETag.
  const ClientBoard* clients = nullptr;
  std::int64_t now_ms = 0;  // Of the board's clock.
};

// What a change means to whoever watches a recipe.
struct Delta {
  std::string_view name;  // Of the event.
  std::string json;
};

struct RecipeRoute {
  // Sets plan.request.op and, for routes that wait, plan.recipe or plan.filter.
  Problem (*plan)(const PlanInput& in, Plan& plan);
  // The answer to a reply whose code is ok; its result is a RecipeResult. For streams: the data.
  void (*answer)(const Plan& plan, const core::Reply& reply, RecipeBody& body);
  // Adds fields to the problem document of a refusal. Null: none.
  void (*problem)(const Plan& plan, const core::Reply& reply, JsonObject& object) = nullptr;
  std::uint8_t offers = offers_json;
  std::string_view event = {};       // The name of the events of its stream.
  std::string_view success = "200";  // For the OpenAPI document.
  std::string_view body_type = "application/json";
  // What the changes of a batch mean for this request: streams show that instead of the whole state
  // again, and a long poll ends only when it is something. Null: any change means the whole state.
  void (*deltas)(const Plan& plan, const core::WatchEvent& event,
                 std::vector<Delta>& out) = nullptr;
  // Of a stream: the answer is made of the reply alone, so that all who see the same share one
  // text.
  bool is_alike = false;
  // Of a step that must be checked here against what there is: the answer to plan.recipe.basis.
  // Sets plan.request.op anew; with `plan.recipe.refusal` it is done only for the memory of its
  // Idempotency-Key.
  void (*check)(Plan& plan, const core::Reply& basis) = nullptr;
  // What the board notes of whoever got this answer. Null: nothing.
  SeenClient (*told)(const Plan& plan, const core::Reply& reply) = nullptr;
};

// The routes of every recipe.
[[nodiscard]] std::vector<std::span<const RouteSpec>> recipe_routes();

// The recipe's result of a reply. Requires: it has one.
[[nodiscard]] const core::RecipeResult& recipe_result(const core::Reply& reply);
// A RecipeRoute::answer: 204.
void answer_nothing(const Plan& plan, const core::Reply& reply, RecipeBody& body);
// Refuses a name that is none: 400.
[[nodiscard]] Problem check_name(std::string_view what, std::string_view name);
// A step, a query of `kind` as the plan's operation.
void set_step(Plan& plan, recipes::Kind kind, std::string bytes);
void set_query(Plan& plan, recipes::Kind kind, std::string bytes);
// The whole request is a renewal.
void set_renewal(Plan& plan, recipes::Kind kind, std::string bytes);
// The request may be a renewal: that is tried first, and a step only when it is not_found.
void try_renewal(Plan& plan, recipes::Kind kind, std::string bytes);
// limit= and cursor=. Routes with trait_list have them.
[[nodiscard]] Problem take_page(const PlanInput& in, std::size_t& limit, std::string& after);
// Watches all recipes of a kind, or one's own node and all below it: for long polls and streams of
// a GET.
void watch_kind(Plan& plan, recipes::Kind kind);
void watch_recipe(Plan& plan, recipes::Kind kind, std::string_view name);
// Lets the step bring a session of its own, unless the request names one. `name` is ASCII; what is
// too long of it is cut off. invalid: a ttl out of bounds.
[[nodiscard]] Problem bring_session(const PlanInput& in, Plan& plan, std::int64_t ttl_ms,
                                    std::string name);

}  // namespace coord::api
