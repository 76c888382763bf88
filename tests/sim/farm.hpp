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
struct Hunt {
  std::uint64_t first = 1;  // Seeds.
  std::uint64_t last = 2'000;
  std::int64_t seconds = RunOptions().seconds;
  unsigned jobs = 1;
};
// Seeds until the mutant is found, by an invariant that its row names; the seeds that it took, 0:
// not found.
[[nodiscard]] std::uint64_t hunt(Mutant mutant, const Hunt& how, SeedResult& found);

}  // namespace coord::sim
