// Runner: the shell's loop around a Node. It feeds events, carries out effects and feeds back what
// happened; it decides nothing about consensus, sessions or znodes.
//
// Group commit: while one sync is under way, what the following turns ask to persist gathers, and
// is written and synced as one batch when the sync ends. A failed write or sync ends the process; a
// full disk is tried again with the same bytes until there is room.
//
// Thread rule: everything on the loop's thread.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "api/gateway.hpp"
#include "coord/core/node.hpp"
#include "coord/core/turn.hpp"
#include "coord/disk/state_store.hpp"
#include "coord/disk/wal.hpp"
#include "coord/server/metrics.hpp"
#include "coord/server/peer_link.hpp"
#include "coord/server/workers.hpp"

namespace coord::server {

struct RunnerOptions {
  // Free bytes of the data directory's file system. Below `reserve_bytes` new writes are refused,
  // so that what is under way, and the end of sessions, still find room.
  std::function<std::uint64_t()> free_bytes;
  std::uint64_t reserve_bytes = 4 * kMiB;
  // Returns memory that is free in the process to the system; see StoreWorker. May be empty.
  std::function<void()> give_back_memory;
};

class Runner final : public core::Ports {
 public:
  Runner(boost::asio::io_context& loop, std::unique_ptr<core::Node> node,
         std::unique_ptr<disk::Wal> wal, std::unique_ptr<disk::StateStore> store, Metrics& metrics,
         RunnerOptions options);
  ~Runner() override;

  // Where messages go; without links a member is a cluster of one. The links must outlive the loop.
  void set_links(PeerLinks& links) { links_ = &links; }
  [[nodiscard]] const PeerLinks* links() const noexcept { return links_; }
  // Starts the ticker.
  void start();
  // Puts an event into the inbox; the turn runs after the handlers that are ready now.
  void enqueue(core::Event event);
  // Calls `done` once nothing is under way any more, or after `limit_ms`.
  void drain(std::int64_t limit_ms, std::function<void()> done);

  // Hands leadership over and calls `done` when that is so, or after `limit_ms`.
  void step_down(std::int64_t limit_ms, std::function<void()> done);

  [[nodiscard]] ConnectionId connect(api::Sink& sink);
  void disconnect(ConnectionId connection);
  // See api::Gateway.
  void read_backup(ConnectionId connection, std::size_t bytes_max);
  [[nodiscard]] std::size_t connection_count() const noexcept {
    return sinks_.size() - internal_sinks_.size();
  }
  [[nodiscard]] const core::Node& node() const noexcept { return *node_; }
  [[nodiscard]] const disk::Wal& wal() const noexcept { return *wal_; }
  [[nodiscard]] const disk::StateStore& store() const noexcept { return *store_; }

  // core::Ports
  void send(std::vector<core::Message> messages) override;
  void persist(election::Persist persist, std::vector<core::Message> after) override;
  void send_after_persist(std::vector<core::Message> messages) override;
  void deliver(std::vector<core::Delivery> deliveries) override;
  void checkpoint(core::Checkpoint checkpoint) override;
  void read_store(core::StoreRead read) override;
  void recycle(Index up_to) override;
  void read_snapshot(core::SnapshotRead read) override;
  void write_snapshot(core::SnapshotWrite write) override;

 private:
  // What waits for a sync: as much as gathered while the one before was under way.
  struct Unsynced {
    disk::WalBatch batch;
    std::vector<core::Message> after;
    std::uint64_t number = 0;
    std::int64_t since_ns = 0;
    [[nodiscard]] bool empty() const noexcept { return number == 0 && after.empty(); }
  };
  void schedule_turn();
  void turn();
  void watch_raft(Index last_before, MemberId leader_before, bool was_candidate);
  void tick();
  void await_observers();
  void write_gathered();
  void on_synced(const Result<void>& result, std::int64_t nanoseconds);
  void on_log_full();
  void report_full();
  void check_room();
  void tick_log();
  bool prepare_log();  // Whether something was prepared and more is to be.
  void on_snapshot_read(core::SnapshotWasRead found);
  void end_backup(ConnectionId connection);
  [[nodiscard]] bool is_idle() const;

  boost::asio::io_context& loop_;
  std::unique_ptr<core::Node> node_;
  std::unique_ptr<disk::Wal> wal_;
  std::unique_ptr<disk::StateStore> store_;
  Metrics& metrics_;
  RunnerOptions options_;
  core::Inbox inbox_;
  bool is_turn_scheduled_ = false;
  std::deque<std::pair<Index, std::int64_t>> proposed_;  // By this leader: when, in nanoseconds.
  boost::asio::steady_timer ticker_;
  boost::asio::steady_timer observers_;
  bool is_awaiting_observers_ = false;
  boost::asio::steady_timer retry_;

  Unsynced gathered_;
  std::optional<Unsynced> under_way_;
  bool is_log_full_ = false;
  bool is_store_full_ = false;
  bool is_room_low_ = false;
  std::uint64_t unchecked_bytes_ = 0;  // Written since check_room() looked last.
  bool is_prepare_due_ = false;
  std::uint64_t batches_ = 0;  // Written to the log.
  std::uint64_t batches_seen_ = 0;
  bool was_full_ = false;
  bool is_preparing_ = true;  // Blocks ahead, or a spare segment, may be missing.
  bool is_checkpointing_ = false;
  std::int64_t checkpoint_since_ms_ = 0;
  std::int64_t drain_until_ms_ = 0;
  std::function<void()> drained_;
  std::int64_t step_down_until_ms_ = 0;
  std::function<void()> stepped_down_;
  PeerLinks* links_ = nullptr;

  absl::flat_hash_map<ConnectionId, api::Sink*> sinks_;
  absl::flat_hash_set<ConnectionId> internal_sinks_;
  std::uint64_t last_connection_ = 0;
  absl::flat_hash_set<ConnectionId> backups_;  // Connections that read one.
  std::vector<ConnectionId> touched_;          // Sinks to flush at the end of a delivery.

  // Last, so that their threads end before what they use.
  DiskWorker disk_worker_;
  StoreWorker store_worker_;
  ReadWorker read_worker_;
};

// The member's clocks.
[[nodiscard]] std::int64_t mono_ns();
[[nodiscard]] core::Tick clock_now();

}  // namespace coord::server
