// ls, get, stat, tree, walk, history.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "cli/stream_parser.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace coord::cli {
namespace {

constexpr std::size_t kPage = 1000;
constexpr std::size_t kOwnersMax = 100;  // Sessions that a listing asks the names of.
constexpr std::size_t kValueColumns = 60;
constexpr std::chrono::milliseconds kWalkIdle{30'000};

struct ListArgs {
  std::string path = ".";
  bool is_long = false;
  bool with_values = false;
  bool with_system = false;
  std::string prefix;
  std::optional<std::size_t> limit;
};

// "51 web-1": the id and the name that the session was opened with. A name that cannot be had is
// left out: a listing must not fail because a session has just ended.
std::string owner_of(const Context& context, const Json& stat,
                     std::map<std::string, std::string>& known) {
  const std::string id = text_of(stat, "ephemeral_owner");
  if (id == "-") return id;
  const auto found = known.find(id);
  if (found != known.end()) return found->second;
  std::string text = id;
  if (known.size() < kOwnersMax) {
    const auto view = context.get_json(Target("/v1/sessions/" + percent_encoded(id, false)));
    const std::string name = view ? text_of(view.value(), "name") : "-";
    if (name != "-" && !name.empty()) text += " " + name;
  }
  known.emplace(id, text);
  return text;
}

Json as_object(const Json& child) { return child.is_object() ? child : Json{{"name", child}}; }

std::string name_of(const Json& child) {
  const Json object = as_object(child);
  return object.contains("name") && object["name"].is_string() ? object["name"].get<std::string>()
                                                               : std::string();
}

void print_names(const Context& context, const Json& children) {
  for (const Json& child : children) {
    const std::string name = name_of(child);
    context.print.line(context.print.output() == Output::raw ? name : escaped(name));
  }
}

void print_children(const Context& context, const ListArgs& args, const Json& children) {
  if (args.is_long) {
    std::vector<LongEntry> entries;
    std::map<std::string, std::string> owners;
    for (const Json& child : children) {
      const Json stat = child.value("stat", Json::object());
      entries.push_back({name_of(child), stat, owner_of(context, stat, owners)});
    }
    context.print.table(long_listing(entries));
    return;
  }
  Table table({{"NAME"}, {"VALUE"}});
  for (const Json& child : children) {
    table.row({{escaped(name_of(child))}, {value_cell_of(child, kValueColumns)}});
  }
  context.print.table(table);
}

Outcome<void> list(const Context& context, const ListArgs& args) {
  const bool is_json = context.print.output() == Output::json;
  const bool is_plain =
      context.print.output() == Output::raw || (!args.is_long && !args.with_values);
  Json whole;
  Json children = Json::array();
  std::string cursor;
  std::size_t left = args.limit.value_or(SIZE_MAX);
  do {
    Target target = context.read("/v1/children", context.path(args.path));
    target.add("limit", std::to_string(std::max<std::size_t>(1, std::min(left, kPage))));
    if (args.is_long) target.add("stat", "true");
    if (args.with_values) target.add("values", "true");
    if (args.with_system) target.add("system", "true");
    if (!args.prefix.empty()) target.add("prefix", args.prefix);
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(Json page, context.get_json(target));
    Json found = page.value("children", Json::array());
    left -= std::min(left, found.size());
    cursor = page.contains("cursor") && page["cursor"].is_string()
                 ? page["cursor"].get<std::string>()
                 : std::string();
    // Names go out page by page: a million of them need not be held.
    if (is_plain && !is_json) {
      print_names(context, found);
    } else {
      for (Json& child : found) children.push_back(std::move(child));
    }
    if (is_json) whole = std::move(page);
  } while (!cursor.empty() && left > 0);
  if (is_json) {
    whole["children"] = std::move(children);
    context.print.json(whole);
  } else if (!is_plain) {
    print_children(context, args, children);
  }
  return success();
}

Action define_ls(CLI::App& app) {
  auto args = std::make_shared<ListArgs>();
  app.add_option("PATH", args->path, "the node whose children are listed");
  app.add_flag("-l,--long", args->is_long, "type, version, size, children, time and session");
  app.add_flag("--values", args->with_values, "with the values");
  app.add_option("--limit", args->limit, "at most so many")->type_name("N");
  app.add_option("--prefix", args->prefix, "only names that begin so")->type_name("TEXT");
  app.add_flag("--system", args->with_system, "the service's own nodes too");
  return [args](Context& context) { return list(context, *args); };
}

struct GetArgs {
  std::string path;
  std::optional<std::uint64_t> at;
  bool with_stat = false;
};

Outcome<void> get(const Context& context, const GetArgs& args) {
  Target target = context.read("/v1/tree", context.path(args.path));
  if (args.at) target.add("at", std::to_string(*args.at));
  const Printer& print = context.print;
  if (print.output() == Output::json) {
    COORD_TRY(const Answer answer, context.get(target.add("as", "json"), "application/json"));
    print.json_body(answer.body);
    return success();
  }
  COORD_TRY(const Answer answer, context.get(target.add("as", "raw"), "*/*"));
  print.write(answer.body);
  // On a terminal the prompt must not stand behind the value; a pipe gets the bytes alone.
  const bool is_plain_terminal = print.is_terminal() && print.output() == Output::table;
  if (is_plain_terminal && !answer.body.empty() && !answer.body.ends_with('\n')) print.line("");
  if (args.with_stat) print.note(escaped(answer.header("Coord-Stat")));
  return success();
}

Action define_get(CLI::App& app) {
  auto args = std::make_shared<GetArgs>();
  app.add_option("PATH", args->path, "the node")->required();
  app.add_option("--at", args->at, "as it was at this revision")->type_name("REV");
  app.add_flag("--stat", args->with_stat, "its stat too, on stderr");
  return [args](Context& context) { return get(context, *args); };
}

Outcome<void> stat(const Context& context, const std::string& path) {
  COORD_TRY(const Json stat, context.get_json(context.read("/v1/stat", context.path(path))));
  if (context.print.output() == Output::json) {
    context.print.json(stat);
    return success();
  }
  for (const auto& [key, value] : stat.items()) {
    const bool is_time = key == "ctime" || key == "mtime";
    const std::string text = is_time ? time_of(stat, key) : text_of(stat, key);
    context.print.line(context.print.output() == Output::raw ? fmt::format("{}={}", key, text)
                                                             : fmt::format("{:<16} {}", key, text));
  }
  return success();
}

Action define_stat(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  app.add_option("PATH", *path, "the node")->required();
  return [path](Context& context) { return stat(context, *path); };
}

struct WalkArgs {
  std::string path = ".";
  std::string depth;
  bool with_values = false;
  bool with_system = false;
};

void add_walk_options(CLI::App& app, WalkArgs& args) {
  app.add_option("PATH", args.path, "the top of the subtree");
  app.add_option("--depth", args.depth, "levels below the top, or all")->type_name("N");
  app.add_flag("--values", args.with_values, "with the values");
  app.add_flag("--system", args.with_system, "the service's own nodes too");
}

// Each line of the walk, as it arrives.
Outcome<void> walk_lines(const Context& context, const WalkArgs& args,
                         const std::function<void(const std::string&)>& on_line) {
  Target target = context.read("/v1/walk", context.path(args.path));
  if (!args.depth.empty()) target.add("depth", args.depth);
  if (args.with_values) target.add("values", "true");
  if (args.with_system) target.add("system", "true");
  NdjsonParser parser;
  const Call call{"GET", target.text(), {{"Accept", "application/x-ndjson"}}, {}};
  COORD_TRY(const Answer answer, context.client.stream(
                                     call,
                                     [&](std::string_view piece) {
                                       for (const std::string& line : parser.feed(piece)) {
                                         on_line(line);
                                       }
                                       return parser.ok();
                                     },
                                     kWalkIdle));
  if (answer.status >= 400) return trouble_of(answer.status, answer.body);
  if (answer.is_cut || !parser.ok()) {
    return Trouble{Exit::unavailable, "the walk was cut before its end", {}};
  }
  if (const auto last = parser.finish()) on_line(*last);
  return success();
}

Outcome<void> walk(const Context& context, const WalkArgs& args) {
  return walk_lines(context, args, [&](const std::string& line) {
    if (context.print.output() == Output::json) return context.print.line(line);
    const Json node = Json::parse(line, nullptr, false);
    std::string text = context.print.output() == Output::raw && node.is_object()
                           ? node.value("path", "")
                           : text_of(node, "path");
    if (args.with_values) text += "\t" + value_cell_of(node, SIZE_MAX);
    context.print.line(text);
  });
}

Action define_walk(CLI::App& app) {
  auto args = std::make_shared<WalkArgs>();
  add_walk_options(app, *args);
  return [args](Context& context) { return walk(context, *args); };
}

Outcome<void> tree(const Context& context, const WalkArgs& args) {
  if (context.print.output() == Output::json) return walk(context, args);
  std::vector<TreeNode> nodes;
  COORD_TRY(walk_lines(context, args, [&](const std::string& line) {
    const Json node = Json::parse(line, nullptr, false);
    if (!node.is_object()) return;
    const Json stat = node.value("stat", Json::object());
    const std::string mode = mode_of(stat);
    TreeNode drawn{node.value("path", ""), {}, Colour::none};
    if (text_of(stat, "num_children") != "0" && text_of(stat, "num_children") != "-") {
      drawn.colour = Colour::blue;
    }
    if (mode != "persistent") drawn.suffix = fmt::format(" ({})", mode);
    if (mode == "ephemeral") drawn.colour = Colour::yellow;
    if (args.with_values) drawn.suffix += " = " + value_cell_of(node, kValueColumns);
    nodes.push_back(std::move(drawn));
  }));
  context.print.write(
      draw_tree(context.path(args.path), std::move(nodes), context.print.with_colours()));
  return success();
}

Action define_tree(CLI::App& app) {
  auto args = std::make_shared<WalkArgs>();
  add_walk_options(app, *args);
  return [args](Context& context) { return tree(context, *args); };
}

struct HistoryArgs {
  std::string path;
  std::optional<std::size_t> limit;
};

// The whole history, page by page, or the last so many: {"path", "history", "oldest_revision",
// ...}.
Outcome<Json> read_history(const Context& context, const HistoryArgs& args) {
  Json whole;
  Json versions = Json::array();
  std::string cursor;
  std::size_t left = args.limit.value_or(SIZE_MAX);
  do {
    Target target = context.read("/v1/history", context.path(args.path));
    target.add("limit", std::to_string(std::max<std::size_t>(1, std::min(left, kPage))));
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(Json page, context.get_json(target));
    Json found = page.value("history", Json::array());
    left -= std::min(left, found.size());
    for (Json& version : found) versions.push_back(std::move(version));
    cursor = page.contains("cursor") && page["cursor"].is_string()
                 ? page["cursor"].get<std::string>()
                 : std::string();
    whole = std::move(page);
  } while (!cursor.empty() && left > 0);
  whole["history"] = std::move(versions);
  return whole;
}

Outcome<void> history(const Context& context, const HistoryArgs& args) {
  COORD_TRY(const Json whole, read_history(context, args));
  if (context.print.output() == Output::json) {
    context.print.json(whole);
    return success();
  }
  Table table({{"REVISION", true}, {"TIME"}, {"KIND"}, {"VERSION", true}, {"SESSION"}, {"VALUE"}});
  for (const Json& version : whole["history"]) {
    table.row({{text_of(version, "revision")},
               {time_of(version, "time"), Colour::dim},
               {text_of(version, "kind")},
               {text_of(version, "version")},
               {text_of(version, "session")},
               {value_cell_of(version, kValueColumns)}});
  }
  context.print.table(table);
  return success();
}

Action define_history(CLI::App& app) {
  auto args = std::make_shared<HistoryArgs>();
  app.add_option("PATH", args->path, "the node")->required();
  app.add_option("--limit", args->limit, "the last so many")->type_name("N");
  return [args](Context& context) { return history(context, *args); };
}

}  // namespace

const Verb kLs{"ls",
               "list the children of a node",
               "  coordctl ls /\n"
               "  coordctl ls -l /app\n"
               "  coordctl ls --values --prefix web- /app\n"
               "  coordctl --output json ls /app | jq -r '.children[]'",
               &define_ls,
               {},
               true};
const Verb kGet{"get",
                "print the value of a node",
                "  coordctl get /app/config\n"
                "  coordctl get --stat /app/config\n"
                "  coordctl get --at 42 /app/config      # as it was at revision 42\n"
                "  coordctl --output raw get /logo > logo.png",
                &define_get,
                {},
                true};
const Verb kStat{"stat",
                 "print what is known of a node: versions, times, owner, sizes",
                 "  coordctl stat /app\n"
                 "  coordctl --output json stat /app | jq .mzxid",
                 &define_stat,
                 {},
                 true};
const Verb kTree{"tree",
                 "draw a subtree",
                 "  coordctl tree /\n"
                 "  coordctl tree --depth 2 --values /app",
                 &define_tree,
                 {},
                 true};
const Verb kWalk{"walk",
                 "print every path of a subtree, at one revision",
                 "  coordctl walk /app\n"
                 "  coordctl --output json walk --values / > dump.ndjson",
                 &define_walk,
                 {},
                 true};
const Verb kHistory{"history",
                    "print the past versions of a node",
                    "  coordctl history /app/config\n"
                    "  coordctl history --limit 5 /app/config",
                    &define_history,
                    {},
                    true};

}  // namespace coord::cli
