// Steps of recipes inside apply(): the session that a step brings, what settles in the same entry,
// and deadlines, kept and made anew.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "coord/base/prng.hpp"
#include "coord/core/state_machine.hpp"
#include "coord/recipes/barrier.hpp"
#include "coord/recipes/queue.hpp"
#include "coord/recipes/transaction.hpp"
#include "tests/unit/core/stored.hpp"

namespace coord::core {
namespace {

namespace barrier = recipes::barrier;
namespace queue = recipes::queue;
namespace transaction = recipes::transaction;
class RecipeMachine {
 public:
  RecipeMachine() { state.set_membership({{MemberId(1)}, {}, {}, {}}); }

  Command command(WriteOp op, SessionId session = {}) {
    Command command;
    command.service_ms = now_ms;
    command.wall_ms = 1'700'000'000'000;
    command.identities = {{"ip", "10.0.0.1"}};
    command.session = session;
    command.op = std::move(op);
    return command;
  }
  Applied apply(const Command& command) {
    auto applied = state.apply(state.applied().next(), Term(1), command);
    state.check_invariants();
    return applied;
  }
  Applied step(recipes::Kind kind, std::string bytes, SessionId session = {}) {
    return apply(command(RecipeStep{kind, std::move(bytes), {}}, session));
  }
  Applied step_with_own(recipes::Kind kind, std::string bytes, std::int64_t ttl_ms = 5'000) {
    RecipeStep op{kind, std::move(bytes), {}};
    op.own_session = OwnSession{ttl_ms, "own", "10.0.0.1:9", {}};
    return apply(command(std::move(op)));
  }
  SessionId open() {
    const auto applied = apply(command(OpenSession{5'000, "client", "10.0.0.1:9", {}}));
    return std::get<SessionOpened>(applied.outcome.result).id;
  }
  void do_what_is_due() { apply(command(RecipesDue{state.deadlines().due(now_ms, 100)})); }
  static const RecipeResult& result_of(const Applied& applied) {
    return std::get<RecipeResult>(applied.outcome.result);
  }

  StateMachine state{StateLimits()};
  std::int64_t now_ms = 1'000;
};

StateMachine loaded_from(const Store& store, const Checkpoint& checkpoint) {
  StateMachine loaded{StateLimits()};
  for (const auto& [key, bytes] : store) {
    EXPECT_EQ(loaded.load(key.first, key.second, bytes), "");
  }
  EXPECT_EQ(loaded.load_done({checkpoint.applied, checkpoint.applied_term, checkpoint.digest}), "");
  return loaded;
}

std::set<std::pair<std::string, std::int64_t>> all_of(const recipes::Deadlines& deadlines) {
  std::set<std::pair<std::string, std::int64_t>> all;
  for (const auto& path : deadlines.due(INT64_MAX, SIZE_MAX)) {
    all.emplace(path, *deadlines.of(path));
  }
  return all;
}

TEST(StateRecipes, AStepOpensTheSessionThatItBrings) {
  RecipeMachine machine;
  const auto applied =
      machine.step_with_own(recipes::Kind::barrier, encode(barrier::Enter{"b", 2}));
  const auto& result = RecipeMachine::result_of(applied);
  ASSERT_TRUE(result.opened.has_value());
  EXPECT_EQ(result.opened->id.value(), machine.state.applied().value());
  EXPECT_EQ(result.session_ttl_ms, 5'000);
  EXPECT_EQ(applied.opened, std::vector<SessionId>{result.opened->id});
  EXPECT_NE(machine.state.sessions().find(result.opened->id), nullptr);
  EXPECT_EQ(machine.state.tree().ephemeral_count_of(result.opened->id), 1U);
}

TEST(StateRecipes, AStepThatIsRefusedLeavesNoTraceOfItsSession) {
  struct Case {
    const char* name;
    std::int64_t ttl_ms;
    std::uint32_t count;
    Code want;
  };
  for (const auto& [name, ttl_ms, count, want] :
       {Case{"refused by the recipe", 5'000, 3, Code::permits_mismatch},
        Case{"a ttl out of bounds", 1, 2, Code::invalid}}) {
    RecipeMachine machine;
    machine.step_with_own(recipes::Kind::barrier, encode(barrier::Enter{"b", 2}));
    const auto sessions = machine.state.sessions().size();
    const auto digest = machine.state.digest();
    const auto applied =
        machine.step_with_own(recipes::Kind::barrier, encode(barrier::Enter{"b", count}), ttl_ms);
    EXPECT_EQ(applied.outcome.code, want) << name;
    EXPECT_EQ(machine.state.sessions().size(), sessions) << name;
    EXPECT_EQ(machine.state.digest(), digest) << name;
    EXPECT_TRUE(applied.opened.empty()) << name;
    EXPECT_EQ(applied.batch, nullptr) << name;
  }
}

TEST(StateRecipes, ASessionThatHasServedItsPurposeIsNeverOpened) {
  RecipeMachine machine;
  machine.step(recipes::Kind::queue, encode(queue::Put{"q", "job", ""}));
  const auto applied =
      machine.step_with_own(recipes::Kind::queue, encode(queue::Take{"q", 1'000, true}));
  EXPECT_EQ(applied.outcome.code, Code::ok);
  EXPECT_FALSE(RecipeMachine::result_of(applied).opened.has_value());
  EXPECT_TRUE(applied.opened.empty());
  EXPECT_TRUE(applied.ended.empty());
  EXPECT_EQ(machine.state.sessions().size(), 0U);
}

TEST(StateRecipes, AnEndedSessionActsNoMore) {
  RecipeMachine machine;
  const auto session = machine.open();
  machine.apply(machine.command(CloseSession{session, session::EndReason::closed}, session));
  const auto applied =
      machine.step(recipes::Kind::barrier, encode(barrier::Enter{"b", 2}), session);
  EXPECT_EQ(applied.outcome.code, Code::session_expired);
  EXPECT_EQ(applied.outcome.end_reason, session::EndReason::closed);
}

TEST(StateRecipes, WhatFollowsFromTheEndOfASessionIsSettledInItsEntry) {
  RecipeMachine machine;
  const auto first =
      machine.step_with_own(recipes::Kind::queue, encode(queue::Take{"q", 1'000, true}));
  const auto second =
      machine.step_with_own(recipes::Kind::queue, encode(queue::Take{"q", 1'000, true}));
  machine.step(recipes::Kind::queue, encode(queue::Put{"q", "job", ""}));
  const auto gone = RecipeMachine::result_of(first).opened->id;
  const auto applied = machine.apply(machine.command(ExpireSessions{{gone}}));
  ASSERT_EQ(applied.ended.size(), 1U);
  ASSERT_NE(applied.batch, nullptr);
  const auto& watched = RecipeMachine::result_of(second).answer.watch;
  bool is_second_told = false;
  for (const auto& change : applied.batch->changes) is_second_told |= change.path == watched;
  EXPECT_TRUE(is_second_told);
  const auto claimed =
      machine.step(recipes::Kind::queue, RecipeMachine::result_of(second).answer.poll,
                   RecipeMachine::result_of(second).opened->id);
  queue::Taken taken;
  ASSERT_TRUE(decode(RecipeMachine::result_of(claimed).answer.bytes, taken));
  EXPECT_EQ(taken.value, "job");
  EXPECT_EQ(claimed.ended.size(), 1U);  // Its own session has ended with the claim.
}

TEST(StateRecipes, ADeadlineIsDoneOnceAndOnlyWhenItIsThere) {
  RecipeMachine machine;
  machine.step(recipes::Kind::transaction, encode(transaction::Begin{{"a"}, 1'000}));
  ASSERT_EQ(machine.state.deadlines().soonest(), 2'000);
  const auto paths = machine.state.deadlines().due(INT64_MAX, 10);
  const auto before = machine.state.digest();
  machine.apply(machine.command(RecipesDue{paths}));  // Proposed too early: nothing happens.
  EXPECT_EQ(machine.state.digest(), before);
  machine.now_ms = 2'000;
  machine.do_what_is_due();
  EXPECT_NE(machine.state.digest(), before);
  EXPECT_GT(*machine.state.deadlines().soonest(), 2'000);  // When it is trimmed.
  const auto after = machine.state.digest();
  machine.apply(machine.command(RecipesDue{paths}));
  machine.apply(
      machine.command(RecipesDue{{"/.coord/transactions/x", "/.coord/queues/q/leased/1"}}));
  EXPECT_EQ(machine.state.digest(), after);
}

TEST(StateRecipes, DeadlinesThatALoadMakesAreThoseThatWereKept) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Prng prng(seed);
    RecipeMachine machine;
    Store store;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> held;
    for (int i = 0; i < 150; ++i) {
      machine.now_ms += static_cast<std::int64_t>(prng.below(300));
      switch (prng.below(5)) {
        case 0:
          machine.step(recipes::Kind::queue, encode(queue::Put{"q", "job", ""}));
          break;
        case 1: {
          const auto applied =
              machine.step(recipes::Kind::queue, encode(queue::Take{"q", 500, false}));
          queue::Taken taken;
          ASSERT_TRUE(decode(RecipeMachine::result_of(applied).answer.bytes, taken));
          if (taken.item != 0) held.emplace_back(taken.item, taken.lease);
          break;
        }
        case 2:
          if (held.empty()) break;
          machine.step(recipes::Kind::queue,
                       encode(queue::Acknowledge{"q", held.back().first, held.back().second}));
          held.pop_back();
          break;
        case 3:
          machine.step(recipes::Kind::transaction, encode(transaction::Begin{{"a"}, 700}));
          break;
        default:
          machine.do_what_is_due();
      }
      if (i % 30 != 29) continue;
      const auto checkpoint = machine.state.take_checkpoint();
      commit(checkpoint.records.records(), store);
      const auto loaded = loaded_from(store, checkpoint);
      EXPECT_FALSE(all_of(machine.state.deadlines()).empty());
      ASSERT_EQ(all_of(loaded.deadlines()), all_of(machine.state.deadlines()))
          << "seed " << seed << " at " << i;
    }
  }
}

TEST(StateRecipes, ARetryOfAStepGetsTheFirstAnswer) {
  RecipeMachine machine;
  machine.step(recipes::Kind::queue, encode(queue::Put{"q", "a", ""}));
  machine.step(recipes::Kind::queue, encode(queue::Put{"q", "b", ""}));
  auto command =
      machine.command(RecipeStep{recipes::Kind::queue, encode(queue::Take{"q", 1'000, false}), {}});
  command.idempotency_key = "k";
  const auto first = machine.apply(command);
  const auto again = machine.apply(command);
  EXPECT_TRUE(again.outcome.was_applied_before);
  EXPECT_EQ(RecipeMachine::result_of(first).answer, RecipeMachine::result_of(again).answer);
  EXPECT_EQ(again.batch, nullptr);
}

}  // namespace
}  // namespace coord::core
