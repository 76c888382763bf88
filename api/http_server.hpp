// HttpServer: the HTTP edge on an Asio event loop.
//
// Edge, and the SocketLoop that drives its sockets. Thread rule: the io_context's one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/gateway.hpp"
#include "api/http_options.hpp"
#include "coord/base/result.hpp"

namespace coord::api {

class HttpServer {
 public:
  // `io` and `gateway` must outlive the server.
  HttpServer(boost::asio::io_context& io, Gateway& gateway, HttpOptions options);
  // Closes everything at once; stop() is the gentle way.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Serves on the address; port 0 takes a free one. Returns the port. May be called more than once.
  [[nodiscard]] Result<std::uint16_t> listen(const std::string& host, std::uint16_t port);

  // Stops accepting, ends streams and long polls, lets replies in flight leave, at the longest for
  // options.drain_ms. Then, on the loop, calls `done`.
  void stop(std::function<void()> done = {});

  [[nodiscard]] std::size_t connection_count() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::api
