#include "tests/sim/member.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/disk/recovery.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/witness.hpp"

namespace coord::sim {
namespace {

// As in coord/server/runner.cpp.
constexpr std::int64_t kTickUs = 20'000;
constexpr std::int64_t kFullRetryUs = 250'000;
constexpr std::int64_t kStoreRetryUs = 200'000;
constexpr std::int64_t kSlowSyncUs = 300'000;

}  // namespace

Member::Member(World& world, MemberId id)
    : world_(world), id_(id), disk_(std::make_unique<SimDisk>()) {
  wall_offset_ms_ = 1'700'000'000'000;
}
Member::~Member() = default;

// ---------------------------------------------------------------- time

std::int64_t Member::mono_ms() const {
  const auto passed = world_.now() - mono_start_us_;
  return (mono_base_us_ + passed * world_.plan().rate_of(id_) / 1'000) / 1'000;
}

core::Tick Member::clock() {
  core::Tick tick{mono_ms(), mono_ms() + wall_offset_ms_};
  if (world_.mutant() == Mutant::expire_by_wall_clock) {
    broken_.last_wall_mono_ms = std::max(broken_.last_wall_mono_ms, tick.wall_ms);
    tick.mono_ms = broken_.last_wall_mono_ms;
  }
  return tick;
}

void Member::post(std::int64_t delay_us, std::function<void()> what) {
  world_.after(delay_us, [this, process = process_, what = std::move(what)]() mutable {
    post_in(process, std::move(what));
  });
}

void Member::post_in(std::uint64_t process, std::function<void()> what) {
  if (process != process_ || !node_) return;
  if (world_.now() < paused_until_us_) {
    world_.after(
        paused_until_us_ - world_.now(),
        [this, process, what = std::move(what)]() mutable { post_in(process, std::move(what)); });
    return;
  }
  what();
  die_if_doomed();
}

// ---------------------------------------------------------------- the loop

void Member::receive(core::Event event) {
  if (!node_) return;
  if (world_.mutant() != Mutant::none && !mutate(event)) return;
  inbox_.push_back(std::move(event));
  schedule_turn();
}

void Member::schedule_turn() {
  if (is_turn_scheduled_) return;
  is_turn_scheduled_ = true;
  post(world_.between(1, 100), [this] { turn(); });
}

void Member::turn() {
  is_turn_scheduled_ = false;
  const bool has_more = core::run_turn(inbox_, *node_, clock(), *this);
  if (doom_) return;
  world_.checker().after_turn(*this);
  broken_.delivered = node_->state().applied();
  if (has_more) schedule_turn();
}

void Member::tick() {
  schedule_turn();
  if (is_preparing_ && !under_way_ && !was_full_) {
    const auto more = wal_->prepare();
    if (more) {
      is_preparing_ = more.value();
    } else if (more.error().failure != Failure::disk_full) {
      return doom(more.error());
    }
  }
  post(kTickUs, [this] { tick(); });
}

void Member::trace(const TraceEvent& event) {
  const auto* candidate = std::get_if<BecameCandidate>(&event);
  const bool is_first_step =
      std::holds_alternative<BecameLeader>(event) || (candidate != nullptr && !candidate->pre_vote);
  if (is_first_step) world_.on_campaign(*this);
  if (std::holds_alternative<BecameLeader>(event)) {
    world_.on_leader(*this);
    world_.network().on_leader(id_);
  }
  if (!world_.has_trace()) return;
  const auto text = std::visit(
      Overloaded{
          [](const BecameLeader& e) { return fmt::format("leader in term {}", e.term); },
          [](const BecameFollower& e) { return fmt::format("follower: {}", e.why); },
          [](const BecameCandidate& e) { return fmt::format("candidate, term {}", e.term); },
          [](const coord::SessionOpened& e) {
            return fmt::format("session {} opened, ttl {}", e.session, e.ttl_ms);
          },
          [](const SessionEnded& e) { return fmt::format("session {} {}", e.session, e.reason); },
          [](const CheckpointWritten& e) { return fmt::format("checkpoint {}", e.index); },
          [](const Note& e) { return e.text; }},
      event);
  world_.trace(fmt::format("member {}: {}", id_, text));
}

// ---------------------------------------------------------------- the log

void Member::persist(election::Persist persist, std::vector<core::Message> after) {
  if (doom_) return;
  world_.witness().on_persist(*this, persist);
  world_.checker().on_persist(*this, persist);
  if (world_.mutant() == Mutant::event_at_append) tell_ahead(persist);
  COORD_CHECK(persist.number > gathered_.number, "persists are numbered in order");
  gathered_.number = persist.number;
  gathered_.batch.add({persist.hard_state, std::move(persist.entries)});
  if (world_.mutant() == Mutant::reply_before_sync) send(std::exchange(after, {}));
  std::move(after.begin(), after.end(), std::back_inserter(gathered_.after));
  if (is_told_early()) {
    broken_.early_number = gathered_.number;
    receive(core::Persisted{gathered_.number});
  }
  if (!under_way_) write_gathered();
}

void Member::send_after_persist(std::vector<core::Message> messages) {
  if (doom_) return;
  if (!under_way_ && gathered_.empty()) return send(std::move(messages));
  auto& target = gathered_.empty() ? *under_way_ : gathered_;
  std::move(messages.begin(), messages.end(), std::back_inserter(target.after));
}

void Member::write_gathered() {
  COORD_CHECK(!under_way_, "one sync is under way at a time");
  world_.witness().on_written(*this, gathered_.batch);
  if (world_.mutant() != Mutant::none) mutate(gathered_.batch);
  auto result = write_vote_alone(gathered_.batch);
  if (result) result = wal_->append(gathered_.batch);
  if (!result) {
    if (result.error().failure != Failure::disk_full) return doom(result.error());
    return on_log_full();
  }
  if (is_log_full_) {
    is_log_full_ = false;
    report_full();
  }
  is_preparing_ = true;
  under_way_ = std::exchange(gathered_, Unsynced());
  is_synced_ = false;
  // The disk thread: the sync happens at some moment, and is reported at a later one.
  const auto slower = world_.plan().slow_member == id_ ? 10 : 1;
  const auto took = world_.delay(world_.calm_mean(slower * world_.plan().sync_us, 100));
  is_slow_ = took > kSlowSyncUs;
  if (is_slow_) {
    world_.count(Count::slow_sync);
    disturbed();
  }
  const auto early = world_.between(0, took);
  world_.after(early, [this, process = process_] {
    if (process == process_ && node_) sync_now();
  });
  post(took, [this] {
    // A sync that was paused with its process comes first in any case.
    if (!is_synced_) sync_now();
    if (!doom_) on_synced();
  });
}

// On the disk thread, which a pause does not reach while it is in the kernel.
void Member::sync_now() {
  if (is_synced_ || doom_) return;
  is_synced_ = true;
  const auto result = wal_->sync();
  const bool is_believed =
      world_.mutant() == Mutant::believe_second_sync && !disk_->has_lost_power();
  if (result || is_believed) return world_.witness().on_synced(*this);
  doom(result.error());
}

void Member::on_synced() {
  auto done = std::move(*under_way_);
  under_way_.reset();
  if (is_slow_) disturbed();
  if (!done.after.empty()) send(std::move(done.after));
  if (done.number > broken_.early_number) {
    receive(core::Persisted{done.number});
  }
  world_.note("synced", id_.value(), done.number, disk_->operations());
  if (!gathered_.empty()) write_gathered();
}

void Member::on_log_full() {
  world_.count(Count::log_full);
  disturbed();
  is_log_full_ = true;
  report_full();
  post(kFullRetryUs, [this] {
    if (!under_way_ && !gathered_.empty()) write_gathered();
  });
}

void Member::report_full() {
  const bool is_full = is_log_full_ || is_store_full_;
  if (is_full == was_full_) return;
  was_full_ = is_full;
  receive(core::DiskFull{is_full});
}

void Member::recycle(Index up_to) {
  if (doom_) return;
  recycled_ = std::max(recycled_, up_to);
  const auto result = wal_->recycle(up_to);
  if (!result && result.error().failure != Failure::disk_full) return doom(result.error());
  is_preparing_ = true;
  world_.checker().on_recycled(*this, *wal_);
}

// ---------------------------------------------------------------- the store

void Member::checkpoint(core::Checkpoint checkpoint) {
  if (doom_) return;
  COORD_CHECK(!checkpoint_, "one checkpoint is under way at a time");
  world_.checker().on_checkpoint(*this, checkpoint);
  if (world_.mutant() == Mutant::log_cut_too_early) recycle(checkpoint.applied);
  checkpoint_ = std::move(checkpoint);
  broken_.is_checkpoint_half = false;
  post(world_.delay(world_.calm_mean(world_.plan().store_us, 2'000)), [this] { commit_store(); });
}

void Member::commit_store() {
  Result<void> result = success();
  if (world_.mutant() == Mutant::none) {
    result = store_.commit(*checkpoint_);
  } else if (world_.mutant() == Mutant::index_apart_from_data &&
             !std::exchange(broken_.is_checkpoint_half, true)) {
    store_.commit_data(*checkpoint_);
    return post(world_.delay(world_.plan().store_us + 50'000), [this] { commit_store(); });
  } else {
    result = store_.commit_mutated(*checkpoint_, world_.mutant());
  }
  if (!result) {
    if (result.error().failure != Failure::disk_full) {
      world_.count(Count::store_error);
      return doom(result.error());
    }
    world_.count(Count::store_full);
    disturbed();
    is_store_full_ = true;
    report_full();
    return post(kStoreRetryUs, [this] { commit_store(); });
  }
  const auto index = checkpoint_->applied;
  checkpoint_.reset();
  world_.count(Count::checkpoint);
  world_.note("checkpoint", id_.value(), index.value());
  // Reported a moment later: a crash may come between.
  post(world_.between(1, 2'000), [this, index] {
    is_store_full_ = false;
    report_full();
    receive(core::Checkpointed{index});
  });
}

void Member::read_store(core::StoreRead read) {
  if (doom_) return;
  world_.count(Count::store_read);
  post(world_.delay(world_.calm_mean(world_.plan().store_us / 4, 100)),
       [this, read = std::move(read)] {
         core::StoreReader reader;
         reader.scan = [this](Table table, std::string_view from, std::string_view to,
                              const std::function<bool(std::string_view, std::string_view)>& each) {
           const auto result = store_.scan(table, from, to, each);
           return result ? std::string() : result.error().message;
         };
         reader.get = [this](Table table, std::string_view key, std::optional<std::string>& bytes) {
           auto result = store_.get(table, key);
           if (!result) return result.error().message;
           bytes = std::move(result.value());
           return std::string();
         };
         post(world_.between(1, 500),
              [this, found = core::answer(read, reader)] { receive(core::StoreAnswered{found}); });
       });
}

// ---------------------------------------------------------------- clients and peers

void Member::send(std::vector<core::Message> messages) {
  if (doom_) return;
  world_.witness().note_commits(*this);
  for (const auto& message : messages) world_.witness().on_send(*this, message);
  world_.network().send(std::move(messages));
}

ConnectionId Member::connect(Listener& listener) {
  // Unique among all members: a client may have two, for a moment.
  const ConnectionId connection(++last_connection_ << 8 | id_.value());
  listeners_.emplace(connection, &listener);
  return connection;
}

void Member::disconnect(ConnectionId connection) {
  if (listeners_.erase(connection) > 0) receive(core::Disconnected{connection});
  last_delivery_us_.erase(connection);
}

void Member::deliver(std::vector<core::Delivery> deliveries) {
  if (doom_) return;
  world_.checker().on_deliver(*this, deliveries);
  for (auto& delivery : deliveries) {
    const auto id = std::visit([](const auto& d) { return d.connection; }, delivery);
    if (!listeners_.contains(id)) continue;
    if (world_.mutant() != Mutant::none) {
      deliver_mutated(id, std::move(delivery));
    } else {
      to_listener(id, std::move(delivery));
    }
  }
}

void Member::to_listener(ConnectionId connection, core::Delivery delivery) {
  auto& last = last_delivery_us_[connection];
  last = std::max(last + 1, world_.now() + world_.delay(world_.plan().network_us));
  world_.after(last - world_.now(),
               [this, process = process_, connection, delivery = std::move(delivery)] {
                 const auto at = listeners_.find(connection);
                 if (process != process_ || at == listeners_.end()) return;
                 at->second->on_delivery(connection, delivery);
               });
}

}  // namespace coord::sim
