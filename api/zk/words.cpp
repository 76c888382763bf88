#include "api/zk/words.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "api/zk/client.hpp"

namespace coord::api::zk {
namespace {

constexpr std::array<std::string_view, 15> kWords = {"ruok", "srvr", "stat", "mntr", "conf",
                                                     "cons", "dump", "envi", "wchs", "wchc",
                                                     "wchp", "isro", "srst", "crst", "dirs"};
constexpr std::string_view kVersion =
    "3.8.0-coord-" COORD_VERSION ", built on 2022-02-25 08:49 UTC";

template <class... Args>
void add(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

// One decimal, as ZooKeeper prints a mean.
std::string mean_of(const Counters& counters) {
  if (counters.latency_count == 0) return "0.0";
  const auto tenths =
      counters.latency_sum_ms * 10 / static_cast<std::int64_t>(counters.latency_count);
  return fmt::format("{}.{}", tenths / 10, tenths % 10);
}

// "leader", "follower", "observer", or "standalone" of a member that is alone.
std::string mode_of(const core::Status& status) {
  if (status.is_alone) return "standalone";
  if (status.role == "leader" || status.role == "follower") return status.role;
  return status.role == "learner" ? "observer" : "looking";
}

void put_stats(std::string& out, ZkEdge& edge, const core::Status& status) {
  const auto& counters = edge.counters();
  add(out, "Latency min/avg/max: {}/{}/{}\n", counters.latency_min_ms, mean_of(counters),
      counters.latency_max_ms);
  add(out, "Received: {}\nSent: {}\n", counters.received, counters.sent);
  add(out, "Connections: {}\nOutstanding: {}\n", edge.sockets().count(), edge.outstanding());
  add(out, "Zxid: {:#x}\nMode: {}\nNode count: {}\n", status.applied.value(), mode_of(status),
      status.nodes);
}

void put_clients(std::string& out, ZkEdge& edge, bool in_full) {
  edge.for_each([&](ClientId, const Client& client) {
    const auto& counters = client.counters();
    add(out, " /{}:{}[{}](queued={},recved={},sent={}", client.address(), client.port(),
        client.session().id ? 1 : 0, client.call_count(), counters.received, counters.sent);
    if (in_full && client.session().id) {
      add(out, ",sid={:#x},to={},minlat={},avglat={},maxlat={}", client.session().id.value(),
          client.timeout_ms(), counters.latency_min_ms, mean_of(counters), counters.latency_max_ms);
    }
    out += ")\n";
  });
  out += '\n';
}

void put_monitor(std::string& out, ZkEdge& edge, const core::Status& status) {
  const auto& counters = edge.counters();
  const auto line = [&out](std::string_view name, const auto& value) {
    add(out, "zk_{}\t{}\n", name, value);
  };
  struct rlimit limit {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  line("version", kVersion);
  line("server_state", mode_of(status));
  line("peer_state", status.role == "leader"     ? "leading - broadcast"
                     : status.role == "follower" ? "following - broadcast"
                                                 : "looking");
  line("ephemerals_count", status.ephemerals);
  line("num_alive_connections", edge.sockets().count());
  line("avg_latency", mean_of(counters));
  line("min_latency", counters.latency_min_ms);
  line("max_latency", counters.latency_max_ms);
  line("outstanding_requests", edge.outstanding());
  line("znode_count", status.nodes);
  line("watch_count", edge.watches().size());
  line("global_sessions", status.sessions);
  line("local_sessions", 0);
  line("packets_sent", counters.sent);
  line("packets_received", counters.received);
  line("approximate_data_size", status.value_bytes);
  line("max_file_descriptor_count", limit.rlim_cur);
  line("uptime", status.uptime_ms);
  if (status.leading && !status.is_alone) {
    line("quorum_size", status.voters);
    line("learners", status.leading->learners);
    line("synced_followers", status.leading->voters_ready);
  }
}

void put_environment(std::string& out) {
  struct utsname system {};
  ::uname(&system);
  add(out, "Environment:\nzookeeper.version={}\nhost.name={}\nos.name={}\nos.arch={}\n", kVersion,
      system.nodename, system.sysname, system.machine);
  add(out, "os.version={}\nuser.dir={}\n", system.release, "");
}

void put_configuration(std::string& out, ZkEdge& edge, const core::Status& status) {
  const auto& options = edge.options();
  add(out, "clientPort={}\nsecureClientPort=-1\n", edge.port());
  add(out, "tickTime={}\nmaxClientCnxns={}\n", options.timeout_ms_min / 2,
      options.connections_per_address_max);
  add(out, "minSessionTimeout={}\nmaxSessionTimeout={}\n", options.timeout_ms_min,
      options.timeout_ms_max);
  add(out, "clientPortListenBacklog=-1\nserverId={}\njute.maxbuffer={}\n", status.member,
      options.frame_bytes_max);
}

// By session: where it watches; by path: who does.
void put_watches(std::string& out, ZkEdge& edge, bool by_session) {
  std::map<std::string, std::vector<std::string>> lists;
  edge.watches().for_each([&](std::string_view path, ClientId id) {
    const auto* client = edge.find(id);
    if (client == nullptr) return;
    auto session = fmt::format("{:#x}", client->session().id.value());
    if (by_session) {
      lists[session].emplace_back(path);
    } else {
      lists[std::string(path)].push_back(std::move(session));
    }
  });
  for (auto& [head, list] : lists) {
    std::sort(list.begin(), list.end());
    add(out, "{}\n", head);
    for (const auto& one : list) add(out, "\t{}\n", one);
  }
}

void put_sessions(std::string& out, const core::SessionList& list) {
  add(out, "SessionTracker dump:\nGlobal Sessions({}):\n", list.sessions.size());
  std::size_t with_nodes = 0;
  for (const auto& one : list.sessions) {
    add(out, "{:#x}\t{}ms\n", one.id.value(), one.ttl_ms);
    if (!one.ephemerals.empty()) ++with_nodes;
  }
  add(out, "ephemeral nodes dump:\nSessions with Ephemerals ({}):\n", with_nodes);
  for (const auto& one : list.sessions) {
    if (one.ephemerals.empty()) continue;
    add(out, "{:#x}:\n", one.id.value());
    for (const auto& path : one.ephemerals) add(out, "\t{}\n", path);
  }
}

}  // namespace

bool is_word(std::string_view word) noexcept {
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

bool answer_word_alone(std::string_view word, ZkEdge& edge, std::string& out) {
  if (word == "ruok") {
    out += "imok";
  } else if (word == "isro") {
    std::string why;
    out += edge.gateway().is_ready(why) ? "rw" : "ro";
  } else if (word == "envi") {
    put_environment(out);
  } else if (word == "wchs") {
    const auto& watches = edge.watches();
    add(out, "{} connections watching {} paths\nTotal watches:{}\n", watches.client_count(),
        watches.path_count(), watches.size());
  } else if (word == "wchc" || word == "wchp") {
    put_watches(out, edge, word == "wchc");
  } else if (word == "cons") {
    put_clients(out, edge, true);
  } else if (word == "srst") {
    edge.counters() = Counters();
    out += "Server stats reset.\n";
  } else if (word == "crst") {
    edge.reset_client_counters();
    out += "Connection stats reset.\n";
  } else if (word == "dirs") {
    const auto& sizes = edge.options().directory_sizes;
    const auto [data, log] = sizes ? sizes() : std::pair<std::uint64_t, std::uint64_t>();
    add(out, "datadir_size: {}\nlogdir_size: {}\n", data, log);
  } else {
    return false;
  }
  return true;
}

void answer_word(std::string_view word, ZkEdge& edge, const core::Reply& reply, std::string& out) {
  if (const auto* list = std::get_if<core::SessionList>(&reply.result)) {
    return put_sessions(out, *list);
  }
  const auto* status = std::get_if<core::Status>(&reply.result);
  if (status == nullptr) {
    out += "This ZooKeeper instance is not currently serving requests\n";
    return;
  }
  if (word == "mntr") return put_monitor(out, edge, *status);
  if (word == "conf") return put_configuration(out, edge, *status);
  add(out, "Zookeeper version: {}\n", kVersion);
  if (word == "stat") {
    out += "Clients:\n";
    put_clients(out, edge, false);
  }
  put_stats(out, edge, *status);
}

}  // namespace coord::api::zk
