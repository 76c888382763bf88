// What the service answered, held against the model at the revision that the answer names.
#include <fmt/format.h>

#include <algorithm>

#include "coord/base/overloaded.hpp"
#include "tests/sim/checker.hpp"

namespace coord::sim {
namespace {

bool is_same(const core::Written& a, const core::Written& b) {
  return a.path == b.path && a.stat == b.stat && a.created == b.created && a.number == b.number;
}

bool is_same(const core::TxnResult& a, const core::TxnResult& b) {
  const auto same = [](const core::TxnOpResult& x, const core::TxnOpResult& y) {
    return x.op == y.op && x.code == y.code && x.path == y.path && x.stat == y.stat &&
           x.value == y.value && x.content_type == y.content_type && x.children == y.children;
  };
  return a.succeeded == b.succeeded && a.failed_op == b.failed_op &&
         std::equal(a.results.begin(), a.results.end(), b.results.begin(), b.results.end(), same);
}

bool is_same(const core::ResultValue& got, const core::ResultValue& want) {
  if (got.index() != want.index()) return false;
  return std::visit(
      Overloaded{
          [](std::monostate) { return true; },
          [&](const core::Written& w) { return is_same(w, std::get<core::Written>(want)); },
          [&](const core::TxnResult& t) { return is_same(t, std::get<core::TxnResult>(want)); },
          [&](const core::SessionOpened& s) {
            const auto& other = std::get<core::SessionOpened>(want);
            return s.id == other.id && s.ttl_ms == other.ttl_ms && s.secret == other.secret;
          },
          [&](const core::RecipeResult& r) {
            const auto& other = std::get<core::RecipeResult>(want);
            const bool is_same_session = r.opened.has_value() == other.opened.has_value() &&
                                         (!r.opened || (r.opened->id == other.opened->id &&
                                                        r.opened->secret == other.opened->secret));
            return r.answer == other.answer && is_same_session;
          },
          [](const auto&) { return false; }},
      got);
}

// What a member may say of a write before it is in the log.
bool is_at_the_door(Code code) {
  switch (code) {
    case Code::no_leader:
    case Code::overloaded:
    case Code::disk_full:
    case Code::session_expired:
    case Code::not_found:
    case Code::behind:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Checker::check_write(std::uint64_t token, const core::Reply& reply) {
  const auto revision = reply.revision;
  if (reply.code == Code::diverged) return world_.fail(8, "a member says that its state differs");
  if (revision > model_.applied()) {
    return world_.fail(5, fmt::format("a write is answered at {} before it is applied", revision));
  }
  const bool has_entry = revision && model_.at(revision).token == token;
  const bool is_monostate = std::holds_alternative<std::monostate>(reply.result);
  if (has_entry) {
    const auto& want = model_.at(revision).outcome;
    if (want.code == reply.code && is_same(reply.result, want.result)) return;
    // A retry may be refused at the very revision of the first attempt.
    if (tokens_[token].sent < 2 || !is_at_the_door(reply.code) || !is_monostate) {
      const bool is_again = want.was_applied_before && !reply.was_applied_before;
      return world_.fail(
          is_again ? 13 : 8,
          fmt::format("the write at {} is answered {}, and is {}{}", revision, reply.code,
                      want.code, is_again ? ": it took effect again" : ""));
    }
  }
  if (!is_at_the_door(reply.code) || !is_monostate) {
    return world_.fail(13, fmt::format("the answer {} at {} belongs to no entry of the request",
                                       reply.code, revision));
  }
  on_refused(token);
}

bool Checker::is_same_node(const core::NodeValue& got, const Model::Node& want,
                           bool with_value) const {
  if (!want || got.stat != want->stat) return false;
  if (!with_value) return true;
  return got.value.is_null() == want->is_null && got.value.view() == want->value &&
         got.content_type == want->content_type;
}

void Checker::check_read(const core::Request& request, const core::Reply& reply) {
  if (reply.revision > model_.applied()) {
    return world_.fail(
        11, fmt::format("a read is of {}, only {} is applied", reply.revision, model_.applied()));
  }
  if (reply.code == Code::compacted) return world_.count(Count::read_compacted);
  if (reply.code != Code::ok && reply.code != Code::no_node && reply.code != Code::not_found) {
    return;
  }
  std::visit(
      Overloaded{[&](const core::Get& op) { check_get(op, reply); },
                 [&](const core::GetChildren& op) { check_children(op, reply); },
                 [&](const core::Walk& op) { check_walk(op, reply); },
                 [&](const core::GetHistory& op) { check_history(op, reply); },
                 [&](const core::GetChanges& op) { check_changes(op, reply); }, [](const auto&) {}},
      request.op);
}

void Checker::check_get(const core::Get& op, const core::Reply& reply) {
  const auto at = op.at.value_or(reply.revision);
  if (op.at) world_.count(Count::read_past);
  if (op.at && reply.code == Code::not_found) {
    // The revision did not exist yet when it was served.
    if (*op.at <= reply.revision) world_.fail(11, fmt::format("{} is not found", *op.at));
    return;
  }
  const auto want = model_.node_at(op.path, at);
  if (reply.code == Code::no_node) {
    if (want) world_.fail(11, fmt::format("{} is not there at {}, but was", op.path, at));
    return;
  }
  const auto* found = std::get_if<core::NodeValue>(&reply.result);
  auto got = found == nullptr ? core::NodeValue() : *found;
  if (op.at && want) {
    // What the past keeps of a node is its value and what came with it, not its children and ACL.
    got.stat.pzxid = want->stat.pzxid;
    got.stat.cversion = want->stat.cversion;
    got.stat.num_children = want->stat.num_children;
    got.stat.aversion = want->stat.aversion;
  }
  if (found == nullptr || !is_same_node(got, want, op.with_value)) {
    world_.fail(11, fmt::format("{} at {} is read as '{:.20}', and was '{:.20}'", op.path, at,
                                got.value.view(), want ? want->value : "not there"));
  }
}

void Checker::check_children(const core::GetChildren& op, const core::Reply& reply) {
  const auto parent = model_.node_at(op.path, reply.revision);
  if (reply.code == Code::no_node) {
    if (parent) world_.fail(11, fmt::format("{} is not listed", op.path));
    return;
  }
  auto want = model_.children_at(op.path, reply.revision);
  std::erase_if(want, [&](const auto& name) {
    const bool is_system = op.path == "/" && (name == ".coord" || name == "zookeeper");
    return is_system || name <= op.after || name.compare(0, op.prefix.size(), op.prefix) != 0;
  });
  const bool is_last = want.size() <= op.limit;
  if (!is_last) want.resize(op.limit);
  const auto* got = std::get_if<core::ChildList>(&reply.result);
  const bool is_same =
      got != nullptr && parent && got->stat == parent->stat && got->is_last == is_last &&
      std::equal(got->children.begin(), got->children.end(), want.begin(), want.end(),
                 [](const auto& child, const auto& name) { return child.name == name; });
  if (!is_same) {
    world_.fail(11, fmt::format("the children of {} at {} are wrong", op.path, reply.revision));
  }
}

void Checker::check_walk(const core::Walk& op, const core::Reply& reply) {
  const auto top = model_.node_at(op.path, reply.revision);
  if (reply.code == Code::no_node) {
    if (top) world_.fail(11, fmt::format("{} is not walked", op.path));
    return;
  }
  const auto* got = std::get_if<core::WalkList>(&reply.result);
  if (got == nullptr || !top) {
    return world_.fail(11, fmt::format("{} is walked and not there", op.path));
  }
  std::size_t want = 0;
  std::vector<std::string> left{op.path};
  while (!left.empty()) {
    const auto path = left.back();
    left.pop_back();
    ++want;
    for (const auto& name : model_.children_at(path, reply.revision)) {
      left.push_back(path == "/" ? "/" + name : path + "/" + name);
    }
  }
  const bool is_same = std::all_of(got->nodes.begin(), got->nodes.end(), [&](const auto& one) {
    return is_same_node(one.node, model_.node_at(one.path, reply.revision), op.with_values);
  });
  if (!is_same || got->nodes.size() != want) {
    world_.fail(11, fmt::format("the walk of {} at {} is wrong", op.path, reply.revision));
  }
}

void Checker::check_history(const core::GetHistory& op, const core::Reply& reply) {
  const auto* got = std::get_if<core::HistoryList>(&reply.result);
  if (got == nullptr) return;
  std::size_t at = 0;
  auto last = op.before ? std::min(op.before.previous(), reply.revision) : reply.revision;
  for (auto zxid = last; zxid && at < got->entries.size(); zxid = zxid.previous()) {
    const auto& changes = model_.at(zxid).changes;
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
      if (change->path != op.path) continue;
      if (at < got->entries.size() && got->entries[at].zxid == zxid &&
          got->entries[at].change == *change) {
        ++at;
        continue;
      }
      return world_.fail(11, fmt::format("the history of {} lacks or changes {}", op.path, zxid));
    }
    last = zxid.previous();
  }
  if (at < got->entries.size()) {
    return world_.fail(11, fmt::format("the history of {} has more than was", op.path));
  }
  if (!got->is_last) return;
  for (auto zxid = last; zxid && zxid >= got->oldest; zxid = zxid.previous()) {
    for (const auto& change : model_.at(zxid).changes) {
      if (change.path == op.path) {
        return world_.fail(11, fmt::format("the history of {} ends before {}", op.path, zxid));
      }
    }
  }
}

void Checker::check_changes(const core::GetChanges& op, const core::Reply& reply) {
  const auto* got = std::get_if<core::HistoryList>(&reply.result);
  if (got == nullptr) return;
  watch::Filter everything;
  everything.paths = {"/"};
  everything.depth = watch::Depth::subtree;
  everything.with_system = op.with_system;
  std::size_t at = 0;
  for (auto zxid = op.from.next(); zxid <= reply.revision; zxid = zxid.next()) {
    if (at == got->entries.size() && !got->is_last) return;
    for (const auto& change : model_.wanted(everything, zxid)) {
      if (at < got->entries.size() && got->entries[at].zxid == zxid &&
          got->entries[at].change == change) {
        ++at;
        continue;
      }
      return world_.fail(11, fmt::format("the changes from {} lack {}", op.from, zxid));
    }
  }
  if (at < got->entries.size()) {
    world_.fail(11, fmt::format("the changes from {} have more than was", op.from));
  }
}

}  // namespace coord::sim
