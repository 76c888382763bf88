#include "cli/zookeeper_client.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "cli/interrupt.hpp"
#include "cli/jute.hpp"
#include "cli/text.hpp"
#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

constexpr std::int32_t kEventXid = -1;
constexpr std::int32_t kPingXid = -2;
constexpr std::int32_t kAuthXid = -4;
constexpr std::int32_t kWantedTimeoutMs = 30'000;
constexpr std::size_t kPasswordBytes = 16;
// A listing of a large directory is longer than what a server takes as a request.
constexpr std::size_t kFrameBytesMax = std::size_t{256} << 20;
constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kEventsMax = 1'000'000;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

Trouble unreachable(const Endpoint& server, std::string_view why) {
  return {Exit::unavailable,
          fmt::format("cannot reach ZooKeeper at {}:{}: {}", server.host, server.port, why),
          {}};
}

// Connects within the time; the descriptor, or what went wrong.
Outcome<int> connect_to(const addrinfo& address, int wait_ms, const Endpoint& server) {
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return unreachable(server, std::strerror(errno));
  if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return fd;
  int error = errno;
  if (error == EINPROGRESS) {
    pollfd waits[2] = {{fd, POLLOUT, 0}, {Interrupt::fd(), POLLIN, 0}};
    const int ready = ::poll(waits, Interrupt::fd() < 0 ? 1 : 2, wait_ms);
    socklen_t size = sizeof error;
    error = ETIMEDOUT;
    if (ready > 0 && waits[0].revents != 0) {
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error == 0) return fd;
  }
  ::close(fd);
  return unreachable(server, std::strerror(error));
}

}  // namespace

Outcome<std::vector<Endpoint>> parse_servers(std::string_view list) {
  std::vector<Endpoint> servers;
  while (true) {
    const auto comma = list.find(',');
    const auto one = list.substr(0, comma);
    auto colon = one.rfind(':');
    if (one.find(':') != colon && !one.starts_with('[')) colon = std::string_view::npos;  // v6
    if (one.ends_with(']')) colon = std::string_view::npos;
    auto host = one.substr(0, colon);
    const auto port = colon == std::string_view::npos ? kZooKeeperPort : one.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const bool is_number = !port.empty() && port.size() <= 5 &&
                           port.find_first_not_of("0123456789") == std::string_view::npos;
    if (host.empty() || !is_number || host.find_first_of("/ @") != std::string_view::npos) {
      return Trouble{Exit::usage, fmt::format("\"{}\" is no HOST:PORT", escaped(one)),
                     "several servers stand with a comma between: a:2181,b:2181"};
    }
    servers.push_back({std::string(host), std::string(port)});
    if (comma == std::string_view::npos) return servers;
    list.remove_prefix(comma + 1);
  }
}

Trouble trouble_of(ZooKeeperError error, std::string_view path) {
  switch (error) {
    case ZooKeeperError::no_node:
      return {Exit::not_found, fmt::format("ZooKeeper has no node {}", escaped(path)), {}};
    case ZooKeeperError::no_auth:
      return {Exit::forbidden, fmt::format("ZooKeeper does not let us read {}", escaped(path)),
              "give a credential that may, best the super user's: --auth digest:super:PASSWORD"};
    case ZooKeeperError::auth_failed:
      return {Exit::forbidden, "ZooKeeper refuses the credential", {}};
    case ZooKeeperError::session_expired:
      return {Exit::unavailable, "the session at ZooKeeper has expired", {}};
    case ZooKeeperError::none:
    case ZooKeeperError::unimplemented:
      break;
  }
  return {Exit::other,
          fmt::format("ZooKeeper answers {} for {}", static_cast<int>(error), escaped(path)),
          {}};
}

ZooKeeperClient::~ZooKeeperClient() {
  if (fd_ >= 0) ::close(fd_);
}

std::string ZooKeeperClient::server() const {
  const auto& server = options_.servers[current_];
  return fmt::format("{}:{}", server.host, server.port);
}

