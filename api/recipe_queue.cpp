// /v1/queues: work handed out under leases.
#include <array>

#include "api/fields.hpp"
#include "api/recipe_list.hpp"
#include "api/recipes.hpp"
#include "api/text.hpp"
#include "coord/recipes/fields.hpp"
#include "coord/recipes/queue.hpp"

namespace coord::api {
namespace {

namespace queue = recipes::queue;
constexpr auto kKind = recipes::Kind::queue;

Problem check_queue(const PlanInput& in) { return check_name("the queue", in.arguments[0]); }

std::string name_of(const PlanInput& in) { return std::string(in.arguments[0]); }

Problem take_item(const PlanInput& in, std::uint64_t& item) {
  const auto number = recipes::parse_number(in.arguments[1]);
  if (!number) return bad_request("an item is named by the number that it was put under");
  item = *number;
  return {};
}

// The token that a lease is known by; 0 if none is given.
Problem take_lease(Fields& fields, std::uint64_t& lease) {
  const auto text = fields.text("lease");
  if (!text) return fields.finish();
  const auto number = recipes::parse_number(*text);
  if (!number) return bad_request("lease must be the lease that the item was taken with");
  lease = *number;
  return fields.finish();
}

Problem plan_put(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  queue::Put put;
  put.name = name_of(in);
  put.value = in.view.body;
  put.content_type = stored_content_type(in.view.headers.content_type);
  set_step(plan, kKind, encode(put));
  return {};
}

Problem plan_take(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  Fields fields(in, {"lease", "lease_ms", "wait"});
  queue::Take take;
  take.name = name_of(in);
  take.lease_ms = fields.duration("lease", "lease_ms").value_or(queue::kLeaseMsDefault);
  const auto wait = fields.duration("wait", "").value_or(0);
  if (auto problem = fields.finish()) return problem;
  if (take.lease_ms < queue::kLeaseMsMin || take.lease_ms > queue::kLeaseMsMax) {
    return {Code::invalid,
            fmt::format("a lease lasts {} ms to {} h", queue::kLeaseMsMin,
                        queue::kLeaseMsMax / 3'600'000),
            {},
            {}};
  }
  if (wait < 0 || wait > in.options.wait_ms_max) {
    return bad_request(fmt::format("wait must be at most {}s", in.options.wait_ms_max / 1000));
  }
  take.waits = wait > 0;
  set_step(plan, kKind, encode(take));
  if (!take.waits) return {};
  plan.recipe.wait_ms = wait;
  return bring_session(in, plan, in.options.sessions.ttl_ms_default,
                       fmt::format("taker of queue {}", take.name));
}

Problem plan_acknowledge(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  queue::Acknowledge op;
  op.name = name_of(in);
  if (auto problem = take_item(in, op.item)) return problem;
  Fields fields(in, {});
  if (auto problem = take_lease(fields, op.lease)) return problem;
  set_step(plan, kKind, encode(op));
  return {};
}

Problem plan_renew(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  queue::Renew op;
  op.name = name_of(in);
  if (auto problem = take_item(in, op.item)) return problem;
  Fields fields(in, {"lease", "for", "for_ms"});
  if (auto problem = take_lease(fields, op.lease)) return problem;
  op.for_ms = fields.duration("for", "for_ms").value_or(queue::kLeaseMsDefault);
  if (auto problem = fields.finish()) return problem;
  if (op.for_ms < 0 || op.for_ms > queue::kLeaseMsMax) {
    return {Code::invalid,
            fmt::format("a lease lasts at most {} h", queue::kLeaseMsMax / 3'600'000),
            {},
            {}};
  }
  set_step(plan, kKind, encode(op));
  return {};
}

Problem plan_configure(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  Fields fields(in, {"max_deliveries"});
  const auto most = fields.count("max_deliveries");
  if (auto problem = fields.finish()) return problem;
  if (!most) return bad_request("max_deliveries is what a queue can be told");
  if (*most > queue::kDeliveriesMax) {
    return {Code::invalid,
            fmt::format("max_deliveries is 0 (no bound) to {}", queue::kDeliveriesMax),
            {},
            {}};
  }
  set_step(plan, kKind, encode(queue::Configure{name_of(in), static_cast<std::uint32_t>(*most)}));
  return {};
}

Problem plan_remove(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  Problem problem;
  const bool with_items = in.query.boolean("recursive", problem).value_or(false);
  set_step(plan, kKind, encode(queue::Remove{name_of(in), with_items}));
  return problem;
}

Problem plan_get(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  plan.recipe.name = in.arguments[0];
  set_query(plan, kKind, encode(queue::Get{name_of(in)}));
  watch_recipe(plan, kKind, in.arguments[0]);
  return {};
}

Problem plan_items(const PlanInput& in, Plan& plan) {
  if (auto problem = check_queue(in)) return problem;
  Problem problem;
  queue::Items query;
  query.name = name_of(in);
  if (auto wrong = take_list(in, plan, query.list)) return wrong;
  if (!query.list.after.empty() && !recipes::unpadded(query.list.after)) {
    return bad_request("this is not a cursor of this listing");
  }
  query.with_values = in.query.boolean("values", problem).value_or(false);
  plan.with_values = query.with_values;
  set_query(plan, kKind, encode(query));
  return problem;
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  recipes::ListQuery query;
  if (auto problem = take_list(in, plan, query)) return problem;
  set_query(plan, kKind, queue::encode(query));
  return {};
}

// ---- answers

std::string text_of(std::uint64_t number) { return fmt::format("{}", number); }

void answer_put(const Plan&, const core::Reply& reply, RecipeBody& body) {
  queue::PutDone done;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, done));
  body.status = 201;
  JsonObject object(body.text);
  object.text("item", text_of(done.item)).number("revision", reply.revision.value()).close();
}

