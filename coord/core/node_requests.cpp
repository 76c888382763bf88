// Node's requests: writes, sessions, reads and what they wait for.
#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/core/fences.hpp"
#include "coord/core/node.hpp"
#include "coord/core/reads.hpp"
#include "coord/recipes/recipe.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

constexpr std::size_t kEphemeralsListed = 1'000;
constexpr std::size_t kEphemeralsInList = 100;  // Of each session.

// What is wrong with a path that a request names. "/a/" as a sequential prefix names the parent
// alone: the suffix is then the whole name.
znode::PathProblem problem_of(NamedPath named, const TreeLimits& limits) {
  auto path = named.path;
  if (named.is_prefix && path == "/") return {};
  if (named.is_prefix && path.ends_with('/')) path.remove_suffix(1);
  return znode::check_path(path, limits);
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
  if (const auto* record = state_.member(reply.leader)) reply.leader_http = record->http;
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
      // The id is the revision that opened it: this member may not have got there yet, as after a
      // start. Only a leader knows that no log goes further, and only while nobody else can lead.
      if (session.id.value() > state_.applied().value() &&
          (!raft_.has_lease(now_.mono_ms) || session.id.value() <= raft_.last_index().value())) {
        reply.detail = fmt::format("this member has applied {} and not yet session {}",
                                   state_.applied(), session.id);
        return Code::behind;
      }
      reply.detail = fmt::format("there is no session {}", session.id);
      break;
  }
  return code;
}

bool Node::is_admitted(const Request& request, Reply& reply) const {
  for (const auto& named : paths_of(request.op)) {
    if (!request.checks_paths) break;
    auto problem = problem_of(named, state_.limits().tree);
    if (problem.code == Code::ok) continue;
    reply.code = problem.code;
    if (problem.code != Code::too_large) reply.path = named.path;
    reply.detail = std::move(problem.detail);
    return false;
  }
  const auto& limits = options_.requests;
  const auto* query = std::get_if<RecipeQuery>(&request.op);
  if (query != nullptr && !recipes::is_query(query->kind, query->bytes)) {
    reply.code = Code::bad_request;
    reply.detail = "the query has no valid encoding";
    return false;
  }
  const auto* renew = std::get_if<RecipeRenew>(&request.op);
  if (renew != nullptr && !recipes::is_renewal(renew->kind, renew->bytes)) {
    reply.code = Code::bad_request;
    reply.detail = "the renewal has no valid encoding";
    return false;
  }
  // Where frames are bounded (ZooKeeper's protocol), so are the operations in them.
  const auto* txn = std::get_if<Txn>(&request.op);
  if (txn != nullptr && request.checks_paths) {
    if (std::max({txn->compare.size(), txn->then.size(), txn->otherwise.size()}) >
        limits.txn_ops_max) {
      reply.code = Code::too_large;
      reply.detail = fmt::format("a transaction has at most {} operations", limits.txn_ops_max);
      return false;
    }
  }
  const auto* import = std::get_if<ImportNodes>(&request.op);
  if (import != nullptr && import->nodes.size() > limits.txn_ops_max) {
    reply.code = Code::too_large;
    reply.detail = fmt::format("at most {} nodes are imported at once", limits.txn_ops_max);
    return false;
  }
  if (request.identities.size() > limits.identities_max ||
      request.fences.size() > limits.fences_max) {
    reply.code = Code::too_large;
    reply.detail = fmt::format("a request has at most {} identities and {} fences",
                               limits.identities_max, limits.fences_max);
    return false;
  }
  if (request.idempotency_key.size() > state_.limits().retry.key_bytes_max) {
    reply.code = Code::too_large;
    reply.detail =
        fmt::format("an Idempotency-Key has at most {} bytes", state_.limits().retry.key_bytes_max);
    return false;
  }
  return true;
}

bool Node::holds_session(const Request& request, Reply& reply) const {
  if (!request.session) return true;
  reply.code = check_session(*request.session, reply);
  return reply.code == Code::ok;
}

