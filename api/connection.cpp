#include "api/connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "coord/base/check.hpp"

namespace coord::api {
namespace {

constexpr std::size_t kKeptBytes = 4 * kKiB;  // Buffers above it are freed when they are idle.
constexpr std::size_t kIovMax = 64;
constexpr std::size_t kSentBytesMax = 256 * kKiB;  // What was sent is dropped beyond it.
constexpr std::size_t kSentPartsMax = 1'024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Connection::Connection(Edge& edge, int fd, Caller caller)
    : edge_(edge), fd_(fd), caller_(std::move(caller)), since_ms_(edge.now_ms()) {
  interest_ = EPOLLIN;
  edge_.sockets().watch(*this, fd_, interest_);
}

Connection::~Connection() { COORD_CHECK(fd_ < 0, "a connection is closed before it goes"); }

void Connection::on_events(std::uint32_t events) {
  if (fd_ < 0) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    close();
    return;
  }
  if ((events & EPOLLOUT) != 0) write_some();
  if (fd_ >= 0 && (events & EPOLLIN) != 0) read_some();
}

bool Connection::may_read() const noexcept {
  if (has_input_ended_) return false;
  // Who waits for long is looked after: that the client is gone is seen only by reading.
  const bool is_waiting =
      head_ != nullptr && (head_->phase == Exchange::Phase::poll_wait || head_->waiting != nullptr);
  if (is_streaming_ || is_lingering_ || is_waiting) return true;
  return !is_paused_ && !is_closing_;
}

bool Connection::has_unsent() const noexcept {
  return out_sent_ < out_.size() || outbox_first_ < outbox_.size();
}

std::size_t Connection::unsent_bytes() const noexcept {
  return out_.size() - out_sent_ + outbox_bytes_;
}

void Connection::update_interest() {
  if (fd_ < 0) return;
  std::uint32_t wanted = 0;
  if (may_read()) wanted |= EPOLLIN;
  if (has_unsent()) wanted |= EPOLLOUT;
  if (wanted == interest_) return;
  edge_.sockets().set_interest(*this, fd_,
                               wanted);  // EPOLLERR and EPOLLHUP come also with an empty set.
  interest_ = wanted;
}

void Connection::read_some() {
  char* const buffer = edge_.sockets().read_buffer();
  const auto n = ::recv(fd_, buffer, Edge::kReadBufferBytes, MSG_DONTWAIT);
  if (n < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) close();
    return;
  }
  if (n == 0) {
    on_end_of_input();
    return;
  }
  if (is_lingering_ || is_streaming_ || is_closing_)
    return;  // Nothing that comes now is a request to answer.
  std::string_view data(buffer, static_cast<std::size_t>(n));
  if (in_.empty()) {
    const auto used = consume(data);
    if (fd_ < 0) return;
    if (used < data.size() && !is_closing_) in_.assign(data.substr(used));
  } else {
    in_.append(data);
    take_leftover();
  }
  if (fd_ >= 0) write_some();
}

void Connection::take_leftover() {
  const auto used = consume(in_);
  if (fd_ < 0) return;
  if (is_closing_) {
    in_.clear();
  } else {
    in_.erase(0, used);
  }
}

void Connection::on_end_of_input() {
  has_input_ended_ = true;
  // A request that was cut short is not a request: nothing of it is applied.
  if (parser_) edge_.give_back(std::move(parser_));
  const bool waits =
      head_ != nullptr &&
      (head_->phase == Exchange::Phase::stream || head_->phase == Exchange::Phase::stream_session ||
       head_->phase == Exchange::Phase::backup_asked || head_->phase == Exchange::Phase::backup ||
       head_->phase == Exchange::Phase::poll_wait || head_->waiting != nullptr);
  if (is_lingering_ || waits || (head_ == nullptr && !has_unsent())) {
    close();
    return;
  }
  is_closing_ = true;  // What is in flight is answered: the client may have closed its half only.
  update_interest();
}

