#include "coord/server/runner.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/server/log.hpp"

namespace coord::server {
namespace {

constexpr auto kTick = std::chrono::milliseconds(20);
// A checkpoint that takes longer waits for a processor that others keep busy.
constexpr std::int64_t kCheckpointMs = 9'000;
constexpr int kIdlePieces = 4;  // Of the log, prepared in one tick.
constexpr auto kFullRetry = std::chrono::milliseconds(250);
// Backups that are read at one time: while one is, the store's file can only grow.
constexpr std::size_t kBackupsMax = 2;
// Streams of backups are numbered by their connections, above those that Node counts.
constexpr std::uint64_t kBackupStream = 1ULL << 63U;

}  // namespace

std::int64_t mono_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

core::Tick clock_now() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {mono_ns() / 1'000'000,
          std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()};
}

Runner::Runner(boost::asio::io_context& loop, std::unique_ptr<core::Node> node,
               std::unique_ptr<disk::Wal> wal, std::unique_ptr<disk::StateStore> store,
               Metrics& metrics, RunnerOptions options)
    : loop_(loop),
      node_(std::move(node)),
      wal_(std::move(wal)),
      store_(std::move(store)),
      metrics_(metrics),
      options_(std::move(options)),
      ticker_(loop),
      observers_(loop),
      retry_(loop),
      disk_worker_(
          loop, *wal_,
          [this](const Result<void>& result, std::int64_t took) { on_synced(result, took); }),
      store_worker_(
          loop, *store_, node_->state().limits(),
          [this](const StoreWorker::Written& written) {
            is_checkpointing_ = false;
            metrics_.checkpoint(written.records, written.milliseconds);
            spdlog::debug("event=checkpoint index={} records={} ms={}", written.index,
                          written.records, written.milliseconds);
            enqueue(core::Checkpointed{written.index});
          },
          [this](bool is_full) {
            is_store_full_ = is_full;
            report_full();
          },
          [this](core::SnapshotWritten written) { enqueue(std::move(written)); },
          options_.give_back_memory),
      read_worker_(
          loop, *store_,
          [this](core::StoreAnswer found) { enqueue(core::StoreAnswered{std::move(found)}); },
          [this](core::SnapshotWasRead found) { on_snapshot_read(std::move(found)); }) {}

Runner::~Runner() = default;

void Runner::start() {
  schedule_turn();
  tick();
}

void Runner::tick() {
  ticker_.expires_after(kTick);
  ticker_.async_wait([this](const boost::system::error_code& code) {
    if (code) return;
    schedule_turn();
    check_room();
    const bool is_late =
        node_->is_store_late() || mono_ns() / 1'000'000 - checkpoint_since_ms_ > kCheckpointMs;
    if (is_checkpointing_ && is_late) store_worker_.hurry();
    store_worker_.hurry_late_install();
    tick_log();
    if (drained_ && (is_idle() || mono_ns() / 1'000'000 >= drain_until_ms_)) {
      std::exchange(drained_, nullptr)();
    }
    tick();
  });
}

// While nothing is written the log is prepared in larger steps: then it is ready when it is needed.
void Runner::tick_log() {
  const bool is_quiet = std::exchange(batches_seen_, batches_) == batches_;
  for (int i = 0; i < (is_quiet ? kIdlePieces : 1) && !under_way_; ++i) {
    is_prepare_due_ = is_preparing_;
    if (!prepare_log()) break;
  }
  is_prepare_due_ = is_preparing_ && under_way_;
}

// The log may only be prepared between two syncs; under load that moment is short. Not on a disk
// that is full or nearly so: the log itself needs that room.
bool Runner::prepare_log() {
  if (!std::exchange(is_prepare_due_, false) || was_full_) return false;
  const auto more = wal_->prepare();
  if (!more) {
    if (more.error().failure == Failure::disk_full) return false;
    log_and_die("the log cannot be prepared: {}", more.error().message);
  }
  is_preparing_ = more.value();
  return is_preparing_;
}

void Runner::check_room() {
  unchecked_bytes_ = 0;
  const auto free = options_.free_bytes();
  // Once low, it takes a little more than the reserve to be believed again.
  const auto enough = options_.reserve_bytes + (is_room_low_ ? options_.reserve_bytes / 4 : 0);
  is_room_low_ = free < enough;
  report_full();
}

void Runner::drain(std::int64_t limit_ms, std::function<void()> done) {
  drain_until_ms_ = mono_ns() / 1'000'000 + limit_ms;
  drained_ = std::move(done);
}

