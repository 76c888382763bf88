#include "coord/server/config.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "coord/server/join.hpp"

namespace coord::server {
namespace {

constexpr const char* kFooter = R"(
Every flag can also stand in the file of --config (name = value, a line each) and, in capitals with
COORD_ before it, in the environment (COORD_DATA, COORD_HTTP, ...).

Examples:
  coordd                                     one member, data in ./data, on 127.0.0.1:7070
  coordd --data /var/lib/coord --http 0.0.0.0:7070
  coordd --config /etc/coord.conf --check-config
  coordd --id 1 --members 1=h1:7071,2=h2:7071,3=h3:7071     one of three; likewise on h2 and h3
  coordd --id 4 --peer h4:7071 --join http://h1:7070 --role observer

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

// Fills in where this member listens and what it forms or joins; says what is wrong, or nothing.
std::string check_peers(Config& config, const std::string& peer, const std::string& members) {
  if (!members.empty() && !config.join.empty()) {
    return "--members forms a cluster and --join enters one: give one of them";
  }
  if (!members.empty()) {
    std::string problem;
    auto list = parse_members(members, problem);
    if (!list) return "--members: " + problem;
    const auto own = std::find_if(list->begin(), list->end(),
                                  [&config](const auto& one) { return one.id == config.id; });
    if (own == list->end()) {
      return fmt::format("--members: this member, --id {}, is not in the list", config.id);
    }
    config.role = own->role;
    config.peer_address = own->peer;
    config.members = std::move(*list);
  } else if (!config.join.empty()) {
    if (peer.empty())
      return "--join: give --peer HOST:PORT too, where the others reach this member";
    if (!parse_join_url(config.join)) {
      return "--join: give a URL, http://[USER:PASSWORD@]HOST:PORT";
    }
    config.peer_address = peer;
  }
  const auto& listen = peer.empty() ? config.peer_address : peer;
  if (listen.empty()) return {};
  config.peer = parse_endpoint(listen);
  if (!config.peer) return fmt::format("--peer: \"{}\" is not HOST:PORT", listen);
  if (config.peer_address.empty()) config.peer_address = peer;
  return {};
}

// Takes the options of TLS over and reads its files: a port without them serves nobody. Returns
// what is wrong, or nothing.
std::string check_tls(Config& config, const std::string& zookeeper_tls,
                      const std::string& clients) {
  config.tls.clients = clients == "needed"   ? api::ClientCertificates::needed
                       : clients == "wanted" ? api::ClientCertificates::wanted
                                             : api::ClientCertificates::ignored;
  if (zookeeper_tls == "off") {
    const bool is_idle = config.tls.certificate.empty() && config.tls.key.empty();
    return is_idle ? "" : "--tls-certificate, --tls-key: give --zookeeper-tls a HOST:PORT as well";
  }
  config.zookeeper_tls = parse_endpoint(zookeeper_tls);
  if (!config.zookeeper_tls) {
    return fmt::format("--zookeeper-tls: \"{}\" is neither HOST:PORT nor off", zookeeper_tls);
  }
  if (config.tls.certificate.empty() || config.tls.key.empty()) {
    return "--zookeeper-tls: give it --tls-certificate and --tls-key";
  }
  if (config.tls.clients != api::ClientCertificates::ignored && config.tls.client_ca.empty()) {
    return "--zookeeper-tls: give it --tls-ca, which clients' certificates come from, or "
           "--tls-clients ignored";
  }
  auto context = api::TlsContext::load(config.tls);
  if (!context) return "--zookeeper-tls: " + context.error().message;
  config.zk.tls = std::move(context).value();
  return "";
}

}  // namespace

std::optional<std::vector<core::ListedMember>> parse_members(const std::string& text,
                                                             std::string& problem) {
  std::vector<core::ListedMember> members;
  bool has_voter = false;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    const auto one = text.substr(at, comma - at);
    at = comma + 1;
    const auto equals = std::min(one.find('='), one.size());
    const auto slash = std::min(one.find('/', equals), one.size());
    core::ListedMember member;
    std::uint64_t id = 0;
    const auto [end, code] = std::from_chars(one.data(), one.data() + equals, id);
    member.role = slash == one.size() ? "voter" : one.substr(slash + 1);
    const bool has_id = code == std::errc() && end == one.data() + equals && id != 0;
    if (!has_id || equals == one.size()) {
      problem = fmt::format("\"{}\" is not ID=HOST:PORT", one);
      return std::nullopt;
    }
    member.id = MemberId(id);
    member.peer = one.substr(equals + 1, slash - equals - 1);
    const auto endpoint = parse_endpoint(member.peer);
    if (!endpoint || endpoint->port == 0 || member.peer.find(':') == std::string::npos) {
      problem = fmt::format("\"{}\" is not HOST:PORT", member.peer);
      return std::nullopt;
    }
    if (member.role != "voter" && member.role != "observer" && member.role != "standby") {
      problem = fmt::format("\"{}\" is not voter, observer or standby", member.role);
      return std::nullopt;
    }
    has_voter = has_voter || member.role == "voter";
    for (const auto& other : members) {
      if (other.id != member.id && other.peer != member.peer) continue;
      problem = fmt::format("\"{}\" names an id or an address for the second time", one);
      return std::nullopt;
    }
    members.push_back(std::move(member));
  }
  if (!has_voter || members.size() > election::kMembersMax) {
    problem = fmt::format("a cluster has a voter, and {} members at most", election::kMembersMax);
    return std::nullopt;
  }
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return members;
}

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
  std::string dns = "off";
  std::string health_checks = "any";
  std::string zookeeper = "127.0.0.1:2181";
  std::string zookeeper_tls = "off";
  std::string tls_clients = "needed";
  std::string peer;
  std::string members;
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
  // Done once, by hand: they have no place in a file or in the environment.
  auto* const back_up =
      app.add_option("--backup", config.back_up, "Writes the data of a stopped member to this file")
          ->configurable(false);
  auto* const restore =
      app.add_option("--restore", config.restore,
                     "Makes an empty --data from a backup: a new cluster of one, --id, and ends")
          ->configurable(false);
  app.add_flag("--force-new-cluster", config.force_new_cluster,
               "The quorum is lost for good: makes this data a new cluster of one and serves it")
      ->configurable(false)
      ->excludes(back_up)
      ->excludes(restore);
  back_up->excludes(restore);
  std::vector<std::string> flags = {"config"};
  const auto add = [&](const std::string& flag, auto& value, const std::string& help) {
    flags.push_back(flag);
    return app.add_option("--" + flag, value, help)->envname(env_of(flag))->capture_default_str();
  };
  add("data", config.data, "Directory of this member's data");
  add("http", http, "HOST:PORT to serve HTTP on; port 0 takes a free one");
  auto* const zookeeper_option =
      add("zookeeper", zookeeper,
          "HOST:PORT to serve ZooKeeper's protocol on, or off; port 0 takes a free one. Not given: "
          "2181, if that is free");
  add("zookeeper-tls", zookeeper_tls,
      "HOST:PORT to serve ZooKeeper's protocol on inside TLS, or off; takes --tls-certificate and "
      "--tls-key");
  add("tls-certificate", config.tls.certificate,
      "File (PEM): this member's certificate, then those between it and the root");
  add("tls-key", config.tls.key, "File (PEM): the key of that certificate");
  add("tls-ca", config.tls.client_ca, "File (PEM): whom clients' certificates must come from");
  add("tls-clients", tls_clients,
      "Whether clients must show a certificate (needed), may (wanted), or are not asked (ignored)")
      ->check(CLI::IsMember({"needed", "wanted", "ignored"}));
  add("zookeeper-super-x509", config.zk.super_x509,
      "Subject of the certificate whose owner has all rights there, as \"CN=ops,O=Example\"");
  add("zookeeper-session-min", config.zk.timeout_ms_min,
      "Least session time-out of that port, in ms; what a client asks for is raised to it")
      ->check(CLI::PositiveNumber);
  add("zookeeper-session-max", config.zk.timeout_ms_max, "Greatest session time-out of that port")
      ->check(CLI::PositiveNumber);
  add("zookeeper-connections-per-address", config.zk.connections_per_address_max,
      "Connections that one address may have open there; 0: any number");
  add("zookeeper-words", config.zk.words, "Four-letter words that are answered; * for all")
      ->delimiter(',');
  add("zookeeper-frame-max", config.zk.frame_bytes_max,
      "Bytes of the largest request there (jute.maxbuffer)")
      ->check(CLI::Range(1024, 1 << 30));
  add("dns", dns, "HOST:PORT to answer DNS questions about services on (UDP and TCP), or off");
  add("dns-ttl", config.dns_ttl_s, "Seconds that a DNS answer may be kept")
      ->check(CLI::Range(0U, 3'600U));
  add("health-checks", health_checks,
      "Where active checks of instances may go: any (but link-local and multicast), loopback, off")
      ->check(CLI::IsMember({"any", "loopback", "off"}));
  add("id", id, "This member's id")->check(CLI::Range(1ULL, 1ULL << 32));
  add("peer", peer, "HOST:PORT to listen on for the other members; default: as --members says");
  add("members", members,
      "ID=HOST:PEERPORT[/observer|/standby],...: forms a cluster on empty data; names are resolved "
      "at each dial");
  add("join", config.join, "URL of a member of the cluster that an empty member joins");
  add("role", config.role, "Of a member that joins: voter, observer or standby")
      ->check(CLI::IsMember({"voter", "observer", "standby"}));
  add("advertise-http", config.advertise_http, "HOST:PORT where clients reach this member's HTTP");
  add("advertise-zookeeper", config.advertise_zookeeper,
      "HOST:PORT where clients reach it by ZooKeeper's protocol");
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
  if (dns != "off") {
    config.dns = parse_endpoint(dns);
    if (!config.dns) {
      std::cerr << "--dns: \"" << dns << "\" is neither HOST:PORT nor off\n";
      return ExitNow{2};
    }
  }
  config.health_checks = *parse_probe_policy(health_checks);
  config.api.has_health_checks = config.health_checks != ProbePolicy::off;
  config.is_zookeeper_default = zookeeper_option->count() == 0;
  if (zookeeper != "off") {
    config.zookeeper = parse_endpoint(zookeeper);
    if (!config.zookeeper) {
      std::cerr << "--zookeeper: \"" << zookeeper << "\" is neither HOST:PORT nor off\n";
      return ExitNow{2};
    }
  }
  if (const auto problem = check_tls(config, zookeeper_tls, tls_clients); !problem.empty()) {
    std::cerr << problem << '\n';
    return ExitNow{2};
  }
  const auto& sessions = config.limits.sessions;
  if (config.zk.timeout_ms_min > config.zk.timeout_ms_max ||
      config.zk.timeout_ms_min < sessions.ttl_ms_min ||
      config.zk.timeout_ms_max > sessions.ttl_ms_max) {
    std::cerr << "--zookeeper-session-min, --zookeeper-session-max: from " << sessions.ttl_ms_min
              << " to " << sessions.ttl_ms_max << " ms, the least not above the greatest\n";
    return ExitNow{2};
  }
  if (const auto problem = check_peers(config, peer, members); !problem.empty()) {
    std::cerr << problem << '\n';
    return ExitNow{2};
  }
  if (config.wal_segment_bytes < kMiB) {
    std::cerr << "--wal-segment: at least 1MiB\n";
    return ExitNow{2};
  }
  config.api.body_bytes_max = config.limits.tree.value_bytes_max;
  config.api.sessions = config.limits.sessions;
  config.zk.super_digest = config.api.super_digest;
  std::error_code ignored;
  const auto data = std::filesystem::absolute(config.data, ignored).lexically_normal();
  config.zk.data_directory = data / "state";
  config.zk.log_directory = data / "wal";
  if (config.peer) config.zk.peer_port = config.peer->port;
  config.zk.connections_max = config.api.connections_max;
  config.api.requests = config.limits.requests;
  if (check) {
    std::cout << app.config_to_str(true, false) << "# the configuration is fine\n";
    return ExitNow{0};
  }
  return config;
}

}  // namespace coord::server
