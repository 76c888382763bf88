// lock and elect: commands that run while a lock is held, or while they lead.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>

#include "cli/holder.hpp"
#include "cli/interrupt.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace coord::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kWaitSliceMsMax = 20'000;

struct HoldArgs {
  std::string name;
  std::vector<std::string> command;
  bool is_shared = false;
  std::optional<std::uint64_t> permits;
  std::optional<std::uint64_t> take;
  std::optional<std::int64_t> wait_ms;
  std::optional<std::int64_t> ttl_ms;
  std::optional<std::int64_t> lock_delay_ms;
  std::string owner;
  std::string value;
  std::optional<std::uint64_t> priority;
};

// What lock and elect do differently.
struct Kind {
  std::string_view route;     // "/v1/locks".
  std::string_view id;        // The field that names the place: "ticket".
  std::string_view state;     // The field that says whether it is held ...
  std::string_view held;      // ... and what it says then.
  std::string_view token;     // "token", "epoch".
  std::string_view fence;     // Before "jobs=57".
  std::string_view variable;  // "COORD_LOCK".
  std::string_view what;      // For messages: "the lock".
};
constexpr Kind kLockKind{"/v1/locks", "ticket", "state", "held", "token", "", "COORD_LOCK", "lock"};
constexpr Kind kElectKind{"/v1/elections", "candidate", "role",           "leader",
                          "epoch",         "election:", "COORD_ELECTION", "election"};

