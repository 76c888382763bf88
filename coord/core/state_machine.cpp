#include "coord/core/state_machine.hpp"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::core {
namespace {

// Keys of Table::meta.
constexpr std::string_view kServiceTime = "service";
constexpr std::string_view kNextNode = "next-node";
// How many entries one apply() lets go from the retry window: more than it can add.
constexpr std::size_t kRetryTrimStep = 4;

std::string number_record(std::uint64_t v) {
  std::string bytes;
  Writer(bytes).varint(v);
  return bytes;
}

// Who an idempotency key belongs to: the session, or else who the caller proved to be, or else the
// address that it calls from. A caller that proved who it is may retry from another address.
std::string scope_of(const Command& command) {
  if (command.session) return fmt::format("s{}", command.session);
  const auto is_address = [](const Identity& identity) { return identity.scheme == "ip"; };
  const bool has_proof =
      !std::all_of(command.identities.begin(), command.identities.end(), is_address);
  std::string scope = "i";
  Writer out(scope);
  for (const auto& identity : command.identities) {
    if (has_proof && is_address(identity)) continue;
    out.bytes(identity.scheme);
    out.bytes(identity.id);
  }
  return scope;
}

std::string_view word_of_kind(Fence::Kind kind) {
  return kind == Fence::Kind::lock ? "lock" : "election";
}

}  // namespace

StateMachine::StateMachine(StateLimits limits)
    : limits_(limits), tree_(limits.tree), sessions_(limits.sessions), retry_(limits.retry) {
  tree_.put_all(dirty_);  // A fresh tree's own nodes belong into the first checkpoint.
}

std::uint64_t StateMachine::digest() const noexcept {
  return tree_.digest() + sessions_.digest() + retry_.digest() + member_digest_;
}

// ---------------------------------------------------------------- apply

Applied StateMachine::apply(const election::LogEntry& entry) {
  COORD_CHECK(entry.index == index_of(applied_).next(), "entries are applied in order", entry.index,
              applied_);
  const auto zxid = zxid_of(entry.index);
  switch (entry.kind) {
    case election::EntryKind::command: {
      Command command;
      const auto error = decode(entry.payload, command);
      COORD_CHECK(error != DecodeError::unknown_version,
                  "a command of a newer version: this member must be upgraded", entry.index);
      COORD_CHECK(error == DecodeError::none, "a committed command decodes", entry.index);
      if (limits_.defects.rewrites) limits_.defects.rewrites(command);
      return apply(zxid, entry.term, command);
    }
    case election::EntryKind::membership: {
      election::Membership membership;
      COORD_CHECK(election::decode(entry.payload, membership), "a committed membership decodes",
                  entry.index);
      enter_membership(std::move(membership));
      break;
    }
    case election::EntryKind::no_op:
      break;
  }
  applied_ = zxid;
  applied_term_ = entry.term;
  Applied applied;
  applied.outcome.revision = zxid;
  applied.are_members_changed = entry.kind == election::EntryKind::membership;
  return applied;
}

Applied StateMachine::apply(Zxid zxid, Term term, const Command& command) {
  COORD_CHECK(zxid > applied_, "zxids only grow", zxid, applied_);
  applied_ = zxid;
  applied_term_ = term;
  service_ms_ = std::max(service_ms_, command.service_ms);
  retry_.trim(service_ms_, kRetryTrimStep, dirty_);
  Applied applied;
  applied.outcome.revision = zxid;
  applied.origin = command.origin;
  if (!command.fences.empty() && !is_admitted(command, applied.outcome)) {
    // What its session once did under a key is not told to whoever names an ended session.
    if (Outcome stale = applied.outcome; !holds_fences(command, stale)) applied.outcome = stale;
    return applied;
  }
  if (command.idempotency_key.empty()) {
    run(zxid, command, applied);
    return applied;
  }
  const auto scope = scope_of(command);
  if (const auto* seen = retry_.find(scope, command.idempotency_key)) {
    auto& outcome = applied.outcome;
    if (seen->request_hash != command.request_hash) {
      outcome.code = Code::idempotency_mismatch;
      outcome.detail = "this Idempotency-Key was used for another request";
      return applied;
    }
    COORD_CHECK(decode(seen->outcome, outcome), "a remembered outcome decodes", seen->zxid);
    outcome.was_applied_before = true;
    return applied;
  }
  run(zxid, command, applied);
  retry_.insert(scope, command.idempotency_key,
                {zxid, service_ms_, command.request_hash, encode(applied.outcome)}, dirty_);
  return applied;
}

