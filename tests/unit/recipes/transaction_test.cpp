#include "coord/recipes/transaction.hpp"

#include <rapidcheck.h>

#include "coord/recipes/fields.hpp"
#include "recipe_harness.hpp"

namespace coord::recipes {
namespace {

using transaction::Ballot;
using transaction::State;
using transaction::View;

constexpr auto kTransaction = Kind::transaction;

class TransactionBench : public Bench {
 public:
  std::uint64_t begin(std::vector<std::string> participants, std::int64_t timeout_ms = 1'000) {
    return shown(run(kTransaction, encode(transaction::Begin{std::move(participants), timeout_ms})))
        .id;
  }
  Answer vote(std::uint64_t id, const std::string& who, bool is_yes) {
    return run(kTransaction, encode(transaction::Vote{id, who, is_yes}));
  }
  Answer get(std::uint64_t id) { return view(kTransaction, encode(transaction::Get{id})); }
  State state(std::uint64_t id) { return shown(get(id)).state; }
  static View shown(const Answer& answer) {
    View view;
    EXPECT_TRUE(decode(answer.bytes, view)) << answer.detail;
    return view;
  }
};

TEST(Transaction, CommitsWithTheLastYes) {
  TransactionBench bench;
  const auto id = bench.begin({"b", "a"});
  EXPECT_EQ(bench.state(id), State::preparing);
  EXPECT_FALSE(bench.get(id).is_final);
  EXPECT_EQ(TransactionBench::shown(bench.vote(id, "a", true)).state, State::preparing);
  const auto last = TransactionBench::shown(bench.vote(id, "b", true));
  EXPECT_EQ(last.state, State::committed);
  EXPECT_EQ(last.decided, bench.zxid());
  EXPECT_TRUE(bench.get(id).is_final);
  const std::vector<transaction::ParticipantVote> want = {{"a", Ballot::yes}, {"b", Ballot::yes}};
  EXPECT_EQ(last.votes, want);
}

TEST(Transaction, AbortsWithTheFirstNo) {
  TransactionBench bench;
  const auto id = bench.begin({"a", "b", "c"});
  bench.vote(id, "a", true);
  const auto view = TransactionBench::shown(bench.vote(id, "b", false));
  EXPECT_EQ(view.state, State::aborted);
  EXPECT_EQ(view.reason, "b voted no");
}

TEST(Transaction, VotesAfterTheDecisionAreAnsweredAlike) {
  struct Case {
    const char* name;
    const char* who;
    bool is_yes;
    Code want;
  };
  for (const auto& [name, who, is_yes, want] : {
           Case{"the same again", "a", true, Code::ok},
           {"the no again", "b", false, Code::ok},
           {"a changed yes", "a", false, Code::conflict},
           {"a changed no", "b", true, Code::conflict},
           {"a late yes", "c", true, Code::conflict},
           {"a late no", "c", false, Code::conflict},
           {"nobody's", "x", true, Code::not_found},
       }) {
    TransactionBench bench;
    const auto id = bench.begin({"a", "b", "c"});
    bench.vote(id, "a", true);
    bench.vote(id, "b", false);
    const auto before = TransactionBench::shown(bench.get(id)).votes;
    const auto answer = bench.vote(id, who, is_yes);
    EXPECT_EQ(answer.code, want) << name;
    if (want != Code::not_found) {
      EXPECT_EQ(TransactionBench::shown(answer).state, State::aborted) << name;
    }
    EXPECT_EQ(TransactionBench::shown(bench.get(id)).votes, before) << name;
  }
}

TEST(Transaction, AChangedVoteIsRefusedBeforeTheDecisionToo) {
  TransactionBench bench;
  const auto id = bench.begin({"a", "b"});
  bench.vote(id, "a", true);
  EXPECT_EQ(bench.vote(id, "a", false).code, Code::conflict);
  EXPECT_EQ(bench.state(id), State::preparing);
  EXPECT_EQ(bench.vote(id, "a", true).code, Code::ok);
}

TEST(Transaction, IsAbortedWhenTheTimeHasRunOut) {
  TransactionBench bench;
  const auto id = bench.begin({"a", "b"}, 1'000);
  bench.vote(id, "a", true);
  bench.pass(999);
  EXPECT_EQ(bench.state(id), State::preparing);
  bench.pass(1);
  EXPECT_EQ(bench.state(id), State::aborted);
  EXPECT_EQ(bench.vote(id, "b", true).code, Code::conflict);
}

TEST(Transaction, AVoteAfterTheTimeComesTooLateEvenBeforeItIsFoundDue) {
  TransactionBench bench;
  const auto id = bench.begin({"a"}, 1'000);
  bench.now_ms += 1'000;
  const auto answer = bench.vote(id, "a", true);
  EXPECT_EQ(answer.code, Code::conflict);
  EXPECT_EQ(TransactionBench::shown(answer).state, State::aborted);
  EXPECT_EQ(bench.state(id), State::aborted);
}

TEST(Transaction, IsCalledOffUnlessItIsCommitted) {
  TransactionBench bench;
  const auto one = bench.begin({"a"});
  EXPECT_EQ(bench.run(kTransaction, encode(transaction::Abort{one})).code, Code::ok);
  EXPECT_EQ(bench.state(one), State::aborted);
  EXPECT_EQ(bench.run(kTransaction, encode(transaction::Abort{one})).code, Code::ok);
  const auto two = bench.begin({"a"});
  bench.vote(two, "a", true);
  EXPECT_EQ(bench.run(kTransaction, encode(transaction::Abort{two})).code, Code::conflict);
  EXPECT_EQ(bench.state(two), State::committed);
  EXPECT_EQ(bench.run(kTransaction, encode(transaction::Abort{999})).code, Code::not_found);
}

TEST(Transaction, IsTrimmedAfterItsTime) {
  TransactionBench bench;
  const auto aborted = bench.begin({"a"}, 1'000);
  const auto committed = bench.begin({"a"}, 1'000);
  bench.vote(committed, "a", true);
  bench.vote(aborted, "a", false);
  bench.pass(transaction::kKeepAbortedMs - 1);
  EXPECT_EQ(bench.state(aborted), State::aborted);
  bench.pass(1);
  EXPECT_EQ(bench.get(aborted).code, Code::not_found);
  EXPECT_EQ(bench.vote(aborted, "a", true).code, Code::not_found);
  bench.pass(transaction::kKeepMs);
  EXPECT_EQ(bench.get(committed).code, Code::not_found);
  EXPECT_EQ(bench.deadlines().size(), 0U);
  EXPECT_TRUE(bench.names("/.coord/transactions").empty());
}

TEST(Transaction, MalformedBytesAreNoStep) {
  for (const auto& bytes :
       {encode(transaction::Begin{{"a", "b"}, 1'000}), encode(transaction::Vote{7, "a", true}),
        encode(transaction::Abort{7})}) {
    EXPECT_TRUE(transaction::is_step(bytes));
    EXPECT_FALSE(transaction::is_query(bytes));
    EXPECT_FALSE(transaction::is_step(bytes + "x"));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(transaction::is_step(std::string_view(bytes).substr(0, cut)));
    }
  }
  EXPECT_FALSE(transaction::is_step(encode(transaction::Begin{{}, 1'000})));
  EXPECT_FALSE(transaction::is_step(encode(transaction::Begin{{"a", "a"}, 1'000})));
  EXPECT_FALSE(transaction::is_step(encode(transaction::Begin{{"a"}, 1})));
  EXPECT_FALSE(transaction::is_step(encode(transaction::Begin{
      std::vector<std::string>(transaction::kParticipantsMax + 1, "a"), 1'000})));
  EXPECT_FALSE(transaction::is_step(encode(transaction::Vote{7, "a/b", true})));
}

// Committed exactly if all have voted yes in time, and what was once told never changes.
TEST(Transaction, EveryParticipantLearnsTheSameOutcome) {
  EXPECT_TRUE(rc::check("one outcome", [] {
    TransactionBench bench;
    const auto size = *rc::gen::inRange<std::size_t>(1, 5);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < size; ++i) names.push_back(fmt::format("p{}", i));
    const auto id = bench.begin(names, 1'000);
    const auto until = bench.now_ms + 1'000;
    std::map<std::string, bool> cast;  // That counted, in time.
    std::optional<State> told;
    const auto look = [&](const Answer& answer) {
      const auto state = TransactionBench::shown(answer).state;
      RC_ASSERT((!told || *told == state));
      if (state != State::preparing) told = state;
      if (state == State::committed) {
        RC_ASSERT(cast.size() == size);
        for (const auto& [who, is_yes] : cast) RC_ASSERT(is_yes);
      }
    };
    for (const auto dice : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 100))) {
      if (dice < 70) {
        const auto& who = names[static_cast<std::size_t>(dice) % size];
        const bool is_yes = dice % 7 != 0;
        const bool counts = bench.now_ms < until && !told && !cast.contains(who);
        if (counts) cast[who] = is_yes;
        const auto answer = bench.vote(id, who, is_yes);
        RC_ASSERT((answer.code == Code::ok) == (cast.contains(who) && cast[who] == is_yes));
        look(answer);
      } else if (dice < 80) {
        bench.now_ms += dice * 3;  // Nobody notices yet.
      } else {
        bench.pass(dice);
      }
      look(bench.get(id));
    }
    bench.pass(1'000);
    const auto end = TransactionBench::shown(bench.get(id)).state;
    RC_ASSERT(end != State::preparing);
    look(bench.get(id));
  }));
}

}  // namespace
}  // namespace coord::recipes
