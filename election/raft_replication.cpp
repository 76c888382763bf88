// The log on its way: appends, acknowledgements, commit, snapshots, compaction (thesis, sections
// 3.5, 3.6.2, 5.1 to 5.3 and 10.2).

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "election/raft_impl.hpp"

namespace coord::election {

// As many as a busy turn may append, or the log would grow.
constexpr std::size_t kForgottenPerTurn = 2'000;

Proposed Raft::Impl::append_own(EntryKind kind, std::string payload) {
  COORD_CHECK(state == State::leader, "only a leader appends");
  auto entry = std::make_shared<LogEntry>();
  entry->term = hard_state.term;
  entry->index = log.last_index().next();
  entry->kind = kind;
  entry->payload = std::move(payload);
  uncommitted_bytes += entry->payload.size();
  const Proposed proposed{entry->term, entry->index};
  if (kind == EntryKind::membership) note_membership(*entry);
  log.append(std::move(entry));
  return proposed;
}

// ---- the follower

bool Raft::Impl::is_hard_state_synced() const noexcept {
  return unsynced.hard_state() == hard_state;
}

// True if the message is of this term's leader.
bool Raft::Impl::hear_leader(MemberId from, Term term) {
  if (term < hard_state.term) {
    // Its sender learns that there is a later term: also a leader that nobody could depose because
    // everybody promised it not to vote (etcd 5451).
    AppendReply reply;
    reply.term = hard_state.term;
    send(from, reply);
    return false;
  }
  settle_term(term, from);
  if (state == State::leader) {
    note(Note::Level::error, fmt::format("{} claims to lead the own term {}", from, term));
    return false;
  }
  follow(from);
  return true;
}

void Raft::Impl::on(MemberId from, const AppendRequest& request) {
  if (!hear_leader(from, request.term)) return;
  // The committed prefix is the same everywhere (section 3.6.3), so it needs no comparison; some
  // of it may be covered by a snapshot already.
  const bool matches =
      request.prev_index <= committed || log.term_of(request.prev_index) == request.prev_term;
  if (!matches) {
    refuse(from, request);
    return;
  }
  accept_entries(request);
  const Index end(request.prev_index.value() + request.entries.size());
  verified = std::max(verified, end);
  // Not the leader's commit index alone: behind what this term verified, the own log may still hold
  // entries of another leader (section 3.5, AppendEntries step 5).
  const bool is_defective = options.defect == Defect::commits_unverified;
  commit_to(std::min(request.committed, is_defective ? log.last_index() : verified));
  acknowledge(from, request);
}

void Raft::Impl::accept_entries(const AppendRequest& request) {
  if (options.defect == Defect::cuts_on_append) {
    const auto last = std::max(committed, request.prev_index);
    if (last < log.last_index()) {
      verified = std::min(verified, last);
      cut_log(last.next());
    }
  }
  for (const auto& entry : request.entries) {
    if (entry->index <= committed) continue;
    // Only a real conflict cuts the log: a request that was delayed or repeated names entries that
    // are there already and says nothing about those that follow (hashicorp/raft 113).
    if (entry->index <= log.last_index()) {
      if (log.term_of(entry->index) == entry->term) continue;
      if (options.defect == Defect::keeps_conflicting) continue;
      cut_log(entry->index);
    }
    if (entry->kind == EntryKind::membership) note_membership(*entry);
    log.append(entry);
  }
}

void Raft::Impl::cut_log(Index from) {
  COORD_CHECK(from > committed, "what is committed stays", from, committed);
  COORD_CHECK(from > verified, "what this term's leader sent stays", from, verified);
  const Index last = from.previous();
  log.truncate_from(from);
  unsynced.lower(last);
  handed_to_disk = std::min(handed_to_disk, last);
  cut_memberships(last);
}

void Raft::Impl::refuse(MemberId from, const AppendRequest& request) {
  AppendReply reply;
  reply.term = hard_state.term;
  reply.match = request.prev_index;
  reply.hint_index = log.meeting_point(request.prev_index, request.prev_term);
  reply.hint_term = log.term_of(reply.hint_index).value_or(Term());
  reply.round = request.round;
  reply.sent_at_ms = request.sent_at_ms;
  if (is_hard_state_synced()) {
    send(from, reply);
  } else {
    send_after_persist(from, reply);
  }
}

// Everything that an acknowledgement says must be on the disk when it leaves, the term as well: the
// promise that goes with it must survive a crash. What is there already is told at once, so that a
// round for reads or a lease never waits for a sync.
void Raft::Impl::acknowledge(MemberId from, const AppendRequest& request) {
  AppendReply reply;
  reply.term = hard_state.term;
  reply.success = true;
  reply.round = request.round;
  reply.sent_at_ms = request.sent_at_ms;
  const Index end(request.prev_index.value() + request.entries.size());
  const Index provable = std::min(verified, unsynced.synced());
  if (is_hard_state_synced() && (request.entries.empty() || provable >= end)) {
    reply.match = provable;
    send(from, reply);
  } else {
    reply.match = verified;
    send_after_persist(from, reply);
  }
}

void Raft::Impl::on(MemberId from, const SnapshotRequest& request) {
  if (!hear_leader(from, request.term)) return;
  if (wants_snapshot(request.mark) && log.term_of(request.mark.index) == request.mark.term) {
    // The log has it all: only the commit index was behind.
    verified = std::max(verified, request.mark.index);
    commit_to(request.mark.index);
  }
  if (!wants_snapshot(request.mark)) {
    send_after_persist(from, SnapshotReply{hard_state.term, true, committed});
    return;
  }
  const bool is_known =
      installing && installing_from == from && installing->index >= request.mark.index;
  if (is_known) return;
  installing = request.mark;
  installing_from = from;
  ready.install = request.mark;
}

bool Raft::Impl::wants_snapshot(SnapshotMark mark) const noexcept {
  return state != State::leader && mark.index > committed;
}

void Raft::Impl::snapshot_installed(SnapshotMark mark, const Membership& membership) {
  COORD_CHECK(wants_snapshot(mark), "a snapshot moves forward", mark.index, committed);
  installing.reset();
  const bool keeps_all = options.defect == Defect::keeps_log_beyond_snapshot &&
                         log.last_index() > mark.index && log.first_index() <= mark.index;
  if (keeps_all || log.term_of(mark.index) == mark.term) {
    log.compact(mark.index);
    std::erase_if(configurations, [&](const Configuration& c) { return c.index <= mark.index; });
    configurations.insert(configurations.begin(), {mark.index, membership});
    handed_to_disk = std::max(handed_to_disk, mark.index);
  } else {
    // The own log contradicts the snapshot, or ends before it (section 5.1).
    log.reset(mark);
    configurations.assign(1, {mark.index, membership});
    unsynced.lower(mark.index);
    handed_to_disk = mark.index;
  }
  unsynced.raise(mark.index);
  committed = mark.index;
  verified = std::max(std::min(verified, log.last_index()), mark.index);
  handed_out = mark.index;
  checkpoint = mark;
  // It may be of a later term than the leader that announced an earlier one.
  if (mark.term > hard_state.term) become_follower(mark.term, MemberId(), "a later snapshot");
  if (leader) send_after_persist(leader, SnapshotReply{hard_state.term, true, mark.index});
}

void Raft::Impl::snapshot_failed() {
  installing.reset();
  if (leader && state != State::leader) send(leader, SnapshotReply{hard_state.term, false, {}});
}

void Raft::Impl::hand_out_again(SnapshotMark mark) {
  COORD_CHECK(state != State::leader, "a leader's state machine is not put back");
  COORD_CHECK(mark.index >= checkpoint.index && mark.index <= handed_out,
              "the log has what follows the mark", mark.index, handed_out);
  COORD_CHECK(log.term_of(mark.index) == mark.term, "committed entries are the same everywhere",
              mark.index, mark.term);
  handed_out = mark.index;
  compact(mark.index);
}

// ---- the leader

// The progress of a member that answered in this term, or null. The pointer is good until the
// leader's state changes.
Progress* Raft::Impl::heard(MemberId from, Term term, Index match) {
  settle_term(term, MemberId());
  if (state != State::leader || term != hard_state.term) return nullptr;
  const auto at = members.find(from);
  if (at == members.end()) return nullptr;
  if (match > log.last_index()) {
    note(Note::Level::error, fmt::format("{} acknowledges {}, which was not sent", from, match));
    return nullptr;
  }
  at->second.replied_at = now;
  return &at->second;
}

void Raft::Impl::advanced(Progress& progress, Index match) {
  const bool is_news = progress.acknowledged(match);
  if (progress.state() == Progress::State::snapshot && match.next() >= log.first_index()) {
    progress.become_probe();
  }
  if (is_news) maybe_commit();
}

void Raft::Impl::on(MemberId from, const AppendReply& reply) {
  auto* progress = heard(from, reply.term, reply.success ? reply.match : Index());
  if (progress == nullptr || reply.round > round) return;
  // A refusal of what was asked is an answer to the round all the same: this member knows of no
  // later term.
  progress->acknowledged_round = std::max(progress->acknowledged_round, reply.round);
  progress->acknowledged_sent_at = std::max(progress->acknowledged_sent_at, reply.sent_at_ms);
  if (reply.success) {
    advanced(*progress, reply.match);
  } else {
    progress->refused(reply.match, log.meeting_point(reply.hint_index, reply.hint_term));
  }
  if (state != State::leader) return;
  confirm_reads();
  maybe_finish_transfer();
}

void Raft::Impl::on(MemberId from, const SnapshotReply& reply) {
  auto* progress = heard(from, reply.term, reply.success ? reply.match : Index());
  if (progress == nullptr) return;
  if (progress->state() == Progress::State::snapshot) progress->become_probe();
  if (reply.success) advanced(*progress, reply.match);
}

void Raft::Impl::tick_heartbeat() {
  if (now < heartbeat_deadline) return;
  heartbeat_deadline = now + options.heartbeat_ms;
  ++round;
  for (auto& [id, progress] : members) {
    // What it needs next may have left the log while requests to it were lost.
    const Index prev = progress.next().previous();
    if (progress.state() == Progress::State::snapshot || !log.term_of(prev)) {
      send_heartbeat(id, progress, progress.match());
      send_snapshot(id, progress);
    } else {
      // At the end of what was sent: the answer tells if any of it was lost.
      send_heartbeat(id, progress, prev);
    }
  }
}

// What a message that ends at `last` says of the commit index.
Index Raft::Impl::tellable(Index last) const noexcept {
  return options.defect == Defect::commits_unverified ? committed : std::min(committed, last);
}

void Raft::Impl::send_heartbeat(MemberId to, Progress& progress, Index prev) {
  auto prev_term = log.term_of(prev);
  if (!prev_term) {
    prev = Index();
    prev_term = Term();
  }
  AppendRequest request;
  request.term = hard_state.term;
  request.prev_index = prev;
  request.prev_term = *prev_term;
  request.committed = tellable(prev);
  request.round = round;
  request.sent_at_ms = now;
  progress.commit_sent = std::max(progress.commit_sent, request.committed);
  send(to, std::move(request));
}

void Raft::Impl::send_appends() {
  for (auto& [id, progress] : members) {
    if (!is_spared(id, progress)) {
      send_appends_to(id, progress, log.last_index());
      continue;
    }
    if (now < progress.paused_until && progress.commit_sent >= progress.hurried) continue;
    const auto before = progress.commit_sent;
    send_appends_to(id, progress, committed);
    if (progress.commit_sent > before) progress.paused_until = now + options.observer_interval_ms;
  }
}

// An observer that keeps up: its acknowledgement counts for nothing, so it gets what is committed,
// in one message with that news.
bool Raft::Impl::is_spared(MemberId to, const Progress& progress) const noexcept {
  const auto& observers = membership().observers;
  // In a joint configuration a voter of the old half may be an observer already: it still counts.
  return options.observer_interval_ms > 0 && progress.state() == Progress::State::replicate &&
         std::binary_search(observers.begin(), observers.end(), to) && !membership().is_voter(to);
}

std::optional<std::int64_t> Raft::Impl::observers_due_ms() const noexcept {
  std::optional<std::int64_t> due;
  if (options.observer_interval_ms == 0 || state != State::leader) return due;
  for (const auto& [id, progress] : members) {
    if (progress.commit_sent >= committed || !is_spared(id, progress)) continue;
    if (!progress.can_send(options.inflight_max)) continue;
    due = std::min(due.value_or(progress.paused_until), progress.paused_until);
  }
  return due;
}

void Raft::Impl::hurry(MemberId peer, Index index) {
  const auto at = members.find(peer);
  if (at != members.end()) at->second.hurried = std::max(at->second.hurried, index);
}

void Raft::Impl::send_appends_to(MemberId to, Progress& progress, Index last) {
  while (progress.can_send(options.inflight_max)) {
    const bool is_probe = progress.state() == Progress::State::probe;
    if (!is_probe && progress.next() > last) break;
    const auto prev_term = log.term_of(progress.next().previous());
    if (!prev_term) {
      send_snapshot(to, progress);
      return;
    }
    send_entries(to, progress, *prev_term, last);
  }
  // Followers learn at once what is committed: their clients wait for it.
  const Index known = std::min(committed, progress.next().previous());
  if (progress.state() == Progress::State::replicate && progress.commit_sent < known) {
    send_heartbeat(to, progress, progress.next().previous());
  }
}

void Raft::Impl::send_entries(MemberId to, Progress& progress, Term prev_term, Index until) {
  AppendRequest request;
  request.term = hard_state.term;
  request.prev_index = progress.next().previous();
  request.prev_term = prev_term;
  std::size_t bytes = 0;
  Index last = request.prev_index;
  while (last < until && last.value() - request.prev_index.value() < options.append_entries_max) {
    bytes += Log::cost(*log.at(last.next()));
    // One entry always goes, however large: entries are never left out (LogCabin 160).
    if (bytes > options.append_bytes_max && last > request.prev_index) break;
    last = last.next();
  }
  log.copy(progress.next(), last, request.entries);
  request.committed = tellable(last);
  request.round = round;
  request.sent_at_ms = now;
  progress.commit_sent = std::max(progress.commit_sent, request.committed);
  progress.sent(last);
  send(to, std::move(request));
}

void Raft::Impl::send_snapshot(MemberId to, Progress& progress) {
  // Not to one that does not answer, and not again while it may be on its way.
  if (progress.replied_at + 2 * options.election_timeout_ms <= now) return;
  if (progress.snapshot_sent_at + options.election_timeout_ms > now) return;
  progress.become_snapshot();
  progress.snapshot_sent_at = now;
  send(to, SnapshotRequest{hard_state.term, checkpoint, membership_at(checkpoint.index)});
}

// Section 3.6.2: only entries of the own term are committed by counting; earlier ones with them.
// The own share is what is synced here, not what is in memory (section 10.2.1).
void Raft::Impl::maybe_commit() {
  auto united = options.defect == Defect::counts_the_union ? membership() : Membership();
  for (const auto id : united.outgoing) {
    if (!std::count(united.voters.begin(), united.voters.end(), id)) united.voters.push_back(id);
  }
  united.outgoing.clear();
  const auto& electorate = united.voters.empty() ? membership() : united;
  const Index index(quorum_value<std::uint64_t>(electorate, [&](MemberId id) {
    if (id == options.id) return unsynced.synced().value();
    const auto at = members.find(id);
    return at == members.end() ? 0 : at->second.match().value();
  }));
  const bool is_own = log.term_of(index) == hard_state.term;
  if (index <= committed || !(is_own || options.defect == Defect::counts_earlier_terms)) return;
  commit_to(index);
}

void Raft::Impl::commit_to(Index index) {
  if (index <= committed) return;
  COORD_CHECK(index <= log.last_index(), "only what is in the log is committed", index);
  if (state == State::leader) {
    for (Index i = committed.next(); i <= index; i = i.next()) {
      uncommitted_bytes -= log.at(i)->payload.size();
    }
  }
  committed = index;
  verified = std::max(verified, committed);
  if (state == State::leader) settle_membership();
}

// ---- everybody

void Raft::Impl::compact(Index index) {
  if (index <= checkpoint.index) return;
  COORD_CHECK(index <= handed_out, "only what was applied is in a checkpoint", index, handed_out);
  checkpoint = SnapshotMark{index, *log.term_of(index)};
  // Members that lag are served from the log as far as it is kept; so any member keeps a tail, as
  // it may lead some day. A leader knows what nobody needs any more.
  const auto tail = static_cast<std::uint64_t>(options.log_tail_entries);
  Index forget(index.value() > tail ? index.value() - tail : 0);
  if (state == State::leader) {
    Index everywhere = index;
    for (const auto& [id, progress] : members) everywhere = std::min(everywhere, progress.match());
    forget = std::max(forget, everywhere);
    // What is only kept back from an observer, it must find here; unless it does not answer.
    for (const auto& [id, progress] : members) {
      const bool is_active = progress.replied_at + 2 * options.election_timeout_ms > now;
      if (is_active && is_spared(id, progress) && progress.can_send(options.inflight_max)) {
        forget = std::min(forget, progress.next().previous());
      }
    }
  } else if (membership().everybody().size() <= 1) {
    forget = index;
  }
  forget_until = std::max(forget_until, forget);
  forget_some();
}

// A few entries with each turn: to free a hundred thousand at once would hold up the loop.
void Raft::Impl::forget_some() {
  const auto is_due = [this] {
    return log.mark().index < forget_until ||
           (log.bytes() > options.log_tail_bytes && log.mark().index < checkpoint.index);
  };
  if (!is_due()) return;
  for (std::size_t i = 0; i < kForgottenPerTurn && is_due(); ++i) log.compact(log.first_index());
  forget_memberships();
}

}  // namespace coord::election
