// Node's requests: writes, sessions, reads and what they wait for.
#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/core/node.hpp"
#include "coord/core/reads.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

constexpr std::size_t kEphemeralsListed = 1'000;
// What one question to the store brings at most.
constexpr std::size_t kStorePageBytes = 1 * kMiB;

bool is_listed(const znode::Change& change, bool with_system) {
  return change.kind != znode::ChangeKind::acl && (with_system || !znode::is_system(change.path));
}

std::string sequential_path_error(std::string_view path, const TreeLimits& limits) {
  // "/a/" names the parent alone: the suffix is then the whole name.
  if (path == "/") return {};
  if (path.ends_with('/')) path.remove_suffix(1);
  return znode::path_error(path, limits);
}

}  // namespace

// ---------------------------------------------------------------- admission

Reply Node::reply_to(const Request& request) const {
  Reply reply;
  reply.connection = request.connection;
  reply.id = request.id;
  reply.revision = state_.applied();
  reply.consistency = request.consistency;
  if (request.consistency == Consistency::local) reply.staleness_ms = staleness_ms();
  return reply;
}

void Node::refuse(const Request& request, Code code, std::string detail) {
  auto reply = reply_to(request);
  reply.code = code;
  reply.detail = std::move(detail);
  reply.leader = raft_.leader();
  deliver(std::move(reply));
}

Code Node::check_session(const SessionCredential& session, Reply& reply) const {
  const auto code = state_.sessions().check(session.id, session.secret);
  switch (code) {
    case Code::ok:
      break;
    case Code::bad_session_secret:
      reply.detail = "the session's secret is wrong";
      break;
    case Code::session_expired:
      reply.end_reason = state_.sessions().end_of(session.id);
      reply.detail = fmt::format("session {} has ended", session.id);
      break;
    default:
      reply.detail = fmt::format("there is no session {}", session.id);
      break;
  }
  return code;
}

bool Node::is_admitted(const Request& request, Reply& reply) const {
  for (const auto& named : paths_of(request.op)) {
    auto error = named.is_prefix ? sequential_path_error(named.path, state_.limits().tree)
                                 : znode::path_error(named.path, state_.limits().tree);
    if (error.empty()) continue;
    const bool is_long = named.path.size() > state_.limits().tree.path_bytes_max;
    reply.code = is_long ? Code::too_large : Code::bad_request;
    reply.path = is_long ? std::string() : std::string(named.path);
    reply.detail = std::move(error);
    return false;
  }
  const auto& limits = options_.requests;
  if (const auto* txn = std::get_if<Txn>(&request.op)) {
    if (std::max({txn->compare.size(), txn->then.size(), txn->otherwise.size()}) >
        limits.txn_ops_max) {
      reply.code = Code::too_large;
      reply.detail = fmt::format("a transaction has at most {} operations", limits.txn_ops_max);
      return false;
    }
  }
  if (request.identities.size() > limits.identities_max ||
      request.fences.size() > limits.fences_max) {
    reply.code = Code::too_large;
    reply.detail = fmt::format("a request has at most {} identities and {} fences",
                               limits.identities_max, limits.fences_max);
    return false;
  }
  if (!request.session) return true;
  reply.code = check_session(*request.session, reply);
  return reply.code == Code::ok;
}

void Node::touch(SessionId id) {
  if (!was_leader_ || expiring_.contains(id)) return;
  if (const auto* session = state_.sessions().find(id)) {
    expiry_.touch(id, session->ttl_ms, now_.mono_ms);
  }
}

std::int64_t Node::service_now() const noexcept {
  return std::max(state_.service_ms(), service_base_ms_ + (now_.mono_ms - mono_base_ms_));
}

std::int64_t Node::staleness_ms() const noexcept { return now_.mono_ms - fresh_ms_; }

// ---------------------------------------------------------------- writes

