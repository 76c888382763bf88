#include "coord/server/peer_socket.hpp"

#include <fmt/format.h>
#include <netinet/tcp.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <utility>

namespace coord::server {
namespace {

namespace asio = boost::asio;
using Code = boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr auto kGreetLimit = std::chrono::seconds(2);
constexpr int kSilenceMs = 3'000;  // Unacknowledged for so long: the other host is gone.
// Raft has 64 requests of a MiB under way to one follower; twice that is somebody who reads
// nothing.
constexpr std::size_t kOutboxBytesMax = 128 * kMiB;
constexpr std::size_t kWritingKeptBytes = 4 * kMiB;

void tune(Tcp::socket& socket) {
  Code ignored;  // A link without these works, only slower or dead for longer.
  socket.set_option(Tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const int fd = socket.native_handle();
  const auto set = [fd](int option, int value) {
    (void)::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
  };
  set(TCP_KEEPIDLE, 1);
  set(TCP_KEEPINTVL, 1);
  set(TCP_KEEPCNT, 3);
  set(TCP_USER_TIMEOUT, kSilenceMs);
}

std::string framed(const core::Greeting& greeting) {
  std::string bytes;
  append_frame(bytes, core::encode(greeting));
  return bytes;
}

asio::mutable_buffer as_buffer(std::span<char> room) { return {room.data(), room.size()}; }

}  // namespace

// ---------------------------------------------------------------- PeerSender

PeerSender::PeerSender(asio::io_context& loop, PeerCounters& counters, Hooks hooks)
    : socket_(loop), resolver_(loop), limit_(loop), counters_(counters), hooks_(std::move(hooks)) {}

void PeerSender::dial(const std::string& host, std::uint16_t port, const core::Greeting& greeting) {
  ++counters_.dials;
  writing_ = framed(greeting);
  limit_.expires_after(kGreetLimit);
  limit_.async_wait([self = shared_from_this()](const Code& code) {
    if (!code && !self->stands_) self->fail("no answer in time");
  });
  resolver_.async_resolve(host, std::to_string(port),
                          [self = shared_from_this()](const Code& code, const auto& found) {
                            if (self->is_closed_) return;
                            if (code) return self->fail("resolve: " + code.message());
                            self->connect(found);
                          });
}

void PeerSender::connect(const Tcp::resolver::results_type& found) {
  asio::async_connect(socket_, found,
                      [self = shared_from_this()](const Code& code, const Tcp::endpoint&) {
                        if (self->is_closed_) return;
                        if (code) return self->fail("connect: " + code.message());
                        tune(self->socket_);
                        asio::async_write(self->socket_, asio::buffer(self->writing_),
                                          [self](const Code& failed, std::size_t) {
                                            if (self->is_closed_) return;
                                            if (failed)
                                              return self->fail("greet: " + failed.message());
                                            self->writing_.clear();
                                          });
                        self->read();
                      });
}

// After the answer nothing comes this way: reading on tells at once when the other end is gone.
void PeerSender::read() {
  socket_.async_read_some(as_buffer(reader_.room()),
                          [self = shared_from_this()](const Code& code, std::size_t size) {
                            if (self->is_closed_) return;
                            if (code) return self->fail("closed: " + code.message());
                            self->reader_.filled(size);
                            self->take_answer();
                            if (!self->is_closed_) self->read();
                          });
}

void PeerSender::take_answer() {
  std::string_view frame;
  const auto next = reader_.next(frame);
  if (next == FrameReader::Next::more) return;
  core::Greeting greeting;
  if (stands_ || next == FrameReader::Next::damaged || !core::decode(frame, greeting)) {
    return fail("the other end does not speak the members' protocol");
  }
  if (!hooks_.answered(greeting)) return fail("refused");
  limit_.cancel();
  Code ignored;
  socket_.non_blocking(true, ignored);
  stands_ = true;
}

void PeerSender::send(std::string_view message) {
  const auto waiting = gathered_.size() + writing_.size();
  if (waiting > 0 && waiting + message.size() > kOutboxBytesMax) {
    ++counters_.messages_dropped;
    return fail("the other end takes too little: its outbox is full");
  }
  append_frame(gathered_, message);
  ++counters_.frames_sent;
}

void PeerSender::flush() {
  if (is_closed_ || is_writing_ || gathered_.empty()) return;
  writing_.swap(gathered_);
  gathered_.clear();
  Code code;
  // Mostly it fits the socket's buffer: no round through the loop then.
  const auto done = socket_.write_some(asio::buffer(writing_), code);
  if (code && code != asio::error::would_block && code != asio::error::try_again) {
    return fail("write: " + code.message());
  }
  counters_.bytes_sent += done;
  write_rest(done);
}

void PeerSender::write_rest(std::size_t done) {
  if (done == writing_.size()) {
    writing_.clear();
    if (writing_.capacity() > kWritingKeptBytes) writing_ = std::string();
    return;
  }
  is_writing_ = true;
  asio::async_write(socket_, asio::buffer(writing_) + done,
                    [self = shared_from_this()](const Code& code, std::size_t size) {
                      if (self->is_closed_) return;
                      if (code) return self->fail("write: " + code.message());
                      self->counters_.bytes_sent += size;
                      self->is_writing_ = false;
                      self->write_rest(self->writing_.size());
                      self->flush();
                    });
}

void PeerSender::fail(const std::string& why) {
  if (is_closed_) return;
  close();
  auto hooks = std::exchange(hooks_, Hooks());
  hooks.broken(why);
}

void PeerSender::close() {
  is_closed_ = true;
  stands_ = false;
  Code ignored;
  limit_.cancel();
  resolver_.cancel();
  socket_.close(ignored);
}

// ---------------------------------------------------------------- PeerReceiver

PeerReceiver::PeerReceiver(Tcp::socket socket, PeerCounters& counters)
    : socket_(std::move(socket)), limit_(socket_.get_executor()), counters_(counters) {}

void PeerReceiver::start(Hooks hooks) {
  hooks_ = std::move(hooks);
  tune(socket_);
  limit_.expires_after(kGreetLimit);
  limit_.async_wait([self = shared_from_this()](const Code& code) {
    if (!code && !self->is_greeted_) self->fail("no greeting in time");
  });
  read();
}

void PeerReceiver::read() {
  socket_.async_read_some(as_buffer(reader_.room()),
                          [self = shared_from_this()](const Code& code, std::size_t size) {
                            if (self->is_closed_) return;
                            if (code) return self->fail("closed: " + code.message());
                            self->counters_.bytes_received += size;
                            self->reader_.filled(size);
                            if (self->take_frames()) self->read();
                          });
}

// False: the link is over.
bool PeerReceiver::take_frames() {
  std::string_view frame;
  for (auto next = reader_.next(frame); next != FrameReader::Next::more;
       next = reader_.next(frame)) {
    if (next == FrameReader::Next::damaged) {
      fail("a damaged frame");
      return false;
    }
    if (is_greeted_) {
      ++counters_.frames_received;
      if (!hooks_.message(frame)) fail("a message that is malformed or not meant for this link");
    } else {
      core::Greeting greeting;
      if (!core::decode(frame, greeting)) {
        fail("the other end does not speak the members' protocol");
        return false;
      }
      Code ignored;
      const auto from = socket_.remote_endpoint(ignored);
      answer(hooks_.greeted(greeting, from.address().to_string()));
    }
    if (is_closed_) return false;
  }
  return true;
}

void PeerReceiver::answer(const core::Greeting& greeting) {
  if (is_closed_) return;
  is_greeted_ = true;
  limit_.cancel();
  reader_.set_bytes_max(kFrameBytesMax);
  answer_ = framed(greeting);
  const bool is_refused = greeting.verdict.refusal != core::Refusal::none;
  asio::async_write(socket_, asio::buffer(answer_),
                    [self = shared_from_this(), is_refused](const Code& code, std::size_t) {
                      if (self->is_closed_) return;
                      if (code) return self->fail("greet: " + code.message());
                      if (is_refused) self->fail("refused");
                    });
}

void PeerReceiver::fail(const std::string& why) {
  if (is_closed_) return;
  close();
  auto hooks = std::exchange(hooks_, Hooks());
  hooks.broken(why);
}

void PeerReceiver::close() {
  is_closed_ = true;
  Code ignored;
  limit_.cancel();
  socket_.close(ignored);
}

}  // namespace coord::server
