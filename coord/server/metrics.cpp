#include "coord/server/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/text_serializer.h>

#include <fstream>
#include <utility>
#include <vector>

#include "coord/disk/state_store.hpp"
#include "coord/disk/wal.hpp"
#include "coord/server/peer_link.hpp"

namespace coord::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

// Resident memory from /proc, in bytes; 0 if it cannot be read.
double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  statm >> size >> resident;
  return statm ? static_cast<double>(resident * 4096) : 0;
}

void raise_to(prometheus::Counter& counter, std::uint64_t value) {
  const auto now = static_cast<double>(value);
  if (now > counter.Value()) counter.Increment(now - counter.Value());
}

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;

  prometheus::Gauge& gauge(const char* name, const char* help) {
    return BuildGauge().Name(name).Help(help).Register(registry).Add({});
  }
  prometheus::Counter& counter(const char* name, const char* help) {
    return BuildCounter().Name(name).Help(help).Register(registry).Add({});
  }
  prometheus::Histogram& histogram(const char* name, const char* help,
                                   prometheus::Histogram::BucketBoundaries buckets) {
    return BuildHistogram().Name(name).Help(help).Register(registry).Add({}, std::move(buckets));
  }

  prometheus::Histogram& sync = histogram(
      "coord_wal_sync_seconds", "Time of one fdatasync of the log.",
      {50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 100e-3, 500e-3, 1, 5});
  prometheus::Histogram& commit = histogram(
      "coord_commit_seconds", "From the proposal of an entry at this leader to its commit.",
      {50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 100e-3, 500e-3, 1, 5});
  prometheus::Counter& elections =
      counter("coord_elections_total", "Elections that this member stood in.");
  prometheus::Counter& leader_changes =
      counter("coord_leader_changes_total", "Changes of the leader that this member follows.");
  prometheus::Histogram& checkpoint =
      histogram("coord_checkpoint_seconds", "Time of one checkpoint into the store.",
                {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60});
  prometheus::Counter& checkpoint_records =
      counter("coord_checkpoint_records_total", "Records written by checkpoints.");
  prometheus::Counter& turns = counter("coord_turns_total", "Turns of the loop.");
  prometheus::Counter& events = counter("coord_events_total", "Events that the turns took.");
  prometheus::Counter& batches = counter("coord_wal_batches_total", "Batches written to the log.");
  prometheus::Counter& entries = counter("coord_wal_entries_total", "Entries written to the log.");
  prometheus::Gauge& is_leader = gauge("coord_is_leader", "1 if this member leads, else 0.");
  prometheus::Gauge& is_ready = gauge("coord_is_ready", "1 if this member serves, else 0.");
  prometheus::Gauge& term = gauge("coord_term", "Raft's current term.");
  prometheus::Gauge& last = gauge("coord_last_index", "Index of the last entry of the log.");
  prometheus::Gauge& committed = gauge("coord_committed_index", "Highest committed index.");
  prometheus::Gauge& applied = gauge("coord_applied_index", "Highest applied index: the revision.");
  prometheus::Gauge& checkpointed =
      gauge("coord_checkpointed_index", "Index of the last durable checkpoint.");
  prometheus::Gauge& nodes = gauge("coord_nodes", "Nodes of the tree.");
  prometheus::Gauge& value_bytes = gauge("coord_value_bytes", "Bytes of the values of all nodes.");
  prometheus::Gauge& sessions = gauge("coord_sessions", "Live sessions.");
  prometheus::Gauge& watches = gauge("coord_watches", "Open watches of this member.");
  prometheus::Gauge& connections = gauge("coord_connections", "Open client connections.");
  prometheus::Gauge& pending =
      gauge("coord_pending_requests", "Requests that wait for an outcome.");
  prometheus::Gauge& history = gauge("coord_history_changes", "Batches of changes in memory.");
  prometheus::Gauge& dirty =
      gauge("coord_dirty_records", "Records that changed since the last checkpoint.");
  prometheus::Gauge& segments = gauge("coord_wal_segments", "Segment files of the log.");
  prometheus::Gauge& store_bytes = gauge("coord_store_bytes", "Bytes that the store uses.");
  prometheus::Gauge& links_up =
      gauge("coord_peer_links_up", "Members to which links stand both ways.");
  prometheus::Counter& frames_sent =
      counter("coord_peer_frames_sent_total", "Messages sent to other members.");
  prometheus::Counter& peer_bytes_sent =
      counter("coord_peer_bytes_sent_total", "Bytes sent to other members.");
  prometheus::Counter& frames_received =
      counter("coord_peer_frames_received_total", "Messages received from other members.");
  prometheus::Counter& peer_bytes_received =
      counter("coord_peer_bytes_received_total", "Bytes received from other members.");
  prometheus::Counter& peer_dropped =
      counter("coord_peer_messages_dropped_total",
              "Messages for which no link stood, or that waited long.");
  prometheus::Counter& peer_dials =
      counter("coord_peer_dials_total", "Tries to reach other members.");
  prometheus::Counter& peer_breaks =
      counter("coord_peer_breaks_total", "Links to other members that broke.");
  prometheus::Gauge& voters = gauge("coord_voters", "Voters of the ensemble.");
  prometheus::Gauge& has_leader = gauge("coord_has_leader", "1 if this member knows a leader.");
  prometheus::Gauge& tolerated = gauge(
      "coord_failures_tolerated", "How many more voters may fail, as far as this member knows.");
  prometheus::Family<prometheus::Gauge>& peer_live =
      BuildGauge()
          .Name("coord_peer_up")
          .Help("1 if the leader hears the member; only of a leader.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& peer_lag =
      BuildGauge()
          .Name("coord_peer_lag_entries")
          .Help("Committed entries that the member has not synced; only of a leader.")
          .Register(registry);
  // Of the members that the last text told of.
  std::vector<std::pair<prometheus::Gauge*, prometheus::Gauge*>> peers;
  void show_peers(const core::Node& node);
  prometheus::Gauge& resident =
      gauge("process_resident_memory_bytes", "Resident memory of this process.");
};