std::size_t Connection::consume(std::string_view data) {
  COORD_CHECK(!is_consuming_, "requests are taken one after the other");
  is_consuming_ = true;
  std::size_t used = 0;
  is_paused_ = false;
  while (used < data.size() && !is_closing_ && !is_streaming_ && fd_ >= 0) {
    if (count_ >= edge_.options().pipelined_max ||
        unsent_bytes() > edge_.options().unsent_pause_bytes) {
      is_paused_ = true;
      break;
    }
    if (!parser_) {
      parser_ = edge_.take_parser();
      since_ms_ = edge_.now_ms();
      body_window_ms_ = 0;
      has_continued_ = false;
    }
    std::size_t taken = 0;
    const auto status = parser_->put(data.substr(used), taken);
    used += taken;
    if (status == HttpParser::Status::failed) {
      refuse();
      break;
    }
    if (status == HttpParser::Status::need_more) {
      if (parser_->has_header() && body_window_ms_ == 0) {
        body_window_ms_ = edge_.now_ms();
        body_window_bytes_ = parser_->body_bytes();
      }
      break;
    }
    begin_exchange();
  }
  is_consuming_ = false;
  if (fd_ >= 0 && parser_ && parser_->has_header() && parser_->expects_continue() &&
      !has_continued_ && parser_->body_bytes() == 0 && head_ == nullptr && !is_closing_) {
    has_continued_ = true;
    out_ += kContinue;
  }
  return used;
}

void Connection::begin_exchange() {
  auto& exchange = *edge_.take_exchange();
  exchange.keep_alive = parser_->keep_alive() && !edge_.is_draining();
  exchange.is_http10 = parser_->is_http10();
  if (tail_ != nullptr) {
    tail_->next = &exchange;
  } else {
    head_ = &exchange;
  }
  tail_ = &exchange;
  ++count_;
  has_served_ = true;
  if (!exchange.keep_alive) is_closing_ = true;
  const auto& view = parser_->view();
  const auto problem = plan_request(view, caller_, edge_.options(), exchange.plan);
  if (view.method == Method::options) {
    answer_options(exchange.plan, view, context_of(exchange), target_of(exchange));
    finish(exchange);
  } else if (problem) {
    answer_problem(exchange.plan, problem, context_of(exchange), target_of(exchange));
    finish(exchange);
  }
  edge_.give_back(std::move(parser_));
  since_ms_ = edge_.now_ms();
  start_queued();
}

void Connection::refuse() {
  Problem problem;
  problem.detail = parser_->detail();
  switch (parser_->failure()) {
    case HttpParser::Failure::header_too_large:
      problem.code = Code::headers_too_large;
      problem.limit = parser_->limit();
      break;
    case HttpParser::Failure::body_too_large:
      problem.code = Code::too_large;
      problem.limit = parser_->limit();
      break;
    case HttpParser::Failure::none:
    case HttpParser::Failure::malformed:
      problem.code = Code::bad_request;
      break;
  }
  refuse_with(problem);
}

// Answers the request that is coming in, behind all earlier ones, and closes.
void Connection::refuse_with(const Problem& problem) {
  auto& exchange = *edge_.take_exchange();
  exchange.keep_alive = false;
  if (parser_) {  // As much as was understood of it.
    const auto& view = parser_->view();
    exchange.plan.target = view.target;
    exchange.plan.method = view.method;
    exchange.plan.is_write = is_writing(view.method);
  }
  if (parser_) edge_.give_back(std::move(parser_));
  if (tail_ != nullptr) {
    tail_->next = &exchange;
  } else {
    head_ = &exchange;
  }
  tail_ = &exchange;
  ++count_;
  is_closing_ = true;
  linger_until_ms_ =
      edge_.now_ms() + edge_.options().linger_ms;  // The rest of the request may still be coming.
  answer_problem(exchange.plan, problem, context_of(exchange), target_of(exchange));
  finish(exchange);
}

void Connection::write_some() {
  while (fd_ >= 0 && has_unsent()) {
    if (!write_batch()) break;
  }
  if (fd_ < 0) return;
  if (!has_unsent()) {
    out_.clear();
    out_sent_ = 0;
    outbox_.clear();
    outbox_first_ = 0;
    after_written();
  } else if (out_sent_ > kSentBytesMax || outbox_first_ > kSentPartsMax) {
    // A client that always lags a little never has all of it.
    out_.erase(0, out_sent_);
    out_sent_ = 0;
    outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(outbox_first_));
    outbox_first_ = 0;
  }
  if (fd_ >= 0 && is_streaming_) resume_stream();
  if (fd_ >= 0) update_interest();
}

