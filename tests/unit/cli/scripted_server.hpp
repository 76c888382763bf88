// ScriptedServer: a server on loopback that answers request n with step n, whatever it says.
//
// One thread, one connection at a time. When the steps are used up it answers 500, so that a client
// that asks too often is seen.
#pragma once

#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace coord::cli {

class ScriptedServer {
 public:
  struct Step {
    std::string answer;   // Raw bytes; none: the request is swallowed.
    bool closes = false;  // The connection ends after the answer.
    static Step ok(const std::string& body);
    static Step problem(int status, const std::string& code);
    // The head of a stream without a length, and `body`; then it closes.
    static Step cut_stream(const std::string& body);
  };
  explicit ScriptedServer(std::vector<Step> steps);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] std::string port() const { return std::to_string(port_); }
  // Head and body of every request so far, in order.
  [[nodiscard]] std::vector<std::string> requests() const;
  [[nodiscard]] int connections() const;

 private:
  void serve();
  void serve_connection(int fd);

  std::vector<Step> steps_;
  int listener_ = -1;
  int wake_[2] = {-1, -1};
  unsigned short port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  int connections_ = 0;
  std::thread thread_;
};

// A port of loopback on which nobody listens.
[[nodiscard]] std::string refusing_port();
// The value of a header in a request's text, or empty.
[[nodiscard]] std::string header_of(const std::string& request, const std::string& name);

}  // namespace coord::cli
