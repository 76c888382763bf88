// counter and decide, and what the verbs of recipes share.
#include "cli/verbs_recipes.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include "cli/text.hpp"

namespace coord::cli {

std::string route_of(std::string_view directory, std::string_view name) {
  return fmt::format("{}/{}", directory, percent_encoded(name, false));
}

Call json_call(std::string_view method, const Target& target, std::string body) {
  Call call{std::string(method), target.text(), {{"Accept", "application/json"}}, std::move(body)};
  if (!call.body.empty()) call.headers.emplace_back("Content-Type", "application/json");
  return call;
}

Outcome<Json> call_json(const Context& context, const Call& call) {
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  if (answer.status == 204) return Json::object();
  return parse_json(answer.body);
}

Outcome<Json> list_all(const Context& context, std::string_view route, std::string_view name,
                       std::string_view query) {
  Json all = Json::array();
  std::string cursor;
  do {
    Target target = context.read(route, "");
    if (!query.empty()) target.add(query, "true");
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(const Json page, context.get_json(target));
    for (const Json& entry : page.value(std::string(name), Json::array())) all.push_back(entry);
    cursor = page.value("cursor", std::string());
  } while (!cursor.empty());
  return all;
}

void print_entries(const Context& context, std::string_view name, const Json& entries,
                   const std::vector<std::string_view>& fields) {
  if (context.print.output() == Output::json) {
    context.print.json(Json{{std::string(name), entries}});
    return;
  }
  std::vector<std::string> titles;
  for (const auto field : fields) {
    titles.emplace_back(field);
    std::transform(titles.back().begin(), titles.back().end(), titles.back().begin(),
                   [](unsigned char c) { return c == '_' ? ' ' : std::toupper(c); });
  }
  std::vector<Column> columns;
  for (const auto& title : titles) columns.push_back({title});
  Table table(std::move(columns));
  for (const Json& entry : entries) {
    if (context.print.output() == Output::raw) {
      context.print.line(text_of(entry, fields.front()));
      continue;
    }
    std::vector<Cell> row;
    for (const auto field : fields) {
      row.push_back({field == "value" ? value_cell_of(entry, 60) : escaped(text_of(entry, field))});
    }
    table.row(std::move(row));
  }
  if (context.print.output() == Output::table) context.print.table(table);
}

namespace {

// ---- counter

struct CounterArgs {
  std::string name;
  std::int64_t add = 1;
  std::optional<std::int64_t> block;
};

void print_counter(const Context& context, const Json& body) {
  if (context.print.output() == Output::json) {
    context.print.json(body);
  } else if (body.contains("first")) {
    context.print.line(fmt::format("{} {}", text_of(body, "first"), text_of(body, "last")));
  } else {
    context.print.line(text_of(body, "value"));
  }
}

Outcome<void> add_to_counter(const Context& context, const CounterArgs& args) {
  Target target(route_of("/v1/counters", args.name));
  if (args.block) {
    target.add("block", std::to_string(*args.block));
  } else {
    target.add("add", std::to_string(args.add));
  }
  COORD_TRY(const Json body, call_json(context, json_call("POST", target)));
  print_counter(context, body);
  return success();
}

Action define_counter_add(CLI::App& app) {
  auto args = std::make_shared<CounterArgs>();
  app.add_option("NAME", args->name, "the counter; made if there is none")->required();
  auto* number = app.add_option("N", args->add, "how much; 1 if left out, may be negative");
  app.add_option("--block", args->block, "take a block of so many ids: prints first and last")
      ->type_name("N")
      ->excludes(number);
  return [args](Context& context) { return add_to_counter(context, *args); };
}

Outcome<void> get_counter(const Context& context, const std::string& name) {
  COORD_TRY(const Json body, context.get_json(context.read(route_of("/v1/counters", name), "")));
  print_counter(context, body);
  return success();
}

Action define_counter_get(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name, "the counter")->required();
  return [name](Context& context) { return get_counter(context, *name); };
}

Outcome<void> list_counters(const Context& context) {
  COORD_TRY(const Json all, list_all(context, "/v1/counters", "counters"));
  print_entries(context, "counters", all, {"name", "value"});
  return success();
}

Action define_counter_list(CLI::App&) {
  return [](Context& context) { return list_counters(context); };
}

Outcome<void> remove_counter(const Context& context, const std::string& name) {
  COORD_TRY(call_json(context, json_call("DELETE", Target(route_of("/v1/counters", name)))));
  return success();
}

Action define_counter_remove(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name, "the counter")->required();
  return [name](Context& context) { return remove_counter(context, *name); };
}

