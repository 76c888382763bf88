// SocketLoop: drives Sockets on an Asio event loop.
//
// Waits, on the thread that runs the io_context, for the one descriptor and the one deadline. It
// decides nothing. Asio's handlers see a wake-up, not a connection: at 60,000 requests a second the
// work for each request is one recv and one send. Thread rule: the io_context's one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "api/sockets.hpp"

namespace coord::api {

class SocketLoop : public std::enable_shared_from_this<SocketLoop> {
 public:
  // `io` and `sockets` must live until close().
  SocketLoop(boost::asio::io_context& io, Sockets& sockets);
  void start();
  // Nothing of the sockets is used any more.
  void close();
  // Stops accepting and lets replies in flight leave, at the longest for the sockets' drain_ms.
  // Then, on the loop, calls `done`.
  void drain(std::function<void()> done);

 private:
  void wait_ready();
  void arm();
  void after_work();

  boost::asio::io_context& io_;
  Sockets& sockets_;
  boost::asio::posix::stream_descriptor ready_;
  boost::asio::steady_timer timer_;
  std::int64_t armed_ms_ = 0;
  std::function<void()> on_drained_;
  bool is_closed_ = false;
};

}  // namespace coord::api
