#include "tests/sim/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coord/base/overloaded.hpp"
#include "tests/sim/checker.hpp"

namespace coord::sim {
namespace {

// With a leader and without faults every answer comes within this time.
constexpr std::int64_t kAnswerUs = 5'000'000;
constexpr std::size_t kWaitingMax = 4;

bool is_register(const core::Operation& op) {
  return std::visit(Overloaded{[](const core::Put& o) { return o.path.starts_with("/r/"); },
                               [](const core::Delete& o) { return o.path.starts_with("/r/"); },
                               [](const core::Get& o) { return o.path.starts_with("/r/"); },
                               [](const auto&) { return false; }},
                    op);
}

bool is_of_past(const core::Operation& op) {
  const auto* get = std::get_if<core::Get>(&op);
  return get != nullptr && get->at.has_value();
}

}  // namespace

Client::Client(World& world, std::uint64_t number)
    : world_(world), number_(number), recipes_(world, number) {}

// ---------------------------------------------------------------- the connection

void Client::start() {
  world_.after(world_.between(1, 50'000), [this] { act(); });
}

void Client::connect() {
  auto& members = world_.members();
  const auto drawn = 1 + world_.prng().below(members.size());
  const auto id = preferred_ ? std::exchange(preferred_, MemberId()) : MemberId(drawn);
  auto& member = members[static_cast<std::size_t>(id.value() - 1)];
  if (!member->is_up() || !world_.is_core(id)) return;
  member_ = member.get();
  connection_ = member_->connect(*this);
  last_sent_us_ = world_.now();
  abandoned_.clear();
}

void Client::act() {
  if (world_.has_failed()) return;
  check_waiting();
  if (connection_ && !world_.is_core(member_->id())) drop_connection();
  if (!connection_ && world_.chance(60)) connect();
  if (connection_) {
    tend_watches();
    if (!world_.is_closing()) {
      keep_alive();
      if (waiting_.size() < kWaitingMax) ask_something();
    }
    const bool may_drop = world_.plan().has(Fault::client_reconnect) && world_.is_stormy();
    if (may_drop && world_.prng().chance(1, 100)) drop_connection();
  }
  world_.after(world_.delay(world_.plan().think_us), [this] { act(); });
}

void Client::drop_connection() {
  world_.note("drop", number_, connection_.value());
  world_.after(world_.delay(world_.plan().network_us),
               [member = member_, connection = connection_] { member->disconnect(connection); });
  on_lost(connection_);
}

void Client::on_lost(ConnectionId connection) {
  if (connection != connection_) return;
  connection_ = ConnectionId();
  is_opening_ = false;
  for (auto& [id, stream] : streams_) stream.is_open = stream.is_live = false;
  for (auto& [id, asked] : std::exchange(waiting_, {})) on_unknown(std::move(asked));
}

// A connection keeps its order; what arrives after its end is lost.
void Client::to_member(core::Event event) {
  last_sent_us_ =
      std::max(last_sent_us_ + 1, world_.now() + world_.delay(world_.plan().network_us));
  world_.after(last_sent_us_ - world_.now(),
               [member = member_, connection = connection_, event = std::move(event)]() mutable {
                 if (member->has(connection)) member->receive(std::move(event));
               });
}

// ---------------------------------------------------------------- questions

void Client::ask(core::Request request) {
  Asked asked;
  asked.request = std::move(request);
  asked.first_asked_us = world_.now();
  asked.token = (number_ + 1) << 32 | ++last_token_;
  asked.request.request_hash = asked.token;
  asked.request.identities.push_back({kTokenScheme, fmt::format("{}", asked.token)});
  ask_again(std::move(asked));
}

void Client::ask_again(Asked asked) {
  asked.request.connection = connection_;
  asked.request.id = RequestId(++last_request_);
  asked.asked_us = world_.now();
  // Impatience ends with the faults, also where an earlier try was impatient.
  if (!world_.is_stormy()) asked.request.timeout_ms = core::Request().timeout_ms;
  ++asked.attempts;
  asked.floor = world_.checker().said();
  if (core::is_write(asked.request.op)) {
    world_.checker().on_sent(asked.token, !asked.request.idempotency_key.empty());
  }
  const auto id = asked.request.id;
  const auto session = asked.request.session;
  to_member(core::ClientRequest{asked.request});
  if (session) {
    world_.after(last_sent_us_ - world_.now(), [member = member_, id = session->id, this] {
      world_.checker().on_touch(*member, id);
    });
  }
  if (const auto* renew = std::get_if<core::RecipeRenew>(&asked.request.op)) {
    world_.after(last_sent_us_ - world_.now(), [member = member_, renew = *renew, this] {
      world_.checker().on_touch(*member, world_.checker().recipes()->session_of(renew));
    });
  }
  const bool abandons =
      world_.plan().has(Fault::client_abandon) && world_.is_stormy() && world_.prng().chance(1, 50);
  if (abandons) {
    world_.count(Count::abandoned);
    abandoned_.insert(id);
    record(asked, nullptr);
    if (std::holds_alternative<core::OpenSession>(asked.request.op)) is_opening_ = false;
    return;
  }
  waiting_.emplace(id, std::move(asked));
}

void Client::check_waiting() {
  if (world_.is_stormy()) return;
  for (const auto& [id, asked] : waiting_) {
    // What was lost in the storm waits as long as it was given.
    const auto most = asked.asked_us >= world_.led_from_us()
                          ? kAnswerUs
                          : asked.request.timeout_ms * 1'200 + 1'000'000;
    if (world_.now() - asked.asked_us > most && asked.asked_us + most > world_.led_from_us()) {
      return world_.fail(18,
                         fmt::format("liveness: a request of {} us is not answered at {} us (op "
                                     "{})",
                                     asked.asked_us, world_.now(), asked.request.op.index()));
    }
  }
}

// When the faults are over and a leader is there, nothing is refused for the want of one.
void Client::check_served(const Asked& asked, const core::Reply& reply) {
  if (asked.asked_us < world_.led_from_us()) return;
  // Where nothing says that a message was lost, the next one finds out.
  const bool is_loose = world_.plan().has(Fault::loose_links);
  if (is_loose && reply.detail == "an earlier write did not arrive") return;
  // What a snapshot covers was never seen entry by entry: a member that still lagged when it was
  // asked knows of no outcome.
  const bool is_covered = reply.detail.starts_with("this member took over a later state");
  if (reply.code == Code::outcome_unknown && is_covered) return;
  const bool is_local =
      asked.request.consistency == core::Consistency::local && !core::is_write(asked.request.op);
  const bool is_wrong = reply.code == Code::no_leader || reply.code == Code::outcome_unknown ||
                        reply.code == Code::disk_full || (reply.code == Code::behind && !is_local);
  if (is_wrong) {
    world_.fail(18, fmt::format("liveness: op {} is answered {} ({})", asked.request.op.index(),
                                reply.code, reply.detail));
  }
}

void Client::on_unknown(Asked asked) {
  world_.count(Count::reply_unknown);
  const bool may_retry = core::is_write(asked.request.op) && !asked.request.idempotency_key.empty();
  if (may_retry && world_.plan().has(Fault::client_retry) && !world_.is_closing()) {
    to_retry_.push_back(std::move(asked));
    return;
  }
  if (std::holds_alternative<core::OpenSession>(asked.request.op)) is_opening_ = false;
  record(asked, nullptr);
}

// ---------------------------------------------------------------- answers

void Client::on_delivery(ConnectionId connection, const core::Delivery& delivery) {
  if (connection != connection_ || world_.has_failed()) return;
  std::visit(Overloaded{[this](const core::Reply& reply) { on_reply(reply); },
                        [this](const core::WatchEvent& event) { on_event(event); },
                        [this](const core::WatchState& state) { on_state(state); },
                        [](const core::AppliedEvent&) {}},
             delivery);
}

void Client::on_reply(const core::Reply& reply) {
  world_.note("reply", reply.id.value(), static_cast<std::uint64_t>(reply.code),
              reply.revision.value());
  const auto at = waiting_.find(reply.id);
  if (at == waiting_.end()) {
    if (abandoned_.erase(reply.id) == 0) {
      world_.fail(13, fmt::format("request {} of client {} is answered twice", reply.id, number_));
    }
    return;
  }
  auto asked = std::move(at->second);
  waiting_.erase(at);
  if (const auto* add = std::get_if<core::AddMember>(&asked.request.op);
      add && world_.has_trace()) {
    world_.trace(fmt::format("member {} in the place of {}: {} {}", add->id, add->replaces,
                             reply.code, reply.detail));
  }
  check_served(asked, reply);
  if (reply.code == Code::outcome_unknown) return on_unknown(std::move(asked));
  world_.count(reply.code == Code::ok ? Count::reply_ok : Count::reply_refused);
  if (core::is_write(asked.request.op)) {
    world_.checker().check_write(asked.token, reply);
  } else {
    world_.checker().check_read(asked.request, reply);
  }
  check_floor(asked, reply);
  on_session_reply(asked, reply);
  on_recipe_reply(asked, reply);
  // A retry that is refused says nothing of the attempt before it.
  const bool is_unknown = asked.attempts > 1 && reply.code != Code::ok &&
                          std::holds_alternative<std::monostate>(reply.result) &&
                          reply.code != Code::no_node;
  record(asked, is_unknown ? nullptr : &reply);
  last_revision_ = std::max(last_revision_, reply.revision);
  if (reply.code == Code::no_leader && reply.leader && reply.leader != member_->id() &&
      world_.chance(20)) {
    preferred_ = reply.leader;
    drop_connection();
  }
  if (const auto* written = std::get_if<core::Written>(&reply.result)) {
    last_mzxid_ = written->stat.mzxid;
  }
}

void Client::check_floor(const Asked& asked, const core::Reply& reply) {
  const auto& request = asked.request;
  const auto* get = std::get_if<core::Get>(&request.op);
  if (get != nullptr && get->at) return;
  // What hangs on a session of its own is renewed by the leader's word, however old the look was.
  if (std::holds_alternative<core::RecipeRenew>(request.op)) return;
  // The answer to a change of the ensemble says nothing of the data.
  if (request.op.index() > core::Operation(core::GetStatus()).index()) return;
  if (core::is_write(request.op)) {
    if (reply.code == Code::ok && !reply.was_applied_before && reply.revision <= asked.floor) {
      world_.fail(12, fmt::format("a write is at {}, and {} was told before it was asked",
                                  reply.revision, asked.floor));
    }
    return;
  }
  if (reply.code != Code::ok && reply.code != Code::no_node) return;
  if (std::holds_alternative<core::GetStatus>(request.op)) return;
  const bool is_local = request.consistency == core::Consistency::local &&
                        !std::holds_alternative<core::Keepalive>(request.op);
  const auto floor = is_local ? request.min_revision : asked.floor;
  if (reply.revision < floor) {
    world_.fail(11, fmt::format("a read is of {}, and {} was told before it was asked",
                                reply.revision, floor));
  }
}

void Client::on_recipe_reply(const Asked& asked, const core::Reply& reply) {
  if (world_.checker().recipes() == nullptr) return;
  recipes_.on_reply(asked.request, reply);
  world_.checker().recipes()->check_told(number_, asked.request, reply);
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  if (result == nullptr || reply.code != Code::ok || reply.was_applied_before) return;
  world_.checker().on_renewed(result->answer.renews, asked.asked_us);
}

void Client::on_session_reply(const Asked& asked, const core::Reply& reply) {
  if (std::holds_alternative<core::OpenSession>(asked.request.op)) {
    is_opening_ = false;
    const auto* opened = std::get_if<core::SessionOpened>(&reply.result);
    if (opened == nullptr) return;
    world_.count(Count::session_opened);
    session_ = core::SessionCredential{opened->id, opened->secret};
    session_ttl_ms_ = opened->ttl_ms;
    if (!reply.was_applied_before) {
      world_.checker().on_promise(opened->id, asked.asked_us, opened->ttl_ms);
    }
    keeps_alive_ = !world_.chance(20);
    next_keepalive_us_ = 0;
    return;
  }
  if (!asked.request.session || !session_ || asked.request.session->id != session_->id) return;
  const auto id = session_->id;
  if (std::holds_alternative<core::KeepaliveResult>(reply.result)) {
    world_.checker().on_promise(id, asked.asked_us, session_ttl_ms_);
  }
  if (std::holds_alternative<core::CloseSession>(asked.request.op) && reply.code == Code::ok) {
    world_.count(Count::session_closed);
    session_.reset();
  } else if (reply.code == Code::session_expired) {
    if (world_.checker().model().was_live_at(id, world_.checker().model().applied())) {
      world_.fail(9, fmt::format("session {} lives, and its client is told that it ended", id));
    }
    session_.reset();
  } else if (reply.code == Code::not_found && !is_of_past(asked.request.op) &&
             !std::holds_alternative<core::RecipeResult>(reply.result)) {
    world_.fail(
        9, fmt::format("session {} was opened, and its client is told that it is unknown", id));
  } else if (reply.code == Code::bad_session_secret) {
    world_.fail(9, fmt::format("the secret of session {} is not known", id));
  }
}

// ---------------------------------------------------------------- the history of the registers

void Client::record(const Asked& asked, const core::Reply* reply) {
  if (!is_register(asked.request.op)) return;
  if (asked.request.consistency == core::Consistency::local) return;
  RegisterOp op;
  op.asked_us = asked.first_asked_us;
  op.token = asked.token;
  if (reply != nullptr) op.answered_us = world_.now();
  std::string path;
  if (const auto* put = std::get_if<core::Put>(&asked.request.op)) {
    if (reply != nullptr && reply->code != Code::ok) return;  // Refused: it never was.
    op.kind = RegisterOp::Kind::put;
    op.value = put->value.str();
    path = put->path;
  } else if (const auto* erase = std::get_if<core::Delete>(&asked.request.op)) {
    op.kind = RegisterOp::Kind::erase;
    op.is_absent = reply != nullptr && reply->code == Code::no_node;
    if (reply != nullptr && reply->code != Code::ok && !op.is_absent) return;
    path = erase->path;
  } else {
    const auto& get = std::get<core::Get>(asked.request.op);
    if (reply == nullptr || get.at) return;
    op.is_absent = reply->code == Code::no_node;
    const auto* node = std::get_if<core::NodeValue>(&reply->result);
    if (!op.is_absent && node == nullptr) return;
    if (node != nullptr) op.value = node->value.str();
    path = get.path;
  }
  histories_[path].push_back(std::move(op));
}

void Client::finish(Histories& histories) {
  for (const auto& [id, asked] : waiting_) record(asked, nullptr);
  for (const auto& asked : to_retry_) record(asked, nullptr);
  for (auto& [path, list] : histories_) {
    std::move(list.begin(), list.end(), std::back_inserter(histories[path]));
  }
}

}  // namespace coord::sim
