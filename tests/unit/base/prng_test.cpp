#include "coord/base/prng.hpp"

#include <gtest/gtest.h>

#include <array>

namespace coord {
namespace {

TEST(Prng, GivesTheKnownSequenceOfSplitMix64) {
  Prng prng(1234567);
  for (const std::uint64_t want :
       {6457827717110365317U, 3203168211198807973U, 9817491932198370423U, 4593380528125082431U}) {
    EXPECT_EQ(prng.next(), want);
  }
}

TEST(Prng, TheSameSeedGivesTheSameChoices) {
  Prng a(42);
  Prng b(42);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.below(1'000), b.below(1'000));
}

TEST(Prng, StaysBelowItsBoundAndReachesAll) {
  Prng prng(1);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7'000; ++i) {
    const auto value = prng.below(7);
    ASSERT_LT(value, 7U);
    ++seen[value];
  }
  for (const int count : seen) {
    EXPECT_GT(count, 800);
    EXPECT_LT(count, 1'200);
  }
}

TEST(Prng, ARangeIncludesBothEnds) {
  Prng prng(1);
  bool low = false;
  bool high = false;
  for (int i = 0; i < 1'000; ++i) {
    const auto value = prng.between(3, 5);
    ASSERT_GE(value, 3U);
    ASSERT_LE(value, 5U);
    low = low || value == 3;
    high = high || value == 5;
  }
  EXPECT_TRUE(low);
  EXPECT_TRUE(high);
  EXPECT_EQ(prng.between(9, 9), 9U);
}

TEST(Prng, TheWholeRangeIsARangeToo) {
  Prng a(7);
  Prng b(7);
  EXPECT_EQ(a.between(0, UINT64_MAX), b.next());
}

TEST(Prng, ChanceIsNeverOfNoneAndAlwaysOfAll) {
  Prng prng(1);
  int hits = 0;
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_FALSE(prng.chance(0, 5));
    EXPECT_TRUE(prng.chance(5, 5));
    hits += prng.chance(1, 4) ? 1 : 0;
  }
  EXPECT_GT(hits, 200);
  EXPECT_LT(hits, 300);
}

}  // namespace
}  // namespace coord
