#include "tests/sim/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "znode/path.hpp"

namespace coord::sim {
namespace {

constexpr std::size_t kWindowTrimStep = 4;

std::string parent_path(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_below(const std::string& path, const std::string& top) {
  if (top == "/") return path != "/";
  return path.size() > top.size() && path.compare(0, top.size(), top) == 0 &&
         path[top.size()] == '/';
}

bool is_service_path(const std::string& path) {
  return path == "/.coord" || is_below(path, "/.coord") || path == "/zookeeper" ||
         is_below(path, "/zookeeper");
}

Blob blob_of(const ModelNode& node) { return node.is_null ? Blob() : Blob(node.value); }

bool is_watched(const watch::Filter& filter, const std::string& path, const std::string& watched) {
  if (!filter.with_system && is_service_path(path) && !is_service_path(watched)) return false;
  switch (filter.depth) {
    case watch::Depth::node:
      return path == watched;
    case watch::Depth::children:
      return path == watched || (path != "/" && parent_path(path) == watched);
    case watch::Depth::subtree:
      return path == watched || is_below(path, watched);
  }
  return false;
}

}  // namespace

Model::Model(const core::StateLimits& limits) : limits_(limits) {
  nodes_.emplace("/", ModelNode());
  for (const auto system_path : znode::kSystemPaths) {
    const std::string path(system_path);
    nodes_.emplace(path, ModelNode());
    auto& parent = nodes_.at(parent_path(path));
    ++parent.stat.num_children;
    --parent.stat.cversion;  // They were made, not created.
  }
  for (const auto& [path, node] : nodes_) versions_[path].push_back({Zxid(), node});
}

// ---------------------------------------------------------------- the past

Model::Node Model::node_at(const std::string& path, Zxid zxid) const {
  const auto at = versions_.find(path);
  if (at == versions_.end()) return std::nullopt;
  const auto& list = at->second;
  const auto after = std::upper_bound(list.begin(), list.end(), zxid,
                                      [](Zxid z, const Version& v) { return z < v.zxid; });
  return after == list.begin() ? std::nullopt : std::prev(after)->node;
}

std::vector<std::string> Model::children_at(const std::string& path, Zxid zxid) const {
  std::vector<std::string> names;
  const std::string prefix = path == "/" ? "/" : path + "/";
  for (auto at = versions_.lower_bound(prefix); at != versions_.end(); ++at) {
    if (at->first.compare(0, prefix.size(), prefix) != 0) break;
    const auto name = at->first.substr(prefix.size());
    if (name.empty() || name.find('/') != std::string::npos) continue;
    if (node_at(at->first, zxid)) names.push_back(name);
  }
  return names;
}

bool Model::was_live_at(SessionId id, Zxid zxid) const {
  const auto at = lives_.find(id);
  if (at == lives_.end() || at->second.first > zxid) return false;
  return !at->second.second || at->second.second > zxid;
}

std::vector<znode::Change> Model::wanted(const watch::Filter& filter, Zxid zxid) const {
  std::vector<znode::Change> found;
  for (const auto& change : at(zxid).changes) {
    if (change.kind == znode::ChangeKind::acl) continue;
    const bool is_wanted =
        std::any_of(filter.paths.begin(), filter.paths.end(),
                    [&](const auto& path) { return is_watched(filter, change.path, path); });
    if (is_wanted) found.push_back(change);
  }
  return found;
}

// ---------------------------------------------------------------- steps

void Model::remember(const std::string& path) {
  const auto at = nodes_.find(path);
  before_.try_emplace(path, at == nodes_.end() ? Node() : Node(at->second));
}

void Model::roll_back() {
  for (auto& [path, node] : before_) {
    if (node) {
      nodes_[path] = *node;
    } else {
      nodes_.erase(path);
    }
  }
  before_.clear();
  changes_.clear();
}

void Model::close_revision() {
  for (const auto& [path, old] : before_) {
    const auto at = nodes_.find(path);
    versions_[path].push_back({zxid_, at == nodes_.end() ? Node() : Node(at->second)});
  }
  before_.clear();
}

void Model::add(const std::string& path, ModelNode node) {
  remember(path);
  const auto above = parent_path(path);
  remember(above);
  auto& parent = nodes_.at(above);
  ++parent.created;
  ++parent.stat.num_children;
  ++parent.stat.cversion;
  parent.stat.pzxid = zxid_;
  node.stat.czxid = node.stat.mzxid = node.stat.pzxid = zxid_;
  node.stat.ctime_ms = node.stat.mtime_ms = command_->wall_ms;
  node.stat.data_length = static_cast<std::uint32_t>(node.value.size());
  node.touched_ms = service_ms_;
  znode::Change change;
  change.kind = znode::ChangeKind::created;
  change.path = path;
  change.value = blob_of(node);
  change.content_type = node.content_type;
  change.stat = node.stat;
  change.session = command_->session;
  changes_.push_back(std::move(change));
  nodes_[path] = std::move(node);
}

void Model::erase(const std::string& path) {
  remember(path);
  const auto above = parent_path(path);
  remember(above);
  const auto& node = nodes_.at(path);
  znode::Change change;
  change.kind = znode::ChangeKind::deleted;
  change.path = path;
  change.prev_value = blob_of(node);
  change.prev_content_type = node.content_type;
  change.stat = change.prev_stat = node.stat;
  change.session = command_->session;
  changes_.push_back(std::move(change));
  nodes_.erase(path);
  auto& parent = nodes_.at(above);
  --parent.stat.num_children;
  ++parent.stat.cversion;
  parent.stat.pzxid = zxid_;
  if (parent.stat.mode == znode::Mode::container) parent.touched_ms = service_ms_;
}

bool Model::has_children(const std::string& path) const {
  return nodes_.at(path).stat.num_children > 0;
}

// The node and all below it, children before their parents, siblings in order.
std::vector<std::string> Model::below(const std::string& path) const {
  std::vector<std::string> children;
  for (auto at = nodes_.upper_bound(path); at != nodes_.end(); ++at) {
    if (is_below(at->first, path) && parent_path(at->first) == path) children.push_back(at->first);
  }
  std::vector<std::string> all;
  for (const auto& child : children) {
    for (auto& one : below(child)) all.push_back(std::move(one));
  }
  all.push_back(path);
  return all;
}

core::Outcome Model::refused(Code code) const {
  Outcome outcome;
  outcome.code = code;
  return outcome;
}

std::optional<Code> Model::guard_code(const std::string& path,
                                      const core::WriteGuard& guard) const {
  const auto at = nodes_.find(path);
  const bool is_guarded = guard.mzxid || guard.version;
  if (at == nodes_.end()) return is_guarded ? Code::precondition_no_node : Code::no_node;
  if (guard.mzxid && *guard.mzxid != at->second.stat.mzxid) return Code::bad_version;
  if (guard.version && *guard.version != at->second.stat.version) return Code::bad_version;
  return std::nullopt;
}

core::Outcome Model::set(const std::string& path, const Blob& value, const std::string& type,
                         const core::WriteGuard& guard) {
  if (const auto code = guard_code(path, guard)) return refused(*code);
  remember(path);
  auto& node = nodes_.at(path);
  znode::Change change;
  change.kind = znode::ChangeKind::changed;
  change.path = path;
  change.prev_value = blob_of(node);
  change.prev_content_type = node.content_type;
  change.prev_stat = node.stat;
  node.value = value.str();
  node.is_null = value.is_null();
  node.content_type = type;
  node.stat.mzxid = zxid_;
  node.stat.mtime_ms = command_->wall_ms;
  node.stat.data_length = static_cast<std::uint32_t>(value.size());
  ++node.stat.version;
  if (node.stat.mode == znode::Mode::ttl) node.touched_ms = service_ms_;
  change.value = value;
  change.content_type = type;
  change.stat = node.stat;
  change.session = command_->session;
  changes_.push_back(std::move(change));
  Outcome outcome;
  outcome.result = core::Written{path, node.stat, false, std::nullopt};
  return outcome;
}

// ---------------------------------------------------------------- operations

core::Outcome Model::perform(const core::Create& op) {
  if (op.mode == znode::Mode::ephemeral && op.ttl_ms <= 0 && !command_->session) {
    return refused(Code::session_required);
  }
  std::string path = op.path;
  const auto above = parent_path(path);
  std::vector<std::string> missing;
  auto deepest = above;
  while (!nodes_.contains(deepest)) {
    missing.push_back(deepest);
    deepest = parent_path(deepest);
  }
  if (!missing.empty() && !op.with_parents) return refused(Code::no_node);
  if (op.is_sequential) {
    path += fmt::format("{:010}", missing.empty() ? nodes_.at(above).created : 0);
  }
  if (nodes_.contains(path)) return refused(Code::node_exists);
  if (nodes_.at(deepest).stat.mode == znode::Mode::ephemeral) {
    return refused(Code::no_children_for_ephemerals);
  }
  std::reverse(missing.begin(), missing.end());
  for (const auto& parent : missing) {
    ModelNode node;
    node.is_null = true;
    add(parent, std::move(node));
  }
  ModelNode node;
  node.value = op.value.str();
  node.is_null = op.value.is_null();
  node.content_type = op.content_type;
  node.stat.mode = op.ttl_ms > 0 ? znode::Mode::ttl : op.mode;
  node.stat.ttl_ms = op.ttl_ms;
  if (node.stat.mode == znode::Mode::ephemeral) node.stat.ephemeral_owner = command_->session;
  add(path, std::move(node));
  Outcome outcome;
  outcome.result = core::Written{path, nodes_.at(path).stat, true, std::nullopt};
  return outcome;
}

core::Outcome Model::perform(const core::Put& op) {
  const auto at = nodes_.find(op.path);
  if (at == nodes_.end()) {
    if (op.guard.mzxid || op.guard.version) return refused(Code::precondition_no_node);
    core::Create create;
    create.path = op.path;
    create.value = op.value;
    create.content_type = op.content_type;
    create.mode = op.mode.value_or(znode::Mode::persistent);
    create.ttl_ms = op.ttl_ms;
    create.with_parents = op.with_parents;
    return perform(create);
  }
  if (op.create_only) return refused(Code::precondition_exists);
  const auto& stat = at->second.stat;
  const auto mode = op.ttl_ms > 0 ? std::optional(znode::Mode::ttl) : op.mode;
  if (mode && *mode != stat.mode) return refused(Code::node_exists);
  if (mode == znode::Mode::ephemeral && stat.ephemeral_owner != command_->session) {
    return refused(Code::node_exists);
  }
  return set(op.path, op.value, op.content_type, op.guard);
}

core::Outcome Model::perform(const core::Set& op) {
  return set(op.path, op.value, op.content_type, op.guard);
}

core::Outcome Model::perform(const core::Add& op) {
  const auto at = nodes_.find(op.path);
  if (at == nodes_.end()) {
    return refused(op.guard.mzxid || op.guard.version ? Code::precondition_no_node : Code::no_node);
  }
  std::int64_t number = 0;
  const auto& text = at->second.value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return refused(Code::invalid);
  number += op.delta;
  const auto type = at->second.content_type;
  auto outcome = set(op.path, Blob(fmt::format("{}", number)), type, op.guard);
  if (auto* written = std::get_if<core::Written>(&outcome.result)) written->number = number;
  return outcome;
}

core::Outcome Model::perform(const core::Delete& op) {
  if (op.path == "/" || znode::is_system(op.path)) return refused(Code::bad_request);
  if (const auto code = guard_code(op.path, op.guard)) return refused(*code);
  if (!op.is_recursive && has_children(op.path)) return refused(Code::not_empty);
  znode::Stat last;
  for (const auto& path : below(op.path)) {
    last = nodes_.at(path).stat;
    erase(path);
  }
  Outcome outcome;
  outcome.result = core::Written{op.path, last, false, std::nullopt};
  return outcome;
}

core::Outcome Model::perform(const core::SetAcl& op) {
  const auto at = nodes_.find(op.path);
  if (at == nodes_.end()) {
    return refused(op.aversion ? Code::precondition_no_node : Code::no_node);
  }
  if (op.aversion && *op.aversion != at->second.stat.aversion) return refused(Code::bad_version);
  remember(op.path);
  znode::Change change;
  change.kind = znode::ChangeKind::acl;
  change.path = op.path;
  change.prev_stat = at->second.stat;
  ++at->second.stat.aversion;
  change.stat = at->second.stat;
  change.session = command_->session;
  changes_.push_back(std::move(change));
  Outcome outcome;
  outcome.result = core::Written{op.path, at->second.stat, false, std::nullopt};
  return outcome;
}

bool Model::holds(const core::Compare& compare) const {
  const auto at = nodes_.find(compare.path);
  const bool is_there = at != nodes_.end();
  if (compare.exists && *compare.exists != is_there) return false;
  if (!is_there) return compare.exists && !compare.mzxid && !compare.version && !compare.value;
  const auto& node = at->second;
  if (compare.mzxid && *compare.mzxid != node.stat.mzxid) return false;
  if (compare.version && *compare.version != node.stat.version) return false;
  return !compare.value || *compare.value == blob_of(node);
}

core::Outcome Model::perform_txn_op(const core::TxnOp& op, core::TxnOpResult& result) {
  result.op = static_cast<std::uint8_t>(op.index());
  const auto read = [&](const std::string& path) -> const ModelNode* {
    const auto at = nodes_.find(path);
    result.path = path;
    if (at == nodes_.end()) return nullptr;
    result.stat = at->second.stat;
    return &at->second;
  };
  return std::visit(
      Overloaded{[&](const core::TxnGet& o) {
                   const auto* node = read(o.path);
                   if (node == nullptr) return refused(Code::no_node);
                   result.value = blob_of(*node);
                   result.content_type = node->content_type;
                   return Outcome();
                 },
                 [&](const core::TxnChildren& o) {
                   if (read(o.path) == nullptr) return refused(Code::no_node);
                   for (const auto& [path, node] : nodes_) {
                     if (!is_below(path, o.path) || parent_path(path) != o.path) continue;
                     if (result.children.size() >= o.limit) break;
                     result.children.push_back(path.substr(path.rfind('/') + 1));
                   }
                   return Outcome();
                 },
                 [&](const core::Check& o) {
                   if (const auto code = guard_code(o.path, o.guard)) return refused(*code);
                   read(o.path);
                   return Outcome();
                 },
                 [&](const auto& o) {
                   auto outcome = perform(o);
                   if (const auto* done = std::get_if<core::Written>(&outcome.result)) {
                     result.path = done->path;
                     result.stat = done->stat;
                   }
                   return outcome;
                 }},
      op);
}

core::Outcome Model::perform(const core::Txn& op) {
  core::TxnResult txn;
  txn.succeeded = std::all_of(op.compare.begin(), op.compare.end(),
                              [this](const auto& compare) { return holds(compare); });
  const auto& branch = txn.succeeded ? op.then : op.otherwise;
  Outcome outcome;
  for (std::uint32_t i = 0; i < branch.size(); ++i) {
    core::TxnOpResult result;
    const auto one = perform_txn_op(branch[i], result);
    if (one.code != Code::ok) {
      outcome.code = one.code;
      txn.failed_op = i;
      txn.results.clear();
      break;
    }
    txn.results.push_back(std::move(result));
  }
  outcome.result = std::move(txn);
  return outcome;
}

// ---------------------------------------------------------------- entries

bool Model::end_session(SessionId id) {
  if (sessions_.erase(id) == 0) return false;
  lives_.at(id).second = zxid_;
  std::vector<std::string> owned;
  for (const auto& [path, node] : nodes_) {
    if (node.stat.ephemeral_owner == id) owned.push_back(path);
  }
  for (const auto& path : owned) erase(path);
  return true;
}

// A fenced write is told that its fence is stale before it is told that its session has ended.
bool Model::is_admitted(const core::Command& command, Outcome& outcome) const {
  if (command.fences.empty()) return true;
  COORD_CHECK(recipes_ != nullptr, "only clients of recipes have fences");
  if (!recipes_->holds(command.fences)) {
    outcome.code = Code::fence_stale;
  } else if (command.session && !sessions_.contains(command.session)) {
    outcome.code = Code::session_expired;
  }
  return outcome.code == Code::ok;
}

void Model::note_fenced(const core::Command& command, const Outcome& outcome) {
  if (outcome.code != Code::ok || !std::holds_alternative<core::Put>(command.op)) return;
  for (const auto& fence : command.fences) recipes_->on_fenced_write(fence);
}

void Model::take_step(const core::Command& command, Outcome& outcome) {
  COORD_CHECK(recipes_ != nullptr, "no client takes part in a recipe");
  if (command.session && !sessions_.contains(command.session)) {
    outcome = refused(Code::session_expired);
    return;
  }
  outcome = followed_->outcome;
  for (const auto id : followed_->opened) {
    const auto& op = std::get<core::RecipeStep>(command.op);
    sessions_.emplace(id, Session{op.own_session->ttl_ms});
    lives_.emplace(id, std::pair(zxid_, Zxid()));
  }
  for (const auto& ended : followed_->ended) end_session(ended.id);
}

void Model::run(const core::Command& command, ModelEntry& entry) {
  auto& outcome = entry.outcome;
  std::visit(
      Overloaded{
          [&](const core::OpenSession& op) {
            const SessionId id(zxid_.value());
            sessions_.emplace(id, Session{op.ttl_ms});
            lives_.emplace(id, std::pair(zxid_, Zxid()));
            outcome.result = core::SessionOpened{id, op.secret, op.ttl_ms};
          },
          [&](const core::CloseSession& op) {
            if (command.session != op.id) {
              outcome = refused(Code::forbidden);
            } else if (!end_session(op.id)) {
              outcome = refused(lives_.contains(op.id) ? Code::session_expired : Code::not_found);
            }
          },
          [&](const core::ExpireSessions& op) {
            for (const auto id : op.sessions) {
              if (end_session(id)) entry.expired.push_back(id);
            }
          },
          [&](const core::Reap& op) {
            for (const auto& path : op.paths) {
              const auto at = nodes_.find(path);
              if (at == nodes_.end() || has_children(path)) continue;
              const auto& node = at->second;
              const bool is_container = node.stat.mode == znode::Mode::container;
              if (!is_container && node.stat.mode != znode::Mode::ttl) continue;
              if (is_container && node.created == 0) continue;
              const auto wait = is_container ? limits_.tree.container_grace_ms : node.stat.ttl_ms;
              if (node.touched_ms + wait <= service_ms_) erase(path);
            }
          },
          [](const core::Bootstrap&) {}, [](const core::SetMember&) {},
          [&](const core::SetQuota&) { COORD_CHECK(false, "no client sets quotas"); },
          [&](const core::AttachSession&) { COORD_CHECK(false, "no client attaches a session"); },
          [&](const core::BeginImport&) { COORD_CHECK(false, "nobody imports"); },
          [&](const core::ImportNodes&) { COORD_CHECK(false, "nobody imports"); },
          [&](const core::FinishImport&) { COORD_CHECK(false, "nobody imports"); },
          [&](const core::RecipeStep&) { take_step(command, outcome); },
          [&](const core::RecipesDue&) {
            COORD_CHECK(recipes_ != nullptr, "no recipe has anything due");
          },
          [&](const auto& op) {
            if (command.session && !sessions_.contains(command.session)) {
              outcome = refused(Code::session_expired);
              return;
            }
            outcome = perform(op);
            if (outcome.code != Code::ok) roll_back();
          }},
      command.op);
}

const ModelEntry& Model::apply(const election::LogEntry& log_entry) {
  zxid_ = applied().next();
  COORD_CHECK(zxid_of(log_entry.index) == zxid_, "the model applies in order");
  auto& entry = entries_.emplace_back();
  entry.outcome.revision = zxid_;
  if (log_entry.kind != election::EntryKind::command) {
    if (recipes_ != nullptr) recipes_->apply(log_entry, nullptr);
    return entry;
  }
  entry.is_command = true;
  COORD_CHECK(core::decode(log_entry.payload, entry.command) == core::DecodeError::none,
              "a committed command decodes", log_entry.index);
  const auto& command = entry.command;
  for (const auto& identity : command.identities) {
    if (identity.scheme == kTokenScheme) {
      entry.token = std::strtoull(identity.id.c_str(), nullptr, 10);
    }
  }
  command_ = &command;
  // Before the entry: what a fence is held against.
  Outcome refusal;
  const bool is_admitted_here = is_admitted(command, refusal);
  if (recipes_ != nullptr) followed_ = &recipes_->apply(log_entry, &command);
  service_ms_ = std::max(service_ms_, command.service_ms);
  const auto& limits = limits_.retry;
  for (std::size_t i = 0; i < kWindowTrimStep && !window_.empty(); ++i) {
    const bool is_old = service_ms_ - window_.front().service_ms > limits.age_ms;
    const bool leaves =
        window_.size() > limits.entries_max || (window_.size() > limits.entries_kept && is_old);
    if (!leaves) break;
    window_.pop_front();
  }
  const bool has_lost_session = command.session && !sessions_.contains(command.session);
  const auto run_here = [&] {
    if (is_admitted_here) {
      run(command, entry);
      note_fenced(command, entry.outcome);
    } else {
      entry.outcome = refused(refusal.code);
    }
  };
  if (!command.fences.empty() && has_lost_session) {
    entry.outcome = refused(refusal.code);
  } else if (command.idempotency_key.empty()) {
    run_here();
  } else {
    std::string scope = fmt::format("session {}", command.session);
    if (!command.session) scope = "identity " + command.identities.front().id;
    const std::pair key(scope, command.idempotency_key);
    const auto seen = std::find_if(window_.begin(), window_.end(),
                                   [&](const auto& one) { return one.key == key; });
    if (seen == window_.end()) {
      run_here();
      entry.outcome.revision = zxid_;
      window_.push_back({key, service_ms_, command.request_hash, entry.outcome});
    } else if (seen->hash != command.request_hash) {
      entry.outcome = refused(Code::idempotency_mismatch);
      entry.outcome.revision = zxid_;
      return entry;
    } else {
      entry.outcome = seen->outcome;
      entry.outcome.was_applied_before = true;
      return entry;
    }
  }
  entry.outcome.revision = zxid_;
  close_revision();
  entry.changes = std::exchange(changes_, {});
  return entry;
}

}  // namespace coord::sim
