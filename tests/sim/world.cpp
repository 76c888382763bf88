#include "tests/sim/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/checksum.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/linear.hpp"
#include "tests/sim/member.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/witness.hpp"

namespace coord::sim {
namespace {

// Requests of the quiet time must be answered in it.
constexpr std::int64_t kQuietUs = 6 * kSecond;
// The longest ttl by the slowest clock, and what an expiry may be late; then some.
constexpr std::int64_t kClosingUs = 10 * kSecond;
// A delivery is on its way for at most twelve times the mean of its delay (see delay()).
constexpr std::int64_t kArriveUs = kSecond;
constexpr std::int64_t kOverUs = 50'000;
constexpr std::uint64_t kSearchStepsMax = 400'000;
constexpr std::uint64_t kRecipesSalt = 0x5265'6369'7065'7321;

// Chance of its own: a seed without recipes is the same run whether or not there are any.
bool takes_part_in_recipes(const RunOptions& options) {
  using Recipes = RunOptions::Recipes;
  if (options.recipes != Recipes::drawn) return options.recipes == Recipes::always;
  return Prng(options.seed ^ kRecipesSalt).chance(1, 2);
}

}  // namespace

std::string_view word_of(Count count) noexcept {
  constexpr std::array<std::string_view, kCounts> kWords{"power lost",
                                                         "processes killed",
                                                         "power lost at an operation",
                                                         "crashed starts",
                                                         "recoveries crashed",
                                                         "slow syncs",
                                                         "log full",
                                                         "store full",
                                                         "failed syncs",
                                                         "failed writes",
                                                         "failed commits",
                                                         "pauses",
                                                         "wall clock jumps",
                                                         "failed reads",
                                                         "damaged logs",
                                                         "damaged disks",
                                                         "members replaced",
                                                         "torn tails",
                                                         "checkpoints",
                                                         "store reads",
                                                         "answers ok",
                                                         "refusals",
                                                         "unknown outcomes",
                                                         "connections lost",
                                                         "retries",
                                                         "answered before",
                                                         "abandoned requests",
                                                         "sessions opened",
                                                         "sessions expired",
                                                         "sessions closed",
                                                         "watch events",
                                                         "watches resumed",
                                                         "watches compacted",
                                                         "reads of the past",
                                                         "reads compacted",
                                                         "durable images read",
                                                         "messages sent",
                                                         "messages lost",
                                                         "messages doubled",
                                                         "old messages again",
                                                         "links made",
                                                         "links broken",
                                                         "clogged ways",
                                                         "partitions",
                                                         "one-way cuts",
                                                         "false hints",
                                                         "all crashed",
                                                         "leaders",
                                                         "turns with a lease",
                                                         "memberships",
                                                         "cores alone",
                                                         "snapshots installed",
                                                         "transfers",
                                                         "members hired",
                                                         "members retired",
                                                         "elections cut",
                                                         "hand-overs clogged",
                                                         "pairs cut off",
                                                         "installs crashed",
                                                         "locks held",
                                                         "stale fences",
                                                         "deadlocks refused",
                                                         "leaders elected",
                                                         "rounds of barriers",
                                                         "items delivered",
                                                         "items delivered again",
                                                         "items given back",
                                                         "decisions",
                                                         "transactions committed",
                                                         "transactions aborted",
                                                         "instances gone",
                                                         "configurations released",
                                                         "waiters woken"};
  return kWords[static_cast<std::size_t>(count)];
}

World::World(const RunOptions& options)
    : options_(options), prng_(options.seed), plan_(draw_plan(options, prng_)) {
  plan_.with_recipes = takes_part_in_recipes(options);
  checker_ = std::make_unique<Checker>(*this);
  witness_ = std::make_unique<Witness>(*this);
  network_ = std::make_unique<Network>(*this);
  for (std::uint64_t i = 1; i <= plan_.members + plan_.observers; ++i) {
    members_.push_back(std::make_unique<Member>(*this, MemberId(i)));
  }
  for (std::uint64_t i = 0; i < plan_.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(*this, i));
  }
}
World::~World() = default;

// ---------------------------------------------------------------- time and chance

void World::after(std::int64_t delay_us, std::function<void()> what) {
  COORD_CHECK(delay_us >= 0, "time goes forward", delay_us);
  queue_.push_back({now_us_ + delay_us, ++order_, std::move(what)});
  std::push_heap(queue_.begin(), queue_.end(), [](const Event& a, const Event& b) {
    return std::pair(a.at_us, a.order) > std::pair(b.at_us, b.order);
  });
}

