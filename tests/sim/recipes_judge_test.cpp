// The judges of recipes on histories that are wrong: each rule is broken once, and it must be that
// one which says so. What comes before is sound, and no judge may object to it.
#include <gtest/gtest.h>

#include <map>

#include "coord/base/codec.hpp"
#include "coord/recipes/barrier_codec.hpp"
#include "coord/recipes/election_codec.hpp"
#include "coord/recipes/fields.hpp"
#include "coord/recipes/lock_codec.hpp"
#include "coord/recipes/lock_nodes.hpp"
#include "coord/recipes/record.hpp"
#include "tests/sim/recipes_court.hpp"

namespace coord::sim {
namespace {

using recipes::Kind;
using recipes::padded;

// ---------------------------------------------------------------- locks

namespace lock = recipes::lock;

struct AskedLock {
  const char* kind;  // "-lock-", "__READ__" or "-lease-".
  std::uint64_t session = 1;
  std::uint64_t token = 0;  // Zero: waits.
  std::uint32_t take = 1;
};
// Tickets in the order of the queue, named from `first` on.
RecipeNodes lock_of(const std::vector<AskedLock>& tickets, std::uint64_t first = 1,
                    std::uint32_t permits = 0) {
  RecipeNodes nodes;
  lock::LockNode top;
  top.permits = permits;
  nodes[""] = {lock::text_of(top), {}, {}, {}};
  for (const auto& ticket : tickets) {
    lock::TicketNode node;
    node.is_held = ticket.token != 0;
    node.token = ticket.token;
    node.take = ticket.take;
    const auto id = fmt::format("{:016x}{}{:010}", first, ticket.kind, first);
    nodes[id] = {lock::text_of(node), SessionId(ticket.session), {}, {}};
    ++first;
  }
  return nodes;
}
std::string acquire(const std::string& name) {
  lock::Acquire op;
  op.name = name;
  op.wait = lock::Wait::queue;
  return lock::encode(op);
}
std::string tell_held(Court& court, std::uint64_t token, std::uint64_t revision) {
  lock::TicketAnswer answer;
  answer.name = "x";
  answer.ticket.id = "0000000000000001-lock-0000000001";
  answer.ticket.is_held = true;
  answer.ticket.token = token;
  return court.told(acquire("x"), revision, answer_of(lock::encode(answer)));
}

TEST(RecipeJudges, FindWhatIsWrongWithLocks) {
  expect_found(
      Kind::lock,
      {{"two hold an exclusive lock",
        [](Court& c) {
          return c.entry("x", lock_of({{"-lock-", 1, 1}, {"-lock-", 2, 2}}));
        },
        "too many holders"},
       {"a reader beside a writer",
        [](Court& c) {
          return c.entry("x", lock_of({{"-lock-", 1, 1}, {"__READ__", 2, 2}}));
        },
        "too many holders"},
       {"a semaphore gives more than it has",
        [](Court& c) {
          return c.entry("p", lock_of({{"-lease-", 1, 1, 2}, {"-lease-", 2, 2, 2}}, 1, 3));
        },
        "too many holders"},
       {"a waiter is forgotten when the holder goes",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 1}, {"-lock-", 2}}));
          c.dead = {1};
          return c.entry("x", lock_of({{"-lock-", 2}}, 2));
        },
        "forgets"},
       {"a waiter is overtaken",
        [](Court& c) {
          return c.entry("x", lock_of({{"__READ__", 1, 1}, {"-lock-", 2}, {"__READ__", 3, 3}}));
        },
        "out of turn"},
       {"a holder is left of a session that ended",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 1}}));
          c.dead = {1};
          return c.entry("x", lock_of({{"-lock-", 1, 1}}));
        },
        "left of session"},
       {"a token is given again",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 7}}));
          return c.entry("x", lock_of({{"-lock-", 2, 7}}, 2));
        },
        "after 7"},
       {"two readers share a token",
        [](Court& c) {
          return c.entry("s", lock_of({{"__READ__", 1, 1}, {"__READ__", 2, 1}}));
        },
        "two hold"},
       {"two wait for each other",
        [](Court& c) {
          c.sound("a", lock_of({{"-lock-", 1, 1}, {"-lock-", 2}}));
          return c.entry("b", lock_of({{"-lock-", 2, 2}, {"-lock-", 1}}));
        },
        "a deadlock over"},
       {"three wait in a circle",
        [](Court& c) {
          c.sound("a", lock_of({{"-lock-", 1, 1}, {"-lock-", 2}}));
          c.sound("b", lock_of({{"-lock-", 2, 2}, {"-lock-", 3}}));
          return c.entry("c", lock_of({{"-lock-", 3, 3}, {"-lock-", 1}}));
        },
        "a deadlock over"},
       {"a deadlock is told that would be none",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 1}}));
          return c.act(acquire("x"), 2, answer_of({}, Code::deadlock)).entry("x", {});
        },
        "would be none"},
       {"a client is told of a token that was not given",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 1}}));
          EXPECT_EQ(tell_held(c, 1, 1), "");
          return tell_held(c, 2, 1);
        },
        "is told to be held"},
       {"a client is told that it holds what has passed on",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 1}}));
          c.sound("x", lock_of({{"-lock-", 2, 2}}, 2));
          return tell_held(c, 1, 2);
        },
        "is told to be held"},
       {"a former holder writes after the present one",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 1}}));
          c.sound("x", lock_of({{"-lock-", 2, 2}}, 2));
          EXPECT_TRUE(c.judge->holds("x", 2));
          EXPECT_FALSE(c.judge->holds("x", 1));
          EXPECT_EQ(c.judge->fenced_write("x", 2), "");
          return c.judge->fenced_write("x", 1);
        },
        "a write with token 1"},
       {"a lock-delay that does not end",
        [](Court& c) {
          auto nodes = lock_of({{"-lock-", 1}});
          nodes["delay"] = {"{\"until_ms\":500}", {}, {}, {}};
          c.sound("x", nodes);
          EXPECT_EQ(c.judge->overdue(500), "");
          return c.judge->overdue(501);
        },
        "does not end"},
       {"a lock that is never free again",
        [](Court& c) {
          c.sound("x", lock_of({{"-lock-", 1, 1}}));
          return c.judge->at_end();
        },
        "never free"}});
}