void Runner::step_down(std::int64_t limit_ms, std::function<void()> done) {
  if (node_->raft().membership().is_sole_voter(node_->raft().leader())) return done();
  step_down_until_ms_ = mono_ns() / 1'000'000 + limit_ms;
  stepped_down_ = std::move(done);
  enqueue(core::StepDown{});
}

bool Runner::is_idle() const {
  return inbox_.empty() && !under_way_ && gathered_.empty() && node_->pending_count() == 0;
}

void Runner::enqueue(core::Event event) {
  inbox_.push_back(std::move(event));
  schedule_turn();
}

void Runner::schedule_turn() {
  if (is_turn_scheduled_) return;
  is_turn_scheduled_ = true;
  // Behind the handlers that are ready now: what they bring shares this turn and its sync.
  boost::asio::post(loop_, [this] { turn(); });
}

void Runner::turn() {
  is_turn_scheduled_ = false;
  metrics_.turn(inbox_.size());
  const auto& raft = node_->raft();
  const auto last = raft.last_index();
  const auto leader = raft.leader();
  const bool was_candidate = raft.role() == election::Role::candidate;
  if (core::run_turn(inbox_, *node_, clock_now(), *this)) schedule_turn();
  watch_raft(last, leader, was_candidate);
  if (stepped_down_ && (node_->raft().role() != election::Role::leader ||
                        mono_ns() / 1'000'000 >= step_down_until_ms_)) {
    std::exchange(stepped_down_, nullptr)();
  }
  await_observers();
}

// What waits for an observer is due before the ticker's next beat.
void Runner::await_observers() {
  const auto due = node_->raft().observers_due_ms();
  if (!due || is_awaiting_observers_) return;
  is_awaiting_observers_ = true;
  const auto left = std::max<std::int64_t>(1, *due - mono_ns() / 1'000'000);
  observers_.expires_after(std::chrono::milliseconds(left));
  observers_.async_wait([this](const boost::system::error_code& code) {
    is_awaiting_observers_ = false;
    if (!code) schedule_turn();
  });
}

// One sample a turn: what was proposed together is committed together.
void Runner::watch_raft(Index last_before, MemberId leader_before, bool was_candidate) {
  const auto& raft = node_->raft();
  if (raft.leader() && raft.leader() != leader_before) metrics_.leader_change();
  if (!was_candidate && raft.role() == election::Role::candidate) metrics_.election();
  if (raft.role() != election::Role::leader) {
    proposed_.clear();
    return;
  }
  const auto now = mono_ns();
  if (raft.last_index() > last_before) proposed_.emplace_back(raft.last_index(), now);
  while (!proposed_.empty() && proposed_.front().first <= raft.committed()) {
    metrics_.commit(now - proposed_.front().second);
    proposed_.pop_front();
  }
}

// ---------------------------------------------------------------- the log

void Runner::persist(election::Persist persist, std::vector<core::Message> after) {
  if (gathered_.number == 0) gathered_.since_ns = mono_ns();
  COORD_CHECK(persist.number > gathered_.number, "persists are numbered in order");
  gathered_.number = persist.number;
  gathered_.batch.add({persist.hard_state, std::move(persist.entries)});
  std::move(after.begin(), after.end(), std::back_inserter(gathered_.after));
  if (!under_way_) write_gathered();
}

void Runner::send_after_persist(std::vector<core::Message> messages) {
  if (!under_way_ && gathered_.empty()) return send(std::move(messages));
  auto& target = gathered_.empty() ? *under_way_ : gathered_;
  std::move(messages.begin(), messages.end(), std::back_inserter(target.after));
}

void Runner::write_gathered() {
  COORD_CHECK(!under_way_, "one sync is under way at a time");
  const auto result = wal_->append(gathered_.batch);
  if (!result) {
    if (result.error().failure != Failure::disk_full) {
      log_and_die("the log cannot be written: {}", result.error().message);
    }
    return on_log_full();
  }
  if (is_log_full_) {
    is_log_full_ = false;
    report_full();
  }
  metrics_.batch(gathered_.batch.entries.size());
  for (const auto& entry : gathered_.batch.entries) unchecked_bytes_ += entry->payload.size();
  if (unchecked_bytes_ > options_.reserve_bytes / 8) check_room();
  ++batches_;
  is_preparing_ = true;
  under_way_ = std::exchange(gathered_, Unsynced());
  disk_worker_.sync();
}

// The bytes stay gathered and are tried again: nothing that was promised is dropped.
void Runner::on_log_full() {
  is_log_full_ = true;
  report_full();
  retry_.expires_after(kFullRetry);
  retry_.async_wait([this](const boost::system::error_code& code) {
    if (!code && !under_way_ && !gathered_.empty()) write_gathered();
  });
}

