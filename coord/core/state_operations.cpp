// What each operation of a command does to the tree: the bodies of StateMachine::perform().
#include <charconv>
#include <limits>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/core/state_machine.hpp"

namespace coord::core {
namespace {

znode::Guard guard_of(const WriteGuard& guard) { return {guard.mzxid, guard.version}; }

// A refusal in core's terms: a guard's or an existing node's stat goes along for the answer.
Outcome refused(znode::Outcome&& from) {
  Outcome outcome;
  outcome.code = from.code;
  outcome.detail = std::move(from.detail);
  outcome.path = std::move(from.path);
  if (from.code == Code::bad_version || from.code == Code::node_exists) {
    outcome.present = from.stat;
  }
  return outcome;
}

Outcome written(znode::Outcome&& from, bool created) {
  if (from.code != Code::ok) return refused(std::move(from));
  Outcome outcome;
  outcome.path = from.path;
  outcome.result = Written{std::move(from.path), from.stat, created, std::nullopt};
  return outcome;
}

bool parse_number(std::string_view text, std::int64_t& number) {
  const auto* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end && !text.empty();
}

}  // namespace

Outcome StateMachine::perform(const Command& command, const Put& op) {
  auto outcome = put(command, op);
  if (outcome.code == Code::ok) follow_quota_node(op.path, command.identities);
  return outcome;
}

Outcome StateMachine::put(const Command& command, const Put& op) {
  const auto there = tree_.get(op.path);
  if (!there) {
    if (op.guard.mzxid || op.guard.version) {
      return refusal(Code::precondition_no_node, op.path,
                     "there is no such node, and a guarded write never creates");
    }
    znode::CreateOptions options;
    options.mode = op.ttl_ms > 0 ? znode::Mode::ttl : op.mode.value_or(znode::Mode::persistent);
    options.with_parents = op.with_parents;
    options.ttl_ms = op.ttl_ms;
    options.content_type = op.content_type;
    return written(tree_.create(op.path, op.value, std::move(options), command.identities), true);
  }
  if (op.create_only) {
    auto outcome = refusal(Code::precondition_exists, op.path, "the node exists already");
    outcome.present = there->stat;
    return outcome;
  }
  const auto wanted = op.ttl_ms > 0 ? std::optional(znode::Mode::ttl) : op.mode;
  const auto is_foreign =
      wanted == znode::Mode::ephemeral && there->stat.ephemeral_owner != command.session;
  if (wanted && (*wanted != there->stat.mode || is_foreign)) {
    auto outcome = refusal(Code::node_exists, op.path,
                           is_foreign && there->stat.mode == znode::Mode::ephemeral
                               ? "the node is an ephemeral of another session"
                               : "the node exists with another mode");
    outcome.present = there->stat;
    return outcome;
  }
  return written(
      tree_.set(op.path, op.value, op.content_type, guard_of(op.guard), command.identities), false);
}

Outcome StateMachine::perform(const Command& command, const Create& op) {
  znode::CreateOptions options;
  options.mode = op.ttl_ms > 0 ? znode::Mode::ttl : op.mode;
  options.is_sequential = op.is_sequential;
  options.with_parents = op.with_parents;
  options.ttl_ms = op.ttl_ms;
  options.content_type = op.content_type;
  if (op.acl) {
    auto acl = *op.acl;
    auto error = znode::resolve_acl(acl, command.identities, limits_.tree.acl_entries_max);
    if (!error.empty()) return refusal(Code::invalid, op.path, std::move(error));
    options.acl = std::move(acl);
  }
  auto outcome =
      written(tree_.create(op.path, op.value, std::move(options), command.identities), true);
  if (outcome.code == Code::ok) follow_quota_node(outcome.path, command.identities);
  return outcome;
}

Outcome StateMachine::perform(const Command& command, const Set& op) {
  auto outcome = written(
      tree_.set(op.path, op.value, op.content_type, guard_of(op.guard), command.identities), false);
  if (outcome.code == Code::ok) follow_quota_node(op.path, command.identities);
  return outcome;
}

Outcome StateMachine::perform(const Command& command, const Add& op) {
  const auto there = tree_.get(op.path);
  if (!there) {
    const auto code =
        op.guard.mzxid || op.guard.version ? Code::precondition_no_node : Code::no_node;
    return refusal(code, op.path, "there is no such node");
  }
  if (const auto code = tree_.check_access(op.path, znode::Permission::read, command.identities);
      code != Code::ok) {
    return refusal(code, op.path, "reading the number is not allowed");
  }
  const auto guard = guard_of(op.guard);
  if (auto checked = tree_.check(op.path, guard, command.identities); checked.code != Code::ok) {
    return refused(std::move(checked));  // A guard says first what it has to say.
  }
  std::int64_t number = 0;
  if (!parse_number(there->value, number)) {
    return refusal(Code::invalid, op.path, "the value is not a signed 64-bit decimal");
  }
  using Limits = std::numeric_limits<std::int64_t>;
  if (op.delta > 0 ? number > Limits::max() - op.delta : number < Limits::min() - op.delta) {
    return refusal(Code::invalid, op.path, fmt::format("{} {:+} overflows", number, op.delta));
  }
  number += op.delta;
  const std::string type(there->content_type);
  auto outcome = written(
      tree_.set(op.path, Blob(fmt::format("{}", number)), type, guard, command.identities), false);
  if (auto* result = std::get_if<Written>(&outcome.result)) result->number = number;
  return outcome;
}

Outcome StateMachine::perform(const Command& command, const Delete& op) {
  const auto guard = guard_of(op.guard);
  const auto limits = quota_nodes_of(op);
  auto outcome = written(op.is_recursive ? tree_.erase_tree(op.path, guard, command.identities)
                                         : tree_.erase(op.path, guard, command.identities),
                         false);
  if (outcome.code != Code::ok) return outcome;
  for (const auto& path : limits) follow_quota_node(path, command.identities);
  return outcome;
}

Outcome StateMachine::perform(const Command& command, const SetAcl& op) {
  auto acl = op.acl;
  auto error = znode::resolve_acl(acl, command.identities, limits_.tree.acl_entries_max);
  if (!error.empty()) return refusal(Code::invalid, op.path, std::move(error));
  return written(tree_.set_acl(op.path, acl, op.aversion, command.identities), false);
}

Outcome StateMachine::perform(const Command& command, const SetQuota& op) {
  std::optional<znode::Quota> quota;
  if (op.nodes_max || op.bytes_max) quota = znode::Quota{op.nodes_max, op.bytes_max};
  return written(tree_.set_quota(op.path, quota, command.identities), false);
}

// ---------------------------------------------------------------- transactions

bool StateMachine::holds(const Command& command, const Compare& compare, Outcome& refused) const {
  if (compare.fence) return holds(*compare.fence);
  const auto there = tree_.get(compare.path);
  if (compare.exists && *compare.exists != there.has_value()) return false;
  if (!there) return !compare.mzxid && !compare.version && !compare.value && compare.exists;
  if (tree_.check_access(compare.path, znode::Permission::read, command.identities) != Code::ok) {
    refused = refusal(Code::forbidden, compare.path, "comparing takes the right to read");
    return false;
  }
  if (compare.mzxid && *compare.mzxid != there->stat.mzxid) return false;
  if (compare.version && *compare.version != there->stat.version) return false;
  if (compare.value) {
    if (compare.value->is_null() != there->is_null) return false;
    if (compare.value->view() != there->value) return false;
  }
  return true;
}

TxnOpResult StateMachine::perform_op(const Command& command, const TxnOp& op, std::string& detail) {
  TxnOpResult result;
  result.op = static_cast<std::uint8_t>(op.index());
  const auto take = [&](Outcome&& outcome) {
    result.code = outcome.code;
    result.path = std::move(outcome.path);
    detail = std::move(outcome.detail);
    if (auto* done = std::get_if<Written>(&outcome.result)) result.stat = done->stat;
    if (outcome.present) result.stat = *outcome.present;
  };
  const auto readable = [&](const std::string& path) {
    result.path = path;
    result.code = tree_.check_access(path, znode::Permission::read, command.identities);
    if (result.code == Code::no_node) detail = "there is no such node";
    if (result.code == Code::forbidden) detail = "reading is not allowed";
    return result.code == Code::ok;
  };
  std::visit(Overloaded{[&](const TxnGet& o) {
                          if (!readable(o.path)) return;
                          const auto view = tree_.get(o.path);
                          result.stat = view->stat;
                          result.value = tree_.value_of(o.path);
                          result.content_type = view->content_type;
                        },
                        [&](const TxnChildren& o) {
                          if (!readable(o.path)) return;
                          result.stat = tree_.get(o.path)->stat;
                          const auto most =
                              std::min<std::size_t>(o.limit, limits_.requests.list_limit_max);
                          tree_.children(o.path, {}, {}, [&](std::string_view name, const auto&) {
                            if (result.children.size() >= most) return false;
                            result.children.emplace_back(name);
                            return true;
                          });
                        },
                        [&](const Check& o) {
                          auto checked = tree_.check(o.path, guard_of(o.guard), command.identities);
                          result.path = o.path;
                          result.stat = checked.stat;
                          result.code = checked.code;
                          detail = std::move(checked.detail);
                        },
                        [&](const auto& o) { take(perform(command, o)); }},
             op);
  return result;
}

Outcome StateMachine::perform(const Command& command, const Txn& op) {
  Outcome outcome;
  TxnResult txn;
  txn.succeeded = true;
  for (const auto& compare : op.compare) {
    if (!holds(command, compare, outcome)) txn.succeeded = false;
    if (outcome.code != Code::ok) return outcome;
    if (!txn.succeeded) break;
  }
  const auto& branch = txn.succeeded ? op.then : op.otherwise;
  std::string detail;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < branch.size(); ++i) {
    auto result = perform_op(command, branch[i], detail);
    bytes += result.value.size();
    for (const auto& child : result.children) bytes += child.size();
    if (bytes > kTxnResultBytesMax) {
      result.code = Code::too_large;
      detail = fmt::format("what a transaction reads is at most {} bytes", kTxnResultBytesMax);
    }
    if (result.code != Code::ok) {
      outcome.code = result.code;
      outcome.detail = std::move(detail);
      outcome.path = result.path;
      if (result.code == Code::bad_version || result.code == Code::node_exists) {
        outcome.present = result.stat;
      }
      txn.failed_op = static_cast<std::uint32_t>(i);
      txn.results.clear();
      break;
    }
    txn.results.push_back(std::move(result));
  }
  outcome.result = std::move(txn);
  return outcome;
}

}  // namespace coord::core
