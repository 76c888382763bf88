// Sockets: the mechanism that every edge stands on: an epoll set with its listeners, its
// connections, their wake-ups and their time-outs.
//
// One wake-up of the event loop serves every connection that is ready, level-triggered and without
// re-arming. Knows no protocol and no Asio: SocketLoop waits for the one descriptor and the one
// deadline. Thread rule: one thread.
#pragma once

#include <absl/container/btree_set.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/credentials.hpp"
#include "coord/base/result.hpp"

namespace coord::api {

// One client's socket, as Sockets drives it. After close() it does nothing, and is destroyed a
// little later.
class Socket {
 public:
  virtual ~Socket() = default;
  virtual void on_events(std::uint32_t events) = 0;
  virtual void on_wake() = 0;  // At the time of Sockets::set_wake().
  virtual void scan() = 0;     // Looks at the time-outs.
  virtual void start_draining() = 0;
  // Closes the descriptor at once and calls Sockets::forget().
  virtual void close() = 0;

  [[nodiscard]] std::size_t slot() const noexcept { return slot_; }
  void set_slot(std::size_t slot) noexcept { slot_ = slot; }

 private:
  std::size_t slot_ = 0;
};

// A port that is listened on and not served yet.
struct OpenPort {
  int fd = -1;
  std::uint16_t port = 0;
};
// `port` 0 takes a free one.
[[nodiscard]] Result<OpenPort> open_port(const std::string& host, std::uint16_t port);

struct SocketsOptions {
  std::size_t connections_max = 20'000;
  std::int64_t scan_ms = 1'000;   // How often the time-outs are looked at.
  std::int64_t drain_ms = 5'000;  // start_draining(): how long replies may take to leave.
  // A connection whose sent bytes nobody acknowledged for so long is gone.
  std::int64_t silence_ms = 30'000;
};

class Sockets {
 public:
  static constexpr std::size_t kReadBufferBytes = 128 * 1024;

  struct Hooks {
    // The connection of an accepted descriptor, or null when it was refused (and closed).
    std::function<std::unique_ptr<Socket>(int fd, Caller caller)> admit;
    // One more than connections_max: says so to the client, if the protocol can.
    std::function<void(int fd)> refuse;
    std::function<void()> on_scan;
  };

  Sockets(SocketsOptions options, Hooks hooks);
  ~Sockets();
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  // May be called more than once. `port` 0 takes a free one. Returns the port.
  [[nodiscard]] Result<std::uint16_t> listen(const std::string& host, std::uint16_t port);
  // Takes the descriptor over. `is_secure` is told of each caller.
  void serve(const OpenPort& port, bool is_secure = false);
  // Readable when poll() has something to do.
  [[nodiscard]] int descriptor() const noexcept { return epoll_; }
  // Does what can be done without waiting.
  void poll();
  // Does what is due. Call it at next_deadline_ms(), later is fine.
  void tick();
  [[nodiscard]] std::int64_t next_deadline_ms() const noexcept;
  // Called when next_deadline_ms() has become earlier outside of poll() and tick().
  void on_earlier_deadline(std::function<void()> callback) { earlier_ = std::move(callback); }

  // No new connections and requests. is_drained() then becomes true, at the latest after drain_ms.
  void start_draining();
  // Closes every listener and connection now.
  void close_all();
  [[nodiscard]] bool is_draining() const noexcept { return drain_until_ms_ != 0; }
  [[nodiscard]] bool is_drained() const noexcept { return is_draining() && count_ == 0; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  // Calls `each` for every open connection. It may close the one that it is given.
  void for_each(const std::function<void(Socket&)>& each);

  // ---- for the connections
  [[nodiscard]] std::int64_t now_ms() const noexcept { return now_ms_; }
  // Looks at the clock: once for each batch of work.
  void refresh_time();
  [[nodiscard]] char* read_buffer() noexcept { return read_buffer_.get(); }
  void watch(Socket& socket, int fd, std::uint32_t events);  // Once, before the next.
  void set_interest(Socket& socket, int fd, std::uint32_t events);
  // One wake-up for each connection: on_wake() is called at `at_ms`. Zero: none.
  void set_wake(Socket& socket, std::int64_t was_ms, std::int64_t at_ms);
  // Forgets a connection whose socket is closed; it is destroyed a little later.
  void forget(Socket& socket);

 private:
  struct Listener {
    int fd;
    bool is_secure;
  };
  void accept_all(int listener);
  void admit(int fd, bool is_secure);
  void scan();
  void bury();
  void watch_listener(const Listener& listener, bool is_on);

  const SocketsOptions options_;
  const Hooks hooks_;
  int epoll_ = -1;
  std::vector<Listener> listeners_;
  bool is_accepting_ = true;
  std::vector<std::unique_ptr<Socket>> connections_;
  std::vector<std::unique_ptr<Socket>> graveyard_;
  std::size_t count_ = 0;
  absl::btree_set<std::pair<std::int64_t, Socket*>> wakes_;
  std::int64_t next_scan_ms_ = 0;
  std::int64_t drain_until_ms_ = 0;
  std::int64_t now_ms_ = 0;
  std::unique_ptr<char[]> read_buffer_;
  std::function<void()> earlier_;
};

}  // namespace coord::api
