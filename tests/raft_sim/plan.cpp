#include "raft_sim/plan.hpp"

namespace coord::election::raft_sim {
namespace {

std::int64_t time_between(Prng& prng, std::int64_t low, std::int64_t high) {
  return static_cast<std::int64_t>(
      prng.between(static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high)));
}

// Nothing in half of the seeds, else in the range.
std::int64_t maybe_every(Prng& prng, std::int64_t low, std::int64_t high) {
  const bool is_on = prng.chance(1, 2);
  const auto value = time_between(prng, low, high);
  return is_on ? value : 0;
}

std::uint64_t maybe_chance(Prng& prng, std::uint64_t high) {
  const bool is_on = prng.chance(1, 2);
  const auto value = prng.between(1, high);
  return is_on ? value : 0;
}

void draw_options(Prng& prng, election::Options& options) {
  options.heartbeat_ms = time_between(prng, 20, 60);
  options.election_timeout_ms = options.heartbeat_ms * time_between(prng, 4, 8);
  options.promise_ms = time_between(prng, options.heartbeat_ms * 2, options.election_timeout_ms);
  options.append_bytes_max = prng.chance(1, 2) ? prng.between(1, 600) : 1 << 20;
  options.append_entries_max = prng.chance(1, 2) ? prng.between(1, 8) : 4096;
  options.inflight_max = prng.between(1, 8);
  options.uncommitted_bytes_max = prng.chance(1, 4) ? prng.between(1, 200) : 1 << 20;
  options.log_tail_entries = prng.chance(1, 2) ? prng.below(100) : 0;
  options.log_tail_bytes = prng.chance(1, 4) ? prng.between(1, 4000) : 1 << 20;
  options.standby_stable_ms = time_between(prng, 0, 1000);
  options.standby_lag_max = prng.below(20);
  options.pre_vote = !prng.chance(1, 8);
  options.check_quorum = !prng.chance(1, 8);
}

}  // namespace

Plan draw_plan(std::uint64_t seed) {
  Prng prng(seed);
  Plan plan;
  plan.seed = seed;
  constexpr std::size_t kSizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7};
  plan.voters = kSizes[prng.below(std::size(kSizes))];
  draw_options(prng, plan.options);
  plan.loss = maybe_chance(prng, 300);
  plan.duplication = maybe_chance(prng, 200);
  plan.replay = maybe_chance(prng, 50);
  plan.delay_mean = prng.chance(1, 2) ? time_between(prng, kMs / 5, 2 * kMs)
                                      : time_between(prng, 2 * kMs, 30 * kMs);
  plan.partition_every = maybe_every(prng, kSecond / 2, 5 * kSecond);
  plan.crash_every = maybe_every(prng, kSecond / 2, 5 * kSecond);
  plan.crash_all_every = prng.chance(1, 4) ? maybe_every(prng, 2 * kSecond, 8 * kSecond) : 0;
  plan.pause_every = maybe_every(prng, kSecond / 2, 5 * kSecond);
  plan.change_every = maybe_every(prng, kSecond / 4, 4 * kSecond);
  plan.transfer_every = maybe_every(prng, kSecond / 2, 5 * kSecond);
  plan.false_hint_every = maybe_every(prng, kSecond / 4, 4 * kSecond);
  plan.spares = plan.change_every != 0 ? prng.between(0, 3) : 0;
  plan.hints = prng.chance(2, 3);
  plan.sync_mean =
      prng.chance(1, 2) ? time_between(prng, 100, kMs) : time_between(prng, kMs, 50 * kMs);
  plan.slow_disk = prng.chance(1, 5) ? prng.between(1, plan.voters) : 0;
  plan.survives = prng.below(3) * 50;
  plan.clocks_differ = prng.chance(1, 2);
  plan.operation_every = time_between(prng, 5 * kMs, 60 * kMs);
  plan.checkpoint_after = prng.between(5, 200);
  // Drawn apart, so that seeds without it are the runs that they were.
  Prng later(seed ^ 0x6c61746572U);
  plan.options.observer_interval_ms = maybe_every(later, 1, 50);
  return plan;
}

}  // namespace coord::election::raft_sim
