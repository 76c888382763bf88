// watch and session: the verbs that stay.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

#include "cli/interrupt.hpp"
#include "cli/run_command.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "cli/watcher.hpp"

namespace coord::cli {
namespace {

// Runs `command` for an event; its exit status, or -1 if it did not run.
int run_for(const std::string& command, const Json& event) {
  const std::string value = value_bytes_of(event);
  const bool is_binary = value.find('\0') != std::string::npos;
  const Variables variables = {{"COORD_PATH", event.value("path", "")},
                               {"COORD_TYPE", event.value("type", "")},
                               {"COORD_REVISION", text_of(event, "revision")},
                               {"COORD_VALUE", is_binary ? base64_encoded(value) : value},
                               {"COORD_ENCODING", is_binary ? "base64" : "utf8"}};
  return run_command(command, variables, value);
}

struct WatchArgs {
  std::vector<std::string> paths;
  std::string depth;
  std::optional<std::uint64_t> from;
  std::optional<std::uint64_t> count;
  std::string command;
  bool with_initial = false;
  bool with_values = false;
  bool with_previous = false;
};

Colour colour_of(const std::string& type) {
  if (type == "created") return Colour::green;
  if (type == "deleted") return Colour::red;
  return Colour::yellow;
}

void print_event(const Printer& print, const Json& event, bool with_values) {
  if (print.output() == Output::json) {
    print.line(event.dump(-1, ' ', false, Json::error_handler_t::replace));
  } else {
    const std::string type = text_of(event, "type");
    std::string line =
        fmt::format("{}  {}  {}", text_of(event, "revision"),
                    coloured(fmt::format("{:<7}", type), colour_of(type), print.with_colours()),
                    text_of(event, "path"));
    if (with_values && event.contains("value")) {
      line += "  " + (print.output() == Output::raw ? escaped(value_bytes_of(event))
                                                    : value_cell_of(event, 100));
    }
    print.line(line);
  }
}

Outcome<void> watch(const Context& context, const WatchArgs& args) {
  WatchPlan plan;
  for (const std::string& path : args.paths) plan.paths.push_back(context.path(path));
  if (plan.paths.empty()) plan.paths.push_back(context.cwd);
  plan.depth = args.depth;
  plan.from = args.from;
  plan.with_initial = args.with_initial;
  plan.with_values = args.with_values || !args.command.empty();
  plan.with_previous = args.with_previous;
  std::uint64_t left = args.count.value_or(UINT64_MAX);
  bool is_written = true;
  const auto on_event = [&](const Json& event) {
    if (args.command.empty()) {
      print_event(context.print, event, args.with_values);
      is_written = context.print.flush();
    } else if (const int status = run_for(args.command, event); status != 0) {
      context.print.note(fmt::format("note: the command for {} at revision {} exited with {}",
                                     text_of(event, "path"), text_of(event, "revision"), status));
    }
    return --left > 0 && is_written && !Interrupt::is_raised();
  };
  if (left == 0) return success();
  COORD_TRY(run_watch(context.client, plan, on_event,
                      [&](const std::string& what) { context.print.note("note: " + what); }));
  if (!is_written) return Trouble{Exit::other, "cannot write to stdout", {}};
  if (Interrupt::is_raised()) return Trouble{Exit::interrupted, {}, {}};
  return success();
}

Action define_watch(CLI::App& app) {
  auto args = std::make_shared<WatchArgs>();
  app.add_option("PATH", args->paths, "the nodes; they need not exist yet");
  app.add_option("--depth", args->depth, "0: the node, 1: and its children, all: all below")
      ->check(CLI::IsMember({"0", "1", "all"}));
  app.add_option("--from", args->from, "first what happened after this revision")->type_name("REV");
  app.add_option("--count", args->count, "end after so many events")->type_name("N");
  app.add_flag("--initial", args->with_initial, "first the present state, as created events");
  app.add_flag("--values", args->with_values, "with the values");
  app.add_flag("--prev", args->with_previous, "with the values before (in JSON)");
  app.add_option("--exec", args->command,
                 "run this at each event, with COORD_PATH, COORD_TYPE, COORD_REVISION and "
                 "COORD_VALUE in its environment and the value on its stdin")
      ->type_name("COMMAND");
  return [args](Context& context) { return watch(context, *args); };
}

// ---- sessions

// The id of a token, which may be shown: the secret may not.
std::string id_of(const std::string& token) { return token.substr(0, token.find('.')); }

Outcome<std::string> token_of(const Context& context, const std::string& given) {
  const std::string& token = given.empty() ? context.client.options().session : given;
  if (!token.empty()) return token;
  return Trouble{Exit::usage, "no session given",
                 "name it, or set COORD_SESSION or --session; coordctl session open opens one"};
}

Call session_call(const std::string& method, const std::string& token, std::string_view rest) {
  const std::string target =
      "/v1/sessions/" + percent_encoded(id_of(token), false) + std::string(rest);
  Call call{method, target, {{"Accept", "application/json"}}, {}};
  // A bare id is an operator's: there is no secret to send.
  if (token.find('.') != std::string::npos) call.headers.emplace_back("Coord-Session", token);
  return call;
}

Outcome<std::int64_t> renew(Context& context, const std::string& token) {
  COORD_TRY(const Answer answer, context.client.call_ok(session_call("POST", token, "/keepalive")));
  COORD_TRY(const Json body, parse_json(answer.body));
  return body.value("remaining_ms", std::int64_t{0});
}

struct OpenArgs {
  std::optional<std::int64_t> ttl_ms;
  std::string name;
};

Outcome<void> open(Context& context, const OpenArgs& args) {
  COORD_TRY(const Json opened, open_session(context, args.ttl_ms, args.name));
  const std::string token = opened.value("session", "");
  const auto ttl = format_duration_ms(opened.value("ttl_ms", std::int64_t{0}));
  if (context.is_shell) context.client.set_session(token);
  if (context.print.output() == Output::json) {
    context.print.json(opened);
  } else {
    context.print.line(token);
  }
  if (context.print.output() == Output::table) {
    context.print.note(
        fmt::format("note: ends {} after its last use; keep it with: coordctl session keep", ttl));
  }
  return success();
}

Action define_open(CLI::App& app) {
  auto args = std::make_shared<OpenArgs>();
  add_duration(app, "--ttl", args->ttl_ms, "it ends so long after its last renewal (1s to 24h)");
  app.add_option("--name", args->name, "shown in listings")->type_name("TEXT");
  return [args](Context& context) { return open(context, *args); };
}

struct KeepArgs {
  std::string token;
  bool is_once = false;
};

Outcome<void> keep(Context& context, const KeepArgs& args) {
  COORD_TRY(const std::string token, token_of(context, args.token));
  if (!args.is_once) return keep_session(context, token);
  COORD_TRY(const std::int64_t remaining, renew(context, token));
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"remaining_ms", remaining}});
  } else {
    context.print.line(format_duration_ms(remaining));
  }
  return success();
}