void Runner::report_full() {
  const bool is_full = is_log_full_ || is_store_full_ || is_room_low_;
  if (is_full == was_full_) return;
  was_full_ = is_full;
  enqueue(core::DiskFull{is_full});
}

void Runner::on_synced(const Result<void>& result, std::int64_t nanoseconds) {
  if (!result) log_and_die("the log cannot be synced: {}", result.error().message);
  metrics_.sync(nanoseconds);
  auto done = std::move(*under_way_);
  under_way_.reset();
  if (!done.after.empty()) send(std::move(done.after));
  if (done.number > 0) enqueue(core::Persisted{done.number});
  prepare_log();
  if (!gathered_.empty()) write_gathered();
}

void Runner::recycle(Index up_to) {
  const auto result = wal_->recycle(up_to);
  if (!result && result.error().failure != Failure::disk_full) {
    log_and_die("the log cannot be recycled: {}", result.error().message);
  }
  is_preparing_ = true;
}

// ---------------------------------------------------------------- the other effects

void Runner::send(std::vector<core::Message> messages) {
  COORD_CHECK(links_ != nullptr || messages.empty(), "a cluster of one has nobody to write to");
  if (links_ != nullptr) links_->send(messages);
}

void Runner::checkpoint(core::Checkpoint checkpoint) {
  COORD_CHECK(!is_checkpointing_, "one checkpoint is under way at a time");
  is_checkpointing_ = true;
  checkpoint_since_ms_ = mono_ns() / 1'000'000;
  store_worker_.commit(std::move(checkpoint));
}

void Runner::read_store(core::StoreRead read) { read_worker_.ask(std::move(read)); }

void Runner::read_snapshot(core::SnapshotRead read) { read_worker_.read(read); }

void Runner::write_snapshot(core::SnapshotWrite write) { store_worker_.write(std::move(write)); }

ConnectionId Runner::connect(api::Sink& sink) {
  const ConnectionId id(++last_connection_);
  sinks_.emplace(id, &sink);
  if (!sink.is_client()) internal_sinks_.insert(id);
  return id;
}

void Runner::disconnect(ConnectionId connection) {
  end_backup(connection);
  internal_sinks_.erase(connection);
  if (sinks_.erase(connection) > 0) enqueue(core::Disconnected{connection});
}

void Runner::read_backup(ConnectionId connection, std::size_t bytes_max) {
  const auto stream = kBackupStream | connection.value();
  if (!backups_.contains(connection) && backups_.size() >= kBackupsMax) {
    core::SnapshotWasRead refused;
    refused.stream = stream;
    refused.error = fmt::format("{} backups are read already", kBackupsMax);
    boost::asio::post(loop_, [this, refused = std::move(refused)]() mutable {
      on_snapshot_read(std::move(refused));
    });
    return;
  }
  backups_.insert(connection);
  read_worker_.read({stream, bytes_max});
}

void Runner::end_backup(ConnectionId connection) {
  if (backups_.erase(connection) > 0) read_worker_.read({kBackupStream | connection.value(), 0});
}

void Runner::on_snapshot_read(core::SnapshotWasRead found) {
  if ((found.stream & kBackupStream) == 0) return enqueue(std::move(found));
  const ConnectionId connection(found.stream & ~kBackupStream);
  if (found.is_last || !found.error.empty()) backups_.erase(connection);
  const auto sink = sinks_.find(connection);
  if (sink == sinks_.end()) return;
  sink->second->deliver_backup(
      {std::move(found.error), zxid_of(found.mark.index), std::move(found.bytes), found.is_last});
  // It may have closed its connection.
  const auto again = sinks_.find(connection);
  if (again != sinks_.end()) again->second->flush();
}

void Runner::deliver(std::vector<core::Delivery> deliveries) {
  for (auto& delivery : deliveries) {
    const auto id = std::visit([](const auto& d) { return d.connection; }, delivery);
    const auto sink = sinks_.find(id);
    if (sink == sinks_.end()) continue;
    if (touched_.empty() || touched_.back() != id) touched_.push_back(id);
    if (auto* reply = std::get_if<core::Reply>(&delivery)) {
      // The node knows requests, not who is connected.
      auto* status = std::get_if<core::Status>(&reply->result);
      if (status != nullptr) status->connections = connection_count();
    }
    sink->second->deliver(std::move(delivery));
  }
  // A sink may be gone by the time its turn comes: an earlier one's flush may have dropped it.
  for (const auto id : touched_) {
    const auto sink = sinks_.find(id);
    if (sink != sinks_.end()) sink->second->flush();
  }
  touched_.clear();
}

}  // namespace coord::server
