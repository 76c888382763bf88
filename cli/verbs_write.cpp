// set, create, rm, txn.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace coord::cli {
namespace {

struct WriteArgs {
  std::string path;
  std::string value;
  std::string type;
  std::string if_match;
  std::string fence;
  std::string name;  // Of the session that --hold opens.
  std::optional<std::int64_t> ttl_ms;
  bool if_absent = false;
  bool is_ephemeral = false;
  bool is_sequential = false;
  bool is_container = false;
  bool with_parents = false;
  bool is_held = false;
  bool with_stat = false;
};

void add_mode_options(CLI::App& app, WriteArgs& args) {
  auto* ephemeral = app.add_flag("--ephemeral,-e", args.is_ephemeral, "goes with its session");
  auto* container =
      app.add_flag("--container", args.is_container, "goes some time after its last child");
  container->excludes(ephemeral);
  add_duration(app, "--ttl", args.ttl_ms,
               "goes when unchanged for so long; with --hold: the session's ttl");
  app.add_flag("--parents,-p", args.with_parents, "create the nodes above it too");
  app.add_flag("--hold", args.is_held,
               "open a session for it, keep it alive until Ctrl-C, then close it")
      ->needs(ephemeral);
  app.add_option("--name", args.name, "the name of the session that --hold opens")
      ->type_name("TEXT");
  app.add_option("--fence", args.fence, "only while this lock is held with this token: jobs=57")
      ->envname("COORD_FENCE")
      ->type_name("NAME=TOKEN");
  app.add_option("--type", args.type, "the value's content type")->type_name("MIME");
  app.add_flag("--stat", args.with_stat, "its new stat too, on stderr");
}

Outcome<std::string> mode_of(const Context& context, const WriteArgs& args) {
  if (args.is_ephemeral && args.ttl_ms && !args.is_held) {
    return Trouble{Exit::usage, "--ttl and --ephemeral exclude each other",
                   "an ephemeral node lives as long as its session"};
  }
  if (args.is_ephemeral && !args.is_held && context.client.options().session.empty()) {
    return Trouble{Exit::usage, "an ephemeral node needs a session",
                   "export COORD_SESSION=$(coordctl session open --ttl 30s), or add --hold to keep "
                   "it in the foreground"};
  }
  if (args.is_ephemeral) return std::string("ephemeral");
  if (args.is_container) return std::string("container");
  return std::string();
}

Outcome<void> add_write_parts(const Context& context, const WriteArgs& args, Target& target,
                              Call& call) {
  COORD_TRY(const std::string mode, mode_of(context, args));
  if (!mode.empty()) target.add("mode", mode);
  if (args.ttl_ms && !args.is_ephemeral) target.add("ttl", format_duration_ms(*args.ttl_ms));
  if (args.with_parents) target.add("parents", "true");
  if (!args.type.empty()) call.headers.emplace_back("Content-Type", args.type);
  if (!args.fence.empty()) call.headers.emplace_back("Coord-Fence", args.fence);
  call.headers.emplace_back("Accept", "application/json");
  return success();
}

std::string quoted_tag(const std::string& tag) {
  return tag.starts_with('"') || tag.starts_with("W/") ? tag : "\"" + tag + "\"";
}

std::string stat_line(const Json& stat) {
  std::string out;
  for (const auto& [key, value] : stat.items()) {
    out += fmt::format("{}{}={}", out.empty() ? "" : ", ", key, text_of(stat, key));
  }
  return out;
}

// The path alone, so that a script can take it; "created, revision 42" is a note.
Outcome<void> report(const Context& context, const Answer& answer, std::string_view verb,
                     const std::string& path, bool with_stat) {
  if (context.print.output() == Output::json) {
    if (!answer.body.empty()) {
      context.print.json_body(answer.body);
    } else {
      const std::string revision(answer.header("Coord-Revision"));
      context.print.json(Json{{"path", path}, {"revision", Json::parse(revision, nullptr, false)}});
    }
    return success();
  }
  Json body = Json::object();
  if (!answer.body.empty()) {
    COORD_TRY(body, parse_json(answer.body));
  }
  const std::string made =
      body.contains("path") && body["path"].is_string() ? body["path"].get<std::string>() : path;
  context.print.line(made);
  if (context.print.output() != Output::raw) {
    std::string note =
        fmt::format("{}, revision {}", verb, escaped(answer.header("Coord-Revision")));
    const Json stat = body.value("stat", Json());
    if (verb == "set" && stat.is_object()) note += ", version " + text_of(stat, "version");
    context.print.note(note);
  }
  if (with_stat && body.contains("stat")) context.print.note(stat_line(body["stat"]));
  return success();
}

// Does `write` within a session of its own, which lives until Ctrl-C.
Outcome<void> hold(Context& context, const WriteArgs& args,
                   const std::function<Outcome<void>()>& write) {
  if (!args.is_held) return write();
  COORD_TRY(const Json opened, open_session(context, args.ttl_ms, args.name));
  const std::string before = context.client.options().session;
  const std::string token = opened.value("session", "");
  context.client.set_session(token);
  auto result = write();
  if (result) {
    context.print.note(fmt::format("held by session {}; Ctrl-C closes it", text_of(opened, "id")));
    result = context.print.flush() ? keep_session(context, token)
                                   : Outcome<void>(Trouble{Exit::other, "cannot write", {}});
  }
  auto closed = close_session(context, token);
  context.client.set_session(before);
  if (!result) return result;
  return closed;
}

Outcome<void> set(Context& context, const WriteArgs& args) {
  COORD_TRY(std::string value, read_value(args.value));
  const std::string path = context.path(args.path);
  Target target("/v1/tree", path);
  Call call{"PUT", {}, {}, std::move(value)};
  COORD_TRY(add_write_parts(context, args, target, call));
  if (args.if_absent) call.headers.emplace_back("If-None-Match", "*");
  if (!args.if_match.empty()) call.headers.emplace_back("If-Match", quoted_tag(args.if_match));
  call.target = target.text();
  return hold(context, args, [&]() -> Outcome<void> {
    COORD_TRY(const Answer answer, context.client.call_ok(call));
    return report(context, answer, answer.status == 201 ? "created" : "set", path, args.with_stat);
  });
}

Action define_set(CLI::App& app) {
  auto args = std::make_shared<WriteArgs>();
  app.add_option("PATH", args->path, "the node; it is created when missing")->required();
  app.add_option("VALUE", args->value, "the value; - is stdin, @FILE a file")->required();
  auto* match = app.add_option("--if-match", args->if_match,
                               "only if the node's mzxid is this: set, never create")
                    ->type_name("MZXID");
  app.add_flag("--if-absent", args->if_absent, "only if there is no such node")->excludes(match);
  add_mode_options(app, *args);
  return [args](Context& context) { return set(context, *args); };
}

Outcome<void> create(Context& context, const WriteArgs& args) {
  COORD_TRY(std::string value, read_value(args.value));
  std::string path = context.path(args.path);
  Call call{args.is_sequential ? "POST" : "PUT", {}, {}, std::move(value)};
  std::string prefix;
  if (args.is_sequential && !args.path.ends_with('/')) {
    prefix = base_name(path);
    path = parent_path(path);
  }
  Target target("/v1/tree", path);
  if (!prefix.empty()) target.add("prefix", prefix);
  COORD_TRY(add_write_parts(context, args, target, call));
  if (!args.is_sequential) call.headers.emplace_back("If-None-Match", "*");
  call.target = target.text();
  return hold(context, args, [&]() -> Outcome<void> {
    COORD_TRY(const Answer answer, context.client.call_ok(call));
    return report(context, answer, "created", path, args.with_stat);
  });
}

Action define_create(CLI::App& app) {
  auto args = std::make_shared<WriteArgs>();
  app.add_option("PATH", args->path, "the new node; with --sequential: what its name begins with")
      ->required();
  app.add_option("VALUE", args->value, "the value; - is stdin, @FILE a file; empty if left out");
  app.add_flag("--sequential,-s", args->is_sequential, "append the parent's ten-digit counter");
  app.add_flag("--if-absent", args->if_absent, "what create does anyway: the node must be new");
  add_mode_options(app, *args);
  return [args](Context& context) { return create(context, *args); };
}

struct RemoveArgs {
  std::vector<std::string> paths;
  std::string if_match;
  std::string fence;
  bool is_recursive = false;
};

Outcome<void> remove(const Context& context, const RemoveArgs& args) {
  for (const std::string& given : args.paths) {
    const std::string path = context.path(given);
    Target target("/v1/tree", path);
    if (args.is_recursive) target.add("recursive", "true");
    Call call{"DELETE", target.text(), {}, {}};
    if (!args.if_match.empty()) call.headers.emplace_back("If-Match", quoted_tag(args.if_match));
    if (!args.fence.empty()) call.headers.emplace_back("Coord-Fence", args.fence);
    COORD_TRY(const Answer answer, context.client.call_ok(call));
    COORD_TRY(report(context, answer, "deleted", path, false));
  }
  return success();
}

Action define_rm(CLI::App& app) {
  auto args = std::make_shared<RemoveArgs>();
  app.add_option("PATH", args->paths, "the nodes")->required();
  app.add_flag("-r,--recursive", args->is_recursive, "with all that is below");
  app.add_option("--if-match", args->if_match, "only if the node's mzxid is this")
      ->type_name("MZXID");
  app.add_option("--fence", args->fence, "only while this lock is held with this token: jobs=57")
      ->envname("COORD_FENCE")
      ->type_name("NAME=TOKEN");
  return [args](Context& context) { return remove(context, *args); };
}

struct TxnArgs {
  std::string body;
  std::string fence;
  bool is_checked = false;
};

Outcome<void> txn(const Context& context, const TxnArgs& args) {
  COORD_TRY(std::string body, read_value(args.body));
  Call call{"POST", "/v1/txn", {{"Content-Type", "application/json"}}, std::move(body)};
  call.headers.emplace_back("Accept", "application/json");
  if (!args.fence.empty()) call.headers.emplace_back("Coord-Fence", args.fence);
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  COORD_TRY(const Json result, parse_json(answer.body));
  const bool succeeded = result.value("succeeded", false);
  if (context.print.output() != Output::table) {
    context.print.json_body(answer.body);
  } else {
    context.print.line(fmt::format("{}  revision {}",
                                   succeeded ? "then" : "else (a comparison did not hold)",
                                   text_of(result, "revision")));
    for (const Json& op : result.value("results", Json::array())) {
      std::string line = fmt::format("  {} {}", text_of(op, "op"), text_of(op, "path"));
      if (op.contains("value")) line += " = " + value_cell_of(op, 60);
      context.print.line(line);
    }
  }
  if (succeeded || !args.is_checked) return success();
  return Trouble{Exit::conflict, "a comparison did not hold", {}};
}

Action define_txn(CLI::App& app) {
  auto args = std::make_shared<TxnArgs>();
  app.add_option("TXN", args->body, "the transaction as JSON: @FILE, - for stdin, or the text")
      ->required();
  app.add_option("--fence", args->fence, "only while this lock is held with this token: jobs=57")
      ->envname("COORD_FENCE")
      ->type_name("NAME=TOKEN");
  app.add_flag("--check", args->is_checked, "exit with 4 if a comparison did not hold");
  return [args](Context& context) { return txn(context, *args); };
}

}  // namespace

