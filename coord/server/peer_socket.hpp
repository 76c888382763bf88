// The two ends of a link between members. A link goes one way: who dialled sends, who accepted
// receives; so two members have two, and neither must agree who dials. Both ends greet first.
//
// An end calls `broken` once when it ends by itself, and nothing after close(). Thread rule: the
// loop's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "coord/core/identity.hpp"
#include "coord/server/peer_frame.hpp"

namespace coord::server {

// What all links together have done.
struct PeerCounters {
  std::uint64_t frames_sent = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t frames_received = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t messages_dropped = 0;  // No link stood, or its outbox was full.
  std::uint64_t dials = 0;
  std::uint64_t breaks = 0;  // Of links that stood.
};

class PeerSender : public std::enable_shared_from_this<PeerSender> {
 public:
  struct Hooks {
    // What the other end answered; true: send from now on.
    std::function<bool(const core::Greeting&)> answered;
    std::function<void(const std::string& why)> broken;
  };
  PeerSender(boost::asio::io_context& loop, PeerCounters& counters, Hooks hooks);

  // Resolves the name, connects, greets.
  void dial(const std::string& host, std::uint16_t port, const core::Greeting& greeting);
  [[nodiscard]] bool stands() const noexcept { return stands_; }
  // Gathers; flush() sends what fits at once and the rest as the other end takes it. An outbox that
  // grows beyond its bound breaks the link: Raft sends again what matters.
  void send(std::string_view message);
  void flush();
  void close();

 private:
  using Tcp = boost::asio::ip::tcp;
  void connect(const Tcp::resolver::results_type& found);
  void read();
  void take_answer();
  void write_rest(std::size_t done);
  void fail(const std::string& why);

  Tcp::socket socket_;
  Tcp::resolver resolver_;
  boost::asio::steady_timer limit_;  // Of dialling and greeting.
  PeerCounters& counters_;
  Hooks hooks_;
  FrameReader reader_{kGreetingBytesMax};
  std::string gathered_;
  std::string writing_;
  bool is_writing_ = false;
  bool stands_ = false;
  bool is_closed_ = false;
};

class PeerReceiver : public std::enable_shared_from_this<PeerReceiver> {
 public:
  struct Hooks {
    // What the other end said first, and from where; what to answer. A refusal ends the link.
    std::function<core::Greeting(const core::Greeting&, const std::string& from)> greeted;
    // One message's bytes; false: this link is not to be trusted.
    std::function<bool(std::string_view)> message;
    std::function<void(const std::string& why)> broken;
  };
  PeerReceiver(boost::asio::ip::tcp::socket socket, PeerCounters& counters);

  void start(Hooks hooks);
  void close();

 private:
  void read();
  [[nodiscard]] bool take_frames();
  void answer(const core::Greeting& greeting);
  void fail(const std::string& why);

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer limit_;
  PeerCounters& counters_;
  Hooks hooks_;
  FrameReader reader_{kGreetingBytesMax};
  std::string answer_;
  bool is_greeted_ = false;
  bool is_closed_ = false;
};

}  // namespace coord::server
