// /v1/barriers: double barriers.
#include <array>

#include "api/fields.hpp"
#include "api/recipe_list.hpp"
#include "api/recipes.hpp"
#include "coord/recipes/barrier.hpp"
#include "coord/recipes/fields.hpp"

namespace coord::api {
namespace {

namespace barrier = recipes::barrier;
constexpr auto kKind = recipes::Kind::barrier;

Problem check_barrier(const PlanInput& in) { return check_name("the barrier", in.arguments[0]); }

// 0 for "mine".
Problem take_ticket(const PlanInput& in, std::uint64_t& ticket) {
  const auto text = in.arguments[1];
  if (text == "mine") {
    if (in.view.headers.session.empty()) {
      return {
          Code::session_required, "\"mine\" is the ticket of the session in Coord-Session", {}, {}};
    }
    ticket = 0;
    return {};
  }
  const auto number = recipes::parse_number(text);
  if (!number) return bad_request("a ticket is a number, or mine");
  ticket = *number;
  return {};
}

Problem check_wait(const PlanInput& in, std::int64_t wait) {
  if (wait >= 0 && wait <= in.options.wait_ms_max) return {};
  return bad_request(fmt::format("wait must be at most {}s", in.options.wait_ms_max / 1000));
}

Problem plan_enter(const PlanInput& in, Plan& plan) {
  if (auto problem = check_barrier(in)) return problem;
  Fields fields(in, {"count", "wait", "ttl", "ttl_ms"});
  const auto count = fields.count("count");
  const auto wait = fields.duration("wait", "").value_or(0);
  const auto ttl = fields.duration("ttl", "ttl_ms");
  if (auto problem = fields.finish()) return problem;
  if (!count) return bad_request("count says how many have to come");
  if (*count < 1 || *count > barrier::kCountMax) {
    return {Code::invalid, fmt::format("count must be 1 to {}", barrier::kCountMax), {}, {}};
  }
  if (auto problem = check_wait(in, wait)) return problem;
  plan.recipe.name = in.arguments[0];
  set_step(plan, kKind,
           encode(barrier::Enter{plan.recipe.name, static_cast<std::uint32_t>(*count)}));
  if (wait > 0) plan.recipe.wait_ms = wait;
  return bring_session(in, plan, ttl.value_or(in.options.sessions.ttl_ms_default),
                       fmt::format("barrier {}", plan.recipe.name));
}

Problem plan_leave(const PlanInput& in, Plan& plan) {
  if (auto problem = check_barrier(in)) return problem;
  barrier::Leave leave;
  leave.name = in.arguments[0];
  if (auto problem = take_ticket(in, leave.ticket)) return problem;
  Problem problem;
  const auto wait = in.query.duration("wait", problem).value_or(0);
  if (problem) return problem;
  if (auto wrong = check_wait(in, wait)) return wrong;
  leave.waits = wait > 0;
  if (wait > 0) plan.recipe.wait_ms = wait;
  set_step(plan, kKind, encode(leave));
  return {};
}

Problem plan_get(const PlanInput& in, Plan& plan) {
  if (auto problem = check_barrier(in)) return problem;
  plan.recipe.name = in.arguments[0];
  set_query(plan, kKind, encode(barrier::Get{plan.recipe.name}));
  watch_recipe(plan, kKind, plan.recipe.name);
  return {};
}

Problem plan_ticket(const PlanInput& in, Plan& plan) {
  if (auto problem = check_barrier(in)) return problem;
  barrier::GetTicket query;
  query.name = plan.recipe.name = in.arguments[0];
  if (auto problem = take_ticket(in, query.ticket)) return problem;
  if (plan.request.session) query.session = plan.request.session->id;
  set_query(plan, kKind, encode(query));
  watch_recipe(plan, kKind, plan.recipe.name);
  if (query.ticket != 0) {  // A waiter wakes when its own turn comes.
    plan.filter.paths.assign(
        1, recipes::path_of(kKind, plan.recipe.name) + "/members/" + recipes::padded(query.ticket));
    plan.filter.depth = watch::Depth::node;
  }
  return {};
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  recipes::ListQuery query;
  if (auto problem = take_list(in, plan, query)) return problem;
  set_query(plan, kKind, barrier::encode(query));
  return {};
}

// ---- answers

std::string_view word_of(barrier::State state) {
  switch (state) {
    case barrier::State::waiting:
      return "waiting";
    case barrier::State::released:
      return "released";
    case barrier::State::leaving:
      return "leaving";
  }
  return {};
}

void append_participant(JsonObject& object, const barrier::Participant& one) {
  object.text("ticket", fmt::format("{}", one.ticket)).text("state", word_of(one.state));
  if (one.round != 0) object.text("round", fmt::format("{}", one.round));
}

void append_entered(JsonObject& object, const barrier::Entered& entered) {
  append_participant(object, entered.self);
  object.number("count", entered.count).number("waiting", entered.waiting);
}

void answer_enter(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto& result = recipe_result(reply);
  barrier::Entered entered;
  static_cast<void>(decode(result.answer.bytes, entered));
  const bool is_waiting = entered.self.state == barrier::State::waiting;
  body.status = is_waiting ? 202 : entered.was_in && !result.opened ? 200 : 201;
  JsonObject object(body.text);
  object.text("barrier", plan.recipe.name);
  append_entered(object, entered);
  if (result.opened) {
    const auto token = session::token_of(result.opened->id, result.opened->secret);
    object.text("session", token).whole("ttl_ms", result.opened->ttl_ms);
    body.headers += fmt::format("Coord-Session: {}\r\n", token);
  }
  object.number("revision", reply.revision.value()).close();
}

void add_to_problem(const Plan&, const core::Reply& reply, JsonObject& object) {
  barrier::Entered entered;
  const auto& bytes = recipe_result(reply).answer.bytes;
  if (bytes.empty() || !decode(bytes, entered)) return;
  object.number("count", entered.count).number("waiting", entered.waiting);
}

void answer_ticket(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  barrier::Entered entered;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, entered));
  JsonObject object(body.text);
  object.text("barrier", plan.recipe.name);
  append_entered(object, entered);
  object.number("revision", reply.revision.value()).close();
}

