// coordd: builds the objects, runs, stops.
#include <sys/resource.h>
#include <sys/statvfs.h>
#ifdef COORD_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <memory>
#include <optional>

#include "api/dns_server.hpp"
#include "api/http_server.hpp"
#include "api/zk/zk_server.hpp"
#include "coord/disk/posix_disk.hpp"
#include "coord/server/config.hpp"
#include "coord/server/data.hpp"
#include "coord/server/gateway.hpp"
#include "coord/server/health.hpp"
#include "coord/server/join.hpp"
#include "coord/server/log.hpp"
#include "coord/server/metrics.hpp"
#include "coord/server/offline.hpp"
#include "coord/server/peer_hooks.hpp"
#include "coord/server/peer_link.hpp"
#include "coord/server/runner.hpp"

// What jemalloc reads before main() begins. One loop does nearly all allocating: a second arena
// would only cost memory. What a checkpoint frees the next one takes again, within seconds: it goes
// back to the system, by a thread of its own, when it was not wanted for so long; at once in a bulk
// load (give_back_memory).
extern "C" const char* malloc_conf;
const char* malloc_conf = "narenas:1,background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0";

namespace coord::server {
namespace {

// A transfer takes milliseconds; beyond this the others elect a leader when this one is gone.
constexpr std::int64_t kStepDownMs = 1'000;
// An observer's watches see a busy leader's writes so much later; its own clients wait for nothing.
constexpr std::int64_t kObserverIntervalMs = 5;
constexpr std::uint64_t kCheckpointSpreadPercent = 40;

// Failures of start-up: what is wrong, what to do, and the exit code that a script can tell apart.
int fail(const Config& config, const Error& problem) {
  spdlog::error("{}", problem.message);
  if (problem.failure != Failure::corrupt) return 1;
  if (config.peer) {
    // Its votes and acknowledgements may be lost with the data: as the same member on an empty disk
    // it could vote twice, so it comes back as another one.
    spdlog::error(
        "this member does not start on damaged data; the others have it all. Replace it: at "
        "another "
        "member coordctl cluster replace {} --with NEW=HOST:PEERPORT, then move {} away and start "
        "it with --id NEW, an id never used before, and --join URL-of-a-member",
        config.id, config.data);
  } else {
    spdlog::error(
        "this member does not start on damaged data; restore it from a backup: coordd --restore "
        "FILE --data DIR");
  }
  return 4;
}

core::NodeOptions node_options(const Config& config, std::uint64_t disk) {
  core::NodeOptions options;
  options.raft.id = config.id;
  options.raft.seed = random_number();
  options.raft.observer_interval_ms = kObserverIntervalMs;
  // Nobody follows a cluster of one: what the checkpoint holds need not stay in memory.
  if (!config.peer) options.raft.log_tail_entries = 0;
  options.requests = config.limits.requests;
  options.watches = config.watches;
  options.checkpoint = config.checkpoint;
  options.checkpoint.spread_percent = kCheckpointSpreadPercent;
  options.retention = config.retention;
  options.cluster = random_uuid();
  options.disk_id = disk;
  options.http = config.advertise_http.empty()
                     ? fmt::format("{}:{}", config.http.host, config.http.port)
                     : config.advertise_http;
  options.zookeeper = config.advertise_zookeeper;
  for (const auto& member : config.members) options.members.emplace_back(member.id, member.peer);
  return options;
}

// Each client is a descriptor: takes as many as the system lets this process have.
void raise_descriptor_limit(std::size_t connections_max) {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  if (limit.rlim_max < connections_max) {
    spdlog::info("event=descriptor-limit limit={} connections_max={}", limit.rlim_max,
                 connections_max);
  }
}

RunnerOptions runner_options(const Config& config) {
  RunnerOptions options;
#ifdef COORD_JEMALLOC
  options.give_back_memory = [] { mallctl("arena.0.purge", nullptr, nullptr, nullptr, 0); };
#endif
  options.free_bytes = [directory = config.data] {
    struct statvfs found {};
    // A file system that cannot be asked is not full.
    if (::statvfs(directory.c_str(), &found) != 0) return UINT64_MAX;
    return static_cast<std::uint64_t>(found.f_bavail) * found.f_frsize;
  };
  options.reserve_bytes =
      std::max<std::uint64_t>(options.reserve_bytes, 4 * config.limits.tree.value_bytes_max);
  return options;
}

api::DnsOptions dns_options(const Config& config) {
  api::DnsOptions options;
  options.ttl_s = config.dns_ttl_s;
  options.seed = random_number();
  return options;
}

Result<void> listen(const Config& config, api::DnsServer& dns) {
  if (!config.dns) return success();
  COORD_TRY(const auto port, dns.listen(config.dns->host, config.dns->port));
  spdlog::info("event=dns at={}:{}", config.dns->host, port);
  return success();
}

// Listens for the other members, and dials them.
Result<void> enter_cluster(const Config& config, Runner& runner, PeerLinks& links) {
  COORD_TRY(links.listen(*config.peer));
  runner.set_links(links);
  for (const auto& member : config.members) {
    if (member.id != config.id) links.dial(member.id, member.peer);
  }
  links.refresh();
  return success();
}

// None when ZooKeeper's port is off, or nobody asked for it and it is taken.
Result<std::optional<api::OpenPort>> open_zookeeper(const Config& config) {
  if (!config.zookeeper) return std::optional<api::OpenPort>();
  const auto port = api::open_port(config.zookeeper->host, config.zookeeper->port);
  if (port) return std::optional(port.value());
  if (!config.is_zookeeper_default) return port.error();
  spdlog::warn("event=no-zookeeper why=\"{}\" do=\"give --zookeeper another HOST:PORT, or off\"",
               port.error().message);
  return std::optional<api::OpenPort>();
}

int serve(Config config) {
  raise_descriptor_limit(config.api.connections_max);
  if (config.force_new_cluster) {
    if (const auto forced = force_new_cluster(config); !forced) return fail(config, forced.error());
  }
  auto lock = DataLock::take(config.data);
  if (!lock) return fail(config, lock.error());
  const auto disk = disk_id(config.data);
  if (!disk) return fail(config, disk.error());
  auto wal_disk = disk::open_posix_disk(config.data + "/wal");
  if (!wal_disk) return fail(config, wal_disk.error());
  auto opened = open_data(config, *wal_disk.value());
  if (!opened) return fail(config, opened.error());

  const auto zookeeper_port = open_zookeeper(config);
  if (!zookeeper_port) return fail(config, zookeeper_port.error());
  if (zookeeper_port.value() && config.advertise_zookeeper.empty()) {
    config.advertise_zookeeper =
        fmt::format("{}:{}", config.zookeeper->host, zookeeper_port.value()->port);
  }

  std::optional<api::OpenPort> secure_port;
  if (config.zookeeper_tls) {
    const auto port = api::open_port(config.zookeeper_tls->host, config.zookeeper_tls->port);
    if (!port) return fail(config, port.error());
    secure_port = port.value();
  }

  LogTrace trace;
  Metrics metrics;
  boost::asio::io_context loop(1);
  auto node = std::make_unique<core::Node>(node_options(config, disk.value()),
                                           std::move(opened.value().state), trace);
  Runner runner(loop, std::move(node), std::move(opened.value().wal),
                std::move(opened.value().store), metrics, runner_options(config));
  ServerGateway gateway(runner, metrics);
  api::HttpServer http(loop, gateway, config.api);
  const auto port = http.listen(config.http.host, config.http.port);
  if (!port) return fail(config, port.error());
  std::unique_ptr<api::zk::ZkServer> zookeeper;
  if (zookeeper_port.value() || secure_port) {
    zookeeper = std::make_unique<api::zk::ZkServer>(loop, gateway, config.zk);
  }
  if (zookeeper_port.value()) {
    zookeeper->serve(*zookeeper_port.value());
    spdlog::info("event=serving-zookeeper at={}:{}", config.zookeeper->host,
                 zookeeper_port.value()->port);
  }
  if (secure_port) {
    zookeeper->serve_secure(*secure_port);
    spdlog::info("event=serving-zookeeper-tls at={}:{}", config.zookeeper_tls->host,
                 secure_port->port);
  }
  int exit_code = 0;
  std::unique_ptr<PeerLinks> links;
  if (config.peer) {
    const Endpoint at{config.http.host, port.value()};
    const auto leave = [&loop, &exit_code] {
      exit_code = 1;
      loop.stop();
    };
    links = std::make_unique<PeerLinks>(loop, config.id,
                                        peer_hooks(config, at, disk.value(), runner, leave),
                                        vote_gate(config, runner.node()), random_number());
    if (const auto entered = enter_cluster(config, runner, *links); !entered) {
      return fail(config, entered.error());
    }
  }
  if (!config.join.empty() && is_empty(runner.node())) {
    if (const auto joined = ask_to_join(config); !joined) return fail(config, joined.error());
  }
  HealthChecks health(loop, gateway, config.id, random_number(), {config.health_checks});
  health.start();
  api::DnsServer dns(loop, gateway, dns_options(config));
  if (const auto listens = listen(config, dns); !listens) return fail(config, listens.error());
  spdlog::info("event=serving http={}:{} data={} version={}", config.http.host, port.value(),
               config.data, COORD_VERSION);

  boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& code, int number) {
    if (code) return;
    spdlog::info("event=stopping signal={}", number);
    health.stop();
    dns.stop();
    // First the leadership, then the edge (replies in flight leave), then what is under way.
    runner.step_down(std::min(config.drain_ms, kStepDownMs), [&] {
      const auto stop_http = [&] {
        http.stop([&] { runner.drain(config.drain_ms, [&] { loop.stop(); }); });
      };
      if (zookeeper) {
        zookeeper->stop(stop_http);
      } else {
        stop_http();
      }
    });
    // Who asks twice does not want to wait. Nothing is lost: what was answered is durable.
    signals.async_wait([&](const boost::system::error_code& again, int) {
      if (!again) loop.stop();
    });
  });
  runner.start();
  loop.run();
  spdlog::info("event=stopped revision={}", runner.node().state().applied());
  return exit_code;
}

}  // namespace
}  // namespace coord::server

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  auto config = coord::server::read_config(argc, argv);
  if (const auto* exit = std::get_if<coord::server::ExitNow>(&config)) return exit->code;
  const auto& values = std::get<coord::server::Config>(config);
  if (const auto log = coord::server::set_up_log(values.log_level); !log) {
    fmt::print(stderr, "{}\n", log.error().message);
    return 2;
  }
  using coord::server::fail;
  if (!values.back_up.empty()) {
    const auto done = coord::server::back_up(values, values.back_up);
    return done ? 0 : fail(values, done.error());
  }
  if (!values.restore.empty()) {
    const auto done = coord::server::restore(values, values.restore);
    return done ? 0 : fail(values, done.error());
  }
  return coord::server::serve(values);
}
