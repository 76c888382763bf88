#include "api/zk/words.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <vector>

#include "api/zk/client.hpp"
#include "api/zk/ops.hpp"

namespace coord::api::zk {
namespace {

constexpr std::array<std::string_view, 15> kWords = {"ruok", "srvr", "stat", "mntr", "conf",
                                                     "cons", "dump", "envi", "wchs", "wchc",
                                                     "wchp", "isro", "srst", "crst", "dirs"};
// The date as up to ZooKeeper 3.5, which go-zookeeper takes apart; who reads 3.8's does not look at
// it.
constexpr std::string_view kVersion =
    "3.8.0-coord-" COORD_VERSION ", built on 02/25/2022 08:49 UTC";

template <class... Args>
void add(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

// Up to four decimals, at least one, as ZooKeeper prints a mean.
std::string mean_of(const Counters& counters) {
  if (counters.latency_count == 0) return "0.0";
  const auto count = static_cast<std::int64_t>(counters.latency_count);
  const auto rounded = (counters.latency_sum_ms * 10'000 + count / 2) / count;
  auto text = fmt::format("{}.{:04}", rounded / 10'000, rounded % 10'000);
  while (text.back() == '0' && text[text.size() - 2] != '.') text.pop_back();
  return text;
}

// As Java prints a Date.
std::string date_of(std::int64_t ms) {
  const std::time_t seconds = ms / 1'000;
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const auto size = std::strftime(text.data(), text.size(), "%a %b %d %H:%M:%S %Z %Y", &parts);
  return {text.data(), size};
}

// Of a directory that cannot be read there is none.
template <class Each>
void each_file(const std::string& directory, Each each) {
  std::error_code code;
  std::filesystem::directory_iterator at(directory, code);
  for (const std::filesystem::directory_iterator end; !code && at != end; at.increment(code)) {
    each(*at);
  }
}

std::uint64_t bytes_in(const std::string& directory) {
  std::uint64_t sum = 0;
  each_file(directory, [&sum](const auto& file) {
    std::error_code code;  // A segment may leave meanwhile.
    const auto size = file.file_size(code);
    if (!code) sum += size;
  });
  return sum;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  each_file("/proc/self/fd", [&count](const auto& /*file*/) { ++count; });
  return count == 0 ? 0 : count - 1;  // Not the one that reads them.
}

// Looked up once: it may ask a server.
std::string user_lines() {
  const auto* user = ::getpwuid(::getuid());
  if (user == nullptr) return {};
  return fmt::format("user.name={}\nuser.home={}\n", user->pw_name, user->pw_dir);
}

enum class Serving : std::uint8_t { nobody, readers, everybody };

// A member that is not ready serves readers after a while; until then everybody, if it has a
// leader: it is about to be ready.
Serving serving_of(const core::Status& status, const ZkOptions& options) {
  if (status.is_ready) return Serving::everybody;
  if (status.unready_ms >= options.read_only_after_ms) return Serving::readers;
  return status.leader ? Serving::everybody : Serving::nobody;
}

// "leader", "follower", "observer"; "standalone" of a member that is alone; or "read-only".
std::string_view mode_of(const core::Status& status, Serving serving) {
  if (serving == Serving::readers) return "read-only";
  if (status.is_alone) return "standalone";
  if (status.role == "leader" || status.role == "follower") return status.role;
  return "observer";
}

// What a leader of others shows; null of any other member.
const core::Leading* leading_of(const core::Status& status, Serving serving) {
  const bool is_shown = serving == Serving::everybody && !status.is_alone && status.leading;
  return is_shown ? &*status.leading : nullptr;
}

// Last, least, greatest; -1 before the first.
std::array<std::int64_t, 3> sizes_of(const core::ProposalSizes& sizes) {
  if (sizes.count == 0) return {-1, -1, -1};
  return {static_cast<std::int64_t>(sizes.last), static_cast<std::int64_t>(sizes.least),
          static_cast<std::int64_t>(sizes.most)};
}

void put_clients(std::string& out, ZkEdge& edge, bool in_full) {
  edge.for_each([&](ClientId, const Client& client) {
    const auto& counters = client.counters();
    const auto& session = client.session();
    add(out, " /{}:{}[{}](queued={},recved={},sent={}", client.address(), client.port(),
        session.id ? 1 : 0, client.call_count(), counters.received, counters.sent);
    if (in_full && session.id) {
      const auto& last = client.last_reply();
      add(out, ",sid={:#x},lop={},est={},to={}", session.id.value(), last.op,
          client.accepted_wall_ms(), client.timeout_ms());
      const auto zxid = last.at_ms == 0 ? UINT64_MAX : client.last_zxid().value();
      if (last.xid >= 0) add(out, ",lcxid={:#x}", last.xid);
      const auto count =
          std::max<std::int64_t>(1, static_cast<std::int64_t>(counters.latency_count));
      add(out, ",lzxid={:#x},lresp={},llat={},minlat={},avglat={},maxlat={}", zxid, last.at_ms,
          last.took_ms, counters.latency_min_ms, counters.latency_sum_ms / count,
          counters.latency_max_ms);
    }
    out += ")\n";
  });
  out += '\n';
}

void put_server(std::string& out, ZkEdge& edge, const core::Status& status, Serving serving,
                bool with_clients) {
  const auto& counters = edge.counters();
  add(out, "Zookeeper version: {}\n", kVersion);
  if (serving == Serving::readers) out += "READ-ONLY mode; serving only read-only clients\n";
  if (with_clients) {
    out += "Clients:\n";
    put_clients(out, edge, false);
  }
  add(out, "Latency min/avg/max: {}/{}/{}\n", counters.latency_min_ms, mean_of(counters),
      counters.latency_max_ms);
  add(out, "Received: {}\nSent: {}\n", counters.received, counters.sent);
  add(out, "Connections: {}\nOutstanding: {}\n", edge.sockets().count(), edge.outstanding());
  add(out, "Zxid: {:#x}\nMode: {}\nNode count: {}\n", status.applied.value(),
      mode_of(status, serving), status.nodes);
  if (const auto* leading = leading_of(status, serving)) {
    const auto [last, least, most] = sizes_of(leading->proposals);
    add(out, "Proposal sizes last/min/max: {}/{}/{}\n", last, least, most);
  }
}

void put_monitor(std::string& out, ZkEdge& edge, const core::Status& status, Serving serving) {
  const auto& counters = edge.counters();
  const auto line = [&out](std::string_view name, const auto& value) {
    add(out, "zk_{}\t{}\n", name, value);
  };
  struct rlimit limit {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  line("version", kVersion);
  const auto mode = mode_of(status, serving);
  line("server_state", mode);
  if (serving == Serving::everybody && !status.is_alone) {
    line("peer_state", mode == "leader"     ? "leading - broadcast"
                       : mode == "follower" ? "following - broadcast"
                                            : "observing - broadcast");
  }
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
  line("open_file_descriptor_count", open_descriptors());
  line("max_file_descriptor_count", limit.rlim_cur);
  line("uptime", status.uptime_ms);
  if (const auto* leading = leading_of(status, serving)) {
    const auto [last, least, most] = sizes_of(leading->proposals);
    line("leader_uptime", leading->since_ms);
    line("quorum_size", status.voters);
    line("learners", leading->learners);
    line("synced_followers", leading->voters_ready);
    line("synced_observers", leading->observers_ready);
    line("synced_non_voting_followers", 0);  // Who does not vote is an observer here.
    line("last_proposal_size", last);
    line("min_proposal_size", least);
    line("max_proposal_size", most);
  }
}

void put_environment(std::string& out) {
  struct utsname system {};
  ::uname(&system);
  add(out, "Environment:\nzookeeper.version={}\nhost.name={}\n", kVersion, system.nodename);
  // Clients look for these lines. There is no such thing here, which ZooKeeper says so.
  for (const auto* name : {"java.version", "java.vendor", "java.home", "java.class.path"}) {
    add(out, "{}=<not-available>\n", name);
  }
  add(out, "os.name={}\nos.arch={}\n", system.sysname, system.machine);
  static const std::string user = user_lines();
  std::error_code code;
  add(out, "os.version={}\n{}", system.release, user);
  add(out, "user.dir={}\n", std::filesystem::current_path(code).string());
}

void put_configuration(std::string& out, ZkEdge& edge, const core::Status& status,
                       const core::ClusterView& cluster) {
  const auto& options = edge.options();
  add(out, "clientPort={}\nsecureClientPort={}\n", edge.port(), edge.secure_port());
  add(out, "dataDir={}\ndataDirSize={}\n", options.data_directory,
      bytes_in(options.data_directory));
  add(out, "dataLogDir={}\ndataLogSize={}\n", options.log_directory,
      bytes_in(options.log_directory));
  add(out, "tickTime={}\nmaxClientCnxns={}\n", options.timeout_ms_min / 2,
      options.connections_per_address_max);
  add(out, "minSessionTimeout={}\nmaxSessionTimeout={}\n", options.timeout_ms_min,
      options.timeout_ms_max);
  add(out, "clientPortListenBacklog=-1\nserverId={}\n", status.member);
  const auto members = configuration_of(cluster);
  if (members.empty()) return;
  const auto own = std::find_if(cluster.members.begin(), cluster.members.end(),
                                [&](const auto& member) { return member.id == status.member; });
  const bool is_voter = own != cluster.members.end() && own->role == "voter";
  if (options.peer_port != 0) add(out, "quorumPort={}\n", options.peer_port);
  add(out, "peerType={}\nmembership: \n{}", is_voter ? 0 : 1, members);
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
  out += '\n';
}

// What ends by itself unless it is heard of, by the tick in which it does.
class Deadlines {
 public:
  explicit Deadlines(const ZkOptions& options) : tick_ms_(options.timeout_ms_min / 2) {}

  void add_line(std::int64_t left_ms, std::string line) {
    lines_[(now_ms_ + left_ms) / tick_ms_ + 1].push_back(std::move(line));
    ++count_;
  }
  void put(std::string& out, std::string_view name) const {
    add(out, "{} Sets ({})/({}):\n", name, lines_.size(), count_);
    for (const auto& [tick, lines] : lines_) {
      add(out, "{} expire at {}:\n", lines.size(), date_of(tick * tick_ms_));
      for (const auto& line : lines) add(out, "\t{}\n", line);
    }
  }

 private:
  const std::int64_t tick_ms_;
  const std::int64_t now_ms_ = wall_ms();
  std::map<std::int64_t, std::vector<std::string>> lines_;
  std::size_t count_ = 0;
};

void put_connections(std::string& out, ZkEdge& edge) {
  Deadlines deadlines(edge.options());
  edge.for_each([&](ClientId, const Client& client) {
    deadlines.add_line(client.idle_until_ms() - edge.sockets().now_ms(),
                       fmt::format("ip: /{}:{} sessionId: {:#x}", client.address(), client.port(),
                                   client.session().id.value()));
  });
  out += "Connections dump:\n";
  deadlines.put(out, "Connections");
}

// A leader knows when each ends, any other member how long it lasts at least.
void put_sessions(std::string& out, const core::SessionList& list, bool is_leader,
                  const ZkOptions& options) {
  out += "SessionTracker dump:\n";
  if (is_leader) {
    Deadlines deadlines(options);
    for (const auto& one : list.sessions) {
      deadlines.add_line(one.remaining_ms.value_or(0), fmt::format("{:#x}", one.id.value()));
    }
    deadlines.put(out, "Session");
  } else {
    add(out, "Global Sessions({}):\n", list.sessions.size());
    for (const auto& one : list.sessions) add(out, "{:#x}\t{}ms\n", one.id.value(), one.ttl_ms);
  }
  const auto with_nodes =
      std::count_if(list.sessions.begin(), list.sessions.end(),
                    [](const core::SessionView& one) { return !one.ephemerals.empty(); });
  add(out, "ephemeral nodes dump:\nSessions with Ephemerals ({}):\n", with_nodes);
  for (const auto& one : list.sessions) {
    if (one.ephemerals.empty()) continue;
    add(out, "{:#x}:\n", one.id.value());
    for (const auto& path : one.ephemerals) add(out, "\t{}\n", path);
  }
}

// What the port knows by itself.
void put_own(std::string_view word, ZkEdge& edge, std::string& out) {
  if (word == "wchs") {
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
    add(out, "datadir_size: {}\nlogdir_size: {}\n", bytes_in(edge.options().data_directory),
        bytes_in(edge.options().log_directory));
  }
}

}  // namespace

std::int64_t wall_ms() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

bool is_word(std::string_view word) noexcept {
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

bool answer_word_alone(std::string_view word, std::string& out) {
  if (word == "ruok") {
    out += "imok";
  } else if (word == "envi") {
    put_environment(out);
  } else {
    return false;
  }
  return true;
}

std::optional<core::Operation> answer_word(Word& word, ZkEdge& edge, core::Reply& reply,
                                           std::string& out) {
  const auto& name = word.name;
  if (auto* status = std::get_if<core::Status>(&reply.result)) word.status = std::move(*status);
  const auto serving =
      reply.code == Code::ok ? serving_of(word.status, edge.options()) : Serving::nobody;
  if (name == "isro") {
    out += serving == Serving::everybody ? "rw" : serving == Serving::readers ? "ro" : "null";
  } else if (serving == Serving::nobody) {
    out += "This ZooKeeper instance is not currently serving requests\n";
  } else if (name == "dump") {
    const auto* list = std::get_if<core::SessionList>(&reply.result);
    if (list == nullptr) {
      return core::ListSessions{SessionId(), edge.options().dump_sessions_max, true};
    }
    const bool is_leader = serving == Serving::everybody && word.status.leading;
    put_sessions(out, *list, is_leader, edge.options());
    put_connections(out, edge);
  } else if (name == "conf") {
    const auto* cluster = std::get_if<core::ClusterView>(&reply.result);
    if (cluster == nullptr) return core::GetCluster{};
    put_configuration(out, edge, word.status, *cluster);
  } else if (name == "srvr" || name == "stat") {
    put_server(out, edge, word.status, serving, name == "stat");
  } else if (name == "mntr") {
    put_monitor(out, edge, word.status, serving);
  } else {
    put_own(name, edge, out);
  }
  return std::nullopt;
}

}  // namespace coord::api::zk
