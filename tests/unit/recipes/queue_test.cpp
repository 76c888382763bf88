#include "coord/recipes/queue.hpp"

#include <rapidcheck.h>

#include <optional>

#include "coord/recipes/fields.hpp"
#include "recipe_harness.hpp"

namespace coord::recipes {
namespace {

using queue::Counts;
using queue::Taken;

constexpr auto kQueue = Kind::queue;

class QueueBench : public Bench {
 public:
  std::uint64_t put(std::string_view value) {
    queue::PutDone done;
    const auto answer = run(kQueue, encode(queue::Put{"q", std::string(value), ""}));
    EXPECT_EQ(answer.code, Code::ok) << answer.detail;
    EXPECT_TRUE(decode(answer.bytes, done));
    return done.item;
  }
  Taken take(std::int64_t lease_ms = 1'000) {
    return taken_of(run(kQueue, encode(queue::Take{"q", lease_ms, false})));
  }
  // Stands in line under a session of its own.
  Answer wait(SessionId& session, std::int64_t lease_ms = 1'000) {
    return run_with_own(kQueue, encode(queue::Take{"q", lease_ms, true}), session);
  }
  Taken claim(const Answer& waiting, SessionId session) {
    return taken_of(run(kQueue, waiting.poll, session));
  }
  Code acknowledge(std::uint64_t item, std::uint64_t lease) {
    return run(kQueue, encode(queue::Acknowledge{"q", item, lease})).code;
  }
  Code renew(std::uint64_t item, std::uint64_t lease, std::int64_t for_ms) {
    return run(kQueue, encode(queue::Renew{"q", item, lease, for_ms})).code;
  }
  Counts counts() {
    Counts counts;
    EXPECT_TRUE(decode(view(kQueue, encode(queue::Get{"q"})).bytes, counts));
    return counts;
  }
  static Taken taken_of(const Answer& answer) {
    Taken taken;
    EXPECT_EQ(answer.code, Code::ok) << answer.detail;
    EXPECT_TRUE(decode(answer.bytes, taken));
    return taken;
  }
  // Each item is in exactly one place, and the tally is right.
  void check() {
    std::map<std::string, int> places;
    for (const auto* part : {"ready", "leased", "dead"}) {
      for (const auto& item : names(std::string("/.coord/queues/q/") + part)) ++places[item];
    }
    std::int64_t bytes = 0;
    const auto items = names("/.coord/queues/q/items");
    for (const auto& item : items) {
      ASSERT_EQ(places[item], 1) << item;
      bytes += static_cast<std::int64_t>(value("/.coord/queues/q/items/" + item).size());
    }
    ASSERT_EQ(places.size(), items.size());
    if (!items.empty()) {
      ASSERT_EQ(number_of(value("/.coord/queues/q"), "bytes"), bytes);
    }
    std::size_t without = 0;
    for (const auto& ticket : names("/.coord/queues/q/takers")) {
      without += field_of(value("/.coord/queues/q/takers/" + ticket), "item").empty() ? 1U : 0U;
    }
    ASSERT_TRUE(without == 0 || names("/.coord/queues/q/ready").empty());
    const auto anew = deadlines_anew();
    ASSERT_EQ(anew.size(), deadlines().size());
    for (const auto& path : anew.due(INT64_MAX, SIZE_MAX)) {
      ASSERT_EQ(anew.of(path), deadlines().of(path)) << path;
    }
  }
};

TEST(Queue, HandsOutInTheOrderOfThePuts) {
  QueueBench bench;
  const auto first = bench.put("a");
  const auto second = bench.put("b");
  const auto one = bench.take();
  const auto two = bench.take();
  EXPECT_EQ(one.item, first);
  EXPECT_EQ(one.value, "a");
  EXPECT_EQ(one.deliveries, 1U);
  EXPECT_EQ(two.item, second);
  EXPECT_NE(one.lease, two.lease);
  EXPECT_EQ(bench.take().item, 0U);
  EXPECT_EQ(bench.acknowledge(one.item, one.lease), Code::ok);
  EXPECT_EQ(bench.acknowledge(two.item, two.lease), Code::ok);
  const auto counts = bench.counts();
  EXPECT_EQ(counts.ready + counts.leased + counts.dead, 0U);
  EXPECT_EQ(counts.bytes, 0);
  bench.check();
}

TEST(Queue, AnItemWhoseLeaseRanOutIsDeliveredAgainAndFirst) {
  QueueBench bench;
  bench.put("a");
  bench.put("b");
  const auto old = bench.take(1'000);
  bench.pass(999);
  EXPECT_EQ(bench.counts().leased, 1U);
  bench.pass(1);
  EXPECT_EQ(bench.counts().ready, 2U);
  const auto again = bench.take();
  EXPECT_EQ(again.item, old.item);
  EXPECT_EQ(again.deliveries, 2U);
  EXPECT_GT(again.lease, old.lease);
  EXPECT_EQ(bench.acknowledge(old.item, old.lease), Code::conflict);
  EXPECT_EQ(bench.renew(old.item, old.lease, 5'000), Code::conflict);
  EXPECT_EQ(bench.acknowledge(again.item, again.lease), Code::ok);
  EXPECT_EQ(bench.acknowledge(again.item, again.lease), Code::not_found);
  bench.check();
}

TEST(Queue, ALeaseIsRenewedAndGivenBack) {
  QueueBench bench;
  bench.put("a");
  auto taken = bench.take(1'000);
  EXPECT_EQ(bench.renew(taken.item, taken.lease, 5'000), Code::ok);
  bench.pass(4'999);
  EXPECT_EQ(bench.counts().leased, 1U);
  EXPECT_EQ(bench.renew(taken.item, taken.lease, 0), Code::ok);
  EXPECT_EQ(bench.counts().ready, 1U);
  EXPECT_EQ(bench.acknowledge(taken.item, taken.lease), Code::conflict);
  taken = bench.take();
  EXPECT_EQ(taken.deliveries, 2U);
  bench.check();
}

TEST(Queue, WhatIsDeliveredTooOftenIsDead) {
  QueueBench bench;
  bench.run(kQueue, encode(queue::Configure{"q", 2}));
  const auto item = bench.put("poison");
  bench.take(1'000);
  bench.pass(1'000);
  EXPECT_EQ(bench.counts().ready, 1U);
  EXPECT_EQ(bench.take(1'000).deliveries, 2U);
  bench.pass(1'000);
  EXPECT_EQ(bench.counts().dead, 1U);
  EXPECT_EQ(bench.take().item, 0U);
  bench.check();
  EXPECT_EQ(bench.renew(item, 0, 0), Code::ok);  // Ready again, from the start.
  EXPECT_EQ(bench.take(1'000).deliveries, 1U);
  EXPECT_EQ(bench.acknowledge(item, 0), Code::conflict);  // Not dead.
  bench.pass(1'000);
  bench.take(1'000);
  bench.pass(1'000);
  EXPECT_EQ(bench.acknowledge(item, 0), Code::ok);
  EXPECT_EQ(bench.acknowledge(item, 0), Code::not_found);
  bench.check();
}

TEST(Queue, WaitingTakersAreServedFirstComeFirstServed) {
  QueueBench bench;
  SessionId first;
  SessionId second;
  const auto one = bench.wait(first);
  const auto two = bench.wait(second);
  ASSERT_TRUE(one.is_waiting);
  ASSERT_TRUE(first);
  EXPECT_NE(one.watch, two.watch);
  const auto item = bench.put("a");
  // The entry that put it gave it to the first in line, and touched nobody else.
  for (const auto& change : bench.changes) EXPECT_NE(change.path, two.watch);
  EXPECT_TRUE(bench.run(kQueue, two.poll, second).is_waiting);
  const auto taken = bench.claim(one, first);
  EXPECT_EQ(taken.item, item);
  EXPECT_EQ(taken.deliveries, 1U);
  EXPECT_FALSE(bench.is_live(first));  // It was made for this wait.
  EXPECT_TRUE(bench.is_live(second));
  EXPECT_EQ(bench.acknowledge(taken.item, taken.lease), Code::ok);
  bench.check();
}

TEST(Queue, ATakerThatIsGoneGivesBackWhatItWasGiven) {
  QueueBench bench;
  SessionId first;
  SessionId second;
  bench.wait(first);
  const auto two = bench.wait(second);
  const auto item = bench.put("a");
  bench.end(first);  // Before it has claimed: the next in line has it, in the same entry.
  const auto taken = bench.claim(two, second);
  EXPECT_EQ(taken.item, item);
  EXPECT_EQ(taken.deliveries, 1U);  // Nobody got the first delivery.
  bench.check();
}

TEST(Queue, WhoGivesUpLeavesTheLine) {
  QueueBench bench;
  SessionId first;
  const auto one = bench.wait(first);
  EXPECT_EQ(QueueBench::taken_of(bench.run(kQueue, one.give_up, first)).item, 0U);
  EXPECT_FALSE(bench.is_live(first));
  EXPECT_EQ(bench.put("a") != 0, true);
  EXPECT_EQ(bench.counts().ready, 1U);
  EXPECT_EQ(bench.counts().waiting, 0U);
  // Given up in the moment in which something came: it goes back.
  bench.take(1'000'000);
  SessionId second;
  const auto two = bench.wait(second);
  bench.put("b");
  EXPECT_EQ(QueueBench::taken_of(bench.run(kQueue, two.give_up, second)).item, 0U);
  EXPECT_EQ(bench.take().value, "b");
  bench.check();
}

TEST(Queue, WhoDoesNotClaimDoesNotHoldUpTheOthers) {
  QueueBench bench;
  SessionId first;
  const auto one = bench.wait(first, 1'000);
  bench.put("a");
  bench.pass(1'000);
  EXPECT_EQ(bench.counts().ready, 1U);
  EXPECT_EQ(bench.counts().waiting, 0U);
  EXPECT_EQ(bench.claim(one, first).item, 0U);
  EXPECT_EQ(bench.take().deliveries, 1U);
  bench.check();
}

TEST(Queue, AGivenSessionOutlivesItsWait) {
  QueueBench bench;
  const auto session = bench.open();
  const auto waiting = bench.run(kQueue, encode(queue::Take{"q", 1'000, true}), session);
  bench.put("a");
  EXPECT_NE(bench.claim(waiting, session).item, 0U);
  EXPECT_TRUE(bench.is_live(session));
  EXPECT_EQ(bench.run(kQueue, encode(queue::Take{"q", 1'000, true})).code, Code::session_required);
}

TEST(Queue, AnotherSessionsTicketIsNotClaimed) {
  QueueBench bench;
  SessionId first;
  const auto one = bench.wait(first);
  const auto other = bench.open();
  bench.put("a");
  const auto answer = bench.run(kQueue, encode(queue::Claim{"q", 1, false}), other);
  EXPECT_EQ(QueueBench::taken_of(answer).item, 0U);
  EXPECT_NE(bench.claim(one, first).item, 0U);
}

TEST(Queue, IsBounded) {
  QueueBench bench;
  const std::string large(1 << 20, 'x');
  for (std::int64_t bytes = 0; bytes < queue::kBytesMax; bytes += 1 << 20) bench.put(large);
  EXPECT_EQ(bench.run(kQueue, encode(queue::Put{"q", "x", ""})).code, Code::quota);
  EXPECT_EQ(bench.run(kQueue, encode(queue::Put{"q", "", ""})).code, Code::ok);
  EXPECT_EQ(bench.run(kQueue, encode(queue::Put{"r", large + "x", ""})).code, Code::too_large);
  EXPECT_EQ(bench.run(kQueue, encode(queue::Remove{"q", false})).code, Code::not_empty);
  EXPECT_EQ(bench.run(kQueue, encode(queue::Remove{"q", true})).code, Code::ok);
  EXPECT_EQ(bench.run(kQueue, encode(queue::Remove{"q", true})).code, Code::not_found);
  EXPECT_TRUE(bench.names("/.coord/queues").empty());
}

TEST(Queue, ListsItsItemsWithTheirState) {
  QueueBench bench;
  bench.run(kQueue, encode(queue::Configure{"q", 1}));
  bench.put("dead");
  bench.take(1'000);
  bench.pass(1'000);
  bench.put("leased");
  bench.take(7'000);
  bench.put("ready");
  ListResult list;
  ASSERT_TRUE(decode(bench.view(kQueue, encode(queue::Items{"q", {"", 10}, true})).bytes, list));
  ASSERT_EQ(list.entries.size(), 3U);
  std::vector<queue::Item> items(3);
  for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(queue::decode(list.entries[i].bytes, items[i]));
  EXPECT_EQ(items[0].state, queue::ItemState::dead);
  EXPECT_EQ(items[1].state, queue::ItemState::leased);
  EXPECT_EQ(items[1].left_ms, 7'000);
  EXPECT_EQ(items[2].state, queue::ItemState::ready);
  EXPECT_EQ(items[2].value, "ready");
}

TEST(Queue, MalformedBytesAreNoStep) {
  const std::vector<std::string> good = {
      encode(queue::Put{"q", "v", "text/plain"}), encode(queue::Take{"q", 1'000, true}),
      encode(queue::Claim{"q", 7, true}),         encode(queue::Withdraw{"q", 7, false}),
      encode(queue::Acknowledge{"q", 7, 9}),      encode(queue::Renew{"q", 7, 9, 100}),
      encode(queue::Configure{"q", 3}),           encode(queue::Remove{"q", false})};
  for (const auto& bytes : good) {
    EXPECT_TRUE(queue::is_step(bytes));
    EXPECT_FALSE(queue::is_query(bytes));
    EXPECT_FALSE(queue::is_step(bytes + "x"));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(queue::is_step(std::string_view(bytes).substr(0, cut)));
    }
  }
  EXPECT_FALSE(queue::is_step(encode(queue::Take{"q", queue::kLeaseMsMin - 1, true})));
  EXPECT_FALSE(queue::is_step(encode(queue::Take{"q", queue::kLeaseMsMax + 1, true})));
  EXPECT_FALSE(queue::is_step(encode(queue::Renew{"q", 7, 9, -1})));
  EXPECT_FALSE(queue::is_step(encode(queue::Put{"", "v", ""})));
}

// No item is lost, none has two holders of a live lease, and the order is kept: whatever happens.
TEST(Queue, HoldsUnderAnySequence) {
  struct Held {
    std::uint64_t lease = 0;
    std::int64_t until = 0;
  };
  EXPECT_TRUE(rc::check("a queue keeps its promises", [] {
    QueueBench bench;
    std::map<std::uint64_t, Held> held;  // As the holders believe.
    std::set<std::uint64_t> alive;       // Put and not acknowledged.
    std::map<SessionId, Answer> waiting;
    const auto got = [&](const Taken& taken, std::int64_t lease_ms) {
      if (taken.item == 0) return;
      RC_ASSERT(alive.contains(taken.item));
      const auto before = held.find(taken.item);
      RC_ASSERT((before == held.end() || before->second.until <= bench.now_ms));
      held[taken.item] = {taken.lease, bench.now_ms + lease_ms};
    };
    for (const auto dice : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 100))) {
      if (dice < 25) {
        alive.insert(bench.put("v"));
      } else if (dice < 45) {
        got(bench.take(500), 500);
      } else if (dice < 55) {
        SessionId session;
        const auto answer = bench.wait(session, 500);
        if (answer.is_waiting) {
          waiting[session] = answer;
        } else {
          got(QueueBench::taken_of(answer), 500);
        }
      } else if (dice < 70 && !waiting.empty()) {
        const auto [session, ticket] = *waiting.begin();
        if (dice < 60) {
          bench.end(session);
          waiting.erase(session);
        } else {
          const auto answer = bench.run(kQueue, dice < 67 ? ticket.poll : ticket.give_up, session);
          if (!answer.is_waiting) {
            waiting.erase(session);
            got(QueueBench::taken_of(answer), 500);
          }
        }
      } else if (dice < 85 && !held.empty()) {
        const auto [item, lease] = *held.begin();
        const auto code = bench.acknowledge(item, lease.lease);
        RC_ASSERT(code == Code::ok || lease.until <= bench.now_ms);
        if (code == Code::ok) alive.erase(item);
        held.erase(item);
      } else {
        bench.pass(dice * 5);
      }
      bench.check();
      RC_ASSERT(bench.names("/.coord/queues/q/items").size() == alive.size());
    }
  }));
}

}  // namespace
}  // namespace coord::recipes