// One system call. False when the socket takes no more, or is gone.
bool Connection::write_batch() {
  ssize_t n = 0;
  if (out_sent_ < out_.size() && outbox_first_ >= outbox_.size()) {
    n = ::send(fd_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
  } else {
    std::array<iovec, kIovMax> parts;
    std::size_t count = 0;
    if (out_sent_ < out_.size()) {
      parts[count++] = {out_.data() + out_sent_, out_.size() - out_sent_};
    }
    for (auto i = outbox_first_; i < outbox_.size() && count < kIovMax; ++i) {
      const std::size_t skip = i == outbox_first_ ? outbox_offset_ : 0;
      parts[count++] = {const_cast<char*>(outbox_[i]->data()) + skip, outbox_[i]->size() - skip};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    n = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  if (n < 0) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) close();
    return false;
  }
  auto rest = static_cast<std::size_t>(n);
  sent_total_ += rest;
  write_progress_ms_ = edge_.now_ms();
  const auto of_out = std::min(rest, out_.size() - out_sent_);
  out_sent_ += of_out;
  rest -= of_out;
  outbox_bytes_ -= rest;
  while (rest > 0) {
    const auto left = outbox_[outbox_first_]->size() - outbox_offset_;
    if (rest < left) {
      outbox_offset_ += rest;
      break;
    }
    rest -= left;
    outbox_[outbox_first_++].reset();
    outbox_offset_ = 0;
  }
  return true;
}

// Everything is written: close, or go on with requests that waited for room.
void Connection::after_written() {
  if (is_closing_ && head_ == nullptr && !is_lingering_) {
    close_when_written();
    return;
  }
  if (is_paused_ && !is_consuming_ && !is_closing_ && count_ < edge_.options().pipelined_max) {
    take_leftover();
    if (fd_ >= 0 && has_unsent()) write_some();
  }
}

void Connection::close_when_written() {
  // Closing with unread input would reset the connection and could take the answer with it.
  if (linger_until_ms_ == 0 || has_input_ended_) {
    close();
    return;
  }
  is_lingering_ = true;
  ::shutdown(fd_, SHUT_WR);
}

void Connection::close() {
  if (fd_ < 0) return;
  ::close(fd_);
  fd_ = -1;
  edge_.sockets().set_wake(*this, wake_ms_, 0);
  wake_ms_ = 0;
  abandon_turns();
  if (id_) edge_.gateway().disconnect(id_);
  id_ = ConnectionId();
  if (parser_) edge_.give_back(std::move(parser_));
  while (head_ != nullptr) {
    auto* next = head_->next;
    edge_.give_back(head_);
    head_ = next;
  }
  tail_ = nullptr;
  count_ = 0;
  edge_.sockets().forget(*this);
}

void Connection::scan() {
  if (fd_ < 0) return;
  const auto now = edge_.now_ms();
  const auto& options = edge_.options();
  if (is_lingering_) {
    if (now >= linger_until_ms_) close();
    return;
  }
  if (has_unsent() && now - write_progress_ms_ >= options.write_timeout_ms) {
    close();
    return;
  }
  for (auto* exchange = head_; exchange != nullptr; exchange = exchange->next) {
    if (exchange->phase != Exchange::Phase::done && exchange->deadline_ms != 0 &&
        now >= exchange->deadline_ms) {
      on_safety_deadline(*exchange);
      break;  // The list has changed; the next scan sees the rest.
    }
  }
  if (fd_ >= 0) scan_input();
}

void Connection::scan_input() {
  const auto now = edge_.now_ms();
  const auto& options = edge_.options();
  if (parser_ == nullptr) {
    if (head_ != nullptr || is_closing_ || has_unsent()) return;
    const auto bound = has_served_ ? options.idle_timeout_ms : options.header_timeout_ms;
    if (now - since_ms_ >= bound) {
      close();
    } else {
      release_memory();
    }
    return;
  }
  if (!parser_->has_header()) {
    if (now - since_ms_ < options.header_timeout_ms) return;
    refuse_with({Code::request_timeout, "the header came too slowly", {}, {}});
  } else {
    if (now - body_window_ms_ < options.body_window_ms) return;
    if (parser_->body_bytes() >= body_window_bytes_ + options.body_window_bytes) {
      body_window_ms_ = now;
      body_window_bytes_ = parser_->body_bytes();
      return;
    }
    refuse_with({Code::request_timeout, "the body came too slowly", {}, {}});
  }
  if (fd_ >= 0) write_some();
}

void Connection::release_memory() {
  if (in_.capacity() > kKeptBytes && in_.empty()) in_.shrink_to_fit();
  if (out_.capacity() > kKeptBytes && out_.empty()) out_.shrink_to_fit();
}

void Connection::flush() {
  if (fd_ < 0) return;
  if (is_paused_ && !is_consuming_ && !is_closing_) take_leftover();
  if (fd_ >= 0) write_some();
}

}  // namespace coord::api
