#include "cli/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "coord/base/prng.hpp"

namespace coord::cli {
namespace {

TEST(Histogram, is_exact_for_small_values) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 50; ++value) histogram.add(value);
  EXPECT_EQ(histogram.percentile(0), 1U);
  EXPECT_EQ(histogram.percentile(0.5), 25U);
  EXPECT_EQ(histogram.percentile(0.9), 45U);
  EXPECT_EQ(histogram.percentile(1), 50U);
  EXPECT_EQ(histogram.max(), 50U);
  EXPECT_DOUBLE_EQ(histogram.mean(), 25.5);
}

TEST(Histogram, is_never_more_than_two_percent_above_the_true_percentile) {
  Prng prng(7);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(prng.next() >> (prng.below(63)));
    histogram.add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double fraction : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(values.size())));
    const auto exact = static_cast<double>(values[rank - 1]);
    const auto got = static_cast<double>(histogram.percentile(fraction));
    EXPECT_GE(got, exact) << fraction;
    EXPECT_LE(got, exact * 1.02) << fraction;
  }
}

TEST(Histogram, takes_the_largest_value_and_none) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile(0.5), 0U);
  histogram.add(UINT64_MAX);
  EXPECT_EQ(histogram.percentile(0.5), UINT64_MAX);
}

TEST(Histogram, merges) {
  Histogram a;
  Histogram b;
  a.add(1);
  b.add(1'000'000);
  a.merge(b);
  EXPECT_EQ(a.count(), 2U);
  EXPECT_EQ(a.percentile(0.5), 1U);
  EXPECT_EQ(a.max(), 1'000'000U);
}

}  // namespace
}  // namespace coord::cli
