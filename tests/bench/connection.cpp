#include "tests/bench/connection.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace coord::bench {
namespace {

// The value of a header in `head`, or empty. Servers differ in the case of names.
std::string_view header(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      const std::size_t start = line.find_first_not_of(' ', name.size() + 1);
      return start == std::string_view::npos ? "" : line.substr(start);
    }
  }
  return {};
}

std::size_t number(std::string_view text, int base) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// Decodes a chunked body from `text`. The bytes it took, or 0 while it is not whole.
std::size_t take_chunks(std::string_view text, std::string& body) {
  body.clear();
  std::size_t at = 0;
  while (true) {
    const std::size_t line = text.find("\r\n", at);
    if (line == std::string_view::npos) return 0;
    const std::size_t size = number(text.substr(at, line - at), 16);
    const std::size_t end = line + 2 + size + 2;
    if (end > text.size()) return 0;
    if (size == 0) return end;
    body += text.substr(line + 2, size);
    at = end;
  }
}

}  // namespace

void fail(std::string_view what) {
  fmt::print(stderr, "loadgen: {}\n", what);
  std::exit(1);
}

Connection::Connection(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr generic{};
  static_assert(sizeof generic == sizeof address);
  std::memcpy(&generic, &address, sizeof address);
  if (descriptor_ < 0 || ::connect(descriptor_, &generic, sizeof address) != 0) {
    fail(fmt::format("cannot connect to port {}: {}", port, std::strerror(errno)));
  }
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
}

Connection::Connection(Connection&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      to_send_(std::move(other.to_send_)),
      sent_(other.sent_),
      received_(std::move(other.received_)) {}

Connection::~Connection() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Connection::send(std::string request) {
  to_send_ = std::move(request);
  sent_ = 0;
  flush();
}

bool Connection::flush() {
  while (sent_ < to_send_.size()) {
    const ssize_t done =
        ::send(descriptor_, to_send_.data() + sent_, to_send_.size() - sent_, MSG_NOSIGNAL);
    if (done < 0 && errno == EAGAIN) return false;
    if (done < 0) fail(fmt::format("send: {}", std::strerror(errno)));
    sent_ += static_cast<std::size_t>(done);
  }
  return true;
}

bool Connection::receive() {
  char buffer[65536];
  while (true) {
    const ssize_t done = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (done < 0 && errno == EAGAIN) return true;
    if (done <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(done));
    if (static_cast<std::size_t>(done) < sizeof buffer) return true;
  }
}

bool Connection::take(Answer& answer) {
  const std::size_t end = received_.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const std::string_view head = std::string_view(received_).substr(0, end + 2);
  answer.status = static_cast<int>(number(head.substr(9, 3), 10));
  std::size_t used = 0;
  if (!header(head, "transfer-encoding").empty()) {
    used = take_chunks(std::string_view(received_).substr(end + 4), answer.body);
    if (used == 0) return false;
  } else {
    used = number(header(head, "content-length"), 10);
    if (received_.size() < end + 4 + used) return false;
    answer.body = received_.substr(end + 4, used);
  }
  received_.erase(0, end + 4 + used);
  return true;
}

Answer Connection::call(std::string request) {
  send(std::move(request));
  Answer answer;
  while (true) {
    const bool is_sent = flush();
    if (take(answer)) return answer;
    pollfd wait{descriptor_, static_cast<short>(is_sent ? POLLIN : POLLIN | POLLOUT), 0};
    if (::poll(&wait, 1, 60'000) == 0) fail("no answer within a minute");
    if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive()) {
      fail("the server closed the connection");
    }
  }
}

}  // namespace coord::bench