// ---------------------------------------------------------------- elections

namespace election = recipes::election;

struct Stands {
  std::uint64_t session = 1;
  std::uint64_t epoch = 0;  // Leads.
  std::uint64_t priority = 0;
};
std::string latch(std::uint64_t number) {
  return fmt::format("{:016x}-latch-{:010}", number, number);
}
RecipeNodes election_of(std::uint64_t epoch, const std::map<std::uint64_t, Stands>& candidates) {
  RecipeNodes nodes;
  recipes::RecordWriter top;
  nodes[""] = {top.number("epoch", epoch).finish(), {}, {}, {}};
  for (const auto& [number, one] : candidates) {
    recipes::RecordWriter out;
    out.number_if("priority", one.priority).number_if("epoch", one.epoch);
    nodes[latch(number)] = {out.finish(), SessionId(one.session), {}, {}};
  }
  return nodes;
}
std::string tell_leader(Court& court, std::uint64_t epoch, std::uint64_t revision) {
  election::ElectionAnswer answer;
  answer.name = "e";
  answer.leader.id = latch(1);
  answer.leader.epoch = epoch;
  return court.told(election::encode(election::Show{"e"}), revision,
                    answer_of(election::encode(answer)), false);
}

TEST(RecipeJudges, FindWhatIsWrongWithElections) {
  expect_found(Kind::election,
               {{"two lead",
                 [](Court& c) {
                   return c.entry("e", election_of(1, {{1, {1, 1}}, {2, {2, 1}}}));
                 },
                 "two lead"},
                {"nobody leads",
                 [](Court& c) {
                   return c.entry("e", election_of(0, {{1, {1}}}));
                 },
                 "no leader"},
                {"a leader with an old epoch",
                 [](Court& c) {
                   return c.entry("e", election_of(2, {{1, {1, 1}}}));
                 },
                 "old epoch"},
                {"the epoch stays",
                 [](Court& c) {
                   c.sound("e", election_of(1, {{1, {1, 1}}, {2, {2}}}));
                   return c.entry("e", election_of(1, {{2, {2, 1}}}));
                 },
                 "epoch 1 of e after 1"},
                {"the epoch goes back when all had gone",
                 [](Court& c) {
                   c.sound("e", election_of(9, {{1, {1, 9}}}));
                   c.sound("e", RecipeNodes());
                   return c.entry("e", election_of(3, {{2, {2, 3}}}));
                 },
                 "epoch 3 of e after 9"},
                {"a leader is put down",
                 [](Court& c) {
                   c.sound("e", election_of(1, {{1, {1, 1}}}));
                   return c.entry("e", election_of(2, {{1, {1}}, {2, {2, 2, 5}}}));
                 },
                 "put down"},
                {"a lower priority comes first",
                 [](Court& c) {
                   c.sound("e", election_of(1, {{1, {1, 1}}, {2, {2}}}));
                   c.sound("e", election_of(1, {{1, {1, 1}}, {2, {2}}, {3, {3, 0, 5}}}));
                   return c.entry("e", election_of(2, {{2, {2, 2}}, {3, {3, 0, 5}}}));
                 },
                 "before its turn"},
                {"it is handed to somebody else",
                 [](Court& c) {
                   c.sound("e", election_of(1, {{1, {1, 1}}, {2, {2}}, {3, {3}}}));
                   c.act(election::encode(election::Transfer{"e", latch(3)}), 1);
                   return c.entry("e", election_of(2, {{1, {1}}, {2, {2, 2}}, {3, {3}}}));
                 },
                 "somebody else"},
                {"a session stands twice",
                 [](Court& c) {
                   return c.entry("e", election_of(1, {{1, {1, 1}}, {2, {1}}}));
                 },
                 "twice"},
                {"a dead leader stays",
                 [](Court& c) {
                   c.dead = {1};
                   return c.entry("e", election_of(1, {{1, {1, 1}}}));
                 },
                 "left of session"},
                {"a client is told of a leader that was",
                 [](Court& c) {
                   c.sound("e", election_of(1, {{1, {1, 1}}, {2, {2}}}));
                   c.sound("e", election_of(2, {{2, {2, 2}}}));
                   EXPECT_EQ(tell_leader(c, 1, 1), "");
                   return tell_leader(c, 1, 2);
                 },
                 "is told to lead"},
                {"a former leader writes after the present one",
                 [](Court& c) {
                   c.sound("e", election_of(1, {{1, {1, 1}}}));
                   EXPECT_TRUE(c.judge->holds("e", 1));
                   EXPECT_EQ(c.judge->fenced_write("e", 2), "");
                   return c.judge->fenced_write("e", 1);
                 },
                 "a write with epoch 1"}});
}

