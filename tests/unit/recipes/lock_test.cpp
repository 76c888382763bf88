#include "coord/recipes/lock.hpp"

#include <gtest/gtest.h>

#include "recipe_harness.hpp"

namespace coord::recipes::lock {
namespace {

// A bench that speaks of locks.
struct Locks : Bench {
  Answer take(SessionId session, const std::string& name, Wait wait = Wait::none,
              Mode mode = Mode::exclusive, const std::string& owner = "",
              std::int64_t delay_ms = 0) {
    Acquire op;
    op.name = name;
    op.mode = mode;
    op.wait = wait;
    op.owner = owner;
    op.lock_delay_ms = delay_ms;
    return Bench::run(Kind::lock, encode(op), session);
  }
  Answer permits(SessionId session, const std::string& name, std::uint32_t size,
                 std::uint32_t count = 1, Wait wait = Wait::none) {
    Acquire op;
    op.name = name;
    op.mode = Mode::permits;
    op.permits = size;
    op.take = count;
    op.wait = wait;
    return Bench::run(Kind::lock, encode(op), session);
  }
  Answer give(SessionId session, const std::string& name, const std::string& ticket = "",
              const std::string& owner = "", bool is_break = false) {
    return Bench::run(Kind::lock, encode(Release{name, ticket, owner, is_break}), session);
  }
  LockAnswer show(const std::string& name) {
    LockAnswer shown;
    const auto answer = view(Kind::lock, encode(Show{name}));
    EXPECT_EQ(answer.code, Code::ok) << answer.detail;
    EXPECT_TRUE(decode(answer.bytes, shown));
    return shown;
  }
  bool holds(const std::string& name, std::uint64_t token) {
    return recipes::holds(look(), Kind::lock, name, token);
  }
  static Ticket ticket_of(const Answer& answer) {
    TicketAnswer shown;
    EXPECT_TRUE(decode(answer.bytes, shown)) << answer.detail;
    return shown.ticket;
  }
};

TEST(Lock, TheFirstHoldsItWithTheZxidOfItsEntryAsToken) {
  Locks locks;
  const auto session = locks.open();
  const auto answer = locks.take(session, "jobs");
  ASSERT_EQ(answer.code, Code::ok) << answer.detail;
  const auto ticket = Locks::ticket_of(answer);
  EXPECT_TRUE(ticket.is_held);
  EXPECT_EQ(ticket.token, locks.zxid().value());
  EXPECT_EQ(ticket.position, 0U);
  EXPECT_TRUE(locks.holds("jobs", ticket.token));
  EXPECT_FALSE(locks.holds("jobs", ticket.token + 1));
  EXPECT_FALSE(locks.holds("other", ticket.token));
}

TEST(Lock, ATryOnAHeldLockChangesNothingAndNamesTheHolder) {
  Locks locks;
  const auto first = locks.open();
  const auto second = locks.open();
  ASSERT_EQ(locks.take(first, "jobs").code, Code::ok);
  const auto answer = locks.take(second, "jobs");
  EXPECT_EQ(answer.code, Code::lock_held);
  EXPECT_FALSE(answer.is_done);
  TicketAnswer held;
  ASSERT_TRUE(decode(answer.bytes, held));
  ASSERT_EQ(held.holders.size(), 1U);
  EXPECT_EQ(held.holders[0].session, first);
  EXPECT_EQ(locks.show("jobs").waiter_count, 0U);
}

TEST(Lock, TheNextOfTheQueueHasItInTheEntryThatFreesIt) {
  Locks locks;
  const auto first = locks.open();
  const auto second = locks.open();
  const auto third = locks.open();
  const auto old = Locks::ticket_of(locks.take(first, "jobs"));
  const auto waiting = locks.take(second, "jobs", Wait::wait);
  EXPECT_TRUE(waiting.is_waiting);
  EXPECT_EQ(Locks::ticket_of(waiting).position, 1U);
  EXPECT_EQ(Locks::ticket_of(locks.take(third, "jobs", Wait::queue)).position, 2U);
  ASSERT_EQ(locks.give(first, "jobs").code, Code::ok);
  const auto shown = locks.show("jobs");
  ASSERT_EQ(shown.holders.size(), 1U);
  EXPECT_EQ(shown.holders[0].session, second);
  EXPECT_EQ(shown.holders[0].token, locks.zxid().value());
  EXPECT_GT(shown.holders[0].token, old.token);
  EXPECT_FALSE(locks.holds("jobs", old.token));
  ASSERT_EQ(shown.queue.size(), 1U);
  EXPECT_EQ(shown.queue[0].position, 1U);
  // The change of the waiter's own ticket is what wakes it: one ticket changed.
  std::size_t tickets = 0;
  for (const auto& change : locks.changes) {
    if (change.kind == znode::ChangeKind::changed && change.path == waiting.watch) ++tickets;
  }
  EXPECT_EQ(tickets, 1U);
}

TEST(Lock, TheEndOfTheHoldersSessionPassesItOn) {
  Locks locks;
  const auto first = locks.open();
  const auto second = locks.open();
  ASSERT_EQ(locks.take(first, "jobs").code, Code::ok);
  ASSERT_EQ(locks.take(second, "jobs", Wait::queue).code, Code::ok);
  locks.end(first);
  EXPECT_EQ(locks.show("jobs").holders.at(0).session, second);
}

TEST(Lock, ReadersShareAndNeitherKindStarves) {
  Locks locks;
  std::vector<SessionId> s;
  for (int i = 0; i < 6; ++i) s.push_back(locks.open());
  const auto one = Locks::ticket_of(locks.take(s[0], "f", Wait::none, Mode::shared));
  const auto two = Locks::ticket_of(locks.take(s[1], "f", Wait::none, Mode::shared));
  EXPECT_NE(one.token, two.token);
  EXPECT_TRUE(locks.take(s[2], "f", Wait::queue).is_waiting);
  // A reader does not overtake the writer.
  EXPECT_EQ(locks.take(s[3], "f", Wait::none, Mode::shared).code, Code::lock_held);
  EXPECT_TRUE(locks.take(s[3], "f", Wait::queue, Mode::shared).is_waiting);
  EXPECT_TRUE(locks.take(s[4], "f", Wait::queue, Mode::shared).is_waiting);
  EXPECT_TRUE(locks.take(s[5], "f", Wait::queue).is_waiting);
  ASSERT_EQ(locks.give(s[0], "f").code, Code::ok);
  EXPECT_FALSE(locks.holds("f", one.token));
  EXPECT_TRUE(locks.holds("f", two.token));
  EXPECT_EQ(locks.show("f").holders.size(), 1U);
  ASSERT_EQ(locks.give(s[1], "f").code, Code::ok);
  EXPECT_EQ(locks.show("f").holders.at(0).session, s[2]);
  ASSERT_EQ(locks.give(s[2], "f").code, Code::ok);
  const auto readers = locks.show("f").holders;
  ASSERT_EQ(readers.size(), 2U);
  EXPECT_NE(readers[0].token, readers[1].token) << "each holder has its own";
  ASSERT_EQ(locks.give(s[3], "f").code, Code::ok);
  EXPECT_FALSE(locks.holds("f", readers[0].token));
  EXPECT_TRUE(locks.holds("f", readers[1].token));
  ASSERT_EQ(locks.give(s[4], "f").code, Code::ok);
  EXPECT_GT(locks.show("f").holders.at(0).token, readers[1].token) << "tokens only grow";
}

TEST(Lock, ASemaphoreGivesItsPermitsInOrder) {
  Locks locks;
  const auto a = locks.open();
  const auto b = locks.open();
  const auto c = locks.open();
  ASSERT_EQ(locks.permits(a, "pool", 3, 2).code, Code::ok);
  EXPECT_EQ(locks.permits(b, "pool", 3, 2).code, Code::lock_held);
  EXPECT_TRUE(locks.permits(b, "pool", 3, 2, Wait::queue).is_waiting);
  EXPECT_TRUE(locks.permits(c, "pool", 3, 1, Wait::queue).is_waiting) << "no overtaking";
  EXPECT_EQ(locks.permits(locks.open(), "pool", 4).code, Code::permits_mismatch);
  EXPECT_EQ(locks.take(locks.open(), "pool").code, Code::permits_mismatch);
  EXPECT_EQ(locks.permits(a, "pool", 3, 1).code, Code::permits_mismatch);
  ASSERT_EQ(locks.give(a, "pool").code, Code::ok);
  EXPECT_EQ(locks.show("pool").holders.size(), 2U);
  locks.end(b);
  locks.end(c);
  EXPECT_EQ(locks.permits(a, "pool", 7).code, Code::ok) << "unused: the size may change";
}

TEST(Lock, ItsOwnerMayTakeItAgainAndEachReleaseLowersTheCount) {
  Locks locks;
  const auto session = locks.open();
  const auto first =
      Locks::ticket_of(locks.take(session, "jobs", Wait::none, Mode::exclusive, "t"));
  const auto again =
      Locks::ticket_of(locks.take(session, "jobs", Wait::none, Mode::exclusive, "t"));
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.token, first.token);
  EXPECT_EQ(again.count, 2U);
  EXPECT_EQ(locks.take(session, "jobs", Wait::none, Mode::exclusive, "u").code, Code::lock_held);
  EXPECT_EQ(locks.give(session, "jobs", "", "t").code, Code::ok);
  EXPECT_TRUE(locks.holds("jobs", first.token));
  EXPECT_EQ(locks.give(session, "jobs", "", "t").code, Code::ok);
  EXPECT_FALSE(locks.holds("jobs", first.token));
  EXPECT_EQ(locks.give(session, "jobs", "", "t").code, Code::not_found);
}

TEST(Lock, OnlyItsOwnerReleasesATicketAndOnlyAnOperatorBreaksIt) {
  Locks locks;
  const auto session = locks.open();
  const auto other = locks.open();
  const auto ticket = Locks::ticket_of(locks.take(session, "jobs"));
  EXPECT_EQ(locks.give(other, "jobs", ticket.id).code, Code::not_owner);
  EXPECT_EQ(locks.give({}, "jobs", ticket.id).code, Code::not_owner);
  EXPECT_EQ(locks.give({}, "jobs").code, Code::session_required);
  EXPECT_EQ(locks.give(other, "jobs", ticket.id, "", true).code, Code::forbidden);
  locks.identities.push_back({"super", ""});
  EXPECT_EQ(locks.give(other, "jobs", ticket.id).code, Code::not_owner) << "not without break";
  EXPECT_EQ(locks.give({}, "jobs", ticket.id, "", true).code, Code::ok);
  EXPECT_FALSE(locks.holds("jobs", ticket.token));
}

TEST(Lock, ALockThatBringsItsSessionGivesItBack) {
  Locks locks;
  SessionId own;
  Acquire op;
  op.name = "jobs";
  const auto ticket = Locks::ticket_of(locks.run_with_own(Kind::lock, encode(op), own));
  ASSERT_TRUE(own);
  EXPECT_EQ(ticket.session, own);
  SessionId refused;
  EXPECT_EQ(locks.run_with_own(Kind::lock, encode(op), refused).code, Code::lock_held);
  EXPECT_FALSE(refused) << "no session without the lock";
  op.wait = Wait::wait;
  SessionId waiter;
  const auto waiting = locks.run_with_own(Kind::lock, encode(op), waiter);
  ASSERT_TRUE(waiting.is_waiting);
  ASSERT_TRUE(waiter);
  const auto left = locks.run(Kind::lock, waiting.give_up, waiter);
  EXPECT_EQ(left.code, Code::lock_held);
  EXPECT_TRUE(left.is_done);
  EXPECT_FALSE(locks.is_live(waiter));
  EXPECT_EQ(locks.give(own, "jobs").code, Code::ok);
  EXPECT_FALSE(locks.is_live(own));
}

TEST(Lock, WhoGivesUpWhenTheLockHasComeHasIt) {
  Locks locks;
  const auto first = locks.open();
  const auto second = locks.open();
  ASSERT_EQ(locks.take(first, "jobs").code, Code::ok);
  const auto waiting = locks.take(second, "jobs", Wait::wait);
  ASSERT_EQ(locks.give(first, "jobs").code, Code::ok);
  const auto answer = locks.run(Kind::lock, waiting.give_up, second);
  EXPECT_EQ(answer.code, Code::ok);
  EXPECT_TRUE(Locks::ticket_of(answer).is_held);
}

TEST(Lock, ALockDelayHoldsItBackAfterALossAndNotAfterARelease) {
  Locks locks;
  const auto lost = locks.open();
  const auto next = locks.open();
  ASSERT_EQ(locks.take(lost, "jobs", Wait::none, Mode::exclusive, "", 5'000).code, Code::ok);
  ASSERT_TRUE(locks.take(next, "jobs", Wait::queue, Mode::exclusive, "", 5'000).is_waiting);
  locks.end(lost);
  EXPECT_TRUE(locks.show("jobs").holders.empty());
  EXPECT_EQ(locks.show("jobs").delay_ms, 5'000);
  EXPECT_EQ(locks.take(locks.open(), "jobs").code, Code::lock_held);
  locks.pass(4'999);
  EXPECT_TRUE(locks.show("jobs").holders.empty());
  locks.pass(1);
  EXPECT_EQ(locks.show("jobs").holders.at(0).session, next);
  ASSERT_EQ(locks.give(next, "jobs").code, Code::ok);
  EXPECT_EQ(locks.take(next, "jobs").code, Code::ok) << "released: no delay";
}

// It must not be told to wait for what the same entry gives it: nothing would wake it.
TEST(Lock, WhoAsksWhenADelayHasJustRunOutIsToldThatItHolds) {
  Locks locks;
  const auto lost = locks.open();
  locks.take(lost, "jobs", Wait::none, Mode::exclusive, "", 5'000);
  locks.end(lost);
  const auto early = locks.take(locks.open(), "jobs", Wait::queue, Mode::shared);
  EXPECT_TRUE(early.is_waiting);
  locks.now_ms += 5'000;  // And nobody has looked what is due.
  const auto tried = locks.take(locks.open(), "jobs", Wait::none, Mode::shared);
  EXPECT_EQ(tried.code, Code::lock_held);
  EXPECT_EQ(tried.detail.find("token"), std::string::npos) << tried.detail;
  const auto late = locks.take(locks.open(), "jobs", Wait::queue, Mode::shared);
  EXPECT_FALSE(late.is_waiting);
  const auto shown = locks.show("jobs");
  ASSERT_EQ(shown.holders.size(), 2U);
  EXPECT_EQ(shown.holders.front().id, Locks::ticket_of(early).id);
  EXPECT_EQ(shown.holders.back().token, Locks::ticket_of(late).token);
  EXPECT_LT(shown.holders.front().token, shown.holders.back().token);
}

TEST(Lock, ABrokenLockHasItsDelayToo) {
  Locks locks;
  const auto session = locks.open();
  locks.identities.push_back({"super", ""});
  const auto ticket =
      Locks::ticket_of(locks.take(session, "jobs", Wait::none, Mode::exclusive, "", 5'000));
  ASSERT_EQ(locks.give({}, "jobs", ticket.id, "", true).code, Code::ok);
  EXPECT_EQ(locks.take(locks.open(), "jobs").code, Code::lock_held);
  locks.pass(5'000);
  EXPECT_EQ(locks.take(locks.open(), "jobs").code, Code::ok);
}

TEST(Lock, ACircleIsRefusedAndShown) {
  Locks locks;
  const auto a = locks.open();
  const auto b = locks.open();
  const auto c = locks.open();
  ASSERT_EQ(locks.take(a, "x").code, Code::ok);
  ASSERT_EQ(locks.take(b, "y").code, Code::ok);
  ASSERT_EQ(locks.take(c, "z").code, Code::ok);
  ASSERT_TRUE(locks.take(a, "y", Wait::wait).is_waiting);
  ASSERT_TRUE(locks.take(b, "z", Wait::queue).is_waiting);
  EXPECT_EQ(locks.take(c, "x").code, Code::lock_held) << "who does not wait closes no circle";
  const auto answer = locks.take(c, "x", Wait::wait);
  ASSERT_EQ(answer.code, Code::deadlock) << answer.detail;
  CircleAnswer circle;
  ASSERT_TRUE(decode(answer.bytes, circle));
  ASSERT_EQ(circle.members.size(), 3U);
  EXPECT_EQ(circle.members[0].session, c);
  EXPECT_EQ(circle.members[0].lock, "x");
  EXPECT_EQ(circle.members[1].session, a);
  EXPECT_EQ(circle.members[2].session, b);
  GraphAnswer graph;
  ASSERT_TRUE(decode(locks.view(Kind::lock, encode(Graph{})).bytes, graph));
  ASSERT_EQ(graph.edges.size(), 2U);
  EXPECT_EQ(graph.edges[0].lock, "y");
  EXPECT_EQ(graph.edges[0].waits_for.at(0).session, b);
}

TEST(Lock, OwnersOfOneSessionAreToldApart) {
  Locks locks;
  const auto s = locks.open();
  const auto take = [&](const char* name, const char* owner, Wait wait) {
    return locks.take(s, name, wait, Mode::exclusive, owner);
  };
  ASSERT_EQ(take("x", "one", Wait::none).code, Code::ok);
  ASSERT_EQ(take("y", "two", Wait::none).code, Code::ok);
  ASSERT_TRUE(take("x", "three", Wait::queue).is_waiting);
  ASSERT_TRUE(take("x", "two", Wait::queue).is_waiting);
  EXPECT_EQ(take("y", "one", Wait::queue).code, Code::deadlock);
  // three waits for x before two, which has y.
  EXPECT_EQ(take("y", "three", Wait::queue).code, Code::deadlock);
  EXPECT_TRUE(take("y", "four", Wait::queue).is_waiting);
}

TEST(Lock, WhoSharesALockCannotWaitToHaveItAlone) {
  Locks locks;
  const auto s = locks.open();
  ASSERT_EQ(locks.take(s, "x", Wait::none, Mode::shared).code, Code::ok);
  EXPECT_EQ(locks.take(s, "x").code, Code::lock_held);
  EXPECT_EQ(locks.take(s, "x", Wait::wait).code, Code::deadlock);
}

TEST(Lock, ASemaphoreInACircleIsADeadlockOnlyIfNobodyElseFreesEnough) {
  Locks locks;
  const auto a = locks.open();
  const auto b = locks.open();
  const auto c = locks.open();
  ASSERT_EQ(locks.permits(a, "pool", 2).code, Code::ok);
  ASSERT_EQ(locks.permits(b, "pool", 2).code, Code::ok);
  ASSERT_EQ(locks.take(c, "x").code, Code::ok);
  ASSERT_TRUE(locks.take(a, "x", Wait::queue).is_waiting);
  // b can still go on and free a permit for c.
  ASSERT_TRUE(locks.permits(c, "pool", 2, 1, Wait::queue).is_waiting);
  // Now b would wait for c, which waits for a permit of a or b.
  EXPECT_EQ(locks.take(b, "x", Wait::queue).code, Code::deadlock);
}

TEST(Lock, ItsNodeGoesAfterAWhileAndTokensStillGrow) {
  Locks locks;
  const auto s = locks.open();
  const auto token = Locks::ticket_of(locks.take(s, "jobs")).token;
  ASSERT_EQ(locks.give(s, "jobs").code, Code::ok);
  EXPECT_EQ(locks.show("jobs").token, token);
  EXPECT_FALSE(locks.tree.due(locks.now_ms + 3'600'000, 10).empty()) << "a container";
  EXPECT_GT(Locks::ticket_of(locks.take(s, "jobs")).token, token);
}

TEST(Lock, MalformedStepsAreNone) {
  Acquire op;
  op.name = "jobs";
  EXPECT_TRUE(is_step(encode(op)));
  for (const auto* name : {"", "a/b", "mine", "..", "a b"}) {
    op.name = name;
    EXPECT_FALSE(is_step(encode(op))) << name;
  }
  op.name = "jobs";
  op.take = 2;
  EXPECT_FALSE(is_step(encode(op)));
  op.mode = Mode::permits;
  EXPECT_FALSE(is_step(encode(op)));
  op.permits = kPermitsMax + 1;
  EXPECT_FALSE(is_step(encode(op)));
  op.permits = kPermitsMax;
  EXPECT_TRUE(is_step(encode(op)));
  op.owner = "\xff";
  EXPECT_FALSE(is_step(encode(op)));
  EXPECT_FALSE(is_step(encode(Release{"jobs", "no-ticket", "", false})));
  EXPECT_FALSE(is_step(encode(Leave{"jobs", ""})));
  EXPECT_FALSE(is_step(""));
  EXPECT_FALSE(is_query(encode(op)));
}

}  // namespace
}  // namespace coord::recipes::lock
