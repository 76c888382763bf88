// World: one run of the simulator. Time, chance, the queue of what happens next, and who takes
// part.
//
// One thread; nothing happens between two events. Events of the same time keep their order. All
// chance comes from one Prng, so that a seed is a run. Time is in microseconds.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/base/prng.hpp"
#include "tests/sim/plan.hpp"

namespace coord::sim {

class Checker;
class Client;
struct RegisterOp;
class Member;
class Network;
class Witness;

// What happened in a run, for its report.
enum class Count : std::uint8_t {
  power_loss,
  kill,
  io_crash,
  recovery_crash,
  recovery_io_crash,
  slow_sync,
  log_full,
  store_full,
  sync_error,
  write_error,
  store_error,
  pause,
  wall_jump,
  read_error,
  bit_rot,
  disk_damaged,
  member_replaced,
  torn_tail,
  checkpoint,
  store_read,
  reply_ok,
  reply_refused,
  reply_unknown,
  connection_lost,
  retry,
  answered_before,
  abandoned,
  session_opened,
  session_expired,
  session_closed,
  watch_event,
  watch_resumed,
  watch_compacted,
  read_past,
  read_compacted,
  durable_image_read,
  message_sent,
  message_lost,
  message_doubled,
  message_replayed,
  link_up,
  link_broken,
  clogged,
  partitioned,
  one_way_cut,
  false_hint,
  all_crashed,
  leader,
  leased_turn,
  membership,
  core_alone,
  snapshot_installed,
  transfer,
  hired,
  retired,
  election_cut,
  hand_over_clogged,
  pair_cut,
  install_crash,
  lock_held,
  fence_stale,
  deadlock,
  elected,
  barrier_round,
  delivered,
  redelivered,
  given_back,
  decided,
  committed,
  aborted,
  instance_gone,
  config_released,
  woken,
  count
};
inline constexpr std::size_t kCounts = static_cast<std::size_t>(Count::count);
[[nodiscard]] std::string_view word_of(Count count) noexcept;
using Counts = std::array<std::uint64_t, kCounts>;

struct Outcome {
  std::string failure;  // Empty: nothing was violated.
  int invariant = 0;    // Which one it was.
  std::uint64_t hash = 0;
  std::uint64_t steps = 0;
  std::int64_t simulated_us = 0;
  std::uint64_t undecided = 0;  // Keys whose history was too much for the search.
  Counts counts{};
};

class World {
 public:
  explicit World(const RunOptions& options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Outcome run();

  // ---- for those who take part
  [[nodiscard]] std::int64_t now() const noexcept { return now_us_; }
  void after(std::int64_t delay_us, std::function<void()> what);
  [[nodiscard]] Prng& prng() noexcept { return prng_; }
  [[nodiscard]] bool chance(std::uint64_t percent) { return prng_.chance(percent, 100); }
  // Exponential, about; never zero.
  [[nodiscard]] std::int64_t delay(std::int64_t mean_us);
  [[nodiscard]] std::int64_t between(std::int64_t low, std::int64_t high);
  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }
  [[nodiscard]] Mutant mutant() const noexcept { return options_.mutant; }
  [[nodiscard]] Checker& checker() noexcept { return *checker_; }
  [[nodiscard]] Witness& witness() noexcept { return *witness_; }
  [[nodiscard]] Network& network() noexcept { return *network_; }
  [[nodiscard]] std::vector<std::unique_ptr<Member>>& members() noexcept { return members_; }
  // Faults may still begin.
  [[nodiscard]] bool is_stormy() const noexcept { return now_us_ < plan_.faults_end_us; }
  // Nothing disturbs anybody any more, and the ensemble is at rest. Far away until it is known.
  [[nodiscard]] std::int64_t calm_us() const noexcept { return calm_us_; }
  // From then on a leader is there, and stays, and a majority has what is committed.
  [[nodiscard]] std::int64_t led_from_us() const noexcept;
  // One more member, with nothing on its disk, that nobody knows yet.
  [[nodiscard]] bool may_hire() const noexcept;
  Member& hire();
  // From members: one campaigns, or begins to lead; one is told to take over.
  void on_campaign(Member& member);
  void on_leader(Member& member);
  void on_hand_over(MemberId from, MemberId to);
  // Belongs to those that must serve when the faults are over.
  [[nodiscard]] bool is_core(MemberId id) const { return !outside_.contains(id); }
  // When the faults are over, nothing is slow any more.
  [[nodiscard]] std::int64_t calm_mean(std::int64_t mean_us, std::int64_t calm_us) const noexcept {
    return is_stormy() ? mean_us : std::min(mean_us, calm_us);
  }
  // Clients ask for nothing new and keep no session alive.
  [[nodiscard]] bool is_closing() const noexcept { return is_closing_; }

