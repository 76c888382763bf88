// acl, quota, status, bench, version, completion.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "cli/bench.hpp"
#include "cli/completion.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace coord::cli {
namespace {

// ---- acl

// The letters that ZooKeeper prints, in its order, of ["read", "delete", ...].
std::string letters_of(const Json& entry) {
  const Json permissions = entry.value("permissions", Json());
  if (!permissions.is_array()) return text_of(entry, "permissions");
  std::string out;
  for (const char* word : {"create", "delete", "read", "write", "admin"}) {
    const bool is_there =
        std::find(permissions.begin(), permissions.end(), word) != permissions.end();
    if (is_there) out += word[0];
  }
  return out;
}

Outcome<void> get_acl(const Context& context, const std::string& path) {
  COORD_TRY(const Answer answer,
            context.get(context.read("/v1/acl", context.path(path)), "application/json"));
  if (context.print.output() == Output::json) {
    context.print.json_body(answer.body);
    return success();
  }
  COORD_TRY(const Json body, parse_json(answer.body));
  Table table({{"SCHEME"}, {"ID"}, {"PERMISSIONS"}});
  for (const Json& entry : body.value("acl", Json::array())) {
    const std::string scheme = text_of(entry, "scheme");
    const std::string id = text_of(entry, "id");
    const std::string permissions = letters_of(entry);
    if (context.print.output() == Output::raw) {
      context.print.line(fmt::format("{}:{}:{}", scheme, id, permissions));
    } else {
      table.row({{scheme}, {id}, {permissions}});
    }
  }
  if (context.print.output() == Output::table) context.print.table(table);
  return success();
}

Action define_acl_get(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  app.add_option("PATH", *path, "the node")->required();
  return [path](Context& context) { return get_acl(context, *path); };
}

// "digest:user:hash:rw": the first part is the scheme, the last the permissions, and the id what
// stands between, which may have colons of its own.
Outcome<Json> entry_of(const std::string& text) {
  const std::size_t first = text.find(':');
  const std::size_t last = text.rfind(':');
  if (first == std::string::npos || last == first) {
    return Trouble{Exit::usage, fmt::format("bad ACL entry {:?}", text),
                   "an entry is scheme:id:permissions, e.g. world:anyone:r or ip:10.0.0.0/8:crwda"};
  }
  return Json{{"scheme", text.substr(0, first)},
              {"id", text.substr(first + 1, last - first - 1)},
              {"permissions", text.substr(last + 1)}};
}

struct AclArgs {
  std::string path;
  std::vector<std::string> entries;
  std::optional<std::int64_t> version;
};

Outcome<void> set_acl(const Context& context, const AclArgs& args) {
  Json body;
  if (args.entries.size() == 1 && (args.entries[0] == "-" || args.entries[0].starts_with('@'))) {
    COORD_TRY(const std::string text, read_value(args.entries[0]));
    body = Json::parse(text, nullptr, false);
    if (body.is_discarded()) return Trouble{Exit::usage, "the ACL is not JSON", {}};
  } else {
    Json entries = Json::array();
    for (const std::string& entry : args.entries) {
      COORD_TRY(Json parsed, entry_of(entry));
      entries.push_back(std::move(parsed));
    }
    body = Json{{"acl", std::move(entries)}};
  }
  const std::string path = context.path(args.path);
  Target target("/v1/acl", path);
  if (args.version) target.add("version", std::to_string(*args.version));
  const Call call{"PUT",
                  target.text(),
                  {{"Content-Type", "application/json"}},
                  body.dump(-1, ' ', false, Json::error_handler_t::replace)};
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  if (context.print.output() == Output::table) {
    context.print.line(fmt::format("acl {}  revision {}", escaped(path),
                                   escaped(answer.header("Coord-Revision"))));
  }
  return success();
}

Action define_acl_set(CLI::App& app) {
  auto args = std::make_shared<AclArgs>();
  app.add_option("PATH", args->path, "the node")->required();
  app.add_option("ENTRY", args->entries,
                 "scheme:id:permissions, permissions of c r w d a; or @FILE or - with JSON")
      ->required();
  app.add_option("--version", args->version, "only if the ACL's version (aversion) is this")
      ->type_name("N");
  return [args](Context& context) { return set_acl(context, *args); };
}

constexpr std::array kAclVerbs = {
    Verb{"get",
         "print who may do what with a node",
         "  coordctl acl get /app",
         &define_acl_get,
         {},
         true},
    Verb{"set",
         "say who may do what with a node",
         "  coordctl acl set /app world:anyone:r digest:ann:HASH=:crwda\n"
         "  coordctl --user ann:secret acl set /app auth::crwda\n"
         "  coordctl acl set /app @acl.json",
         &define_acl_set,
         {},
         true},
};

// ---- quota

Outcome<void> get_quota(const Context& context, const std::string& path) {
  COORD_TRY(const Answer answer,
            context.get(context.read("/v1/quotas", context.path(path)), "application/json"));
  if (context.print.output() == Output::json) {
    context.print.json_body(answer.body);
    return success();
  }
  COORD_TRY(const Json body, parse_json(answer.body));
  for (const auto& [key, value] : body.items()) {
    if (value.is_object()) {
      for (const auto& [inner, ignored] : value.items()) {
        context.print.line(fmt::format("{:<16} {}", key + "." + inner, text_of(value, inner)));
      }
    } else {
      context.print.line(fmt::format("{:<16} {}", key, text_of(body, key)));
    }
  }
  return success();
}

Action define_quota_get(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  app.add_option("PATH", *path, "the top of the subtree")->required();
  return [path](Context& context) { return get_quota(context, *path); };
}

struct QuotaArgs {
  std::string path;
  std::optional<std::uint64_t> nodes;
  std::optional<std::uint64_t> bytes;
};

Outcome<void> change_quota(const Context& context, const Call& call, const std::string& path,
                           std::string_view what) {
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  if (context.print.output() == Output::table) {
    context.print.line(fmt::format("{} {}  revision {}", what, escaped(path),
                                   escaped(answer.header("Coord-Revision"))));
  }
  return success();
}

Outcome<void> set_quota(const Context& context, const QuotaArgs& args) {
  if (!args.nodes && !args.bytes) {
    return Trouble{Exit::usage, "a quota needs --nodes or --bytes", {}};
  }
  Json body = Json::object();
  if (args.nodes) body["nodes"] = *args.nodes;
  if (args.bytes) body["bytes"] = *args.bytes;
  const std::string path = context.path(args.path);
  return change_quota(context,
                      {"PUT",
                       Target("/v1/quotas", path).text(),
                       {{"Content-Type", "application/json"}},
                       body.dump()},
                      path, "quota");
}

Action define_quota_set(CLI::App& app) {
  auto args = std::make_shared<QuotaArgs>();
  app.add_option("PATH", args->path, "the top of the subtree")->required();
  app.add_option("--nodes", args->nodes, "at most so many nodes")->type_name("N");
  app.add_option("--bytes", args->bytes, "at most so many bytes of values")
      ->type_name("N")
      ->transform(CLI::AsSizeValue(false));
  return [args](Context& context) { return set_quota(context, *args); };
}

Action define_quota_rm(CLI::App& app) {
  auto given = std::make_shared<std::string>();
  app.add_option("PATH", *given, "the top of the subtree")->required();
  return [given](Context& context) {
    const std::string path = context.path(*given);
    return change_quota(context, {"DELETE", Target("/v1/quotas", path).text(), {}, {}}, path,
                        "removed the quota of");
  };
}

constexpr std::array kQuotaVerbs = {
    Verb{"get",
         "print the limits of a subtree and what is used",
         "  coordctl quota get /app",
         &define_quota_get,
         {},
         true},
    Verb{"set",
         "limit a subtree in nodes and bytes",
         "  coordctl quota set /app --nodes 10000 --bytes 64MB",
         &define_quota_set,
         {},
         true},
    Verb{"rm",
         "remove the limits of a subtree",
         "  coordctl quota rm /app",
         &define_quota_rm,
         {},
         true},
};

// ---- status, version, completion

Outcome<void> status(const Context& context) {
  COORD_TRY(const Answer answer, context.get(Target("/v1/status"), "application/json"));
  if (context.print.output() != Output::table) {
    context.print.json_body(answer.body);
    return success();
  }
  COORD_TRY(const Json body, parse_json(answer.body));
  for (const auto& [key, value] : body.items()) {
    std::string text = text_of(body, key);
    if (value.is_object()) {
      text.clear();
      for (const auto& [inner, ignored] : value.items()) {
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", inner, text_of(value, inner));
      }
    }
    context.print.line(fmt::format("{:<14} {}", key, text));
  }
  return success();
}

Action define_status(CLI::App&) {
  return [](Context& context) { return status(context); };
}

Outcome<void> version(const Context& context) {
  const auto server = context.get_json(Target("/version"));
  const std::string theirs = server ? text_of(server.value(), "version") : std::string();
  if (context.print.output() == Output::json) {
    context.print.json(
        Json{{"coordctl", COORD_VERSION}, {"coordd", theirs.empty() ? Json() : Json(theirs)}});
  } else if (context.print.output() == Output::raw) {
    context.print.line(COORD_VERSION);
  } else {
    context.print.line("coordctl " COORD_VERSION);
    context.print.line(theirs.empty() ? fmt::format("coordd   not reachable at {}",
                                                    to_string(context.client.endpoint()))
                                      : fmt::format("coordd   {}", theirs));
  }
  return success();
}

Action define_version(CLI::App&) {
  return [](Context& context) { return version(context); };
}

Action define_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  app.add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return [shell](Context& context) -> Outcome<void> {
    context.print.write(completion_script(*shell, describe_commands()));
    return success();
  };
}

