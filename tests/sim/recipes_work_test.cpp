// The judges of queues, transactions, services and configurations on histories that are wrong.
#include <gtest/gtest.h>

#include <map>

#include "coord/base/codec.hpp"
#include "coord/recipes/config.hpp"
#include "coord/recipes/fields.hpp"
#include "coord/recipes/queue_codec.hpp"
#include "coord/recipes/service_codec.hpp"
#include "tests/sim/recipes_court.hpp"

namespace coord::sim {
namespace {

using recipes::Kind;
using recipes::padded;
using recipes::Record;

std::string text_of(const Record& record) { return record.blob().str(); }

// ---------------------------------------------------------------- queues

namespace queue = recipes::queue;

constexpr std::int64_t kLeaseMs = 1'000;

// A queue's nodes, put together.
class Line {
 public:
  Line& item(std::uint64_t id, const std::string& value = "v") {
    nodes_["items/" + padded(id)] = {value, {}, {}, {}};
    return *this;
  }
  Line& ready(std::uint64_t id, std::int64_t deliveries = 0) {
    Record record;
    nodes_["ready/" + padded(id)] = {text_of(record.number("deliveries", deliveries)), {}, {}, {}};
    return item(id);
  }
  Line& leased(std::uint64_t id, std::int64_t token, std::int64_t until,
               std::int64_t deliveries = 1) {
    Record record;
    record.number("lease", token).number("until", until).number("deliveries", deliveries);
    nodes_["leased/" + padded(id)] = {text_of(record), {}, {}, {}};
    return item(id);
  }
  Line& taker(std::uint64_t ticket, std::uint64_t session) {
    Record record;
    nodes_["takers/" + padded(ticket)] = {
        text_of(record.number("lease_ms", kLeaseMs)), SessionId(session), {}, {}};
    return *this;
  }
  operator std::optional<RecipeNodes>() const { return nodes_; }  // NOLINT

