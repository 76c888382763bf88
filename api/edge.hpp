// Edge: the sockets of the HTTP edge, on an epoll set of its own.
//
// Owns the listeners, the connections, and what they share: a read buffer, the cached Date header,
// spare parsers and exchanges, rendered events. Knows neither Asio nor Beast: HttpServer waits for
// the one descriptor and the one deadline. One wake-up of the event loop so serves every connection
// that is ready, with one read and one write each and no re-arming. Thread rule: one thread.
#pragma once

#include <absl/container/btree_set.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/client_board.hpp"
#include "api/exchange.hpp"
#include "api/gateway.hpp"
#include "api/http_options.hpp"
#include "api/http_parser.hpp"
#include "api/watch_stream.hpp"
#include "coord/base/result.hpp"

namespace coord::api {

class Connection;

class Edge {
 public:
  static constexpr std::size_t kReadBufferBytes = 128 * kKiB;

  Edge(Gateway& gateway, HttpOptions options);
  ~Edge();
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  // May be called more than once. `port` 0 takes a free one. Returns the port.
  [[nodiscard]] Result<std::uint16_t> listen(const std::string& host, std::uint16_t port);
  // Readable when poll() has something to do.
  [[nodiscard]] int descriptor() const noexcept { return epoll_; }
  // Does what can be done without waiting.
  void poll();
  // Does what is due. Call it at next_deadline_ms(), later is fine.
  void tick();
  [[nodiscard]] std::int64_t next_deadline_ms() const noexcept;
  // Called when next_deadline_ms() has become earlier outside of poll() and tick().
  void on_earlier_deadline(std::function<void()> callback) { earlier_ = std::move(callback); }

  // No new connections and requests; streams end, polls are answered. is_drained() then becomes
  // true, at the latest after options.drain_ms.
  void start_draining();
  // Closes every listener and connection now; the gateway is not used any more afterwards.
  void close_all();
  [[nodiscard]] bool is_draining() const noexcept { return drain_until_ms_ != 0; }
  [[nodiscard]] bool is_drained() const noexcept { return is_draining() && count_ == 0; }
  [[nodiscard]] std::size_t connection_count() const noexcept { return count_; }

  // ---- for Connection
  [[nodiscard]] Gateway& gateway() noexcept { return gateway_; }
  [[nodiscard]] const HttpOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::int64_t now_ms() const noexcept { return now_ms_; }
  // Looks at the clock: once for each batch of work.
  void refresh_time();
  [[nodiscard]] std::string_view date() const noexcept { return date_; }
  [[nodiscard]] char* read_buffer() noexcept { return read_buffer_.get(); }
  [[nodiscard]] std::string& scratch() noexcept { return scratch_; }
  [[nodiscard]] RenderCache& renders() noexcept { return renders_; }
  [[nodiscard]] StateRenders& state_renders() noexcept { return state_renders_; }
  [[nodiscard]] ClientBoard& clients() noexcept { return clients_; }
  [[nodiscard]] std::unique_ptr<HttpParser> take_parser();
  void give_back(std::unique_ptr<HttpParser> parser);
  [[nodiscard]] Exchange* take_exchange();
  void give_back(Exchange* exchange);
  void watch(Connection& connection, int fd, std::uint32_t events);  // Once, before the next.
  void set_interest(Connection& connection, int fd, std::uint32_t events);
  // One wake-up for each connection: on_wake() is called at `at_ms`. Zero: none.
  void set_wake(Connection& connection, std::int64_t was_ms, std::int64_t at_ms);
  // Forgets a connection whose socket is closed; it is destroyed a little later.
  void forget(Connection& connection);

 private:
  struct Listener {
    int fd;
  };
  void accept_all(int listener);
  void admit(int fd);
  void scan();
  void bury();
  void watch_listener(const Listener& listener, bool is_on);

  Gateway& gateway_;
  const HttpOptions options_;
  int epoll_ = -1;
  std::vector<Listener> listeners_;
  bool is_accepting_ = true;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  std::size_t count_ = 0;
  absl::btree_set<std::pair<std::int64_t, Connection*>> wakes_;
  std::int64_t next_scan_ms_ = 0;
  std::int64_t drain_until_ms_ = 0;
  std::int64_t now_ms_ = 0;
  std::int64_t date_second_ = -1;
  std::string date_;
  std::unique_ptr<char[]> read_buffer_;
  std::string scratch_;
  RenderCache renders_;
  StateRenders state_renders_;
  ClientBoard clients_;
  std::vector<std::unique_ptr<HttpParser>> parsers_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::function<void()> earlier_;
};

}  // namespace coord::api
