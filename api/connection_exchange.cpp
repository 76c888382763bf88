#include <fmt/format.h>

#include <algorithm>

#include "api/admin.hpp"
#include "api/bodies.hpp"
#include "api/connection.hpp"
#include "api/recipe_route.hpp"
#include "coord/base/check.hpp"

namespace coord::api {
namespace {

using Phase = Exchange::Phase;

enum class Kind : std::uint8_t { read, write, alone };

// Which requests may run beside each other.
Kind kind_of(const Exchange& exchange) noexcept {
  const auto& plan = exchange.plan;
  if (plan.patch != PatchKind::none || plan.wait_ms || plan.recipe.wait_ms ||
      plan.format == Format::event_stream || plan.route->endpoint == Endpoint::watch_get ||
      plan.route->endpoint == Endpoint::backup_get || !plan.recipe.basis.empty()) {
    return Kind::alone;
  }
  return plan.is_write || plan.route->endpoint == Endpoint::session_keepalive ? Kind::write
                                                                              : Kind::read;
}

bool is_local(const Plan& plan) noexcept {
  return plan.request.consistency == core::Consistency::local;
}

// Listings may be of the names that begin with prefix=.
std::string_view prefix_of(const Plan& plan) noexcept {
  const auto* listing = std::get_if<core::GetChildren>(&plan.request.op);
  return listing != nullptr ? std::string_view(listing->prefix) : std::string_view();
}

bool is_listed(const Plan& plan, const znode::Change& change) noexcept {
  if (change.path == plan.path) return true;
  const auto name = std::string_view(change.path).substr(change.path.rfind('/') + 1);
  return name.starts_with(prefix_of(plan));
}

// Leaves what a stream of a listing shows; false: that is nothing.
bool keep_listed(const Plan& plan, core::WatchEvent& event) {
  if (prefix_of(plan).empty()) return true;
  const auto& changes = event.batch->changes;
  if (event.wanted.empty()) {
    for (std::uint32_t i = 0; i < changes.size(); ++i) event.wanted.push_back(i);
  }
  std::erase_if(event.wanted, [&](auto i) { return !is_listed(plan, changes[i]); });
  return !event.wanted.empty();
}

bool is_stream(const Plan& plan) noexcept {
  return plan.format == Format::event_stream || plan.route->endpoint == Endpoint::watch_get;
}

}  // namespace

std::string& Connection::target_of(Exchange& exchange) {
  return &exchange == head_ ? out_ : exchange.out;
}

AnswerContext Connection::context_of(const Exchange& exchange) {
  return {edge_.date(),
          exchange.keep_alive && !edge_.is_draining(),
          exchange.is_http10,
          edge_.gateway().applied(),
          edge_.gateway().staleness_ms(),
          edge_.options().version,
          edge_.scratch(),
          &edge_.clients(),
          edge_.now_ms()};
}

bool Connection::may_start(const Exchange& exchange) const noexcept {
  const auto kind = kind_of(exchange);
  for (const auto* earlier = head_; earlier != &exchange; earlier = earlier->next) {
    if (earlier->phase == Phase::done) continue;
    if (kind == Kind::alone || kind_of(*earlier) != kind) return false;
  }
  return true;
}

void Connection::start_queued() {
  auto* exchange = head_;
  while (exchange != nullptr && fd_ >= 0) {
    if (exchange->phase == Phase::queued) {
      if (!may_start(*exchange)) return;
      start(*exchange);
      // A local answer may have changed the list: look at it from the front again.
      exchange = head_;
      while (exchange != nullptr && exchange->phase != Phase::queued) exchange = exchange->next;
      continue;
    }
    exchange = exchange->next;
  }
}

void Connection::start(Exchange& exchange) {
  auto& plan = exchange.plan;
  COORD_CHECK(plan.route != nullptr, "an exchange that starts has a route");
  if ((plan.route->traits & trait_local) != 0) {
    answer_locally(exchange);
    return;
  }
  const auto& options = edge_.options();
  exchange.deadline_ms = edge_.now_ms() + plan.request.timeout_ms + options.answer_grace_ms;
  if (is_stream(plan)) {
    start_stream(exchange);
  } else if (plan.route->endpoint == Endpoint::backup_get) {
    start_backup(exchange);
  } else if (plan.wait_ms) {
    exchange.deadline_ms += *plan.wait_ms;
    exchange.wait_until_ms = edge_.now_ms() + *plan.wait_ms;
    start_poll(exchange);
  } else if (plan.patch == PatchKind::merge) {
    start_patch(exchange);
  } else if (!plan.recipe.basis.empty()) {
    start_check(exchange);
  } else {
    if (auto* open = std::get_if<core::OpenSession>(&plan.request.op)) {
      open->secret = edge_.gateway().random_secret();
    } else if (auto* step = std::get_if<core::RecipeStep>(&plan.request.op)) {
      if (step->own_session) step->own_session->secret = edge_.gateway().random_secret();
    }
    if (plan.recipe.renewal) {
      exchange.phase = Phase::recipe_renew;
      auto request = template_of(exchange);
      request.op = std::move(*plan.recipe.renewal);
      submit(exchange, std::move(request));
      return;
    }
    exchange.phase = Phase::submitted;
    if (plan.recipe.wait_ms) {
      // Who waits asks again later: the request is needed then.
      exchange.deadline_ms += *plan.recipe.wait_ms;
      exchange.wait_until_ms = edge_.now_ms() + *plan.recipe.wait_ms;
      auto request = plan.request;
      submit(exchange, std::move(request));
    } else {
      submit(exchange, std::move(plan.request));
    }
  }
}

void Connection::answer_locally(Exchange& exchange) {
  const auto& plan = exchange.plan;
  auto answer = local_answer(plan.route->endpoint, edge_.gateway(), edge_.options());
  answer_body(plan, answer.status, answer.content_type, answer.body, context_of(exchange),
              target_of(exchange));
  finish(exchange);
}

void Connection::submit(Exchange& exchange, core::Request request) {
  if (!id_) id_ = edge_.gateway().connect(*this);
  exchange.request = RequestId(next_request_++);
  request.connection = id_;
  request.id = exchange.request;
  edge_.gateway().submit(std::move(request));
}

// Everything of the request but its operation, for exchanges that ask more than once.
core::Request Connection::template_of(const Exchange& exchange) const {
  const auto& from = exchange.plan.request;
  core::Request request;
  request.identities = from.identities;
  request.session = from.session;
  request.consistency = from.consistency;
  request.max_staleness_ms = from.max_staleness_ms;
  request.min_revision = from.min_revision;
  request.timeout_ms = from.timeout_ms;
  return request;
}

// ---- merge patch: read, merge, write under the mzxid that was read

void Connection::start_patch(Exchange& exchange) {
  ++exchange.attempts;
  exchange.phase = Phase::patch_read;
  auto request = template_of(exchange);
  request.op = core::Get{exchange.plan.path, true, {}};
  submit(exchange, std::move(request));
}

void Connection::on_patch_read(Exchange& exchange, core::Reply reply) {
  auto& plan = exchange.plan;
  const auto* node = std::get_if<core::NodeValue>(&reply.result);
  if (reply.code != Code::ok || node == nullptr) {
    if (reply.code == Code::no_node && plan.has_guard) reply.code = Code::precondition_no_node;
    answer_reply(plan, reply, context_of(exchange), target_of(exchange));
    finish(exchange);
    return;
  }
  std::string merged;
  if (const auto problem = merge_patch(node->value.view(), plan.patch_body, merged)) {
    answer_problem(plan, problem, context_of(exchange), target_of(exchange));
    finish(exchange);
    return;
  }
  auto set = std::get<core::Set>(plan.request.op);
  set.value = Blob(merged);
  set.content_type = node->content_type;
  if (!set.guard.mzxid) set.guard.mzxid = node->stat.mzxid;
  auto request = template_of(exchange);
  request.fences = plan.request.fences;
  if (!plan.request.idempotency_key.empty()) {
    // A refused attempt is remembered under its key too, so each attempt has its own; a client's
    // retry walks through the same ones and finds the one that was applied.
    request.idempotency_key = plan.request.idempotency_key;
    if (exchange.attempts > 1) {
      request.idempotency_key += '#' + std::to_string(exchange.attempts);
    }
    request.request_hash = plan.request.request_hash;
  }
  request.op = std::move(set);
  exchange.phase = Phase::patch_write;
  submit(exchange, std::move(request));
}

// ---- replies

void Connection::deliver(core::Delivery delivery) {
  if (fd_ < 0) return;
  if (auto* reply = std::get_if<core::Reply>(&delivery)) {
    for (auto* exchange = head_; exchange != nullptr; exchange = exchange->next) {
      if (exchange->request != reply->id || exchange->phase == Phase::done) continue;
      on_reply(*exchange, std::move(*reply));
      return;
    }
    return;  // The edge has answered in the member's place already.
  }
  auto* event = std::get_if<core::WatchEvent>(&delivery);
  auto* state = std::get_if<core::WatchState>(&delivery);
  if (event == nullptr && state == nullptr) return;
  const auto watch = event != nullptr ? event->watch : state->watch;
  for (auto* exchange = head_; exchange != nullptr; exchange = exchange->next) {
    if (exchange->watch != watch || exchange->phase == Phase::done) continue;
    if (event != nullptr) {
      on_watch_event(*exchange, std::move(*event));
    } else {
      on_watch_state(*exchange, std::move(*state));
    }
    return;
  }
}

void Connection::on_reply(Exchange& exchange, core::Reply reply) {
  exchange.request = RequestId();
  switch (exchange.phase) {
    case Phase::patch_read:
      on_patch_read(exchange, std::move(reply));
      return;
    case Phase::patch_write:
      if (reply.code == Code::bad_version && !exchange.plan.has_guard &&
          exchange.attempts < edge_.options().patch_attempts_max) {
        start_patch(exchange);
        return;
      }
      break;
    case Phase::poll_read:
      on_poll_read(exchange, std::move(reply));
      return;
    case Phase::recipe_basis:
      return on_basis(exchange, std::move(reply));
    case Phase::recipe_checked:
      if (const auto* result = std::get_if<core::RecipeResult>(&reply.result);
          result != nullptr && result->answer.is_stale &&
          exchange.attempts < edge_.options().patch_attempts_max) {
        return start_check(exchange);
      }
      break;
    case Phase::stream_session:
      if (const auto* session = std::get_if<core::SessionView>(&reply.result)) {
        subscribe_stream(exchange, session->ttl_ms);
        return;
      }
      break;
    case Phase::backup_asked:
      if (reply.code == Code::ok) {
        exchange.phase = Phase::backup;
        read_backup(exchange);
        return;
      }
      is_streaming_ = false;
      break;
    case Phase::submitted:
      if (has_to_wait(exchange, reply)) return wait_for_turn(exchange, std::move(reply));
      break;
    case Phase::recipe_renew:
      if (reply.code == Code::not_found) return submit_step(exchange);
      break;
    case Phase::recipe_poll:
      return on_turn_polled(exchange, std::move(reply));
    case Phase::recipe_give_up:
      return answer_turn(exchange, std::move(reply));
    case Phase::poll_answer:
      // A change that does not concern what the client asks for is none.
      if (is_same_state(exchange, reply) && edge_.now_ms() < exchange.wait_until_ms) {
        wait_for_change(exchange, reply.revision);
        return;
      }
      break;
    case Phase::stream:
      return on_state(exchange, reply);
    case Phase::queued:
    case Phase::backup:
    case Phase::poll_wait:
    case Phase::recipe_wait:
    case Phase::done:
      break;
  }
  note_client(exchange, reply);
  answer_reply(exchange.plan, reply, context_of(exchange), target_of(exchange));
  finish(exchange);
}

void Connection::finish(Exchange& exchange) {
  exchange.phase = Phase::done;
  exchange.request = RequestId();
  pop_answered();
  if (fd_ >= 0 && head_ != nullptr && !is_consuming_) start_queued();
}

void Connection::pop_answered() {
  while (head_ != nullptr && head_->phase == Phase::done) {
    auto* answered = head_;
    // The front writes into out_ itself; the others have waited with theirs.
    if (!answered->out.empty()) out_ += answered->out;
    head_ = answered->next;
    if (head_ == nullptr) tail_ = nullptr;
    --count_;
    if (!answered->keep_alive || edge_.is_draining()) is_closing_ = true;
    edge_.give_back(answered);
    if (head_ != nullptr && !head_->out.empty()) {
      out_ += head_->out;
      head_->out.clear();
    }
  }
  if (head_ == nullptr) since_ms_ = parser_ ? since_ms_ : edge_.now_ms();
  update_wake();
}

void Connection::on_safety_deadline(Exchange& exchange) {
  drop_watch(exchange);
  const auto& plan = exchange.plan;
  const bool is_unknown =
      plan.is_write && exchange.phase != Phase::patch_read && exchange.phase != Phase::recipe_basis;
  const Problem problem{is_unknown ? Code::outcome_unknown : Code::overloaded,
                        "the member has not answered in time",
                        {},
                        {}};
  if (exchange.stream && exchange.stream->is_open) {
    end_stream(exchange, false);
    return;
  }
  answer_problem(plan, problem, context_of(exchange), target_of(exchange));
  finish(exchange);
  if (fd_ >= 0) write_some();
}

// What a reply that never was would say of this member.
core::Reply Connection::reply_at(const Exchange& exchange, Zxid revision) const {
  core::Reply reply;
  reply.revision = revision;
  reply.consistency = exchange.plan.request.consistency;
  reply.staleness_ms = edge_.gateway().staleness_ms();
  return reply;
}

// The end of a watch as the answer to the request that it served.
core::Reply Connection::reply_of_end(const Exchange& exchange, core::WatchState state) const {
  auto reply = reply_at(exchange, state.revision);
  reply.code = state.code;
  reply.detail = std::move(state.detail);
  reply.oldest = state.oldest;
  reply.end_reason = state.end_reason;
  return reply;
}

// ---- long polls

void Connection::start_poll(Exchange& exchange) {
  // A recipe's state is compared with what was there first: not all that changes below its node is
  // a change of what this client sees. Who knows what changes mean looks at those instead.
  const auto& plan = exchange.plan;
  const auto* recipe = plan.route->recipe;
  if (plan.known || plan.known_any || (recipe != nullptr && recipe->deltas == nullptr)) {
    exchange.phase = Phase::poll_read;
    auto request = template_of(exchange);
    request.op = exchange.plan.request.op;
    // Waiting for min_revision is waiting too.
    if (is_local(plan) && request.min_revision) {
      request.timeout_ms = std::min(request.timeout_ms, *plan.wait_ms);
    }
    submit(exchange, std::move(request));
  } else {
    wait_for_change(exchange, exchange.plan.since);
  }
  update_wake();
}

// The client has an ETag: what differs from it, a missing node too, is a change already.
void Connection::on_poll_read(Exchange& exchange, core::Reply reply) {
  const auto& plan = exchange.plan;
  bool is_same = false;
  bool is_replayed = false;
  if (const auto* node = std::get_if<core::NodeValue>(&reply.result)) {
    is_same = plan.known_any || plan.known == node->stat.mzxid;
  } else if (const auto* children = std::get_if<core::ChildList>(&reply.result)) {
    is_same = plan.known_any || plan.known == children->stat.pzxid;
  } else if (const auto* recipe = std::get_if<core::RecipeResult>(&reply.result)) {
    const auto& seen = recipe->answer;
    const bool is_state =
        reply.code == Code::ok || (reply.code == Code::not_found && !seen.is_final);
    note_client(exchange, reply);
    exchange.seen.emplace(reply.code, seen.etag);
    if (plan.known || plan.known_any) {
      is_same = reply.code == Code::ok && (plan.known_any || plan.known == seen.etag);
    } else if (!plan.since) {
      is_same = is_state && !seen.is_final;  // What is missing is waited for.
    } else if (seen.changed) {
      is_same = is_state && seen.changed <= *plan.since;
    } else {  // What happened since then is looked at, change by change.
      is_same = is_replayed = is_state;
      exchange.seen.reset();
    }
    // A view may say that one node is all that has to be watched.
    if (is_same && !seen.watch.empty()) {
      exchange.plan.filter.paths.assign(1, seen.watch);
      exchange.plan.filter.depth = watch::Depth::node;
    }
  }
  if (is_same) {
    wait_for_change(exchange, is_replayed ? *plan.since
                                          : std::max(reply.revision, plan.since.value_or(Zxid())));
    return;
  }
  answer_reply(plan, reply, context_of(exchange), target_of(exchange));
  finish(exchange);
}

void Connection::wait_for_change(Exchange& exchange, std::optional<Zxid> from) {
  if (!id_) id_ = edge_.gateway().connect(*this);
  exchange.phase = Phase::poll_wait;
  exchange.watch = WatchId(next_watch_++);
  core::Subscribe subscribe;
  subscribe.connection = id_;
  subscribe.watch = exchange.watch;
  subscribe.filter = exchange.plan.filter;
  subscribe.from = from;
  subscribe.with_initial = exchange.plan.with_initial;
  subscribe.identities = exchange.plan.request.identities;
  subscribe.session = exchange.plan.request.session;
  subscribe.consistency = exchange.plan.request.consistency;
  subscribe.min_revision = exchange.plan.request.min_revision;
  edge_.gateway().subscribe(std::move(subscribe));
  update_wake();
}

void Connection::on_watch_event(Exchange& exchange, core::WatchEvent event) {
  if (exchange.waiting) return poll_turn(exchange, event.batch->zxid);
  if (exchange.stream && exchange.plan.route->recipe != nullptr) {
    if (exchange.plan.route->recipe->deltas != nullptr) return show_deltas(exchange, event);
    return want_state(exchange, event.batch->zxid);
  }
  if (exchange.stream) {
    if (!keep_listed(exchange.plan, event)) return;
    const auto& form = exchange.stream->form;
    if (!event.is_initial) exchange.stream->bookmarked = event.batch->zxid;
    stream_text(edge_.renders().get(event, form));
    return;
  }
  if (exchange.plan.route->recipe != nullptr && !concerns(exchange, event)) return;
  const auto& plan = exchange.plan;
  const bool is_listing = plan.route->endpoint == Endpoint::children_get;
  const auto& changes = event.batch->changes;
  const auto count = event.wanted.empty() ? changes.size() : event.wanted.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto& change = changes[event.wanted.empty() ? i : event.wanted[i]];
    if (!is_listed(plan, change)) continue;
    // A listing of names changes when names come and go, not when values change.
    if (is_listing && change.kind == znode::ChangeKind::changed &&
        (!plan.children_state || change.path == plan.path)) {
      continue;
    }
    read_after_change(exchange);
    return;
  }
}