void Node::refuse_diverged(const Request& request) {
  std::string why;
  static_cast<void>(is_ready(why));
  refuse(request, Code::diverged, std::move(why));
}

void Node::touch(SessionId id) {
  if (!was_leader_) {
    unsent_touches_.insert(id);
    return;
  }
  if (expiring_.contains(id)) return;
  if (const auto* session = state_.sessions().find(id)) {
    expiry_.touch(id, session->ttl_ms, now_.mono_ms);
  }
}

std::int64_t Node::service_now() const noexcept {
  return std::max(state_.service_ms(), service_base_ms_ + (now_.mono_ms - mono_base_ms_));
}

std::int64_t Node::staleness_ms() const noexcept { return now_.mono_ms - fresh_ms_; }

// ---------------------------------------------------------------- writes

bool Node::encode_write(Request&& request, const Origin& origin, std::string& payload,
                        Reply& reply) {
  Command command;
  if (!origin.member) {
    command.service_ms = service_now();
    command.wall_ms = now_.wall_ms;
  }
  if (request.session) {
    command.session = request.session->id;
    command.attachment = request.session->attachment;
  }
  command.identities = std::move(request.identities);
  command.idempotency_key = std::move(request.idempotency_key);
  command.request_hash = request.request_hash;
  command.fences = std::move(request.fences);
  command.origin = origin;
  command.op = write_op_of(std::move(request.op));
  payload = encode(command);
  if (payload.size() > options_.raft.uncommitted_bytes_max) {
    reply.code = Code::too_large;
    reply.detail =
        fmt::format("a request has at most {} bytes", options_.raft.uncommitted_bytes_max);
    return false;
  }
  // apply() ends the process on what does not decode, so it is tried here first.
  if (decode(payload, command) != DecodeError::none) {
    reply.code = Code::bad_request;
    reply.detail = "the request has no valid encoding";
    return false;
  }
  return true;
}

