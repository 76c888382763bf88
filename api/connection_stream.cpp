#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "api/connection.hpp"
#include "api/recipe_route.hpp"

namespace coord::api {
namespace {

using Phase = Exchange::Phase;

constexpr int kBeatsPerTtl = 4;  // The API promises three; one more leaves room for a late timer.

}  // namespace

void Connection::start_stream(Exchange& exchange) {
  const auto& plan = exchange.plan;
  exchange.stream = std::make_unique<StreamState>();
  exchange.stream->form = {plan.format, !exchange.is_http10, plan.with_values, plan.with_prev};
  is_streaming_ = true;         // Nothing behind it on this connection is answered ...
  exchange.keep_alive = false;  // ... not even when it is refused.
  if (!plan.request.session) {
    subscribe_stream(exchange, 0);
    return;
  }
  // The stream is the session's heartbeat, and its ttl says how often that must beat.
  exchange.phase = Phase::stream_session;
  auto request = template_of(exchange);
  request.op = core::GetSession{plan.request.session->id, false};
  submit(exchange, std::move(request));
}

void Connection::subscribe_stream(Exchange& exchange, std::int64_t session_ttl_ms) {
  const auto& plan = exchange.plan;
  auto& stream = *exchange.stream;
  stream.beat_ms = edge_.options().stream_beat_ms;
  if (session_ttl_ms > 0) {
    stream.beat_ms =
        std::max<std::int64_t>(1, std::min(stream.beat_ms, session_ttl_ms / kBeatsPerTtl));
  }
  wait_for_change(exchange, plan.from);
  exchange.phase = Phase::stream;
}

void Connection::open_stream(Exchange& exchange, Zxid revision) {
  auto& stream = *exchange.stream;
  answer_stream_head(exchange.plan, reply_at(exchange, revision), context_of(exchange),
                     target_of(exchange));
  // An id promises what was before it; with the present state still to come there is none yet.
  const bool begins_with_state = exchange.plan.route->recipe != nullptr && !exchange.plan.from;
  out_ += render_bookmark(revision, !exchange.plan.with_initial && !begins_with_state, stream.form);
  stream.is_open = true;
  stream.bookmarked = revision;
  exchange.deadline_ms = 0;
  stream.is_live = !exchange.plan.from && !exchange.plan.with_initial;
  stream.next_beat_ms = edge_.now_ms() + stream.beat_ms;
  stream.next_bookmark_ms = edge_.now_ms() + edge_.options().stream_beat_ms;
  stream.touch_at_sent = 0;
  // A stream of states begins with the present one, unless the client has seen that.
  if (exchange.plan.route->recipe != nullptr && !exchange.plan.from) want_state(exchange, revision);
  update_wake();
}

void Connection::on_stream_state(Exchange& exchange, const core::WatchState& state) {
  auto& stream = *exchange.stream;
  switch (state.kind) {
    case core::WatchState::Kind::opened:
      if (!stream.is_open) open_stream(exchange, state.revision);
      return;
    case core::WatchState::Kind::more:
      stream.wants_more = true;
      resume_stream();
      return;
    case core::WatchState::Kind::present:
      if (exchange.plan.route->recipe != nullptr) {
        stream.is_live = true;
      } else if (!stream.is_live) {
        stream.is_live = true;
        stream.bookmarked = state.revision;
        stream_text(std::make_shared<const std::string>(
            render_bookmark(state.revision, true, stream.form)));
      }
      return;
    case core::WatchState::Kind::ended:
      break;
  }
  exchange.watch = WatchId();
  if (state.code == Code::compacted && exchange.plan.route->recipe != nullptr) {
    // What happened since is gone, what is there now is not.
    exchange.plan.from.reset();
    if (exchange.plan.route->recipe->deltas != nullptr) stream.has_state = false;
    wait_for_change(exchange, std::nullopt);
    exchange.phase = Phase::stream;
    if (stream.is_open) want_state(exchange, state.revision);
    return;
  }
  if (!stream.is_open) {
    const auto reply = reply_of_end(exchange, state);
    is_streaming_ = false;
    answer_reply(exchange.plan, reply, context_of(exchange), target_of(exchange));
    exchange.stream.reset();
    finish(exchange);
    return;
  }
  stream_text(std::make_shared<const std::string>(render_end(state, stream.form)));
  if (fd_ >= 0) end_stream(exchange, false);
}

// Cuts the stream when it owes too much already: the client resumes from its last id.
void Connection::stream_text(SharedText text) {
  if (fd_ < 0 || text->empty()) return;
  if (unsent_bytes() > edge_.options().stream_bytes_max) {
    close();
    return;
  }
  if (!has_unsent()) write_progress_ms_ = edge_.now_ms();
  outbox_bytes_ += text->size();
  outbox_.push_back(std::move(text));
  // Sent parts leave the front in bulk, so that a stream that never runs dry does not grow.
  if (outbox_first_ > 1024 && outbox_first_ * 2 > outbox_.size()) {
    outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(outbox_first_));
    outbox_first_ = 0;
  }
}

void Connection::resume_stream() {
  if (head_ != nullptr && head_->phase == Phase::backup) return read_backup(*head_);
  if (head_ == nullptr || !head_->stream || !head_->stream->wants_more) return;
  if (unsent_bytes() >= edge_.options().stream_resume_bytes) return;
  head_->stream->wants_more = false;
  edge_.gateway().resume({id_, head_->watch});
}

std::uint64_t Connection::acknowledged_bytes() const noexcept {
  int unacknowledged = 0;
  if (::ioctl(fd_, SIOCOUTQ, &unacknowledged) != 0) return 0;
  return sent_total_ - static_cast<std::uint64_t>(std::max(unacknowledged, 0));
}

// Something is sent at each beat, and the session is renewed only when what was sent by the beat
// before has been acknowledged: a client that is gone acknowledges nothing.
void Connection::on_beat(Exchange& exchange) {
  auto& stream = *exchange.stream;
  const auto now = edge_.now_ms();
  const auto& session = exchange.plan.request.session;
  if (session && stream.touch_at_sent != 0 && acknowledged_bytes() >= stream.touch_at_sent) {
    edge_.gateway().touch(*session);
  }
  std::string text = render_comment(stream.form);
  const bool is_time = now >= stream.next_bookmark_ms;
  // What is not shown yet is not promised.
  const bool is_shown = !stream.state_due && !stream.is_reading;
  if (stream.is_live && is_shown && (is_time || text.empty())) {
    stream.bookmarked = std::max(stream.bookmarked, edge_.gateway().applied());
    text += render_bookmark(stream.bookmarked, true, stream.form);
    stream.next_bookmark_ms = now + edge_.options().stream_beat_ms;
  }
  if (!text.empty()) stream_text(std::make_shared<const std::string>(std::move(text)));
  if (fd_ < 0) return;
  stream.touch_at_sent = sent_total_ + unsent_bytes();
  stream.next_beat_ms = now + stream.beat_ms;
}

// `is_clean`: with the last chunk, so that the client sees an end and not a break.
void Connection::end_stream(Exchange& exchange, bool is_clean) {
  drop_watch(exchange);
  if (is_clean && exchange.stream->form.is_chunked) {
    stream_text(std::make_shared<const std::string>("0\r\n\r\n"));
    if (fd_ < 0) return;
  }
  exchange.stream.reset();
  is_streaming_ = false;
  finish(exchange);
}

}  // namespace coord::api
