// The faults of a run, their end, and what must hold when they are over.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/sim/checker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/member.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/witness.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

// Elections that a leader may take when the faults are over; a member boots and links are made
// before the first.
constexpr std::int64_t kElections = 10;
constexpr std::int64_t kLiveUs = 100'000;
// How long followers may take to have everything, a majority included.
constexpr std::int64_t kCatchUpUs = 14 * kSecond;
// How long changes that are under way may take when the faults are over: standbys catch up one
// after the other.
constexpr std::int64_t kRestUs = 40 * kSecond;
constexpr std::int64_t kAtRestUs = 2 * kSecond;
constexpr std::size_t kHiredMax = 4;

}  // namespace

void World::schedule_storms() {
  after(delay(plan_.fault_every_us / 4), [this] { storm(); });
}

Member& World::any_member() {
  // Faults that meet the leader are worth more.
  auto* const first = leader();
  if (first != nullptr && chance(40)) return *first;
  return *members_[static_cast<std::size_t>(prng_.below(members_.size()))];
}

Member* World::leader() {
  Member* found = nullptr;
  for (auto& member : members_) {
    if (!member->is_up() || member->node().raft().role() != election::Role::leader) continue;
    if (found == nullptr || member->node().raft().term() > found->node().raft().term()) {
      found = member.get();
    }
  }
  return found;
}

// ---------------------------------------------------------------- who comes and goes

bool World::may_hire() const noexcept {
  return members_.size() < plan_.members + plan_.observers + kHiredMax;
}

Member& World::hire() {
  count(Count::hired);
  members_.push_back(std::make_unique<Member>(*this, MemberId(members_.size() + 1)));
  members_.back()->start();
  return *members_.back();
}

// Who was removed is switched off some time later, or goes on and may disturb nobody.
void World::look_after_removed() {
  if (!is_stormy()) return;
  const auto& membership = witness_->membership();
  for (auto& member : members_) {
    const auto id = member->id();
    if (membership.contains(id)) {
      known_.insert(id);
      continue;
    }
    if (known_.erase(id) == 0 || chance(50)) continue;
    after(between(0, 5 * kSecond), [this, id, one = member.get()] {
      count(Count::retired);
      outside_.insert(id);
      one->retire();
    });
  }
  after(kLiveUs, [this] { look_after_removed(); });
}

void World::storm() {
  if (!is_stormy()) return;
  auto& member = any_member();
  if (member.is_up() && !plan_.moments.empty()) begin_fault(member);
  schedule_storms();
}

void World::begin_fault(Member& member) {
  const auto fault = plan_.moments[static_cast<std::size_t>(prng_.below(plan_.moments.size()))];
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
      return member.damage_log();
    default:
      return begin_network_fault(member, fault);
  }
}

