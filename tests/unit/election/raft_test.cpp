// What is too rare for the simulation to meet often: one member of three, its messages by hand.
#include "election/raft.hpp"

#include <gtest/gtest.h>

#include "unit/election/make.hpp"

namespace coord::election {
namespace {

class NoTrace : public TraceSink {
  void trace(const TraceEvent&) override {}
};

struct OneOfThree {
  explicit OneOfThree(HardState hard_state, std::vector<SharedEntry> log = {})
      : OneOfThree(Options{.id = MemberId(1), .append_entries_max = 1},
                   {hard_state, {}, {ids({1, 2, 3}), {}, {}, {}}, std::move(log)}) {}
  OneOfThree(const Options& options, Restored restored) : raft(options, std::move(restored), sink) {
    raft.tick(now);
  }
  // Everything is synced at once; what was sent.
  std::vector<Message> settle() {
    std::vector<Message> sent;
    for (auto ready = raft.take_ready(); !ready.empty(); ready = raft.take_ready()) {
      sent.insert(sent.end(), ready.messages.begin(), ready.messages.end());
      sent.insert(sent.end(), ready.messages_after_persist.begin(),
                  ready.messages_after_persist.end());
      if (ready.persist) raft.persisted(ready.persist->number);
    }
    return sent;
  }
  void from(std::uint64_t member, Body body) {
    raft.step(Message{MemberId(member), MemberId(1), std::move(body)});
  }
  void pass(std::int64_t ms) { raft.tick(now += ms); }
  void lead() {
    pass(1000);
    pass(1000);
    const Term next = raft.term().next();
    from(2, VoteReply{true, next, true});
    (void)settle();
    from(2, VoteReply{false, next, true});
    ASSERT_EQ(raft.role(), Role::leader);
  }
  NoTrace sink;
  std::int64_t now = 0;
  Raft raft;
};

bool is_granted(const std::vector<Message>& sent) {
  for (const auto& message : sent) {
    if (const auto* reply = std::get_if<VoteReply>(&message.body)) return reply->granted;
  }
  return false;
}

// Thesis, figure 3.7: a majority has the entry, and it could still be overwritten.
TEST(Raft, DoesNotCommitAnEntryOfAnEarlierTermByCountingItsCopies) {
  OneOfThree one({Term(2), MemberId()}, entries(1, {1, 2}));
  one.lead();
  (void)one.settle();
  one.from(2, AppendReply{one.raft.term(), true, Index(2), {}, {}, 0, 0});
  EXPECT_EQ(one.raft.committed(), Index(0));
  one.from(2, AppendReply{one.raft.term(), true, Index(3), {}, {}, 0, 0});
  EXPECT_EQ(one.raft.committed(), Index(3));
}

TEST(Raft, GivesNoVoteAfterAStartUntilEarlierPromisesHaveRunOut) {
  const struct {
    std::string name;
    HardState before;
    std::int64_t waits;
    bool is_transfer, want;
  } cases[] = {
      {"at once", {Term(1), MemberId()}, 0, false, false},
      {"just before the end", {Term(1), MemberId()}, 199, false, false},
      {"at the end", {Term(1), MemberId()}, 200, false, true},
      {"one that was never in a term", {}, 0, false, true},
      {"a transfer, which ended the lease", {Term(1), MemberId()}, 0, true, true},
  };
  for (const auto& c : cases) {
    for (const bool is_pre_vote : {true, false}) {
      OneOfThree one(c.before);
      one.pass(c.waits);
      one.from(2, VoteRequest{is_pre_vote, Term(5), Index(9), Term(4), c.is_transfer});
      const bool want = c.want && !(is_pre_vote && c.is_transfer);
      EXPECT_EQ(is_granted(one.settle()), want) << c.name << (is_pre_vote ? ", pre-vote" : "");
    }
  }
}

TEST(Raft, GivesNoVoteWhileItsPromiseToTheLeaderLasts) {
  for (const std::int64_t waits : {0, 199, 200}) {
    OneOfThree one({});
    one.from(3, AppendRequest{Term(1), {}, {}, {}, {}, 1, 1});
    (void)one.settle();
    one.raft.peer_down(MemberId(3));
    one.pass(waits);
    EXPECT_FALSE(waits < 200 && one.raft.role() != Role::follower) << waits;
    one.from(2, VoteRequest{true, Term(2), Index(9), Term(1), false});
    EXPECT_EQ(is_granted(one.settle()), waits >= 200) << waits;
  }
}

// All hear at once that the leader is gone, so votes are split: nobody waits for a whole time-out.
TEST(Raft, RepeatsASplitElectionSoonAfterTheLeadersEndAndThenTakesItsTime) {
  OneOfThree one({});
  one.from(3, AppendRequest{Term(1), {}, {}, {}, {}, 1, 1});
  (void)one.settle();
  one.raft.peer_down(MemberId(3));
  one.pass(250);
  for (int campaign = 1; campaign <= 4; ++campaign) {
    ASSERT_EQ(one.raft.role(), Role::pre_candidate) << campaign;
    one.from(2, VoteReply{true, one.raft.term().next(), true});
    ASSERT_EQ(one.raft.role(), Role::candidate) << campaign;
    (void)one.settle();
    one.from(2, VoteReply{false, one.raft.term(), false});
    one.pass(99);
    EXPECT_EQ(one.raft.role(), Role::candidate) << campaign;
    one.pass(101);
    EXPECT_EQ(one.raft.role() == Role::candidate, campaign == 4) << campaign;
  }
}

// 200 ms of promise by a clock that may be a tenth fast; ours may be a tenth slow: 163 ms.
TEST(Raft, CountsItsLeaseFromTheSendingLessTheDriftOfBothClocks) {
  OneOfThree one({Term(1), MemberId()});
  one.lead();
  (void)one.settle();
  const auto sent_at = one.now;
  one.pass(40);  // The answer is late; the lease began with the request.
  one.from(2, AppendReply{one.raft.term(), true, Index(1), {}, {}, 0, sent_at});
  EXPECT_TRUE(one.raft.has_lease(sent_at + 162));
  EXPECT_FALSE(one.raft.has_lease(sent_at + 163));
}

TEST(Raft, HasNoLeaseOnceItOrderedAnotherToTakeOver) {
  OneOfThree one({Term(1), MemberId()});
  one.lead();
  (void)one.settle();
  one.from(2, AppendReply{one.raft.term(), true, Index(1), {}, {}, 0, one.now});
  ASSERT_TRUE(one.raft.has_lease(one.now));
  EXPECT_EQ(one.raft.transfer(MemberId(2)), std::nullopt);
  EXPECT_FALSE(one.raft.has_lease(one.now));
  const auto term = one.raft.term();
  one.pass(300);  // Nobody took over: only a new term can have a lease again.
  EXPECT_EQ(one.raft.role(), Role::candidate);
  EXPECT_EQ(one.raft.term(), term.next());
}

// A leader of three voters with an observer, member 4, that is sent something every 5 ms.
struct WithObserver : OneOfThree {
  explicit WithObserver(const Membership& membership = {ids({1, 2, 3}), {}, ids({4}), {}})
      : OneOfThree(Options{.id = MemberId(1), .log_tail_entries = 0, .observer_interval_ms = 5},
                   {{Term(1), MemberId()}, {}, membership, {}}) {
    lead();
    (void)settle();
    from(4, AppendReply{raft.term(), true, Index(), {}, {}, 0, now});  // It is probed no more.
    commit();
    (void)settle();
    pass(5);
    (void)settle();
    pass(5);
  }
  Index write() { return std::get<Proposed>(raft.propose(EntryKind::command, "x")).index; }
  void commit() {
    from(2, AppendReply{raft.term(), true, raft.last_index(), {}, {}, 0, now});
    from(3, AppendReply{raft.term(), true, raft.last_index(), {}, {}, 0, now});
  }
  // The last entry that a member was sent, and the commit index with it; zeros: no message.
  struct Told {
    Index last, committed;
    friend bool operator==(const Told&, const Told&) = default;
  };
  Told told(std::uint64_t member) {
    Told told;
    for (const auto& message : settle()) {
      const auto* append = std::get_if<AppendRequest>(&message.body);
      if (append == nullptr || message.to != MemberId(member)) continue;
      told = {Index(append->prev_index.value() + append->entries.size()), append->committed};
    }
    return told;
  }
};

TEST(Raft, SendsAnObserverWhatIsCommittedWithThatNewsAndThenPauses) {
  WithObserver one;
  const auto first = one.write();
  EXPECT_EQ(one.told(4), WithObserver::Told()) << "nothing is committed yet";
  one.commit();
  EXPECT_EQ(one.told(4), (WithObserver::Told{first, first}));
  const auto second = one.write();
  (void)one.settle();
  one.commit();
  EXPECT_EQ(one.told(4), WithObserver::Told()) << "it had something just now";
  EXPECT_EQ(one.raft.observers_due_ms(), one.now + 5);
  one.pass(5);
  EXPECT_EQ(one.told(4), (WithObserver::Told{second, second}));
  EXPECT_EQ(one.raft.observers_due_ms(), std::nullopt);
}

TEST(Raft, SendsAnObserverAtOnceWhatSomebodyThereWaitsFor) {
  for (const bool is_read : {false, true}) {
    WithObserver one;
    const auto first = one.write();
    (void)one.settle();
    one.commit();
    ASSERT_EQ(one.told(4), (WithObserver::Told{first, first}));
    const auto second = one.write();
    (void)one.settle();
    if (is_read) {
      one.commit();
      one.from(4, ReadIndexRequest{one.raft.term(), ReadId(7)});
      ASSERT_EQ(one.told(4), WithObserver::Told()) << "the round is not over";
      const AppendReply answer{one.raft.term(), true, second, {}, {}, 1'000, one.now};
      auto confirmed = answer;
      confirmed.round = 1;
      for (; one.told(4) == WithObserver::Told() && confirmed.round < 20; ++confirmed.round) {
        one.from(2, confirmed);
      }
      EXPECT_LT(confirmed.round, 20U);
    } else {
      one.raft.hurry(MemberId(4), second);
      EXPECT_EQ(one.told(4), WithObserver::Told()) << "nothing more is committed yet";
      one.commit();
      EXPECT_EQ(one.told(4), (WithObserver::Told{second, second}));
    }
  }
}

TEST(Raft, KeepsInItsLogWhatItOnlyHoldsBackFromAnObserver) {
  WithObserver one;
  (void)one.write();
  (void)one.settle();
  one.commit();
  (void)one.settle();
  const auto second = one.write();
  (void)one.settle();
  one.commit();
  ASSERT_EQ(one.told(4), WithObserver::Told());
  one.raft.compact(second);
  one.pass(5);
  EXPECT_EQ(one.told(4), (WithObserver::Told{second, second}));
}

// Its acknowledgement is needed: what is not committed must reach it.
TEST(Raft, DoesNotSpareAnObserverThatIsAVoterOfTheOldHalf) {
  WithObserver one({ids({1, 2, 4}), {}, {}, {}});
  const auto changed = one.raft.change({ids({1, 2, 3}), {}, ids({4}), {}});
  ASSERT_TRUE(std::holds_alternative<Proposed>(changed));
  ASSERT_TRUE(one.raft.membership().is_joint());
  const auto first = one.write();
  const auto told = one.told(4);
  EXPECT_EQ(told.last, first);
  EXPECT_LT(told.committed, first);
}

}  // namespace
}  // namespace coord::election
