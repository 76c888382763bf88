// /v1/counters: numbers and blocks of ids.
#include <array>

#include "api/fields.hpp"
#include "api/recipe_list.hpp"
#include "api/recipes.hpp"
#include "coord/recipes/counter.hpp"

namespace coord::api {
namespace {

namespace counter = recipes::counter;
constexpr std::int64_t kBlockMax = 1'000'000'000;

Problem plan_add(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the counter", name)) return problem;
  Fields fields(in, {"add", "block"});
  const auto add = fields.whole("add");
  const auto block = fields.whole("block");
  if (add && block) fields.fail("add and block do not go together");
  if (block && (*block < 1 || *block > kBlockMax)) {
    fields.fail(fmt::format("block must be 1 to {}", kBlockMax));
  }
  plan.recipe.is_block = block.has_value();
  set_step(plan, recipes::Kind::counter,
           encode(counter::Add{std::string(name), block.value_or(add.value_or(1))}));
  return fields.finish();
}

Problem plan_get(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the counter", name)) return problem;
  set_query(plan, recipes::Kind::counter, encode(counter::Get{std::string(name)}));
  watch_recipe(plan, recipes::Kind::counter, name);
  return {};
}

Problem plan_remove(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the counter", name)) return problem;
  set_step(plan, recipes::Kind::counter, encode(counter::Remove{std::string(name)}));
  return {};
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  recipes::ListQuery query;
  if (auto problem = take_list(in, plan, query)) return problem;
  set_query(plan, recipes::Kind::counter, counter::encode(query));
  return {};
}

// Counters are strings: JavaScript's numbers end at 2^53.
void answer(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  counter::Value value;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, value));
  JsonObject object(body.text);
  if (plan.recipe.is_block) {
    object.text("first", fmt::format("{}", value.before + 1));
    object.text("last", fmt::format("{}", value.after));
  } else {
    object.text("value", fmt::format("{}", value.after));
  }
  object.number("revision", reply.revision.value()).close();
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  append_list(body.text, "counters", reply,
              [](const recipes::ListEntry& entry, JsonObject& object) {
                counter::Value value;
                static_cast<void>(counter::decode(entry.bytes, value));
                object.text("name", entry.name).text("value", fmt::format("{}", value.after));
              });
}

constexpr RecipeRoute kAdd{plan_add, answer};
constexpr RecipeRoute kGet{plan_get, answer, nullptr, offers_json | offers_event_stream, "counter"};
constexpr RecipeRoute kRemove{plan_remove, answer_nothing, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kList{plan_list, answer_list};

constexpr std::array<std::string_view, 2> kAddNames{"add", "block"};
constexpr std::array kRoutes = {
    RouteSpec{Method::get,
              "/v1/counters",
              Endpoint::recipe,
              trait_read | trait_list,
              {},
              "The counters and their values",
              &kList},
    RouteSpec{Method::post, "/v1/counters/{name}", Endpoint::recipe, trait_write | trait_body,
              kAddNames, "Add to a counter, or take a block of ids from it", &kAdd},
    RouteSpec{Method::get,
              "/v1/counters/{name}",
              Endpoint::recipe,
              trait_read | trait_wait,
              {},
              "The value of a counter",
              &kGet},
    RouteSpec{Method::erase,
              "/v1/counters/{name}",
              Endpoint::recipe,
              trait_write,
              {},
              "Remove a counter; it begins from zero again",
              &kRemove},
};

}  // namespace

std::span<const RouteSpec> counter_routes() noexcept { return kRoutes; }

}  // namespace coord::api
