// A whole edge on loopback over a FakeGateway, turned by hand, and a client's socket.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "api/edge.hpp"
#include "fake_gateway.hpp"

namespace coord::api {

// A client's socket. Never blocks.
class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view bytes) {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void send_end() { ::shutdown(fd_, SHUT_WR); }
  void receive() {
    char buffer[65536];
    while (true) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n > 0) {
        received.append(buffer, static_cast<std::size_t>(n));
        continue;
      }
      if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) is_closed = true;
      return;
    }
  }
  [[nodiscard]] int fd() const { return fd_; }

  std::string received;
  bool is_closed = false;

 private:
  int fd_;
};

class EdgeTest : public ::testing::Test {
 protected:
  void serve(HttpOptions options = {}) {
    edge_ = std::make_unique<Edge>(gateway_, std::move(options));
    auto port = edge_->sockets().listen("127.0.0.1", 0);
    ASSERT_TRUE(port) << port.error().message;
    port_ = port.value();
  }
  // Turns the wheel until the condition holds. False after ten seconds.
  template <class Condition>
  bool run_until(Client& client, Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      edge_->sockets().poll();
      gateway_.pump();
      edge_->sockets().tick();
      if (reads_) client.receive();
      if (condition()) return true;
      pollfd ready[] = {{edge_->sockets().descriptor(), POLLIN, 0}, {client.fd(), POLLIN, 0}};
      ::poll(ready, 2, 2);
    }
    return false;
  }
  bool run_until_received(Client& client, std::string_view part) {
    return run_until(client, [&] { return client.received.find(part) != std::string::npos; });
  }
  bool run_until_closed(Client& client) {
    return run_until(client, [&] { return client.is_closed; });
  }
  // One whole exchange on a connection of its own.
  std::string ask(std::string_view request) {
    Client client(port_);
    client.send(request);
    client.send_end();
    EXPECT_TRUE(run_until_closed(client)) << request;
    return client.received;
  }
  void put(const std::string& path, std::string_view value, std::string type = "") {
    gateway_.nodes[path] = {Blob(value), std::move(type), {}};
    gateway_.nodes[path].stat.mzxid = gateway_.revision;
  }

  FakeGateway gateway_;
  std::unique_ptr<Edge> edge_;
  std::uint16_t port_ = 0;
  bool reads_ = true;
};

}  // namespace coord::api