// ---------------------------------------------------------------- barriers

namespace barrier = recipes::barrier;

struct In {
  std::uint64_t session = 1;
  std::int64_t round = 0;
  bool is_leaving = false;
};
RecipeNodes barrier_of(std::int64_t count, const std::map<std::uint64_t, In>& tickets) {
  RecipeNodes nodes;
  recipes::Record top;
  nodes[""] = {top.number("count", count).blob().str(), {}, {}, {}};
  for (const auto& [ticket, one] : tickets) {
    recipes::Record record;
    if (one.round != 0) record.number("released", one.round);
    if (one.is_leaving) record.number("leaving", 1);
    nodes["members/" + padded(ticket)] = {record.blob().str(), SessionId(one.session), {}, {}};
  }
  return nodes;
}

TEST(RecipeJudges, FindWhatIsWrongWithBarriers) {
  expect_found(
      Kind::barrier,
      {{"one passes before all are in",
        [](Court& c) {
          return c.entry("b", barrier_of(2, {{1, {1, 1}}}));
        },
        "1 pass b"},
       {"more pass than it is of",
        [](Court& c) {
          return c.entry("b", barrier_of(2, {{1, {1, 1}}, {2, {2, 1}}, {3, {3, 1}}}));
        },
        "3 pass b"},
       {"all are in, and nobody passes",
        [](Court& c) {
          return c.entry("b", barrier_of(2, {{1, {1}}, {2, {2}}}));
        },
        "2 wait at b"},
       {"the third passes before the first",
        [](Court& c) {
          return c.entry("b", barrier_of(2, {{1, {1}}, {2, {2, 1}}, {3, {3, 1}}}));
        },
        "out of turn"},
       {"a round begins before the last is over",
        [](Court& c) {
          c.sound("b", barrier_of(2, {{1, {1, 1}}, {2, {2, 1}}}));
          c.sound("b", barrier_of(2, {{1, {1, 1}}, {2, {2, 1, true}}, {3, {3}}}));
          return c.entry("b", barrier_of(2, {{1, {1, 1}}, {3, {3, 3}}, {4, {4, 3}}}));
        },
        "before the last is over"},
       {"one is done before the other has left",
        [](Court& c) {
          c.sound("b", barrier_of(2, {{1, {1, 1}}, {2, {2, 1}}}));
          c.sound("b", barrier_of(2, {{1, {1, 1}}, {2, {2, 1, true}}}));
          return c.entry("b", barrier_of(2, {{1, {1, 1}}}));
        },
        "2 is done at b before 1"},
       {"one is told that it is done before the other has left",
        [](Court& c) {
          c.sound("b", barrier_of(2, {{1, {1, 1}}, {2, {2, 1}}}));
          return c.act(barrier::encode(barrier::Left{"b", 2, false, false}), 2).entry("b", {});
        },
        "2 is done at b before 1"},
       {"who has left is held back",
        [](Court& c) {
          c.sound("b", barrier_of(2, {{1, {1, 1}}, {2, {2, 1}}}));
          return c.entry("b", barrier_of(2, {{1, {1, 1, true}}, {2, {2, 1, true}}}));
        },
        "held back"},
       {"one that waits is forgotten",
        [](Court& c) {
          c.sound("b", barrier_of(2, {{1, {1}}}));
          return c.entry("b", RecipeNodes());
        },
        "forgets 1"},
       {"a client passes that was not let through",
        [](Court& c) {
          c.sound("b", barrier_of(2, {{1, {1}}}));
          barrier::Entered answer;
          answer.self.ticket = 1;
          answer.self.round = 1;
          answer.self.state = barrier::State::released;
          return c.told({}, 1, answer_of(barrier::encode(answer)));
        },
        "passes a barrier"}});
}

