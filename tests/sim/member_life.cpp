// A member's starts, ends and faults.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/disk/recovery.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/member.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/witness.hpp"

namespace coord::sim {
namespace {

constexpr std::uint64_t kRecoveryStepsMax = 12;

}  // namespace

Result<Started> start_from(disk::Disk& disk, const disk::StateStore& store, const Plan& plan,
                           const disk::WalOptions& options, const election::Membership& first) {
  COORD_TRY(auto mark, store.mark());
  core::StateMachine state(plan.limits);
  core::Retention retention;
  if (mark) {
    COORD_TRY(store.load([&](Table table, std::string_view key, std::string_view bytes) {
      if (table == Table::meta && key == core::Retention::kKey) {
        return std::string(retention.decode(bytes) ? "" : "the retention record is malformed");
      }
      return state.load(table, key, bytes);
    }));
    if (auto problem = state.load_done(*mark); !problem.empty()) {
      return error(Failure::corrupt, "{}", problem);
    }
  } else {
    state.set_membership(first);
  }
  COORD_TRY(auto wal, disk::open_wal(disk, options));
  auto tail = wal.recovered.tail;
  COORD_TRY(auto start, disk::combine(mark, std::move(wal.recovered)));
  election::Restored log;
  log.hard_state = start.hard_state;
  log.snapshot = start.checkpoint;
  log.membership = state.membership();
  log.entries = std::move(start.entries);
  return Started{std::move(wal.wal),
                 core::NodeState{std::move(state), std::move(log), std::move(retention)},
                 std::move(tail)};
}

// ---------------------------------------------------------------- start

election::Membership Member::first_membership() const {
  return world_.plan().is_founder(id_) ? world_.plan().founders() : election::Membership();
}

void Member::start() {
  if (node_ || is_retired_) return;
  const auto process = ++process_;
  world_.after(world_.between(100, 2'000), [this, process] {
    if (process == process_ && !node_ && !is_retired_) boot();
  });
}

void Member::restart_later() {
  if (!world_.is_core(id_)) return;
  const auto wait = world_.is_stormy() ? world_.between(1'000, world_.plan().restart_us_max)
                                       : world_.between(1'000, 100'000);
  world_.after(wait, [this] { start(); });
}

// As the world drew it, but for the mutants whose state depends on the member.
Plan Member::own_plan() {
  auto plan = world_.plan();
  if (world_.mutant() != Mutant::none) mutate(plan.limits);
  return plan;
}

void Member::boot() {
  if (wants_damage_ && world_.is_stormy() && !check_damage()) return;
  wants_damage_ = false;
  if (world_.plan().has(Fault::recovery_crash) && world_.chance(40)) check_recovery();
  if (world_.has_failed()) return;
  if (world_.is_stormy() && world_.plan().has(Fault::recovery_crash) && world_.chance(20)) {
    disk_->crash_at(disk_->operations() + 1 + world_.prng().below(5));
  }
  auto options = world_.plan().wal;
  options.salt = world_.prng().next();
  if (fails_to_read()) return restart_later();
  if (world_.mutant() != Mutant::none) mutate_disks();
  auto started = start_from(*disk_, store_, own_plan(), options, first_membership());
  if (!started) {
    if (!disk_->has_lost_power()) {
      return world_.fail(15,
                         fmt::format("member {} cannot start: {}", id_, started.error().message));
    }
    world_.count(Count::recovery_crash);
    disk_->crash(world_.prng(), {world_.plan().kept_percent, world_.plan().torn_percent});
    return restart_later();
  }
  if (started.value().tail.was_cut) world_.count(Count::torn_tail);
  if (world_.mutant() != Mutant::none) mutate(started.value().state);
  wal_ = std::move(started.value().wal);
  mono_start_us_ = world_.now();
  // A machine that lost its power counts from somewhere else afterwards.
  mono_base_us_ = world_.between(1'000'000, 1'000'000'000);
  calm_since_ms_ = mono_ms();
  broken_.last_wall_mono_ms = 0;
  world_.witness().on_start(*this, started.value().state);
  world_.checker().on_start(*this, started.value().state);
  check_replay();
  if (world_.has_failed()) return;
  auto node = world_.plan().node;
  node.raft.id = id_;
  node.raft.seed = world_.prng().next();
  node.disk_id = id_.value();
  node_ = std::make_unique<core::Node>(std::move(node), std::move(started.value().state), *this);
  world_.note("start", id_.value(), node_->raft().last_index().value(),
              node_->state().applied().value());
  schedule_turn();
  tick();
  world_.network().on_start(id_);
  die_if_doomed();
}

// EIO while the log is read ends a start, and changes nothing.
bool Member::fails_to_read() {
  if (!world_.is_stormy() || !world_.plan().has(Fault::read_error) || !world_.chance(10)) {
    return false;
  }
  const auto before = disk_->operations();
  disk_->faults.read_fails = true;
  const auto started =
      start_from(*disk_, store_, world_.plan(), world_.plan().wal, first_membership());
  disk_->faults.read_fails = false;
  if (started || disk_->has_lost_power()) {
    // Nothing was there to be read yet; that start counts for nothing.
    disk_->end_process();
    return true;
  }
  world_.count(Count::read_error);
  if (started.error().failure != Failure::io || disk_->operations() != before) {
    world_.fail(15,
                fmt::format("a log that cannot be read is changed: {}", started.error().message));
  }
  return true;
}

void Member::check_replay() {
  const auto copy = disk_->clone();
  auto again = start_from(*copy, store_, world_.plan(), world_.plan().wal, first_membership());
  if (!again) return world_.fail(15, "a second recovery fails: " + again.error().message);
  world_.checker().replay(std::move(again.value().state));
}

// Recover; crash at each operation of the recovery; recover: the same log and the same state.
void Member::check_recovery() {
  const auto state_of = [this](SimDisk& disk) {
    auto started = start_from(disk, store_, world_.plan(), world_.plan().wal, first_membership());
    if (!started) {
      world_.fail(15, fmt::format("recovery on a copy: {}", started.error().message));
      return std::string();
    }
    return world_.checker().recovered_state(*this, std::move(started.value().state));
  };
  auto first = disk_->clone();
  const auto want = state_of(*first);
  const auto steps = std::min(first->operations(), kRecoveryStepsMax);
  for (std::uint64_t step = 1; step <= steps && !world_.has_failed(); ++step) {
    auto copy = disk_->clone();
    copy->crash_at(copy->operations() + step);
    (void)start_from(*copy, store_, world_.plan(), world_.plan().wal, first_membership());
    world_.count(Count::recovery_io_crash);
    copy->crash(world_.prng(), {world_.plan().kept_percent, world_.plan().torn_percent});
    const auto got = state_of(*copy);
    if (!world_.has_failed() && got != want) {
      world_.fail(15, fmt::format("a crash at operation {} of the recovery changes it: {} and {}",
                                  step, want, got));
    }
  }
}

// ---------------------------------------------------------------- ends

void Member::doom(const Error& error) {
  if (!doom_) doom_ = error.message;
}

void Member::die_if_doomed() {
  if (!doom_) return;
  const auto why = *doom_;
  if (world_.has_trace()) world_.trace(fmt::format("member {} dies: {}", id_, why));
  if (disk_->has_lost_power()) {
    world_.count(Count::io_crash);
    end(End::power);
  } else {
    if (disk_->faults.write_fails) world_.count(Count::write_error);
    end(End::process);
  }
}

void Member::end(End how) {
  if (!node_) return;
  world_.note(how == End::power ? "power" : "end", id_.value(), disk_->operations());
  ++process_;
  world_.witness().on_end(*this);
  world_.network().on_end(id_, how == End::power);
  node_.reset();
  wal_.reset();
  inbox_.clear();
  gathered_ = Unsynced();
  under_way_.reset();
  is_turn_scheduled_ = is_log_full_ = is_store_full_ = was_full_ = false;
  is_preparing_ = true;
  doom_.reset();
  paused_until_us_ = 0;
  disk_->faults.write_fails = false;
  disk_->faults.next_sync_loses = false;
  if (how == End::power) {
    disk_->crash(world_.prng(), {world_.plan().kept_percent, world_.plan().torn_percent});
  } else {
    disk_->end_process();
  }
  // A commit under way survives or not, whoever ended.
  const auto stored = broken_.stored;
  broken_ = Broken();
  broken_.stored = stored;
  broken_.ended_us = world_.now();
  const bool was_full = store_.faults.is_full;
  StoreCrashOdds odds;
  if (how == End::process) odds.fallback_percent = odds.unsynced_lost_percent = 0;
  const bool is_plain = world_.mutant() == Mutant::none;
  store_.crash(world_.prng(), checkpoint_ && is_plain ? &*checkpoint_ : nullptr, odds);
  store_.faults.is_full = was_full;
  checkpoint_.reset();
  snapshot_reader_.reset();
  snapshot_writer_.reset();
  snapshot_writes_.clear();
  loaded_.reset();
  recycled_ = Index();
  auto lost = std::exchange(listeners_, {});
  last_delivery_us_.clear();
  for (const auto& [connection, listener] : lost) {
    world_.count(Count::connection_lost);
    world_.after(world_.delay(world_.plan().network_us),
                 [listener = listener, connection = connection] { listener->on_lost(connection); });
  }
  restart_later();
}

// ---------------------------------------------------------------- faults

void Member::lose_power_at(std::uint64_t operations_from_now) {
  disk_->crash_at(disk_->operations() + operations_from_now);
}

void Member::pause(std::int64_t for_us) {
  if (!node_) return;
  world_.count(Count::pause);
  world_.note("pause", id_.value(), static_cast<std::uint64_t>(for_us));
  paused_until_us_ = std::max(paused_until_us_, world_.now() + for_us);
  // A member that stalled blames nobody for that time, and gives as much again.
  calm_since_ms_ = std::max(calm_since_ms_, mono_ms() + 2 * for_us * 12 / 10'000 + 1'000);
}

void Member::retire() {
  is_retired_ = true;
  end(End::power);
}

void Member::jump_wall(std::int64_t by_ms) {
  wall_offset_ms_ += by_ms;
  world_.note("wall", id_.value(), static_cast<std::uint64_t>(by_ms), broken_.replies.size());
  if (world_.mutant() == Mutant::lease_by_wall_clock) shift_leases(by_ms);
}

void Member::fill_disk(std::int64_t for_us) {
  // A part of a segment is left, so that it can end in the middle of a batch.
  disk_->faults.capacity_bytes = disk_->bytes_used() + 512 * world_.prng().below(64);
  world_.after(for_us, [this] {
    disk_->faults.capacity_bytes.reset();
    disturbed();
  });
}

void Member::fill_store(std::int64_t for_us) {
  store_.faults.is_full = true;
  world_.after(for_us, [this] {
    store_.faults.is_full = false;
    disturbed();
  });
}

void Member::calm() {
  disk_->faults = DiskFaults();
  store_.faults = StoreFaults();
  paused_until_us_ = std::min(paused_until_us_, world_.now());
  disturbed();
  if (world_.mutant() != Mutant::none) mutate_disks();
  if (!node_) start();
}

}  // namespace coord::sim
