#include "tests/sim/witness.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/base/checksum.hpp"
#include "coord/base/overloaded.hpp"
#include "election/quorum.hpp"
#include "tests/sim/member.hpp"

namespace coord::sim {
namespace {

std::uint64_t hash_of(const election::LogEntry& entry) {
  return checksum(entry.payload, static_cast<std::uint64_t>(entry.kind) + 1);
}

}  // namespace

Witness::Witness(World& world) : world_(world), membership_(world.plan().founders()) {}

// ---------------------------------------------------------------- starts and disks

bool Witness::is_same(const Image& image, const election::Restored& log) const {
  const auto snapshot = log.snapshot.index;
  const auto last = log.entries.empty() ? snapshot : log.entries.back()->index;
  if (log.hard_state != image.hard_state || last != std::max(image.last(), snapshot)) return false;
  return std::all_of(log.entries.begin(), log.entries.end(), [&](const auto& entry) {
    if (const auto* there = image.find(entry->index)) return *entry == **there;
    return entry->index.value() <= committed_.size() &&
           *entry == *committed_[entry->index.value() - 1];
  });
}

void Witness::check_recovered(const Member& member, const election::Restored& log) {
  const auto snapshot = log.snapshot;
  if (snapshot.index.value() > committed_.size()) {
    return world_.fail(4, fmt::format("the checkpoint of {} is of {}, only {} is committed",
                                      member.id(), snapshot.index, committed_.size()));
  }
  if (snapshot.index && committed_[snapshot.index.value() - 1]->term != snapshot.term) {
    return world_.fail(4, fmt::format("the checkpoint of {} at {} has the term {}", member.id(),
                                      snapshot.index, snapshot.term));
  }
  const auto& known = logs_[member.id()];
  if (is_same(known.synced, log)) return;
  if (known.under_way) {
    auto image = known.synced;
    image.put(known.under_way->hard_state, known.under_way->entries);
    if (is_same(image, log)) return;
  }
  const auto last = log.entries.empty() ? snapshot.index : log.entries.back()->index;
  const bool is_vote_lost = log.hard_state.term < known.synced.hard_state.term ||
                            (log.hard_state.term == known.synced.hard_state.term &&
                             log.hard_state.vote != known.synced.hard_state.vote);
  world_.fail(
      is_vote_lost ? 1 : 5,
      fmt::format("member {} synced up to {} (term {}, vote {}), and {} is there (term "
                  "{}, vote {})",
                  member.id(), known.synced.last(), known.synced.hard_state.term,
                  known.synced.hard_state.vote, last, log.hard_state.term, log.hard_state.vote));
}

bool Witness::is_synced(const Member& member, const election::LogEntry& entry) const {
  const auto at = logs_.find(member.id());
  if (at == logs_.end()) return false;
  const auto* there = at->second.synced.find(entry.index);
  return there != nullptr && **there == entry;
}

void Witness::on_start(const Member& member, const core::NodeState& state) {
  check_recovered(member, state.log);
  auto& log = logs_[member.id()];
  if (state.log.hard_state.term < log.synced.hard_state.term) {
    world_.fail(1, fmt::format("the term of {} went back over a start", member.id()));
  }
  log.synced = Image();
  log.synced.hard_state = state.log.hard_state;
  log.synced.base = state.log.snapshot;
  log.synced.entries.assign(state.log.entries.begin(), state.log.entries.end());
  log.mirror = log.synced;
  log.under_way.reset();
  log.adopted.reset();
  log.configurations.clear();
  log.configurations[state.log.snapshot.index] =
      checked_configuration(member, state.log.snapshot.index, state.log.membership);
  for (const auto& entry : state.log.entries) {
    if (entry->kind != election::EntryKind::membership) continue;
    (void)election::decode(entry->payload, log.configurations[entry->index]);
  }
  log.before = *log.configurations.rbegin();
  log.unchecked = Index();
  log.led = false;
  log.term = Term();
  log.committed = Index();
}

std::optional<election::Membership> Witness::configuration_at(Index index) const {
  const auto after = configurations_.upper_bound(index);
  if (after == configurations_.begin()) return std::nullopt;
  return std::prev(after)->second;
}

// A snapshot brings the configuration that the entries up to it made.
election::Membership Witness::checked_configuration(const Member& member, Index index,
                                                    const election::Membership& membership) const {
  auto known = configuration_at(index);
  if (!known) return membership;
  if (*known != membership) {
    world_.fail(7, fmt::format("member {} has another configuration at {} than was committed",
                               member.id(), index));
  }
  return *known;
}

Term Witness::term_of(MemberId id) const {
  const auto at = logs_.find(id);
  return at == logs_.end() ? Term() : at->second.synced.hard_state.term;
}

void Witness::on_end(const Member& member) { logs_[member.id()].mirror = Image(); }

void Witness::on_persist(const Member& member, const election::Persist& persist) {
  auto& log = logs_[member.id()];
  // One turn may install a snapshot and take what follows it.
  take_over_adopted(member);
  if (persist.hard_state && persist.hard_state->term < log.mirror.hard_state.term) {
    world_.fail(
        1, fmt::format("the term of {} goes back to {}", member.id(), persist.hard_state->term));
  }
  if (persist.entries.empty()) return log.mirror.put(persist.hard_state, persist.entries);
  const auto first = persist.entries.front()->index;
  auto previous = log.mirror.term_of(first.previous());
  if (!previous) {
    return world_.fail(
        2, fmt::format("member {} writes {} after {}", member.id(), first, log.mirror.last()));
  }
  log.configurations.erase(log.configurations.lower_bound(first), log.configurations.end());
  for (const auto& entry : persist.entries) {
    const Seen seen{*previous, hash_of(*entry)};
    const auto [at, is_new] = seen_.try_emplace({entry->index, entry->term}, seen);
    if (!is_new &&
        (at->second.previous_term != seen.previous_term || at->second.hash != seen.hash)) {
      return world_.fail(2, fmt::format("member {} has another entry, or another one before it, at "
                                        "index {} of term {}",
                                        member.id(), entry->index, entry->term));
    }
    previous = entry->term;
    if (entry->kind != election::EntryKind::membership) continue;
    check_change(member, *entry);
    if (!election::decode(entry->payload, log.configurations[entry->index])) {
      return world_.fail(7, fmt::format("the membership at {} cannot be read", entry->index));
    }
  }
  log.mirror.put(persist.hard_state, persist.entries);
}

// Section 4.1, as corrected in 2015: until an entry of its own term is committed, a leader does not
// know which configuration the next one follows. Joint consensus would forgive it.
void Witness::check_change(const Member& member, const election::LogEntry& entry) {
  const auto& raft = member.node().raft();
  if (raft.role() != election::Role::leader || raft.term() != entry.term) return;
  note_commits(member);
  if (!committed_.empty() && committed_.back()->term >= entry.term) return;
  world_.fail(6, fmt::format("member {} changes the ensemble at {}, and no entry of its term {} is "
                             "committed",
                             member.id(), entry.index, entry.term));
}

void Witness::on_written(const Member& member, const disk::WalBatch& batch) {
  logs_[member.id()].under_way = batch;
}

void Witness::on_synced(const Member& member) {
  auto& log = logs_[member.id()];
  if (!log.under_way) return;
  log.synced.put(log.under_way->hard_state, log.under_way->entries);
  log.under_way.reset();
}

void Witness::on_adopted(const Member& member, election::SnapshotMark mark,
                         const election::Membership& membership) {
  auto& log = logs_[member.id()];
  if (mark.index.value() > committed_.size() ||
      committed_[mark.index.value() - 1]->term != mark.term) {
    return world_.fail(4, fmt::format("member {} installs {} of term {}, which is not committed",
                                      member.id(), mark.index, mark.term));
  }
  log.synced.rebase(mark);
  log.adopted.emplace(mark, checked_configuration(member, mark.index, membership));
}

// ---------------------------------------------------------------- what they say

void Witness::check_vote(const Member& member, Term term, MemberId candidate) {
  const auto& synced = logs_[member.id()].synced.hard_state;
  const bool is_synced = synced.term > term || (synced.term == term && synced.vote == candidate);
  if (!is_synced) {
    return world_.fail(5, fmt::format("member {} says its vote for {} in term {}, and has vote {} "
                                      "and term {} on its disk",
                                      member.id(), candidate, term, synced.vote, synced.term));
  }
  const auto [at, is_new] = votes_.try_emplace({member.id(), term}, candidate);
  if (!is_new && at->second != candidate) {
    world_.fail(1, fmt::format("member {} votes for {} and for {} in term {}", member.id(),
                               at->second, candidate, term));
  }
}

void Witness::on_send(const Member& member, const core::Message& message) {
  const auto* body = std::get_if<election::Body>(&message.body);
  if (body == nullptr) return;
  const auto& synced = logs_[member.id()].synced;
  const auto& mirror = logs_[member.id()].mirror;
  const auto require_last = [&](Term term, Index last, const char* what) {
    // What was cut off since then was synced with the cut: of no use to anybody, and no harm.
    const bool is_cut = synced.hard_state.term > term || mirror.last() < last;
    if (synced.last() >= last || is_cut) return;
    world_.fail(5, fmt::format("member {} {} {}, and has {} on its disk", member.id(), what, last,
                               synced.last()));
  };
  std::visit(
      Overloaded{[&](const election::VoteRequest& request) {
                   if (request.is_pre_vote) return check_may_ask(member);
                   check_vote(member, request.term, member.id());
                   require_last(request.term, request.last_index, "campaigns with a log up to");
                 },
                 [&](const election::VoteReply& reply) {
                   if (!reply.is_pre_vote && reply.granted)
                     check_vote(member, reply.term, message.to);
                 },
                 [&](const election::AppendRequest& request) {
                   check_vote(member, request.term, member.id());
                 },
                 [&](const election::AppendReply& reply) {
                   if (!reply.success) return;
                   require_last(reply.term, reply.match, "acknowledges up to");
                   if (synced.hard_state.term >= reply.term) return;
                   world_.fail(
                       5, fmt::format("member {} acknowledges in term {} and has {} on its disk",
                                      member.id(), reply.term, synced.hard_state.term));
                 },
                 [](const auto&) {}},
      *body);
}

// Who knew before this turn that it was removed asks nobody for a vote any more.
void Witness::check_may_ask(const Member& member) {
  const auto& log = logs_[member.id()];
  if (log.configurations.empty()) return;
  const auto& [index, latest] = *log.configurations.rbegin();
  if (latest.is_voter(member.id()) || index > log.committed) return;
  world_.fail(18,
              fmt::format("liveness: member {} campaigns, and knows since {} that it is no voter",
                          member.id(), index));
}

// ---------------------------------------------------------------- after each turn

bool Witness::is_quorum(const election::Membership& membership, Index index, Term term) const {
  const auto result = election::quorum_vote(membership, [&](MemberId id) {
    const auto at = logs_.find(id);
    if (at == logs_.end()) return election::Ballot::refused;
    const auto& synced = at->second.synced;
    const bool holds = synced.base.index >= index || synced.term_of(index) == term;
    return holds ? election::Ballot::granted : election::Ballot::refused;
  });
  return result == election::VoteResult::won;
}

void Witness::take_over_adopted(const Member& member) {
  auto& log = logs_[member.id()];
  if (!log.adopted || member.node().raft().committed() < log.adopted->first.index) return;
  const auto [mark, membership] = *std::exchange(log.adopted, std::nullopt);
  log.mirror.rebase(mark);
  auto& known = log.configurations;
  known.erase(known.begin(), known.upper_bound(mark.index));
  if (log.mirror.entries.empty()) known.clear();
  known[mark.index] = membership;
}

void Witness::note_commits(const Member& member) {
  const auto& raft = member.node().raft();
  auto& log = logs_[member.id()];
  take_over_adopted(member);
  const auto applied = index_of(member.node().state().applied());
  if (applied > log.synced.last()) {
    world_.fail(5, fmt::format("member {} has applied {} and tells of it, and has {} on its disk",
                               member.id(), applied, log.synced.last()));
  }
  while (committed_.size() < raft.committed().value() && !world_.has_failed()) {
    const Index next(committed_.size() + 1);
    const auto* entry = log.mirror.find(next);
    if (entry == nullptr) {
      return world_.fail(
          4, fmt::format("member {} commits {}, which it does not have", member.id(), next));
    }
    committed_.push_back(*entry);
    if (!log.unchecked) log.unchecked = next;
    if ((*entry)->kind == election::EntryKind::membership) {
      world_.count(Count::membership);
      (void)election::decode((*entry)->payload, membership_);
      configurations_[next] = membership_;
    }
    auto& last = committed_in_[raft.term()];
    last = std::max(last, next);
  }
}

// One turn may commit an entry and go on to the next configuration: one of those that were in force
// in it must have had its quorum. What is synced does not change within a turn.
void Witness::check_quorums(const Member& member, Log& log) {
  const auto from = std::exchange(log.unchecked, Index());
  if (!from) return;
  for (auto index = from; index.value() <= committed_.size(); index = index.next()) {
    const auto term = committed_[index.value() - 1]->term;
    const auto has_quorum = [&](const auto& one) { return is_quorum(one.second, index, term); };
    if (has_quorum(log.before) || std::any_of(log.configurations.upper_bound(log.before.first),
                                              log.configurations.end(), has_quorum)) {
      continue;
    }
    world_.fail(6, fmt::format("member {} commits {} of term {}, which no quorum has on its disks",
                               member.id(), index, term));
  }
}

void Witness::after_turn(const Member& member) {
  note_commits(member);
  auto& log = logs_[member.id()];
  check_quorums(member, log);
  if (world_.has_failed()) return;
  const auto& raft = member.node().raft();
  if (raft.role() == election::Role::leader) check_leader(member, log);
  if (raft.term() < log.term) {
    world_.fail(1, fmt::format("the term of {} goes back", member.id()));
  }
  if (raft.committed() < log.committed) {
    world_.fail(4, fmt::format("the commit index of {} goes back", member.id()));
  }
  const auto index = raft.committed();
  if (index > log.mirror.base.index && index.value() <= committed_.size() &&
      log.mirror.term_of(index) != committed_[index.value() - 1]->term) {
    world_.fail(
        4, fmt::format("member {} takes another entry for committed at {}", member.id(), index));
  }
  // What a follower took it has handed out: a start would find the log that it thinks it has. A
  // leader may still have appended at the end of this turn, or of its last one.
  const bool is_leader = raft.role() == election::Role::leader;
  const bool led = std::exchange(log.led, is_leader);
  if (!is_leader && !led && raft.last_index() != log.mirror.last()) {
    world_.fail(15, fmt::format("member {} has a log up to {}, and a start would find {}",
                                member.id(), raft.last_index(), log.mirror.last()));
  }
  log.term = raft.term();
  log.committed = raft.committed();
  check_configurations(member, log);
  check_leases(member);
  if (!log.configurations.empty()) log.before = *log.configurations.rbegin();
}

void Witness::check_leader(const Member& member, const Log& log) {
  const auto term = member.node().raft().term();
  const auto [at, is_new] = leaders_.try_emplace(term, member.id());
  if (at->second != member.id()) {
    return world_.fail(1, fmt::format("{} and {} lead term {}", at->second, member.id(), term));
  }
  if (!is_new) return;
  world_.count(Count::leader);
  // By log matching it is enough that the last entry committed in earlier terms is there.
  Index last;
  for (auto one = committed_in_.begin(); one != committed_in_.lower_bound(term); ++one) {
    last = std::max(last, one->second);
  }
  if (last <= log.mirror.base.index) return;
  const auto want = committed_[last.value() - 1]->term;
  if (log.mirror.term_of(last) == want) return;
  world_.fail(3, fmt::format("member {} leads term {} without the entry {}, committed with term {}",
                             member.id(), term, last, want));
}

void Witness::check_configurations(const Member& member, const Log& log) {
  const auto open = std::distance(log.configurations.upper_bound(Index(committed_.size())),
                                  log.configurations.end());
  if (open > 1) {
    world_.fail(7, fmt::format("member {} has {} uncommitted configurations", member.id(), open));
  }
  if (log.configurations.empty() ||
      log.configurations.rbegin()->second != member.node().raft().membership()) {
    world_.fail(7, fmt::format("member {} does not use the latest configuration", member.id()));
  }
}

void Witness::check_leases(const Member& member) {
  const auto& raft = member.node().raft();
  if (!raft.has_lease(member.mono_ms())) return;
  world_.count(Count::leased_turn);
  const auto latest = committed_in_.empty() ? Term() : committed_in_.rbegin()->first;
  if (latest > raft.term()) {
    world_.fail(11, fmt::format("member {} has a lease in term {}, and term {} has committed",
                                member.id(), raft.term(), latest));
  }
  for (const auto& other : world_.members()) {
    if (other.get() == &member || !other->is_up()) continue;
    if (!other->node().raft().has_lease(other->mono_ms())) continue;
    world_.fail(11,
                fmt::format("{} and {} have a lease at the same time", member.id(), other->id()));
  }
}

}  // namespace coord::sim
