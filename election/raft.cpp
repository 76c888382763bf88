#include "election/raft.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "election/raft_impl.hpp"

namespace coord::election {

std::string_view word_of(Role role) noexcept {
  switch (role) {
    case Role::follower:
      return "follower";
    case Role::pre_candidate:
      return "pre-candidate";
    case Role::candidate:
      return "candidate";
    case Role::leader:
      return "leader";
    case Role::observer:
      return "observer";
    case Role::standby:
      return "standby";
  }
  return "unknown";
}

Raft::Impl::Impl(Options given, Restored restored, TraceSink& sink)
    : options(given),
      trace(sink),
      prng(given.seed ^ (given.id.value() * 0x9e3779b97f4a7c15U)),
      log(restored.snapshot, std::move(restored.entries)),
      unsynced(log.last_index(), restored.hard_state),
      hard_state(restored.hard_state),
      handed_to_disk(log.last_index()),
      checkpoint(restored.snapshot),
      committed(restored.snapshot.index),
      verified(restored.snapshot.index),
      handed_out(restored.snapshot.index),
      next_forwarded_id(prng.next() | 1) {
  COORD_CHECK(static_cast<bool>(options.id), "a member has an id");
  COORD_CHECK(options.promise_ms <= options.election_timeout_ms, "a promise ends in time");
  COORD_CHECK(options.heartbeat_ms > 0, "heartbeats take time");
  COORD_CHECK(options.inflight_max > 0, "a window is open");
  if (hard_state.term < checkpoint.term) {
    // A snapshot of a later term came to the disk, and a crash before the term itself did. Nothing
    // was said in that term yet, as that would have waited for the term to be synced.
    hard_state = HardState{checkpoint.term, MemberId()};
    is_hard_state_new = true;
  }
  COORD_CHECK(hard_state.term >= log.last_term(), "the term covers the log", hard_state.term,
              log.last_term());
  configurations.push_back({restored.snapshot.index, std::move(restored.membership)});
  for (Index i = log.first_index(); i <= log.last_index(); i = i.next()) {
    if (log.at(i)->kind == EntryKind::membership) note_membership(*log.at(i));
  }
  // A member that was never in a term gave no promise. The only voter of an ensemble gave none
  // either, if it was the only one when this log began: elections need its own vote.
  must_wait = hard_state.term && !(configurations.size() == 1 &&
                                   configurations.front().value.is_sole_voter(options.id));
}

void Raft::Impl::note(Note::Level level, std::string text) {
  trace.trace(Note{level, fmt::format("raft {}: {}", options.id, text)});
}

void Raft::Impl::tick(std::int64_t now_ms) {
  COORD_CHECK(!has_started || now_ms >= now, "monotonic time", now_ms, now);
  now = now_ms;
  if (!has_started) {
    has_started = true;
    promised_until = must_wait ? now + options.promise_ms : now;
    draw_election_deadline();
    // Nobody else could win, so there is nothing to wait for.
    if (membership().is_sole_voter(options.id)) election_deadline = promised_until;
  }
  if (state == State::leader) {
    tick_quorum();
    if (state == State::leader) tick_transfer();
    if (state == State::leader) tick_heartbeat();
    if (state == State::leader) tick_standbys();
  } else {
    tick_election();
    tick_forwarded_reads();
  }
}

void Raft::Impl::step(const Message& message) {
  if (!has_started || message.to != options.id || message.from == options.id || !message.from) {
    return;
  }
  std::visit([&](const auto& body) { on(message.from, body); }, message.body);
}

std::variant<Proposed, ProposeError> Raft::Impl::propose(EntryKind kind, std::string payload) {
  COORD_CHECK(kind != EntryKind::membership, "the membership is changed by change()");
  if (state != State::leader) return ProposeError::not_leader;
  if (transferee) return ProposeError::transferring;
  // One entry is always let through, however large, so that nothing starves.
  if (uncommitted_bytes > 0 && uncommitted_bytes + payload.size() > options.uncommitted_bytes_max) {
    return ProposeError::overloaded;
  }
  return append_own(kind, std::move(payload));
}

void Raft::Impl::persisted(std::uint64_t number) {
  unsynced.persisted(number);
  switch (state) {
    case State::candidate:
      // The own vote counts from now on (section 3.4: vote and term are on stable storage first).
      if (unsynced.hard_state() == hard_state && hard_state.vote == options.id) {
        ballots[options.id] = Ballot::granted;
        count_votes();
      }
      break;
    case State::leader:
      maybe_commit();
      break;
    case State::follower:
    case State::pre_candidate:
      break;
  }
}

void Raft::Impl::persist_what_is_new() {
  const bool has_entries = log.last_index() > handed_to_disk;
  if (!has_entries && !is_hard_state_new) return;
  Persist persist;
  if (is_hard_state_new) persist.hard_state = hard_state;
  if (has_entries) log.copy(handed_to_disk.next(), log.last_index(), persist.entries);
  is_hard_state_new = false;
  handed_to_disk = log.last_index();
  persist.number = unsynced.issue(log.last_index(), persist.hard_state);
  ready.persist = std::move(persist);
}

void Raft::Impl::hand_out_committed() {
  // Not beyond what this member has synced: the state machine's checkpoint must never be ahead of
  // the log that recovery will find.
  const Index last = std::min(committed, unsynced.synced());
  if (last <= handed_out) return;
  log.copy(handed_out.next(), last, ready.committed);
  handed_out = last;
}

Ready Raft::Impl::take_ready() {
  if (state == State::leader) {
    start_reads();
    send_appends();
  } else {
    forward_reads();
  }
  persist_what_is_new();
  hand_out_committed();
  forget_some();
  return std::exchange(ready, Ready());
}

Role Raft::Impl::role() const noexcept {
  switch (state) {
    case State::leader:
      return Role::leader;
    case State::candidate:
      return Role::candidate;
    case State::pre_candidate:
      return Role::pre_candidate;
    case State::follower:
      break;
  }
  if (membership().is_voter(options.id)) return Role::follower;
  const auto& standbys = membership().standbys;
  return std::binary_search(standbys.begin(), standbys.end(), options.id) ? Role::standby
                                                                          : Role::observer;
}

void Raft::Impl::check_invariants() const {
  COORD_CHECK(committed <= log.last_index(), "committed <= last", committed, log.last_index());
  COORD_CHECK(committed >= log.mark().index, "mark <= committed", log.mark().index, committed);
  COORD_CHECK(handed_out <= committed, "handed out <= committed", handed_out, committed);
  COORD_CHECK(handed_out <= unsynced.synced(), "handed out <= synced");
  COORD_CHECK(unsynced.synced() <= log.last_index(), "synced <= last");
  COORD_CHECK(handed_to_disk <= log.last_index(), "to disk <= last");
  COORD_CHECK(unsynced.synced() <= handed_to_disk, "synced <= to disk");
  COORD_CHECK(checkpoint.index <= handed_out, "checkpoint <= handed out");
  COORD_CHECK(log.mark().index <= checkpoint.index, "the log reaches the checkpoint");
  COORD_CHECK(log.last_term() <= hard_state.term, "the term covers the log");
  COORD_CHECK(!configurations.empty(), "there is a membership");
  COORD_CHECK(configurations.front().index <= log.mark().index, "the first membership is known");
  COORD_CHECK(configurations.back().index <= log.last_index(), "a membership is in the log");
  if (state == State::leader) {
    COORD_CHECK(leader == options.id, "a leader follows itself");
    COORD_CHECK(unsynced.hard_state() == hard_state, "a leader's term and vote are synced");
    for (const auto& [id, progress] : members) {
      COORD_CHECK(progress.match() < progress.next(), "match < next", id);
      COORD_CHECK(progress.match() <= log.last_index(), "match <= last", id);
    }
  } else {
    COORD_CHECK(reads.empty(), "only a leader confirms reads");
    COORD_CHECK(members.empty(), "only a leader keeps progress");
  }
}

// ---- the interface

Raft::Raft(Options options, Restored restored, TraceSink& trace)
    : impl_(std::make_unique<Impl>(options, std::move(restored), trace)) {}
Raft::~Raft() = default;
void Raft::tick(std::int64_t now_ms) { impl_->tick(now_ms); }
void Raft::step(const Message& message) { impl_->step(message); }
std::variant<Proposed, ProposeError> Raft::propose(EntryKind kind, std::string payload) {
  return impl_->propose(kind, std::move(payload));
}
void Raft::read(ReadId read) { impl_->read(read); }
void Raft::persisted(std::uint64_t number) { impl_->persisted(number); }
void Raft::compact(Index index) { impl_->compact(index); }
std::variant<Proposed, ChangeError> Raft::change(Membership target) {
  return impl_->change(std::move(target));
}
void Raft::set_replacements(std::vector<Replacement> replacements) {
  impl_->replacements = std::move(replacements);
}
void Raft::hurry(MemberId peer, Index index) { impl_->hurry(peer, index); }
std::optional<TransferError> Raft::transfer(MemberId to) { return impl_->transfer(to); }
void Raft::peer_down(MemberId peer) { impl_->peer_down(peer); }
void Raft::snapshot_installed(SnapshotMark mark, const Membership& membership) {
  impl_->snapshot_installed(mark, membership);
}
void Raft::snapshot_failed() { impl_->snapshot_failed(); }
void Raft::hand_out_again(SnapshotMark mark) { impl_->hand_out_again(mark); }
Ready Raft::take_ready() { return impl_->take_ready(); }
Role Raft::role() const noexcept { return impl_->role(); }
Term Raft::term() const noexcept { return impl_->hard_state.term; }
MemberId Raft::leader() const noexcept { return impl_->leader; }
Index Raft::last_index() const noexcept { return impl_->log.last_index(); }
Index Raft::committed() const noexcept { return impl_->committed; }
Index Raft::first_index() const noexcept { return impl_->log.first_index(); }
const Membership& Raft::membership() const noexcept { return impl_->membership(); }
bool Raft::has_lease(std::int64_t now_ms) const noexcept { return impl_->has_lease(now_ms); }
bool Raft::wants_snapshot(SnapshotMark mark) const noexcept { return impl_->wants_snapshot(mark); }

std::vector<Raft::Peer> Raft::peers() const {
  std::vector<Peer> peers;
  for (const auto& [id, progress] : impl_->members) {
    peers.push_back({id, progress.match(),
                     progress.replied_at >= impl_->now - 2 * impl_->options.election_timeout_ms,
                     progress.state() == Progress::State::snapshot,
                     progress.is_heard() ? impl_->now - progress.replied_at : -1});
  }
  return peers;
}

std::int64_t Raft::next_deadline_ms() const noexcept {
  if (impl_->state != Impl::State::leader) return impl_->election_deadline;
  const auto deadline = impl_->transferee
                            ? std::min(impl_->heartbeat_deadline, impl_->transfer_deadline)
                            : impl_->heartbeat_deadline;
  return std::min(deadline, impl_->observers_due_ms().value_or(deadline));
}

std::optional<std::int64_t> Raft::observers_due_ms() const noexcept {
  return impl_->observers_due_ms();
}

void Raft::check_invariants() const { impl_->check_invariants(); }

}  // namespace coord::election
