// service: who offers what, and being one of them.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>

#include "cli/interrupt.hpp"
#include "cli/tend.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace coord::cli {
namespace {

constexpr std::int64_t kTtlMs = 15'000;
constexpr std::int64_t kRetryMs = 500;  // After a heartbeat that did not reach anybody.

std::string target_of(const std::string& service, const std::string& instance,
                      std::string_view rest = {}) {
  return fmt::format("/v1/services/{}/{}{}", percent_encoded(service, false),
                     percent_encoded(instance, false), rest);
}

// "KEY=VALUE", or Trouble.
Outcome<std::pair<std::string, std::string>> split_pair(const std::string& flag,
                                                        const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Trouble{Exit::usage, fmt::format("{}: \"{}\" is not KEY=VALUE", flag, text), {}};
  }
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

// ---- register

struct RegisterArgs {
  std::string service;
  std::string instance;
  std::string address;
  std::uint32_t port = 0;
  std::optional<std::uint32_t> weight;
  std::vector<std::string> tags;
  std::vector<std::string> meta;
  std::vector<std::string> checks;
  std::optional<std::int64_t> check_interval_ms;
  std::optional<std::int64_t> ttl_ms;
  bool takes_over = false;
  std::vector<std::string> command;
};

// "HOST-PORT", of this host.
std::string default_instance(const RegisterArgs& args) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = 0;
  std::string name(host.data());
  if (name.empty()) name = "host";
  return args.port == 0 ? name : fmt::format("{}-{}", name, args.port);
}

Outcome<Json> body_of(const RegisterArgs& args, bool has_session) {
  Json body = Json::object();
  if (!args.address.empty()) body["address"] = args.address;
  if (args.port != 0) body["port"] = args.port;
  if (args.weight) body["weight"] = *args.weight;
  if (!args.tags.empty()) body["tags"] = args.tags;
  for (const auto& one : args.meta) {
    COORD_TRY(const auto pair, split_pair("--meta", one));
    body["meta"][pair.first] = pair.second;
  }
  for (const auto& one : args.checks) {
    COORD_TRY(const auto pair, split_pair("--check", one));
    if (pair.first != "http" && pair.first != "tcp") {
      return Trouble{Exit::usage, "--check takes http=URL or tcp=HOST:PORT", {}};
    }
    Json check = Json::object();
    check[pair.first] = pair.second;
    if (args.check_interval_ms) check["interval_ms"] = *args.check_interval_ms;
    body["checks"].push_back(std::move(check));
  }
  if (!has_session) body["ttl_ms"] = args.ttl_ms.value_or(kTtlMs);
  if (args.takes_over) body["takeover"] = true;
  return body;
}

Outcome<Json> enlist(Context& context, const RegisterArgs& args, const Json& body) {
  const Call call{"PUT",
                  target_of(args.service, args.instance),
                  {{"Content-Type", "application/json"}, {"Accept", "application/json"}},
                  body.dump(-1, ' ', false, Json::error_handler_t::replace)};
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  return parse_json(answer.body);
}

// One sign of life. An instance that is gone (this host slept, say) is registered again. Gives the
// time until the next.
std::int64_t renew(Context& context, const RegisterArgs& args, const Json& body,
                   std::int64_t beat_ms) {
  const auto renewed = context.client.call_ok(
      {"POST", target_of(args.service, args.instance, "/heartbeat"), {}, {}});
  if (renewed) return beat_ms;
  auto trouble = renewed.error();
  if (trouble.exit == Exit::interrupted) return beat_ms;
  if (trouble.exit == Exit::not_found) {
    const auto again = enlist(context, args, body);
    if (again) {
      context.print.note("note: the registration was gone; registered again");
      return beat_ms;
    }
    trouble = again.error();
  }
  context.print.note("note: " + trouble.message + "; trying on");
  return std::min(beat_ms, kRetryMs);
}

void leave(Context& context, const RegisterArgs& args) {
  // An interrupt ended the waiting; this is what follows it, and must not be cut by it.
  Interrupt::clear();
  const auto gone =
      context.client.call_ok({"DELETE", target_of(args.service, args.instance), {}, {}});
  if (!gone && gone.error().exit != Exit::not_found) {
    context.print.note("note: it stays registered for its ttl: " + gone.error().message);
  }
}

