// Config: what coordd is told, by flags, environment and file (CLI11 serves all three).
//
// A flag wins over COORD_<NAME> in the environment, that over the file of --config, that over the
// default. Every value is checked before anything is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/http_options.hpp"
#include "api/tls.hpp"
#include "api/zk/options.hpp"
#include "coord/base/ids.hpp"
#include "coord/core/identity.hpp"
#include "coord/core/node.hpp"
#include "coord/core/state_machine.hpp"
#include "coord/server/probe.hpp"

namespace coord::server {

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};

struct Config {
  std::string data = "./data";
  Endpoint http{"127.0.0.1", 7070};
  std::optional<Endpoint> zookeeper;      // None: it is off.
  std::optional<Endpoint> zookeeper_tls;  // None: it is off.
  api::TlsOptions tls;
  bool is_zookeeper_default = false;  // Nobody asked for it: a port that is taken is no failure.
  std::string log_level = "info";
  MemberId id{1};
  std::optional<Endpoint> peer;  // Where it listens for members; none: a cluster of one.
  std::string peer_address;      // What the others dial.
  std::vector<core::ListedMember> members;
  std::string join;  // URL of a member of the cluster that this one joins.
  std::string role = "voter";
  std::string advertise_http;
  std::string advertise_zookeeper;
  std::string back_up;  // Files; with one of these coordd does that and ends.
  std::string restore;
  std::optional<Endpoint> dns;  // None: no DNS.
  std::uint32_t dns_ttl_s = 0;
  ProbePolicy health_checks = ProbePolicy::any;
  bool force_new_cluster = false;
  std::uint64_t wal_segment_bytes = 64 * kMiB;
  std::int64_t drain_ms = 5'000;
  core::StateLimits limits;
  core::CheckpointPolicy checkpoint;
  core::RetentionPolicy retention;
  WatchLimits watches;
  api::HttpOptions api;
  api::zk::ZkOptions zk;
};

// The process ends with this code; the text was printed already.
struct ExitNow {
  int code = 0;
};

// Reads the command line, the environment and the file. ExitNow for --help, --version,
// --check-config and for errors (2, with what to do on stderr).
[[nodiscard]] std::variant<Config, ExitNow> read_config(int argc, const char* const* argv);

// "1=HOST:PORT,2=HOST:PORT/observer,...": in the order of their ids. Without a value it says what
// is wrong in `problem`.
[[nodiscard]] std::optional<std::vector<core::ListedMember>> parse_members(const std::string& text,
                                                                           std::string& problem);

// "HOST:PORT", "[V6]:PORT", ":PORT" (all addresses of loopback) or "PORT".
[[nodiscard]] std::optional<Endpoint> parse_endpoint(const std::string& text);

}  // namespace coord::server