const Verb kSet{"set",
                "set the value of a node, or create it when missing",
                "  coordctl set /app/config hello\n"
                "  coordctl set /app/config @config.json --type application/json\n"
                "  date | coordctl set -p /app/started -\n"
                "  coordctl set --if-match 42 /app/config new   # only if unchanged since 42\n"
                "  coordctl set /n -- -5                        # a value that begins with -",
                &define_set,
                {},
                true};
const Verb kCreate{"create",
                   "create a node",
                   "  coordctl create /app\n"
                   "  coordctl create -p /app/web/config @config.json\n"
                   "  coordctl create --ephemeral --hold /app/web-1 10.0.0.1:80\n"
                   "  coordctl create --sequential /jobs/job- payload   # /jobs/job-0000000000\n"
                   "  coordctl create --ttl 60s /cache/x value",
                   &define_create,
                   {},
                   true};
const Verb kRm{"rm",
               "delete nodes",
               "  coordctl rm /app/config\n"
               "  coordctl rm -r /app\n"
               "  coordctl rm --if-match 42 /app/config",
               &define_rm,
               {},
               true};
const Verb kTxn{"txn", "apply several operations, all or nothing",
                "  coordctl txn @txn.json\n"
                "  coordctl txn '{\"compare\":[{\"path\":\"/a\",\"version\":1}],\n"
                "                 \"then\":[{\"op\":\"set\",\"path\":\"/a\",\"value\":\"v2\"}]}'\n"
                "  coordctl txn --check - < txn.json && echo done",
                &define_txn};

}  // namespace coord::cli
