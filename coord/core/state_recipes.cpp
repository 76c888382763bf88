// What steps of recipes do to the replicated state: the part of StateMachine that knows of them.
#include <utility>

#include "coord/base/check.hpp"
#include "coord/core/state_machine.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::core {

bool StateMachine::holds(const Fence& fence) const {
  const auto kind = fence.kind == Fence::Kind::lock ? recipes::Kind::lock : recipes::Kind::election;
  const recipes::Look look{tree_, sessions_, applied_, service_ms_, recipes::service_identities()};
  return recipes::holds(look, kind, fence.name, fence.token);
}

void StateMachine::run_recipe(Zxid zxid, const Command& command, const RecipeStep& op,
                              Applied& applied) {
  auto& outcome = applied.outcome;
  if (!is_admitted(command, outcome)) return;
  auto session = command.session;
  session::Session own;
  const bool brings_session = !session && op.own_session;
  if (brings_session) {
    own.id = session = SessionId(zxid.value());
    own.secret = op.own_session->secret;
    own.ttl_ms = op.own_session->ttl_ms;
    own.name = op.own_session->name;
    own.address = op.own_session->address;
    own.opened_ms = command.wall_ms;
    outcome.code = sessions_.check_open(own);
    if (outcome.code != Code::ok) {
      outcome.detail = refusal_to_open(outcome.code);
      return;
    }
  }
  tree_.begin({zxid, service_ms_, command.wall_ms, session, true});
  recipes::Step step{tree_,           sessions_, zxid,           service_ms_,
                     command.wall_ms, session,   brings_session, command.identities};
  RecipeResult result;
  result.answer = recipes::run(op.kind, op.bytes, step);
  const auto& answer = result.answer;
  outcome.code = answer.code;
  outcome.detail = answer.detail;
  if (answer.code != Code::ok && !answer.is_done) {
    tree_.rollback();
    outcome.result = std::move(result);
    return;
  }
  if (brings_session) {
    result.session_ttl_ms = own.ttl_ms;
  } else if (const auto* acting = sessions_.find(session)) {
    result.session_ttl_ms = acting->ttl_ms;
  }
  if (brings_session && !answer.ends_session) {
    COORD_CHECK(sessions_.open(own, dirty_) == Code::ok, "a session that was checked opens",
                own.id);
    result.opened = SessionOpened{own.id, own.secret, own.ttl_ms};
    applied.opened.push_back(own.id);
  } else if (answer.ends_session && session && !brings_session) {
    end_session(session, session::EndReason::closed, applied);
  }
  settle_recipes(zxid, command);
  applied.batch = commit_tree(zxid, command.wall_ms);
  outcome.result = std::move(result);
}

// In the open transaction: what follows from its changes under /.coord.
void StateMachine::settle_recipes(Zxid zxid, const Command& command) {
  if (tree_.pending_changes().empty()) return;
  tree_.act_as_service();
  recipes::Step step{tree_,           sessions_, zxid,  service_ms_,
                     command.wall_ms, {},        false, recipes::service_identities()};
  recipes::settle(step);
}

void StateMachine::note_deadlines(const znode::ChangeBatch& batch) {
  const recipes::Look look{tree_, sessions_, applied_, service_ms_, recipes::service_identities()};
  for (const auto& change : batch.changes) {
    if (!change.path.starts_with(recipes::kRoot)) continue;
    deadlines_.set(change.path, recipes::deadline_of(look, change.path));
  }
}

void StateMachine::load_deadlines() {
  deadlines_.clear();
  const recipes::Look look{tree_, sessions_, applied_, service_ms_, recipes::service_identities()};
  tree_.walk(recipes::kRoot, SIZE_MAX, {}, true, [&](std::string_view path, const znode::View&) {
    if (const auto at = recipes::deadline_of(look, path)) deadlines_.set(path, at);
    return true;
  });
}

}  // namespace coord::core
