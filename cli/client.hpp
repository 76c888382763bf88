// Client: HTTP calls to a cluster, over one connection that is kept alive, failing over between
// members.
//
// Blocking, for a person or a script that waits; the bench has its own asynchronous sending. It
// owns connecting, time-outs, fail-over and the headers that every call carries; it does not know
// what a call means. Every write gets an Idempotency-Key, so it may be sent again after a lost
// answer: the server answers a repeated key with the first answer. A wait ends early when Interrupt
// is raised. Thread rule: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/outcome.hpp"

namespace coord::cli {

struct Endpoint {
  std::string host;
  std::string port;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
// "http://a:7070,b:7071,[::1]" -> endpoints; the scheme may be left out, the port is 7070 unless
// given. Trouble with usage for anything else.
[[nodiscard]] Outcome<std::vector<Endpoint>> parse_endpoints(std::string_view list);
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

// "/v1/tree/a%20b?x=y": built from a route, a path of nodes and parameters.
class Target {
 public:
  explicit Target(std::string_view route) : text_(route) {}
  // Appends the path, percent-encoded; the root as "/".
  Target(std::string_view route, std::string_view path);
  Target& add(std::string_view name, std::string_view value);
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
  char next_ = '?';
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Call {
  std::string method;
  std::string target;
  Headers headers;
  std::string body;
  // How long the server was asked to wait before it answers: the time-out begins after that.
  std::chrono::milliseconds wait{0};
  [[nodiscard]] bool is_write() const noexcept { return method != "GET" && method != "HEAD"; }
};

struct Answer {
  int status = 0;
  Headers headers;
  std::string body;
  bool is_cut = false;  // Of a stream: it ended without its regular end.
  // Empty if there is no such header; names are compared without case.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
};

struct ClientOptions {
  std::vector<Endpoint> endpoints;
  std::string session;
  std::string user;  // name:password
  std::chrono::milliseconds timeout{10'000};
  // Given by the user: then even a refused connection is tried again until it has run out.
  // Otherwise a cluster that refuses every connection is given up after a second.
  bool is_timeout_given = false;
  std::chrono::milliseconds refused_patience{1'000};
  std::chrono::milliseconds backoff_min{50};
  std::chrono::milliseconds backoff_max{500};
};

class Client {
 public:
  // Requires: at least one endpoint.
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The answer, whatever its status, after fail-over and repetition (503; 504 and lost answers of
  // writes). Trouble: unavailable, timed_out, unknown_outcome, interrupted.
  [[nodiscard]] Outcome<Answer> call(const Call& call);
  // The same, and an answer of 400 or more is Trouble.
  [[nodiscard]] Outcome<Answer> call_ok(const Call& call);
  // False: enough, close the connection.
  using Sink = std::function<bool(std::string_view piece)>;
  // A call whose 200 goes to `sink` as it arrives; any other status is a usual answer. Once it has
  // begun there is no time-out but `idle`: silence for so long cuts it.
  [[nodiscard]] Outcome<Answer> stream(const Call& call, const Sink& sink,
                                       std::chrono::milliseconds idle);
  // Waits; false if it was interrupted.
  [[nodiscard]] bool pause(std::chrono::milliseconds duration);

  [[nodiscard]] const ClientOptions& options() const noexcept;
  // For the shell: calls from now on carry this session; empty for none.
  void set_session(std::string session);
  [[nodiscard]] Endpoint endpoint() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// 16 random bytes in hex.
[[nodiscard]] std::string random_key();

}  // namespace coord::cli
