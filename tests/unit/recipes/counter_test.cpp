#include "coord/recipes/counter.hpp"

#include <rapidcheck.h>

#include <limits>

#include "recipe_harness.hpp"

namespace coord::recipes {
namespace {

using counter::Value;

Value value_of(const Answer& answer) {
  Value value;
  EXPECT_TRUE(counter::decode(answer.bytes, value));
  return value;
}

TEST(Counter, AddsAndTells) {
  Bench bench;
  EXPECT_EQ(bench.view(Kind::counter, encode(counter::Get{"n"})).code, Code::not_found);
  EXPECT_EQ(value_of(bench.run(Kind::counter, encode(counter::Add{"n", 5}))).after, 5);
  const auto block = value_of(bench.run(Kind::counter, encode(counter::Add{"n", 100})));
  EXPECT_EQ(block.before, 5);
  EXPECT_EQ(block.after, 105);
  EXPECT_EQ(value_of(bench.run(Kind::counter, encode(counter::Add{"n", -200}))).after, -95);
  const auto view = bench.view(Kind::counter, encode(counter::Get{"n"}));
  EXPECT_EQ(value_of(view).after, -95);
  EXPECT_EQ(view.etag, bench.zxid());
  EXPECT_EQ(bench.value("/.coord/counters/n"), "-95");
}

TEST(Counter, ThatWouldOverflowIsLeftAsItIs) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  struct Case {
    const char* name;
    std::int64_t start;
    std::int64_t delta;
    Code want;
  };
  for (const auto& [name, start, delta, want] : {Case{"max + 1", kMax, 1, Code::invalid},
                                                 {"max + 0", kMax, 0, Code::ok},
                                                 {"max - max", kMax, -kMax, Code::ok},
                                                 {"min - 1", kMin, -1, Code::invalid},
                                                 {"min + min", kMin, kMin, Code::invalid},
                                                 {"1 + max", 1, kMax, Code::invalid},
                                                 {"-1 + min", -1, kMin, Code::invalid}}) {
    Bench bench;
    bench.run(Kind::counter, encode(counter::Add{"n", start}));
    EXPECT_EQ(bench.run(Kind::counter, encode(counter::Add{"n", delta})).code, want) << name;
    if (want != Code::ok) {
      EXPECT_EQ(bench.value("/.coord/counters/n"), fmt::format("{}", start)) << name;
    }
  }
}

TEST(Counter, IsListedInPagesAndRemoved) {
  Bench bench;
  for (const auto* name : {"b", "a", "c"}) bench.run(Kind::counter, encode(counter::Add{name, 7}));
  ListResult list;
  ASSERT_TRUE(decode(bench.view(Kind::counter, counter::encode(ListQuery{"", 2})).bytes, list));
  ASSERT_EQ(list.entries.size(), 2U);
  EXPECT_FALSE(list.is_last);
  EXPECT_EQ(list.entries[1].name, "b");
  list = {};
  ASSERT_TRUE(decode(bench.view(Kind::counter, counter::encode(ListQuery{"b", 2})).bytes, list));
  ASSERT_EQ(list.entries.size(), 1U);
  EXPECT_TRUE(list.is_last);
  EXPECT_EQ(bench.run(Kind::counter, encode(counter::Remove{"c"})).code, Code::ok);
  EXPECT_EQ(bench.run(Kind::counter, encode(counter::Remove{"c"})).code, Code::not_found);
  EXPECT_EQ(value_of(bench.run(Kind::counter, encode(counter::Add{"c", 1}))).after, 1);
}

TEST(Counter, MalformedBytesAreNoStepAndNoQuery) {
  const auto good = encode(counter::Add{"n", 5});
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(counter::is_step(std::string_view(good).substr(0, cut)));
  }
  EXPECT_FALSE(counter::is_step(good + "x"));
  EXPECT_FALSE(counter::is_step(encode(counter::Add{"a/b", 5})));
  EXPECT_FALSE(counter::is_step(encode(counter::Add{"mine", 5})));
  EXPECT_FALSE(counter::is_step(encode(counter::Get{"n"})));
  EXPECT_FALSE(counter::is_query(good));
  EXPECT_FALSE(counter::is_query(counter::encode(ListQuery{"", 0})));
  EXPECT_FALSE(counter::is_query(counter::encode(ListQuery{"", kListMax + 1})));
}

TEST(Counter, NoIdIsInTwoBlocks) {
  EXPECT_TRUE(rc::check("blocks follow each other", [] {
    Bench bench;
    std::int64_t last = 0;
    for (const auto size : *rc::gen::container<std::vector<int>>(rc::gen::inRange(1, 1000))) {
      const auto block = value_of(bench.run(Kind::counter, encode(counter::Add{"ids", size})));
      RC_ASSERT(block.before == last);
      RC_ASSERT(block.after == last + size);
      last = block.after;
    }
  }));
}

}  // namespace
}  // namespace coord::recipes