Call json_call(const std::string& method, const std::string& target, const Json& body) {
  return {method,
          target,
          {{"Content-Type", "application/json"}, {"Accept", "application/json"}},
          body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

bool is_held(const Kind& kind, const Json& state) {
  return text_of(state, kind.state) == kind.held;
}

// One who holds, or waits: a session, and a place in the queue.
class Hold {
 public:
  Hold(Context& context, const Kind& kind, const HoldArgs& args)
      : context_(context), kind_(kind), args_(args) {}

  // Exit code of the command.
  Outcome<int> run();

 private:
  Outcome<void> take_session();
  Outcome<void> join();
  // Until it is held; timed_out when the wait has run out.
  Outcome<void> wait();
  Outcome<int> run_command();
  Outcome<void> leave();
  [[nodiscard]] std::string target() const {
    return fmt::format("{}/{}/{}", kind_.route, percent_encoded(args_.name, false), place_);
  }

  Context& context_;
  const Kind& kind_;
  const HoldArgs& args_;
  std::string before_;  // The session that the client had.
  std::string session_;
  bool is_own_session_ = false;
  std::int64_t ttl_ms_ = 0;
  std::string place_;
  Json state_;
  std::string revision_;
};

Outcome<void> Hold::take_session() {
  before_ = session_ = context_.client.options().session;
  if (!session_.empty()) {
    Target shown("/v1/sessions/" + percent_encoded(session_.substr(0, session_.find('.')), false));
    COORD_TRY(const Json body, context_.get_json(shown));
    ttl_ms_ = body.value("ttl_ms", std::int64_t{0});
    return success();
  }
  COORD_TRY(const Json opened,
            open_session(context_, args_.ttl_ms, fmt::format("{} {}", kind_.what, args_.name)));
  session_ = opened.value("session", "");
  ttl_ms_ = opened.value("ttl_ms", std::int64_t{0});
  is_own_session_ = true;
  context_.client.set_session(session_);
  return success();
}

Outcome<void> Hold::join() {
  Json body = Json::object();
  const bool is_lock = kind_.route == kLockKind.route;
  if (is_lock) {
    if (args_.is_shared) body["mode"] = "shared";
    if (args_.permits) body["permits"] = *args_.permits;
    if (args_.take) body["take"] = *args_.take;
    if (args_.lock_delay_ms) body["lock_delay_ms"] = *args_.lock_delay_ms;
    if (!args_.owner.empty()) body["owner"] = args_.owner;
    body["queue"] = args_.wait_ms != 0;
  } else {
    body["value"] = args_.value;
    if (args_.priority) body["priority"] = *args_.priority;
  }
  const auto target = fmt::format("{}/{}", kind_.route, percent_encoded(args_.name, false));
  COORD_TRY(const Answer answer, context_.client.call_ok(json_call("POST", target, body)));
  COORD_TRY(state_, parse_json(answer.body));
  place_ = text_of(state_, kind_.id);
  revision_ = std::string(answer.header("Coord-Revision"));
  return success();
}

Outcome<void> Hold::wait() {
  const auto limit = Clock::now() + std::chrono::milliseconds(args_.wait_ms.value_or(0));
  // A look now and then renews the session too.
  const auto slice = std::clamp<std::int64_t>(ttl_ms_ / 3, 100, kWaitSliceMsMax);
  auto options = context_.client.options();
  options.timeout += std::chrono::milliseconds(slice);
  Client client(options);
  while (!is_held(kind_, state_)) {
    auto left = slice;
    if (args_.wait_ms) {
      left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - Clock::now()).count();
      if (left <= 0) {
        return Trouble{Exit::timed_out,
                       fmt::format("{} {} was not to be had within {}", kind_.what,
                                   escaped(args_.name), format_duration_ms(*args_.wait_ms)),
                       {}};
      }
      left = std::min(left, slice);
    }
    Target asked(target());
    asked.add("wait", fmt::format("{}ms", left)).add("since", revision_);
    COORD_TRY(const Answer answer,
              client.call_ok({"GET", asked.text(), {{"Accept", "application/json"}}, {}}));
    revision_ = std::string(answer.header("Coord-Revision"));
    if (answer.status != 200) continue;
    COORD_TRY(state_, parse_json(answer.body));
  }
  return success();
}

Outcome<int> Hold::run_command() {
  const auto token = text_of(state_, kind_.token);
  HeldCommand held;
  held.words = args_.command;
  held.session = session_;
  held.ttl_ms = ttl_ms_;
  held.target = target();
  held.is_held = [this](const Json& state) { return is_held(kind_, state); };
  held.environment = {{"COORD_SESSION", session_},
                      {"COORD_TOKEN", token},
                      {"COORD_FENCE", fmt::format("{}{}={}", kind_.fence, args_.name, token)},
                      {std::string(kind_.variable), args_.name}};
  std::string endpoints;
  for (const auto& endpoint : context_.client.options().endpoints) {
    endpoints += (endpoints.empty() ? "" : ",") + to_string(endpoint);
  }
  held.environment.emplace_back("COORD_ENDPOINT", endpoints);
  return run_held(context_.client.options(), held, context_.print);
}

// Gives back the place, and the session if it is our own. What is gone already is fine.
Outcome<void> Hold::leave() {
  Interrupt::clear();
  Outcome<void> result = success();
  const auto is_gone = [](const Trouble& trouble) {
    return trouble.exit == Exit::session_lost || trouble.exit == Exit::not_found;
  };
  if (!place_.empty()) {
    Target left(target());
    if (!args_.owner.empty()) left.add("owner", args_.owner);
    const auto answer = context_.client.call_ok({"DELETE", left.text(), {}, {}});
    if (!answer && !is_gone(answer.error())) result = answer.error();
  }
  if (is_own_session_ && result) {
    const auto closed = close_session(context_, session_);
    if (!closed) result = closed.error();
  }
  context_.client.set_session(before_);
  return result;
}

Outcome<int> Hold::run() {
  if (auto taken = take_session(); !taken) return taken.error();
  auto joined = join();
  if (joined) joined = wait();
  if (!joined) {
    const auto why = joined.error();
    static_cast<void>(leave());
    return why;
  }
  const auto code = run_command();
  if (const auto left = leave(); !left) {
    context_.print.note("note: " + left.error().message + "; it ends with its session");
  }
  return code;
}

Outcome<void> hold(Context& context, const Kind& kind, const HoldArgs& args) {
  if (args.name.empty() || args.command.empty()) {
    return Trouble{Exit::usage, "a name and a command are needed",
                   fmt::format("coordctl {} NAME -- COMMAND",
                               kind.route == kLockKind.route ? "lock" : "elect")};
  }
  Hold holding(context, kind, args);
  COORD_TRY(const int code, holding.run());
  if (code == 0) return success();
  return Trouble{static_cast<Exit>(code), {}, {}};  // The command has said why.
}

Action define_lock(CLI::App& app) {
  auto args = std::make_shared<HoldArgs>();
  app.add_option("NAME", args->name, "the lock");
  app.add_option("COMMAND", args->command, "run while the lock is held, after --")->expected(-1);
  app.add_flag("--shared", args->is_shared, "together with others who share it");
  app.add_option("--permits", args->permits, "a semaphore of this size")->type_name("N");
  app.add_option("--take", args->take, "so many of its permits (1)")->type_name("N");
  add_duration(app, "--wait", args->wait_ms, "give up after so long; 0s: only if it is free");
  add_duration(app, "--ttl", args->ttl_ms,
               "it passes on so long after this program was lost (15s)");
  add_duration(app, "--lock-delay", args->lock_delay_ms,
               "then nobody has it for so long, unless it was released");
  app.add_option("--owner", args->owner, "tells apart those who share a session")
      ->type_name("TEXT");
  return [args](Context& context) { return hold(context, kLockKind, *args); };
}

Action define_elect(CLI::App& app) {
  auto args = std::make_shared<HoldArgs>();
  app.add_option("NAME", args->name, "the election");
  app.add_option("COMMAND", args->command, "run while this one leads, after --")->expected(-1);
  app.add_option("--value", args->value, "what the others see of the candidate")->type_name("TEXT");
  app.add_option("--priority", args->priority, "the highest leads next (0)")->type_name("N");
  add_duration(app, "--wait", args->wait_ms, "give up after so long");
  add_duration(app, "--ttl", args->ttl_ms,
               "another leads so long after this program was lost (15s)");
  return [args](Context& context) { return hold(context, kElectKind, *args); };
}

// ---- ls, graph, break

// All pages of a listing.
Outcome<Json> all_of(const Context& context, std::string_view route, std::string_view field) {
  Json all = Json::array();
  std::string cursor;
  do {
    Target target = context.read(route, "");
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(const Json page, context.get_json(target));
    for (const Json& one : page.value(std::string(field), Json::array())) all.push_back(one);
    cursor = page.value("cursor", "");
  } while (!cursor.empty());
  return all;
}

std::string who(const Json& ticket) {
  const auto owner = ticket.value("owner", "");
  return text_of(ticket, "session") + (owner.empty() ? "" : " " + escaped(owner));
}

Outcome<void> list_locks(const Context& context, const std::string& name) {
  Json locks = Json::array();
  if (name.empty()) {
    COORD_TRY(locks, all_of(context, "/v1/locks", "locks"));
  } else {
    COORD_TRY(const Json one, context.get_json(context.read("/v1/locks", "/" + name)));
    locks.push_back(one);
  }
  if (context.print.output() == Output::json) {
    context.print.json(name.empty() ? Json{{"locks", locks}} : locks[0]);
    return success();
  }
  Table table({{"LOCK"}, {"STATE"}, {"TOKEN", true}, {"MODE"}, {"SESSION"}, {"SINCE"}, {"TICKET"}});
  const auto add = [&](const Json& lock, const Json& ticket) {
    const bool held = text_of(ticket, "state") == "held";
    table.row({{text_of(lock, "lock")},
               {held ? "held" : "queued " + text_of(ticket, "position"),
                held ? Colour::green : Colour::yellow},
               {text_of(ticket, "token")},
               {text_of(ticket, "mode")},
               {who(ticket)},
               {time_of(ticket, held ? "held_since" : "since")},
               {text_of(ticket, "ticket")}});
  };
  for (const Json& lock : locks) {
    for (const Json& ticket : lock.value("holders", Json::array())) add(lock, ticket);
    for (const Json& ticket : lock.value("queue", Json::array())) add(lock, ticket);
    const auto waiting = lock.value("queue_length", std::uint64_t{0});
    if (!lock.contains("queue") && waiting > 0) {
      table.row({{text_of(lock, "lock")},
                 {fmt::format("{} waiting", waiting), Colour::yellow},
                 {"-"},
                 {"-"},
                 {"-"},
                 {"-"},
                 {"-"}});
    }
  }
  context.print.table(table);
  return success();
}

Action define_lock_ls(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name, "one lock, with its queue");
  return [name](Context& context) { return list_locks(context, *name); };
}

