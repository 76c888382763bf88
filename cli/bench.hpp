// Bench: load for a cluster over HTTP, and what it took.
//
// Asynchronous, one thread, one buffer a connection; requests are prepared text and answers are
// parsed by parse_head alone, so that the generator is not what is measured. Closed loop by
// default: each connection sends when its answer has come. With a rate it is an open loop: request
// n is due at n/rate, and its latency counts from then even if every connection was busy, so that a
// server that stalls does not silence its own measurement.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/client.hpp"
#include "cli/histogram.hpp"

namespace coord::cli {

enum class BenchOp : std::uint8_t { read, write, mixed, create };

struct BenchOptions {
  std::vector<Endpoint> endpoints;
  std::string user;
  BenchOp op = BenchOp::mixed;
  std::size_t connections = 64;
  std::chrono::milliseconds duration{5'000};
  std::size_t keys = 10'000;
  std::size_t value_bytes = 100;
  double reads = 0.9;  // Of `mixed`.
  double rate = 0;     // Requests a second; 0: closed loop.
  std::string prefix = "/bench";
  std::string consistency;
  std::chrono::milliseconds timeout{10'000};  // For connecting, and for the last answers.
};

struct BenchReport {
  Histogram reads;
  Histogram writes;
  std::uint64_t errors = 0;   // Answers of 400 and more, lost connections, missing answers.
  std::string first_error;    // What the first of them was.
  std::uint64_t unsent = 0;   // Open loop: due within the duration, but never sent.
  std::uint64_t in_time = 0;  // Answers that came before the end of the duration.
  double seconds = 0;         // The duration; in_time / seconds is the throughput.
};

// Creates the keys (unless the op is create), then measures. Trouble if no connection can be made
// or the keys cannot be created.
[[nodiscard]] Outcome<BenchReport> run_bench(const BenchOptions& options);

// The head of an HTTP/1.1 answer, as far as the bench needs it.
struct Head {
  int status = 0;
  std::size_t head_bytes = 0;  // With the empty line.
  std::size_t body_bytes = 0;
  bool is_closing = false;
};
enum class HeadState : std::uint8_t { incomplete, complete, malformed };
// Answers with Content-Length, 204 and 304 only: a chunked one is malformed here. Pure.
[[nodiscard]] HeadState parse_head(std::string_view bytes, Head& head) noexcept;

}  // namespace coord::cli
