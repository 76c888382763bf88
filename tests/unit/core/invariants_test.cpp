#include "coord/core/invariants.hpp"

#include <gtest/gtest.h>

#include "harness.hpp"

namespace coord::core {
namespace {

TEST(Invariants, HoldForANodeThatDidALittleOfEverything) {
  Harness world;
  const auto session = world.open_session(2'000);
  auto watch = world.watch_of(1, "/", watch::Depth::subtree);
  watch.session = session;
  world.step(watch);
  world.put("/a", "1");
  world.advance(1'000);
  EXPECT_EQ(Invariants::check_basic(world.node()), std::vector<std::string>());
  const auto now = Invariants::snapshot_of(world.node());
  EXPECT_EQ(Invariants::check_delta(now, world.node()), std::vector<std::string>());
}

TEST(Invariants, WhatGoesBackIsFoundAndAllOfIt) {
  Harness world;
  world.put("/a", "1");
  struct Case {
    const char* want;
    std::function<void(Invariants::Snapshot&)> change;
  };
  using Snapshot = Invariants::Snapshot;
  const std::vector<Case> cases = {
      {"the term falls", [](Snapshot& s) { s.term = s.term.next(); }},
      {"committed falls", [](Snapshot& s) { s.committed = s.committed.next(); }},
      {"applied falls", [](Snapshot& s) { s.applied = s.applied.next(); }},
      {"checkpointed falls", [](Snapshot& s) { s.checkpointed = Index(999); }},
      {"the ring's floor falls", [](Snapshot& s) { s.history_floor = Zxid(999); }},
      {"the retained floor falls", [](Snapshot& s) { s.retention_floor = Zxid(999); }},
      {"service time falls", [](Snapshot& s) { s.service_ms += 1; }},
      {"monotonic time falls", [](Snapshot& s) { s.mono_ms += 1; }},
      {"the state changes without an entry", [](Snapshot& s) { s.digest += 1; }},
      {"a term has two leaders", [](Snapshot& s) { s.leader = MemberId(2); }},
  };
  for (const auto& [want, change] : cases) {
    auto snapshot = Invariants::snapshot_of(world.node());
    change(snapshot);
    const auto found = Invariants::check_delta(snapshot, world.node());
    ASSERT_FALSE(found.empty()) << want;
    EXPECT_TRUE(found.front().starts_with(want)) << found.front();
  }
}

// A step whose effects were not taken is between two calls: the checks see that.
TEST(Invariants, WhatWasNotTakenIsFound) {
  Harness world;
  world.node().step(ClientRequest{world.request(Get{"/"})});
  const auto found = Invariants::check_basic(world.node());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found.front().starts_with("reads were handed to Raft"));
}

}  // namespace
}  // namespace coord::core
