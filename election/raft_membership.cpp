// Who is in the ensemble: joint consensus (thesis, section 4.3), learners and their promotion
// (section 4.2.1), and a leader that leaves (section 4.2.2).

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "election/raft_impl.hpp"

namespace coord::election {

Membership Raft::Impl::membership_at(Index index) const {
  COORD_CHECK(configurations.front().index <= index, "the membership there is known", index);
  const Configuration* found = &configurations.front();
  for (const auto& configuration : configurations) {
    if (configuration.index <= index) found = &configuration;
  }
  return found->value;
}

// Section 4.1: a server uses the latest configuration in its log, committed or not.
void Raft::Impl::note_membership(const LogEntry& entry) {
  Membership membership;
  COORD_CHECK(decode(entry.payload, membership), "a membership entry can be read", entry.index);
  COORD_CHECK(configurations.back().index < entry.index, "memberships come in order", entry.index);
  configurations.push_back({entry.index, std::move(membership)});
}

// The log was cut after `last`: back to the configuration that was in force there.
void Raft::Impl::cut_memberships(Index last) {
  if (options.defect == Defect::keeps_cut_members) return;
  while (configurations.back().index > last) {
    configurations.pop_back();
    COORD_CHECK(!configurations.empty(), "a membership is left", last);
  }
}

// Keeps the one in force at the log's mark and everything after it.
void Raft::Impl::forget_memberships() {
  while (configurations.size() > 1 && configurations[1].index <= log.mark().index) {
    configurations.erase(configurations.begin());
  }
}

std::variant<Proposed, ChangeError> Raft::Impl::change(Membership target) {
  if (state != State::leader) return ChangeError::not_leader;
  if (transferee) return ChangeError::transferring;
  if (!has_own_commit() && options.defect != Defect::changes_before_own_commit) {
    return ChangeError::not_ready;
  }
  if (configurations.back().index > committed || membership().is_joint()) {
    return ChangeError::in_progress;
  }
  if (target.is_joint() || target.voters.empty() || !target.is_well_formed()) {
    return ChangeError::malformed;
  }
  // Learners have no share in any quorum: they need no joint configuration.
  if (target.voters != membership().voters) target.outgoing = membership().voters;
  if (!target.is_well_formed()) return ChangeError::malformed;
  return append_membership(target);
}

Proposed Raft::Impl::append_membership(const Membership& target) {
  const auto proposed = append_own(EntryKind::membership, encode(target));
  is_membership_open = true;
  track_members();
  return proposed;
}

// Everybody of the configuration in force is sent the log. Who is not in it any more is still sent
// it until the configuration is committed, so that a removed member learns that it is.
void Raft::Impl::track_members() {
  for (const auto id : membership().everybody()) {
    if (id == options.id) continue;
    const auto [at, is_new] = members.try_emplace(id, log.last_index().next());
    if (is_new) at->second.replied_at = now;
  }
}

// After the commit index moved: a joint configuration is left, removed members are let go, and a
// leader that is no voter any more hands over.
void Raft::Impl::settle_membership() {
  if (!is_membership_open || !has_own_commit()) return;
  if (configurations.back().index > committed) return;
  if (membership().is_joint()) {
    auto target = membership();
    target.outgoing.clear();
    append_membership(target);
    return;
  }
  is_membership_open = false;
  for (auto at = members.begin(); at != members.end();) {
    if (membership().contains(at->first)) {
      ++at;
      continue;
    }
    // Its last word: that it is out.
    if (at->second.state() == Progress::State::replicate) {
      send_appends_to(at->first, at->second, log.last_index());
    }
    at = members.erase(at);
  }
  if (membership().is_voter(options.id)) return;
  // Section 4.2.2: a removed leader steps down once the new configuration is committed. It names a
  // successor, so that nobody has to wait for a time-out.
  const Progress* best = nullptr;
  MemberId successor;
  for (const auto& [id, progress] : members) {
    if (!membership().is_voter(id)) continue;
    if (best != nullptr && progress.match() <= best->match()) continue;
    best = &progress;
    successor = id;
  }
  send_appends();
  if (successor) send(successor, TimeoutNow{hard_state.term});
  become_follower(hard_state.term, MemberId(), "removed from the voters");
}

// Section 4.2.1: a new voter that lags would leave the ensemble unable to commit; so it first
// catches up without a vote, and is promoted when it has kept up for a while.
void Raft::Impl::tick_standbys() {
  if (membership().standbys.empty()) return;
  MemberId ready_one;
  for (const auto id : membership().standbys) {
    const auto at = members.find(id);
    if (at == members.end()) continue;
    auto& progress = at->second;
    const bool is_active = progress.replied_at + options.election_timeout_ms > now;
    const bool keeps_up = progress.state() == Progress::State::replicate && is_active &&
                          progress.match().value() + options.standby_lag_max >= committed.value();
    if (!keeps_up) {
      progress.caught_up_since = Progress::kNever;
      continue;
    }
    if (progress.caught_up_since == Progress::kNever) progress.caught_up_since = now;
    const bool is_stable = now - progress.caught_up_since >= options.standby_stable_ms;
    if (is_stable && !ready_one) ready_one = id;
  }
  if (!ready_one) return;
  // Not now if another change is under way; the next tick asks again.
  if (std::holds_alternative<Proposed>(change(promoted(ready_one)))) {
    note(Note::Level::info, fmt::format("standby {} is promoted", ready_one));
  }
}

// Whom it replaces leaves in the same joint change, so that the voters never are more, nor fewer,
// than before.
Membership Raft::Impl::promoted(MemberId standby) const {
  auto target = membership();
  for (const auto& [id, old] : replacements) {
    if (id != standby || old == standby) continue;
    std::erase(target.voters, old);
    std::erase(target.observers, old);
    std::erase(target.standbys, old);
  }
  std::erase(target.standbys, standby);
  target.voters.push_back(standby);
  std::sort(target.voters.begin(), target.voters.end());
  return target;
}

void Raft::Impl::leave_leadership() {
  members.clear();
  transferee = MemberId();
  fail_reads();
}

}  // namespace coord::election
