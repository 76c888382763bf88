// Plan: everything that one seed decides before a run starts.
//
// Swarm testing: each class of fault is off in half of the seeds, so that no fault hides another.
#pragma once

#include <cstdint>

#include "coord/base/prng.hpp"
#include "election/raft.hpp"

namespace coord::raft_sim {

// Times in microseconds of the simulation, unless a name says otherwise.
inline constexpr std::int64_t kMs = 1'000;
inline constexpr std::int64_t kSecond = 1'000 * kMs;

struct Plan {
  std::uint64_t seed = 0;
  std::size_t voters = 3;
  std::size_t spares = 0;  // Members that run with nothing and wait to be added.
  election::Options options;
  std::int64_t fault_time = 15 * kSecond;

  // Network; chances in a thousand.
  std::uint64_t loss = 0;
  std::uint64_t duplication = 0;
  std::uint64_t replay = 0;
  std::int64_t delay_mean = kMs;
  // Mean times between; 0: never.
  std::int64_t partition_every = 0;
  std::int64_t crash_every = 0;
  std::int64_t crash_all_every = 0;
  std::int64_t pause_every = 0;
  std::int64_t change_every = 0;
  std::int64_t transfer_every = 0;
  std::int64_t false_hint_every = 0;
  bool hints = true;  // A crash closes connections, and the others notice.
  std::int64_t sync_mean = kMs;
  std::size_t slow_disk = 0;   // This member's disk takes ten times as long; 0: none.
  std::uint64_t survives = 0;  // In a hundred: the persist in flight survives a crash.
  bool clocks_differ = false;  // Rates of 0.9 to 1.1.
  std::int64_t operation_every = 20 * kMs;
  std::uint64_t checkpoint_after = 50;  // Entries.
};

[[nodiscard]] Plan draw_plan(std::uint64_t seed);

}  // namespace coord::raft_sim
