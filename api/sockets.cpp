#include "api/sockets.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "coord/base/check.hpp"

namespace coord::api {
namespace {

constexpr int kEventsMax = 256;
constexpr int kAcceptsMax = 256;
constexpr int kBacklog = 4096;
constexpr int kKeepaliveIdleSeconds = 10;
constexpr int kKeepaliveEverySeconds = 5;
constexpr int kKeepaliveCount = 3;

std::int64_t steady_ms() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             steady_clock::now().time_since_epoch())
      .count();
}

// A client whose host has vanished says nothing while its request waits for a lock: the network is
// asked.
void tune(int fd, std::int64_t silence_ms) {
  const auto set = [fd](int level, int option, int value) {
    (void)::setsockopt(fd, level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveEverySeconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveCount);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(silence_ms));
}

Caller caller_of(const sockaddr_storage& address) {
  Caller caller;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    caller.is_loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text.data(), text.size());
      caller.is_loopback = v6.sin6_addr.s6_addr[12] == 127;
    } else {
      inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
      caller.is_loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
  }
  caller.address = text.data();
  return caller;
}

// The lowest bit of the pointer that epoll carries tells a listener's descriptor from a connection.
std::uint64_t tag_of_listener(int fd) noexcept { return static_cast<std::uint64_t>(fd) << 1 | 1; }

Result<int> open_listener(const addrinfo& info) {
  const int fd = ::socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return error(Failure::io, "socket: {}", std::strerror(errno));
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (info.ai_family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (::bind(fd, info.ai_addr, info.ai_addrlen) != 0 || ::listen(fd, kBacklog) != 0) {
    const int failure = errno;
    ::close(fd);
    return error(Failure::io, "{}", std::strerror(failure));
  }
  return fd;
}

}  // namespace

Sockets::Sockets(SocketsOptions options, Hooks hooks)
    : options_(options),
      hooks_(std::move(hooks)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      read_buffer_(std::make_unique<char[]>(kReadBufferBytes)) {
  COORD_CHECK(epoll_ >= 0, "epoll_create1");
  refresh_time();
  next_scan_ms_ = now_ms_ + options_.scan_ms;
}

Sockets::~Sockets() {
  close_all();
  ::close(epoll_);
}

void Sockets::close_all() {
  earlier_ = nullptr;
  is_accepting_ = false;
  for (const auto& listener : listeners_) ::close(listener.fd);
  listeners_.clear();
  while (!connections_.empty()) connections_.back()->close();
  bury();
}

Result<OpenPort> open_port(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const auto service = std::to_string(port);
  const int failure =
      ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found);
  if (failure != 0) {
    return error(Failure::invalid, "listen on {}: {}", host, ::gai_strerror(failure));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard(found, ::freeaddrinfo);
  auto fd = open_listener(*found);
  if (!fd) {
    return error(Failure::io, "listen on {}:{}: {}", host, port, fd.error().message);
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(fd.value(), reinterpret_cast<sockaddr*>(&bound), &size);
  const auto number = bound.ss_family == AF_INET6
                          ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                          : reinterpret_cast<const sockaddr_in&>(bound).sin_port;
  return OpenPort{fd.value(), ntohs(number)};
}

void Sockets::serve(const OpenPort& port, bool is_secure) {
  listeners_.push_back({port.fd, is_secure});
  watch_listener(listeners_.back(), true);
}

Result<std::uint16_t> Sockets::listen(const std::string& host, std::uint16_t port) {
  auto opened = open_port(host, port);
  if (!opened) return opened.error();
  serve(opened.value());
  return opened.value().port;
}

void Sockets::watch_listener(const Listener& listener, bool is_on) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag_of_listener(listener.fd);
  ::epoll_ctl(epoll_, is_on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener.fd, &event);
}

void Sockets::refresh_time() { now_ms_ = steady_ms(); }

void Sockets::poll() {
  std::array<epoll_event, kEventsMax> events;
  const int n = ::epoll_wait(epoll_, events.data(), kEventsMax, 0);
  if (n <= 0) return;
  refresh_time();
  for (int i = 0; i < n; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if ((event.data.u64 & 1) != 0) {
      accept_all(static_cast<int>(event.data.u64 >> 1));
    } else {
      // A connection that was closed a moment ago still lives in the graveyard, and ignores it.
      reinterpret_cast<Socket*>(event.data.u64)->on_events(event.events);
    }
  }
  bury();
}

void Sockets::accept_all(int listener) {
  const auto at = std::find_if(listeners_.begin(), listeners_.end(),
                               [listener](const Listener& one) { return one.fd == listener; });
  if (at == listeners_.end()) return;
  const bool is_secure = at->is_secure;
  for (int i = 0; i < kAcceptsMax && is_accepting_; ++i) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // No descriptor is free: the listeners rest until the next scan instead of spinning.
        is_accepting_ = false;
        for (const auto& one : listeners_) watch_listener(one, false);
      }
      return;
    }
    admit(fd, is_secure);
  }
}