// ---- bench

std::string latency(std::uint64_t nanoseconds) {
  const auto us = static_cast<double>(nanoseconds) / 1000.0;
  if (us < 1000) return fmt::format("{:.0f}us", us);
  if (us < 1e6) return fmt::format("{:.2f}ms", us / 1000.0);
  return fmt::format("{:.2f}s", us / 1e6);
}

Json latencies_of(const Histogram& histogram) {
  const auto us = [&](double fraction) {
    return static_cast<double>(histogram.percentile(fraction)) / 1000.0;
  };
  return Json{{"count", histogram.count()},
              {"mean_us", histogram.mean() / 1000.0},
              {"p50_us", us(0.5)},
              {"p90_us", us(0.9)},
              {"p99_us", us(0.99)},
              {"p999_us", us(0.999)},
              {"max_us", static_cast<double>(histogram.max()) / 1000.0}};
}

constexpr std::array kOps = {std::pair{"read", BenchOp::read}, std::pair{"write", BenchOp::write},
                             std::pair{"mixed", BenchOp::mixed},
                             std::pair{"create", BenchOp::create}};

void print_report(const Printer& print, const BenchOptions& options, const std::string& op,
                  const BenchReport& report) {
  Histogram all = report.reads;
  all.merge(report.writes);
  const double throughput = static_cast<double>(report.in_time) / report.seconds;
  if (print.output() != Output::table) {
    Json out{{"op", op},
             {"connections", options.connections},
             {"seconds", report.seconds},
             {"value_bytes", options.value_bytes},
             {"keys", options.keys},
             {"requests", all.count()},
             {"errors", report.errors},
             {"requests_per_second", throughput},
             {"all", latencies_of(all)},
             {"reads", latencies_of(report.reads)},
             {"writes", latencies_of(report.writes)}};
    if (options.rate > 0) {
      out["rate"] = options.rate;
      out["unsent"] = report.unsent;
    }
    if (report.errors > 0) out["first_error"] = report.first_error;
    return print.json(out);
  }
  Table table({{""},
               {"REQUESTS", true},
               {"P50", true},
               {"P90", true},
               {"P99", true},
               {"P99.9", true},
               {"MAX", true}});
  const auto row = [&](const std::string& name, const Histogram& histogram) {
    table.row({{name},
               {std::to_string(histogram.count())},
               {latency(histogram.percentile(0.5))},
               {latency(histogram.percentile(0.9))},
               {latency(histogram.percentile(0.99))},
               {latency(histogram.percentile(0.999))},
               {latency(histogram.max())}});
  };
  if (report.reads.count() > 0) row("reads", report.reads);
  if (report.writes.count() > 0) row("writes", report.writes);
  if (report.reads.count() > 0 && report.writes.count() > 0) row("all", all);
  print.line(fmt::format(
      "{:.0f} requests/s ({}, {} connections, {} byte values, {:.1f}s), {} "
      "errors",
      throughput, op, options.connections, options.value_bytes, report.seconds, report.errors));
  print.table(table);
  if (report.unsent > 0) {
    print.line(
        fmt::format("! {} requests were due but never sent: the rate is beyond what it can "
                    "do",
                    report.unsent));
  }
  if (report.errors > 0) print.line("! first error: " + report.first_error);
}

