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

namespace coord::sim {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
// Requests of the quiet time must be answered in it.
constexpr std::int64_t kQuietUs = 6 * kSecond;
// The longest ttl by the slowest clock, and what an expiry may be late; then some.
constexpr std::int64_t kClosingUs = 10 * kSecond;
constexpr std::int64_t kOverUs = 50'000;
constexpr std::uint64_t kSearchStepsMax = 400'000;

}  // namespace

std::string_view word_of(Count count) noexcept {
  constexpr std::array<std::string_view, kCounts> kWords{
      "power lost",        "processes killed",   "power lost at an operation",
      "crashed starts",    "recoveries crashed", "slow syncs",
      "log full",          "store full",         "failed syncs",
      "failed writes",     "failed commits",     "pauses",
      "wall clock jumps",  "damaged logs",       "torn tails",
      "checkpoints",       "store reads",        "answers ok",
      "refusals",          "unknown outcomes",   "connections lost",
      "retries",           "answered before",    "abandoned requests",
      "sessions opened",   "sessions expired",   "sessions closed",
      "watch events",      "watches resumed",    "watches compacted",
      "reads of the past", "reads compacted",    "durable images read",
      "messages sent"};
  return kWords[static_cast<std::size_t>(count)];
}

World::World(const RunOptions& options)
    : options_(options), prng_(options.seed), plan_(draw_plan(options, prng_)) {
  checker_ = std::make_unique<Checker>(*this);
  network_ = std::make_unique<Network>(*this);
  for (std::uint64_t i = 1; i <= plan_.members; ++i) {
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
  run_until(plan_.faults_end_us);
  const bool is_cut_short = options_.steps_max > 0 && outcome_.steps >= options_.steps_max;
  if (!has_failed() && !is_cut_short) {
    for (auto& member : members_) member->calm();
    run_until(now_us_ + kQuietUs);
    is_closing_ = true;
    run_until(now_us_ + kClosingUs);
    if (!has_failed()) close();
  }
  outcome_.simulated_us = now_us_;
  return outcome_;
}

void World::close() {
  for (auto& member : members_) {
    if (!member->is_up()) return fail(17, fmt::format("member {} is down", member->id()));
    checker_->check_state(member->node().state());
    checker_->check_durable(*member);
  }
  checker_->check_tokens();
  checker_->check_sessions_gone();
  Histories histories;
  for (auto& client : clients_) {
    client->check_watches();
    client->finish(histories);
  }
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

// ---------------------------------------------------------------- faults

void World::schedule_storms() {
  after(delay(plan_.crash_every_us / 4), [this] { storm(); });
}

void World::storm() {
  if (!is_stormy()) return;
  auto& member = *members_[static_cast<std::size_t>(prng_.below(members_.size()))];
  if (member.is_up()) begin_fault(member);
  schedule_storms();
}

void World::begin_fault(Member& member) {
  const auto fault = static_cast<Fault>(prng_.below(kFaults));
  if (!plan_.has(fault)) return;
  switch (fault) {
    case Fault::power_loss:
      count(Count::power_loss);
      return member.end(Member::End::power);
    case Fault::kill:
      count(Count::kill);
      return member.end(Member::End::process);
    case Fault::io_crash:
      return member.lose_power_at(1 + prng_.below(40));
    case Fault::disk_full:
      return member.fill_disk(between(10'000, 5'000'000));
    case Fault::sync_error:
      count(Count::sync_error);
      return member.fail_next_sync();
    case Fault::write_error:
      return member.fail_writes();
    case Fault::pause:
      // Over when the faults are.
      return member.pause(std::min(between(50'000, chance(30) ? 15'000'000 : 2'000'000),
                                   plan_.faults_end_us - now_us_));
    case Fault::clock_jump:
      count(Count::wall_jump);
      return member.jump_wall(chance(50) ? between(-3'600'000, 3'600'000) : between(-300, 290));
    case Fault::store_delay:
      return member.fill_store(between(10'000, 5'000'000));
    case Fault::store_error:
      return member.fail_next_commit();
    case Fault::bit_rot:
      member.damage_log();
      return;
    default:
      return;  // Drawn once for the whole run, or a matter of the clients.
  }
}

}  // namespace coord::sim