Action define_keep(CLI::App& app) {
  auto args = std::make_shared<KeepArgs>();
  app.add_option("TOKEN", args->token, "the session; COORD_SESSION if left out");
  app.add_flag("--once", args->is_once, "renew it once and print what remains");
  return [args](Context& context) { return keep(context, *args); };
}

Outcome<void> list_sessions(const Context& context) {
  Json sessions = Json::array();
  std::string cursor;
  do {
    Target target = context.read("/v1/sessions", "");
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(const Json page, context.get_json(target));
    for (const Json& session : page.value("sessions", Json::array())) sessions.push_back(session);
    cursor = page.contains("cursor") && page["cursor"].is_string()
                 ? page["cursor"].get<std::string>()
                 : std::string();
  } while (!cursor.empty());
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"sessions", sessions}});
    return success();
  }
  Table table({{"ID", true},
               {"NAME"},
               {"ADDRESS"},
               {"TTL", true},
               {"REMAINING", true},
               {"EPHEMERALS", true}});
  for (const Json& session : sessions) {
    const auto duration = [&](const char* key) {
      const bool is_known = session.contains(key) && session[key].is_number();
      return is_known ? rough_duration(session[key].get<std::int64_t>()) : std::string("-");
    };
    const Json ephemerals = session.value("ephemerals", Json());
    const std::string count = session.contains("ephemeral_count")
                                  ? text_of(session, "ephemeral_count")
                              : ephemerals.is_array() ? std::to_string(ephemerals.size())
                                                      : text_of(session, "ephemerals");
    if (context.print.output() == Output::raw) {
      context.print.line(text_of(session, "id"));
      continue;
    }
    table.row({{text_of(session, "id")},
               {text_of(session, "name")},
               {text_of(session, "address")},
               {duration("ttl_ms")},
               {duration("remaining_ms")},
               {count}});
  }
  if (context.print.output() == Output::table) context.print.table(table);
  return success();
}