void Metrics::Impl::show_peers(const core::Node& node) {
  for (const auto& [live, lag] : std::exchange(peers, {})) {
    peer_live.Remove(live);
    peer_lag.Remove(lag);
  }
  const auto until = node.raft().committed().value();
  for (const auto& peer : node.raft().peers()) {
    const prometheus::Labels labels = {{"member", fmt::format("{}", peer.id)}};
    auto& live = peer_live.Add(labels);
    auto& lag = peer_lag.Add(labels);
    live.Set(peer.is_active ? 1 : 0);
    const auto match = peer.match.value();
    lag.Set(until > match ? static_cast<double>(until - match) : 0);
    peers.emplace_back(&live, &lag);
  }
}

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::sync(std::int64_t nanoseconds) {
  impl_->sync.Observe(static_cast<double>(nanoseconds) * 1e-9);
}

void Metrics::commit(std::int64_t nanoseconds) {
  impl_->commit.Observe(static_cast<double>(nanoseconds) * 1e-9);
}

void Metrics::checkpoint(std::size_t records, std::int64_t milliseconds) {
  impl_->checkpoint.Observe(static_cast<double>(milliseconds) * 1e-3);
  impl_->checkpoint_records.Increment(static_cast<double>(records));
}

std::string Metrics::text(const core::Node& node, const disk::Wal& wal,
                          const disk::StateStore& store, std::size_t connections,
                          const PeerLinks* links) {
  auto& m = *impl_;
  raise_to(m.turns, turns_);
  raise_to(m.events, events_);
  raise_to(m.batches, batches_);
  raise_to(m.entries, entries_);
  raise_to(m.elections, elections_);
  raise_to(m.leader_changes, leader_changes_);
  const auto status = node.status();
  const auto number = [](auto v) { return static_cast<double>(v); };
  m.is_leader.Set(status.role == "leader" ? 1 : 0);
  m.is_ready.Set(status.is_ready ? 1 : 0);
  m.term.Set(number(status.term.value()));
  m.last.Set(number(status.last.value()));
  m.committed.Set(number(status.committed.value()));
  m.applied.Set(number(status.applied.value()));
  m.checkpointed.Set(number(status.checkpointed.value()));
  m.nodes.Set(number(status.nodes));
  m.value_bytes.Set(number(status.value_bytes));
  m.sessions.Set(number(status.sessions));
  m.watches.Set(number(status.watches));
  m.connections.Set(number(connections));
  m.pending.Set(number(node.pending_count()));
  m.history.Set(number(node.history().size()));
  m.dirty.Set(number(node.state().dirty_records()));
  m.segments.Set(number(wal.segment_count()));
  m.store_bytes.Set(number(store.bytes_used()));
  m.has_leader.Set(status.leader ? 1 : 0);
  const auto cluster = node.cluster_view();
  m.voters.Set(number(cluster.voters));
  m.tolerated.Set(number(cluster.failures_tolerated));
  m.show_peers(node);
  m.resident.Set(resident_bytes());
  if (links != nullptr) {
    const auto& peers = links->counters();
    m.links_up.Set(number(links->links_up()));
    raise_to(m.frames_sent, peers.frames_sent);
    raise_to(m.peer_bytes_sent, peers.bytes_sent);
    raise_to(m.frames_received, peers.frames_received);
    raise_to(m.peer_bytes_received, peers.bytes_received);
    raise_to(m.peer_dropped, peers.messages_dropped);
    raise_to(m.peer_dials, peers.dials);
    raise_to(m.peer_breaks, peers.breaks);
  }
  return prometheus::TextSerializer().Serialize(m.registry.Collect());
}

}  // namespace coord::server
