// The leader's part of a Node: it begins and ends a term, and proposes what is due by time.
#include <utility>

#include "coord/core/node.hpp"

namespace coord::core {
namespace {

// Sessions and nodes that one entry lets go at most, so that no apply() takes long.
constexpr std::size_t kExpireStep = 1'000;
constexpr std::size_t kReapStep = 1'000;
// When Raft took no proposal, sessions that had run out are looked at again so much later.
constexpr std::int64_t kExpireAgainMs = 100;

}  // namespace

void Node::follow_role() {
  const bool is_leader = raft_.role() == election::Role::leader;
  const bool is_new_term = is_leader && raft_.term() != led_term_;
  if (is_leader == was_leader_ && !is_new_term) return;
  if (was_leader_) end_leadership();
  was_leader_ = is_leader;
  if (is_leader) begin_leadership();
}

void Node::begin_leadership() {
  led_term_ = raft_.term();
  led_since_ms_ = now_.mono_ms;
  proposals_ = {};
  // Every session gets one full timeout; service time goes on from where it stands. What this
  // member slept through before cost nobody anything.
  hold_expiry_until_ms_ = 0;
  renew_sessions();
  service_base_ms_ = state_.service_ms();
  mono_base_ms_ = now_.mono_ms;
  if (state_.cluster().empty() && !options_.cluster.empty()) {
    propose(bootstrap_of_all());
  }
  tell_replacements();
  desk_.are_records_due = true;
  wants_turn_ = true;
}

void Node::renew_sessions() {
  const bool forgets = options_.raft.defect == election::Defect::forgets_session_clocks;
  state_.sessions().list(SessionId(), [&](const session::Session& session) {
    if (expiring_.contains(session.id)) return true;
    expiry_.touch(session.id, forgets ? 1 : session.ttl_ms, now_.mono_ms);
    return true;
  });
}

void Node::end_leadership() {
  expiry_.clear();
  expiring_.clear();
  streams_.clear();
  reap_index_ = Index();
  // What the entries of the next leader leave undecided ends as unknown when its time is over.
  for (const auto& [index, waiter] : pending_.take_all()) {
    limbo_.add(led_term_, index.value(), waiter);
  }
  auto delayed = std::exchange(delayed_writes_, {});
  for (auto& one : delayed) {
    if (auto* own = std::get_if<std::pair<Request, std::int64_t>>(&one)) {
      refuse(own->first, Code::no_leader, "this member lost its leadership");
    }
  }
}

void Node::propose_due() {
  // A full disk changes nothing here: a keepalive needs no log, so whoever is due was silent.
  if (!was_leader_) return;
  const bool needs_lease = options_.raft.defect != election::Defect::expires_without_lease;
  if (now_.mono_ms >= hold_expiry_until_ms_ && (raft_.has_lease(now_.mono_ms) || !needs_lease)) {
    auto due = expiry_.due(now_.mono_ms, kExpireStep);
    if (!due.empty()) {
      const auto index = raft_.last_index().next();
      if (propose(ExpireSessions{due})) {
        for (const auto id : due) expiring_[id] = index;
      } else {
        for (const auto id : due) expiry_.touch(id, kExpireAgainMs, now_.mono_ms);
      }
    }
  }
  if (index_of(state_.applied()) < reap_index_) return;  // The last one is not applied yet.
  const auto now = service_now();
  const auto index = raft_.last_index().next();
  if (const auto soonest = state_.tree().next_deadline(); soonest && *soonest <= now) {
    auto paths = state_.tree().due(now, kReapStep);
    if (!paths.empty() && propose(Reap{std::move(paths)})) reap_index_ = index;
  }
  if (const auto soonest = state_.deadlines().soonest(); soonest && *soonest <= now) {
    const auto at = raft_.last_index().next();
    if (propose(RecipesDue{state_.deadlines().due(now, kReapStep)})) reap_index_ = at;
  }
}

}  // namespace coord::core
