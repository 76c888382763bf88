#include "coord/core/retention.hpp"

#include <gtest/gtest.h>

namespace coord::core {
namespace {

TEST(Retention, KeepsAllUntilTheBoundsAreReached) {
  Retention retention;
  const RetentionPolicy policy{10, 1'000};
  retention.add(Zxid(3), 5, 10);
  retention.close_step(policy);
  retention.add(Zxid(9), 5, 10);
  retention.close_step(policy);
  EXPECT_EQ(retention.floor(), Zxid());
}

TEST(Retention, LetsTheOldestStepsGoByCountOrBytes) {
  for (const auto& [changes, bytes] : {std::pair<std::uint64_t, std::uint64_t>{5, 1}, {1, 500}}) {
    Retention retention;
    const RetentionPolicy policy{10, 1'000};
    for (std::uint64_t zxid = 1; zxid <= 4; ++zxid) {
      retention.add(Zxid(zxid * 10), changes, bytes);
      retention.close_step(policy);
    }
    EXPECT_EQ(retention.floor(), Zxid(21)) << changes;
  }
}

TEST(Retention, TheNewestStepStaysWhateverItsSize) {
  Retention retention;
  const RetentionPolicy policy{10, 1'000};
  retention.add(Zxid(5), 1, 1);
  retention.close_step(policy);
  retention.add(Zxid(9), 5'000, 1);
  retention.close_step(policy);
  EXPECT_EQ(retention.floor(), Zxid(6));
  retention.close_step(policy);  // Nothing was added: nothing changes.
  EXPECT_EQ(retention.floor(), Zxid(6));
}

TEST(Retention, JoinsStepsSoThatTheirNumberIsBounded) {
  Retention retention;
  const RetentionPolicy policy{100'000, 1ULL << 40};
  for (std::uint64_t zxid = 1; zxid <= 3'000; ++zxid) {
    retention.add(Zxid(zxid), 1, 1);
    retention.close_step(policy);
  }
  EXPECT_EQ(retention.floor(), Zxid());
  EXPECT_LT(retention.encode().size(), (Retention::kStepsMax + 2) * 12);
  retention.add(Zxid(3'001), 99'000, 1);
  retention.close_step(policy);
  EXPECT_GT(retention.floor(), Zxid(1'990));
  EXPECT_LE(retention.floor(), Zxid(3'001));
}

TEST(Retention, ComesBackAlikeAndRefusesCuts) {
  Retention retention;
  const RetentionPolicy policy{10, 1'000};
  for (std::uint64_t zxid = 1; zxid <= 5; ++zxid) {
    retention.add(Zxid(zxid * 100), 4, 300);
    retention.close_step(policy);
  }
  const auto bytes = retention.encode();
  Retention back;
  ASSERT_TRUE(back.decode(bytes));
  EXPECT_EQ(back.floor(), retention.floor());
  EXPECT_EQ(back.encode(), bytes);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    Retention other;
    EXPECT_FALSE(other.decode(std::string_view(bytes).substr(0, cut))) << cut;
  }
  back.reset(Zxid(77));
  EXPECT_EQ(back.floor(), Zxid(77));
}

}  // namespace
}  // namespace coord::core
