#include "api/zk/client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "api/zk/jute.hpp"
#include "coord/base/check.hpp"

namespace coord::api::zk {
namespace {

constexpr std::size_t kKeptBytes = 4 * kKiB;       // Buffers above it are freed when they are idle.
constexpr std::size_t kSentBytesMax = 256 * kKiB;  // What was sent is dropped beyond it.
constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kHeaderBytes = 8;

}  // namespace

Client::Client(ZkEdge& edge, int fd, Caller caller)
    : edge_(edge),
      fd_(fd),
      id_(edge.enter(*this)),
      caller_(std::move(caller)),
      accepted_wall_ms_(wall_ms()),
      since_ms_(edge.sockets().now_ms()) {
  identities_.push_back({"ip", caller_.address});
  if (caller_.is_secure) tls_ = std::make_unique<TlsSession>(edge_.options().tls);
  interest_ = EPOLLIN;
  edge_.sockets().watch(*this, fd_, interest_);
}

Client::~Client() { COORD_CHECK(fd_ < 0, "a connection is closed before it goes"); }

std::uint16_t Client::port() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

// ---------------------------------------------------------------- bytes in

void Client::on_events(std::uint32_t events) {
  if (fd_ < 0) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    close();
    return;
  }
  if ((events & EPOLLOUT) != 0) write_some();
  if (fd_ >= 0 && (events & EPOLLIN) != 0) read_some();
}

bool Client::may_read() const noexcept {
  if (has_input_ended_) return false;
  if (phase_ == Phase::lingering) return true;
  if (is_ending_ || phase_ == Phase::connecting || phase_ == Phase::word) return false;
  const auto& options = edge_.options();
  return count_ < options.calls_max && unsent() <= options.unsent_pause_bytes;
}

void Client::read_some() {
  char* const buffer = edge_.sockets().read_buffer();
  const auto n = ::recv(fd_, buffer, Sockets::kReadBufferBytes, MSG_DONTWAIT);
  if (n < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) close();
    return;
  }
  if (n == 0) {
    // A client that shuts its side wants no answer more; nc is done with its word.
    has_input_ended_ = true;
    if (phase_ != Phase::word && !is_ending_) return close();
    if (phase_ == Phase::lingering) return close();
    return update_interest();
  }
  if (phase_ == Phase::lingering || is_ending_) return;
  const std::string_view bytes(buffer, static_cast<std::size_t>(n));
  if (tls_) {
    take_wire(bytes);
  } else {
    take_input(bytes);
  }
  if (fd_ >= 0) write_some();
}