constexpr std::array kCounterVerbs = {
    Verb{"add", "add to a counter and print its new value",
         "  coordctl counter add visits\n"
         "  coordctl counter add visits -- -5\n"
         "  coordctl counter add ids --block 1000",
         &define_counter_add},
    Verb{"get", "print a counter's value", "  coordctl counter get visits", &define_counter_get},
    Verb{"ls", "list the counters", "  coordctl counter ls", &define_counter_list},
    Verb{"rm", "remove a counter: it begins from zero again", "  coordctl counter rm visits",
         &define_counter_remove},
};

// ---- decide

struct DecideArgs {
  std::string name;
  std::optional<std::string> value;
  std::string type;
  std::string proposer;
  std::optional<std::int64_t> wait_ms;
};

void print_decision(const Context& context, const Json& body) {
  if (context.print.output() == Output::json) {
    context.print.json(body);
    return;
  }
  const auto value = value_bytes_of(body);
  context.print.write(value);
  if (context.print.output() == Output::raw) return;
  if (!value.ends_with('\n')) context.print.write("\n");
  if (body.value("chosen_by_me", false)) context.print.note("note: chosen by this proposal");
}

Outcome<void> decide(const Context& context, const DecideArgs& args) {
  Target target(route_of("/v1/decisions", args.name));
  if (!args.proposer.empty()) target.add("proposer", args.proposer);
  COORD_TRY(const std::string value, read_value(*args.value));
  Call call{"POST", target.text(), {{"Accept", "application/json"}}, value};
  if (!args.type.empty()) call.headers.emplace_back("Content-Type", args.type);
  COORD_TRY(const Json body, call_json(context, call));
  print_decision(context, body);
  return success();
}

Outcome<void> learn(const Context& context, const DecideArgs& args) {
  Target target = context.read(route_of("/v1/decisions", args.name), "");
  if (args.wait_ms) target.add("wait", format_duration_ms(*args.wait_ms));
  Call call = json_call("GET", target);
  call.wait = std::chrono::milliseconds(args.wait_ms.value_or(0));
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  if (answer.status == 304) {
    return Trouble{
        Exit::timed_out, fmt::format("nothing was decided about {} in time", args.name), {}};
  }
  COORD_TRY(const Json body, parse_json(answer.body));
  print_decision(context, body);
  return success();
}

Action define_decide(CLI::App& app) {
  auto args = std::make_shared<DecideArgs>();
  app.add_option("NAME", args->name, "what is decided")->required();
  app.add_option("VALUE", args->value,
                 "the proposal (- for stdin, @FILE for a file); left out: only learn the value");
  app.add_option("--type", args->type, "the value's content type")->type_name("MIME");
  app.add_option("--proposer", args->proposer, "a name by which a retry is known")
      ->type_name("NAME");
  add_duration(app, "--wait", args->wait_ms, "without a VALUE: wait until one is chosen");
  return [args](Context& context) {
    return args->value ? decide(context, *args) : learn(context, *args);
  };
}

}  // namespace

const Verb kCounter{"counter", "numbers that many add to, and blocks of ids",
                    "  coordctl counter add visits", nullptr, kCounterVerbs};
const Verb kDecide{"decide", "propose a value and print the one that was chosen",
                   "  coordctl decide colour blue\n"
                   "  coordctl decide colour --wait 30s",
                   &define_decide};

}  // namespace coord::cli
