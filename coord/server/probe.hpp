// Probe: one active check, once: connects, for http asks, and says why it failed, if it did.
//
// Follows no redirect, sends no credentials, and reads no more than the first line of an answer.
// Where it may go is decided on the address that a name resolves to, not on the name.
//
// Thread rule: the loop's thread.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coord/recipes/service_record.hpp"

namespace coord::server {

// Where active checks may go. `any`: nowhere that only this host can mean (link-local addresses, as
// those of a cloud's metadata), no multicast and no broadcast.
enum class ProbePolicy : std::uint8_t { any, loopback, off };
[[nodiscard]] std::optional<ProbePolicy> parse_probe_policy(std::string_view text) noexcept;
[[nodiscard]] bool may_probe(const boost::asio::ip::address& address, ProbePolicy policy);

class Probe : public std::enable_shared_from_this<Probe> {
 public:
  // Called once, unless cancel() was: why it failed, or nothing.
  using Done = std::function<void(std::optional<std::string> why)>;

  static std::shared_ptr<Probe> start(boost::asio::io_context& loop,
                                      const recipes::service::Check& check, ProbePolicy policy,
                                      Done done);
  Probe(boost::asio::io_context& loop, const recipes::service::Check& check, ProbePolicy policy,
        Done done);
  void cancel();

 private:
  using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;
  void begin();
  void connect(Endpoints endpoints);
  void ask();
  void read();
  void judge();
  void finish(std::optional<std::string> why);

  recipes::service::Check check_;
  std::optional<recipes::service::Target> target_;
  ProbePolicy policy_;
  Done done_;
  boost::asio::steady_timer timer_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::ip::tcp::socket socket_;
  Endpoints endpoints_;
  std::string request_;
  std::array<char, 256> answer_{};
  std::size_t answer_size_ = 0;
};

}  // namespace coord::server
