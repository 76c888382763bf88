#include "raft_sim/witness.hpp"

#include <fmt/format.h>

#include "coord/base/checksum.hpp"
#include "election/quorum.hpp"

namespace coord::raft_sim {
namespace {

template <class... Args>
void require(bool condition, fmt::format_string<Args...> text, const Args&... args) {
  if (!condition) throw Violation(fmt::vformat(text, fmt::make_format_args(args...)));
}

std::uint64_t hash_of(const LogEntry& entry) {
  return checksum(entry.payload, static_cast<std::uint64_t>(entry.kind) + 1);
}

std::uint64_t chained(std::uint64_t chain, const LogEntry& entry) {
  return (chain ^ hash_of(entry) ^ (entry.term.value() << 40) ^ entry.index.value()) *
         0x9e3779b97f4a7c15U;
}

// Is the entry on the member's disk, in the log or under the snapshot?
bool holds(const Member& member, Index index, Term term) {
  return member.disk.snapshot.index >= index || member.disk.term_of(index) == term;
}

bool is_quorum(const Witness::Members& members, const Membership& membership, Index index,
               Term term) {
  const auto result = quorum_vote(membership, [&](MemberId id) {
    return holds(members.at(id), index, term) ? Ballot::granted : Ballot::refused;
  });
  return result == VoteResult::won;
}

}  // namespace

std::uint64_t Witness::chain_at(Index index) const {
  return index ? committed_.at(index.value() - 1).chain : 0;
}

void Witness::on_send(const Member& member, const Message& message) {
  const auto& synced = member.disk.hard_state;
  const auto vote = [&](Term term, MemberId candidate) {
    require(synced.term == term && synced.vote == candidate,
            "5: {} says its vote for {} in term {} but has term {} and vote {} on its disk",
            member.id, candidate, term, synced.term, synced.vote);
    const auto [at, is_new] = votes_.try_emplace({member.id, term}, candidate);
    require(is_new || at->second == candidate, "1: {} votes for {} and {} in term {}", member.id,
            at->second, candidate, term);
  };
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    if (request->is_pre_vote) return;
    vote(request->term, member.id);
    require(member.disk.last() >= request->last_index,
            "5: {} campaigns with a log up to {} and has {} on its disk", member.id,
            request->last_index, member.disk.last());
  } else if (const auto* reply = std::get_if<VoteReply>(&message.body)) {
    if (!reply->is_pre_vote && reply->granted) vote(reply->term, message.to);
  } else if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    require(synced.term == append->term && synced.vote == member.id,
            "5: {} leads term {} and has term {} on its disk", member.id, append->term,
            synced.term);
  } else if (const auto* acknowledgement = std::get_if<AppendReply>(&message.body)) {
    if (!acknowledgement->success) return;
    require(synced.term >= acknowledgement->term, "5: {} acknowledges in term {} and has {}",
            member.id, acknowledgement->term, synced.term);
    require(member.disk.last() >= acknowledgement->match,
            "5: {} acknowledges up to {} and has {} on its disk", member.id, acknowledgement->match,
            member.disk.last());
  }
}

void Witness::on_persist(const Member& member, const Persist& persist) {
  if (persist.hard_state) {
    require(persist.hard_state->term >= member.disk.hard_state.term,
            "1: the term of {} goes back from {} to {}", member.id, member.disk.hard_state.term,
            persist.hard_state->term);
  }
  if (persist.entries.empty()) return;
  const auto first = persist.entries.front()->index;
  auto previous = member.mirror.term_of(first.previous());
  require(previous.has_value(), "2: {} writes {} after {}", member.id, first, member.mirror.last());
  for (const auto& entry : persist.entries) {
    const Seen seen{*previous, hash_of(*entry)};
    const auto [at, is_new] = seen_.try_emplace({entry->index, entry->term}, seen);
    require(
        is_new || (at->second.previous_term == seen.previous_term && at->second.hash == seen.hash),
        "2: {} has another entry or another prefix at index {} term {}", member.id, entry->index,
        entry->term);
    previous = entry->term;
  }
}

void Witness::on_applied(const Member& member, const SharedEntry& entry) {
  require(entry->index == member.applied.next(), "4: {} applies {} after {}", member.id,
          entry->index, member.applied);
  require(member.disk.last() >= entry->index && holds(member, entry->index, entry->term),
          "5: {} applies {}, which is not on its disk", member.id, entry->index);
  // Registers it if it is the first to tell.
  require(entry->index <= committed(), "4: {} applies {}, which nobody committed", member.id,
          entry->index);
  const auto& known = committed_[entry->index.value() - 1];
  require(known.term == entry->term && known.hash == hash_of(*entry),
          "4: {} applies another entry at {}: term {}, not {}", member.id, entry->index,
          entry->term, known.term);
}

