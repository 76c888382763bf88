// /v1/elections: candidates, their leader and its epoch.
#include <array>

#include "api/fields.hpp"
#include "api/recipe_route.hpp"
#include "api/recipes.hpp"
#include "api/text.hpp"
#include "coord/recipes/election.hpp"
#include "znode/path.hpp"

namespace coord::api {
namespace {

namespace election = recipes::election;
constexpr auto kKind = recipes::Kind::election;

// ---- from requests to steps and queries

std::string take_value(Fields& fields) {
  auto value = fields.text("value").value_or("");
  if (value.size() > election::kValueBytesMax || !znode::is_valid_utf8(value)) {
    fields.fail(fmt::format("value is UTF-8 of at most {} bytes", election::kValueBytesMax));
  }
  return value;
}

Problem plan_join(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the election", name)) return problem;
  Fields fields(in, {"value", "ttl", "ttl_ms", "priority", "wait"});
  election::Join op;
  op.name = name;
  op.value = take_value(fields);
  const auto priority = fields.count("priority").value_or(0);
  if (priority > election::kPriorityMax) {
    fields.fail(fmt::format("priority is at most {}", election::kPriorityMax));
  } else {
    op.priority = static_cast<std::uint32_t>(priority);
  }
  const auto wait = fields.duration("wait", "").value_or(0);
  if (wait > in.options.wait_ms_max) {
    fields.fail(fmt::format("wait must be at most {}s", in.options.wait_ms_max / 1000));
  }
  const auto ttl = fields.duration("ttl", "ttl_ms").value_or(in.options.sessions.ttl_ms_default);
  if (auto problem = fields.finish()) return problem;
  op.waits = wait > 0;
  if (wait > 0) plan.recipe.wait_ms = wait;
  set_step(plan, kKind, encode(op));
  return bring_session(in, plan, ttl, fmt::format("election {}", name));
}

// The candidate of the path: an id, or empty for "mine".
Problem take_candidate(const PlanInput& in, const Plan& plan, std::string& candidate) {
  if (auto problem = check_name("the election", in.arguments[0])) return problem;
  candidate = in.arguments[1] == "mine" ? std::string() : std::string(in.arguments[1]);
  if (candidate.empty() && !plan.request.session) {
    return {Code::session_required,
            "\"mine\" is the candidate of the session in Coord-Session",
            {},
            {}};
  }
  return {};
}

// A text that cannot be a candidate is one that is not there.
Problem no_such_candidate(std::string_view name, std::string_view candidate) {
  return {
      Code::not_found, fmt::format("nobody stands as {} in election {}", candidate, name), {}, {}};
}

Problem plan_post(const PlanInput& in, Plan& plan) {
  election::Post op;
  if (auto wrong = take_candidate(in, plan, op.candidate)) return wrong;
  op.name = in.arguments[0];
  Fields fields(in, {"value"});
  if (!fields.has("value")) fields.fail("value is missing");
  op.value = take_value(fields);
  if (auto problem = fields.finish()) return problem;
  auto bytes = encode(op);
  if (!election::is_step(bytes)) return no_such_candidate(op.name, op.candidate);
  set_step(plan, kKind, std::move(bytes));
  return {};
}

Problem plan_resign(const PlanInput& in, Plan& plan) {
  Problem problem;
  election::Resign op;
  if (auto wrong = take_candidate(in, plan, op.candidate)) return wrong;
  op.name = in.arguments[0];
  op.is_break = in.query.boolean("break", problem).value_or(false);
  auto bytes = encode(op);
  if (!election::is_step(bytes)) return no_such_candidate(op.name, op.candidate);
  set_step(plan, kKind, std::move(bytes));
  return problem;
}

Problem plan_transfer(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the election", name)) return problem;
  Fields fields(in, {"to"});
  election::Transfer op;
  op.name = name;
  op.to = fields.text("to").value_or("");
  if (op.to.empty()) fields.fail("to is missing: the candidate that is to lead");
  if (auto problem = fields.finish()) return problem;
  auto bytes = encode(op);
  if (!election::is_step(bytes)) return no_such_candidate(op.name, op.to);
  set_step(plan, kKind, std::move(bytes));
  return {};
}

Problem plan_show(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the election", name)) return problem;
  set_query(plan, kKind, encode(election::Show{std::string(name)}));
  watch_recipe(plan, kKind, name);
  return {};
}

Problem plan_candidate(const PlanInput& in, Plan& plan) {
  election::ShowCandidate query;
  if (auto wrong = take_candidate(in, plan, query.candidate)) return wrong;
  query.name = in.arguments[0];
  if (plan.request.session) query.session = plan.request.session->id;
  auto bytes = encode(query);
  if (!election::is_query(bytes)) return no_such_candidate(query.name, query.candidate);
  set_query(plan, kKind, std::move(bytes));
  watch_recipe(plan, kKind, query.name);
  if (!query.candidate.empty()) {
    plan.filter.paths.front() += '/';
    plan.filter.paths.front() += query.candidate;
    plan.filter.depth = watch::Depth::node;
  }
  return {};
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  election::List query;
  if (auto problem = take_limit(in, plan)) return problem;
  if (auto problem = take_cursor(in, query.after)) return problem;
  if (query.after.size() > recipes::kNameBytesMax)
    return bad_request("this is no cursor of a list");
  query.limit = static_cast<std::uint32_t>(plan.limit);
  set_query(plan, kKind, encode(query));
  watch_kind(plan, kKind);
  return {};
}

// ---- from answers to JSON

void append_candidate(std::string& out, const election::Candidate& candidate) {
  if (candidate.id.empty()) {
    out += "null";
    return;
  }
  JsonObject object(out);
  object.text("candidate", candidate.id).id("session", candidate.session.value());
  object.text("role", candidate.is_leader ? "leader" : "candidate");
  if (candidate.is_leader) object.number("epoch", candidate.epoch);
  object.text("value", candidate.value).number("priority", candidate.priority);
  object.number("position", candidate.position).time("since", candidate.since_ms);
  if (candidate.is_leader) object.time("leads_since", candidate.led_ms);
  object.close();
}

void append_standing(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto& result = recipe_result(reply);
  election::CandidateAnswer answer;
  static_cast<void>(decode(result.answer.bytes, answer));
  const auto& candidate = answer.candidate;
  const bool is_asked = plan.method != Method::get || plan.request.session;
  if (candidate.is_leader && is_asked) {
    body.headers += fmt::format("Coord-Fence: election:{}={}\r\n", answer.name, candidate.epoch);
  }
  JsonObject object(body.text);
  object.text("election", answer.name).text("candidate", candidate.id);
  object.text("role", candidate.is_leader ? "leader" : "candidate");
  if (candidate.is_leader) {
    object.number("epoch", candidate.epoch);
  } else {
    object.null("epoch");
  }
  object.number("position", candidate.position).text("value", candidate.value);
  object.number("priority", candidate.priority).time("since", candidate.since_ms);
  append_candidate(object.name("leader"), answer.leader);
  if (result.opened) {
    const auto token = session::token_of(result.opened->id, result.opened->secret);
    body.headers += fmt::format("Coord-Session: {}\r\nCache-Control: no-store\r\n", token);
    object.text("session", token).whole("ttl_ms", result.opened->ttl_ms);
  }
  object.number("revision", reply.revision.value()).close();
}

// 200: the session stood already.
void answer_joined(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  election::CandidateAnswer answer;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, answer));
  body.status = answer.has_joined ? 201 : 200;
  body.headers +=
      fmt::format("Location: /v1/elections/{}/{}\r\n", answer.name, answer.candidate.id);
  append_standing(plan, reply, body);
}