struct BenchArgs {
  BenchOptions options;
  std::string op = "mixed";
  std::optional<std::int64_t> duration_ms;
};

Outcome<void> bench(Context& context, const BenchArgs& args) {
  BenchOptions options = args.options;
  for (const auto& [name, op] : kOps) {
    if (args.op == name) options.op = op;
  }
  const ClientOptions& client = context.client.options();
  options.endpoints = client.endpoints;
  options.user = client.user;
  options.timeout = client.timeout;
  options.consistency = context.consistency;
  options.prefix = context.path(options.prefix);
  if (args.duration_ms) options.duration = std::chrono::milliseconds(*args.duration_ms);
  // The parent of all keys; that it is there already is fine.
  Target target("/v1/tree", options.prefix);
  const auto made = context.client.call(
      {"PUT", target.add("parents", "true").text(), {{"If-None-Match", "*"}}, {}});
  if (!made) return made.error();
  const Answer& answer = made.value();
  if (answer.status >= 400 && answer.status != 412) return trouble_of(answer.status, answer.body);
  COORD_TRY(const BenchReport report, run_bench(options));
  print_report(context.print, options, args.op, report);
  if (report.errors == 0) return success();
  return Trouble{Exit::other, fmt::format("{} requests failed", report.errors), {}};
}

