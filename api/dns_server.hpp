// DnsServer: answers DNS questions about services, over UDP and TCP, from this member's own state.
//
// For programs that know nothing of coord: a stale answer serves them better than none, so no
// leader is asked. Only healthy instances are named, in an order that is random for each answer.
// The bytes are dns.hpp's part; here are the sockets and the look into the state.
//
// Thread rule: the thread of the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "api/gateway.hpp"
#include "coord/base/result.hpp"

namespace coord::api {

struct DnsOptions {
  std::uint32_t ttl_s = 0;            // Of the records.
  std::size_t pending_max = 1'000;    // Questions that are not answered yet; more are dropped.
  std::size_t connections_max = 100;  // TCP; one more is closed.
  std::int64_t idle_timeout_ms = 10'000;
  std::uint64_t seed = 0;
};

class DnsServer {
 public:
  // `gateway` must outlive it.
  DnsServer(boost::asio::io_context& loop, Gateway& gateway, DnsOptions options);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  // Listens on both; port 0 takes a free one. Returns the port.
  [[nodiscard]] Result<std::uint16_t> listen(const std::string& host, std::uint16_t port);
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace coord::api
