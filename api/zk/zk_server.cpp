#include "api/zk/zk_server.hpp"

#include "api/socket_loop.hpp"
#include "api/zk/zk_edge.hpp"
#include "coord/base/check.hpp"

namespace coord::api::zk {

struct ZkServer::Impl {
  Impl(boost::asio::io_context& io, Gateway& gateway, ZkOptions options)
      : edge(gateway, std::move(options)), loop(std::make_shared<SocketLoop>(io, edge.sockets())) {}

  ZkEdge edge;
  std::shared_ptr<SocketLoop> loop;
};

ZkServer::ZkServer(boost::asio::io_context& io, Gateway& gateway, ZkOptions options)
    : impl_(std::make_unique<Impl>(io, gateway, std::move(options))) {
  impl_->loop->start();
}

ZkServer::~ZkServer() {
  impl_->loop->close();
  impl_->edge.sockets().close_all();
}

void ZkServer::serve(const OpenPort& port) {
  impl_->edge.set_port(port.port);
  impl_->edge.sockets().serve(port);
}

void ZkServer::serve_secure(const OpenPort& port) {
  COORD_CHECK(impl_->edge.options().tls != nullptr, "a secure port has certificates");
  impl_->edge.set_secure_port(port.port);
  impl_->edge.sockets().serve(port, true);
}

void ZkServer::stop(std::function<void()> done) { impl_->loop->drain(std::move(done)); }

}  // namespace coord::api::zk