Outcome<void> enlist_and_keep(Context& context, RegisterArgs args) {
  if (args.instance.empty()) args.instance = default_instance(args);
  const bool has_session = !context.client.options().session.empty();
  COORD_TRY(const Json body, body_of(args, has_session));
  COORD_TRY(const Json registered, enlist(context, args, body));
  const auto beat_ms = args.ttl_ms.value_or(kTtlMs) / 3;
  context.print.note(fmt::format("registered {} of {} at {}:{}", escaped(args.instance),
                                 escaped(args.service), escaped(text_of(registered, "address")),
                                 escaped(text_of(registered, "port"))));
  auto next_ms = beat_ms;
  if (args.command.empty()) {
    while (context.client.pause(std::chrono::milliseconds(next_ms))) {
      next_ms = renew(context, args, body, beat_ms);
    }
    leave(context, args);
    return success();
  }
  TendedCommand command;
  command.command = args.command;
  command.environment = {{"COORD_SERVICE", args.service}, {"COORD_INSTANCE", args.instance}};
  using Clock = std::chrono::steady_clock;
  auto due = Clock::now() + std::chrono::milliseconds(beat_ms);
  const std::chrono::milliseconds interval(std::min(beat_ms, kRetryMs));
  const auto status = run_tended(command, interval, [&]() -> Outcome<void> {
    if (Clock::now() < due) return success();
    due = Clock::now() + std::chrono::milliseconds(renew(context, args, body, beat_ms));
    return success();
  });
  leave(context, args);
  if (!status) return status.error();
  return end_with(status.value());
}

Action define_register(CLI::App& app) {
  auto args = std::make_shared<RegisterArgs>();
  app.add_option("NAME", args->service, "the service")->required();
  app.add_option("--id", args->instance, "the instance; HOST-PORT of this host if left out");
  app.add_option("--address", args->address,
                 "where it is; as the server sees this host if left out");
  app.add_option("--port", args->port, "where it listens")->check(CLI::Range(1U, 65'535U));
  app.add_option("--weight", args->weight, "its share of the load, 1 if left out");
  app.add_option("--tag", args->tags, "a tag; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--meta", args->meta, "KEY=VALUE; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--check", args->checks,
                 "http=URL or tcp=HOST:PORT, run by the cluster; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  add_duration(app, "--check-interval", args->check_interval_ms, "how often the checks run");
  add_duration(app, "--ttl", args->ttl_ms, "it is gone so long after its last sign of life (15s)");
  app.add_flag("--takeover", args->takes_over, "even if another session has registered it");
  app.add_option("COMMAND", args->command,
                 "after --: runs, and the registration lasts as long; without one, until Ctrl-C")
      ->expected(-1);
  return [args](Context& context) { return enlist_and_keep(context, *args); };
}

// ---- ls and get

struct FilterArgs {
  std::string service;
  bool is_healthy = false;
  std::vector<std::string> tags;
  std::vector<std::string> meta;
};

void add_filter(CLI::App& app, FilterArgs& args) {
  app.add_flag("--healthy", args.is_healthy, "only those that can be used");
  app.add_option("--tag", args.tags, "only with this tag; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--meta", args.meta, "only with KEY=VALUE; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
}

Outcome<void> apply_filter(const FilterArgs& args, Target& target) {
  if (args.is_healthy) target.add("healthy", "true");
  std::string tags;
  for (const auto& tag : args.tags) tags += (tags.empty() ? "" : ",") + tag;
  if (!tags.empty()) target.add("tag", tags);
  for (const auto& one : args.meta) {
    COORD_TRY(const auto pair, split_pair("--meta", one));
    target.add("meta." + pair.first, pair.second);
  }
  return success();
}

std::string list_of(const Json& object, const char* key) {
  std::string text;
  for (const Json& one : object.value(key, Json::array())) {
    if (one.is_string()) text += (text.empty() ? "" : ",") + escaped(one.get<std::string>());
  }
  return text.empty() ? "-" : text;
}

Outcome<void> list_services(const Context& context, const FilterArgs& args) {
  Json services = Json::array();
  std::string cursor;
  do {
    Target target = context.read("/v1/services", "");
    COORD_TRY(apply_filter(args, target));
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(const Json page, context.get_json(target));
    for (const Json& one : page.value("services", Json::array())) services.push_back(one);
    cursor = page.value("cursor", std::string());
  } while (!cursor.empty());
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"services", services}});
    return success();
  }
  Table table({{"SERVICE"}, {"INSTANCES", true}, {"HEALTHY", true}, {"TAGS"}});
  for (const Json& one : services) {
    const auto name = escaped(text_of(one, "service"));
    if (context.print.output() == Output::raw) context.print.line(name);
    table.row(
        {{name}, {text_of(one, "instances")}, {text_of(one, "healthy")}, {list_of(one, "tags")}});
  }
  if (context.print.output() == Output::table) context.print.table(table);
  return success();
}

// Why an instance is not to be used; "-" if it is.
std::string trouble_of_instance(const Json& instance) {
  if (instance.contains("maintenance")) {
    const auto reason = escaped(text_of(instance, "maintenance"));
    return reason.empty() ? "maintenance" : "maintenance: " + reason;
  }
  for (const Json& check : instance.value("checks", Json::array())) {
    if (check.is_object() && text_of(check, "status") == "failing") {
      return escaped(text_of(check, "output"));
    }
  }
  return "-";
}

