// Terms, votes, promises, the hand-over of leadership (thesis, chapters 3, 4.2.3, 6.2, 9.6, 3.10).

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "election/raft_impl.hpp"

namespace coord::election {
namespace {

constexpr int kHastyCampaigns = 3;

}  // namespace

// Also a member that its latest configuration leaves out, as long as that may not be committed: its
// log may be the longest, and the others need it to elect a leader at all (section 4.2.2: "a server
// that is not part of its own latest configuration should still start new elections"). Its own
// vote does not count then.
bool Raft::Impl::may_lead() const noexcept {
  if (membership().is_voter(options.id)) return true;
  const auto& latest = configurations.back();
  if (options.defect == Defect::campaigns_when_removed && !latest.value.voters.empty() &&
      !latest.value.contains(options.id)) {
    return true;
  }
  if (latest.index <= committed || configurations.size() < 2) return false;
  return configurations[configurations.size() - 2].value.is_voter(options.id);
}

bool Raft::Impl::may_campaign() const noexcept { return may_lead() && now >= promised_until; }

// Whoever acknowledged a leader lets nobody else win for a while (section 4.2.3: a server that
// heard from a current leader within the minimum election time-out does not grant its vote); that
// is what a lease stands on (section 6.4.1). A leader refuses while it has one, and with check
// quorum as long as it leads: it steps down by itself when it has lost its quorum.
bool Raft::Impl::is_promised() const noexcept {
  if (state == State::leader) return options.check_quorum || has_lease(now);
  return now < promised_until;
}

void Raft::Impl::draw_election_deadline() {
  const auto timeout = static_cast<std::uint64_t>(options.election_timeout_ms);
  election_deadline = now + static_cast<std::int64_t>(timeout + prng.below(timeout));
}

void Raft::Impl::tick_election() {
  if (now < election_deadline) return;
  if (!may_lead() && leader) {
    // It elects nobody, but must know that it may have been left behind, or removed.
    return become_follower(hard_state.term, MemberId(), "the leader is not heard");
  }
  if (!may_campaign()) {
    draw_election_deadline();
    // A promise after a start or before a hint is short: try again when it has run out.
    if (now < promised_until) {
      const auto spread = static_cast<std::uint64_t>(options.heartbeat_ms);
      election_deadline = std::min(election_deadline,
                                   promised_until + static_cast<std::int64_t>(prng.below(spread)));
    }
    return;
  }
  if (options.pre_vote) {
    pre_campaign();
  } else {
    campaign(false);
  }
}

void Raft::Impl::enter_term(HardState entered) {
  COORD_CHECK(entered.term > hard_state.term, "terms rise", entered.term, hard_state.term);
  hard_state = entered;
  is_hard_state_new = true;
  verified = committed;
  // What was promised in the term before and has not left yet never will: the vote does not come to
  // the disk any more, nor do entries that this term may cut. To the others it was lost on the way.
  std::erase_if(ready.messages_after_persist, [](const Message& message) {
    return !std::holds_alternative<SnapshotReply>(message.body);
  });
}

// A message of a later term makes everybody a follower of that term (section 3.3).
void Raft::Impl::settle_term(Term term, MemberId new_leader) {
  if (term > hard_state.term) become_follower(term, new_leader, "a later term");
}

void Raft::Impl::become_follower(Term term, MemberId new_leader, std::string_view why) {
  COORD_CHECK(term >= hard_state.term, "a term never goes back", term, hard_state.term);
  const bool was_leader = state == State::leader;
  if (term > hard_state.term) enter_term(HardState{term, MemberId()});
  if (state == State::candidate) {
    // Nobody shall vote any more for a log that may be cut before the request leaves.
    std::erase_if(ready.messages_after_persist, [](const Message& message) {
      return std::holds_alternative<VoteRequest>(message.body);
    });
  }
  const bool is_news = state != State::follower || leader != new_leader;
  state = State::follower;
  ballots.clear();
  if (was_leader) leave_leadership();
  if (leader != new_leader) fail_forwarded_reads();
  leader = new_leader;
  draw_election_deadline();
  if (is_news) trace.trace(BecameFollower{options.id, term, new_leader, why});
}

// A message of the leader of this term came.
void Raft::Impl::follow(MemberId new_leader) {
  if (state != State::follower || leader != new_leader) {
    become_follower(hard_state.term, new_leader, "heard the leader");
  }
  is_leader_lost = false;
  draw_election_deadline();
  promised_until = std::max(promised_until, now + options.promise_ms);
}

// Section 9.6: a member that could not win does not disturb the others with a higher term. Nothing
// is promised by a pre-vote, so nothing has to be on the disk for it.
void Raft::Impl::pre_campaign() {
  COORD_CHECK(may_campaign(), "only a free voter campaigns");
  fail_forwarded_reads();
  state = State::pre_candidate;
  leader = MemberId();
  ballots.clear();
  ballots[options.id] = Ballot::granted;
  draw_election_deadline();
  if (is_leader_lost) {
    // The others may still be bound by their promises to the lost leader: ask again soon.
    const auto spread = static_cast<std::uint64_t>(options.heartbeat_ms);
    election_deadline = now + 1 + static_cast<std::int64_t>(spread / 2 + prng.below(spread));
  }
  trace.trace(BecameCandidate{options.id, hard_state.term, true});
  VoteRequest request;
  request.is_pre_vote = true;
  request.term = hard_state.term.next();
  request.last_index = log.last_index();
  request.last_term = log.last_term();
  for (const auto id : membership().everybody()) {
    if (id != options.id && membership().is_voter(id)) send(id, request);
  }
  count_votes();
}

// Section 3.4. The requests leave only when term, vote and log are on the disk: a candidate that
// crashed before could come back with a shorter log, campaign in the same term, and count the
// votes that were given to the longer one.
void Raft::Impl::campaign(bool is_transfer) {
  COORD_CHECK(may_lead(), "only a voter campaigns");
  fail_forwarded_reads();
  enter_term(HardState{hard_state.term.next(), options.id});
  state = State::candidate;
  leader = MemberId();
  ballots.clear();
  draw_election_deadline();
  if (is_leader_lost && hasty_campaigns < kHastyCampaigns) {
    // All have the hint at once, so votes are often split: do not wait as long as for a leader that
    // is not heard. Only a few times, for a slow disk needs the whole time-out.
    ++hasty_campaigns;
    const auto spread = 2 * static_cast<std::uint64_t>(options.heartbeat_ms);
    election_deadline = now + static_cast<std::int64_t>(spread + prng.below(spread));
  }
  trace.trace(BecameCandidate{options.id, hard_state.term, false});
  VoteRequest request;
  request.term = hard_state.term;
  request.last_index = log.last_index();
  request.last_term = log.last_term();
  request.is_transfer = is_transfer;
  for (const auto id : membership().everybody()) {
    if (id != options.id && membership().is_voter(id)) send_after_persist(id, request);
  }
}

void Raft::Impl::count_votes() {
  const auto result = quorum_vote(membership(), [&](MemberId id) {
    const auto at = ballots.find(id);
    return at == ballots.end() ? Ballot::none : at->second;
  });
  switch (result) {
    case VoteResult::pending:
      return;
    case VoteResult::won:
      if (state == State::pre_candidate) {
        campaign(false);
      } else {
        become_leader();
      }
      return;
    case VoteResult::lost: {
      const auto retry = election_deadline;
      become_follower(hard_state.term, MemberId(), "lost the election");
      if (is_leader_lost) election_deadline = retry;
      return;
    }
  }
}

void Raft::Impl::become_leader() {
  COORD_CHECK(state == State::candidate, "only a candidate becomes the leader");
  COORD_CHECK(unsynced.hard_state() == hard_state, "the leader's own vote is synced");
  state = State::leader;
  leader = options.id;
  ballots.clear();
  is_leader_lost = false;
  is_lease_spent = false;
  transferee = MemberId();
  lead_since = now;
  heartbeat_deadline = now + options.heartbeat_ms;
  members.clear();
  is_membership_open = true;
  uncommitted_bytes = 0;
  for (Index i = committed.next(); i <= log.last_index(); i = i.next()) {
    uncommitted_bytes += log.at(i)->payload.size();
  }
  track_members();
  // Section 6.4: until it has committed an entry of its own term, a leader does not know which
  // entries are committed; so it appends one without a content.
  term_start = append_own(EntryKind::no_op, {}).index;
  trace.trace(BecameLeader{options.id, hard_state.term});
}

void Raft::Impl::on(MemberId from, const VoteRequest& request) {
  // A pre-vote asks about the term to come and changes nothing here. A request that a promise
  // forbids changes nothing either, not even the term.
  const bool is_forbidden = is_promised() && !(request.is_transfer && !request.is_pre_vote);
  if (request.is_pre_vote) {
    const bool is_current = request.term > hard_state.term;
    if (!is_current && options.defect == Defect::ignores_late_pre_votes) return;
    const bool granted =
        is_current && !is_forbidden && log.is_up_to_date(request.last_index, request.last_term);
    // A refusal names the own term, so that a candidate that is behind catches up and asks for
    // the right one: otherwise nobody might ever win (etcd 8501).
    send(from, VoteReply{true, granted ? request.term : hard_state.term, granted});
    return;
  }
  if (is_forbidden && request.term > hard_state.term) return;
  settle_term(request.term, MemberId());
  VoteReply reply{false, hard_state.term, false};
  if (request.term == hard_state.term && state != State::leader && !is_forbidden) {
    const bool is_free = hard_state.vote == from || (!hard_state.vote && !leader);
    reply.granted = is_free && log.is_up_to_date(request.last_index, request.last_term);
  }
  if (reply.granted) {
    if (state != State::follower) {
      become_follower(hard_state.term, MemberId(), "voted for another");
    }
    if (hard_state.vote != from) {
      hard_state.vote = from;
      is_hard_state_new = true;
    }
    draw_election_deadline();
  }
  send_after_persist(from, reply);
}

void Raft::Impl::on(MemberId from, const VoteReply& reply) {
  if (!(reply.is_pre_vote && reply.granted)) settle_term(reply.term, MemberId());
  const bool is_mine =
      reply.is_pre_vote
          ? state == State::pre_candidate &&
                reply.term == (reply.granted ? hard_state.term.next() : hard_state.term)
          : state == State::candidate && reply.term == hard_state.term;
  if (!is_mine) return;
  ballots.emplace(from, reply.granted ? Ballot::granted : Ballot::refused);
  count_votes();
}

// Section 3.10: the leader of this term asks us to take over at once. It has given up its lease, so
// neither our promise nor that of the others stands in the way.
void Raft::Impl::on(MemberId from, const TimeoutNow& request) {
  settle_term(request.term, from);
  if (request.term != hard_state.term || state == State::leader) return;
  if (leader && leader != from) return;
  if (!may_lead()) return;
  campaign(true);
}

void Raft::Impl::peer_down(MemberId peer) {
  if (!has_started || state != State::follower || !leader || peer != leader) return;
  is_leader_lost = true;
  hasty_campaigns = 0;
  const auto spread = static_cast<std::uint64_t>(options.heartbeat_ms);
  const auto soon =
      std::max(now, promised_until) + 1 + static_cast<std::int64_t>(prng.below(spread));
  election_deadline = std::min(election_deadline, soon);
}

std::optional<TransferError> Raft::Impl::transfer(MemberId to) {
  if (state != State::leader) return TransferError::not_leader;
  if (transferee && transferee != to) return TransferError::in_progress;
  const auto& voters = membership().voters;
  if (!std::binary_search(voters.begin(), voters.end(), to)) return TransferError::not_a_voter;
  if (to == options.id || transferee == to) return std::nullopt;
  transferee = to;
  transfer_deadline = now + options.election_timeout_ms;
  maybe_finish_transfer();
  return std::nullopt;
}

void Raft::Impl::maybe_finish_transfer() {
  if (!transferee || is_lease_spent) return;
  const auto at = members.find(transferee);
  if (at == members.end() || at->second.match() != log.last_index()) return;
  // From here on the others may elect the new leader without asking for our promises.
  is_lease_spent = true;
  send(transferee, TimeoutNow{hard_state.term});
}

void Raft::Impl::tick_transfer() {
  if (!transferee || now < transfer_deadline) return;
  note(Note::Level::warn, fmt::format("leadership was not taken over by {}", transferee));
  transferee = MemberId();
  // The order may still arrive, at any time in this term, so this term can have no lease any more.
  // A new term can: this member is the one most likely to win it.
  if (is_lease_spent && may_lead()) {
    become_follower(hard_state.term, MemberId(), "a transfer failed");
    campaign(true);
  }
}

// Section 6.2: a leader steps down that has not heard from a quorum for an election time-out.
void Raft::Impl::tick_quorum() {
  if (!options.check_quorum) return;
  const auto heard_at = quorum_value<std::int64_t>(membership(), [&](MemberId id) {
    if (id == options.id) return now;
    const auto at = members.find(id);
    return at == members.end() ? Progress::kNever : at->second.replied_at;
  });
  if (std::max(heard_at, lead_since) + 2 * options.election_timeout_ms > now) return;
  become_follower(hard_state.term, MemberId(), "lost the quorum");
}

}  // namespace coord::election
