#include "coord/recipes/barrier.hpp"

#include <rapidcheck.h>

#include "recipe_harness.hpp"

namespace coord::recipes {
namespace {

using barrier::Entered;
using barrier::State;

constexpr auto kBarrier = Kind::barrier;

class BarrierBench : public Bench {
 public:
  Answer enter(SessionId session, std::uint32_t count) {
    return run(kBarrier, encode(barrier::Enter{"b", count}), session);
  }
  Answer leave(SessionId session, bool waits) {
    return run(kBarrier, encode(barrier::Leave{"b", 0, waits}), session);
  }
  static Entered entered(const Answer& answer) {
    Entered entered;
    EXPECT_TRUE(decode(answer.bytes, entered)) << answer.detail;
    return entered;
  }
  Answer ask(const Answer& waiting) { return view(kBarrier, waiting.poll); }
  barrier::View show() {
    barrier::View view;
    const auto answer = this->view(kBarrier, encode(barrier::Get{"b"}));
    if (answer.code == Code::ok) {
      EXPECT_TRUE(decode(answer.bytes, view));
    }
    return view;
  }
};

TEST(Barrier, ReleasesWhenAllHaveComeAndEndsWhenAllHaveLeft) {
  BarrierBench bench;
  const auto a = bench.open();
  const auto b = bench.open();
  const auto waiting = bench.enter(a, 2);
  ASSERT_TRUE(waiting.is_waiting);
  EXPECT_TRUE(bench.ask(waiting).is_waiting);
  const auto last = bench.enter(b, 2);
  EXPECT_FALSE(last.is_waiting);
  EXPECT_EQ(BarrierBench::entered(last).self.state, State::released);
  const auto woken = bench.ask(waiting);
  EXPECT_FALSE(woken.is_waiting);
  EXPECT_TRUE(woken.is_final);
  EXPECT_EQ(BarrierBench::entered(woken).self.round, BarrierBench::entered(last).self.round);

  const auto leaving = bench.leave(a, true);
  ASSERT_TRUE(leaving.is_waiting);
  EXPECT_TRUE(bench.run(kBarrier, leaving.poll, a).is_waiting);
  EXPECT_FALSE(bench.leave(b, true).is_waiting);
  EXPECT_FALSE(bench.run(kBarrier, leaving.poll, a).is_waiting);
  EXPECT_FALSE(bench.tree.get("/.coord/barriers/b").has_value());  // Nothing is left behind.
  EXPECT_TRUE(bench.is_live(a));  // It was given, and is nobody's to close.
}

TEST(Barrier, ASessionThatEndsLeaves) {
  BarrierBench bench;
  const auto a = bench.open();
  const auto b = bench.open();
  const auto c = bench.open();
  bench.enter(a, 2);
  bench.end(a);
  const auto waiting = bench.enter(b, 2);
  EXPECT_TRUE(waiting.is_waiting);  // The dead one does not count.
  bench.enter(c, 2);
  const auto leaving = bench.leave(b, true);
  ASSERT_TRUE(leaving.is_waiting);
  bench.end(c);  // In the same entry its ticket goes, and so b's: all have left.
  EXPECT_FALSE(bench.run(kBarrier, leaving.poll, b).is_waiting);
  EXPECT_TRUE(bench.show().participants.empty());
}

TEST(Barrier, WhoComesLaterWaitsForTheNextRound) {
  BarrierBench bench;
  std::vector<SessionId> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(bench.open());
  bench.enter(sessions[0], 2);
  bench.enter(sessions[1], 2);
  const auto third = bench.enter(sessions[2], 2);
  const auto fourth = bench.enter(sessions[3], 2);
  EXPECT_TRUE(third.is_waiting);
  EXPECT_TRUE(fourth.is_waiting);
  bench.leave(sessions[0], false);
  EXPECT_TRUE(bench.ask(third).is_waiting);
  bench.leave(sessions[1], false);
  EXPECT_FALSE(bench.ask(third).is_waiting);
  EXPECT_FALSE(bench.ask(fourth).is_waiting);
}

TEST(Barrier, MisuseIsRefused) {
  BarrierBench bench;
  const auto a = bench.open();
  const auto b = bench.open();
  EXPECT_EQ(bench.enter({}, 2).code, Code::session_required);
  const auto waiting = bench.enter(a, 2);
  const auto ticket = BarrierBench::entered(waiting).self.ticket;
  EXPECT_EQ(bench.enter(b, 3).code, Code::permits_mismatch);
  const auto again = bench.enter(a, 2);
  EXPECT_EQ(BarrierBench::entered(again).self.ticket, ticket);
  EXPECT_TRUE(BarrierBench::entered(again).was_in);
  EXPECT_EQ(bench.run(kBarrier, encode(barrier::Leave{"b", ticket, false}), b).code,
            Code::not_owner);
  EXPECT_EQ(bench.run(kBarrier, encode(barrier::Leave{"b", 99, false}), b).code, Code::not_found);
  EXPECT_EQ(bench.leave(b, false).code, Code::not_found);
  EXPECT_EQ(bench.run(kBarrier, encode(barrier::GiveUp{"b", ticket}), b).code, Code::not_found);
  bench.identities = service_identities();
  EXPECT_EQ(bench.run(kBarrier, encode(barrier::Leave{"b", ticket, false})).code, Code::ok);
  // With nobody in, the count is anybody's to choose.
  EXPECT_EQ(bench.enter(b, 3).code, Code::ok);
}

TEST(Barrier, WhoGivesUpIsToldAndTakesItsSessionAlong) {
  BarrierBench bench;
  SessionId own;
  const auto waiting = bench.run_with_own(kBarrier, encode(barrier::Enter{"b", 2}), own);
  ASSERT_TRUE(waiting.is_waiting);
  ASSERT_TRUE(bench.is_live(own));
  const auto answer = bench.run(kBarrier, waiting.give_up, own);
  EXPECT_EQ(answer.code, Code::conflict);
  EXPECT_TRUE(answer.is_done);
  EXPECT_FALSE(bench.is_live(own));
  EXPECT_TRUE(bench.show().participants.empty());
}

TEST(Barrier, WhoIsReleasedInTheLastMomentIsNotTakenBack) {
  BarrierBench bench;
  const auto a = bench.open();
  const auto waiting = bench.enter(a, 2);
  bench.enter(bench.open(), 2);
  const auto answer = bench.run(kBarrier, waiting.give_up, a);
  EXPECT_EQ(answer.code, Code::ok);
  EXPECT_EQ(BarrierBench::entered(answer).self.state, State::released);
  EXPECT_EQ(bench.show().participants.size(), 2U);
}

TEST(Barrier, TheWaitForTheOthersEndsToo) {
  BarrierBench bench;
  SessionId own;
  bench.run_with_own(kBarrier, encode(barrier::Enter{"b", 2}), own);
  const auto b = bench.open();
  bench.enter(b, 2);
  const auto leaving = bench.leave(own, true);
  ASSERT_TRUE(leaving.is_waiting);
  const auto answer = bench.run(kBarrier, leaving.give_up, own);
  EXPECT_EQ(answer.code, Code::conflict);
  EXPECT_FALSE(bench.is_live(own));
  EXPECT_EQ(bench.show().participants.size(), 1U);
}

// One request of a session that waits to leave is not ended by another of the same session.
TEST(Barrier, WhoWaitsToLeaveIsToldOnlyWhenAllHave) {
  for (const bool gives_up : {false, true}) {
    BarrierBench bench;
    const auto a = bench.open();
    const auto b = bench.open();
    bench.enter(a, 2);
    bench.enter(b, 2);
    const auto leaving = bench.leave(a, true);
    ASSERT_TRUE(leaving.is_waiting);
    const auto other = gives_up ? bench.run(kBarrier, leaving.give_up, a) : bench.leave(a, false);
    EXPECT_EQ(other.code, gives_up ? Code::conflict : Code::ok);
    EXPECT_TRUE(bench.run(kBarrier, leaving.poll, a).is_waiting) << gives_up;
    EXPECT_TRUE(bench.enter(a, 2).is_waiting) << "the next round is open to it";
    EXPECT_FALSE(bench.leave(b, true).is_waiting);
    const auto done = bench.run(kBarrier, leaving.poll, a);
    EXPECT_EQ(done.code, Code::ok);
    EXPECT_FALSE(done.is_waiting);
  }
}

TEST(Barrier, MalformedBytesAreNoStep) {
  for (const auto& bytes :
       {encode(barrier::Enter{"b", 3}), encode(barrier::GiveUp{"b", 7}),
        encode(barrier::Leave{"b", 7, true}), encode(barrier::Left{"b", 7, true, false})}) {
    EXPECT_TRUE(barrier::is_step(bytes));
    EXPECT_FALSE(barrier::is_query(bytes));
    EXPECT_FALSE(barrier::is_step(bytes + "x"));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(barrier::is_step(std::string_view(bytes).substr(0, cut)));
    }
  }
  EXPECT_FALSE(barrier::is_step(encode(barrier::Enter{"b", 0})));
  EXPECT_FALSE(barrier::is_step(encode(barrier::Enter{"b", barrier::kCountMax + 1})));
}

// Rounds are of exactly `count`, whoever comes, leaves or dies, and nobody waits in vain.
TEST(Barrier, NeverLetsFewerThanCountThrough) {
  EXPECT_TRUE(rc::check("rounds are whole", [] {
    BarrierBench bench;
    const auto count = *rc::gen::inRange<std::uint32_t>(1, 5);
    std::vector<SessionId> sessions;
    std::map<std::uint64_t, std::set<SessionId>> rounds;  // Who was ever released together.
    const auto look = [&] {
      std::uint32_t waiting = 0;
      std::set<std::uint64_t> on;
      for (const auto& one : bench.show().participants) {
        if (one.state == State::waiting) ++waiting;
        if (one.state == State::released) on.insert(one.round);
        if (one.round != 0) rounds[one.round].insert(one.session);
      }
      RC_ASSERT(on.size() <= 1U);
      RC_ASSERT(waiting < count || !on.empty());
    };
    for (const auto dice : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 100))) {
      if (dice < 50 || sessions.empty()) {
        sessions.push_back(bench.open());
        bench.enter(sessions.back(), count);
      } else {
        const auto at = static_cast<std::size_t>(dice) % sessions.size();
        if (dice < 70) {
          bench.end(sessions[at]);
          sessions.erase(sessions.begin() + static_cast<std::ptrdiff_t>(at));
        } else {
          bench.leave(sessions[at], dice < 90);
        }
      }
      look();
    }
    for (const auto& [round, who] : rounds) RC_ASSERT(who.size() == count);
  }));
}

}  // namespace
}  // namespace coord::recipes