Outcome<void> show_graph(const Context& context) {
  COORD_TRY(const Json waits, all_of(context, "/v1/lock-graph", "waits"));
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"waits", waits}});
    return success();
  }
  Table table({{"SESSION"}, {"WAITS FOR"}, {"POSITION", true}, {"BEHIND"}});
  for (const Json& edge : waits) {
    std::vector<std::string> behind;
    for (const Json& other : edge.value("waits_for", Json::array())) behind.push_back(who(other));
    const Json waiter = edge.value("waiter", Json::object());
    table.row({{who(waiter)},
               {text_of(edge, "lock")},
               {text_of(waiter, "position")},
               {fmt::format("{}", fmt::join(behind, ", "))}});
  }
  context.print.table(table);
  return success();
}

Action define_graph(CLI::App&) {
  return [](Context& context) { return show_graph(context); };
}

struct BreakArgs {
  std::string name;
  std::string ticket;
};

// Without a ticket: whoever holds it.
Outcome<void> break_lock(const Context& context, const BreakArgs& args) {
  std::vector<std::string> tickets;
  if (args.ticket.empty()) {
    COORD_TRY(const Json lock, context.get_json(context.read("/v1/locks", "/" + args.name)));
    for (const Json& holder : lock.value("holders", Json::array())) {
      tickets.push_back(text_of(holder, "ticket"));
    }
  } else {
    tickets.push_back(args.ticket);
  }
  for (const auto& ticket : tickets) {
    Target target(fmt::format("/v1/locks/{}/{}", percent_encoded(args.name, false),
                              percent_encoded(ticket, false)));
    target.add("break", "true");
    COORD_TRY(context.client.call_ok({"DELETE", target.text(), {}, {}}));
    context.print.note(fmt::format("note: broke ticket {}", escaped(ticket)));
  }
  if (tickets.empty()) context.print.note("note: nobody holds it");
  return success();
}