void Connection::on_watch_state(Exchange& exchange, core::WatchState state) {
  if (exchange.waiting) {
    if (state.kind == core::WatchState::Kind::more) {
      edge_.gateway().resume({id_, exchange.watch});
    } else if (state.kind == core::WatchState::Kind::ended) {
      on_turn_watch_ended(exchange, std::move(state));
    }
    return;
  }
  if (exchange.stream) {
    on_stream_state(exchange, state);
    return;
  }
  switch (state.kind) {
    case core::WatchState::Kind::opened:
    case core::WatchState::Kind::present:
      return;
    case core::WatchState::Kind::more:
      edge_.gateway().resume({id_, exchange.watch});
      return;
    case core::WatchState::Kind::ended:
      exchange.watch = WatchId();
      if (state.code == Code::compacted) {
        read_after_change(exchange);  // Too old to say what happened: what is there now.
        return;
      }
      const auto reply = reply_of_end(exchange, std::move(state));
      answer_reply(exchange.plan, reply, context_of(exchange), target_of(exchange));
      finish(exchange);
      return;
  }
}

void Connection::read_after_change(Exchange& exchange) {
  drop_watch(exchange);
  exchange.phase = Phase::poll_answer;
  if (exchange.plan.route->recipe != nullptr) {  // It may have to wait on.
    auto request = exchange.plan.request;
    submit(exchange, std::move(request));
    return;
  }
  exchange.wait_until_ms = 0;
  submit(exchange, std::move(exchange.plan.request));
}

