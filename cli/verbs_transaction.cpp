// transaction: two-phase commit from a script.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <memory>

#include "cli/text.hpp"
#include "cli/verbs_recipes.hpp"

namespace coord::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct TransactionArgs {
  std::string id;
  std::string participant;
  std::string vote;
  std::vector<std::string> participants;
  std::optional<std::int64_t> timeout_ms;
  std::optional<std::int64_t> wait_ms;
};

std::string route(const TransactionArgs& args) { return route_of("/v1/transactions", args.id); }

Outcome<void> begin(const Context& context, const TransactionArgs& args) {
  Json request{{"participants", args.participants}};
  if (args.timeout_ms) request["timeout_ms"] = *args.timeout_ms;
  COORD_TRY(const Json body,
            call_json(context, json_call("POST", Target("/v1/transactions"), request.dump())));
  if (context.print.output() == Output::json) {
    context.print.json(body);
  } else {
    context.print.line(text_of(body, "id"));
  }
  return success();
}

Action define_begin(CLI::App& app) {
  auto args = std::make_shared<TransactionArgs>();
  app.add_option("PARTICIPANT", args->participants, "who has to vote")->required();
  add_duration(app, "--within", args->timeout_ms, "how long they have; then it is aborted (30s)");
  return [args](Context& context) { return begin(context, *args); };
}

void print_state(const Context& context, const Json& body) {
  if (context.print.output() == Output::json) {
    context.print.json(body);
    return;
  }
  context.print.line(text_of(body, "state"));
  if (context.print.output() == Output::raw) return;
  Table table({{"PARTICIPANT"}, {"VOTE"}});
  const Json votes = body.value("votes", Json::object());
  for (const auto& [name, vote] : votes.items()) {
    table.row({{escaped(name)}, {vote.is_string() ? vote.get<std::string>() : "-"}});
  }
  context.print.table(table);
}

Outcome<void> vote(const Context& context, const TransactionArgs& args) {
  const Target target(route_of(route(args) + "/votes", args.participant));
  COORD_TRY(const Json body,
            call_json(context, json_call("PUT", target, Json{{"vote", args.vote}}.dump())));
  print_state(context, body);
  return success();
}

Action define_vote(CLI::App& app) {
  auto args = std::make_shared<TransactionArgs>();
  app.add_option("ID", args->id, "the transaction")->required();
  app.add_option("PARTICIPANT", args->participant, "whose vote it is")->required();
  app.add_option("VOTE", args->vote, "yes or no")->required()->check(CLI::IsMember({"yes", "no"}));
  return [args](Context& context) { return vote(context, *args); };
}

// One look, or with a time to wait: until it is decided.
Outcome<Json> look(const Context& context, const TransactionArgs& args) {
  const auto until = Clock::now() + std::chrono::milliseconds(args.wait_ms.value_or(0));
  std::string etag;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    Target target = context.read(route(args), "");
    if (!etag.empty())
      target.add("wait", fmt::format("{}ms", std::max<std::int64_t>(0, left.count())));
    Call call = json_call("GET", target);
    if (!etag.empty()) {
      call.headers.emplace_back("If-None-Match", etag);
      call.wait = std::max(left, std::chrono::milliseconds(0));
    }
    COORD_TRY(const Answer answer, context.client.call_ok(call));
    if (answer.status == 304) {
      return Trouble{
          Exit::timed_out, fmt::format("transaction {} is not decided yet", args.id), {}};
    }
    COORD_TRY(const Json body, parse_json(answer.body));
    if (!args.wait_ms || text_of(body, "state") != "preparing") return body;
    etag = answer.header("ETag");
  }
}

Outcome<void> get(const Context& context, const TransactionArgs& args) {
  COORD_TRY(const Json body, look(context, args));
  print_state(context, body);
  return success();
}

Action define_transaction_get(CLI::App& app) {
  auto args = std::make_shared<TransactionArgs>();
  app.add_option("ID", args->id, "the transaction")->required();
  add_duration(app, "--wait", args->wait_ms, "until it is decided");
  return [args](Context& context) { return get(context, *args); };
}

Outcome<void> call_off(const Context& context, const TransactionArgs& args) {
  COORD_TRY(const Json body, call_json(context, json_call("DELETE", Target(route(args)))));
  print_state(context, body);
  return success();
}

Action define_abort(CLI::App& app) {
  auto args = std::make_shared<TransactionArgs>();
  app.add_option("ID", args->id, "the transaction")->required();
  return [args](Context& context) { return call_off(context, *args); };
}

Outcome<void> list(const Context& context) {
  COORD_TRY(const Json all, list_all(context, "/v1/transactions", "transactions"));
  print_entries(context, "transactions", all, {"id", "state", "begun", "reason"});
  return success();
}

Action define_transaction_list(CLI::App&) {
  return [](Context& context) { return list(context); };
}

constexpr std::array kTransactionVerbs = {
    Verb{"begin", "begin a transaction among participants and print its id",
         "  id=$(coordctl transaction begin stock bank --within 1m)", &define_begin},
    Verb{"vote", "vote yes (prepared, will do as told) or no",
         "  coordctl transaction vote 57 stock yes", &define_vote},
    Verb{"get", "print whether it is preparing, committed or aborted",
         "  coordctl --output raw transaction get 57 --wait 1m", &define_transaction_get},
    Verb{"abort", "call a transaction off, unless it is committed",
         "  coordctl transaction abort 57", &define_abort},
    Verb{"ls", "list the transactions", "  coordctl transaction ls", &define_transaction_list},
};

}  // namespace

const Verb kTransaction{"transaction", "two-phase commit among participants outside",
                        "  id=$(coordctl transaction begin stock bank)\n"
                        "  coordctl transaction vote $id stock yes",
                        nullptr, kTransactionVerbs};

}  // namespace coord::cli
