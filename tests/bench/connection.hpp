// Connection: one non-blocking HTTP/1.1 client connection, with just enough parsing to know when an
// answer is whole. One request at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace coord::bench {

struct Answer {
  int status = 0;
  std::string body;
};

class Connection {
 public:
  // Connects to 127.0.0.1:port (blocking), then turns non-blocking. Ends the program on failure.
  explicit Connection(std::uint16_t port);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  // Sends the whole request; what the socket does not take at once follows by flush().
  void send(std::string request);
  // True when nothing is left to send.
  bool flush();
  // Reads what is there; false when the other side has closed.
  bool receive();
  // Takes the answer if it is whole.
  bool take(Answer& answer);
  // Everything received and not taken (streams).
  [[nodiscard]] std::string& received() noexcept { return received_; }
  // Blocks until the answer is whole.
  Answer call(std::string request);

 private:
  int descriptor_ = -1;
  std::string to_send_;
  std::size_t sent_ = 0;
  std::string received_;
};

// Ends the program with a message.
[[noreturn]] void fail(std::string_view what);

}  // namespace coord::bench