void Node::write(Request&& request) {
  auto reply = reply_to(request);
  follow_role();
  const auto deadline = now_.mono_ms + request.timeout_ms;
  if (is_diverged()) return refuse_diverged(request);
  if (!is_admitted(request, reply) || (was_leader_ && !holds_session(request, reply) &&
                                       !is_about_fences(reply.code, !request.fences.empty()))) {
    deliver(std::move(reply));
    return;
  }
  reply = reply_to(request);
  if (is_disk_full_) {
    refuse(request, Code::disk_full, "the disk of the log is full; nothing was written");
    return;
  }
  if (!was_leader_) return forward(std::move(request), deadline);
  if (request.session) touch(request.session->id);
  if (pending_.size() + delayed_writes_.size() >= options_.requests.pending_max) {
    refuse(request, Code::overloaded, "too many writes wait already");
    return;
  }
  if (is_backlogged()) {
    delayed_writes_.emplace_back(std::pair(std::move(request), deadline));
    return;
  }
  const auto renewed = renewed_by(std::get_if<RecipeStep>(&request.op),
                                  request.session ? request.session->id : SessionId());
  std::string payload;
  if (!encode_write(std::move(request), Origin(), payload, reply)) {
    deliver(std::move(reply));
    return;
  }
  const auto proposed = propose_payload(std::move(payload));
  if (const auto* at = std::get_if<election::Proposed>(&proposed)) {
    if (renewed) touch(renewed);
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

std::variant<election::Proposed, election::ProposeError> Node::propose_payload(
    std::string payload) {
  const std::uint64_t bytes = payload.size();
  auto proposed = raft_.propose(election::EntryKind::command, std::move(payload));
  if (std::holds_alternative<election::Proposed>(proposed)) {
    auto& sizes = proposals_;
    sizes.last = bytes;
    sizes.least = sizes.count == 0 ? bytes : std::min(sizes.least, bytes);
    sizes.most = std::max(sizes.most, bytes);
    ++sizes.count;
  }
  return proposed;
}

bool Node::propose(WriteOp op) {
  Command command;
  command.service_ms = service_now();
  command.wall_ms = now_.wall_ms;
  command.op = std::move(op);
  const auto proposed = propose_payload(encode(command));
  return std::holds_alternative<election::Proposed>(proposed);
}

// ---------------------------------------------------------------- reads

void Node::read(Request&& request) {
  auto reply = reply_to(request);
  const auto* keep = std::get_if<Keepalive>(&request.op);
  // A session that moved here may not be known yet: a read that waits for others' writes also waits
  // for its session, and checks it when it is served.
  if (keep == nullptr && !is_admitted(request, reply)) {
    deliver(std::move(reply));
    return;
  }
  if (std::holds_alternative<GetStatus>(request.op)) {
    if (holds_session(request, reply)) {
      if (request.session) touch(request.session->id);
      reply.result = status();
    }
    deliver(std::move(reply));
    return;
  }
  if (std::holds_alternative<GetCluster>(request.op)) {
    reply.result = cluster_view();
    deliver(std::move(reply));
    return;
  }
  if (std::holds_alternative<RepairMember>(request.op)) return change_members(std::move(request));
  if (is_diverged()) return refuse_diverged(request);
  if (is_membership_op(request.op)) return change_members(std::move(request));
  const auto deadline = now_.mono_ms + request.timeout_ms;
  if (std::holds_alternative<RecipeRenew>(request.op)) {
    return begin_renewal(std::move(request), deadline);
  }
  if (request.consistency == Consistency::linearizable ||
      (keep != nullptr && request.consistency != Consistency::local)) {
    wait_for_grant({std::move(request), deadline});
    return;
  }
  if (request.consistency == Consistency::leader) {
    if (raft_.has_lease(now_.mono_ms)) {
      park(raft_.committed(), {std::move(request), deadline});
    } else {
      wait_for_grant({std::move(request), deadline});
    }
    return;
  }
  if (request.max_staleness_ms && staleness_ms() > *request.max_staleness_ms) {
    refuse(request, Code::stale, fmt::format("this member may be {} ms behind", staleness_ms()));
    return;
  }
  const auto index = index_of(request.min_revision);
  park(index, {std::move(request), deadline});
}

void Node::wait_for_grant(Waiting waiting) {
  if (read_batch_.size() >= options_.requests.pending_max) {
    give_up(waiting.what, Code::overloaded, "too many reads wait already");
    return;
  }
  read_batch_.push_back(std::move(waiting));
}

void Node::park(Index index, Waiting waiting) {
  if (index <= index_of(state_.applied())) {
    serve_waiting(std::move(waiting));
    return;
  }
  if (parked_.size() >= options_.requests.pending_max) {
    give_up(waiting.what, Code::overloaded, "too many reads wait already");
    return;
  }
  parked_.emplace(index, std::move(waiting));
}

void Node::give_up(const std::variant<Request, Subscribe>& what, Code code, std::string detail) {
  if (const auto* request = std::get_if<Request>(&what)) {
    refuse(*request, code, std::move(detail));
    return;
  }
  const auto& subscribe = std::get<Subscribe>(what);
  end_watch({subscribe.connection, subscribe.watch}, code, std::move(detail));
}

void Node::serve_waiting(Waiting&& waiting) {
  if (is_diverged()) {
    return give_up(waiting.what, Code::diverged, "this member's state differs from the others'");
  }
  if (auto* subscribe = std::get_if<Subscribe>(&waiting.what)) {
    open_watch(std::move(*subscribe));
    return;
  }
  // What waits for the store may wait no longer than the request was given at first.
  auto& request = std::get<Request>(waiting.what);
  request.timeout_ms = std::max<std::int64_t>(0, waiting.deadline_ms - now_.mono_ms);
  serve_read(std::move(request));
}

void Node::serve_read(Request&& request) {
  if (std::holds_alternative<Keepalive>(request.op)) return keepalive(std::move(request));
  if (std::holds_alternative<RecipeRenew>(request.op)) return renew(std::move(request));
  if (std::holds_alternative<PrepareBackup>(request.op)) return prepare_backup(std::move(request));
  if (request.session) {
    auto reply = reply_to(request);
    if (!holds_session(request, reply)) {
      deliver(std::move(reply));
      return;
    }
    touch(request.session->id);
  }
  if (std::holds_alternative<GetHistory>(request.op)) return serve_history(std::move(request));
  if (std::holds_alternative<GetChanges>(request.op)) return serve_changes(std::move(request));
  const auto* get = std::get_if<Get>(&request.op);
  if (get != nullptr && get->at) return serve_at(std::move(request));
  const auto* session = std::get_if<GetSession>(&request.op);
  if (session != nullptr && session->with_remaining && !was_leader_ &&
      request.consistency != Consistency::local && state_.sessions().find(session->id) != nullptr) {
    // Only the leader knows when it was renewed.
    return confirm(std::move(request), session->id, true);
  }
  auto reply = reply_to(request);
  if (session != nullptr || std::holds_alternative<ListSessions>(request.op) ||
      std::holds_alternative<GetEphemerals>(request.op)) {
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
  const auto ending = expiring_.find(id);
  if (ending != expiring_.end() && ending->second > index_of(state_.applied())) {
    const auto deadline = now_.mono_ms + request.timeout_ms;
    park(ending->second, {std::move(request), deadline});
    return;
  }
  // Only a leader whose right to lead holds may promise a new deadline: another one may be
  // expiring sessions already.
  if (was_leader_ && !raft_.has_lease(now_.mono_ms)) {
    return refuse(request, Code::no_leader, "there is no leader to renew the session");
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
  if (reply.code == Code::ok && !was_leader_) return confirm(std::move(request), id, true);
  if (reply.code == Code::ok) {
    touch(id);
    const auto* session = state_.sessions().find(id);
    reply.result =
        KeepaliveResult{expiry_.remaining_ms(id, now_.mono_ms).value_or(session->ttl_ms)};
  }
  deliver(std::move(reply));
}

SessionView Node::view_of(const session::Session& session, bool is_brief) const {
  SessionView view;
  view.id = session.id;
  view.name = session.name;
  view.address = session.address;
  view.ttl_ms = session.ttl_ms;
  view.opened_ms = session.opened_ms;
  if (was_leader_) view.remaining_ms = expiry_.remaining_ms(session.id, now_.mono_ms);
  view.ephemeral_count = state_.tree().ephemeral_count_of(session.id);
  if (!is_brief || view.ephemeral_count <= kEphemeralsInList) {
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
      reply.result = view_of(*session, false);
      return;
    }
    reply.end_reason = state_.sessions().end_of(get->id);
    reply.code = reply.end_reason ? Code::session_expired : Code::not_found;
    reply.detail = reply.end_reason ? fmt::format("session {} has ended", get->id)
                                    : fmt::format("there is no session {}", get->id);
    return;
  }
  if (const auto* get = std::get_if<GetEphemerals>(&request.op)) {
    auto paths = state_.tree().ephemerals_of(get->id);
    std::erase_if(paths, [&](const auto& path) { return !path.starts_with(get->prefix); });
    reply.result = PathList{std::move(paths)};
    return;
  }
  const auto& list = std::get<ListSessions>(request.op);
  SessionList found;
  const auto most = std::clamp<std::size_t>(list.limit, 1, options_.requests.list_limit_max);
  state_.sessions().list(list.after, [&](const session::Session& session) {
    if (found.sessions.size() >= most) {
      found.is_last = false;
      return false;
    }
    found.sessions.push_back(view_of(session, !list.with_nodes));
    return true;
  });
  reply.result = std::move(found);
}

}  // namespace coord::core
