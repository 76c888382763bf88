#include "api/http_server.hpp"

#include "api/edge.hpp"
#include "api/socket_loop.hpp"

namespace coord::api {

struct HttpServer::Impl {
  Impl(boost::asio::io_context& io, Gateway& gateway, HttpOptions options)
      : edge(gateway, std::move(options)), loop(std::make_shared<SocketLoop>(io, edge.sockets())) {}

  Edge edge;
  std::shared_ptr<SocketLoop> loop;
};

HttpServer::HttpServer(boost::asio::io_context& io, Gateway& gateway, HttpOptions options)
    : impl_(std::make_unique<Impl>(io, gateway, std::move(options))) {
  impl_->loop->start();
}

HttpServer::~HttpServer() {
  impl_->loop->close();
  impl_->edge.sockets().close_all();
}

Result<std::uint16_t> HttpServer::listen(const std::string& host, std::uint16_t port) {
  return impl_->edge.sockets().listen(host, port);
}

void HttpServer::stop(std::function<void()> done) { impl_->loop->drain(std::move(done)); }

std::size_t HttpServer::connection_count() const noexcept { return impl_->edge.sockets().count(); }

}  // namespace coord::api
