// Some seeds of the simulation in every test run. A failure names its seed; `raft_sim --seed N
// --trace` repeats it.
#include <gtest/gtest.h>

#include "raft_sim/world.hpp"

namespace coord::raft_sim {
namespace {

TEST(RaftSim, KeepsItsPromisesUnderAllFaults) {
  Summary all;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    try {
      const auto one = World(draw_plan(seed), false).run();
      all.installs += one.installs;
      all.transfers += one.transfers;
      all.memberships += one.memberships;
      all.crashes += one.crashes;
      all.granted_reads += one.granted_reads;
      all.leased_turns += one.leased_turns;
    } catch (const Violation& violation) {
      FAIL() << violation.what() << "\nrepeat with: raft_sim --seed " << seed << " --trace";
    }
  }
  // A fault or a service that never happened would prove nothing.
  EXPECT_GT(all.installs, 10U);
  EXPECT_GT(all.transfers, 10U);
  EXPECT_GT(all.memberships, 100U);
  EXPECT_GT(all.crashes, 100U);
  EXPECT_GT(all.granted_reads, 1000U);
  EXPECT_GT(all.leased_turns, 1000U);
}

TEST(RaftSim, GivesTheSameRunForTheSameSeed) {
  for (const std::uint64_t seed : {7U, 77U, 777U}) {
    EXPECT_EQ(World(draw_plan(seed), false).run().hash, World(draw_plan(seed), false).run().hash);
  }
}

}  // namespace
}  // namespace coord::raft_sim