std::string meta_of(const Json& instance) {
  std::string text;
  const Json meta = instance.value("meta", Json::object());
  for (const auto& [key, value] : meta.items()) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", escaped(key),
                        escaped(value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return text.empty() ? "-" : text;
}

Outcome<void> get_service(const Context& context, const FilterArgs& args) {
  Target target = context.read("/v1/services/" + percent_encoded(args.service, false), "");
  COORD_TRY(apply_filter(args, target));
  COORD_TRY(const Json body, context.get_json(target));
  if (context.print.output() == Output::json) {
    context.print.json(body);
    return success();
  }
  Table table({{"ID"}, {"ADDRESS"}, {"HEALTHY"}, {"WEIGHT", true}, {"TAGS"}, {"META"}, {"WHY"}});
  for (const Json& one : body.value("instances", Json::array())) {
    const auto host = escaped(text_of(one, "address"));
    const bool is_v6 = host.find(':') != std::string::npos;
    const std::string at = (is_v6 ? "[" + host + "]:" : host + ":") + text_of(one, "port");
    const bool is_healthy = one.value("healthy", false);
    if (context.print.output() == Output::raw) context.print.line(at);
    table.row({{escaped(text_of(one, "id"))},
               {at},
               {is_healthy ? "yes" : "no", is_healthy ? Colour::green : Colour::red},
               {text_of(one, "weight")},
               {list_of(one, "tags")},
               {meta_of(one)},
               {trouble_of_instance(one)}});
  }
  if (context.print.output() == Output::table) context.print.table(table);
  return success();
}

Action define_service_ls(CLI::App& app) {
  auto args = std::make_shared<FilterArgs>();
  add_filter(app, *args);
  return [args](Context& context) { return list_services(context, *args); };
}

Action define_service_get(CLI::App& app) {
  auto args = std::make_shared<FilterArgs>();
  app.add_option("NAME", args->service, "the service")->required();
  add_filter(app, *args);
  return [args](Context& context) { return get_service(context, *args); };
}

// ---- deregister and maintenance

struct InstanceArgs {
  std::string service;
  std::string instance;
  std::string reason;
  bool is_off = false;
  bool takes_over = false;
};

void add_instance(CLI::App& app, InstanceArgs& args) {
  app.add_option("NAME", args.service, "the service")->required();
  app.add_option("ID", args.instance, "the instance")->required();
}

Outcome<void> change(Context& context, const Call& call) {
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  if (context.print.output() == Output::table) {
    context.print.line(fmt::format("revision {}", escaped(answer.header("Coord-Revision"))));
  }
  return success();
}

Action define_deregister(CLI::App& app) {
  auto args = std::make_shared<InstanceArgs>();
  add_instance(app, *args);
  app.add_flag("--takeover", args->takes_over, "even if another session has registered it");
  return [args](Context& context) {
    auto target = target_of(args->service, args->instance);
    if (args->takes_over) target += "?takeover=true";
    return change(context, {"DELETE", target, {}, {}});
  };
}

Action define_maintenance(CLI::App& app) {
  auto args = std::make_shared<InstanceArgs>();
  add_instance(app, *args);
  app.add_option("--reason", args->reason, "why; shown in listings");
  app.add_flag("--off", args->is_off, "back into use");
  return [args](Context& context) {
    const auto target = target_of(args->service, args->instance, "/maintenance");
    if (args->is_off) return change(context, {"DELETE", target, {}, {}});
    const Json body{{"reason", args->reason}};
    return change(context, {"PUT",
                            target,
                            {{"Content-Type", "application/json"}},
                            body.dump(-1, ' ', false, Json::error_handler_t::replace)});
  };
}

constexpr std::array kServiceVerbs = {
    Verb{"register", "register an instance while a command runs",
         "  coordctl service register web --port 8080 -- ./server --port 8080\n"
         "  coordctl service register web --port 8080 --check http=http://10.0.0.1:8080/health",
         &define_register},
    Verb{"ls", "list the services", "  coordctl service ls", &define_service_ls},
    Verb{"get", "list the instances of a service",
         "  coordctl service get web --healthy\n"
         "  coordctl --output raw service get web --tag blue --meta zone=eu",
         &define_service_get},
    Verb{"deregister", "take an instance away", "  coordctl service deregister web host-1-8080",
         &define_deregister},
    Verb{"maintenance", "keep an instance registered, but out of use",
         "  coordctl service maintenance web host-1-8080 --reason 'new disk'\n"
         "  coordctl service maintenance web host-1-8080 --off",
         &define_maintenance},
};

}  // namespace

const Verb kService{"service", "register services and find them",
                    "  coordctl service register web --port 8080 -- ./server\n"
                    "  coordctl service get web --healthy",
                    nullptr, kServiceVerbs};

}  // namespace coord::cli
