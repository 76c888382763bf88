// cluster: who the members are, and changing it.
//
// Every change is tried first (dry run), so that what it comes to is seen before it is made; on a
// terminal it asks, unless --yes was given.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <iostream>
#include <memory>

#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace coord::cli {
namespace {

struct ChangeArgs {
  std::uint64_t id = 0;
  std::string member;  // ID=HOST:PEERPORT.
  bool is_observer = false;
  bool is_dry_run = false;
  bool is_yes = false;
};

// ---- status

std::string heard_of(const Json& member) {
  const Json heard = member.value("heard_ms", Json());
  if (!heard.is_number_integer() || text_of(member, "state") == "leader") return "-";
  return rough_duration(heard.get<std::int64_t>());
}

Colour colour_of(std::string_view state) {
  if (state == "leader" || state == "ready") return Colour::green;
  if (state == "down") return Colour::red;
  return Colour::yellow;
}

// "member 3 is down" tells which command helps.
std::string hint_of(const std::string& warning) {
  constexpr std::string_view kHead = "member ";
  constexpr std::string_view kTail = " is down";
  if (!warning.starts_with(kHead) || !warning.ends_with(kTail)) return warning;
  const auto id = warning.substr(kHead.size(), warning.size() - kHead.size() - kTail.size());
  return fmt::format("{}: coordctl cluster replace {} --with ID=HOST:PEERPORT", warning, id);
}

void print_warnings(const Context& context, const Json& body) {
  for (const Json& warning : body.value("warnings", Json::array())) {
    if (!warning.is_string()) continue;
    context.print.line(coloured("! " + hint_of(escaped(warning.get<std::string>())), Colour::yellow,
                                context.print.with_colours()));
  }
}

Outcome<void> cluster_status(const Context& context) {
  COORD_TRY(const Json body, context.get_json(Target("/v1/cluster")));
  if (context.print.output() != Output::table) {
    context.print.json(body);
    return success();
  }
  const std::string uuid = text_of(body, "cluster");
  context.print.line(fmt::format(
      "cluster {}  term {}  leader {}  revision {}  quorum {} of {}, tolerates {} more failures",
      escaped(uuid.substr(0, uuid.find('-'))), text_of(body, "term"), text_of(body, "leader"),
      text_of(body, "revision"), text_of(body, "quorum"), text_of(body, "voters"),
      text_of(body, "failures_tolerated")));
  Table table({{"ID"}, {"ROLE"}, {"STATE"}, {"HTTP"}, {"APPLIED", true}, {"LAG", true}, {"HEARD"}});
  for (const Json& member : body.value("members", Json::array())) {
    const std::string state = text_of(member, "state");
    table.row({{text_of(member, "id")},
               {escaped(text_of(member, "role"))},
               {escaped(state), colour_of(state)},
               {escaped(text_of(member, "http"))},
               {text_of(member, "applied")},
               {text_of(member, "lag")},
               {heard_of(member)}});
  }
  context.print.table(table);
  print_warnings(context, body);
  return success();
}

Action define_status(CLI::App&) {
  return [](Context& context) { return cluster_status(context); };
}

// ---- changes

Call call_of(std::string_view method, const Target& target, const Json& body) {
  return {std::string(method),
          target.text(),
          {{"Content-Type", "application/json"}, {"Accept", "application/json"}},
          body.dump()};
}

Outcome<bool> is_confirmed(const Context& context, const ChangeArgs& args,
                           std::string_view question) {
  if (args.is_yes || context.print.output() != Output::table || isatty(STDIN_FILENO) == 0) {
    return true;
  }
  context.print.write(fmt::format("{} [y/N] ", question));
  if (!context.print.flush()) return Trouble{Exit::other, "cannot write to stdout", {}};
  std::string answer;
  std::getline(std::cin, answer);
  std::cin.clear();  // In the shell the end of one answer is not the end of the session.
  return answer == "y" || answer == "Y" || answer == "yes";
}

void print_plan(const Context& context, const Json& plan, std::string_view what) {
  if (context.print.output() != Output::table) {
    context.print.json(plan);
    return;
  }
  context.print.line(fmt::format("{}  quorum {} of {}, tolerates {} more failures", what,
                                 text_of(plan, "quorum"), text_of(plan, "voters"),
                                 text_of(plan, "failures_tolerated")));
  print_warnings(context, plan);
}

// Tries it, asks, does it. `what` names it: "add member 4".
Outcome<void> change(const Context& context, std::string_view method, const std::string& route,
                     Json body, const ChangeArgs& args, const std::string& what) {
  Target trial(route);
  trial.add("dry_run", "true");
  COORD_TRY(const Answer tried, context.client.call_ok(call_of(method, trial, body)));
  COORD_TRY(const Json plan, parse_json(tried.body));
  if (args.is_dry_run) {
    print_plan(context, plan, what + " (dry run)");
    return success();
  }
  const bool is_asked = !args.is_yes && isatty(STDIN_FILENO) != 0;
  if (is_asked && context.print.output() == Output::table) print_plan(context, plan, what);
  COORD_TRY(const bool is_wanted, is_confirmed(context, args, what + "?"));
  if (!is_wanted) return Trouble{Exit::other, "nothing was changed", {}};
  COORD_TRY(const Answer answer, context.client.call_ok(call_of(method, Target(route), body)));
  COORD_TRY(const Json done, parse_json(answer.body));
  print_plan(context, done, what + ": accepted");
  return success();
}

std::string route_of(std::uint64_t id) { return fmt::format("/v1/cluster/members/{}", id); }

Outcome<void> add_member(const Context& context, const ChangeArgs& args, std::uint64_t replaces) {
  const auto equals = args.member.find('=');
  std::uint64_t id = 0;
  const auto [end, error] =
      std::from_chars(args.member.data(), args.member.data() + args.member.size(), id);
  if (equals == std::string::npos || error != std::errc() || end != args.member.data() + equals ||
      id == 0) {
    return Trouble{Exit::usage, fmt::format("bad member {:?}", args.member),
                   "a member is ID=HOST:PEERPORT, e.g. 4=node4:7071, with an id never used before"};
  }
  const std::string peer = args.member.substr(equals + 1);
  Json body{{"id", id}, {"peer", peer}, {"role", args.is_observer ? "observer" : "standby"}};
  std::string what = fmt::format("add member {} at {}", id, escaped(peer));
  if (replaces != 0) {
    body["replaces"] = replaces;
    what = fmt::format("replace member {} with {} at {}", replaces, id, escaped(peer));
  }
  return change(context, "POST", "/v1/cluster/members", std::move(body), args, what);
}

void add_flags(CLI::App& app, ChangeArgs& args) {
  app.add_flag("--dry-run", args.is_dry_run, "only say what the cluster would come to");
  app.add_flag("--yes,-y", args.is_yes, "do not ask");
}

Action define_add(CLI::App& app) {
  auto args = std::make_shared<ChangeArgs>();
  app.add_option("MEMBER", args->member, "ID=HOST:PEERPORT; an id never used before")->required();
  app.add_flag("--observer", args->is_observer, "it stays without a vote");
  add_flags(app, *args);
  return [args](Context& context) { return add_member(context, *args, 0); };
}

Action define_replace(CLI::App& app) {
  auto args = std::make_shared<ChangeArgs>();
  app.add_option("ID", args->id, "the member that goes")->required()->check(CLI::PositiveNumber);
  app.add_option("--with", args->member, "ID=HOST:PEERPORT of the member that takes its place")
      ->required();
  add_flags(app, *args);
  return [args](Context& context) { return add_member(context, *args, args->id); };
}

Action define_role(CLI::App& app, std::string_view role, std::string_view verb) {
  auto args = std::make_shared<ChangeArgs>();
  app.add_option("ID", args->id, "the member")->required()->check(CLI::PositiveNumber);
  add_flags(app, *args);
  return [args, role, verb](Context& context) {
    return change(context, "PATCH", route_of(args->id), Json{{"role", role}}, *args,
                  fmt::format("{} member {}", verb, args->id));
  };
}
Action define_promote(CLI::App& app) { return define_role(app, "voter", "promote"); }
Action define_demote(CLI::App& app) { return define_role(app, "observer", "demote"); }

Action define_remove(CLI::App& app) {
  auto args = std::make_shared<ChangeArgs>();
  app.add_option("ID", args->id, "the member; its id is never used again")
      ->required()
      ->check(CLI::PositiveNumber);
  add_flags(app, *args);
  return [args](Context& context) {
    return change(context, "DELETE", route_of(args->id), Json::object(), *args,
                  fmt::format("remove member {}", args->id));
  };
}

// ---- without a plan

Outcome<void> order(const Context& context, const std::string& route, const Json& body,
                    const ChangeArgs& args, const std::string& what,
                    std::string_view then = "done") {
  if (args.is_dry_run) {
    context.print.line(what + " (dry run)");
    return success();
  }
  COORD_TRY(const bool is_wanted, is_confirmed(context, args, what + "?"));
  if (!is_wanted) return Trouble{Exit::other, "nothing was changed", {}};
  COORD_TRY(const Answer answer, context.client.call_ok(call_of("POST", Target(route), body)));
  if (context.print.output() == Output::table) {
    context.print.line(fmt::format("{}: {}", what, then));
  } else if (!answer.body.empty()) {
    context.print.json_body(answer.body);
  }
  return success();
}

Action define_transfer(CLI::App& app) {
  auto args = std::make_shared<ChangeArgs>();
  app.add_option("ID", args->id, "the member that is to lead; by default the best one");
  add_flags(app, *args);
  return [args](Context& context) {
    Json body = Json::object();
    if (args->id != 0) body["to"] = args->id;
    return order(context, "/v1/cluster/transfer-leader", body, *args,
                 args->id != 0 ? fmt::format("hand leadership to member {}", args->id)
                               : std::string("hand leadership over"));
  };
}

Action define_repair(CLI::App& app) {
  auto args = std::make_shared<ChangeArgs>();
  app.add_option("ID", args->id, "the member")->required()->check(CLI::PositiveNumber);
  add_flags(app, *args);
  return [args](Context& context) {
    return order(context, route_of(args->id) + "/repair", Json::object(), *args,
                 fmt::format("rebuild member {} from the leader's state", args->id),
                 "begun; it serves again once /readyz of that member says so");
  };
}

constexpr std::array kClusterVerbs = {
    Verb{"status", "print the members, their roles and how far each is",
         "  coordctl cluster status\n"
         "  coordctl --output json cluster status | jq '.members[] | select(.state==\"down\")'",
         &define_status},
    Verb{"add", "add an empty member, which becomes a voter once it has caught up",
         "  coordctl cluster add 4=node4:7071\n"
         "  coordctl cluster add 5=node5:7071 --observer --yes",
         &define_add},
    Verb{"promote", "make a member a voter", "  coordctl cluster promote 4", &define_promote},
    Verb{"demote", "take a member's vote: it becomes an observer", "  coordctl cluster demote 3",
         &define_demote},
    Verb{"remove", "take a member out of the cluster", "  coordctl cluster remove 3 --dry-run",
         &define_remove},
    Verb{"replace", "put a new member in the place of one that is lost",
         "  coordctl cluster replace 3 --with 4=node4:7071", &define_replace},
    Verb{"transfer", "hand leadership to another member",
         "  coordctl cluster transfer\n"
         "  coordctl cluster transfer 2 --yes",
         &define_transfer},
    Verb{"repair", "rebuild the state of a member that differs from the others'",
         "  coordctl cluster repair 3", &define_repair},
};

}  // namespace

const Verb kCluster{"cluster", "look after the members of the cluster",
                    "  coordctl cluster status\n"
                    "  coordctl cluster add 4=node4:7071\n"
                    "  coordctl cluster replace 3 --with 4=node4:7071",
                    nullptr, kClusterVerbs};

}  // namespace coord::cli
