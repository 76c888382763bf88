// raft_sim: Raft alone, many members, all faults. See --help.

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "raft_sim/world.hpp"

namespace {

std::uint64_t current_seed = 0;

// A broken invariant aborts: the seed must be known then, too.
extern "C" void on_abort(int) {
  char line[96];
  const int length =
      std::snprintf(line, sizeof line, "aborted: repeat with: raft_sim --seed %llu --trace\n",
                    static_cast<unsigned long long>(current_seed));
  if (length > 0) std::fwrite(line, 1, static_cast<std::size_t>(length), stderr);
}

int usage() {
  std::puts(
      "raft_sim --seeds A..B [--keep-going]   runs the seeds A to B\n"
      "raft_sim --seed N [--trace]            runs one seed twice and compares the two runs");
  return 2;
}

void add(coord::raft_sim::Summary& all, const coord::raft_sim::Summary& one) {
  all.steps += one.steps;
  all.elections += one.elections;
  all.committed += one.committed;
  all.granted_reads += one.granted_reads;
  all.memberships += one.memberships;
  all.installs += one.installs;
  all.transfers += one.transfers;
  all.crashes += one.crashes;
  all.leased_turns += one.leased_turns;
}

int run_seeds(std::uint64_t first, std::uint64_t last, bool keeps_going) {
  using namespace coord::raft_sim;
  Summary all;
  int failures = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    current_seed = seed;
    try {
      add(all, World(draw_plan(seed), false).run());
    } catch (const Violation& violation) {
      fmt::print("seed {}: {}\n  repeat with: raft_sim --seed {} --trace\n", seed, violation.what(),
                 seed);
      ++failures;
      if (!keeps_going) return 1;
    }
  }
  const auto seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print(
      "{} seeds in {:.1f} s, {} failures: {} steps, {} entries, {} elections, {} reads, {} "
      "changes, "
      "{} snapshots, {} transfers, {} crashes, {} turns with a lease\n",
      last - first + 1, seconds, failures, all.steps, all.committed, all.elections,
      all.granted_reads, all.memberships, all.installs, all.transfers, all.crashes,
      all.leased_turns);
  return failures == 0 ? 0 : 1;
}

int run_seed(std::uint64_t seed, bool is_traced) {
  using namespace coord::raft_sim;
  current_seed = seed;
  try {
    const auto first = World(draw_plan(seed), is_traced).run();
    const auto second = World(draw_plan(seed), false).run();
    fmt::print("seed {}: {} steps, hash {:016x}\n", seed, first.steps, first.hash);
    if (first.hash != second.hash) {
      fmt::print("a second run gave another hash: {:016x}\n", second.hash);
      return 1;
    }
  } catch (const Violation& violation) {
    fmt::print("seed {}: {}\n", seed, violation.what());
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGABRT, on_abort);
  if (argc < 3) return usage();
  const std::string_view verb(argv[1]);
  const bool has_flag = argc > 3;
  char* end = nullptr;
  const auto first = std::strtoull(argv[2], &end, 10);
  if (verb == "--seed") return run_seed(first, has_flag && !std::strcmp(argv[3], "--trace"));
  if (verb != "--seeds" || std::strncmp(end, "..", 2) != 0) return usage();
  const auto last = std::strtoull(end + 2, nullptr, 10);
  return run_seeds(first, last, has_flag && !std::strcmp(argv[3], "--keep-going"));
}
