// Node's following: writes handed to the leader, signs of life of sessions, and the leader's part.
#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/core/fences.hpp"
#include "coord/core/node.hpp"

namespace coord::core {
namespace {

// Signs of life of sessions leave together, so often.
constexpr std::int64_t kTouchesMs = 20;
// A keepalive that has no answer is asked about again.
constexpr std::int64_t kAskAgainMs = 500;
// Streams that one follower may begin in one term: each breach of its link begins one.
constexpr std::size_t kStreamsMax = 10'000;

// What clients may ask for. The rest is proposed by leaders alone.
bool is_of_client(const WriteOp& op) noexcept {
  return !std::holds_alternative<ExpireSessions>(op) && !std::holds_alternative<Reap>(op) &&
         !std::holds_alternative<Bootstrap>(op) && !std::holds_alternative<SetMember>(op);
}

}  // namespace

void Node::answer(const Waiter& waiter, Code code, std::string detail) {
  Outcome outcome;
  outcome.code = code;
  outcome.detail = std::move(detail);
  outcome.revision = state_.applied();
  auto reply = reply_of(waiter.connection, waiter.request, std::move(outcome));
  reply.leader = raft_.leader();
  deliver(std::move(reply));
}

// ---------------------------------------------------------------- the follower

void Node::begin_stream() {
  ++stream_;
  stream_position_ = 0;
  stream_leader_ = raft_.leader();
  stream_term_ = raft_.term();
}

void Node::forward(Request&& request, std::int64_t deadline_ms) {
  const auto leader = raft_.leader();
  if (!leader || leader == options_.raft.id) {
    refuse(request, Code::no_leader, "there is no leader to order the write");
    return;
  }
  if (forwards_.size() + limbo_.size() >= options_.requests.pending_max) {
    refuse(request, Code::overloaded, "too many writes wait already");
    return;
  }
  if (leader != stream_leader_ || raft_.term() != stream_term_) begin_stream();
  Forward message;
  message.term = stream_term_;
  message.stream = stream_;
  message.number = last_number_ + 1;
  message.session = request.session;
  auto reply = reply_to(request);
  if (!encode_write(std::move(request), {options_.raft.id, message.number}, message.command,
                    reply)) {
    deliver(std::move(reply));
    return;
  }
  last_number_ = message.number;
  message.position = ++stream_position_;
  forwards_.add(stream_term_, message.number, {request.connection, request.id, deadline_ms});
  send(leader, std::move(message));
}

void Node::on(MemberId /*from*/, ForwardRefused&& message) {
  if (message.ends_stream && message.stream == stream_) stream_leader_ = MemberId();
  const auto waiter = forwards_.take(message.term, message.number);
  if (!waiter) return;
  Outcome outcome;
  outcome.code = message.code;
  outcome.detail = std::move(message.detail);
  outcome.end_reason = message.end_reason;
  outcome.revision = state_.applied();
  auto reply = reply_of(waiter->connection, waiter->request, std::move(outcome));
  reply.leader = raft_.leader();
  deliver(std::move(reply));
}

// An entry of term t is committed before any entry of a later term, or never.
void Node::resolve_limbo(const election::LogEntry& entry, Applied& applied) {
  if (limbo_.size() == 0 && forwards_.size() == 0) return;
  std::optional<Waiter> waiter;
  if (applied.origin.member == options_.raft.id) {
    waiter = forwards_.take(entry.term, applied.origin.number);
  } else if (!applied.origin.member) {
    waiter = limbo_.take(entry.term, entry.index.value());
  }
  if (waiter) {
    deliver(reply_of(waiter->connection, waiter->request, std::move(applied.outcome)));
  }
  for (auto* waiters : {&limbo_, &forwards_}) {
    for (const auto& each : waiters->take_before(entry.term)) {
      answer(each, Code::no_leader, "the leader changed before the write was committed");
    }
  }
}

void Node::note_contact(const election::Message& message) {
  const auto* append = std::get_if<election::AppendRequest>(&message.body);
  if (append == nullptr || append->term != raft_.term() || message.from != raft_.leader()) return;
  if (append->committed < contact_committed_) return;  // An old one, late.
  contact_committed_ = append->committed;
  contact_ms_ = now_.mono_ms;
}

// Whoever looks at a session does not renew it.
Touches::Confirm Node::confirm_of(std::uint64_t token, const Waiting& waiting) {
  const auto& request = std::get<Request>(waiting.what);
  return {token, waiting.renews, !std::holds_alternative<GetSession>(request.op)};
}

// One that is not urgent leaves with the next batch of signs of life: thousands of heartbeats cost
// few messages.
void Node::confirm(Request&& request, SessionId session, bool is_urgent) {
  if (!raft_.leader()) {
    return refuse(request, Code::no_leader, "there is no leader to ask about the session");
  }
  if (confirmations_.size() >= options_.requests.pending_max) {
    return refuse(request, Code::overloaded, "too many renewals wait already");
  }
  const auto deadline = now_.mono_ms + request.timeout_ms;
  ++last_confirmation_;
  const auto added =
      confirmations_.emplace(last_confirmation_, Waiting{std::move(request), deadline, session});
  unsent_confirmations_.push_back(confirm_of(last_confirmation_, added.first->second));
  is_confirming_at_once_ = is_confirming_at_once_ || is_urgent;
}

void Node::send_touches() {
  if (was_leader_ || !raft_.leader()) {
    unsent_touches_.clear();
    give_up_confirmations();
    return;
  }
  const bool is_lost = !confirmations_.empty() && now_.mono_ms - confirming_ms_ >= kAskAgainMs;
  if (raft_.term() != confirming_term_ || is_lost) {
    // An answer counts only in the term that it was asked in; and it, or the question, may be lost.
    unsent_confirmations_.clear();
    for (const auto& [token, waiting] : confirmations_) {
      unsent_confirmations_.push_back(confirm_of(token, waiting));
    }
    is_confirming_at_once_ = !confirmations_.empty();
    confirming_term_ = raft_.term();
    confirming_ms_ = now_.mono_ms;
  }
  const bool is_due = (!unsent_touches_.empty() || !unsent_confirmations_.empty()) &&
                      now_.mono_ms - touches_sent_ms_ >= kTouchesMs;
  if (!is_due && !std::exchange(is_confirming_at_once_, false)) return;
  Touches message;
  message.term = raft_.term();
  message.alive.assign(unsent_touches_.begin(), unsent_touches_.end());
  message.confirm = std::exchange(unsent_confirmations_, {});
  unsent_touches_.clear();
  touches_sent_ms_ = now_.mono_ms;
  send(raft_.leader(), std::move(message));
}

void Node::give_up_confirmations() {
  unsent_confirmations_.clear();
  is_confirming_at_once_ = false;
  for (const auto& [token, waiting] : std::exchange(confirmations_, {})) {
    give_up(waiting.what, Code::no_leader, "there is no leader to ask about the session");
  }
}

void Node::on(MemberId /*from*/, TouchesConfirmed&& message) {
  if (message.term != raft_.term()) return;
  for (const auto& answer : message.answers) {
    const auto at = confirmations_.find(answer.token);
    if (at == confirmations_.end()) continue;
    auto waiting = std::move(at->second);
    confirmations_.erase(at);
    auto& request = std::get<Request>(waiting.what);
    if (answer.is_confirmed) {
      if (std::holds_alternative<RecipeRenew>(request.op)) {
        deliver(renewed(request));
        continue;
      }
      auto reply = reply_to(request);
      if (std::holds_alternative<GetSession>(request.op)) {
        serve_sessions(request, reply);
        auto* view = std::get_if<SessionView>(&reply.result);
        if (view != nullptr) view->remaining_ms = answer.remaining_ms;
      } else {
        reply.result = KeepaliveResult{answer.remaining_ms};
      }
      deliver(std::move(reply));
    } else if (answer.wait_for) {
      // Looked at again, at once if its end came here meanwhile.
      park(answer.wait_for, std::move(waiting));
    } else {
      refuse(request, Code::no_leader, "the leader could not answer for the session");
    }
  }
}

// ---------------------------------------------------------------- the leader

void Node::refuse_forward(MemberId to, const Forward& message, bool ends_stream, Code code,
                          std::string detail) {
  ForwardRefused refused;
  refused.term = message.term;
  refused.stream = message.stream;
  refused.position = message.position;
  refused.number = message.number;
  refused.ends_stream = ends_stream;
  refused.code = code;
  refused.detail = std::move(detail);
  if (code == Code::session_expired && message.session) {
    refused.end_reason = state_.sessions().end_of(message.session->id);
  }
  send(to, std::move(refused));
}

// Of another term: the sender learns its fate from the log. Here it may be a repetition of one that
// was proposed, so it must not be called refused.
void Node::on(MemberId from, Forward&& message) {
  follow_role();
  if (!was_leader_ || message.term != raft_.term()) return;
  auto& stream = streams_[from];
  if (message.stream != stream.id) {
    const bool is_earlier = std::find(stream.earlier.begin(), stream.earlier.end(),
                                      message.stream) != stream.earlier.end();
    if (is_earlier) return;
    if (stream.id != 0) stream.earlier.push_back(stream.id);
    stream.id = message.stream;
    stream.next = 1;
    stream.is_broken = stream.earlier.size() > kStreamsMax;
  }
  if (message.position < stream.next) return;  // A repetition.
  if (message.position > stream.next) stream.is_broken = true;
  if (stream.is_broken) {
    refuse_forward(from, message, true, Code::no_leader, "an earlier write did not arrive");
    return;
  }
  stream.next = message.position + 1;
  if (is_backlogged() || !delayed_writes_.empty() || is_early(message)) {
    delayed_writes_.emplace_back(DelayedForward{from, std::move(message)});
    return;
  }
  take_forward(from, std::move(message));
}

bool Node::is_early(const Forward& message) const {
  if (!message.session) return false;
  const auto id = message.session->id.value();
  return id > state_.applied().value() && id <= raft_.last_index().value();
}

// What waited for the store, or for its session: in the order in which it came.
void Node::take_delayed() {
  while (!delayed_writes_.empty() && !is_backlogged()) {
    const auto* forward = std::get_if<DelayedForward>(&delayed_writes_.front());
    if (was_leader_ && forward != nullptr && is_early(forward->forward)) return;
    auto one = std::move(delayed_writes_.front());
    delayed_writes_.pop_front();
    std::visit(Overloaded{[this](std::pair<Request, std::int64_t>& own) {
                            auto& [request, deadline] = own;
                            request.timeout_ms = std::max<std::int64_t>(0, deadline - now_.mono_ms);
                            write(std::move(request));
                          },
                          [this](DelayedForward& other) {
                            take_forward(other.from, std::move(other.forward));
                          }},
               one);
    wants_turn_ = true;
  }
}

void Node::take_forward(MemberId from, Forward&& message) {
  if (!was_leader_ || message.term != raft_.term()) return;
  Command command;
  const bool is_understood = decode(message.command, command) == DecodeError::none &&
                             command.origin.member == from &&
                             command.origin.number == message.number && is_of_client(command.op);
  if (message.session) {
    Reply reply;
    const auto code = check_session(*message.session, reply);
    if (code != Code::ok && !is_about_fences(code, is_understood && !command.fences.empty())) {
      return refuse_forward(from, message, false, code, std::move(reply.detail));
    }
    touch(message.session->id);
  }
  if (is_disk_full_) {
    return refuse_forward(from, message, false, Code::disk_full,
                          "the disk of the leader's log is full; nothing was written");
  }
  if (!is_understood) {
    return refuse_forward(from, message, false, Code::bad_request,
                          "the leader does not understand the write");
  }
  const auto renewed = renewed_by(std::get_if<RecipeStep>(&command.op), command.session);
  command.service_ms = service_now();
  command.wall_ms = now_.wall_ms;
  const auto proposed = propose_payload(encode(command));
  if (const auto* accepted = std::get_if<election::Proposed>(&proposed)) {
    if (renewed) touch(renewed);
    raft_.hurry(from, accepted->index);
    return;
  }
  const auto problem = std::get<election::ProposeError>(proposed);
  if (problem == election::ProposeError::overloaded) {
    return refuse_forward(from, message, false, Code::overloaded,
                          "too many bytes wait to be committed");
  }
  streams_[from].is_broken = true;
  refuse_forward(from, message, true, Code::no_leader, "leadership is being handed over");
}

void Node::on(MemberId from, Touches&& message) {
  follow_role();
  if (!was_leader_ || message.term != raft_.term()) return;
  for (const auto id : message.alive) touch(id);
  if (message.confirm.empty()) return;
  TouchesConfirmed reply;
  reply.term = message.term;
  for (const auto& each : message.confirm) {
    auto& answer = reply.answers.emplace_back();
    answer.token = each.token;
    const auto ending = expiring_.find(each.session);
    if (ending != expiring_.end()) answer.wait_for = ending->second;
    const auto* session = state_.sessions().find(each.session);
    // It ended here; the follower has not come as far, or it would not have asked.
    if (session == nullptr) answer.wait_for = index_of(state_.applied());
    if (ending != expiring_.end() || session == nullptr || !raft_.has_lease(now_.mono_ms)) continue;
    if (each.renews) touch(each.session);
    answer.is_confirmed = true;
    answer.remaining_ms =
        expiry_.remaining_ms(each.session, now_.mono_ms).value_or(session->ttl_ms);
  }
  send(from, std::move(reply));
}

}  // namespace coord::core