Action define_break(CLI::App& app) {
  auto args = std::make_shared<BreakArgs>();
  app.add_option("NAME", args->name, "the lock")->required();
  app.add_option("TICKET", args->ticket, "one ticket; all who hold it if left out");
  return [args](Context& context) { return break_lock(context, *args); };
}

Outcome<void> list_elections(const Context& context, const std::string& name) {
  if (name.empty()) {
    COORD_TRY(const Json elections, all_of(context, "/v1/elections", "elections"));
    if (context.print.output() == Output::json) {
      context.print.json(Json{{"elections", elections}});
      return success();
    }
    Table table({{"ELECTION"}, {"EPOCH", true}, {"CANDIDATES", true}, {"LEADER"}, {"VALUE"}});
    for (const Json& election : elections) {
      const Json leader = election.value("leader", Json());
      table.row({{text_of(election, "election")},
                 {text_of(election, "epoch")},
                 {text_of(election, "candidate_count")},
                 {leader.is_object() ? text_of(leader, "session") : "-"},
                 {leader.is_object() ? escaped(text_of(leader, "value")) : "-"}});
    }
    context.print.table(table);
    return success();
  }
  COORD_TRY(const Json one, context.get_json(context.read("/v1/elections", "/" + name)));
  if (context.print.output() == Output::json) {
    context.print.json(one);
    return success();
  }
  Table table(
      {{"ROLE"}, {"EPOCH", true}, {"PRIORITY", true}, {"SESSION"}, {"VALUE"}, {"CANDIDATE"}});
  for (const Json& candidate : one.value("candidates", Json::array())) {
    const bool leads = text_of(candidate, "role") == "leader";
    table.row({{text_of(candidate, "role"), leads ? Colour::green : Colour::none},
               {text_of(candidate, "epoch")},
               {text_of(candidate, "priority")},
               {text_of(candidate, "session")},
               {escaped(text_of(candidate, "value"))},
               {text_of(candidate, "candidate")}});
  }
  context.print.table(table);
  return success();
}

Action define_elect_ls(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name, "one election, with its candidates");
  return [name](Context& context) { return list_elections(context, *name); };
}

constexpr std::array kLockVerbs = {
    Verb{"ls", "who holds the locks, and who waits",
         "  coordctl lock ls\n"
         "  coordctl lock ls jobs",
         &define_lock_ls},
    Verb{"break", "take a lock from whoever holds it (operators)",
         "  coordctl lock break jobs\n"
         "  coordctl lock break jobs 0000000000000039-lock-0000000000",
         &define_break},
    Verb{"graph", "who waits for whom", "  coordctl lock graph", &define_graph},
};
constexpr std::array kElectVerbs = {
    Verb{"ls", "the leaders, and the candidates of one election",
         "  coordctl elect ls\n"
         "  coordctl elect ls boss",
         &define_elect_ls},
};

}  // namespace

const Verb kLock{"lock", "run a command while a lock is held; ls, break, graph",
                 "  coordctl lock jobs -- ./nightly.sh\n"
                 "  coordctl lock jobs --wait 10s -- sh -c 'coordctl set /report done'\n"
                 "  coordctl lock pool --permits 3 -- ./one-of-three.sh\n"
                 "  coordctl lock ls",
                 &define_lock, kLockVerbs};
const Verb kElect{"elect", "run a command while this one leads; ls",
                  "  coordctl elect boss --value $(hostname) -- ./lead.sh\n"
                  "  coordctl elect boss --value spare --priority 1 -- ./lead.sh\n"
                  "  coordctl elect ls boss",
                  &define_elect, kElectVerbs};

}  // namespace coord::cli