void World::begin_network_fault(Member& member, Fault fault) {
  auto& other = *members_[static_cast<std::size_t>(prng_.below(members_.size()))];
  if (fault == Fault::partition) return partition(member);
  if (fault == Fault::damaged_disk) return lose(member);
  if (fault == Fault::crash_all) {
    count(Count::all_crashed);
    const auto how = chance(50) ? Member::End::power : Member::End::process;
    for (auto& one : members_) one->end(how);
    return;
  }
  if (&other == &member) return;
  if (fault == Fault::clog) {
    count(Count::clogged);
    return network_->clog(member.id(), other.id(),
                          std::min(between(10'000, 5 * kSecond), plan_.faults_end_us - now_us_));
  }
  if (fault == Fault::link_break) return network_->break_link(member.id(), other.id());
  count(Count::false_hint);
  network_->false_hint(other.id(), member.id());
}

// Cuts between members, all of which end: at one moment, or (swizzle) one by one.
void World::partition(Member& lonely) {
  enum class Kind : std::uint8_t { halves, alone, mute, deaf, bridge, ring, one_way, count };
  const auto kind = static_cast<Kind>(prng_.below(static_cast<std::uint64_t>(Kind::count)));
  const auto n = members_.size();
  // Whoever lives by the wall clock finds out when nobody can tell it better.
  if (plan_.has(Fault::cut_elections) && plan_.has(Fault::clock_jump) && chance(30)) {
    count(Count::wall_jump);
    lonely.jump_wall(-between(300, 3'600'000));
  }
  std::vector<bool> side(n);
  for (std::size_t i = 0; i < n; ++i) side[i] = chance(50);
  const bool is_swizzle = chance(30);
  const auto lasts = between(100'000, chance(30) ? 30 * kSecond : 5 * kSecond);
  count(kind == Kind::mute || kind == Kind::deaf || kind == Kind::one_way ? Count::one_way_cut
                                                                          : Count::partitioned);
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = 0; b < n; ++b) {
      if (a == b) continue;
      const auto from = members_[a]->id();
      const auto to = members_[b]->id();
      const auto apart = (a + n - b) % n;
      const bool is_cut = kind == Kind::halves    ? side[a] != side[b]
                          : kind == Kind::alone   ? from == lonely.id() || to == lonely.id()
                          : kind == Kind::mute    ? from == lonely.id()
                          : kind == Kind::deaf    ? to == lonely.id()
                          : kind == Kind::one_way ? side[a] && !side[b]
                          : kind == Kind::ring
                              ? apart != 1 && apart != n - 1
                              : side[a] != side[b] && from != lonely.id() && to != lonely.id();
      if (!is_cut) continue;
      const auto begins = is_swizzle ? between(0, 500'000) : 0;
      const auto ends = begins + (is_swizzle ? between(1, lasts) : lasts);
      cut_for(from, to, begins, ends);
    }
  }
}

// A leader and one other, of five or more, are cut off until the next leader is there. What they
// alone had is overwritten then, and an operator gives leadership back.
void World::cut_pair(Member& first) {
  if (!is_stormy() || pair_ || !first.is_up() || &first != leader()) return;
  count(Count::pair_cut);
  auto second = static_cast<std::size_t>(prng_.below(members_.size()));
  if (members_[second].get() == &first) second = (second + 1) % members_.size();
  PairCut pair{first.id(), members_[second]->id(), {}};
  for (const auto& one : members_) {
    if (one->id() == pair.first || one->id() == pair.second) continue;
    for (const auto id : {pair.first, pair.second}) {
      pair.ways.emplace_back(one->id(), id);
      pair.ways.emplace_back(id, one->id());
    }
  }
  for (const auto& [from, to] : pair.ways) network_->cut(from, to);
  pair_ = std::move(pair);
  after(std::min(2 * kSecond, plan_.faults_end_us - now_us_), [this] { heal_pair(); });
}

void World::heal_pair() {
  if (!pair_) return;
  const auto pair = *std::exchange(pair_, std::nullopt);
  for (const auto& [from, to] : pair.ways) network_->heal(from, to);
}

void World::on_leader(Member& member) {
  if (!is_stormy() || !plan_.has(Fault::late_answers) || plan_.members < 5) return;
  if (!pair_) {
    after(between(0, 2 * kSecond), [this, &member] { cut_pair(member); });
    return;
  }
  if (member.id() == pair_->first || member.id() == pair_->second) return;
  after(between(2'000, 40'000), [this, first = pair_->first] {
    heal_pair();
    after(between(20'000, 150'000), [this, first] {
      const bool is_late = !is_stormy();
      for (auto& client : clients_) {
        if (is_late || client->ask_transfer(first)) return;
      }
    });
  });
}

void World::cut_for(MemberId from, MemberId to, std::int64_t begins, std::int64_t ends) {
  after(begins, [this, from, to] { network_->cut(from, to); });
  after(std::min(ends, std::max(begins, plan_.faults_end_us - now_us_)),
        [this, from, to] { network_->heal(from, to); });
}

// What a member alone has from its first steps in a term is what terms disagree about later: so it
// is cut off then, or loses its power.
void World::on_campaign(Member& member) {
  const bool may_cut = is_stormy() && plan_.has(Fault::cut_elections) && members_.size() > 1;
  if (!may_cut || pair_ || !chance(40)) return;
  count(Count::election_cut);
  const auto steps = chance(50) ? 1 : 3;
  const auto begins = std::min(between(0, steps * (2 * plan_.peers_us + plan_.sync_us)),
                               plan_.faults_end_us - now_us_);
  if (chance(20)) {
    return after(begins, [&member] { member.end(Member::End::power); });
  }
  const auto ends = begins + between(50'000, chance(30) ? 5 * kSecond : kSecond);
  const auto way = prng_.below(4);
  for (const auto& other : members_) {
    if (other.get() == &member) continue;
    if (way != 1) cut_for(other->id(), member.id(), begins, ends);
    if (way != 2) cut_for(member.id(), other->id(), begins, ends);
  }
}

// No promise binds anybody while leadership is handed over: the one that leaves hears of it late.
void World::on_hand_over(MemberId from, MemberId to) {
  if (!is_stormy() || !plan_.has(Fault::cut_elections) || !chance(80)) return;
  count(Count::hand_over_clogged);
  network_->clog(to, from, std::min(between(5'000, 400'000), plan_.faults_end_us - now_us_));
}

// ---------------------------------------------------------------- the end of the faults

std::int64_t World::led_from_us() const noexcept {
  return calm_us_ + kElections * plan_.node.raft.election_timeout_ms * 1'000 + kSecond + late_us_;
}

void World::end_storms() {
  if (plan_.has(Fault::core_only) && plan_.members >= 3) choose_core();
  for (auto& member : members_) {
    if (is_core(member->id())) member->calm();
  }
  if (plan_.changes_ensemble()) settle_ensemble();
  calm_us_ = now_us_;
  after(led_from_us() - now_us_, [this] { expect_leader(); });
}

// Where a majority must install a snapshot first, which goes at a bounded rate, nothing can be
// confirmed before it has.
void World::expect_leader() {
  if (has_failed()) return;
  const auto wait = [this](std::int64_t us) {
    late_us_ += us;
    after(us, [this] { expect_leader(); });
  };
  const auto* now = leader();
  if (now == nullptr || !is_core(now->id())) return fail(18, "liveness: there is no leader");
  if (!has_majority(*now)) {
    if (late_us_ >= kCatchUpUs) return fail(18, "liveness: no majority has caught up");
    is_behind_ = true;
    return wait(kLiveUs);
  }
  // What was asked meanwhile follows.
  if (std::exchange(is_behind_, false)) return wait(kSecond);
  term_ = now->node().raft().term();
  note("led", now->id().value(), term_.value());
  watch_liveness();
}

// Has a majority, of those that must do alone, all that is committed?
bool World::has_majority(const Member& leader) const {
  const auto& raft = leader.node().raft();
  const auto& voters = raft.membership().voters;
  std::size_t whole = 1;
  for (const auto& peer : raft.peers()) {
    const bool is_voter = std::find(voters.begin(), voters.end(), peer.id) != voters.end();
    if (is_voter && is_core(peer.id) && peer.match >= raft.committed()) ++whole;
  }
  return whole > voters.size() / 2;
}

bool World::is_ensemble_at_rest() {
  const auto* first = leader();
  if (first == nullptr) return false;
  const auto& membership = first->node().raft().membership();
  return !membership.is_joint() && membership.standbys.empty() && !has_lost_members() &&
         membership == witness_->membership();
}

// What was begun comes to its end. Clients leave those who are no members then; they go on, and may
// disturb nobody.
void World::settle_ensemble() {
  const auto end = now_us_ + kRestUs;
  auto since = now_us_;
  while (!has_failed() && now_us_ < end && now_us_ < since + kAtRestUs) {
    run_until(now_us_ + kLiveUs);
    if (!is_ensemble_at_rest()) since = now_us_;
  }
  if (!has_failed() && now_us_ >= end) fail(18, "liveness: the ensemble does not come to rest");
  for (const auto& member : members_) {
    if (!witness_->membership().contains(member->id())) outside_.insert(member->id());
  }
}

// A majority must do alone. The others stay dead, or cut off in one direction or both, for good,
// and with a slow disk.
void World::choose_core() {
  count(Count::core_alone);
  std::vector<std::size_t> order(plan_.members);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (std::size_t i = order.size(); i-- > 1;) {
    std::swap(order[i], order[static_cast<std::size_t>(prng_.below(i + 1))]);
  }
  // The leader belongs to them often: it must notice that nobody hears it, or that it hears nobody.
  if (auto* const first = leader(); first != nullptr && chance(50)) {
    const auto at = std::find_if(order.begin(), order.end(),
                                 [&](auto i) { return members_[i].get() == first; });
    if (at != order.end()) std::swap(*order.begin(), *at);
  }
  if (plan_.has(Fault::cut_elections)) {
    // Whoever is in the latest term is waited for: nobody wins without catching up with it.
    const auto last = std::max_element(order.begin(), order.end(), [this](auto a, auto b) {
      return witness_->term_of(members_[a]->id()) < witness_->term_of(members_[b]->id());
    });
    std::swap(*last, order.back());
  }
  order.resize(plan_.members - (plan_.members / 2 + 1));
  const auto way = prng_.below(4);
  for (const auto i : order) outside_.insert(members_[i]->id());
  for (const auto i : order) {
    auto& member = *members_[i];
    if (way == 0) {
      member.retire();  // Also if it was about to start.
      continue;
    }
    for (const auto& other : members_) {
      if (!is_core(other->id())) continue;
      if (way != 1) network_->cut(other->id(), member.id());
      if (way != 2) network_->cut(member.id(), other->id());
    }
  }
}

// Leadership stays where it is now: nothing disturbs it.
void World::watch_liveness() {
  if (has_failed()) return;
  for (auto& member : members_) {
    if (!is_core(member->id())) continue;
    if (!member->is_up()) return fail(17, fmt::format("member {} is down", member->id()));
    const auto term = member->node().raft().term();
    if (term != term_) {
      return fail(18, fmt::format("liveness: the term is {} at {}, and was {} when the faults were "
                                  "over",
                                  term, member->id(), term_));
    }
  }
  after(kLiveUs, [this] { watch_liveness(); });
}

bool World::is_settled() {
  const auto* first = leader();
  if (first == nullptr) return false;
  const auto applied = first->node().state().applied();
  const auto peers = first->node().raft().peers();
  return std::all_of(members_.begin(), members_.end(), [&](const auto& member) {
    if (!is_core(member->id())) return true;
    return member->is_up() && member->node().state().applied() == applied;
  });
}

void World::settle() {
  const auto end = now_us_ + kCatchUpUs;
  while (!has_failed() && !is_settled() && now_us_ < end) run_until(now_us_ + kLiveUs);
  if (has_failed() || is_settled()) return;
  for (auto& member : members_) {
    if (is_core(member->id()) && !member->is_up()) {
      return fail(17, fmt::format("member {} is down", member->id()));
    }
    if (!is_core(member->id()) ||
        member->node().state().applied().value() == checker_->model().applied().value()) {
      continue;
    }
    return fail(18, fmt::format("liveness: member {} has {} of {}", member->id(),
                                member->node().state().applied(), checker_->model().applied()));
  }
}

}  // namespace coord::sim
