// ZkServer: ZooKeeper's port on an Asio event loop: ZkEdge, and the SocketLoop that drives it.
// Thread rule: the io_context's one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "api/gateway.hpp"
#include "api/sockets.hpp"
#include "api/zk/options.hpp"

namespace coord::api::zk {

class ZkServer {
 public:
  // `io` and `gateway` must outlive the server.
  ZkServer(boost::asio::io_context& io, Gateway& gateway, ZkOptions options);
  ~ZkServer();
  ZkServer(const ZkServer&) = delete;
  ZkServer& operator=(const ZkServer&) = delete;

  // Takes the port's descriptor over.
  void serve(const OpenPort& port);
  // The same for the port of TLS. Requires: ZkOptions::tls.
  void serve_secure(const OpenPort& port);
  // Stops accepting and closes the connections: their clients go on at another member. Then, on the
  // loop, calls `done`.
  void stop(std::function<void()> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::api::zk