void Node::write(Request&& request) {
  auto reply = reply_to(request);
  if (!is_admitted(request, reply)) {
    deliver(std::move(reply));
    return;
  }
  if (raft_.role() != election::Role::leader) {
    refuse(request, Code::no_leader, "there is no leader to order the write");
    return;
  }
  if (request.session) touch(request.session->id);
  if (is_disk_full_) {
    refuse(request, Code::disk_full, "the disk of the log is full; nothing was written");
    return;
  }
  if (pending_.size() + delayed_writes_.size() >= options_.requests.pending_max) {
    refuse(request, Code::overloaded, "too many writes wait already");
    return;
  }
  const auto deadline = now_.mono_ms + request.timeout_ms;
  if (is_backlogged()) {
    delayed_writes_.emplace_back(std::move(request), deadline);
    return;
  }
  Command command;
  command.service_ms = service_now();
  command.wall_ms = now_.wall_ms;
  if (request.session) command.session = request.session->id;
  command.identities = std::move(request.identities);
  command.idempotency_key = std::move(request.idempotency_key);
  command.request_hash = request.request_hash;
  command.fences = std::move(request.fences);
  command.op = write_op_of(std::move(request.op));
  const auto proposed = raft_.propose(election::EntryKind::command, encode(command));
  if (const auto* at = std::get_if<election::Proposed>(&proposed)) {
    pending_.add(at->index, {request.connection, request.id, deadline});
    return;
  }
  switch (std::get<election::ProposeError>(proposed)) {
    case election::ProposeError::not_leader:
      refuse(request, Code::no_leader, "this member is not the leader any more");
      return;
    case election::ProposeError::overloaded:
      refuse(request, Code::overloaded, "too many bytes wait to be committed");
      return;
    case election::ProposeError::transferring:
      refuse(request, Code::no_leader, "leadership is being handed over");
      return;
  }
}

void Node::propose(WriteOp op) {
  Command command;
  command.service_ms = service_now();
  command.wall_ms = now_.wall_ms;
  command.op = std::move(op);
  // Refused only when leadership is going: the next leader proposes it again.
  (void)raft_.propose(election::EntryKind::command, encode(command));
}

// ---------------------------------------------------------------- reads

void Node::read(Request&& request) {
  auto reply = reply_to(request);
  const auto* keep = std::get_if<Keepalive>(&request.op);
  if (keep == nullptr && !is_admitted(request, reply)) {
    deliver(std::move(reply));
    return;
  }
  if (request.session && keep == nullptr) touch(request.session->id);
  if (std::holds_alternative<GetStatus>(request.op)) {
    reply.result = status();
    deliver(std::move(reply));
    return;
  }
  if (keep != nullptr || request.consistency == Consistency::linearizable) {
    wait_for_grant(std::move(request));
    return;
  }
  if (request.consistency == Consistency::leader) {
    if (raft_.has_lease(now_.mono_ms)) {
      park(raft_.committed(), std::move(request));
    } else {
      wait_for_grant(std::move(request));
    }
    return;
  }
  if (request.max_staleness_ms && staleness_ms() > *request.max_staleness_ms) {
    refuse(request, Code::stale, fmt::format("this member may be {} ms behind", staleness_ms()));
    return;
  }
  park(index_of(request.min_revision), std::move(request));
}

void Node::wait_for_grant(Waiting waiting) {
  if (read_batch_.size() >= options_.requests.pending_max) {
    if (auto* request = std::get_if<Request>(&waiting)) {
      refuse(*request, Code::overloaded, "too many reads wait already");
    } else {
      const auto& subscribe = std::get<Subscribe>(waiting);
      end_watch({subscribe.connection, subscribe.watch}, Code::overloaded,
                "too many reads wait already");
    }
    return;
  }
  read_batch_.push_back(std::move(waiting));
}

