#include "coord/server/config.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iostream>

namespace coord::server {
namespace {

constexpr const char* kFooter = R"(
Every flag can also stand in the file of --config (name = value, a line each) and, in capitals with
COORD_ before it, in the environment (COORD_DATA, COORD_HTTP, ...).

Examples:
  coordd                                     one member, data in ./data, on 127.0.0.1:7070
  coordd --data /var/lib/coord --http 0.0.0.0:7070
  coordd --config /etc/coord.conf --check-config

While no --super-digest is set, any caller from loopback is an operator.)";

std::string env_of(const std::string& flag) {
  std::string name = "COORD_";
  for (const char c : flag) name += c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return name;
}

// CLI11 lets the file win over the environment. What an operator sets for one start must win over
// what stands in a file, so a variable becomes a flag unless that flag is given.
void add_environment(const std::vector<std::string>& flags, std::vector<std::string>& arguments) {
  const auto given = arguments;
  for (const auto& flag : flags) {
    const auto name = "--" + flag;
    const bool is_given = std::any_of(given.begin(), given.end(), [&name](const auto& argument) {
      return argument == name || argument.starts_with(name + "=");
    });
    const char* value = std::getenv(env_of(flag).c_str());
    if (!is_given && value != nullptr && *value != '\0') arguments.push_back(name + "=" + value);
  }
}

}  // namespace

std::optional<Endpoint> parse_endpoint(const std::string& text) {
  Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  auto port = text;
  if (const auto colon = text.rfind(':'); colon != std::string::npos) {
    auto host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string::npos) {
      return std::nullopt;
    }
    if (!host.empty()) endpoint.host = host;
  }
  const auto* end = port.data() + port.size();
  const auto [at, error] = std::from_chars(port.data(), end, endpoint.port);
  if (error != std::errc() || at != end) return std::nullopt;
  return endpoint;
}

std::variant<Config, ExitNow> read_config(int argc, const char* const* argv) {
  Config config;
  std::string http = "127.0.0.1:7070";
  std::string zookeeper = "off";
  std::uint64_t id = 1;
  bool check = false;
  CLI::App app("coordd: a member of a coordination service that you can curl", "coordd");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("coordd ") + COORD_VERSION);
  app.set_config("--config", "", "Reads flags from this file")
      ->envname(env_of("config"))
      ->configurable(false);
  // A misspelt name in the file must not silently mean the default.
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_flag("--check-config", check, "Checks the configuration, prints it and ends")
      ->configurable(false);
  std::vector<std::string> flags = {"config"};
  const auto add = [&](const std::string& flag, auto& value, const std::string& help) {
    flags.push_back(flag);
    return app.add_option("--" + flag, value, help)->envname(env_of(flag))->capture_default_str();
  };
  add("data", config.data, "Directory of this member's data");
  add("http", http, "HOST:PORT to serve HTTP on; port 0 takes a free one");
  add("zookeeper", zookeeper, "HOST:PORT for ZooKeeper's protocol, or off")
      ->check(CLI::IsMember({"off"}))
      ->type_name("off");
  add("id", id, "This member's id")->check(CLI::Range(1ULL, 1ULL << 32));
  add("log-level", config.log_level, "debug, info, warn, error or off")
      ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}));
  add("super-digest", config.api.super_digest,
      "user:base64(sha1(user:password)) of the operator; unset: any caller from loopback is one");
  add("cors-origin", config.api.cors_origins, "An origin that browsers may call from; repeatable")
      ->delimiter(',')
      ->default_str("");  // An empty list has no form in a file: it is left out.
  const auto size = [](CLI::Option* option) {
    option->transform(CLI::AsSizeValue(false))->type_name("SIZE");
  };
  size(add("value-max", config.limits.tree.value_bytes_max, "Largest value of a node"));
  size(add("body-max", config.api.json_bytes_max, "Largest JSON body, of a transaction"));
  add("connections-max", config.api.connections_max, "Connections at one time")
      ->check(CLI::PositiveNumber);
  add("sessions-max", config.limits.sessions.sessions_max, "Sessions at one time")
      ->check(CLI::PositiveNumber);
  size(add("wal-segment", config.wal_segment_bytes, "Size of a segment of the log"));
  add("checkpoint-records", config.checkpoint.records_max, "Checkpoint after so many records")
      ->check(CLI::PositiveNumber);
  size(add("checkpoint-bytes", config.checkpoint.bytes_max, "... or so many bytes"));
  add("checkpoint-interval-ms", config.checkpoint.interval_ms, "... or so much time")
      ->check(CLI::PositiveNumber);
  size(add("history-memory", config.watches.history_bytes_max,
           "Recent changes kept in memory for watches"));
  add("history-changes", config.retention.changes_max, "Changes kept for history and resume");
  size(add("history-bytes", config.retention.bytes_max, "... and their bytes at most"));
  add("drain-ms", config.drain_ms, "On SIGTERM: how long requests under way may take")
      ->check(CLI::NonNegativeNumber);
  try {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    add_environment(flags, arguments);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back.
    app.parse(std::move(arguments));
  } catch (const CLI::ConfigError& e) {
    std::cerr << "--config: a name that is no flag, or a malformed line: " << e.what() << '\n';
    return ExitNow{2};
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return ExitNow{code == 0 ? 0 : 2};
  }
  config.id = MemberId(id);
  const auto endpoint = parse_endpoint(http);
  if (!endpoint) {
    std::cerr << "--http: \"" << http << "\" is not HOST:PORT\n";
    return ExitNow{2};
  }
  config.http = *endpoint;
  if (config.wal_segment_bytes < kMiB) {
    std::cerr << "--wal-segment: at least 1MiB\n";
    return ExitNow{2};
  }
  config.api.body_bytes_max = config.limits.tree.value_bytes_max;
  config.api.sessions = config.limits.sessions;
  config.api.requests = config.limits.requests;
  if (check) {
    std::cout << app.config_to_str(true, false) << "# the configuration is fine\n";
    return ExitNow{0};
  }
  return config;
}

}  // namespace coord::server