void Witness::on_snapshot(const Member& member, SnapshotMark mark, std::uint64_t chain) const {
  require(mark.index <= committed() && chain_at(mark.index) == chain,
          "4: {} has another state at {}", member.id, mark.index);
}

void Witness::on_grant(Member& member, const ReadGrant& grant) const {
  const auto at = member.reads.find(grant.read);
  require(at != member.reads.end(), "11: {} answers read {} twice", member.id, grant.read);
  require(!grant.granted || grant.index >= at->second,
          "11: {} grants a read at {}, but {} was committed before it began", member.id,
          grant.index, at->second);
  require(!grant.granted || grant.index <= committed(), "11: {} grants a read at {} of {}",
          member.id, grant.index, committed());
  member.reads.erase(at);
}

void Witness::after_step(const Members& members, const Member& member, std::int64_t t) {
  if (member.raft->role() == Role::leader) check_leader(member);
  check_commits(members, member);
  check_configurations(member);
  check_leases(members, t);
  auto& said = said_[member.id];
  require(member.raft->term() >= said.term || said.incarnation != member.incarnation,
          "1: the term of {} goes back", member.id);
  require(member.raft->committed() >= said.committed || said.incarnation != member.incarnation,
          "4: the commit index of {} goes back from {} to {}", member.id, said.committed,
          member.raft->committed());
  said = {member.raft->term(), member.raft->committed(), member.incarnation};
  membership_before_[member.id] = member.raft->membership();
}

void Witness::check_leader(const Member& member) {
  const auto term = member.raft->term();
  const auto [at, is_new] = leaders_.try_emplace(term, member.id);
  require(at->second == member.id, "1: {} and {} lead term {}", at->second, member.id, term);
  if (!is_new) return;
  ++elections;
  // By log matching it is enough that the last entry committed in earlier terms is there.
  Index last;
  for (const auto& [when, index] : committed_in_) {
    if (when < term) last = std::max(last, index);
  }
  if (!last || member.mirror.snapshot.index >= last) return;
  const auto found = member.mirror.term_of(last);
  require(found == committed_[last.value() - 1].term,
          "3: {} leads term {} without the entry {}, committed with term {}", member.id, term, last,
          committed_[last.value() - 1].term);
}

void Witness::check_commits(const Members& members, const Member& member) {
  for (Index i = committed().next(); i <= member.raft->committed(); i = i.next()) {
    const auto* entry = member.mirror.find(i);
    require(entry != nullptr, "4: {} commits {}, which it does not have", member.id, i);
    const auto term = (*entry)->term;
    const auto& before = membership_before_[member.id];
    // The step may have gone on to the next configuration after it committed this one.
    require(is_quorum(members, member.raft->membership(), i, term) ||
                is_quorum(members, before, i, term),
            "6: {} commits {} of term {}, which no quorum has on its disks", member.id, i, term);
    const bool is_membership = (*entry)->kind == EntryKind::membership;
    if (is_membership) ++memberships;
    committed_.push_back(
        {term, hash_of(**entry), chained(chain_at(i.previous()), **entry), is_membership});
    auto& last = committed_in_[member.raft->term()];
    last = std::max(last, i);
  }
  const auto index = member.raft->committed();
  if (!index || member.mirror.snapshot.index >= index) return;
  require(member.mirror.term_of(index) == committed_[index.value() - 1].term,
          "4: {} takes another entry for committed at {}", member.id, index);
}

void Witness::check_configurations(const Member& member) const {
  int open = 0;
  Membership latest = member.mirror.membership;
  for (const auto& entry : member.mirror.entries) {
    if (entry->kind != EntryKind::membership) continue;
    if (entry->index > committed()) ++open;
    if (entry->index > member.mirror.snapshot.index) {
      require(decode(entry->payload, latest), "7: a membership cannot be read");
    }
  }
  require(open <= 1, "7: {} has {} uncommitted configurations", member.id, open);
  require(latest == member.raft->membership(), "7: {} does not use the latest configuration",
          member.id);
}

void Witness::check_leases(const Members& members, std::int64_t t) const {
  const Member* holder = nullptr;
  for (const auto& [id, member] : members) {
    if (!member.is_up() || !member.raft->has_lease(member.clock_ms(t))) continue;
    require(holder == nullptr, "lease: {} and {} have it at once", id,
            holder == nullptr ? id : holder->id);
    holder = &member;
    const auto latest = committed_in_.empty() ? Term() : committed_in_.rbegin()->first;
    require(latest <= member.raft->term(), "lease: {} has it in term {}, but term {} has committed",
            id, member.raft->term(), latest);
  }
}

}  // namespace coord::raft_sim
