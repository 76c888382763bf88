// queue: put, take (and work on), acknowledge.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

#include "cli/tend.hpp"
#include "cli/text.hpp"
#include "cli/verbs_recipes.hpp"

namespace coord::cli {
namespace {

constexpr std::int64_t kLeaseMs = 30'000;
constexpr std::int64_t kRenewalsPerLease = 3;

struct QueueArgs {
  std::string name;
  std::string value;
  std::string type;
  std::string item;
  std::string lease;
  std::optional<std::int64_t> lease_ms;
  std::optional<std::int64_t> wait_ms;
  std::vector<std::string> command;
};

std::string route(const QueueArgs& args) { return route_of("/v1/queues", args.name); }

// ---- put

Outcome<void> put(const Context& context, const QueueArgs& args) {
  COORD_TRY(const std::string value, read_value(args.value));
  Call call{"POST", route(args), {{"Accept", "application/json"}}, value};
  if (!args.type.empty()) call.headers.emplace_back("Content-Type", args.type);
  COORD_TRY(const Json body, call_json(context, call));
  if (context.print.output() == Output::json) {
    context.print.json(body);
  } else {
    context.print.line(text_of(body, "item"));
  }
  return success();
}

Action define_put(CLI::App& app) {
  auto args = std::make_shared<QueueArgs>();
  app.add_option("NAME", args->name, "the queue; made if there is none")->required();
  app.add_option("VALUE", args->value, "the item; - is stdin, @FILE a file")->required();
  app.add_option("--type", args->type, "its content type")->type_name("MIME");
  return [args](Context& context) { return put(context, *args); };
}

// ---- take

Call held_call(std::string_view method, const QueueArgs& args, const Json& taken,
               std::optional<std::int64_t> for_ms) {
  Target target(route_of(route(args), text_of(taken, "item")));
  target.add("lease", text_of(taken, "lease"));
  if (for_ms) target.add("for", fmt::format("{}ms", *for_ms));
  return json_call(method, target);
}

// Runs the command on the item: acknowledged when it succeeds, given back when it does not.
Outcome<void> work_on(const Context& context, const QueueArgs& args, const Json& taken) {
  const auto lease_ms = args.lease_ms.value_or(kLeaseMs);
  TendedCommand child;
  child.command = args.command;
  child.input = value_bytes_of(taken);
  child.environment = {{"COORD_QUEUE", args.name},
                       {"COORD_ITEM", text_of(taken, "item")},
                       {"COORD_LEASE", text_of(taken, "lease")},
                       {"COORD_DELIVERIES", text_of(taken, "deliveries")}};
  const std::chrono::milliseconds interval(std::max<std::int64_t>(1, lease_ms / kRenewalsPerLease));
  const auto status = run_tended(child, interval, [&]() -> Outcome<void> {
    COORD_TRY(call_json(context, held_call("PUT", args, taken, lease_ms)));
    return success();
  });
  if (!status) return status.error();
  if (status.value() == 0) {
    COORD_TRY(call_json(context, held_call("DELETE", args, taken, std::nullopt)));
    return success();
  }
  COORD_TRY(call_json(context, held_call("PUT", args, taken, 0)));
  context.print.note(fmt::format("note: the command exited with {}; item {} is given back",
                                 status.value(), text_of(taken, "item")));
  return end_with(status.value());
}

Outcome<void> take(const Context& context, const QueueArgs& args) {
  Target target(route(args) + "/take");
  target.add("lease", fmt::format("{}ms", args.lease_ms.value_or(kLeaseMs)));
  if (args.wait_ms) target.add("wait", format_duration_ms(*args.wait_ms));
  Call call = json_call("POST", target);
  call.wait = std::chrono::milliseconds(args.wait_ms.value_or(0));
  COORD_TRY(const Json taken, call_json(context, call));
  if (!taken.contains("item")) {
    const bool has_waited = args.wait_ms.value_or(0) > 0;
    return Trouble{has_waited ? Exit::timed_out : Exit::not_found,
                   fmt::format("nothing is ready in the queue {}", args.name),
                   {}};
  }
  if (!args.command.empty()) return work_on(context, args, taken);
  if (context.print.output() == Output::json) {
    context.print.json(taken);
    return success();
  }
  if (context.print.output() == Output::raw) {
    context.print.write(value_bytes_of(taken));
  } else {
    context.print.line(value_cell_of(taken, 10'000));
  }
  context.print.note(fmt::format("note: coordctl queue ack {} {} {}", cli::quoted(args.name),
                                 text_of(taken, "item"), text_of(taken, "lease")));
  return success();
}

Action define_take(CLI::App& app) {
  auto args = std::make_shared<QueueArgs>();
  app.add_option("NAME", args->name, "the queue")->required();
  add_duration(app, "--lease", args->lease_ms,
               "it is given to another one unless it is acknowledged in so long (30s)");
  add_duration(app, "--wait", args->wait_ms, "wait so long for an item");
  app.add_option(
      "COMMAND", args->command,
      "run this with the item on its stdin; the lease is renewed meanwhile, and the item "
      "acknowledged if it exits with 0, else given back");
  return [args](Context& context) { return take(context, *args); };
}

// ---- ack, renew

Outcome<void> act(const Context& context, const QueueArgs& args, std::string_view method) {
  Target target(route_of(route(args), args.item));
  if (!args.lease.empty()) target.add("lease", args.lease);
  if (args.lease_ms) target.add("for", fmt::format("{}ms", *args.lease_ms));
  COORD_TRY(call_json(context, json_call(method, target)));
  return success();
}

void add_item(CLI::App& app, QueueArgs& args) {
  app.add_option("NAME", args.name, "the queue")->required();
  app.add_option("ITEM", args.item, "the item's number")->required();
  app.add_option("LEASE", args.lease, "the lease that it was taken with; left out for a dead item");
}

Action define_ack(CLI::App& app) {
  auto args = std::make_shared<QueueArgs>();
  add_item(app, *args);
  return [args](Context& context) { return act(context, *args, "DELETE"); };
}

Action define_renew(CLI::App& app) {
  auto args = std::make_shared<QueueArgs>();
  add_item(app, *args);
  add_duration(app, "--for", args->lease_ms, "from now on (30s); 0s gives the item back");
  return [args](Context& context) { return act(context, *args, "PUT"); };
}

// ---- ls, rm

Outcome<void> list(const Context& context, const QueueArgs& args) {
  if (args.name.empty()) {
    COORD_TRY(const Json all, list_all(context, "/v1/queues", "queues"));
    print_entries(context, "queues", all, {"name", "ready", "leased", "dead", "waiting", "bytes"});
    return success();
  }
  COORD_TRY(const Json all, list_all(context, route(args) + "/items", "items", "values"));
  print_entries(context, "items", all, {"item", "state", "deliveries", "size", "put", "value"});
  return success();
}

Action define_queue_list(CLI::App& app) {
  auto args = std::make_shared<QueueArgs>();
  app.add_option("NAME", args->name, "the items of this queue; left out: all queues");
  return [args](Context& context) { return list(context, *args); };
}

Action define_remove(CLI::App& app) {
  auto args = std::make_shared<QueueArgs>();
  auto all = std::make_shared<bool>(false);
  app.add_option("NAME", args->name, "the queue")->required();
  app.add_flag("-r,--recursive", *all, "with the items that are in it");
  return [args, all](Context& context) -> Outcome<void> {
    Target target(route(*args));
    if (*all) target.add("recursive", "true");
    COORD_TRY(call_json(context, json_call("DELETE", target)));
    return success();
  };
}

constexpr std::array kQueueVerbs = {
    Verb{"put", "put an item at the end of a queue and print its number",
         "  coordctl queue put jobs 'resize 1.png'\n"
         "  coordctl queue put jobs @job.json --type application/json",
         &define_put},
    Verb{"take", "take the first item, or run a command on it",
         "  coordctl queue take jobs --lease 1m --wait 30s\n"
         "  coordctl queue take jobs --wait 30s -- ./work.sh",
         &define_take},
    Verb{"ack", "acknowledge an item: it is done", "  coordctl queue ack jobs 57 58", &define_ack},
    Verb{"renew", "renew the lease of an item, or give it back",
         "  coordctl queue renew jobs 57 58 --for 5m\n"
         "  coordctl queue renew jobs 57 58 --for 0s",
         &define_renew},
    Verb{"ls", "list the queues, or the items of one", "  coordctl queue ls jobs",
         &define_queue_list},
    Verb{"rm", "remove a queue", "  coordctl queue rm jobs -r", &define_remove},
};

}  // namespace

const Verb kQueue{"queue", "work handed out first come, first served, under leases",
                  "  coordctl queue take jobs --wait 30s -- ./work.sh", nullptr, kQueueVerbs};

}  // namespace coord::cli
