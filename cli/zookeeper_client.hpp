// ZooKeeperClient: as much of ZooKeeper's client protocol as reading a tree takes.
//
// Requests are pipelined: ask() queues one, answer() gives the answers in that order. What the
// server tells by itself goes to events(). It owns one connection and its session; it does not
// reconnect, since what was asked and watched is gone then: its owner begins anew. Every wait has a
// deadline and ends early when Interrupt is raised. Thread rule: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/client.hpp"
#include "cli/outcome.hpp"

namespace coord::cli {

inline constexpr std::string_view kZooKeeperPort = "2181";

// "a:2181,b" -> endpoints; the port is 2181 unless given.
[[nodiscard]] Outcome<std::vector<Endpoint>> parse_servers(std::string_view list);

enum class ZooKeeperOp : std::int32_t {
  get_data = 4,
  get_acl = 6,
  sync = 9,
  ping = 11,
  get_children = 12,  // With the stat: getChildren2.
  auth = 100,
  add_watch = 106,
  close = -11,
};

enum class ZooKeeperError : std::int32_t {
  none = 0,
  unimplemented = -6,
  no_node = -101,
  no_auth = -102,
  session_expired = -112,
  auth_failed = -115,
};

// What went wrong at the server, for people.
[[nodiscard]] Trouble trouble_of(ZooKeeperError error, std::string_view path);

struct ZooKeeperEvent {
  std::int32_t type = 0;  // 1 created, 2 deleted, 3 changed, 4 children.
  std::string path;
};

class ZooKeeperClient {
 public:
  struct Options {
    std::vector<Endpoint> servers;
    std::string scheme;                         // Of a credential, or empty.
    std::string credential;                     // "user:password".
    std::chrono::milliseconds timeout{15'000};  // For connecting, and for each answer.
  };
  struct Answer {
    ZooKeeperError error = ZooKeeperError::none;
    std::string frame;
    [[nodiscard]] std::string_view body() const noexcept {
      return std::string_view(frame).substr(kHeadBytes);
    }
  };
  static constexpr std::size_t kHeadBytes = 16;

  // Requires: at least one server.
  explicit ZooKeeperClient(Options options) : options_(std::move(options)) {}
  ~ZooKeeperClient();
  ZooKeeperClient(const ZooKeeperClient&) = delete;
  ZooKeeperClient& operator=(const ZooKeeperClient&) = delete;

  // Opens a session with the first server that takes one.
  [[nodiscard]] Outcome<void> connect();
  [[nodiscard]] bool is_connected() const noexcept { return fd_ >= 0; }
  // Queues a request; the body is what follows its header.
  void ask(ZooKeeperOp op, std::string_view body);
  // The answer to the oldest request that has none. Trouble: the connection is lost.
  [[nodiscard]] Outcome<Answer> answer();
  // Waits for an event until `until`, keeping the session; what was asked must be answered before.
  // Trouble: the connection is lost, or interrupted.
  [[nodiscard]] Outcome<void> await_event(std::chrono::steady_clock::time_point until);
  // Those that came since, oldest first.
  [[nodiscard]] std::vector<ZooKeeperEvent> take_events() { return std::exchange(events_, {}); }
  [[nodiscard]] std::string server() const;
  // Ends the session, as far as the server still hears it.
  void close();

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] Outcome<void> open(const Endpoint& server);
  [[nodiscard]] Outcome<void> greet();
  // One frame, or none when nothing came until then.
  [[nodiscard]] Outcome<std::optional<std::string>> frame(Clock::time_point until);
  // Sends and receives what can be, once; false when nothing could until then.
  [[nodiscard]] Outcome<bool> exchange(Clock::time_point until);
  void put_frame(std::string_view frame);
  [[nodiscard]] Trouble lost(std::string_view why);
  void note_event(std::string_view body);

  Options options_;
  std::size_t current_ = 0;
  int fd_ = -1;
  std::int32_t next_xid_ = 1;
  std::int32_t answered_xid_ = 1;  // Of the next answer.
  std::chrono::milliseconds session_timeout_{0};
  Clock::time_point last_sent_;
  std::string out_;
  std::string in_;
  std::size_t in_at_ = 0;  // Where the next frame in in_ begins.
  std::vector<ZooKeeperEvent> events_;
};

}  // namespace coord::cli
