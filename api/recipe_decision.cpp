// /v1/decisions: one value, chosen once.
#include <array>

#include "api/fields.hpp"
#include "api/recipe_list.hpp"
#include "api/recipes.hpp"
#include "coord/recipes/decision.hpp"

namespace coord::api {
namespace {

namespace decision = recipes::decision;
constexpr auto kKind = recipes::Kind::decision;

Problem check_decision(const PlanInput& in) { return check_name("the decision", in.arguments[0]); }

Problem plan_propose(const PlanInput& in, Plan& plan) {
  if (auto problem = check_decision(in)) return problem;
  decision::Propose propose;
  propose.name = plan.recipe.name = in.arguments[0];
  propose.value = in.view.body;
  propose.content_type = stored_content_type(in.view.headers.content_type);
  if (const auto* proposer = in.query.find("proposer")) {
    if (auto problem = check_name("the proposer", *proposer)) return problem;
    propose.proposer = *proposer;
  }
  set_step(plan, kKind, encode(propose));
  return {};
}

Problem plan_get(const PlanInput& in, Plan& plan) {
  if (auto problem = check_decision(in)) return problem;
  plan.recipe.name = in.arguments[0];
  set_query(plan, kKind, encode(decision::Get{plan.recipe.name}));
  watch_recipe(plan, kKind, plan.recipe.name);
  return {};
}

Problem plan_remove(const PlanInput& in, Plan& plan) {
  if (auto problem = check_decision(in)) return problem;
  set_step(plan, kKind, encode(decision::Remove{std::string(in.arguments[0])}));
  return {};
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  recipes::ListQuery query;
  if (auto problem = take_list(in, plan, query)) return problem;
  set_query(plan, kKind, decision::encode(query));
  return {};
}

void append_decided(JsonObject& object, const decision::Decided& decided) {
  object.value("value", "encoding", Blob(decided.value));
  if (!decided.content_type.empty()) object.text("content_type", decided.content_type);
}

void append_proposer(JsonObject& object, const decision::Decided& decided) {
  if (decided.session) object.id("session", decided.session.value());
  if (!decided.proposer.empty()) object.text("proposer", decided.proposer);
  object.number("decided", decided.decided.value()).time("time", decided.wall_ms);
}

void answer_propose(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  decision::Decided decided;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, decided));
  body.status = decided.chosen_by_me && decided.decided == reply.revision ? 201 : 200;
  JsonObject object(body.text);
  object.text("decision", plan.recipe.name);
  append_decided(object, decided);
  object.boolean("chosen_by_me", decided.chosen_by_me);
  object.number("decided", decided.decided.value());
  object.number("revision", reply.revision.value()).close();
}

void answer_get(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  decision::Decided decided;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, decided));
  JsonObject object(body.text);
  object.text("decision", plan.recipe.name);
  append_decided(object, decided);
  append_proposer(object, decided);
  object.number("revision", reply.revision.value()).close();
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  append_list(body.text, "decisions", reply,
              [](const recipes::ListEntry& entry, JsonObject& object) {
                decision::Decided decided;
                static_cast<void>(decision::decode(entry.bytes, decided));
                object.text("name", entry.name);
                append_decided(object, decided);
                append_proposer(object, decided);
              });
}

constexpr RecipeRoute kList{plan_list, answer_list};
constexpr RecipeRoute kPropose{plan_propose, answer_propose, nullptr, offers_json,
                               {},           "201",          "*/*"};
constexpr RecipeRoute kGet{plan_get, answer_get, nullptr, offers_json | offers_event_stream,
                           "decision"};
constexpr RecipeRoute kRemove{plan_remove, answer_nothing, nullptr, offers_json, {}, "204"};

constexpr std::array<std::string_view, 1> kProposeNames{"proposer"};

constexpr std::array kRoutes = {
    RouteSpec{Method::get,
              "/v1/decisions",
              Endpoint::recipe,
              trait_read | trait_list,
              {},
              "What was decided",
              &kList},
    RouteSpec{Method::post, "/v1/decisions/{name}", Endpoint::recipe, trait_write | trait_body,
              kProposeNames, "Propose a value, the body; the answer is the one that was chosen",
              &kPropose},
    RouteSpec{Method::get,
              "/v1/decisions/{name}",
              Endpoint::recipe,
              trait_read | trait_wait,
              {},
              "The value that was chosen; with wait= until one is",
              &kGet},
    RouteSpec{Method::erase,
              "/v1/decisions/{name}",
              Endpoint::recipe,
              trait_write,
              {},
              "Forget a decision: an operator's right",
              &kRemove},
};

}  // namespace

std::span<const RouteSpec> decision_routes() noexcept { return kRoutes; }

}  // namespace coord::api
