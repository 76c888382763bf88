// What the load generator does with locks of a coordd.
#pragma once

#include <cstdint>
#include <vector>

namespace coord::bench {

struct LockOptions {
  std::uint16_t port = 7070;
  std::size_t connections = 64;
  double seconds = 5;
  std::uint64_t count = 100;    // Hand-overs.
  bool brings_session = false;  // Each lock brings its own; otherwise each connection has one.
};
struct LockResult {
  std::vector<double> latencies_us;
  std::uint64_t errors = 0;
  double seconds = 0;
};

// Each connection takes and releases a lock of its own, over and over. A latency is a pair's.
[[nodiscard]] LockResult lock_pairs(const LockOptions& options);
// `connections` wait for one lock; the holder lets go, and queues up again. A latency is from the
// sending of the release until the next one has its answer.
[[nodiscard]] LockResult hand_overs(const LockOptions& options);

}  // namespace coord::bench
