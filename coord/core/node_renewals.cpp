// Node's renewals: what recipes keep for a while is prolonged by a sign of life and not by an
// entry.
//
// The state says which session it hangs on; the leader, who alone knows how long that one has, says
// that it lives and gives it a full ttl again.
#include <utility>

#include "coord/core/node.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::core {

recipes::Renewal Node::renewal_of(const Request& request) const {
  const auto& op = std::get<RecipeRenew>(request.op);
  const recipes::Look look{state_.tree(), state_.sessions(), state_.applied(), state_.service_ms(),
                           request.identities};
  return recipes::renewal(op.kind, op.bytes, look,
                          request.session ? request.session->id : SessionId());
}

// What hangs on a session of its own lives as long as that: the leader's word about the session is
// all that is needed, however old the look was. Anything else takes a look that is up to date.
void Node::begin_renewal(Request&& request, std::int64_t deadline_ms) {
  const auto found = renewal_of(request);
  if (found.is_own && found.answer.code == Code::ok) return renew(std::move(request));
  wait_for_grant({std::move(request), deadline_ms});
}

// The answer as of now.
Reply Node::renewed(const Request& request) const {
  auto reply = reply_to(request);
  auto found = renewal_of(request);
  reply.code = found.answer.code;
  reply.detail = found.answer.detail;
  RecipeResult result;
  result.answer = std::move(found.answer);
  if (const auto* session = state_.sessions().find(found.session)) {
    result.session_ttl_ms = session->ttl_ms;
  }
  reply.result = std::move(result);
  return reply;
}

void Node::renew(Request&& request) {
  auto refused = reply_to(request);
  if (!holds_session(request, refused)) return deliver(std::move(refused));
  const auto found = renewal_of(request);
  if (found.answer.code != Code::ok) return deliver(renewed(request));
  // While its end is under way the answer waits for it.
  const auto ending = expiring_.find(found.session);
  if (ending != expiring_.end() && ending->second > index_of(state_.applied())) {
    const auto deadline = now_.mono_ms + request.timeout_ms;
    return park(ending->second, {std::move(request), deadline});
  }
  if (!was_leader_) return confirm(std::move(request), found.session, false);
  if (!raft_.has_lease(now_.mono_ms)) {
    return refuse(request, Code::no_leader, "there is no leader to renew it");
  }
  touch(found.session);
  deliver(renewed(request));
}

// Whom a step that is proposed renews, from that moment on: a follower may apply the step and
// answer it while this leader's own disk holds it back, and no session ends that was just told to
// live.
SessionId Node::renewed_by(const RecipeStep* step, SessionId session) const {
  if (step == nullptr) return {};
  const recipes::Look look{state_.tree(), state_.sessions(), state_.applied(), state_.service_ms(),
                           recipes::service_identities()};
  return recipes::renewed_by(step->kind, step->bytes, look, session);
}

}  // namespace coord::core