void answer_take(const Plan&, const core::Reply& reply, RecipeBody& body) {
  queue::Taken taken;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, taken));
  if (taken.item == 0) {
    body.status = 204;
    return;
  }
  JsonObject object(body.text);
  object.text("item", text_of(taken.item)).text("lease", text_of(taken.lease));
  object.value("value", "encoding", Blob(taken.value));
  if (!taken.content_type.empty()) object.text("content_type", taken.content_type);
  object.number("deliveries", taken.deliveries);
  object.number("revision", reply.revision.value()).close();
}

void append_counts(JsonObject& object, const queue::Counts& counts) {
  object.number("length", counts.ready + counts.leased).number("ready", counts.ready);
  object.number("leased", counts.leased).number("dead", counts.dead);
  object.number("waiting", counts.waiting);
  object.whole("bytes", counts.bytes).number("max_deliveries", counts.max_deliveries);
}

void answer_get(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  queue::Counts counts;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, counts));
  JsonObject object(body.text);
  object.text("queue", plan.recipe.name);
  append_counts(object, counts);
  object.number("revision", reply.revision.value()).close();
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  append_list(body.text, "queues", reply, [](const recipes::ListEntry& entry, JsonObject& object) {
    queue::Counts counts;
    static_cast<void>(queue::decode(entry.bytes, counts));
    object.text("name", entry.name);
    append_counts(object, counts);
  });
}

std::string_view word_of(queue::ItemState state) {
  switch (state) {
    case queue::ItemState::ready:
      return "ready";
    case queue::ItemState::leased:
      return "leased";
    case queue::ItemState::dead:
      return "dead";
  }
  return {};
}

void answer_items(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  append_list(body.text, "items", reply, [&](const recipes::ListEntry& entry, JsonObject& object) {
    queue::Item item;
    static_cast<void>(queue::decode(entry.bytes, item));
    object.text("item", text_of(recipes::unpadded(entry.name).value_or(0)));
    object.text("state", word_of(item.state)).number("deliveries", item.deliveries);
    object.number("size", item.size).time("put", item.put_ms);
    if (item.state == queue::ItemState::leased) object.whole("lease_remaining_ms", item.left_ms);
    if (plan.with_values) object.value("value", "encoding", Blob(item.value));
  });
}

constexpr RecipeRoute kList{plan_list, answer_list};
constexpr RecipeRoute kPut{plan_put, answer_put, nullptr, offers_json, {}, "201", "*/*"};
constexpr RecipeRoute kGet{plan_get, answer_get, nullptr, offers_json | offers_event_stream,
                           "queue"};
constexpr RecipeRoute kConfigure{plan_configure, answer_nothing, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kRemove{plan_remove, answer_nothing, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kTake{plan_take, answer_take};
constexpr RecipeRoute kItems{plan_items, answer_items};
constexpr RecipeRoute kRenew{plan_renew, answer_nothing, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kAcknowledge{
    plan_acknowledge, answer_nothing, nullptr, offers_json, {}, "204"};

constexpr std::array<std::string_view, 3> kTakeNames{"lease", "lease_ms", "wait"};
constexpr std::array<std::string_view, 1> kConfigureNames{"max_deliveries"};
constexpr std::array<std::string_view, 1> kRemoveNames{"recursive"};
constexpr std::array<std::string_view, 1> kItemsNames{"values"};
constexpr std::array<std::string_view, 3> kRenewNames{"lease", "for", "for_ms"};
constexpr std::array<std::string_view, 1> kAcknowledgeNames{"lease"};

constexpr std::array kRoutes = {
    RouteSpec{Method::get,
              "/v1/queues",
              Endpoint::recipe,
              trait_read | trait_list,
              {},
              "The queues and how much is in them",
              &kList},
    RouteSpec{Method::post,
              "/v1/queues/{name}",
              Endpoint::recipe,
              trait_write | trait_body,
              {},
              "Put an item, the body, at the end of a queue",
              &kPut},
    RouteSpec{Method::get,
              "/v1/queues/{name}",
              Endpoint::recipe,
              trait_read | trait_wait,
              {},
              "How much is in a queue: ready, leased, dead; and who waits",
              &kGet},
    RouteSpec{Method::put, "/v1/queues/{name}", Endpoint::recipe, trait_write | trait_body,
              kConfigureNames, "Say after how many deliveries an item is dead", &kConfigure},
    RouteSpec{Method::erase, "/v1/queues/{name}", Endpoint::recipe, trait_write, kRemoveNames,
              "Remove a queue, which must be empty, or all of it", &kRemove},
    RouteSpec{Method::post, "/v1/queues/{name}/take", Endpoint::recipe, trait_write | trait_body,
              kTakeNames, "Take the first item under a lease; 204 when there is none", &kTake},
    RouteSpec{Method::get, "/v1/queues/{name}/items", Endpoint::recipe, trait_read | trait_list,
              kItemsNames, "The items of a queue, in their order", &kItems},
    RouteSpec{Method::put, "/v1/queues/{name}/{item}", Endpoint::recipe, trait_write | trait_body,
              kRenewNames, "Renew a lease, or give the item back with for=0s", &kRenew},
    RouteSpec{Method::erase, "/v1/queues/{name}/{item}", Endpoint::recipe, trait_write,
              kAcknowledgeNames, "Acknowledge an item; without a lease throw a dead one away",
              &kAcknowledge},
};

}  // namespace

std::span<const RouteSpec> queue_routes() noexcept { return kRoutes; }

}  // namespace coord::api