void Connection::end_poll(Exchange& exchange) {
  drop_watch(exchange);
  const auto& plan = exchange.plan;
  auto reply = reply_at(exchange, edge_.gateway().applied());
  if (is_local(plan) && plan.request.min_revision > reply.revision) {
    reply.code = Code::behind;
    reply.detail = fmt::format("this member has applied {} and not yet {}", reply.revision,
                               plan.request.min_revision);
    answer_reply(plan, reply, context_of(exchange), target_of(exchange));
  } else {
    auto etag = plan.known;
    if (!etag && exchange.seen && exchange.seen->second) etag = exchange.seen->second;
    answer_not_modified(plan, reply, etag, context_of(exchange), target_of(exchange));
  }
  finish(exchange);
}

void Connection::drop_watch(Exchange& exchange) {
  if (!exchange.watch) return;
  edge_.gateway().unsubscribe({id_, exchange.watch});
  exchange.watch = WatchId();
}

// ---- time

void Connection::update_wake() {
  std::int64_t at = 0;
  const auto sooner = [&](std::int64_t when) {
    if (when != 0 && (at == 0 || when < at)) at = when;
  };
  for (const auto* exchange = head_; exchange != nullptr; exchange = exchange->next) {
    if (exchange->phase == Phase::poll_wait) sooner(exchange->wait_until_ms);
    if (exchange->waiting && exchange->phase == Phase::recipe_wait) {
      sooner(exchange->wait_until_ms);
      sooner(exchange->waiting->next_beat_ms);
    }
    if (exchange->stream && exchange->stream->is_open) sooner(exchange->stream->next_beat_ms);
  }
  if (at == wake_ms_) return;
  edge_.sockets().set_wake(*this, wake_ms_, at);
  wake_ms_ = at;
}

