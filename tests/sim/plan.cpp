#include "tests/sim/plan.hpp"

namespace coord::sim {
namespace {

constexpr std::uint64_t kApart = 0x6170617274U;
constexpr std::uint64_t kLater = 0x6c61746572U;
constexpr std::uint64_t kLast = 0x6c617374U;
constexpr std::uint64_t kSpread = 0x737072656164U;

std::int64_t draw(Prng& prng, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>(high - low + 1)));
}

void draw_limits(Plan& plan, Prng& prng) {
  const auto size = [&prng](std::uint64_t low, std::uint64_t high) {
    return static_cast<std::size_t>(prng.between(low, high));
  };
  plan.wal.segment_bytes = 512 * prng.between(8, 512);
  plan.wal.spare_segments = size(0, 2);
  plan.node.checkpoint.records_max = size(5, 2'000);
  plan.node.checkpoint.interval_ms = draw(prng, 200, 15'000);
  plan.node.checkpoint.backlog_factor = size(1, 4);
  plan.node.checkpoint.log_bytes_max = size(2, 256) * kKiB;
  plan.node.watches.history_changes_max = size(1, 400);
  plan.node.watches.replay_page_bytes = size(1, 16 * kKiB);
  plan.node.retention.changes_max = size(20, 3'000);
  plan.limits.retry.age_ms = draw(prng, 100, 20'000);
  plan.limits.retry.entries_kept = size(1, 500);
  plan.limits.retry.entries_max = plan.limits.retry.entries_kept + size(1, 1'000);
  plan.limits.tree.container_grace_ms = draw(prng, 50, 5'000);
  plan.node.requests.pending_max = size(4, 200);
}

void draw_apart(Plan& plan, Prng& prng) {
  // Links that keep an order bring nothing from before they broke.
  if (plan.has(Fault::late_answers)) plan.on[static_cast<std::size_t>(Fault::loose_links)] = true;
  if (plan.has(Fault::small_appends)) {
    const bool is_one = prng.chance(1, 2);
    plan.node.raft.append_entries_max = is_one ? 1 : static_cast<std::size_t>(prng.between(2, 8));
    plan.node.raft.inflight_max = static_cast<std::size_t>(prng.between(4, 16));
  }
  if (!plan.has(Fault::short_sessions)) return;
  plan.session_ttl_ms_min = draw(prng, 300, 600);
  plan.limits.sessions.ttl_ms_min = plan.session_ttl_ms_min;
}

// How soon a member that lags needs the state in place of the log.
void draw_snapshots(Plan& plan, Prng& prng) {
  if (!plan.has(Fault::small_limits)) return;
  plan.node.raft.log_tail_entries = prng.chance(1, 2) ? prng.below(100) : 0;
  // A piece takes a round trip: much smaller ones would not end within the time of a run.
  plan.node.snapshots.chunk_bytes = static_cast<std::size_t>(prng.between(8'192, 65'536));
}

// A minority of two is nobody. Operators replace whom a disk has failed, and do nothing else.
void draw_damage(Plan& plan) {
  auto& is_on = plan.on[static_cast<std::size_t>(Fault::damaged_disk)];
  is_on = is_on && plan.members >= 3;
  if (is_on) plan.on[static_cast<std::size_t>(Fault::membership)] = false;
}

void break_raft(election::Options& raft, Mutant mutant) {
  using election::Defect;
  const std::map<Mutant, Defect> defects{
      {Mutant::commit_earlier_terms, Defect::counts_earlier_terms},
      {Mutant::cut_on_append, Defect::cuts_on_append},
      {Mutant::commit_unverified, Defect::commits_unverified},
      {Mutant::read_before_own_commit, Defect::reads_before_own_commit},
      {Mutant::read_of_earlier_round, Defect::takes_earlier_round},
      {Mutant::union_majority, Defect::counts_the_union},
      {Mutant::change_too_early, Defect::changes_before_own_commit},
      {Mutant::lease_after_transfer, Defect::keeps_spent_lease},
      {Mutant::conflict_kept, Defect::keeps_conflicting},
      {Mutant::committed_configuration, Defect::uses_committed_members},
      {Mutant::configuration_not_rolled_back, Defect::keeps_cut_members},
      {Mutant::log_beyond_snapshot, Defect::keeps_log_beyond_snapshot},
      {Mutant::late_pre_vote_ignored, Defect::ignores_late_pre_votes},
      {Mutant::expire_without_lease, Defect::expires_without_lease},
      {Mutant::session_clocks_forgotten, Defect::forgets_session_clocks},
      {Mutant::removed_campaigns, Defect::campaigns_when_removed}};
  if (const auto at = defects.find(mutant); at != defects.end()) raft.defect = at->second;
  if (mutant == Mutant::no_pre_vote) raft.pre_vote = false;
  if (mutant == Mutant::no_check_quorum) raft.check_quorum = false;
}

void draw_members(Plan& plan, const RunOptions& options, Prng& prng) {
  constexpr std::size_t kSizes[] = {1, 1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7};
  plan.members = kSizes[prng.below(std::size(kSizes))];
  if (plan.members >= 3 && prng.chance(1, 5)) plan.observers = 1;
  if (options.members > 0) plan.members = options.members;
}

void draw_clocks(Plan& plan, Prng& prng) {
  if (!plan.has(Fault::clock_rate)) return;
  for (std::uint64_t id = 1; id <= plan.members + plan.observers; ++id) {
    // The ends of the range are where a bound that is too tight shows.
    const auto dice = prng.below(4);
    plan.clock_permille[MemberId(id)] = dice == 0   ? 900
                                        : dice == 1 ? 1'100
                                                    : draw(prng, 900, 1'100);
  }
}

void draw_network(Plan& plan, Prng& prng) {
  // Mostly as the shell's links are.
  plan.on[static_cast<std::size_t>(Fault::loose_links)] &= prng.chance(1, 2);
  const bool is_far = plan.has(Fault::peer_delay);
  plan.peers_us = is_far ? draw(prng, 200, prng.chance(1, 2) ? 5 * kMs : 40 * kMs) : 200;
  if (plan.has(Fault::message_loss)) plan.lost_permille = prng.between(1, 300);
  if (plan.has(Fault::message_repeat)) {
    plan.doubled_permille = prng.between(1, 200);
    plan.replayed_permille = prng.between(0, 50);
  }
  if (plan.has(Fault::slow_member) && plan.members > 1)
    plan.slow_member = MemberId(prng.between(1, plan.members));
}

void draw_moments(Plan& plan) {
  constexpr std::array kMoments{Fault::power_loss,  Fault::kill,        Fault::io_crash,
                                Fault::disk_full,   Fault::sync_error,  Fault::write_error,
                                Fault::pause,       Fault::clock_jump,  Fault::store_delay,
                                Fault::store_error, Fault::bit_rot,     Fault::clog,
                                Fault::partition,   Fault::link_break,  Fault::false_hint,
                                Fault::crash_all,   Fault::damaged_disk};
  for (const auto fault : kMoments) {
    const bool is_of_many = fault >= Fault::clog;
    if (plan.has(fault) && (plan.members > 1 || !is_of_many)) plan.moments.push_back(fault);
  }
}

}  // namespace

std::string_view word_of(Fault fault) noexcept {
  constexpr std::array<std::string_view, kFaults> kWords{
      "power-loss",     "kill",         "io-crash",       "recovery-crash",   "sync-delay",
      "disk-full",      "sync-error",   "write-error",    "read-error",       "pause",
      "clock-rate",     "clock-jump",   "store-delay",    "store-error",      "bit-rot",
      "network-delay",  "client-retry", "client-abandon", "client-reconnect", "small-limits",
      "peer-delay",     "message-loss", "message-repeat", "loose-links",      "clog",
      "partition",      "link-break",   "false-hint",     "crash-all",        "slow-member",
      "transfer",       "membership",   "core-only",      "cut-elections",    "small-appends",
      "short-sessions", "late-retries", "install-crash",  "late-answers",     "paced-observers",
      "damaged-disk"};
  return kWords[static_cast<std::size_t>(fault)];
}

Plan draw_plan(const RunOptions& options, Prng& prng) {
  Plan plan;
  Prng apart(options.seed ^ kApart);
  Prng later(options.seed ^ kLater);
  Prng last(options.seed ^ kLast);
  for (std::size_t i = 0; i < kFaults; ++i) {
    auto& from = i < static_cast<std::size_t>(kFirstApart)   ? prng
                 : i < static_cast<std::size_t>(kFirstLater) ? apart
                 : i < static_cast<std::size_t>(kFirstLast)  ? later
                                                             : last;
    const bool drawn = from.chance(1, i < static_cast<std::size_t>(kFirstLast) ? 2 : 4);
    plan.on[i] = drawn && (options.faults_off >> i & 1) == 0;
  }
  draw_members(plan, options, prng);
  draw_damage(plan);
  plan.clients =
      static_cast<std::size_t>(prng.chance(1, 5) ? prng.between(10, 50) : prng.between(1, 8));
  plan.keys = prng.chance(1, 2) ? prng.between(1, 5) : prng.between(5, 100);
  plan.faults_end_us = options.seconds * kSecond;
  plan.fault_every_us = plan.members == 1 ? draw(prng, 2 * kSecond, 30 * kSecond)
                                          : draw(prng, kSecond / 2, 8 * kSecond);
  plan.restart_us_max = draw(prng, 10 * kMs, 5 * kSecond);
  plan.kept_percent = 50 * prng.between(0, 2);
  plan.torn_percent = prng.between(0, 30);
  plan.sync_us = plan.has(Fault::sync_delay) ? draw(prng, 100, 200 * kMs) : 100;
  plan.store_us = plan.has(Fault::store_delay) ? draw(prng, 1 * kMs, 3 * kSecond) : 2 * kMs;
  plan.network_us = plan.has(Fault::network_delay) ? draw(prng, 200, 50 * kMs) : 100;
  plan.think_us = draw(prng, 2 * kMs, 10 * kMs) * static_cast<std::int64_t>(plan.clients);
  plan.value_bytes_max = prng.chance(1, 8) ? 8 * kKiB : prng.between(0, 200);
  draw_clocks(plan, prng);
  draw_network(plan, prng);
  draw_moments(plan);
  plan.addresses = prng.next();
  plan.wal.segment_bytes = 256 * kKiB;
  plan.node.checkpoint.interval_ms = 5'000;
  if (plan.has(Fault::small_limits)) draw_limits(plan, prng);
  Prng spread(options.seed ^ kSpread);
  if (spread.chance(1, 2)) plan.node.checkpoint.spread_percent = 40;
  if (spread.chance(1, 2)) plan.wal.ahead_bytes = 512 * spread.between(1, 512);
  draw_apart(plan, apart);
  if (plan.has(Fault::paced_observers)) plan.node.raft.observer_interval_ms = draw(later, 1, 50);
  if (plan.members > 1 || plan.changes_ensemble()) draw_snapshots(plan, prng);
  // A majority of whom is known before the run only while nobody changes it.
  if (plan.changes_ensemble()) plan.on[static_cast<std::size_t>(Fault::core_only)] = false;
  break_raft(plan.node.raft, options.mutant);
  plan.limits.defects.admits_ended_sessions = options.mutant == Mutant::create_after_close;
  plan.limits.requests = plan.node.requests;
  plan.wal.salt = prng.next();
  plan.node.cluster = "00000000-0000-4000-8000-000000000001";
  return plan;
}

}  // namespace coord::sim
