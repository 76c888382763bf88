#include "api/socket_loop.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

namespace coord::api {

namespace asio = boost::asio;

SocketLoop::SocketLoop(asio::io_context& io, Sockets& sockets)
    : io_(io), sockets_(sockets), ready_(io), timer_(io) {}

void SocketLoop::start() {
  ready_.assign(sockets_.descriptor());
  sockets_.on_earlier_deadline([this] { arm(); });
  wait_ready();
  arm();
}

void SocketLoop::close() {
  is_closed_ = true;
  boost::system::error_code ignored;
  ready_.cancel(ignored);
  ready_.release();  // The descriptor is for Sockets to close.
  timer_.cancel();
}

void SocketLoop::drain(std::function<void()> done) {
  on_drained_ = std::move(done);
  sockets_.start_draining();
  after_work();
}

void SocketLoop::wait_ready() {
  ready_.async_wait(asio::posix::descriptor_base::wait_read,
                    [self = shared_from_this()](const boost::system::error_code& error) {
                      if (error || self->is_closed_) return;
                      self->sockets_.poll();
                      self->after_work();
                      self->wait_ready();
                    });
}

void SocketLoop::arm() {
  const auto at = sockets_.next_deadline_ms();
  if (armed_ms_ != 0 && armed_ms_ <= at && armed_ms_ > sockets_.now_ms()) return;
  armed_ms_ = at;
  timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::milliseconds(at)));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->is_closed_) return;
    self->armed_ms_ = 0;
    self->sockets_.tick();
    self->after_work();
    self->arm();
  });
}

void SocketLoop::after_work() {
  if (on_drained_ && sockets_.is_drained()) {
    asio::post(io_, std::exchange(on_drained_, nullptr));
  }
}

}  // namespace coord::api