Action define_bench(CLI::App& app) {
  auto args = std::make_shared<BenchArgs>();
  BenchOptions& options = args->options;
  app.add_option("--op", args->op, "read, write, mixed or create")
      ->check(CLI::IsMember({"read", "write", "mixed", "create"}));
  app.add_option("--connections", options.connections, "connections, spread over the endpoints")
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000}));
  add_duration(app, "--duration", args->duration_ms, "how long to measure");
  app.add_option("--keys", options.keys, "nodes that are read and written")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000'000}));
  app.add_option("--value-bytes", options.value_bytes, "size of the values")
      ->check(CLI::Range(std::size_t{0}, std::size_t{64} << 20));
  app.add_option("--reads", options.reads, "share of reads in mixed")->check(CLI::Range(0.0, 1.0));
  app.add_option("--rate", options.rate,
                 "open loop: so many requests a second, latency counted from the time due")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--prefix", options.prefix, "the node under which the keys are");
  return [args](Context& context) { return bench(context, *args); };
}

}  // namespace

const Verb kAcl{"acl", "read and change who may do what with a node",
                "  coordctl acl get /app\n"
                "  coordctl acl set /app world:anyone:r auth::crwda",
                nullptr, kAclVerbs};
const Verb kQuota{"quota", "read and change the limits of a subtree",
                  "  coordctl quota get /app\n"
                  "  coordctl quota set /app --nodes 10000 --bytes 64MB",
                  nullptr, kQuotaVerbs};
const Verb kStatus{"status", "print the state of the member that answers",
                   "  coordctl status\n"
                   "  coordctl --output json status | jq .leader",
                   &define_status};
const Verb kBench{"bench", "measure throughput and latencies",
                  "  coordctl bench --op read\n"
                  "  coordctl bench --op mixed --reads 0.9 --connections 64 --duration 10s\n"
                  "  coordctl bench --op write --rate 5000      # at an equal offered load\n"
                  "  coordctl --output json bench --op create | jq .writes.p99_us\n"
                  "  coordctl rm -r /bench                      # cleans up",
                  &define_bench};
const Verb kVersion{"version", "print the versions of coordctl and of the server",
                    "  coordctl version", &define_version};
const Verb kCompletion{"completion", "print the completion script of a shell",
                       "  source <(coordctl completion bash)\n"
                       "  coordctl completion zsh > ~/.zfunc/_coordctl\n"
                       "  coordctl completion fish > ~/.config/fish/completions/coordctl.fish",
                       &define_completion};

}  // namespace coord::cli