bool StateMachine::is_admitted(const Command& command, Outcome& outcome) const {
  if (!command.session) return true;
  const auto* session = sessions_.find(command.session);
  if (session == nullptr) {
    if (limits_.defects.admits_ended_sessions) return true;
    outcome.code = Code::session_expired;
    outcome.detail = fmt::format("session {} has ended", command.session);
    outcome.end_reason = sessions_.end_of(command.session);
    return false;
  }
  if (command.attachment && command.attachment != session->attached) {
    outcome.code = Code::session_moved;
    outcome.detail = fmt::format("session {} has another connection now", command.session);
    return false;
  }
  return true;
}

bool StateMachine::holds_fences(const Command& command, Outcome& outcome) const {
  for (const auto& fence : command.fences) {
    if (holds(fence)) continue;
    outcome.code = Code::fence_stale;
    outcome.detail = fmt::format("{} {} is not held with token {}", word_of_kind(fence.kind),
                                 fence.name, fence.token);
    return false;
  }
  return true;
}

void StateMachine::run(Zxid zxid, const Command& command, Applied& applied) {
  auto& outcome = applied.outcome;
  if (!holds_fences(command, outcome)) return;
  const auto mutate = [&](const auto& op) {
    if (!is_admitted(command, outcome)) return;
    using Op = std::decay_t<decltype(op)>;
    constexpr bool is_mark = std::is_same_v<Op, BeginImport> || std::is_same_v<Op, FinishImport>;
    znode::Stamp stamp{zxid, service_ms_, command.wall_ms, command.session};
    stamp.is_service = is_mark;
    stamp.is_import = std::is_same_v<Op, ImportNodes>;
    tree_.begin(stamp);
    outcome = perform(command, op);
    outcome.revision = zxid;
    if (outcome.code == Code::ok) {
      applied.batch = commit_tree(zxid, command.wall_ms);
      if constexpr (is_mark) refresh_closed();
    } else {
      tree_.rollback();
    }
  };
  const auto in_tree = [&](const auto& change) {
    tree_.begin({zxid, service_ms_, command.wall_ms, command.session});
    change();
    settle_recipes(zxid, command);
    applied.batch = commit_tree(zxid, command.wall_ms);
  };
  std::visit(
      Overloaded{[&](const OpenSession& op) { outcome = open_session(zxid, command, op, applied); },
                 [&](const AttachSession& op) { outcome = attach_session(zxid, op, applied); },
                 [&](const CloseSession& op) {
                   in_tree([&] { outcome = close_session(command, op, applied); });
                 },
                 [&](const ExpireSessions& op) {
                   in_tree([&] {
                     for (const auto id : op.sessions) {
                       end_session(id, session::EndReason::expired, applied);
                     }
                   });
                 },
                 [&](const Reap& op) {
                   in_tree([&] {
                     for (const auto& path : op.paths) tree_.reap(path);
                   });
                 },
                 [&](const Bootstrap& op) {
                   bootstrap(op);
                   applied.are_members_changed = true;
                 },
                 [&](const SetMember& op) {
                   outcome = set_member(op);
                   applied.are_members_changed = true;
                 },
                 [&](const RecipeStep& op) { run_recipe(zxid, command, op, applied); },
                 [&](const RecipesDue& op) {
                   in_tree([&] {
                     tree_.act_as_service();
                     recipes::Step step{
                         tree_,           sessions_, zxid,  service_ms_,
                         command.wall_ms, {},        false, recipes::service_identities()};
                     for (const auto& path : op.paths) recipes::due(step, path);
                   });
                 },
                 mutate},
      command.op);
  outcome.revision = zxid;
}

znode::SharedBatch StateMachine::commit_tree(Zxid zxid, std::int64_t wall_ms) {
  auto changes = tree_.commit(dirty_);
  if (changes.empty()) return nullptr;
  auto batch = std::make_shared<znode::ChangeBatch>();
  batch->zxid = zxid;
  batch->wall_ms = wall_ms;
  batch->changes = std::move(changes);
  note_deadlines(*batch);
  unstored_changes_ += batch->changes.size();
  unstored_bytes_ += znode::bytes_of(*batch);
  unstored_.push_back(batch);
  return batch;
}

// ---------------------------------------------------------------- sessions

Outcome StateMachine::open_session(Zxid zxid, const Command& command, const OpenSession& op,
                                   Applied& applied) {
  Outcome outcome;
  session::Session session;
  session.id = SessionId(zxid.value());
  session.secret = op.secret;
  session.ttl_ms = op.ttl_ms;
  session.name = op.name;
  session.address = op.address;
  session.opened_ms = command.wall_ms;
  outcome.code = sessions_.open(session, dirty_);
  if (outcome.code == Code::ok) {
    outcome.result = SessionOpened{session.id, session.secret, session.ttl_ms};
    applied.opened.push_back(session.id);
  } else {
    outcome.detail = refusal_to_open(outcome.code);
  }
  return outcome;
}

