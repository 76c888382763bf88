// Farm: runs in processes of their own, so that an abort is a failure of its seed and nothing more.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/world.hpp"

namespace coord::sim {

struct SeedResult {
  RunOptions options;
  Outcome outcome;
};

// Runs the seeds, `jobs` at a time, and calls `each` as they end, until it returns false.
void run_seeds(const std::vector<RunOptions>& runs, unsigned jobs,
               const std::function<bool(const SeedResult&)>& each);
[[nodiscard]] SeedResult run_seed(const RunOptions& options);
// Switches classes of faults off, one at a time, while the run still fails.
[[nodiscard]] SeedResult reduce(const SeedResult& failed);
// The command that repeats a run.
[[nodiscard]] std::string command_of(const RunOptions& options);
[[nodiscard]] std::string report_of(const SeedResult& result);
// Seeds beginning with 1 until the mutant is found; the seeds that it took, 0: not found.
[[nodiscard]] std::uint64_t hunt(Mutant mutant, std::uint64_t seeds_max, std::int64_t seconds,
                                 unsigned jobs, SeedResult& found);

}  // namespace coord::sim
