// Plan: everything that a run draws from its seed before it begins.
//
// Swarm: each class of fault is off in half of the seeds, so that a run is not always an average of
// all of them. A class can be switched off from outside, which is how a failure is reduced.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "coord/base/prng.hpp"
#include "coord/core/node.hpp"
#include "coord/disk/wal.hpp"
#include "tests/sim/mutant.hpp"

namespace coord::sim {

// In microseconds, as all times of a run.
inline constexpr std::int64_t kMs = 1'000;
inline constexpr std::int64_t kSecond = 1'000 * kMs;

enum class Fault : std::uint8_t {
  power_loss,      // All of the machine: unsynced sectors are kept, lost or torn.
  kill,            // The process alone: the page cache stays.
  io_crash,        // The power goes at one certain operation of the disk.
  recovery_crash,  // Again during the start that follows, at each of its operations.
  sync_delay,
  disk_full,
  sync_error,  // The pages are clean afterwards, and lost.
  write_error,
  read_error,  // Of the log, while it is opened.
  pause,       // SIGSTOP.
  clock_rate,
  clock_jump,  // Of the wall clock.
  store_delay,
  store_error,
  bit_rot,  // In the middle of the log: the member must refuse to start.
  network_delay,
  client_retry,  // With the same idempotency key.
  client_abandon,
  client_reconnect,
  small_limits,
  // Between members.
  peer_delay,
  message_loss,
  message_repeat,  // At once, or an old one again. Links that keep an order never repeat.
  loose_links,     // No order, no end: each message for itself.
  clog,
  partition,
  link_break,
  false_hint,
  crash_all,
  slow_member,  // One disk takes ten times as long.
  transfer,     // Of leadership.
  membership,   // Members come and go, become voters and observers, replace each other.
  core_only,    // When the faults end, only a majority comes back.
  // Drawn apart, so that seeds without them are the runs that they were.
  cut_elections,   // Whoever begins to campaign or to lead, or hands over, is cut off or dies.
  small_appends,   // Few entries in a message, few messages on their way.
  short_sessions,  // Shorter than a leader needs to notice that it was deposed.
  late_retries,    // After the window may have let the first attempt go.
  install_crash,   // The power goes soon after a snapshot was installed.
  // A leader is cut off with one other, and leads again soon after the next one began; what it was
  // told before comes to it once more. Links are loose, and clients have little patience.
  late_answers,
  paced_observers,  // They are sent what is committed, now and then.
  // What a disk held is damaged, of fewer voters than a minority may lose: the member must refuse
  // to start, and is replaced. In a quarter of the seeds.
  damaged_disk,
  count
};
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::count);
inline constexpr auto kFirstApart = Fault::cut_elections;
inline constexpr auto kFirstLater = Fault::paced_observers;
inline constexpr auto kFirstLast = Fault::damaged_disk;
[[nodiscard]] std::string_view word_of(Fault fault) noexcept;

struct RunOptions {
  std::uint64_t seed = 1;
  Mutant mutant = Mutant::none;
  std::uint64_t faults_off = 0;  // Bits by Fault.
  std::uint64_t steps_max = 0;   // 0: until the run is over.
  std::int64_t seconds = 60;     // Simulated, with faults; the quiet part comes on top.
  std::size_t members = 0;       // 0: drawn.
  bool with_trace = false;
  // Do clients take part in locks, elections and the rest too? Drawn: in half of the seeds.
  enum class Recipes : std::uint8_t { drawn, always, never };
  Recipes recipes = Recipes::drawn;
};

struct Plan {
  std::array<bool, kFaults> on{};
  std::size_t members = 1;    // Voters of the beginning.
  std::size_t observers = 0;  // With the ids after theirs.
  std::size_t clients = 1;
  std::uint64_t keys = 1;
  std::int64_t faults_end_us = 0;
  std::int64_t fault_every_us = 0;  // Mean.
  std::int64_t restart_us_max = 0;
  std::uint64_t kept_percent = 50;
  std::uint64_t torn_percent = 10;
  std::int64_t sync_us = 0;  // Mean.
  std::int64_t store_us = 0;
  std::int64_t network_us = 0;  // Between a client and its member.
  std::int64_t peers_us = 0;    // Between members.
  std::uint64_t lost_permille = 0;
  std::uint64_t doubled_permille = 0;
  std::uint64_t replayed_permille = 0;
  MemberId slow_member;
  std::int64_t think_us = 0;
  std::uint64_t value_bytes_max = 0;
  std::int64_t session_ttl_ms_min = 1'000;
  std::uint64_t addresses = 0;  // What stands for addresses and the seeds of hash tables.
  // A member's second in true milliseconds, by its id.
  std::map<MemberId, std::int64_t> clock_permille;
  bool with_recipes = false;  // Clients take part in locks, elections and the rest too.

  core::NodeOptions node;  // Without the member's id.
  core::StateLimits limits;
  disk::WalOptions wal;

  // Those that begin at some moment; the others last for the whole run.
  std::vector<Fault> moments;

  // The ensemble of the beginning.
  [[nodiscard]] election::Membership founders() const {
    election::Membership everybody;
    for (std::uint64_t i = 1; i <= members; ++i) everybody.voters.emplace_back(i);
    for (std::uint64_t i = 1; i <= observers; ++i) everybody.observers.emplace_back(members + i);
    return everybody;
  }
  [[nodiscard]] bool is_founder(MemberId id) const noexcept {
    return id.value() <= members + observers;
  }
  [[nodiscard]] std::int64_t rate_of(MemberId id) const {
    const auto at = clock_permille.find(id);
    return at == clock_permille.end() ? 1'000 : at->second;
  }
  // Members come and go.
  [[nodiscard]] bool changes_ensemble() const noexcept {
    return has(Fault::membership) || has(Fault::damaged_disk);
  }
  [[nodiscard]] bool has(Fault fault) const noexcept { return on[static_cast<std::size_t>(fault)]; }
};

[[nodiscard]] Plan draw_plan(const RunOptions& options, Prng& prng);

}  // namespace coord::sim