void Sockets::admit(int fd, bool is_secure) {
  tune(fd, options_.silence_ms);
  if (count_ >= options_.connections_max) {
    if (hooks_.refuse) hooks_.refuse(fd);
    ::close(fd);
    return;
  }
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size);
  auto caller = caller_of(address);
  caller.is_secure = is_secure;
  auto connection = hooks_.admit(fd, std::move(caller));
  if (!connection) return;
  connection->set_slot(connections_.size());
  connections_.push_back(std::move(connection));
  ++count_;
}

void Sockets::watch(Socket& socket, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = reinterpret_cast<std::uint64_t>(&socket);
  COORD_CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl add", errno);
}

void Sockets::set_interest(Socket& socket, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = reinterpret_cast<std::uint64_t>(&socket);
  COORD_CHECK(::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0, "epoll_ctl mod", errno);
}

void Sockets::set_wake(Socket& socket, std::int64_t was_ms, std::int64_t at_ms) {
  if (was_ms != 0) wakes_.erase({was_ms, &socket});
  if (at_ms == 0) return;
  const bool is_first = wakes_.empty() || at_ms < wakes_.begin()->first;
  wakes_.insert({at_ms, &socket});
  if (is_first && at_ms < next_scan_ms_ && earlier_) earlier_();
}

std::int64_t Sockets::next_deadline_ms() const noexcept {
  if (!wakes_.empty()) return std::min(wakes_.begin()->first, next_scan_ms_);
  return next_scan_ms_;
}

void Sockets::tick() {
  refresh_time();
  while (!wakes_.empty() && wakes_.begin()->first <= now_ms_) {
    auto* connection = wakes_.begin()->second;
    wakes_.erase(wakes_.begin());
    connection->on_wake();
  }
  if (now_ms_ >= next_scan_ms_) scan();
  bury();
}

void Sockets::scan() {
  next_scan_ms_ = now_ms_ + options_.scan_ms;
  if (hooks_.on_scan) hooks_.on_scan();
  // Backwards: a connection that closes is replaced by the last one, which was seen already.
  for (std::size_t i = connections_.size(); i-- > 0;) {
    if (i < connections_.size()) connections_[i]->scan();
  }
  if (!is_accepting_ && !is_draining()) {
    is_accepting_ = true;
    for (const auto& listener : listeners_) watch_listener(listener, true);
  }
  if (is_draining() && now_ms_ >= drain_until_ms_) {
    while (!connections_.empty()) connections_.back()->close();
  }
}

void Sockets::start_draining() {
  if (is_draining()) return;
  refresh_time();
  drain_until_ms_ = now_ms_ + options_.drain_ms;
  is_accepting_ = false;
  for (const auto& listener : listeners_) ::close(listener.fd);
  listeners_.clear();
  for (std::size_t i = connections_.size(); i-- > 0;) {
    if (i < connections_.size()) connections_[i]->start_draining();
  }
  bury();
}

void Sockets::forget(Socket& socket) {
  const auto slot = socket.slot();
  COORD_CHECK(slot < connections_.size() && connections_[slot].get() == &socket,
              "a connection stands in its slot");
  graveyard_.push_back(std::move(connections_[slot]));
  if (slot + 1 != connections_.size()) {
    connections_[slot] = std::move(connections_.back());
    connections_[slot]->set_slot(slot);
  }
  connections_.pop_back();
  --count_;
  if (is_drained() && earlier_) {
    next_scan_ms_ = now_ms_;  // Whoever waits for the end is told at once.
    earlier_();
  }
}

void Sockets::bury() { graveyard_.clear(); }

void Sockets::for_each(const std::function<void(Socket&)>& each) {
  // Backwards: one that closes is replaced by the last one, which was seen already.
  for (std::size_t i = connections_.size(); i-- > 0;) {
    if (i < connections_.size()) each(*connections_[i]);
  }
}

}  // namespace coord::api