Action define_session_list(CLI::App&) {
  return [](Context& context) { return list_sessions(context); };
}

Outcome<void> close(Context& context, const std::string& given) {
  COORD_TRY(const std::string token, token_of(context, given));
  COORD_TRY(const Answer answer, context.client.call_ok(session_call("DELETE", token, "")));
  if (context.is_shell && context.client.options().session == token) {
    context.client.set_session({});
  }
  if (context.print.output() == Output::table) {
    context.print.line(fmt::format("closed {}  revision {}", escaped(id_of(token)),
                                   escaped(answer.header("Coord-Revision"))));
  }
  return success();
}

Action define_close(CLI::App& app) {
  auto token = std::make_shared<std::string>();
  app.add_option("TOKEN", *token, "the session (an operator: its id); COORD_SESSION if left out");
  return [token](Context& context) { return close(context, *token); };
}

constexpr std::array kSessionVerbs = {
    Verb{"open", "open a session and print its token",
         "  export COORD_SESSION=$(coordctl session open --ttl 30s --name web-1)", &define_open},
    Verb{"keep", "keep a session alive until Ctrl-C; exits with 125 when it is lost",
         "  coordctl session keep &\n"
         "  coordctl session keep --once",
         &define_keep},
    Verb{"ls", "list the sessions", "  coordctl session ls", &define_session_list},
    Verb{"close", "close a session: its ephemeral nodes go at once", "  coordctl session close",
         &define_close},
};

}  // namespace

Outcome<Json> open_session(Context& context, std::optional<std::int64_t> ttl_ms,
                           const std::string& name) {
  Json body = Json::object();
  if (ttl_ms) body["ttl_ms"] = *ttl_ms;
  if (!name.empty()) body["name"] = name;
  const Call call{"POST",
                  "/v1/sessions",
                  {{"Content-Type", "application/json"}, {"Accept", "application/json"}},
                  body.dump(-1, ' ', false, Json::error_handler_t::replace)};
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  COORD_TRY(Json opened, parse_json(answer.body));
  if (!opened.contains("session") || !opened["session"].is_string()) {
    return Trouble{Exit::other, "the server's answer has no session", {}};
  }
  return opened;
}

Outcome<void> close_session(Context& context, const std::string& token) {
  // An interrupt ended the holding; the closing is what follows it, and must not be cut by it.
  Interrupt::clear();
  const auto answer = context.client.call_ok(session_call("DELETE", token, ""));
  if (answer || answer.error().exit == Exit::session_lost ||
      answer.error().exit == Exit::not_found) {
    return success();
  }
  return answer.error();
}

Outcome<void> keep_session(Context& context, const std::string& token) {
  while (true) {
    const auto remaining = renew(context, token);
    if (!remaining) {
      const Trouble& trouble = remaining.error();
      if (trouble.exit == Exit::interrupted) return success();
      // A session that this server never gave, or gave and forgot, is lost all the same.
      const bool is_gone = trouble.exit == Exit::not_found || trouble.exit == Exit::session_lost;
      const bool is_over = is_gone || trouble.exit == Exit::forbidden ||
                           trouble.exit == Exit::usage || trouble.exit == Exit::other;
      if (is_over) {
        return Trouble{is_gone ? Exit::session_lost : trouble.exit, trouble.message, trouble.hint};
      }
      // Nobody to ask: only a member's answer ends a session, so go on asking.
      context.print.note("note: " + trouble.message + "; trying on");
    }
    const std::int64_t wait = remaining ? std::max<std::int64_t>(remaining.value() / 3, 50) : 200;
    if (!context.client.pause(std::chrono::milliseconds(wait))) return success();
  }
}

const Verb kWatch{"watch",
                  "print changes as they happen, over lost connections and restarts",
                  "  coordctl watch /app\n"
                  "  coordctl watch --depth all --values --initial /app\n"
                  "  coordctl --output json watch --from 42 /app\n"
                  "  coordctl watch /app/config --exec 'echo \"$COORD_TYPE: $COORD_VALUE\"'",
                  &define_watch,
                  {},
                  true};
const Verb kSession{"session", "open, keep, list and close sessions",
                    "  export COORD_SESSION=$(coordctl session open --ttl 30s)\n"
                    "  coordctl session keep &\n"
                    "  coordctl create --ephemeral /app/web-1 10.0.0.1:80",
                    nullptr, kSessionVerbs};

}  // namespace coord::cli