void answer_resigned(const Plan&, const core::Reply&, RecipeBody& body) { body.status = 204; }

void append_election(JsonObject& object, const election::ElectionAnswer& answer) {
  object.text("election", answer.name);
  append_candidate(object.name("leader"), answer.leader);
  object.number("epoch", answer.epoch).number("candidate_count", answer.candidate_count);
}

void answer_election(const Plan&, const core::Reply& reply, RecipeBody& body) {
  election::ElectionAnswer answer;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, answer));
  JsonObject object(body.text);
  append_election(object, answer);
  auto& out = object.name("candidates");
  out += '[';
  for (std::size_t i = 0; i < answer.candidates.size(); ++i) {
    if (i > 0) out += ',';
    append_candidate(out, answer.candidates[i]);
  }
  out += ']';
  object.number("revision", reply.revision.value()).close();
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  election::ListAnswer answer;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, answer));
  JsonObject object(body.text);
  auto& out = object.name("elections");
  out += '[';
  for (std::size_t i = 0; i < answer.elections.size(); ++i) {
    if (i > 0) out += ',';
    JsonObject one(out);
    append_election(one, answer.elections[i]);
    one.close();
  }
  out += ']';
  if (!answer.is_last && !answer.elections.empty()) {
    object.text("cursor", encode_cursor(answer.elections.back().name));
  }
  object.number("revision", reply.revision.value()).close();
}