void Node::park(Index index, Waiting waiting) {
  if (index <= index_of(state_.applied())) {
    serve_waiting(std::move(waiting));
    return;
  }
  const auto timeout =
      std::visit(Overloaded{[](const Request& request) { return request.timeout_ms; },
                            [](const Subscribe&) -> std::int64_t { return 60'000; }},
                 waiting);
  parked_.emplace(index, Parked{std::move(waiting), now_.mono_ms + timeout});
}

void Node::serve_waiting(Waiting&& waiting) {
  if (auto* subscribe = std::get_if<Subscribe>(&waiting)) {
    open_watch(std::move(*subscribe));
  } else {
    serve_read(std::move(std::get<Request>(waiting)));
  }
}

void Node::serve_read(Request&& request) {
  if (std::holds_alternative<Keepalive>(request.op)) return keepalive(std::move(request));
  if (std::holds_alternative<GetHistory>(request.op)) return serve_history(std::move(request));
  if (std::holds_alternative<GetChanges>(request.op)) return serve_changes(std::move(request));
  const auto* get = std::get_if<Get>(&request.op);
  if (get != nullptr && get->at) return serve_at(std::move(request));
  auto reply = reply_to(request);
  if (std::holds_alternative<GetSession>(request.op) ||
      std::holds_alternative<ListSessions>(request.op)) {
    serve_sessions(request, reply);
  } else {
    serve(request, state_, reply);
  }
  deliver(std::move(reply));
}

// ---------------------------------------------------------------- sessions

void Node::keepalive(Request&& request) {
  const auto id = std::get<Keepalive>(request.op).id;
  // While its end is under way the answer waits for it: it must not be promised a new deadline.
  if (const auto ending = expiring_.find(id); ending != expiring_.end()) {
    park(ending->second, std::move(request));
    return;
  }
  auto reply = reply_to(request);
  const bool is_owner = request.session && request.session->id == id;
  if (is_owner) {
    reply.code = check_session(*request.session, reply);
  } else if (!is_operator(request.identities)) {
    reply.code = Code::forbidden;
    reply.detail = "to renew a session takes its token or an operator's right";
  } else if (state_.sessions().find(id) == nullptr) {
    reply.end_reason = state_.sessions().end_of(id);
    reply.code = reply.end_reason ? Code::session_expired : Code::not_found;
    reply.detail = reply.end_reason ? fmt::format("session {} has ended", id)
                                    : fmt::format("there is no session {}", id);
  }
  if (reply.code == Code::ok) {
    touch(id);
    const auto* session = state_.sessions().find(id);
    reply.result =
        KeepaliveResult{expiry_.remaining_ms(id, now_.mono_ms).value_or(session->ttl_ms)};
  }
  deliver(std::move(reply));
}

SessionView Node::view_of(const session::Session& session, bool with_nodes) const {
  SessionView view;
  view.id = session.id;
  view.name = session.name;
  view.address = session.address;
  view.ttl_ms = session.ttl_ms;
  view.opened_ms = session.opened_ms;
  if (was_leader_) view.remaining_ms = expiry_.remaining_ms(session.id, now_.mono_ms);
  view.ephemeral_count = state_.tree().ephemeral_count_of(session.id);
  if (with_nodes) {
    view.ephemerals = state_.tree().ephemerals_of(session.id);
    if (view.ephemerals.size() > kEphemeralsListed) view.ephemerals.resize(kEphemeralsListed);
  }
  const auto watching = watches_of_session_.find(session.id);
  if (watching != watches_of_session_.end()) view.watch_count = watching->second.size();
  return view;
}

void Node::serve_sessions(const Request& request, Reply& reply) const {
  if (const auto* get = std::get_if<GetSession>(&request.op)) {
    const auto* session = state_.sessions().find(get->id);
    if (session != nullptr) {
      reply.result = view_of(*session, true);
      return;
    }
    reply.end_reason = state_.sessions().end_of(get->id);
    reply.code = reply.end_reason ? Code::session_expired : Code::not_found;
    reply.detail = reply.end_reason ? fmt::format("session {} has ended", get->id)
                                    : fmt::format("there is no session {}", get->id);
    return;
  }
  const auto& list = std::get<ListSessions>(request.op);
  SessionList found;
  const auto most = std::min(list.limit, options_.requests.list_limit_max);
  state_.sessions().list(list.after, [&](const session::Session& session) {
    if (found.sessions.size() >= most) {
      found.is_last = false;
      return false;
    }
    found.sessions.push_back(view_of(session, false));
    return true;
  });
  reply.result = std::move(found);
}

// ---------------------------------------------------------------- the past

void Node::ask_store(StoreQuestion question, std::variant<Request, WatchKey> who,
                     std::int64_t deadline_ms) {
  ++last_token_;
  store_reads_.push_back({last_token_, std::move(question)});
  store_waits_.emplace(last_token_, StoreWait{std::move(who), deadline_ms});
}

void Node::serve_history(Request&& request) {
  const auto deadline = now_.mono_ms + request.timeout_ms;
  const auto& op = std::get<GetHistory>(request.op);
  // The permission is the present node's; the past of a deleted node is guarded change by change.
  if (state_.tree().check_access(op.path, znode::Permission::read, request.identities) ==
      Code::forbidden) {
    return refuse(request, Code::forbidden, "reading is not allowed");
  }
  ReadHistory question{op.path, op.before, history_.floor(),
                       std::clamp<std::size_t>(op.limit, 1, options_.requests.list_limit_max)};
  ask_store(std::move(question), std::move(request), deadline);
}

void Node::finish_history(Request&& request, StoreAnswer&& found) {
  const auto& op = std::get<GetHistory>(request.op);
  const auto limit = std::clamp<std::size_t>(op.limit, 1, options_.requests.list_limit_max);
  // The ring moved on while the store was read: what lies between is in the store by now.
  if (found.through < history_.floor()) return serve_history(std::move(request));
  std::vector<HistoryEntry> entries;
  history_.since(history_.floor(), [&](const znode::SharedBatch& batch) {
    if (op.before && batch->zxid >= op.before) return false;
    for (const auto& change : batch->changes) {
      if (change.path == op.path) entries.push_back({batch->zxid, batch->wall_ms, change});
    }
    return true;
  });
  std::reverse(entries.begin(), entries.end());
  std::move(found.entries.begin(), found.entries.end(), std::back_inserter(entries));
  HistoryList list;
  list.is_last = found.is_last;
  if (entries.size() > limit) {
    auto end = limit;
    while (end < entries.size() && entries[end].zxid == entries[limit - 1].zxid) ++end;
    if (end < entries.size()) list.is_last = false;
    entries.resize(end);
  }
  std::erase_if(entries, [&](const auto& e) { return !may_see(e.change, request.identities); });
  list.entries = std::move(entries);
  list.oldest = retention_.floor();
  auto reply = reply_to(request);
  if (list.entries.empty() && list.is_last && !op.before && !state_.tree().get(op.path)) {
    reply.code = Code::no_node;
    reply.path = op.path;
    reply.detail = "there is no such node, and none in what is retained";
  } else {
    reply.result = std::move(list);
  }
  deliver(std::move(reply));
}

void Node::serve_changes(Request&& request) {
  const auto& op = std::get<GetChanges>(request.op);
  if (op.from.next() < retention_.floor()) {
    auto reply = reply_to(request);
    reply.code = Code::compacted;
    reply.oldest = retention_.floor();
    reply.detail = fmt::format("changes before revision {} are gone", retention_.floor());
    deliver(std::move(reply));
    return;
  }
  if (op.from < history_.floor()) {
    const auto deadline = now_.mono_ms + request.timeout_ms;
    ReadChanges question{op.from, history_.floor(), kStorePageBytes, op.limit};
    ask_store(std::move(question), std::move(request), deadline);
    return;
  }
  StoreAnswer none;
  none.through = op.from;
  finish_changes(std::move(request), std::move(none));
}

void Node::finish_changes(Request&& request, StoreAnswer&& found) {
  const auto& op = std::get<GetChanges>(request.op);
  const auto limit = std::clamp<std::size_t>(op.limit, 1, options_.requests.list_limit_max);
  HistoryList list;
  // Whole revisions: a page may pass its limit by the rest of one transaction.
  const auto add = [&](const znode::SharedBatch& batch) {
    if (list.entries.size() >= limit) {
      list.is_last = false;
      return false;
    }
    for (const auto& change : batch->changes) {
      if (!is_listed(change, op.with_system) || !may_see(change, request.identities)) continue;
      list.entries.push_back({batch->zxid, batch->wall_ms, change});
    }
    return true;
  };
  bool has_room = true;
  for (const auto& batch : found.batches) {
    has_room = add(batch);
    if (!has_room) break;
  }
  if (has_room && found.through >= history_.floor()) {
    history_.since(found.through, add);
  } else if (has_room) {
    // The store had more than one page, or the ring moved on meanwhile.
    list.is_last = false;
    if (list.entries.empty()) {
      std::get<GetChanges>(request.op).from = found.through;
      return serve_changes(std::move(request));
    }
  }
  list.oldest = retention_.floor();
  auto reply = reply_to(request);
  reply.result = std::move(list);
  deliver(std::move(reply));
}

void Node::serve_at(Request&& request) {
  const auto at = *std::get<Get>(request.op).at;
  auto reply = reply_to(request);
  if (at > state_.applied()) {
    reply.code = Code::not_found;
    reply.detail = fmt::format("revision {} does not exist yet", at);
  } else if (at.next() < retention_.floor()) {
    reply.code = Code::compacted;
    reply.oldest = retention_.floor();
    reply.detail = fmt::format("what was before revision {} is gone", retention_.floor());
  } else if (at < history_.floor()) {
    const auto deadline = now_.mono_ms + request.timeout_ms;
    ReadFirstAfter question{std::get<Get>(request.op).path, at, history_.floor()};
    return ask_store(std::move(question), std::move(request), deadline);
  } else {
    StoreAnswer none;
    none.through = history_.floor();
    return finish_at(std::move(request), std::move(none));
  }
  deliver(std::move(reply));
}

// The first change after `at` holds what was there before it; without one, the present is the past.
void Node::finish_at(Request&& request, StoreAnswer&& found) {
  const auto op = std::get<Get>(request.op);
  if (found.entries.empty() && found.through < history_.floor()) {
    return serve_at(std::move(request));  // The ring moved on while the store was read.
  }
  std::optional<znode::Change> next;
  if (!found.entries.empty()) {
    next = std::move(found.entries.front().change);
  } else {
    history_.since(std::max(*op.at, history_.floor()), [&](const znode::SharedBatch& batch) {
      for (const auto& change : batch->changes) {
        if (change.path == op.path && change.kind != znode::ChangeKind::acl) {
          next = change;
          return false;
        }
      }
      return true;
    });
  }
  auto reply = reply_to(request);
  if (!next) {
    serve(request, state_, reply);
  } else if (next->kind == znode::ChangeKind::created) {
    reply.code = Code::no_node;
    reply.path = op.path;
    reply.detail = fmt::format("there was no such node at revision {}", *op.at);
  } else if (!may_see(*next, request.identities)) {
    reply.code = Code::forbidden;
    reply.path = op.path;
    reply.detail = "reading is not allowed";
  } else {
    NodeValue node;
    node.stat = next->prev_stat;
    if (op.with_value) {
      node.value = next->prev_value;
      node.content_type = next->prev_content_type;
    }
    reply.result = std::move(node);
  }
  reply.revision = *op.at;
  deliver(std::move(reply));
}

}  // namespace coord::core
