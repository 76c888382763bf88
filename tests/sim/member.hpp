// Member: the simulated shell around a real Node, a real Wal over a SimDisk, and a ModelStore.
//
// It does what coord/server's Runner does, in simulated time: turns are posted, what is asked to be
// persisted gathers while a sync is under way, checkpoints commit beside the loop, questions to the
// store are answered later, a full disk is tried again, a failed write or sync ends the process.
// Mutants of the shell are here, each a branch on World::mutant().
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/core/node.hpp"
#include "coord/core/turn.hpp"
#include "coord/disk/wal.hpp"
#include "coord/server/snapshots.hpp"
#include "tests/sim/model_store.hpp"
#include "tests/sim/sim_disk.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {

// What a start from a disk and a store gives.
struct Started {
  std::unique_ptr<disk::Wal> wal;
  core::NodeState state;
  disk::WalTail tail;
};
// As coord/server's open_data() does it. `first`: the ensemble that a member without data knows.
[[nodiscard]] Result<Started> start_from(disk::Disk& disk, const disk::StateStore& store,
                                         const Plan& plan, const disk::WalOptions& options,
                                         const election::Membership& first);

// Who hears from a member on one connection.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_delivery(ConnectionId connection, const core::Delivery& delivery) = 0;
  virtual void on_lost(ConnectionId connection) = 0;
};

class Member final : public core::Ports, public TraceSink {
 public:
  Member(World& world, MemberId id);
  ~Member() override;

  [[nodiscard]] MemberId id() const noexcept { return id_; }
  [[nodiscard]] bool is_up() const noexcept { return node_ != nullptr; }
  [[nodiscard]] const core::Node& node() const { return *node_; }
  [[nodiscard]] std::int64_t mono_ms() const;
  // Since when it runs undisturbed (no start, pause, full disk or slow sync), in mono_ms().
  [[nodiscard]] std::int64_t calm_since_ms() const noexcept { return calm_since_ms_; }
  [[nodiscard]] SimDisk& disk() noexcept { return *disk_; }
  [[nodiscard]] const ModelStore& store() const noexcept { return store_; }
  // What it knows of the ensemble before it has any data: nothing, if it joins.
  [[nodiscard]] election::Membership first_membership() const;

  // ---- the world
  void start();
  void receive(core::Event event);
  [[nodiscard]] ConnectionId connect(Listener& listener);
  void disconnect(ConnectionId connection);
  // The connection is known here (it is lost when the process ends).
  [[nodiscard]] bool has(ConnectionId connection) const { return listeners_.contains(connection); }

  // ---- faults
  enum class End : std::uint8_t { process, power };
  void end(End how);
  void lose_power_at(std::uint64_t operations_from_now);
  void pause(std::int64_t for_us);
  void jump_wall(std::int64_t by_ms);
  void fill_disk(std::int64_t for_us);
  void fill_store(std::int64_t for_us);
  void fail_next_sync() { disk_->faults.next_sync_loses = true; }
  void fail_writes() { disk_->faults.write_fails = true; }
  void fail_next_commit() { store_.faults.commit_fails = true; }
  void damage_log() { wants_damage_ = true; }
  // It is down. What its disk or its store holds is damaged, and a start must refuse it. False:
  // nothing is there yet that could be.
  bool damage_disk();
  void retire();  // For good.
  void calm();    // All faults of this member end; it starts if it is down.

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
  struct Unsynced {
    disk::WalBatch batch;
    std::vector<core::Message> after;
    std::uint64_t number = 0;
    [[nodiscard]] bool empty() const noexcept { return number == 0 && after.empty(); }
  };
  void trace(const TraceEvent& event) override;
  // Runs later, unless this process has ended by then; not while it is paused.
  void post(std::int64_t delay_us, std::function<void()> what);
  void post_in(std::uint64_t process, std::function<void()> what);
  void restart_later();
  [[nodiscard]] Plan own_plan();
  void boot();
  bool check_damage();
  struct Spot {
    std::string file;
    std::uint64_t end = 0;  // Of what lies before the log's last batch.
  };
  [[nodiscard]] std::optional<Spot> draw_spot();
  struct Damage {
    std::string file;  // Empty: the store.
    std::uint64_t offset = 0;
    std::string_view what;
  };
  [[nodiscard]] std::optional<Damage> damage_file();
  [[nodiscard]] bool mutate_damaged(const Damage& damage);
  void check_recovery();
  void check_replay();
  [[nodiscard]] bool fails_to_read();
  void schedule_turn();
  void turn();
  void tick();
  void write_gathered();
  void sync_now();
  void on_synced();
  void on_log_full();
  void report_full();
  void commit_store();
  void write_next();
  void commit_mutated();
  void doom(const Error& error);
  void die_if_doomed();
  [[nodiscard]] core::Tick clock();
  // mutants.cpp: what is broken on purpose on the way in and out.
  // False: this event is not for the Node.
  [[nodiscard]] bool mutate(core::Event& event);
  bool mutate_request(core::Request& request);
  void mutate_watch(core::Subscribe& subscribe);
  void mutate_reply(const core::Message& message, election::AppendReply& reply);
  void shift_leases(std::int64_t by_ms);
  void mutate(disk::WalBatch& batch) const;
  void mutate(core::StateLimits& limits);
  void mutate(core::NodeState& started);
  void mutate_disks();
  [[nodiscard]] bool is_told_early() const;
  [[nodiscard]] Result<void> write_vote_alone(const disk::WalBatch& batch);
  void tell_ahead(const election::Persist& persist);
  void deliver_mutated(ConnectionId connection, core::Delivery delivery);
  void disturbed() { calm_since_ms_ = std::max(calm_since_ms_, mono_ms()); }
  void to_listener(ConnectionId connection, core::Delivery delivery);