 private:
  RecipeNodes nodes_{{"", {"bytes=0\n", {}, {}, {}}}};
};

std::string put() { return queue::encode(queue::Put{"q", "v", {}}); }
std::string take() { return queue::encode(queue::Take{"q", kLeaseMs, false}); }
recipes::Answer taken_of(std::uint64_t item, std::uint64_t lease) {
  return answer_of(queue::encode(queue::Taken{item, lease, 1, "v", {}}));
}
// Entry 1 puts an item, entry 2 takes it until kLeaseMs.
void hand_out(Court& c) {
  c.act(put()).sound("q", Line().ready(1));
  c.act(take(), 0, taken_of(1, 2)).sound("q", Line().leased(1, 2, kLeaseMs));
}

TEST(RecipeJudges, FindWhatIsWrongWithQueues) {
  expect_found(
      Kind::queue,
      {{"an item was never put", [](Court& c) { return c.entry("q", Line().ready(1)); },
        "never put"},
       {"an item is lost",
        [](Court& c) {
          c.act(put()).sound("q", Line().ready(1));
          return c.entry("q", Line());
        },
        "is lost"},
       {"one is done with what another has",
        [](Court& c) {
          hand_out(c);
          c.act(queue::encode(queue::Acknowledge{"q", 1, 1}));
          return c.entry("q", Line());
        },
        "is lost"},
       {"it comes back before its lease is over",
        [](Court& c) {
          hand_out(c);
          c.now_ms = kLeaseMs - 1;
          return c.entry("q", Line().ready(1, 1));
        },
        "1 ms early"},
       {"it is given to a second while the first has it",
        [](Court& c) {
          hand_out(c);
          c.act(take());
          return c.entry("q", Line().leased(1, 3, kLeaseMs, 2));
        },
        "early"},
       {"it does not come back",
        [](Court& c) {
          hand_out(c);
          EXPECT_EQ(c.judge->overdue(kLeaseMs), "");
          return c.judge->overdue(kLeaseMs + 1);
        },
        "not given back"},
       {"it is ready and leased",
        [](Court& c) {
          hand_out(c);
          return c.entry("q", Line().leased(1, 2, kLeaseMs).ready(1));
        },
        "several places"},
       {"the second comes before the first",
        [](Court& c) {
          c.act(put()).sound("q", Line().ready(1));
          c.act(put()).sound("q", Line().ready(1).ready(2));
          c.act(take(), 0, taken_of(2, 3));
          return c.entry("q", Line().ready(1).leased(2, 3, kLeaseMs));
        },
        "is given before"},
       {"a taker waits while an item is there",
        [](Court& c) {
          c.act(put());
          return c.entry("q", Line().ready(1).taker(9, 9));
        },
        "waits while"},
       {"a taker is forgotten",
        [](Court& c) {
          c.sound("q", Line().taker(1, 9));
          return c.entry("q", Line());
        },
        "is forgotten"},
       {"deliveries are not counted",
        [](Court& c) {
          c.act(put()).sound("q", Line().ready(1));
          c.act(take(), 0, taken_of(1, 2));
          return c.entry("q", Line().leased(1, 2, kLeaseMs, 0));
        },
        "counted wrongly"},
       {"a lease is shorter than was asked",
        [](Court& c) {
          c.act(put()).sound("q", Line().ready(1));
          c.act(take(), 0, taken_of(1, 2));
          return c.entry("q", Line().leased(1, 2, kLeaseMs - 1));
        },
        "another length"},
       {"an item is kept back",
        [](Court& c) {
          c.act(put()).sound("q", Line().ready(1));
          return c.act(take(), 0, taken_of(0, 0)).entry("q", {});
        },
        "is kept back"},
       {"the holder is refused",
        [](Court& c) {
          hand_out(c);
          c.act(queue::encode(queue::Acknowledge{"q", 1, 2}), 0, answer_of({}, Code::conflict));
          return c.entry("q", {});
        },
        "is refused"},
       {"two clients are given the same delivery",
        [](Court& c) {
          hand_out(c);
          EXPECT_EQ(c.told(take(), 2, taken_of(1, 2), true, 1), "");
          EXPECT_EQ(c.told(take(), 2, taken_of(1, 2), true, 1), "");
          return c.told(take(), 2, taken_of(1, 2), true, 2);
        },
        "clients 1 and 2"},
       {"a client is told of an item that was not kept",
        [](Court& c) { return c.told(put(), 1, answer_of(queue::encode(queue::PutDone{1}))); },
        "told to be there"}});
}

// ---------------------------------------------------------------- transactions

namespace transaction = recipes::transaction;

constexpr std::int64_t kVoteMs = 500;

RecipeNodes transaction_of(const std::string& state, const std::string& a, const std::string& b) {
  const auto vote = [](const std::string& word) {
    Record record;
    return RecipeNode{text_of(record.text("vote", word)), {}, {}, {}};
  };
  Record top;
  return {{"", {text_of(top.text("state", state)), {}, {}, {}}}, {"a", vote(a)}, {"b", vote(b)}};
}
// Entry 1 begins it.
void begin(Court& c) {
  c.noted(transaction::Begin{{"b", "a"}, kVoteMs})
      .sound(padded(1), transaction_of("preparing", "", ""));
}
Court& vote(Court& c, const char* participant, bool is_yes) {
  return c.noted(transaction::Vote{1, participant, is_yes});
}
// As coord/recipes/transaction.cpp writes it.
recipes::Answer outcome_of(transaction::State state) {
  std::string bytes;
  Writer out(bytes);
  out.varint(1);
  out.u8(static_cast<std::uint8_t>(state));
  out.bytes({});
  for (int i = 0; i < 3; ++i) out.svarint(0);
  out.id(Zxid());
  out.varint(0);
  return answer_of(bytes);
}

TEST(RecipeJudges, FindWhatIsWrongWithTransactions) {
  const auto id = padded(1);
  expect_found(Kind::transaction,
               {{"committed though one has not voted",
                 [&](Court& c) {
                   begin(c);
                   return vote(c, "a", true).entry(id, transaction_of("committed", "yes", ""));
                 },
                 "is committed"},
                {"committed though one said no",
                 [&](Court& c) {
                   begin(c);
                   vote(c, "a", true).sound(id, transaction_of("preparing", "yes", ""));
                   return vote(c, "b", false).entry(id, transaction_of("committed", "yes", "no"));
                 },
                 "is committed"},
                {"not aborted though one said no",
                 [&](Court& c) {
                   begin(c);
                   return vote(c, "b", false).entry(id, transaction_of("preparing", "", "no"));
                 },
                 "is not decided"},
                {"not committed though all said yes",
                 [&](Court& c) {
                   begin(c);
                   vote(c, "a", true).sound(id, transaction_of("preparing", "yes", ""));
                   return vote(c, "b", true).entry(id, transaction_of("preparing", "yes", "yes"));
                 },
                 "is not decided"},
                {"aborted before its time",
                 [&](Court& c) {
                   begin(c);
                   c.now_ms = kVoteMs - 1;
                   return c.entry(id, transaction_of("aborted", "", ""));
                 },
                 "without a reason"},
                {"a dead participant holds it up",
                 [&](Court& c) {
                   begin(c);
                   EXPECT_EQ(c.judge->overdue(kVoteMs), "");
                   return c.judge->overdue(kVoteMs + 1);
                 },
                 "its time is over"},
                {"a vote that comes too late counts",
                 [&](Court& c) {
                   begin(c);
                   c.now_ms = kVoteMs;
                   return vote(c, "a", true).entry(id, transaction_of("preparing", "yes", ""));
                 },
                 "the vote of a"},
                {"a vote is changed",
                 [&](Court& c) {
                   begin(c);
                   vote(c, "a", true).sound(id, transaction_of("preparing", "yes", ""));
                   return vote(c, "a", false).entry(id, transaction_of("aborted", "no", ""));
                 },
                 "the vote of a"},
                {"somebody else's vote is cast",
                 [&](Court& c) {
                   begin(c);
                   return vote(c, "a", true).entry(id, transaction_of("preparing", "", "yes"));
                 },
                 "the vote of b"},
                {"what was decided changes",
                 [&](Court& c) {
                   begin(c);
                   vote(c, "a", false).sound(id, transaction_of("aborted", "no", ""));
                   return c.entry(id, transaction_of("committed", "no", ""));
                 },
                 "was aborted already"},
                {"it is forgotten",
                 [&](Court& c) {
                   begin(c);
                   return c.entry(id, RecipeNodes());
                 },
                 "is forgotten"},
                {"two learn different outcomes",
                 [&](Court& c) {
                   begin(c);
                   vote(c, "a", false).sound(id, transaction_of("aborted", "no", ""));
                   EXPECT_EQ(c.told({}, 1, outcome_of(transaction::State::preparing)), "");
                   EXPECT_EQ(c.told({}, 2, outcome_of(transaction::State::aborted)), "");
                   return c.told({}, 2, outcome_of(transaction::State::committed));
                 },
                 "learns another outcome"},
                {"one is told that it is unknown",
                 [&](Court& c) {
                   begin(c);
                   const transaction::Get query{1};
                   c.judge->note_asked(query);
                   return c.told(encode(query), 1, answer_of({}, Code::not_found), false);
                 },
                 "told to be unknown"}});
}

// ---------------------------------------------------------------- services

namespace service = recipes::service;

// One instance "i", which hangs on this session.
RecipeNodes instance_of(std::uint64_t session, std::int64_t ttl_ms) {
  service::Instance record;
  record.address = "10.0.0.1";
  record.ttl_ms = ttl_ms;
  return {{"", {}}, {"i", {service::to_text(record), SessionId(session), {}, {}}}};
}
RecipeNodes no_instance() { return {{"", {}}}; }
Court& enlist(Court& c, std::uint64_t session) {
  service::Register op;
  op.service = "web";
  op.instance = "i";
  op.record.address = "10.0.0.1";
  return c.act(service::encode(op), session);
}

TEST(RecipeJudges, FindWhatIsWrongWithServices) {
  expect_found(Kind::service,
               {{"an instance outlives its session",
                 [](Court& c) {
                   enlist(c, 7).sound("web", instance_of(7, 0));
                   c.dead = {7};
                   return c.entry("web", instance_of(7, 0));
                 },
                 "has no session"},
                {"an instance goes while its session lives",
                 [](Court& c) {
                   enlist(c, 7).sound("web", instance_of(7, 0));
                   return c.entry("web", no_instance());
                 },
                 "goes early"},
                {"the session of a ttl is left behind",
                 [](Court& c) {
                   enlist(c, 1).sound("web", instance_of(1, 1'000));
                   c.act(service::encode(service::Deregister{"web", "i", false}));
                   return c.entry("web", no_instance());
                 },
                 "left behind"},
                {"nobody registered it", [](Court& c) { return c.entry("web", instance_of(7, 0)); },
                 "comes by itself"},
                {"it is another session's all at once",
                 [](Court& c) {
                   enlist(c, 7).sound("web", instance_of(7, 0));
                   return c.entry("web", instance_of(8, 0));
                 },
                 "comes by itself"},
                {"a client is shown what has gone",
                 [](Court& c) {
                   enlist(c, 7).sound("web", instance_of(7, 0));
                   c.dead = {7};
                   c.sound("web", no_instance());
                   service::List query;
                   query.service = "web";
                   service::Instances shown;
                   auto& one = shown.instances.emplace_back();
                   one.id = "i";
                   one.session = SessionId(7);
                   one.record.address = "10.0.0.1";
                   const auto answer = answer_of(service::encode(shown));
                   EXPECT_EQ(c.told(service::encode(query), 1, answer, false), "");
                   return c.told(service::encode(query), 2, answer, false);
                 },
                 "is shown other instances"}});
}

// ---------------------------------------------------------------- configurations

namespace config = recipes::config;

RecipeNodes config_of(const std::string& last, const std::map<std::uint64_t, std::string>& values) {
  RecipeNodes nodes{{"", {last, {}, {}, {}}}};
  for (const auto& [number, value] : values) {
    nodes[fmt::format("releases/{:010}", number)] = {value, {}, {}, {}};
  }
  return nodes;
}
Court& publish(Court& c, const std::string& value, std::optional<std::uint64_t> guard = {}) {
  config::Step op;
  op.name = "c";
  op.value = Blob(value);
  op.if_release = guard;
  return c.act(config::encode(op));
}

TEST(RecipeJudges, FindWhatIsWrongWithConfigurations) {
  expect_found(Kind::config,
               {{"a number is given again",
                 [](Court& c) {
                   publish(c, "a").sound("c", config_of("1", {{1, "a"}}));
                   return publish(c, "b").entry("c", config_of("1", {{1, "b"}}));
                 },
                 "release 1 of c after 1"},
                {"a number means something else",
                 [](Court& c) {
                   publish(c, "a").sound("c", config_of("1", {{1, "a"}}));
                   return publish(c, "b").entry("c", config_of("2", {{1, "x"}, {2, "b"}}));
                 },
                 "release 1 changes"},
                {"a release is lost",
                 [](Court& c) {
                   publish(c, "a").sound("c", config_of("1", {{1, "a"}}));
                   publish(c, "b").sound("c", config_of("2", {{1, "a"}, {2, "b"}}));
                   return publish(c, "d").entry("c", config_of("3", {{1, "a"}, {3, "d"}}));
                 },
                 "release 2 of c is lost"},
                {"a guard does not hold",
                 [](Court& c) {
                   publish(c, "a").sound("c", config_of("1", {{1, "a"}}));
                   return publish(c, "b", 7).entry("c", config_of("2", {{1, "a"}, {2, "b"}}));
                 },
                 "in spite of its guard"},
                {"something else is published",
                 [](Court& c) {
                   return publish(c, "a").entry("c", config_of("1", {{1, "x"}}));
                 },
                 "not what was published"},
                {"a client reads what was before",
                 [](Court& c) {
                   publish(c, "a").sound("c", config_of("1", {{1, "a"}}));
                   publish(c, "b").sound("c", config_of("2", {{1, "a"}, {2, "b"}}));
                   config::Query query;
                   query.name = "c";
                   config::Items items;
                   items.items.emplace_back().release = 1;
                   auto answer = answer_of(config::encode(items));
                   answer.values = {Blob("a")};
                   EXPECT_EQ(c.told(config::encode(query), 1, answer, false), "");
                   return c.told(config::encode(query), 2, answer, false);
                 },
                 "reads another release"}});
}

}  // namespace
}  // namespace coord::sim