constexpr std::uint8_t kStreams = offers_json | offers_event_stream;
constexpr RecipeRoute kJoin{plan_join, answer_joined, nullptr, offers_json, {}, "201"};
constexpr RecipeRoute kPost{plan_post, append_standing};
constexpr RecipeRoute kResign{plan_resign, answer_resigned, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kTransfer{plan_transfer, append_standing};
constexpr RecipeRoute kShow{plan_show, answer_election, nullptr, kStreams, "election"};
constexpr RecipeRoute kCandidate{plan_candidate, append_standing, nullptr, kStreams, "candidate"};
constexpr RecipeRoute kList{plan_list, answer_list, nullptr, kStreams, "elections"};

using Name = std::string_view;
constexpr std::array<Name, 5> kJoinNames{"value", "ttl", "ttl_ms", "priority", "wait"};
constexpr std::array<Name, 1> kValueNames{"value"};
constexpr std::array<Name, 1> kBreakNames{"break"};
constexpr std::array<Name, 1> kToNames{"to"};
constexpr std::uint8_t kView = trait_read | trait_wait;
constexpr std::uint8_t kChange = trait_write | trait_body;
constexpr std::array kRoutes = {
    RouteSpec{Method::post, "/v1/elections/{name}", Endpoint::recipe, kChange, kJoinNames,
              "Stand as a candidate", &kJoin},
    RouteSpec{Method::post, "/v1/elections/{name}/transfer", Endpoint::recipe, kChange, kToNames,
              "Hand over to another candidate", &kTransfer},
    RouteSpec{Method::get,
              "/v1/elections",
              Endpoint::recipe,
              kView | trait_list,
              {},
              "The elections in which somebody stands",
              &kList},
    RouteSpec{Method::get,
              "/v1/elections/{name}",
              Endpoint::recipe,
              kView,
              {},
              "The leader of an election, its epoch, and the candidates",
              &kShow},
    RouteSpec{Method::get,
              "/v1/elections/{name}/{candidate}",
              Endpoint::recipe,
              kView,
              {},
              "A candidate: does it lead?",
              &kCandidate},
    RouteSpec{Method::put, "/v1/elections/{name}/{candidate}", Endpoint::recipe, kChange,
              kValueNames, "Change what a candidate posts", &kPost},
    RouteSpec{Method::erase, "/v1/elections/{name}/{candidate}", Endpoint::recipe, trait_write,
              kBreakNames, "Resign", &kResign},
};

}  // namespace

std::span<const RouteSpec> election_routes() noexcept { return kRoutes; }

}  // namespace coord::api