void Client::take_wire(std::string_view bytes) {
  const bool was_open = tls_->is_open();
  auto& plain = edge_.plain_buffer();
  plain.clear();
  if (!tls_->receive(bytes, plain, wire_)) {
    // Why, if it can still be told.
    (void)::send(fd_, wire_.data() + out_sent_, wire_.size() - out_sent_,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
    return close();
  }
  if (!was_open && tls_->is_open()) take_certificate();
  if (!plain.empty()) take_input(plain);
  if (fd_ >= 0 && tls_->has_ended() && phase_ != Phase::word && !is_ending_) close();
}

void Client::take_input(std::string_view data) {
  if (in_.empty()) {
    const auto used = consume(data);
    if (fd_ >= 0 && used < data.size()) in_.assign(data.substr(used));
    return;
  }
  in_.append(data);
  const auto used = consume(in_);
  if (fd_ < 0) return;
  in_.erase(0, used);
  if (in_.empty() && in_.capacity() > kKeptBytes) std::string().swap(in_);
}

// Takes whole frames from the front, as long as it may. Returns how many bytes.
std::size_t Client::consume(std::string_view data) {
  std::size_t used = 0;
  while (fd_ >= 0 && data.size() - used >= kLengthBytes && may_read()) {
    const auto rest = data.substr(used);
    if (phase_ == Phase::greeting && rest.front() >= 'a' && rest.front() <= 'z') {
      take_word(rest.substr(0, kLengthBytes));
      return data.size();
    }
    const auto length = JuteReader(rest).i32();
    if (length < 0 || static_cast<std::size_t>(length) > edge_.options().frame_bytes_max) {
      close();  // Without an answer; the session lives on.
      return used;
    }
    const auto whole = kLengthBytes + static_cast<std::size_t>(length);
    if (rest.size() < whole) break;
    ++edge_.counters().received;
    ++counters_.received;
    const auto frame = rest.substr(kLengthBytes, static_cast<std::size_t>(length));
    if (phase_ == Phase::greeting) {
      connect(frame);
    } else {
      on_frame(frame);
    }
    used += whole;
  }
  return used;
}

// ---------------------------------------------------------------- calls, in order

void Client::on_frame(std::string_view frame) {
  JuteReader in(frame);
  auto& call = *edge_.take_call();
  call.since_ms = edge_.sockets().now_ms();
  since_ms_ = call.since_ms;
  call.xid = in.i32();
  call.op = static_cast<OpCode>(in.i32());
  if (tail_ != nullptr) {
    tail_->next = &call;
  } else {
    head_ = &call;
  }
  tail_ = &call;
  ++count_;
  if (next_ == nullptr) next_ = &call;
  if (in.ok()) {
    plan_call(frame.substr(kHeaderBytes), session_, call);
    if (is_read_only_) restrict(call);
  } else {
    call.error = ErrorCode::marshalling;
    call.is_last = true;
  }
  if (call.is_last) is_ending_ = true;  // Nothing behind it is read.
  advance();
}

// What a member without a leader does for a client that reads only. Nothing of it is linearizable.
void Client::restrict(Call& call) const {
  const bool is_end = call.op == OpCode::close_session;
  if (call.turn == Call::Turn::write || call.op == OpCode::sync) {
    if (!is_end) call.error = ErrorCode::not_read_only;
    call.turn = Call::Turn::at_once;
  } else if (call.turn == Call::Turn::ping) {
    call.turn = Call::Turn::at_once;
  }
  call.is_last = call.is_last || is_end;
  call.held.consistency = core::Consistency::local;
}

void Client::advance() {
  while (fd_ >= 0 && next_ != nullptr) {
    auto& call = *next_;
    if (call.turn == Call::Turn::read && writes_ > 0) return;
    next_ = call.next;
    if (call.turn == Call::Turn::at_once) {
      answer_at_once(call);
    } else {
      if (call.turn == Call::Turn::write) ++writes_;
      submit(call);
    }
  }
}

core::Request Client::request_of() const {
  core::Request request;
  request.connection = connection_;
  request.identities = identities_;
  if (!is_read_only_) request.session = session_;
  request.checks_paths = false;
  request.timeout_ms = edge_.options().request_timeout_ms;
  return request;
}

void Client::submit(Call& call) {
  call.state = Call::State::submitted;
  call.request = RequestId(++last_request_);
  auto request = request_of();
  request.id = call.request;
  request.consistency = call.held.consistency;
  if (call.turn == Call::Turn::ping) {
    request.op = call.held.op;  // It may have to be asked again.
  } else {
    request.op = std::move(call.held.op);
  }
  edge_.gateway().submit(std::move(request));
}

void Client::answer_at_once(Call& call) {
  auto error = call.error;
  if (call.op == OpCode::auth && error == ErrorCode::ok) error = authenticate(call);
  // The configuration is the super user's.
  if (call.op == OpCode::reconfig && error != ErrorCode::marshalling && !is_operator(identities_)) {
    error = ErrorCode::no_auth;
  }
  auto& out = &call == head_ ? out_ : call.out;
  const auto begin = begin_reply(out, call.xid, error);
  if (call.op == OpCode::who_am_i && error == ErrorCode::ok) put_identities(out, identities_);
  if (call.op == OpCode::sasl) JuteWriter(out).null();
  if (call.op == OpCode::auth && error != ErrorCode::ok) {
    call.is_last = true;
    is_ending_ = true;
  }
  finish(call, begin, edge_.told());
}

void Client::deliver(core::Delivery delivery) {
  if (fd_ < 0) return;
  auto* reply = std::get_if<core::Reply>(&delivery);
  if (reply == nullptr) return;
  if (phase_ == Phase::connecting) return on_connect_reply(*reply);
  if (phase_ == Phase::word) return on_word_reply(*reply);
  for (auto* call = head_; call != nullptr; call = call->next) {
    if (call->request != reply->id || call->state != Call::State::submitted) continue;
    on_reply(*call, *reply);
    return;
  }
}

void Client::on_reply(Call& call, const core::Reply& reply) {
  if (call.turn == Call::Turn::ping && reply.code == Code::no_leader) {
    // The connection outlives a change of the leader that is short enough.
    const auto now = edge_.sockets().now_ms();
    if (now - call.since_ms >= timeout_ms_) return close();
    call.state = Call::State::queued;
    set_wake(now + edge_.options().ask_again_ms);
    return;
  }
  if (call.turn == Call::Turn::write) --writes_;
  auto& out = &call == head_ ? out_ : call.out;
  // What changed while nobody watched comes ahead of the reply that says that somebody does.
  if (!call.rearm.watches.empty()) rearm(call, reply, out);
  std::size_t begin = 0;
  if (!answer_call(call, reply, out, begin)) return close();
  if (call.watch.kinds != no_watch && !settle_watch(call, reply)) {
    out.resize(begin);
    begin = begin_reply(out, call.xid, ErrorCode::no_watcher);
  }
  finish(call, begin, reply.revision);
  advance();
}

// The reply stands at `begin` of the call's own text, or of out_ if it is the oldest.
void Client::finish(Call& call, std::size_t begin, Zxid zxid) {
  call.state = Call::State::answered;
  // A write tells its own zxid. What else is answered must not run ahead of the writes behind it.
  const bool tells = call.has_own_zxid || call.turn == Call::Turn::read || call.next == nullptr;
  call.zxid = tells ? zxid : Zxid();
  call.begin = begin;
  end_reply(&call == head_ ? out_ : call.out, begin, Zxid());
  count_reply(name_of(call.op), call.xid, call.since_ms);
  if (&call == head_) pop_answered();
}

// Without a name it is none that the words tell of.
void Client::count_reply(std::string_view op, std::int32_t xid, std::int64_t since_ms) {
  const auto now = edge_.sockets().now_ms();
  for (auto* counters : {&edge_.counters(), &counters_}) {
    ++counters->sent;
    counters->add_latency(now - since_ms);
  }
  if (op.empty()) return;
  last_reply_.op = op;
  if (xid >= 0) last_reply_.xid = xid;
  last_reply_.at_ms = now;
  last_reply_.took_ms = now - since_ms;
}

void Client::pop_answered() {
  bool is_first = true;  // Its reply stands in out_ already.
  while (head_ != nullptr && head_->state == Call::State::answered) {
    auto& call = *head_;
    last_zxid_ = std::max(last_zxid_, call.zxid);
    if (is_first) {
      set_zxid(out_, call.begin, last_zxid_);
    } else {
      set_zxid(call.out, call.begin, last_zxid_);
      out_ += call.out;
    }
    is_first = false;
    is_done_ = is_done_ || call.is_last;
    head_ = call.next;
    if (head_ == nullptr) tail_ = nullptr;
    --count_;
    edge_.give_back(&call);
  }
}

void Client::add_event(std::string_view frame) {
  if (fd_ < 0) return;
  Call* behind = nullptr;
  for (auto* call = head_; call != nullptr; call = call->next) {
    if (call->state == Call::State::answered) behind = call;
  }
  (behind == nullptr ? out_ : behind->out) += frame;
  ++edge_.counters().sent;
  ++counters_.sent;
  if (unsent() > edge_.options().unsent_bytes_max) is_cut_ = true;
}

// ---------------------------------------------------------------- bytes out

void Client::flush() {
  if (fd_ < 0) return;
  if (is_cut_) return close();
  if (!in_.empty() && may_read()) take_input({});
  if (fd_ >= 0) write_some();
}

// Moves what is to be sent into records of TLS.
void Client::seal() {
  if (out_.empty()) return;
  tls_->send(out_, wire_);
  out_.clear();
  if (out_.capacity() > kKeptBytes) std::string().swap(out_);
}

void Client::write_some() {
  if (tls_) seal();
  auto& bytes = wire();
  while (fd_ >= 0 && out_sent_ < bytes.size()) {
    const auto n = ::send(fd_, bytes.data() + out_sent_, bytes.size() - out_sent_,
                          MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return close();
      break;
    }
    out_sent_ += static_cast<std::size_t>(n);
    write_progress_ms_ = edge_.sockets().now_ms();
  }
  if (unsent() == 0) {
    bytes.clear();
    out_sent_ = 0;
    if (bytes.capacity() > kKeptBytes) std::string().swap(bytes);
    if (is_done_ && phase_ != Phase::lingering) return linger();
    if (!in_.empty() && may_read()) {
      take_input({});
      if (fd_ >= 0 && unsent() > 0) return write_some();
    }
  } else if (out_sent_ > kSentBytesMax) {
    // A client that always lags a little never has all of it.
    bytes.erase(0, out_sent_);
    out_sent_ = 0;
  }
  update_interest();
}

// Closing with unread input would reset the connection and could take the answer with it.
void Client::linger() {
  if (has_input_ended_) return close();
  phase_ = Phase::lingering;
  since_ms_ = edge_.sockets().now_ms();
  if (tls_) {
    std::string end;
    tls_->finish(end);
    (void)::send(fd_, end.data(), end.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  ::shutdown(fd_, SHUT_WR);
  update_interest();
}

void Client::update_interest() {
  if (fd_ < 0) return;
  std::uint32_t wanted = 0;
  if (may_read()) wanted |= EPOLLIN;
  if (unsent() > 0) wanted |= EPOLLOUT;
  if (wanted == interest_) return;
  edge_.sockets().set_interest(*this, fd_, wanted);
  interest_ = wanted;
}

void Client::lose_session() {
  // One that ends its session itself still gets the answer.
  if (tail_ != nullptr && tail_->op == OpCode::close_session) return;
  // What went with it, its watches are told of first, as ZooKeeper's are.
  is_ending_ = true;
  if (fd_ >= 0 && unsent() > 0) write_some();
  close();
}

void Client::close() {
  if (fd_ < 0) return;
  ::close(fd_);
  fd_ = -1;
  set_wake(0);
  if (connection_) edge_.gateway().disconnect(connection_);
  connection_ = ConnectionId();
  while (head_ != nullptr) {
    auto* next = head_->next;
    edge_.give_back(head_);
    head_ = next;
  }
  tail_ = next_ = nullptr;
  count_ = 0;
  edge_.leave(*this);
  edge_.sockets().forget(*this);
}

// ---------------------------------------------------------------- time

void Client::set_wake(std::int64_t at_ms) {
  if (at_ms == wake_ms_) return;
  edge_.sockets().set_wake(*this, wake_ms_, at_ms);
  wake_ms_ = at_ms;
}

// What no leader confirmed is asked again: for a session, or a ping.
void Client::on_wake() {
  wake_ms_ = 0;  // Sockets has taken it out.
  if (phase_ == Phase::connecting) return ask_for_session();
  for (auto* call = head_; call != nullptr && call != next_; call = call->next) {
    if (call->turn == Call::Turn::ping && call->state == Call::State::queued) submit(*call);
  }
}

std::int64_t Client::idle_until_ms() const noexcept {
  if (phase_ == Phase::open) return since_ms_ + timeout_ms_;
  const auto& options = edge_.options();
  return since_ms_ + (phase_ == Phase::lingering ? options.linger_ms : options.connect_timeout_ms);
}

void Client::scan() {
  if (fd_ < 0) return;
  const auto now = edge_.sockets().now_ms();
  const auto& options = edge_.options();
  switch (phase_) {
    case Phase::connecting:
      if (edge_.is_leaderless()) return send_away();
      [[fallthrough]];
    case Phase::greeting:
    case Phase::word:
      if (now - since_ms_ >= options.connect_timeout_ms) return close();
      break;
    case Phase::lingering:
      if (now - since_ms_ >= options.linger_ms) return close();
      break;
    case Phase::open:
      if (is_read_only_) {
        std::string why;
        if (edge_.gateway().is_ready(why) || now - since_ms_ >= timeout_ms_) return close();
      } else if (edge_.is_leaderless()) {
        return send_away();
      }
      break;
  }
  if (unsent() > 0 && now - write_progress_ms_ >= options.write_timeout_ms) close();
}

// Its clients go to another member, with their sessions.
void Client::start_draining() { close(); }

void Client::deliver_backup(BackupPiece) {}

}  // namespace coord::api::zk