  void count(Count what) { ++outcome_.counts[static_cast<std::size_t>(what)]; }
  // Goes into the hash of the run, and into its trace.
  void note(std::string_view what, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0);
  void trace(const std::string& line);
  [[nodiscard]] bool has_trace() const noexcept { return options_.with_trace; }
  // The first violation ends the run. `invariant` is its number in the project's list. In a run of
  // a mutant only what its row names does: then this returns, and has_failed() stays false.
  void fail(int invariant, std::string what);
  [[nodiscard]] bool has_failed() const noexcept { return !outcome_.failure.empty(); }

 private:
  struct Event {
    std::int64_t at_us = 0;
    std::uint64_t order = 0;
    std::function<void()> what;
  };
  void run_until(std::int64_t end_us);
  // Clients must have heard of everything up to `told`.
  void close(Zxid told);
  void check_histories(std::map<std::string, std::vector<RegisterOp>>& histories);

  // storms.cpp: faults, their end, and what must hold then.
  void storm();
  void begin_fault(Member& member);
  void begin_network_fault(Member& member, Fault fault);
  void schedule_storms();
  void partition(Member& lonely);
  void cut_pair(Member& first);
  void heal_pair();
  // From `begins` to `ends`, counted from now; not beyond the end of the faults.
  void cut_for(MemberId from, MemberId to, std::int64_t begins, std::int64_t ends);
  void end_storms();
  void settle_ensemble();
  [[nodiscard]] bool is_ensemble_at_rest();
  void look_after_removed();
  // damage.cpp: disks that are damaged for good.
  [[nodiscard]] bool may_lose(MemberId id) const;
  void lose(Member& member);
  void replace_lost(MemberId lost, MemberId with);
  [[nodiscard]] bool has_lost_members() const;
  void choose_core();
  void expect_leader();
  [[nodiscard]] bool has_majority(const Member& leader) const;
  void watch_liveness();
  void settle();
  [[nodiscard]] Member& any_member();
  [[nodiscard]] Member* leader();
  [[nodiscard]] bool is_settled();

  RunOptions options_;
  Prng prng_;
  Plan plan_;
  Outcome outcome_;
  std::vector<Event> queue_;  // A heap.
  std::uint64_t order_ = 0;
  std::int64_t now_us_ = 0;
  bool is_closing_ = false;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<Witness> witness_;
  std::unique_ptr<Network> network_;
  struct PairCut {
    MemberId first;  // It led.
    MemberId second;
    std::vector<std::pair<MemberId, MemberId>> ways;
  };
  std::optional<PairCut> pair_;
  std::set<MemberId> outside_;
  std::set<MemberId> lost_;   // Whose disk was damaged for good.
  std::set<MemberId> known_;  // Members of the ensemble when it was last looked at.
  std::int64_t calm_us_ = INT64_MAX / 4;
  std::int64_t late_us_ = 0;  // Waited for a majority to catch up.
  bool is_behind_ = false;
  Term term_;  // Of the leader that came after the faults.
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace coord::sim
