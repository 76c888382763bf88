#include "coord/recipes/decision.hpp"

#include <rapidcheck.h>

#include "recipe_harness.hpp"

namespace coord::recipes {
namespace {

using decision::Decided;

constexpr auto kDecision = Kind::decision;

Decided decided_of(const Answer& answer) {
  Decided decided;
  EXPECT_EQ(answer.code, Code::ok) << answer.detail;
  EXPECT_TRUE(decode(answer.bytes, decided));
  return decided;
}

TEST(Decision, AllWhoProposeLearnTheOneValue) {
  Bench bench;
  EXPECT_EQ(bench.view(kDecision, encode(decision::Get{"d"})).code, Code::not_found);
  const auto a = bench.open();
  const auto b = bench.open();
  const auto first =
      decided_of(bench.run(kDecision, encode(decision::Propose{"d", "one", "text/plain", ""}), a));
  EXPECT_TRUE(first.chosen_by_me);
  const auto other =
      decided_of(bench.run(kDecision, encode(decision::Propose{"d", "two", "", ""}), b));
  EXPECT_FALSE(other.chosen_by_me);
  EXPECT_EQ(other.value, "one");
  EXPECT_EQ(other.content_type, "text/plain");
  // Again by the one whose value it is, even with another value.
  EXPECT_TRUE(decided_of(bench.run(kDecision, encode(decision::Propose{"d", "x", "", ""}), a))
                  .chosen_by_me);
  EXPECT_FALSE(
      decided_of(bench.run(kDecision, encode(decision::Propose{"d", "one", "", ""}))).chosen_by_me);
  const auto view = bench.view(kDecision, encode(decision::Get{"d"}));
  EXPECT_TRUE(view.is_final);
  EXPECT_EQ(decided_of(view).session, a);
  EXPECT_EQ(bench.value("/.coord/decisions/d"), "one");
}

TEST(Decision, ARetryIsKnownByItsName) {
  Bench bench;
  EXPECT_TRUE(decided_of(bench.run(kDecision, encode(decision::Propose{"d", "v", "", "host-1"})))
                  .chosen_by_me);
  EXPECT_TRUE(decided_of(bench.run(kDecision, encode(decision::Propose{"d", "v", "", "host-1"})))
                  .chosen_by_me);
  EXPECT_FALSE(decided_of(bench.run(kDecision, encode(decision::Propose{"d", "v", "", "host-2"})))
                   .chosen_by_me);
}

TEST(Decision, OnlyAnOperatorForgetsIt) {
  Bench bench;
  bench.run(kDecision, encode(decision::Propose{"d", "v", "", ""}));
  EXPECT_EQ(bench.run(kDecision, encode(decision::Remove{"d"})).code, Code::forbidden);
  bench.identities = service_identities();
  EXPECT_EQ(bench.run(kDecision, encode(decision::Remove{"d"})).code, Code::ok);
  EXPECT_EQ(bench.run(kDecision, encode(decision::Remove{"d"})).code, Code::not_found);
}

TEST(Decision, AValueThatIsTooLargeDecidesNothing) {
  Bench bench;
  const std::string large((1 << 20) + 1, 'x');
  EXPECT_EQ(bench.run(kDecision, encode(decision::Propose{"d", large, "", ""})).code,
            Code::too_large);
  EXPECT_EQ(decided_of(bench.run(kDecision, encode(decision::Propose{"d", "", "", ""}))).value, "");
}

TEST(Decision, MalformedBytesAreNoStep) {
  for (const auto& bytes :
       {encode(decision::Propose{"d", "v", "t/x", "me"}), encode(decision::Remove{"d"})}) {
    EXPECT_TRUE(decision::is_step(bytes));
    EXPECT_FALSE(decision::is_step(bytes + "x"));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(decision::is_step(std::string_view(bytes).substr(0, cut)));
    }
  }
  EXPECT_FALSE(decision::is_step(encode(decision::Propose{"d", "v", "", "a b"})));
}

TEST(Decision, IsTheFirstProposal) {
  EXPECT_TRUE(rc::check("one value for all", [] {
    Bench bench;
    const auto values = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(
        rc::gen::container<std::string>(rc::gen::inRange<char>('a', 'e'))));
    int mine = 0;
    for (const auto& value : values) {
      const auto decided = decided_of(
          bench.run(kDecision, encode(decision::Propose{"d", value, "", ""}), bench.open()));
      RC_ASSERT(decided.value == values.front());
      mine += decided.chosen_by_me ? 1 : 0;
    }
    RC_ASSERT(mine == 1);
  }));
}

}  // namespace
}  // namespace coord::recipes
