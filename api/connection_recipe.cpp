// Recipes at the edge: a step that waits for its turn, and streams that show states.
#include <fmt/format.h>

#include <algorithm>

#include "api/connection.hpp"
#include "api/recipe_route.hpp"
#include "coord/base/check.hpp"

namespace coord::api {
namespace {

using Phase = Exchange::Phase;

constexpr std::int64_t kRenewalsPerTtl = 4;

std::string_view poll_name(const Plan& plan) { return plan.route->recipe->event; }

}  // namespace

void Connection::note_client(Exchange& exchange, const core::Reply& reply) {
  const auto& plan = exchange.plan;
  if (plan.route->recipe == nullptr || plan.route->recipe->told == nullptr) return;
  if (reply.code != Code::ok) return;
  auto client = plan.route->recipe->told(plan, reply);
  client.address = caller_.address;
  client.seen_ms = edge_.now_ms();
  auto entry = edge_.clients().note(plan.recipe.name, std::move(client));
  if (exchange.stream) exchange.stream->client = std::move(entry);
}

// ---- a step that is checked here first, against what there is

void Connection::start_check(Exchange& exchange) {
  ++exchange.attempts;
  exchange.phase = Phase::recipe_basis;
  auto request = template_of(exchange);
  const auto kind = std::get<core::RecipeStep>(exchange.plan.request.op).kind;
  request.op = core::RecipeQuery{kind, exchange.plan.recipe.basis};
  submit(exchange, std::move(request));
}

void Connection::on_basis(Exchange& exchange, core::Reply reply) {
  auto& plan = exchange.plan;
  if (reply.code != Code::ok) {
    answer_reply(plan, reply, context_of(exchange), target_of(exchange));
    finish(exchange);
    return;
  }
  plan.route->recipe->check(plan, reply);
  const auto& key = plan.request.idempotency_key;
  if (!plan.recipe.refusal.empty() && key.empty()) {
    core::Reply refused;
    refused.code = Code::schema_refused;
    refused.detail = plan.recipe.refusal;
    refused.revision = reply.revision;
    refused.result = core::RecipeResult{};
    answer_reply(plan, refused, context_of(exchange), target_of(exchange));
    finish(exchange);
    return;
  }
  auto request = template_of(exchange);
  request.fences = plan.request.fences;
  if (!key.empty()) {
    // As with merge patches: each attempt is remembered, so each has a key of its own.
    request.idempotency_key = key;
    if (exchange.attempts > 1) request.idempotency_key += '#' + std::to_string(exchange.attempts);
    request.request_hash = plan.request.request_hash;
  }
  request.op = std::move(plan.request.op);
  exchange.phase = Phase::recipe_checked;
  submit(exchange, std::move(request));
}

// ---- long polls

// Is there still what the client has, or what was there when it began to wait?
bool Connection::is_same_state(const Exchange& exchange, const core::Reply& reply) const {
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  if (result == nullptr) return false;
  if (reply.code == Code::not_found) {
    return exchange.seen && exchange.seen->first == Code::not_found;
  }
  if (reply.code != Code::ok || !result->answer.etag) return false;
  if (exchange.plan.known) return exchange.plan.known == result->answer.etag;
  return exchange.seen && exchange.seen->first == Code::ok &&
         exchange.seen->second == result->answer.etag;
}

// ---- a step that waits: its ticket is watched, and looked at when it changes

bool Connection::has_to_wait(const Exchange& exchange, const core::Reply& reply) {
  if (!exchange.plan.recipe.wait_ms || *exchange.plan.recipe.wait_ms == 0) return false;
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  return reply.code == Code::ok && result != nullptr && result->answer.is_waiting;
}

void Connection::wait_for_turn(Exchange& exchange, core::Reply reply) {
  auto& result = std::get<core::RecipeResult>(reply.result);
  exchange.waiting = std::make_unique<RecipeWait>();
  auto& waiting = *exchange.waiting;
  waiting.session = exchange.plan.request.session;
  waiting.opened = result.opened;
  waiting.is_retry = reply.was_applied_before;
  if (result.opened) waiting.session = {result.opened->id, result.opened->secret};
  if (waiting.session && result.session_ttl_ms > 0) {
    waiting.beat_ms = std::max<std::int64_t>(1, result.session_ttl_ms / kRenewalsPerTtl);
    waiting.next_beat_ms = edge_.now_ms() + waiting.beat_ms;
  }
  waiting.answer = std::move(result.answer);
  waiting.revision = reply.revision;
  watch_turn(exchange);
}

void Connection::watch_turn(Exchange& exchange) {
  const auto& waiting = *exchange.waiting;
  COORD_CHECK(!waiting.answer.watch.empty(), "who waits says for what");
  exchange.phase = Phase::recipe_wait;
  exchange.watch = WatchId(next_watch_++);
  core::Subscribe subscribe;
  subscribe.connection = id_;
  subscribe.watch = exchange.watch;
  subscribe.filter.paths.assign(1, waiting.answer.watch);
  subscribe.filter.depth =
      waiting.answer.watches_children ? watch::Depth::children : watch::Depth::node;
  subscribe.filter.with_system = true;
  subscribe.from = waiting.revision;
  subscribe.identities = exchange.plan.request.identities;
  subscribe.session = waiting.session;
  subscribe.consistency = core::Consistency::local;
  edge_.gateway().subscribe(std::move(subscribe));
  update_interest();
  update_wake();
}

void Connection::poll_turn(Exchange& exchange, Zxid revision) {
  if (exchange.phase != Phase::recipe_wait) return;
  drop_watch(exchange);
  const auto& waiting = *exchange.waiting;
  auto request = template_of(exchange);
  request.session = waiting.session;
  const auto kind = std::get<core::RecipeStep>(exchange.plan.request.op).kind;
  if (waiting.answer.poll_is_step) {
    request.fences = exchange.plan.request.fences;
    request.op = core::RecipeStep{kind, waiting.answer.poll, {}};
  } else {
    request.consistency = core::Consistency::local;
    request.min_revision = std::max(revision, waiting.revision);
    request.op = core::RecipeQuery{kind, waiting.answer.poll};
  }
  exchange.phase = Phase::recipe_poll;
  submit(exchange, std::move(request));
  update_wake();
}

void Connection::on_turn_polled(Exchange& exchange, core::Reply reply) {
  auto* result = std::get_if<core::RecipeResult>(&reply.result);
  if (reply.code != Code::ok || result == nullptr || !result->answer.is_waiting) {
    answer_turn(exchange, std::move(reply));
    return;
  }
  auto& waiting = *exchange.waiting;
  waiting.answer = std::move(result->answer);
  waiting.revision = std::max(waiting.revision, reply.revision);
  if (edge_.now_ms() >= exchange.wait_until_ms || edge_.is_draining()) {
    give_up_turn(exchange);
  } else {
    watch_turn(exchange);
  }
}

// What happened since is not known any more: what is there now is.
void Connection::on_turn_watch_ended(Exchange& exchange, core::WatchState state) {
  exchange.watch = WatchId();
  if (state.code == Code::compacted) return poll_turn(exchange, state.revision);
  answer_turn(exchange, reply_of_end(exchange, std::move(state)));
}

void Connection::give_up_turn(Exchange& exchange) {
  drop_watch(exchange);
  const auto& waiting = *exchange.waiting;
  exchange.phase = Phase::recipe_give_up;
  auto request = template_of(exchange);
  request.session = waiting.session;
  const auto kind = std::get<core::RecipeStep>(exchange.plan.request.op).kind;
  if (waiting.answer.give_up.empty()) {  // Nothing to take back: only the state is told.
    request.consistency = core::Consistency::local;
    request.min_revision = waiting.revision;
    request.op = core::RecipeQuery{kind, waiting.answer.poll};
  } else {
    request.op = core::RecipeStep{kind, waiting.answer.give_up, {}};
  }
  submit(exchange, std::move(request));
  update_wake();
}

void Connection::answer_turn(Exchange& exchange, core::Reply reply) {
  drop_watch(exchange);
  const auto& waiting = *exchange.waiting;
  if (reply.code == Code::session_expired && waiting.is_retry && waiting.opened &&
      exchange.attempts < edge_.options().patch_attempts_max) {
    return ask_anew(exchange);
  }
  auto* result = std::get_if<core::RecipeResult>(&reply.result);
  if (reply.code == Code::ok && result != nullptr && !result->answer.ends_session) {
    if (!result->opened) result->opened = waiting.opened;
    if (waiting.session) edge_.gateway().touch(*waiting.session);
  }
  exchange.waiting.reset();
  answer_reply(exchange.plan, reply, context_of(exchange), target_of(exchange));
  finish(exchange);
}

// What the first request with this key waited for was taken back when its client went away: the
// retry asks for it again. As with merge patches each attempt has a key of its own.
void Connection::ask_anew(Exchange& exchange) {
  exchange.waiting.reset();
  exchange.phase = Phase::submitted;
  auto request = exchange.plan.request;
  request.idempotency_key += fmt::format("#{}", ++exchange.attempts + 1);
  auto& step = std::get<core::RecipeStep>(request.op);
  COORD_CHECK(step.own_session, "a session that the request brought");
  step.own_session->secret = edge_.gateway().random_secret();
  submit(exchange, std::move(request));
  update_wake();
}

// The open request is the session's heartbeat, until its time has run out.
void Connection::on_turn_wake(Exchange& exchange) {
  auto& waiting = *exchange.waiting;
  const auto now = edge_.now_ms();
  if (now >= exchange.wait_until_ms) return give_up_turn(exchange);
  if (waiting.next_beat_ms != 0 && now >= waiting.next_beat_ms) {
    edge_.gateway().touch(*waiting.session);
    waiting.next_beat_ms = now + waiting.beat_ms;
  }
}

// The client has gone: what its requests wait for is taken back, and with it the sessions that they
// brought.
void Connection::abandon_turns() {
  if (!id_) return;
  for (auto* exchange = head_; exchange != nullptr; exchange = exchange->next) {
    if (!exchange->waiting || exchange->plan.recipe.stays) continue;
    const auto& waiting = *exchange->waiting;
    auto request = template_of(*exchange);
    request.session = waiting.session;
    request.connection = id_;
    request.id = RequestId(next_request_++);
    if (waiting.opened) {
      request.op = core::CloseSession{waiting.opened->id, session::EndReason::closed};
    } else if (!waiting.answer.give_up.empty()) {
      const auto kind = std::get<core::RecipeStep>(exchange->plan.request.op).kind;
      request.op = core::RecipeStep{kind, waiting.answer.give_up, {}};
    } else {
      continue;
    }
    edge_.gateway().submit(std::move(request));
  }
}

// It was no renewal: the step that it may be is done.
void Connection::submit_step(Exchange& exchange) {
  exchange.phase = Phase::submitted;
  submit(exchange, std::move(exchange.plan.request));
}

// ---- streams of states: after a change what is there now is read and shown, if it differs

void Connection::want_state(Exchange& exchange, Zxid revision) {
  auto& stream = *exchange.stream;
  stream.state_due = std::max(stream.state_due, revision);
  if (stream.is_reading || fd_ < 0) return;
  stream.is_reading = true;
  auto request = template_of(exchange);
  request.consistency = core::Consistency::local;
  request.min_revision = std::exchange(stream.state_due, Zxid());
  request.op = exchange.plan.request.op;
  submit(exchange, std::move(request));
}

// The state that is being read has all that was seen before it.
void Connection::show_deltas(Exchange& exchange, const core::WatchEvent& event) {
  auto& stream = *exchange.stream;
  const auto& plan = exchange.plan;
  if (!plan.from && !stream.has_state) return;
  std::vector<Delta> deltas;
  plan.route->recipe->deltas(plan, event, deltas);
  if (deltas.empty()) return;
  stream.bookmarked = std::max(stream.bookmarked, event.batch->zxid);
  stream_text(
      std::make_shared<const std::string>(render_deltas(deltas, event.batch->zxid, stream.form)));
}

bool Connection::concerns(const Exchange& exchange, const core::WatchEvent& event) {
  const auto* recipe = exchange.plan.route->recipe;
  if (recipe->deltas == nullptr) return true;
  std::vector<Delta> deltas;
  recipe->deltas(exchange.plan, event, deltas);
  return !deltas.empty();
}

// Rendered once for all streams that show the same.
SharedText Connection::state_text(const Exchange& exchange, const core::Reply& reply) {
  const auto& plan = exchange.plan;
  const auto& stream = *exchange.stream;
  const bool is_shared = reply.code == Code::ok && plan.route->recipe->is_alike;
  StateRenders::Key key;
  if (is_shared) {
    key.what = plan.route->path;
    key.what.append(1, '\0').append(plan.recipe.name).append(1, '\0').append(stream.state);
    key.revision = reply.revision;
    key.form = stream.form;
    if (auto text = edge_.state_renders().find(key)) return text;
  }
  std::string json;
  if (reply.code == Code::ok) {
    RecipeBody body{200, "application/json", {}, json};
    plan.route->recipe->answer(plan, reply, body);
  } else {
    append_problem(json, plan, reply, nullptr);
  }
  const auto name = reply.code == Code::ok ? poll_name(plan) : word_of(reply.code);
  auto text =
      std::make_shared<const std::string>(render_state(name, reply.revision, json, stream.form));
  if (is_shared) edge_.state_renders().put(std::move(key), text);
  return text;
}

void Connection::on_state(Exchange& exchange, const core::Reply& reply) {
  auto& stream = *exchange.stream;
  stream.is_reading = false;
  note_client(exchange, reply);
  std::string state(reply.code == Code::ok ? recipe_result(reply).answer.bytes
                                           : word_of(reply.code));
  if (!stream.has_state || stream.state != state) {
    stream.has_state = true;
    stream.state = std::move(state);
    stream.bookmarked = std::max(stream.bookmarked, reply.revision);
    stream_text(state_text(exchange, reply));
    if (fd_ >= 0) write_some();
  }
  if (fd_ >= 0 && stream.state_due) want_state(exchange, stream.state_due);
}

}  // namespace coord::api
