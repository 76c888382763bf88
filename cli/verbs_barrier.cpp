// barrier: enter, run a command, leave.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

#include "cli/interrupt.hpp"
#include "cli/tend.hpp"
#include "cli/text.hpp"
#include "cli/verbs_recipes.hpp"

namespace coord::cli {
namespace {

constexpr std::int64_t kWaitMs = 60'000;
constexpr std::int64_t kTtlMs = 15'000;
constexpr std::int64_t kRenewalsPerTtl = 3;

struct BarrierArgs {
  std::string name;
  std::string ticket = "mine";
  std::uint64_t count = 0;
  std::optional<std::int64_t> wait_ms;
  std::optional<std::int64_t> ttl_ms;
  std::vector<std::string> command;
};

std::string route(const BarrierArgs& args) { return route_of("/v1/barriers", args.name); }

// With the session that the entering brought, if it did.
Call own_call(std::string_view method, const Target& target, const std::string& session) {
  Call call = json_call(method, target);
  if (!session.empty()) call.headers.emplace_back("Coord-Session", session);
  return call;
}

Outcome<void> leave(const Context& context, const BarrierArgs& args, const std::string& ticket,
                    const std::string& session) {
  const auto wait = args.wait_ms.value_or(kWaitMs);
  Target target(route_of(route(args), ticket));
  if (wait > 0) target.add("wait", format_duration_ms(wait));
  Call call = own_call("DELETE", target, session);
  call.wait = std::chrono::milliseconds(wait);
  COORD_TRY(call_json(context, call));
  return success();
}

// While the command runs the participant's session is kept alive; it leaves when the command ends.
Outcome<void> run_inside(const Context& context, const BarrierArgs& args, const Json& entered) {
  const std::string session = entered.value("session", std::string());
  TendedCommand child;
  child.command = args.command;
  child.environment = {{"COORD_BARRIER", args.name},
                       {"COORD_TICKET", text_of(entered, "ticket")},
                       {"COORD_ROUND", text_of(entered, "round")}};
  const std::chrono::milliseconds interval(
      std::max<std::int64_t>(1, args.ttl_ms.value_or(kTtlMs) / kRenewalsPerTtl));
  const auto status = run_tended(child, interval, [&]() -> Outcome<void> {
    if (session.empty()) return success();  // A given session is its owner's to keep.
    COORD_TRY(call_json(context, own_call("POST", Target("/v1/sessions/mine/keepalive"), session)));
    return success();
  });
  if (!status) return status.error();
  Interrupt::clear();
  const auto left = leave(context, args, text_of(entered, "ticket"), session);
  if (!left && status.value() == 0) return left.error();
  if (!left) context.print.note("note: " + left.error().message);
  return end_with(status.value());
}

Outcome<void> enter(const Context& context, const BarrierArgs& args) {
  const auto wait = args.wait_ms.value_or(kWaitMs);
  Target target(route(args));
  target.add("count", std::to_string(args.count)).add("wait", format_duration_ms(wait));
  if (args.ttl_ms) target.add("ttl", format_duration_ms(*args.ttl_ms));
  Call call = json_call("POST", target);
  call.wait = std::chrono::milliseconds(wait);
  COORD_TRY(const Json entered, call_json(context, call));
  if (!args.command.empty()) {
    if (text_of(entered, "state") == "released") return run_inside(context, args, entered);
    return Trouble{Exit::usage, "a command runs once all have come", "give it time with --wait"};
  }
  if (context.print.output() == Output::json) {
    context.print.json(entered);
    return success();
  }
  context.print.line(text_of(entered, context.print.output() == Output::raw ? "ticket" : "state"));
  const auto session = entered.value("session", std::string());
  if (context.print.output() == Output::table && !session.empty()) {
    context.print.note("note: to leave: COORD_SESSION=" + session + " coordctl barrier leave " +
                       cli::quoted(args.name));
  }
  return success();
}

Action define_enter(CLI::App& app) {
  auto args = std::make_shared<BarrierArgs>();
  app.add_option("NAME", args->name, "the barrier; made if nobody is in")->required();
  app.add_option("--count", args->count, "how many have to come")
      ->required()
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  add_duration(app, "--wait", args->wait_ms, "for the others, entering and leaving (1m)");
  add_duration(app, "--ttl", args->ttl_ms, "of the session, unless one is given (15s)");
  app.add_option("COMMAND", args->command,
                 "run this once all have come, and leave together when it has ended");
  return [args](Context& context) { return enter(context, *args); };
}

Action define_leave(CLI::App& app) {
  auto args = std::make_shared<BarrierArgs>();
  app.add_option("NAME", args->name, "the barrier")->required();
  app.add_option("TICKET", args->ticket, "whose; that of COORD_SESSION if left out");
  add_duration(app, "--wait", args->wait_ms, "until all have left (1m); 0s: leave at once");
  return [args](Context& context) { return leave(context, *args, args->ticket, {}); };
}

Outcome<void> list(const Context& context, const BarrierArgs& args) {
  if (args.name.empty()) {
    COORD_TRY(const Json all, list_all(context, "/v1/barriers", "barriers"));
    print_entries(context, "barriers", all, {"name", "count", "participants"});
    return success();
  }
  COORD_TRY(const Json body, context.get_json(context.read(route(args), "")));
  print_entries(context, "participants", body.value("participants", Json::array()),
                {"ticket", "state", "session", "entered"});
  return success();
}

Action define_barrier_list(CLI::App& app) {
  auto args = std::make_shared<BarrierArgs>();
  app.add_option("NAME", args->name, "who is in at this one; left out: all barriers");
  return [args](Context& context) { return list(context, *args); };
}

constexpr std::array kBarrierVerbs = {
    Verb{"enter", "wait until as many as --count have come; run a command together",
         "  coordctl barrier enter start --count 3 -- ./phase-1.sh", &define_enter},
    Verb{"leave", "leave, and wait until all have left", "  coordctl barrier leave start",
         &define_leave},
    Verb{"ls", "list the barriers, or who is in at one", "  coordctl barrier ls start",
         &define_barrier_list},
};

}  // namespace

const Verb kBarrier{"barrier", "begin together and end together",
                    "  coordctl barrier enter start --count 3 -- ./phase-1.sh", nullptr,
                    kBarrierVerbs};

}  // namespace coord::cli
