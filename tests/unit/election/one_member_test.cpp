// A cluster of one runs on the same path as every other.
#include <gtest/gtest.h>

#include <utility>

#include "election/raft.hpp"

namespace coord::election {
namespace {

class DeafSink : public TraceSink {
  void trace(const TraceEvent&) override {}
};

struct One {
  explicit One(Restored restored = fresh()) : raft(Options{.id = MemberId(1)}, restored, sink) {
    raft.tick(1000);
  }
  static Restored fresh() {
    Restored restored;
    restored.membership.voters = {MemberId(1)};
    return restored;
  }
  // Until nothing happens any more; every persist is synced.
  void settle() {
    for (auto ready = raft.take_ready(); !ready.empty(); ready = raft.take_ready()) {
      keep(ready);
      raft.check_invariants();
    }
  }
  void keep(Ready& ready) {
    for (auto& entry : ready.committed) committed.push_back(std::move(entry));
    for (const auto& grant : ready.read_grants) grants.push_back(grant);
    if (!ready.persist) return;
    if (ready.persist->hard_state) hard_state = *ready.persist->hard_state;
    for (const auto& entry : ready.persist->entries) {
      disk.resize(static_cast<std::size_t>(entry->index.value() - 1));
      disk.push_back(entry);
    }
    raft.persisted(ready.persist->number);
  }
  DeafSink sink;
  Raft raft;
  HardState hard_state;
  std::vector<SharedEntry> disk;
  std::vector<SharedEntry> committed;
  std::vector<ReadGrant> grants;
};

TEST(OneMember, ElectsItselfOnlyOnceItsVoteIsSynced) {
  One one;
  auto ready = one.raft.take_ready();
  ASSERT_TRUE(ready.persist.has_value());
  EXPECT_EQ(ready.persist->hard_state, (HardState{Term(1), MemberId(1)}));
  EXPECT_EQ(one.raft.role(), Role::candidate);
  EXPECT_TRUE(one.raft.take_ready().empty());
  EXPECT_EQ(one.raft.role(), Role::candidate);
  one.raft.persisted(ready.persist->number);
  EXPECT_EQ(one.raft.role(), Role::leader);
}

TEST(OneMember, CommitsAnEntryOnlyOnceItIsSynced) {
  One one;
  one.settle();
  ASSERT_EQ(one.committed.size(), 1U);
  EXPECT_EQ(one.committed[0]->kind, EntryKind::no_op);
  const auto proposed = one.raft.propose(EntryKind::command, "x");
  ASSERT_TRUE(std::holds_alternative<Proposed>(proposed));
  EXPECT_EQ(std::get<Proposed>(proposed).index, Index(2));
  auto ready = one.raft.take_ready();
  ASSERT_TRUE(ready.persist.has_value());
  EXPECT_EQ(ready.persist->entries.size(), 1U);
  EXPECT_FALSE(ready.persist->hard_state.has_value());
  EXPECT_TRUE(ready.committed.empty());
  EXPECT_EQ(one.raft.committed(), Index(1));
  one.raft.persisted(ready.persist->number);
  ready = one.raft.take_ready();
  ASSERT_EQ(ready.committed.size(), 1U);
  EXPECT_EQ(ready.committed[0]->payload, "x");
}

TEST(OneMember, GrantsAReadAtOnceWithWhatIsCommitted) {
  One one;
  one.settle();
  (void)one.raft.propose(EntryKind::command, "not yet committed");
  one.raft.read(ReadId(7));
  const auto ready = one.raft.take_ready();
  ASSERT_EQ(ready.read_grants.size(), 1U);
  EXPECT_EQ(ready.read_grants[0].read, ReadId(7));
  EXPECT_TRUE(ready.read_grants[0].granted);
  EXPECT_EQ(ready.read_grants[0].index, Index(1));
}

TEST(OneMember, HoldsReadsUntilAnEntryOfItsOwnTermIsCommitted) {
  One one;
  auto vote = one.raft.take_ready();
  one.raft.persisted(vote.persist->number);
  one.raft.read(ReadId(1));
  auto no_op = one.raft.take_ready();
  EXPECT_TRUE(no_op.read_grants.empty());
  one.raft.persisted(no_op.persist->number);
  const auto ready = one.raft.take_ready();
  ASSERT_EQ(ready.read_grants.size(), 1U);
  EXPECT_EQ(ready.read_grants[0].index, Index(1));
}

TEST(OneMember, RefusesReadsAndProposalsBeforeItLeads) {
  One one;
  one.raft.read(ReadId(1));
  EXPECT_EQ(std::get<ProposeError>(one.raft.propose(EntryKind::command, "x")),
            ProposeError::not_leader);
  const auto ready = one.raft.take_ready();
  ASSERT_EQ(ready.read_grants.size(), 1U);
  EXPECT_FALSE(ready.read_grants[0].granted);
}

TEST(OneMember, HasTheLeaseWhileItLeads) {
  One one;
  EXPECT_FALSE(one.raft.has_lease(1000));
  one.settle();
  EXPECT_TRUE(one.raft.has_lease(1000));
  EXPECT_TRUE(one.raft.has_lease(1'000'000));
}

TEST(OneMember, GivesWhatIsAboveTheCheckpointAgainAfterARestart) {
  One before;
  before.settle();
  for (const auto* payload : {"a", "b", "c"}) {
    (void)before.raft.propose(EntryKind::command, payload);
  }
  before.settle();
  ASSERT_EQ(before.committed.size(), 4U);
  Restored restored = One::fresh();
  restored.hard_state = before.hard_state;
  restored.snapshot = {Index(2), Term(1)};
  restored.entries = {before.disk.begin() + 2, before.disk.end()};
  One after(restored);
  EXPECT_EQ(after.raft.last_index(), Index(4));
  EXPECT_EQ(after.raft.committed(), Index(2));
  after.settle();
  EXPECT_EQ(after.raft.term(), Term(2));
  ASSERT_EQ(after.committed.size(), 3U);
  EXPECT_EQ(after.committed[0]->payload, "b");
  EXPECT_EQ(after.committed[1]->payload, "c");
  EXPECT_EQ(after.committed[2]->kind, EntryKind::no_op);
}

TEST(OneMember, ForgetsWhatTheCheckpointHolds) {
  One one;
  one.settle();
  for (int i = 0; i < 10; ++i) (void)one.raft.propose(EntryKind::command, "x");
  one.settle();
  one.raft.compact(Index(9));
  EXPECT_EQ(one.raft.first_index(), Index(10));
  EXPECT_EQ(one.raft.last_index(), Index(11));
  one.raft.check_invariants();
}

TEST(OneMember, RefusesMoreThanItMayHoldUncommitted) {
  DeafSink sink;
  Raft raft(Options{.id = MemberId(1), .uncommitted_bytes_max = 10}, One::fresh(), sink);
  raft.tick(0);
  for (auto ready = raft.take_ready(); !ready.empty(); ready = raft.take_ready()) {
    if (ready.persist) raft.persisted(ready.persist->number);
  }
  EXPECT_TRUE(std::holds_alternative<Proposed>(
      raft.propose(EntryKind::command, std::string(100, 'x'))));  // Nothing else waits.
  EXPECT_EQ(std::get<ProposeError>(raft.propose(EntryKind::command, "y")),
            ProposeError::overloaded);
  const auto ready = raft.take_ready();
  raft.persisted(ready.persist->number);
  EXPECT_TRUE(std::holds_alternative<Proposed>(raft.propose(EntryKind::command, "y")));
}

}  // namespace
}  // namespace coord::election