std::int64_t World::delay(std::int64_t mean_us) {
  // Halves again and again with a chance of a half: an exponential with whole numbers alone.
  std::int64_t halves = 0;
  while (halves < 12 && prng_.chance(1, 2)) ++halves;
  const auto most = mean_us * 693 / 1'000;
  const auto drawn = 1 + most * halves + between(0, most);
  // What began slowly is over soon after the faults are.
  return is_stormy() ? std::min(drawn, plan_.faults_end_us - now_us_ + kOverUs) : drawn;
}

std::int64_t World::between(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(prng_.below(static_cast<std::uint64_t>(high - low) + 1));
}

void World::note(std::string_view what, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  const std::array<std::uint64_t, 5> words{outcome_.hash, static_cast<std::uint64_t>(now_us_), a, b,
                                           c};
  outcome_.hash =
      checksum({reinterpret_cast<const char*>(words.data()), sizeof words}, checksum(what, 1));
  if (options_.with_trace) trace(fmt::format("{} {} {} {:x}", what, a, b, c));
}

void World::trace(const std::string& line) {
  std::printf("%11.6f %s\n", static_cast<double>(now_us_) / 1e6, line.c_str());
}

void World::fail(int invariant, std::string what) {
  if (has_failed()) return;
  if (!is_caught_by(options_.mutant, invariant)) {
    if (has_trace()) trace(fmt::format("passed over: invariant {}: {}", invariant, what));
    return;
  }
  outcome_.invariant = invariant;
  outcome_.failure = fmt::format("invariant {} at {} us: {}", invariant, now_us_, what);
}

// ---------------------------------------------------------------- the run

void World::run_until(std::int64_t end_us) {
  const auto later = [](const Event& a, const Event& b) {
    return std::pair(a.at_us, a.order) > std::pair(b.at_us, b.order);
  };
  while (!has_failed() && !queue_.empty() && queue_.front().at_us <= end_us) {
    if (options_.steps_max > 0 && outcome_.steps >= options_.steps_max) return;
    std::pop_heap(queue_.begin(), queue_.end(), later);
    auto event = std::move(queue_.back());
    queue_.pop_back();
    now_us_ = event.at_us;
    ++outcome_.steps;
    event.what();
  }
  if (!has_failed()) now_us_ = end_us;
}

Outcome World::run() {
  for (auto& member : members_) member->start();
  for (auto& client : clients_) client->start();
  schedule_storms();
  if (plan_.changes_ensemble()) look_after_removed();
  run_until(plan_.faults_end_us);
  const bool is_cut_short = options_.steps_max > 0 && outcome_.steps >= options_.steps_max;
  if (!has_failed() && !is_cut_short) {
    end_storms();
    run_until(calm_us_ + kQuietUs);
    // As long again as a majority was waited for.
    while (!has_failed() && now_us_ < calm_us_ + kQuietUs + late_us_) {
      run_until(calm_us_ + kQuietUs + late_us_);
    }
    is_closing_ = true;
    run_until(now_us_ + kClosingUs);
    settle();
    // What was said until now reaches the clients; then they must have heard of all that happened.
    const auto told = checker_->model().applied();
    run_until(now_us_ + kArriveUs);
    settle();
    if (!has_failed()) close(told);
  }
  outcome_.simulated_us = now_us_;
  return outcome_;
}

void World::close(Zxid told) {
  for (auto& member : members_) {
    // Down where a mutant's other failures are passed over: that was one of them.
    if (!is_core(member->id()) || !member->is_up()) continue;
    checker_->check_state(member->node().state());
    checker_->check_durable(*member);
  }
  checker_->check_tokens();
  checker_->check_sessions_gone();
  Histories histories;
  for (auto& client : clients_) {
    client->check_watches(told);
    client->finish(histories);
  }
  check_histories(histories);
}

void World::check_histories(Histories& histories) {
  for (auto& [path, history] : histories) {
    // A write that ran again, long after, is no register's any more.
    const bool ran_twice = std::any_of(history.begin(), history.end(), [this](const auto& op) {
      return checker_->runs_of(op.token) > 1;
    });
    if (ran_twice) continue;
    const auto verdict = judge(history, kSearchStepsMax);
    if (verdict == Verdict::undecided) ++outcome_.undecided;
    if (verdict != Verdict::illegal) continue;
    fail(12, fmt::format("{} is not linearizable", path));
    if (!options_.with_trace) continue;
    for (const auto& op : history) {
      trace(fmt::format("{} {} {}..{} '{:.20}'{}", path, static_cast<int>(op.kind), op.asked_us,
                        op.answered_us, op.value, op.is_absent ? " absent" : ""));
    }
  }
}

}  // namespace coord::sim
