// /v1/transactions: two-phase commit among outside participants.
#include <algorithm>
#include <array>

#include "api/fields.hpp"
#include "api/recipe_list.hpp"
#include "api/recipes.hpp"
#include "coord/recipes/fields.hpp"
#include "coord/recipes/transaction.hpp"

namespace coord::api {
namespace {

namespace transaction = recipes::transaction;
constexpr auto kKind = recipes::Kind::transaction;

Problem take_id(const PlanInput& in, std::uint64_t& id) {
  const auto number = recipes::parse_number(in.arguments[0]);
  if (!number) return bad_request("a transaction is named by the number that POST gave");
  id = *number;
  return {};
}

Problem check_participants(std::vector<std::string> names) {
  if (names.empty()) return bad_request("participants says who has to vote");
  if (names.size() > transaction::kParticipantsMax) {
    return {
        Code::invalid, fmt::format("at most {} take part", transaction::kParticipantsMax), {}, {}};
  }
  for (const auto& name : names) {
    if (auto problem = check_name("a participant", name)) return problem;
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return bad_request(fmt::format("{} stands twice", *twice));
  return {};
}

Problem plan_begin(const PlanInput& in, Plan& plan) {
  Fields fields(in, {"participants", "timeout_ms"});
  transaction::Begin begin;
  begin.participants = fields.texts("participants").value_or(std::vector<std::string>());
  begin.timeout_ms = fields.whole("timeout_ms").value_or(transaction::kTimeoutMsDefault);
  if (auto problem = fields.finish()) return problem;
  if (auto problem = check_participants(begin.participants)) return problem;
  if (begin.timeout_ms < transaction::kTimeoutMsMin ||
      begin.timeout_ms > transaction::kTimeoutMsMax) {
    return {Code::invalid,
            fmt::format("timeout_ms must be {} to {}", transaction::kTimeoutMsMin,
                        transaction::kTimeoutMsMax),
            {},
            {}};
  }
  set_step(plan, kKind, encode(begin));
  return {};
}

Problem plan_vote(const PlanInput& in, Plan& plan) {
  transaction::Vote op;
  if (auto problem = take_id(in, op.id)) return problem;
  op.participant = in.arguments[1];
  if (auto problem = check_name("the participant", op.participant)) return problem;
  Fields fields(in, {"vote"});
  const auto vote = fields.text("vote");
  if (auto problem = fields.finish()) return problem;
  if (!vote || (*vote != "yes" && *vote != "no")) return bad_request("vote must be yes or no");
  op.is_yes = *vote == "yes";
  set_step(plan, kKind, encode(op));
  return {};
}

Problem plan_abort(const PlanInput& in, Plan& plan) {
  transaction::Abort op;
  if (auto problem = take_id(in, op.id)) return problem;
  set_step(plan, kKind, encode(op));
  return {};
}

Problem plan_get(const PlanInput& in, Plan& plan) {
  transaction::Get query;
  if (auto problem = take_id(in, query.id)) return problem;
  set_query(plan, kKind, encode(query));
  watch_recipe(plan, kKind, recipes::padded(query.id));
  return {};
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  recipes::ListQuery query;
  if (auto problem = take_list(in, plan, query)) return problem;
  if (!query.after.empty() && !recipes::unpadded(query.after)) {
    return bad_request("this is not a cursor of this listing");
  }
  set_query(plan, kKind, transaction::encode(query));
  return {};
}

// ---- answers

std::string_view word_of(transaction::State state) {
  switch (state) {
    case transaction::State::preparing:
      return "preparing";
    case transaction::State::committed:
      return "committed";
    case transaction::State::aborted:
      return "aborted";
  }
  return {};
}

// {"a": "yes", "b": null}: null for who has not voted.
void append_votes(std::string& out, const transaction::View& view) {
  JsonObject votes(out);
  for (const auto& vote : view.votes) {
    if (vote.ballot == transaction::Ballot::none) {
      votes.null(vote.participant);
    } else {
      votes.text(vote.participant, vote.ballot == transaction::Ballot::yes ? "yes" : "no");
    }
  }
  votes.close();
}

void append_view(JsonObject& object, const transaction::View& view) {
  object.text("id", fmt::format("{}", view.id)).text("state", word_of(view.state));
  append_votes(object.name("votes"), view);
  if (!view.reason.empty()) object.text("reason", view.reason);
  if (view.state == transaction::State::preparing) {
    object.whole("remaining_ms", view.left_ms);
  } else {
    object.number("decided", view.decided.value());
  }
  object.whole("timeout_ms", view.timeout_ms).time("begun", view.begun_ms);
}

transaction::View view_of(const core::Reply& reply) {
  transaction::View view;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, view));
  return view;
}

void answer(const Plan&, const core::Reply& reply, RecipeBody& body) {
  JsonObject object(body.text);
  append_view(object, view_of(reply));
  object.number("revision", reply.revision.value()).close();
}

void answer_begin(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  answer(plan, reply, body);
  body.status = 201;
}

// A vote that is refused tells the outcome all the same.
void add_to_problem(const Plan&, const core::Reply& reply, JsonObject& object) {
  if (recipe_result(reply).answer.bytes.empty()) return;
  const auto view = view_of(reply);
  object.text("state", word_of(view.state));
  append_votes(object.name("votes"), view);
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  append_list(body.text, "transactions", reply,
              [](const recipes::ListEntry& entry, JsonObject& object) {
                transaction::View view;
                static_cast<void>(transaction::decode(entry.bytes, view));
                append_view(object, view);
              });
}

constexpr RecipeRoute kList{plan_list, answer_list};
constexpr RecipeRoute kBegin{plan_begin, answer_begin, nullptr, offers_json, {}, "201"};
constexpr RecipeRoute kGet{plan_get, answer, nullptr, offers_json | offers_event_stream,
                           "transaction"};
constexpr RecipeRoute kVote{plan_vote, answer, add_to_problem};
constexpr RecipeRoute kAbort{plan_abort, answer, add_to_problem};

constexpr std::array<std::string_view, 2> kBeginNames{"participants", "timeout_ms"};
constexpr std::array<std::string_view, 1> kVoteNames{"vote"};

constexpr std::array kRoutes = {
    RouteSpec{Method::get,
              "/v1/transactions",
              Endpoint::recipe,
              trait_read | trait_list,
              {},
              "The transactions that are not trimmed yet",
              &kList},
    RouteSpec{Method::post, "/v1/transactions", Endpoint::recipe, trait_write | trait_body,
              kBeginNames, "Begin a two-phase commit among participants", &kBegin},
    RouteSpec{Method::get,
              "/v1/transactions/{id}",
              Endpoint::recipe,
              trait_read | trait_wait,
              {},
              "The state of a transaction and its votes",
              &kGet},
    RouteSpec{Method::erase,
              "/v1/transactions/{id}",
              Endpoint::recipe,
              trait_write,
              {},
              "Call a transaction off: it is aborted unless it is committed",
              &kAbort},
    RouteSpec{Method::put, "/v1/transactions/{id}/votes/{participant}", Endpoint::recipe,
              trait_write | trait_body, kVoteNames, "Vote yes or no", &kVote},
};

}  // namespace

std::span<const RouteSpec> transaction_routes() noexcept { return kRoutes; }

}  // namespace coord::api