void answer_get(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  barrier::View view;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, view));
  bool is_open = false;
  for (const auto& one : view.participants) is_open |= one.state == barrier::State::released;
  JsonObject object(body.text);
  object.text("barrier", plan.recipe.name).number("count", view.count);
  object.text("state", is_open ? "open" : "gathering");
  auto& out = object.name("participants");
  out += '[';
  bool is_first = true;
  for (const auto& participant : view.participants) {
    if (!is_first) out += ',';
    is_first = false;
    JsonObject one(out);
    append_participant(one, participant);
    one.id("session", participant.session.value()).time("entered", participant.entered_ms);
    one.close();
  }
  out += ']';
  object.number("revision", reply.revision.value()).close();
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  append_list(body.text, "barriers", reply,
              [](const recipes::ListEntry& entry, JsonObject& object) {
                barrier::Summary summary;
                static_cast<void>(barrier::decode(entry.bytes, summary));
                object.text("name", entry.name).number("count", summary.count);
                object.number("participants", summary.participants);
              });
}

constexpr auto kOffers = offers_json | offers_event_stream;
constexpr RecipeRoute kList{plan_list, answer_list};
constexpr RecipeRoute kEnter{plan_enter, answer_enter, add_to_problem, offers_json, {}, "201"};
constexpr RecipeRoute kGet{plan_get, answer_get, nullptr, kOffers, "barrier"};
constexpr RecipeRoute kTicket{plan_ticket, answer_ticket, nullptr, kOffers, "ticket"};
constexpr RecipeRoute kLeave{plan_leave, answer_nothing, nullptr, offers_json, {}, "204"};

constexpr std::array<std::string_view, 4> kEnterNames{"count", "wait", "ttl", "ttl_ms"};
constexpr std::array<std::string_view, 1> kLeaveNames{"wait"};

constexpr std::array kRoutes = {
    RouteSpec{Method::get,
              "/v1/barriers",
              Endpoint::recipe,
              trait_read | trait_list,
              {},
              "The barriers at which anybody is in",
              &kList},
    RouteSpec{Method::post, "/v1/barriers/{name}", Endpoint::recipe, trait_write | trait_body,
              kEnterNames, "Enter a barrier; with wait= until as many as count have come", &kEnter},
    RouteSpec{Method::get,
              "/v1/barriers/{name}",
              Endpoint::recipe,
              trait_read | trait_wait,
              {},
              "Who is in at a barrier",
              &kGet},
    RouteSpec{Method::get,
              "/v1/barriers/{name}/{ticket}",
              Endpoint::recipe,
              trait_read | trait_wait,
              {},
              "One participant of a barrier",
              &kTicket},
    RouteSpec{Method::erase, "/v1/barriers/{name}/{ticket}", Endpoint::recipe, trait_write,
              kLeaveNames, "Leave a barrier; with wait= until all of the round have left", &kLeave},
};

}  // namespace

std::span<const RouteSpec> barrier_routes() noexcept { return kRoutes; }

}  // namespace coord::api