// ---------------------------------------------------------------- counters and decisions

namespace counter = recipes::counter;
namespace decision = recipes::decision;

// As coord/recipes/counter.cpp writes it.
std::string value_of(std::int64_t before, std::int64_t after) {
  std::string bytes;
  Writer out(bytes);
  out.svarint(before);
  out.svarint(after);
  return bytes;
}
RecipeNodes value_node(const std::string& text) { return {{"", {text, {}, {}, {}}}}; }

TEST(RecipeJudges, FindWhatIsWrongWithCounters) {
  const counter::Add add{"ids", 10};
  expect_found(
      Kind::counter,
      {{"an addition is lost",
        [&](Court& c) {
          c.noted(add, 0, answer_of(value_of(0, 10))).sound("ids", value_node("10"));
          return c.noted(add, 0, answer_of(value_of(10, 20))).entry("ids", value_node("10"));
        },
        "should be 20"},
       {"it changes by itself", [](Court& c) { return c.entry("ids", value_node("1")); },
        "by itself"},
       {"a block is answered that was another's",
        [&](Court& c) {
          c.noted(add, 0, answer_of(value_of(0, 10))).sound("ids", value_node("10"));
          return c.noted(add, 0, answer_of(value_of(0, 10))).entry("ids", value_node("20"));
        },
        "is given at 20"},
       {"two clients are told of the same ids",
        [&](Court& c) {
          c.judge->note_asked(add);
          EXPECT_EQ(c.told(encode(add), 1, answer_of(value_of(0, 10))), "");
          EXPECT_EQ(c.told(encode(add), 1, answer_of(value_of(0, 10))), "");
          return c.told(encode(add), 2, answer_of(value_of(9, 19)));
        },
        "are given at 2 and at 1"},
       {"what fits is refused",
        [&](Court& c) { return c.noted(add, 0, answer_of({}, Code::invalid)).entry("ids", {}); },
        "is refused"},
       {"a read is of another time",
        [&](Court& c) {
          const counter::Get query{"ids"};
          c.judge->note_asked(query);
          c.noted(add, 0, answer_of(value_of(0, 10))).sound("ids", value_node("10"));
          c.noted(add, 0, answer_of(value_of(10, 20))).sound("ids", value_node("20"));
          return c.told(encode(query), 2, answer_of(value_of(10, 10)), false);
        },
        "is read as 10"}});
}