std::string StateMachine::refusal_to_open(Code code) const {
  if (code == Code::invalid) {
    return fmt::format("ttl_ms must be from {} to {} and the name at most {} bytes",
                       limits_.sessions.ttl_ms_min, limits_.sessions.ttl_ms_max,
                       limits_.sessions.name_bytes_max);
  }
  return fmt::format("there are {} sessions already", sessions_.size());
}

Outcome StateMachine::attach_session(Zxid zxid, const AttachSession& op, Applied& applied) {
  Outcome outcome;
  outcome.code = sessions_.attach(op.id, zxid, op.address, op.ttl_ms, dirty_);
  if (outcome.code == Code::invalid) {
    outcome.detail = refusal_to_open(outcome.code);
    return outcome;
  }
  if (outcome.code != Code::ok) {
    outcome.detail = fmt::format("session {} has ended", op.id);
    outcome.end_reason = sessions_.end_of(op.id);
    return outcome;
  }
  const auto* session = sessions_.find(op.id);
  outcome.result = SessionOpened{session->id, session->secret, session->ttl_ms};
  applied.moved.push_back(op.id);
  return outcome;
}

bool StateMachine::end_session(SessionId id, session::EndReason reason, Applied& applied) {
  if (!sessions_.end(id, reason, dirty_)) return false;
  const bool stay = id <= limits_.defects.orphans_up_to;
  applied.ended.push_back({id, reason, stay ? 0 : tree_.erase_ephemerals(id)});
  return true;
}

Outcome StateMachine::close_session(const Command& command, const CloseSession& op,
                                    Applied& applied) {
  Outcome outcome;
  const auto is_owner = command.session == op.id;
  if (!is_owner && !is_operator(command.identities)) {
    outcome.code = Code::forbidden;
    outcome.detail = "to close a session takes its token or an operator's right";
    return outcome;
  }
  if (is_owner && sessions_.find(op.id) != nullptr && !is_admitted(command, outcome)) {
    return outcome;
  }
  const auto reason = is_owner ? op.reason : session::EndReason::killed;
  if (end_session(op.id, reason, applied)) return outcome;
  outcome.end_reason = sessions_.end_of(op.id);
  outcome.code = outcome.end_reason ? Code::session_expired : Code::not_found;
  outcome.detail = outcome.end_reason ? fmt::format("session {} has ended already", op.id)
                                      : fmt::format("there is no session {}", op.id);
  return outcome;
}

// ---------------------------------------------------------------- checkpoint

Checkpoint StateMachine::take_checkpoint() {
  dirty_.put(Table::meta, kServiceTime, number_record(static_cast<std::uint64_t>(service_ms_)));
  dirty_.put(Table::meta, kNextNode, number_record(tree_.next_node_id().value()));
  Checkpoint checkpoint;
  checkpoint.applied = index_of(applied_);
  checkpoint.applied_term = applied_term_;
  checkpoint.digest = digest();
  checkpoint.records = std::exchange(dirty_, DirtyMap());
  checkpoint.changes = std::exchange(unstored_, {});
  unstored_changes_ = 0;
  unstored_bytes_ = 0;
  return checkpoint;
}

std::string StateMachine::load(Table table, std::string_view key, std::string_view bytes) {
  switch (table) {
    case Table::meta: {
      Reader in(bytes);
      if (key == kServiceTime) {
        service_ms_ = static_cast<std::int64_t>(in.varint());
      } else if (key == kNextNode) {
        tree_.set_next_node_id(NodeId(in.varint()));
      } else {
        return {};  // A named value of another layer.
      }
      return in.done() ? std::string() : fmt::format("the record {} is malformed", key);
    }
    case Table::nodes:
    case Table::acls:
    case Table::quotas:
      return tree_.load(table, key, bytes);
    case Table::sessions:
    case Table::ended:
      return sessions_.load(table, key, bytes);
    case Table::retry:
      return retry_.load(key, bytes);
    case Table::members:
      return load_member(key, bytes);
    case Table::changes:
    case Table::change_paths:
      return {};
  }
  return "a record of an unknown table";
}

std::string StateMachine::load_done(const CheckpointMark& mark) {
  if (auto error = tree_.load_done(); !error.empty()) return error;
  refresh_closed();
  load_deadlines();
  applied_ = zxid_of(mark.applied);
  applied_term_ = mark.applied_term;
  dirty_.clear();
  if (digest() != mark.digest) {
    return fmt::format(
        "the digest of the loaded state is {:016x}, the checkpoint at {} says {:016x}", digest(),
        mark.applied, mark.digest);
  }
  return {};
}

void StateMachine::check_invariants() const {
  tree_.check_invariants();
  sessions_.check_invariants();
  retry_.check_invariants();
}

}  // namespace coord::core
