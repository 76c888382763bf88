#include "api/http_server.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "api/edge.hpp"

namespace coord::api {

namespace asio = boost::asio;

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  Impl(asio::io_context& io, Gateway& gateway, HttpOptions options)
      : edge(gateway, std::move(options)), io_context(io), ready(io), timer(io) {}

  void start() {
    ready.assign(edge.descriptor());
    edge.on_earlier_deadline([this] { arm(); });
    wait_ready();
    arm();
  }

  void close() {
    is_closed = true;
    boost::system::error_code ignored;
    ready.cancel(ignored);
    ready.release();  // The descriptor is Edge's to close.
    timer.cancel();
  }

  void wait_ready() {
    ready.async_wait(asio::posix::descriptor_base::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       if (error || self->is_closed) return;
                       self->edge.poll();
                       self->after_work();
                       self->wait_ready();
                     });
  }

  void arm() {
    const auto at = edge.next_deadline_ms();
    if (armed_ms != 0 && armed_ms <= at && armed_ms > edge.now_ms()) return;
    armed_ms = at;
    timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::milliseconds(at)));
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error || self->is_closed) return;
      self->armed_ms = 0;
      self->edge.tick();
      self->after_work();
      self->arm();
    });
  }

  void after_work() {
    if (on_drained && edge.is_drained()) {
      auto done = std::move(on_drained);
      on_drained = nullptr;
      asio::post(io_context, std::move(done));
    }
  }

  Edge edge;
  asio::io_context& io_context;
  asio::posix::stream_descriptor ready;
  asio::steady_timer timer;
  std::int64_t armed_ms = 0;
  std::function<void()> on_drained;
  bool is_closed = false;
};

HttpServer::HttpServer(asio::io_context& io, Gateway& gateway, HttpOptions options)
    : impl_(std::make_shared<Impl>(io, gateway, std::move(options))) {
  impl_->start();
}

HttpServer::~HttpServer() {
  impl_->close();
  impl_->edge.close_all();
}

Result<std::uint16_t> HttpServer::listen(const std::string& host, std::uint16_t port) {
  return impl_->edge.listen(host, port);
}

void HttpServer::stop(std::function<void()> done) {
  impl_->on_drained = std::move(done);
  impl_->edge.start_draining();
  impl_->after_work();
}

std::size_t HttpServer::connection_count() const noexcept { return impl_->edge.connection_count(); }

}  // namespace coord::api
