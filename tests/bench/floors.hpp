// What the machine can do at best: the floors under every latency of the service.
#pragma once

#include <string>
#include <vector>

namespace coord::bench {

// Latencies in microseconds of `count` fdatasyncs, each after 4 KiB written over blocks of
// `folder`/floor that were written before.
[[nodiscard]] std::vector<double> sync_floor(const std::string& folder, int count);
// Latencies in microseconds of `count` round trips of 100 bytes over a loopback connection.
[[nodiscard]] std::vector<double> loopback_floor(int count);

}  // namespace coord::bench
