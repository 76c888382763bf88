#include "raft_sim/world.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "coord/base/checksum.hpp"

namespace coord::raft_sim {
namespace {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

std::string describe(const Membership& membership) {
  return fmt::format("[{} | {} | {} | {}]", fmt::join(membership.voters, " "),
                     fmt::join(membership.outgoing, " "), fmt::join(membership.observers, " "),
                     fmt::join(membership.standbys, " "));
}

}  // namespace

template <class... Args>
void World::say(const Args&... args) {
  if (!is_traced_) return;
  std::string line = fmt::format("{:>10.3f}", static_cast<double>(now_) / 1000.0);
  ((line += fmt::format(" {}", args)), ...);
  std::puts(line.c_str());
}

World::World(const Plan& plan, bool is_traced)
    : plan_(plan), is_traced_(is_traced), prng_(plan.seed ^ 0x5eedU) {
  Membership initial;
  for (std::size_t i = 1; i <= plan.voters + plan.spares; ++i) {
    const MemberId id(i);
    if (i <= plan.voters) initial.voters.push_back(id);
    Member& member = members_[id];
    member.id = id;
  }
  for (auto& [id, member] : members_) {
    if (id.value() <= plan.voters) {
      member.disk.membership = initial;
      member.applied_membership = initial;
    }
    start(member);
  }
  every(plan.operation_every, &World::operation);
  every(plan.partition_every, &World::partition);
  every(plan.crash_every, &World::accident);
  every(plan.crash_all_every, &World::blackout);
  every(plan.pause_every, &World::pause);
  every(plan.change_every, &World::change);
  every(plan.transfer_every, &World::transfer);
  every(plan.false_hint_every, &World::false_hint);
}

Summary World::run() {
  run_until(plan_.fault_time);
  heal();
  check_liveness();
  summary_.elections = witness_.elections;
  summary_.committed = witness_.committed().value();
  summary_.memberships = witness_.memberships;
  return summary_;
}

void World::after(std::int64_t delay, std::function<void()> action) {
  events_.push_back(Event{now_ + delay, ++order_, std::move(action)});
  std::push_heap(events_.begin(), events_.end(), std::greater<>());
}

// Void if the member crashes before; late if it is paused.
void World::after_for(Member& member, std::int64_t delay, std::function<void(Member&)> action) {
  after(delay, [this, &member, incarnation = member.incarnation, action = std::move(action)] {
    if (!member.is_up() || member.incarnation != incarnation) return;
    if (member.paused_until > now_) {
      after_for(member, member.paused_until - now_, action);
    } else {
      action(member);
    }
  });
}

void World::run_until(std::int64_t end) {
  while (!events_.empty() && events_.front().at <= end) {
    std::pop_heap(events_.begin(), events_.end(), std::greater<>());
    const auto event = std::move(events_.back());
    events_.pop_back();
    now_ = event.at;
    ++summary_.steps;
    event.action();
  }
  now_ = end;
}

void World::start(Member& member) {
  ++member.incarnation;
  member.clock_since = now_;
  member.clock_base_us = static_cast<std::int64_t>(prng_.below(1'000'000'000));
  member.clock_rate =
      plan_.clocks_differ ? static_cast<std::int64_t>(prng_.between(900, 1100)) : 1000;
  member.mirror = member.disk;
  member.applied = member.disk.snapshot.index;
  member.chain = member.disk.state_chain;
  member.applied_membership = member.disk.membership;
  auto options = plan_.options;
  options.id = member.id;
  options.seed = prng_.next();
  say(member.id, "starts at", member.applied, "log to", member.disk.last());
  member.raft = std::make_unique<Raft>(options, member.disk.restored(), *this);
  // What the snapshot contradicts was left out.
  while (member.mirror.last() > member.raft->last_index()) member.mirror.entries.pop_back();
  keep_ticking(member);
}

void World::crash(Member& member) {
  say(member.id, "crashes");
  ++summary_.crashes;
  if (!member.disk_queue.empty() && prng_.chance(plan_.survives, 100)) {
    const auto& persist = member.disk_queue.front().persist;
    if (persist) member.disk.apply(*persist);
  }
  member.raft.reset();
  member.disk_queue.clear();
  member.inbox.clear();
  member.has_turn = false;
  member.is_installing = false;
  member.paused_until = 0;
  member.reads.clear();
  after(static_cast<std::int64_t>(prng_.below(2 * kSecond)), [this, &member] {
    if (!member.is_up()) start(member);
  });
  if (!plan_.hints) return;
  for (auto& [id, other] : members_) {
    if (!other.is_up()) continue;
    after_for(other, exponential(plan_.delay_mean), [this, down = member.id](Member& m) {
      act(m, [down](Raft& raft) { raft.peer_down(down); });
    });
  }
}

void World::keep_ticking(Member& member) {
  act(member, [](Raft&) {});
  const auto wait = std::min(member.raft->next_deadline_ms() - member.clock_ms(now_),
                             plan_.options.heartbeat_ms / 2);
  after_for(member, std::max<std::int64_t>(wait, 1) * kMs, [this](Member& m) { keep_ticking(m); });
}

// Messages gather for a moment; then the clock is read first, and they are stepped.
void World::wake(Member& member) {
  if (member.has_turn) return;
  member.has_turn = true;
  const auto gather = prng_.chance(1, 2) ? 0 : static_cast<std::int64_t>(prng_.below(kMs));
  after_for(member, gather, [this](Member& m) { turn(m); });
}

void World::turn(Member& member) {
  member.has_turn = false;
  const auto messages = std::exchange(member.inbox, {});
  const bool is_batch = prng_.chance(1, 2);
  member.raft->tick(member.clock_ms(now_));
  for (const auto& message : messages) {
    member.raft->step(message);
    if (!is_batch) drain(member);
  }
  drain(member);
}

void World::act(Member& member, const std::function<void(Raft&)>& input) {
  member.raft->tick(member.clock_ms(now_));
  input(*member.raft);
  drain(member);
}

void World::drain(Member& member) {
  for (auto ready = member.raft->take_ready(); !ready.empty(); ready = member.raft->take_ready()) {
    carry_out(member, std::move(ready));
  }
  member.raft->check_invariants();
  witness_.after_step(members_, member, now_);
  mix(member.id.value() ^ (member.raft->committed().value() << 8) ^
      (member.raft->term().value() << 40));
  if (member.raft->has_lease(member.clock_ms(now_))) ++summary_.leased_turns;
  checkpoint(member);
}

void World::carry_out(Member& member, Ready ready) {
  if (ready.persist) {
    witness_.on_persist(member, *ready.persist);
    for (const auto& entry : ready.persist->entries) {
      if (entry->kind == EntryKind::membership) {
        Membership m;
        (void)decode(entry->payload, m);
        say(member.id, "writes membership", entry->index, "term", entry->term, describe(m));
      }
    }
    member.mirror.apply(*ready.persist);
  }
  if (!ready.committed.empty()) witness_.after_step(members_, member, now_);
  for (const auto& message : ready.messages) send(member, message);
  const bool is_idle = member.disk_queue.empty();
  if (ready.persist || (!is_idle && !ready.messages_after_persist.empty())) {
    member.disk_queue.push_back(
        DiskWork{std::move(ready.persist), std::move(ready.messages_after_persist)});
    if (is_idle) start_sync(member);
  } else {
    for (const auto& message : ready.messages_after_persist) send(member, message);
  }
  for (const auto& entry : ready.committed) apply(member, entry);
  for (const auto& grant : ready.read_grants) {
    say(member.id, grant.granted ? "grants" : "refuses", "read", grant.read, "at", grant.index);
    if (grant.granted) ++summary_.granted_reads;
    witness_.on_grant(member, grant);
  }
  if (ready.install) {
    say(member.id, "wants the snapshot", ready.install->index);
    fetch_snapshot(member, member.raft->leader(), *ready.install);
  }
}

void World::start_sync(Member& member) {
  const bool is_slow = has_faults_ && member.id.value() == plan_.slow_disk;
  const auto mean = has_faults_ ? plan_.sync_mean : kMs / 5;
  after_for(member, exponential(is_slow ? 10 * mean : mean), [this](Member& m) { synced(m); });
}

void World::synced(Member& member) {
  auto& queue = member.disk_queue;
  auto work = std::move(queue.front());
  queue.pop_front();
  COORD_CHECK(work.persist.has_value(), "a sync is of a persist");
  member.disk.apply(*work.persist);
  for (const auto& message : work.messages) send(member, message);
  while (!queue.empty() && !queue.front().persist) {
    for (const auto& message : queue.front().messages) send(member, message);
    queue.pop_front();
  }
  if (!queue.empty()) start_sync(member);
  act(member, [&](Raft& raft) { raft.persisted(work.persist->number); });
}

void World::apply(Member& member, const SharedEntry& entry) {
  witness_.on_applied(member, entry);
  member.applied = entry->index;
  member.chain = witness_.chain_at(entry->index);
  if (entry->kind == EntryKind::membership) {
    COORD_CHECK(decode(entry->payload, member.applied_membership), "a membership can be read");
  }
}

void World::checkpoint(Member& member) {
  const auto since = member.applied.value() - member.disk.snapshot.index.value();
  if (since < plan_.checkpoint_after) return;
  const SnapshotMark mark{member.applied, *member.mirror.term_of(member.applied)};
  member.disk.set_snapshot(mark, member.applied_membership, member.chain);
  member.mirror.set_snapshot(mark, member.applied_membership, member.chain);
  member.raft->compact(mark.index);
  member.raft->check_invariants();
}

// Takes a while; the source may be gone or behind by then, and this member may be further.
void World::fetch_snapshot(Member& member, MemberId source, SnapshotMark wanted) {
  if (member.is_installing) return;
  member.is_installing = true;
  const auto duration = static_cast<std::int64_t>(prng_.below(300 * kMs));
  after_for(member, duration, [this, source, wanted](Member& m) {
    m.is_installing = false;
    const auto at = members_.find(source);
    const bool is_there = at != members_.end() && at->second.is_up() &&
                          at->second.disk.snapshot.index >= wanted.index &&
                          !(has_faults_ && prng_.chance(1, 5));
    if (!is_there || !m.raft->wants_snapshot(at->second.disk.snapshot)) {
      act(m, [](Raft& raft) { raft.snapshot_failed(); });
      return;
    }
    const auto& from = at->second.disk;
    say(m.id, "installs the snapshot", from.snapshot.index);
    ++summary_.installs;
    witness_.on_snapshot(m, from.snapshot, from.state_chain);
    m.disk.set_snapshot(from.snapshot, from.membership, from.state_chain);
    if (m.mirror.term_of(from.snapshot.index) != from.snapshot.term) m.mirror.entries.clear();
    m.mirror.set_snapshot(from.snapshot, from.membership, from.state_chain);
    m.applied = from.snapshot.index;
    m.chain = from.state_chain;
    m.applied_membership = from.membership;
    act(m, [&](Raft& raft) { raft.snapshot_installed(from.snapshot, from.membership); });
  });
}

Member* World::leader_of_all() {
  Member* leader = nullptr;
  for (auto& [id, member] : members_) {
    if (member.raft->role() != Role::leader) continue;
    if (leader == nullptr || member.raft->term() > leader->raft->term()) leader = &member;
  }
  return leader;
}

// All faults are over: soon there is one leader and it stays, every member of its configuration has
// everything, what is proposed is committed, and every read has its answer.
void World::check_liveness() {
  const auto require = [](bool condition, const char* what) {
    if (!condition) throw Violation(fmt::format("liveness: {}", what));
  };
  for (const auto& [id, member] : members_) {
    say(id, "is healed, committed", member.raft->committed(), "of", member.raft->last_index(),
        describe(member.raft->membership()));
  }
  run_until(now_ + 20 * plan_.options.election_timeout_ms * kMs + 10 * kSecond);
  Member* leader = leader_of_all();
  require(leader != nullptr, "no leader");
  const auto term = leader->raft->term();
  const auto before = witness_.committed();
  run_until(now_ + 5 * kSecond);
  require(witness_.committed().value() > before.value() + 10, "proposals are not committed");
  leader = leader_of_all();
  require(leader != nullptr && leader->raft->has_lease(leader->clock_ms(now_)), "no lease");
  // The automatic promotion of a standby changes no leader.
  require(leader->raft->term() == term, "the leader changed without a reason");
  require(!leader->raft->membership().is_joint(), "a joint configuration was not left");
  for (const auto id : leader->raft->membership().everybody()) {
    const auto& member = members_.at(id);
    for (const auto& peer : leader->raft->peers()) {
      say(leader->id, "knows of", peer.id, "match", peer.match, "active", peer.is_active,
          "snapshot", peer.needs_snapshot, "first", leader->raft->first_index());
    }
    require(member.applied.value() + 200 > witness_.committed().value(),
            fmt::format("{} lags at {}", id, member.applied).c_str());
    require(member.reads.size() < 50, "reads are not answered");
  }
}

std::int64_t World::exponential(std::int64_t mean) {
  const double uniform = static_cast<double>(prng_.next() >> 11) * 0x1.0p-53;
  return static_cast<std::int64_t>(-std::log1p(-uniform) * static_cast<double>(mean));
}

void World::trace(const TraceEvent& event) {
  if (!is_traced_) return;
  std::visit(overloaded{
                 [&](const BecameLeader& e) { say(e.member, "LEADS term", e.term); },
                 [&](const BecameFollower& e) {
                   say(e.member, "follows", e.leader, "in term", e.term, e.why);
                 },
                 [&](const BecameCandidate& e) {
                   say(e.member, e.pre_vote ? "pre-campaigns, term" : "campaigns in term", e.term);
                 },
                 [&](const Note& e) { say(e.text); },
                 [&](const auto&) {},
             },
             event);
}

}  // namespace coord::raft_sim
