#include "session/expiry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "coord/base/prng.hpp"

namespace coord::session {
namespace {

constexpr std::size_t kAll = 1'000'000;
using Ids = std::vector<SessionId>;

TEST(Expiry, IsNeverEarlyAndLateByLessThanABucket) {
  for (std::int64_t now_ms = 0; now_ms < 2 * Expiry::kBucketMs; ++now_ms) {
    Expiry expiry;
    expiry.touch(SessionId(1), 1'000, now_ms);
    EXPECT_EQ(expiry.due(now_ms + 999, kAll), Ids());
    EXPECT_EQ(expiry.due(now_ms + 1'000 + Expiry::kBucketMs - 1, kAll), Ids{SessionId(1)});
    EXPECT_EQ(expiry.size(), 0U);
  }
}

TEST(Expiry, ATouchGivesAFullTtl) {
  Expiry expiry;
  expiry.touch(SessionId(1), 1'000, 0);
  expiry.touch(SessionId(1), 1'000, 900);
  EXPECT_EQ(expiry.remaining_ms(SessionId(1), 900), 1'000);
  EXPECT_EQ(expiry.due(1'899, kAll), Ids());
  EXPECT_EQ(expiry.due(1'900, kAll), Ids{SessionId(1)});
}

TEST(Expiry, ATouchNeverBringsADeadlineForward) {
  Expiry expiry;
  expiry.touch(SessionId(1), 5'000, 0);
  expiry.touch(SessionId(1), 1'000, 100);
  EXPECT_EQ(expiry.remaining_ms(SessionId(1), 100), 4'900);
  EXPECT_EQ(expiry.due(4'999, kAll), Ids());
}

TEST(Expiry, WhatIsTakenIsKnownNoMoreUntilItIsTouched) {
  Expiry expiry;
  expiry.touch(SessionId(1), 1'000, 0);
  EXPECT_EQ(expiry.due(1'000, kAll), Ids{SessionId(1)});
  EXPECT_EQ(expiry.due(9'000, kAll), Ids());
  EXPECT_EQ(expiry.remaining_ms(SessionId(1), 9'000), std::nullopt);
  expiry.touch(SessionId(1), 1'000, 9'000);
  EXPECT_EQ(expiry.due(10'000, kAll), Ids{SessionId(1)});
}

TEST(Expiry, GivesTheSoonestFirstAndNoMoreThanAskedFor) {
  Expiry expiry;
  expiry.touch(SessionId(1), 3'000, 0);
  expiry.touch(SessionId(4), 1'000, 0);
  expiry.touch(SessionId(2), 1'000, 0);
  expiry.touch(SessionId(3), 2'000, 0);
  EXPECT_EQ(expiry.due(9'000, 3), (Ids{SessionId(2), SessionId(4), SessionId(3)}));
  EXPECT_EQ(expiry.due(9'000, 3), (Ids{SessionId(1)}));
}

TEST(Expiry, ARemovedSessionIsNeverDue) {
  Expiry expiry;
  expiry.touch(SessionId(1), 1'000, 0);
  expiry.touch(SessionId(2), 1'000, 0);
  expiry.remove(SessionId(1));
  expiry.remove(SessionId(7));
  EXPECT_EQ(expiry.due(9'000, kAll), Ids{SessionId(2)});
}

TEST(Expiry, ClearForgetsAll) {
  Expiry expiry;
  expiry.touch(SessionId(1), 1'000, 0);
  expiry.grace(50'000);
  expiry.clear();
  EXPECT_EQ(expiry.size(), 0U);
  EXPECT_EQ(expiry.next_deadline(), std::nullopt);
  expiry.touch(SessionId(1), 1'000, 0);
  EXPECT_EQ(expiry.due(1'000, kAll), Ids{SessionId(1)});
}

TEST(Expiry, GraceGivesEverySessionAFullTtl) {
  Expiry expiry;
  expiry.touch(SessionId(1), 1'000, 0);
  expiry.touch(SessionId(2), 9'000, 0);
  expiry.grace(7'000);
  EXPECT_EQ(expiry.remaining_ms(SessionId(1), 7'000), 1'000);
  EXPECT_EQ(expiry.remaining_ms(SessionId(2), 7'000), 9'000);
  EXPECT_EQ(expiry.due(7'999, kAll), Ids());
  EXPECT_EQ(expiry.due(8'000, kAll), Ids{SessionId(1)});
  EXPECT_EQ(expiry.due(16'000, kAll), Ids{SessionId(2)});
}

TEST(Expiry, MovesABoundedNumberAtOnce) {
  Expiry expiry;
  const auto count = 2 * Expiry::kMovesMax + 1;
  for (std::uint64_t id = 1; id <= count; ++id) {
    expiry.touch(SessionId(id), 1'000, 0);
    expiry.touch(SessionId(id), 1'000, id == count ? 0 : 500);
  }
  EXPECT_EQ(expiry.due(1'000, kAll), Ids());
  EXPECT_EQ(expiry.due(1'000, kAll), Ids{SessionId(count)});
  expiry.check_invariants();
  EXPECT_EQ(expiry.size(), count - 1);
}

// What the header promises, done in the plainest way.
struct Model {
  struct One {
    std::int64_t deadline_ms = 0;
    std::int64_t ttl_ms = 0;
  };
  std::map<SessionId, One> known;

  void touch(SessionId id, std::int64_t ttl_ms, std::int64_t now_ms) {
    auto& one = known[id];
    one = {std::max(one.deadline_ms, now_ms + ttl_ms), ttl_ms};
  }
  void grace(std::int64_t now_ms) {
    for (auto& [id, one] : known) touch(id, one.ttl_ms, now_ms);
  }
  Ids due(std::int64_t now_ms, std::size_t most) {
    std::vector<std::pair<std::int64_t, SessionId>> all;
    for (const auto& [id, one] : known) {
      const auto bucket = (one.deadline_ms + Expiry::kBucketMs - 1) / Expiry::kBucketMs;
      if (bucket * Expiry::kBucketMs <= now_ms) all.emplace_back(bucket, id);
    }
    std::sort(all.begin(), all.end());
    if (all.size() > most) all.resize(most);
    Ids ids;
    for (const auto& [bucket, id] : all) {
      ids.push_back(id);
      known.erase(id);
    }
    return ids;
  }
};

TEST(Expiry, RandomStepsAgreeWithAModel) {
  std::size_t taken = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    Expiry expiry;
    Model model;
    std::int64_t now_ms = 0;
    for (int step = 0; step < 3'000; ++step) {
      now_ms += static_cast<std::int64_t>(prng.below(30));
      const SessionId id(prng.between(1, 50));
      const auto ttl_ms = static_cast<std::int64_t>(100 + id.value() * 13);
      const auto dice = prng.below(100);
      if (dice < 70) {
        expiry.touch(id, ttl_ms, now_ms);
        model.touch(id, ttl_ms, now_ms);
      } else if (dice < 75) {
        expiry.remove(id);
        model.known.erase(id);
      } else if (dice == 75) {
        expiry.grace(now_ms);
        model.grace(now_ms);
      }
      const auto most = static_cast<std::size_t>(prng.below(4));
      const auto next = expiry.next_deadline();
      const auto want = model.due(now_ms, most);
      ASSERT_EQ(expiry.due(now_ms, most), want);
      if (!want.empty()) {
        ASSERT_TRUE(next.has_value());
        ASSERT_LE(*next, now_ms);
      }
      taken += want.size();
      ASSERT_EQ(expiry.size(), model.known.size());
      for (const auto& [known, one] : model.known) {
        ASSERT_EQ(expiry.remaining_ms(known, now_ms),
                  std::max<std::int64_t>(0, one.deadline_ms - now_ms));
      }
    }
    expiry.check_invariants();
  }
  EXPECT_GT(taken, 1'000U);
}

}  // namespace
}  // namespace coord::session