void Connection::on_wake() {
  wake_ms_ = 0;  // Edge has taken it out.
  const auto now = edge_.now_ms();
  for (auto* exchange = head_; exchange != nullptr && fd_ >= 0;) {
    auto* next = exchange->next;
    if (exchange->phase == Phase::poll_wait && now >= exchange->wait_until_ms) {
      end_poll(*exchange);
      break;  // The list has changed.
    }
    if (exchange->phase == Phase::recipe_wait) {
      on_turn_wake(*exchange);
      break;
    }
    if (exchange->stream && exchange->stream->is_open && now >= exchange->stream->next_beat_ms) {
      on_beat(*exchange);
    }
    exchange = next;
  }
  if (fd_ >= 0) write_some();
  if (fd_ >= 0) update_wake();
}

void Connection::start_draining() {
  if (fd_ < 0) return;
  if (head_ == nullptr) {
    is_closing_ = true;
    if (parser_) edge_.give_back(std::move(parser_));
  }
  for (auto* exchange = head_; exchange != nullptr; exchange = exchange->next) {
    exchange->keep_alive = false;
    if (exchange->phase == Phase::poll_wait) {
      end_poll(*exchange);
      break;
    }
    if (exchange->phase == Phase::recipe_wait) {
      give_up_turn(*exchange);
      break;
    }
    if (exchange->stream && exchange->stream->is_open) {
      end_stream(*exchange, true);
      break;
    }
  }
  if (fd_ >= 0) write_some();
}

}  // namespace coord::api