// As coord/recipes/decision.cpp writes it.
std::string decided_of(const std::string& value, std::uint64_t zxid, bool is_mine) {
  std::string bytes;
  Writer out(bytes);
  out.bytes(value);
  out.bytes({});
  out.boolean(is_mine);
  out.id(Zxid(zxid));
  out.svarint(0);
  out.id(SessionId());
  out.bytes({});
  return bytes;
}

TEST(RecipeJudges, FindWhatIsWrongWithDecisions) {
  const decision::Propose red{"d", "red", {}, {}};
  const decision::Propose blue{"d", "blue", {}, {}};
  const auto choose = [=](Court& c) {
    c.noted(red, 0, answer_of(decided_of("red", 1, true))).sound("d", value_node("red"));
  };
  expect_found(Kind::decision,
               {{"it is decided again",
                 [=](Court& c) {
                   choose(c);
                   return c.noted(blue, 0, answer_of(decided_of("blue", 2, true)))
                       .entry("d", value_node("blue"));
                 },
                 "decided again"},
                {"nobody proposed it",
                 [=](Court& c) {
                   return c.noted(red, 0, answer_of(decided_of("red", 1, true)))
                       .entry("d", value_node("green"));
                 },
                 "nobody proposed it"},
                {"it is forgotten",
                 [=](Court& c) {
                   choose(c);
                   return c.entry("d", RecipeNodes());
                 },
                 "forgotten"},
                {"the second learns its own value",
                 [=](Court& c) {
                   choose(c);
                   return c.noted(blue, 0, answer_of(decided_of("blue", 1, false))).entry("d", {});
                 },
                 "'blue' is told"},
                {"the second is told that it was chosen",
                 [=](Court& c) {
                   choose(c);
                   return c.noted(blue, 0, answer_of(decided_of("red", 1, true))).entry("d", {});
                 },
                 "'red' is told"},
                {"a reader learns something else",
                 [=](Court& c) {
                   choose(c);
                   const decision::Get query{"d"};
                   c.judge->note_asked(query);
                   EXPECT_EQ(
                       c.told(encode(query), 1, answer_of(decided_of("red", 1, false)), false), "");
                   return c.told(encode(query), 1, answer_of({}, Code::not_found), false);
                 },
                 "learns something else"}});
}

}  // namespace
}  // namespace coord::sim