Trouble ZooKeeperClient::lost(std::string_view why) {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (Interrupt::is_raised()) return {Exit::interrupted, {}, {}};
  return {Exit::unavailable, fmt::format("lost ZooKeeper at {}: {}", server(), why), {}};
}

Outcome<void> ZooKeeperClient::connect() {
  COORD_CHECK(!options_.servers.empty(), "a client has a server");
  std::optional<Trouble> last;
  for (std::size_t tried = 0; tried < options_.servers.size(); ++tried) {
    if (Interrupt::is_raised()) return Trouble{Exit::interrupted, {}, {}};
    auto opened = open(options_.servers[current_]);
    if (opened) return success();
    last = std::move(opened).error();
    // Another server does not know the credential either.
    if (last->exit == Exit::forbidden) break;
    current_ = (current_ + 1) % options_.servers.size();
  }
  return *std::move(last);
}

Outcome<void> ZooKeeperClient::open(const Endpoint& server) {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  out_.clear();
  in_.clear();
  in_at_ = 0;
  events_.clear();
  next_xid_ = answered_xid_ = 1;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found);
      error != 0) {
    return unreachable(server, ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, FreeAddresses> addresses(found);
  Outcome<int> made = unreachable(server, "no address");
  for (const auto* at = found; at != nullptr && !made; at = at->ai_next) {
    made = connect_to(*at, static_cast<int>(options_.timeout.count()), server);
  }
  if (!made) return std::move(made).error();
  fd_ = made.value();
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return greet();
}

Outcome<void> ZooKeeperClient::greet() {
  put_frame(JuteWriter()
                .number(0)
                .large(0)
                .number(kWantedTimeoutMs)
                .large(0)
                .bytes(std::string(kPasswordBytes, '\0'))
                .boolean(false)
                .text());
  COORD_TRY(const auto greeting, frame(Clock::now() + options_.timeout));
  if (!greeting) return lost("no answer to the connect request");
  JuteReader in(*greeting);
  static_cast<void>(in.number());
  session_timeout_ = std::chrono::milliseconds(in.number());
  if (!in.is_ok() || session_timeout_.count() <= 0) return lost("it refuses a session");
  if (options_.scheme.empty()) return success();
  put_frame(JuteWriter()
                .number(kAuthXid)
                .number(static_cast<std::int32_t>(ZooKeeperOp::auth))
                .number(0)
                .bytes(options_.scheme)
                .bytes(options_.credential)
                .text());
  COORD_TRY(const auto reply, frame(Clock::now() + options_.timeout));
  if (!reply) return lost("no answer to the credential");
  JuteReader head(*reply);
  static_cast<void>(head.number());
  static_cast<void>(head.large());
  const auto error = static_cast<ZooKeeperError>(head.number());
  if (!head.is_ok()) return lost("its answer to the credential is malformed");
  if (error == ZooKeeperError::none) return success();
  static_cast<void>(lost("refused"));
  return trouble_of(error, "/");
}

void ZooKeeperClient::put_frame(std::string_view frame) {
  out_ += JuteWriter().bytes(frame).text();
  last_sent_ = Clock::now();
}

void ZooKeeperClient::ask(ZooKeeperOp op, std::string_view body) {
  std::string frame = JuteWriter().number(next_xid_).number(static_cast<std::int32_t>(op)).text();
  frame += body;
  put_frame(frame);
  next_xid_ = next_xid_ == INT32_MAX ? 1 : next_xid_ + 1;
}

Outcome<bool> ZooKeeperClient::exchange(Clock::time_point until) {
  if (fd_ < 0) return lost("not connected");
  pollfd waits[2] = {{fd_, POLLIN, 0}, {Interrupt::fd(), POLLIN, 0}};
  if (!out_.empty()) waits[0].events |= POLLOUT;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count() + 1;
  const int wait_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  const int ready = ::poll(waits, Interrupt::fd() < 0 ? 1 : 2, wait_ms);
  if (Interrupt::is_raised()) return lost("interrupted");
  if (ready < 0 && errno != EINTR) return lost(std::strerror(errno));
  if (ready <= 0) return false;
  if ((waits[0].revents & POLLOUT) != 0) {
    const auto sent = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return lost(std::strerror(errno));
    if (sent > 0) out_.erase(0, static_cast<std::size_t>(sent));
  }
  if ((waits[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
    const auto before = in_.size();
    in_.resize(before + kReadBytes);
    const auto got = ::recv(fd_, in_.data() + before, kReadBytes, 0);
    in_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return lost("it closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR) return lost(std::strerror(errno));
  }
  return true;
}

Outcome<std::optional<std::string>> ZooKeeperClient::frame(Clock::time_point until) {
  while (true) {
    const auto rest = std::string_view(in_).substr(in_at_);
    if (rest.size() >= 4) {
      const auto size = JuteReader(rest).number();
      if (size < 0 || static_cast<std::size_t>(size) > kFrameBytesMax) {
        return lost(fmt::format("a frame of {} bytes", size));
      }
      const auto whole = 4 + static_cast<std::size_t>(size);
      if (rest.size() >= whole) {
        std::string out(rest.substr(4, whole - 4));
        in_at_ += whole;
        if (in_at_ == in_.size()) {
          in_.clear();
          in_at_ = 0;
        } else if (in_at_ > (kReadBytes << 2)) {
          in_.erase(0, std::exchange(in_at_, 0));
        }
        return std::optional(std::move(out));
      }
    }
    if (Clock::now() >= until) return std::optional<std::string>();
    COORD_TRY(exchange(until));
  }
}

void ZooKeeperClient::note_event(std::string_view body) {
  JuteReader in(body);
  ZooKeeperEvent event;
  event.type = in.number();
  static_cast<void>(in.number());  // The state of the connection: always connected.
  event.path = in.string();
  if (in.is_ok() && event.type > 0) events_.push_back(std::move(event));
}

Outcome<ZooKeeperClient::Answer> ZooKeeperClient::answer() {
  while (true) {
    COORD_TRY(auto frame, this->frame(Clock::now() + options_.timeout));
    if (!frame) return lost("no answer");
    JuteReader head(*frame);
    const auto xid = head.number();
    static_cast<void>(head.large());
    const auto error = static_cast<ZooKeeperError>(head.number());
    if (!head.is_ok()) return lost("a malformed answer");
    if (xid == kEventXid) {
      note_event(std::string_view(*frame).substr(kHeadBytes));
      if (events_.size() > kEventsMax) return lost("too many changes at once");
      continue;
    }
    if (xid == kPingXid) continue;
    if (xid != answered_xid_) return lost(fmt::format("answer {} to {}", xid, answered_xid_));
    answered_xid_ = answered_xid_ == INT32_MAX ? 1 : answered_xid_ + 1;
    return Answer{error, *std::move(frame)};
  }
}

Outcome<void> ZooKeeperClient::await_event(Clock::time_point until) {
  auto heard = Clock::now();
  while (events_.empty() && Clock::now() < until) {
    const auto now = Clock::now();
    if (now - heard > session_timeout_) return lost("it is silent");
    if (now - last_sent_ >= session_timeout_ / 3) {
      put_frame(JuteWriter()
                    .number(kPingXid)
                    .number(static_cast<std::int32_t>(ZooKeeperOp::ping))
                    .text());
    }
    COORD_TRY(const auto frame, this->frame(std::min(until, now + session_timeout_ / 4)));
    if (!frame) continue;
    heard = Clock::now();
    JuteReader head(*frame);
    if (head.number() == kEventXid && frame->size() >= kHeadBytes) {
      note_event(std::string_view(*frame).substr(kHeadBytes));
    }
  }
  return success();
}

void ZooKeeperClient::close() {
  if (fd_ < 0) return;
  out_ += JuteWriter()
              .bytes(JuteWriter()
                         .number(next_xid_)
                         .number(static_cast<std::int32_t>(ZooKeeperOp::close))
                         .text())
              .text();
  // Best effort: a session that was not closed runs out.
  static_cast<void>(::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  ::close(std::exchange(fd_, -1));
}

}  // namespace coord::cli
