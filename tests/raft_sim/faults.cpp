// Network, clients, operators and accidents of the simulated world.

#include <fmt/format.h>

#include <algorithm>

#include "raft_sim/world.hpp"

namespace coord::raft_sim {

// Each message goes through its wire form.
void World::send(Member& from, const Message& message) {
  witness_.on_send(from, message);
  const auto bytes = encode(message);
  Message copy;
  COORD_CHECK(decode(bytes, copy), "a message can be read back", message.body.index());
  mix(bytes.size() + message.body.index());
  if (has_faults_) {
    if (cut_.contains({message.from, message.to})) return;
    if (prng_.chance(plan_.loss, 1000)) return;
    if (prng_.chance(plan_.duplication, 1000)) {
      after(exponential(plan_.delay_mean), [this, copy] { deliver(copy); });
    }
    if (prng_.chance(plan_.replay, 1000) && !old_messages_.empty()) {
      const auto& old = old_messages_[prng_.below(old_messages_.size())];
      after(exponential(plan_.delay_mean), [this, old] { deliver(old); });
    }
    constexpr std::size_t kKept = 256;
    if (old_messages_.size() < kKept) {
      old_messages_.push_back(copy);
    } else {
      old_messages_[prng_.below(kKept)] = copy;
    }
  }
  const auto mean = has_faults_ ? plan_.delay_mean : kMs / 5;
  after(exponential(mean), [this, moved = std::move(copy)] { deliver(moved); });
}

void World::deliver(const Message& message) {
  auto& member = members_.at(message.to);
  if (!member.is_up()) return;
  member.inbox.push_back(message);
  wake(member);
}

// Again and again with this mean time between, until the faults end; operations go on.
void World::every(std::int64_t mean, void (World::*what)()) {
  if (mean == 0) return;
  after(exponential(mean), [this, mean, what] {
    if (!has_faults_ && what != &World::operation) return;
    (this->*what)();
    every(mean, what);
  });
}

Member& World::any_member() { return members_.at(MemberId(1 + prng_.below(members_.size()))); }

Member& World::likely_leader() {
  std::vector<Member*> leaders;
  for (auto& [id, member] : members_) {
    if (member.is_up() && member.raft->role() == Role::leader) leaders.push_back(&member);
  }
  if (leaders.empty()) return any_member();
  return *leaders[prng_.below(leaders.size())];
}

void World::operation() {
  auto& member = prng_.chance(3, 4) ? likely_leader() : any_member();
  if (!member.is_up() || member.paused_until > now_) return;
  if (prng_.chance(1, 2)) {
    act(member, [&](Raft& raft) {
      const auto count = 1 + prng_.below(4);
      for (std::uint64_t i = 0; i < count; ++i) {
        (void)raft.propose(EntryKind::command, fmt::format("value {}", next_value_++));
      }
    });
    return;
  }
  act(member, [&](Raft& raft) {
    const auto count = 1 + prng_.below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
      const ReadId read(next_read_++);
      member.reads.emplace(read, witness_.committed());
      raft.read(read);
    }
  });
}

void World::partition() {
  std::set<std::pair<MemberId, MemberId>> links;
  const auto kind = prng_.below(4);
  const auto lonely = any_member().id;
  for (const auto& [a, unused_a] : members_) {
    const bool side_a = prng_.chance(1, 2);
    for (const auto& [b, unused_b] : members_) {
      if (a == b) continue;
      const bool is_cut = kind == 0   ? side_a != (b.value() % 2 == 0)  // Uneven and one-way.
                          : kind == 1 ? a == lonely || b == lonely      // One is alone.
                          : kind == 2 ? a == lonely                     // One is mute.
                                      : b == lonely;                    // One is deaf.
      if (is_cut) links.insert({a, b});
    }
  }
  cut_.insert(links.begin(), links.end());
  after(static_cast<std::int64_t>(prng_.between(100 * kMs, 4 * kSecond)), [this, links] {
    for (const auto& link : links) cut_.erase(link);
  });
}

void World::accident() {
  auto& member = prng_.chance(1, 3) ? likely_leader() : any_member();
  if (member.is_up()) crash(member);
}

void World::blackout() {
  for (auto& [id, member] : members_) {
    if (member.is_up()) crash(member);
  }
}

void World::pause() {
  auto& member = prng_.chance(1, 2) ? likely_leader() : any_member();
  member.paused_until = now_ + static_cast<std::int64_t>(prng_.between(5 * kMs, 2 * kSecond));
}

// One member gets another role, or several at once.
void World::change() {
  auto& member = likely_leader();
  if (!member.is_up() || member.paused_until > now_) return;
  auto target = member.raft->membership();
  target.outgoing.clear();
  const auto count = 1 + prng_.below(3);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto id = any_member().id;
    for (auto* list : {&target.voters, &target.observers, &target.standbys}) {
      std::erase(*list, id);
    }
    auto* const to = prng_.chance(1, 2)   ? &target.voters
                     : prng_.chance(1, 3) ? &target.observers
                     : prng_.chance(1, 2) ? &target.standbys
                                          : nullptr;
    if (to == nullptr) continue;
    to->insert(std::lower_bound(to->begin(), to->end(), id), id);
  }
  act(member, [&](Raft& raft) { (void)raft.change(target); });
}

void World::transfer() {
  auto& member = likely_leader();
  if (!member.is_up() || member.paused_until > now_) return;
  const auto to = any_member().id;
  act(member, [&](Raft& raft) {
    if (!raft.transfer(to)) ++summary_.transfers;
  });
}

void World::false_hint() {
  auto& member = any_member();
  if (!member.is_up() || member.paused_until > now_) return;
  act(member, [&](Raft& raft) { raft.peer_down(raft.leader()); });
}

void World::heal() {
  has_faults_ = false;
  cut_.clear();
  for (auto& [id, member] : members_) {
    member.paused_until = std::min(member.paused_until, now_);
    if (!member.is_up()) start(member);
  }
}

}  // namespace coord::raft_sim