  World& world_;
  MemberId id_;
  std::unique_ptr<SimDisk> disk_;
  ModelStore store_;
  std::uint64_t process_ = 0;  // Which start this is.
  std::uint64_t last_connection_ = 0;

  std::unique_ptr<core::Node> node_;
  std::unique_ptr<disk::Wal> wal_;
  core::Inbox inbox_;
  bool is_turn_scheduled_ = false;
  Unsynced gathered_;
  std::optional<Unsynced> under_way_;
  bool is_log_full_ = false;
  bool is_store_full_ = false;
  bool was_full_ = false;
  bool is_preparing_ = true;
  bool is_slow_ = false;    // The sync under way takes long.
  bool is_synced_ = false;  // The sync under way was done, and not yet reported.
  std::optional<core::Checkpoint> checkpoint_;
  Index recycled_;
  std::optional<server::SnapshotReader> snapshot_reader_;  // Of this process.
  std::optional<server::SnapshotWriter> snapshot_writer_;
  std::deque<core::SnapshotWrite> snapshot_writes_;
  std::shared_ptr<core::LoadedState> loaded_;  // By the last one that was finished.
  std::optional<std::string> doom_;

  std::map<ConnectionId, Listener*> listeners_;
  std::map<ConnectionId, std::int64_t> last_delivery_us_;  // A connection keeps its order.
  std::int64_t paused_until_us_ = 0;
  std::int64_t calm_since_ms_ = 0;
  std::int64_t mono_base_us_ = 0;
  std::int64_t mono_start_us_ = 0;
  std::int64_t wall_offset_ms_ = 0;
  bool wants_damage_ = false;
  bool is_retired_ = false;

  // What a mutant keeps in mind.
  struct Watched {
    watch::Filter filter;
    std::int64_t deaf_until_us = 0;  // watch_after_read
    bool is_live = false;
    std::set<Zxid> told;  // event_at_append
  };
  struct Broken {
    bool is_checkpoint_half = false;            // index_apart_from_data: the data is there.
    std::int64_t last_wall_mono_ms = 0;         // expire_by_wall_clock
    std::int64_t ended_us = 0;                  // expire_without_entry
    std::uint64_t early_number = 0;             // Persisted, and told before it was.
    election::HardState stored;                 // vote_apart_from_term
    std::map<MemberId, core::Message> replies;  // lease_by_wall_clock: the latest of each.
    std::map<std::pair<ConnectionId, WatchId>, Watched> watched;
    Zxid delivered;  // event_at_append: by the last turn.
  };
  Broken broken_;
};

}  // namespace coord::sim
