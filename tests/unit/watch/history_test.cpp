#include "watch/history.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "coord/base/prng.hpp"
#include "tests/unit/watch/changes.hpp"

namespace coord::watch {
namespace {

std::vector<std::uint64_t> zxids_since(const History& history, std::uint64_t from,
                                       std::size_t most = 1'000'000) {
  std::vector<std::uint64_t> zxids;
  history.since(Zxid(from), [&](const znode::SharedBatch& batch) {
    zxids.push_back(batch->zxid.value());
    return zxids.size() < most;
  });
  return zxids;
}

History make_history(std::size_t changes_max, std::uint64_t floor = 0) {
  WatchLimits limits;
  limits.history_changes_max = changes_max;
  return History(limits, Zxid(floor));
}

using Zxids = std::vector<std::uint64_t>;

TEST(History, AnEmptyOneStandsAtItsFloor) {
  const auto history = make_history(10, 7);
  EXPECT_EQ(history.floor(), Zxid(7));
  EXPECT_EQ(history.last(), Zxid(7));
  EXPECT_EQ(zxids_since(history, 7), Zxids());
  EXPECT_EQ(zxids_since(history, 100), Zxids());
}

TEST(History, GivesExactlyWhatIsAfterAnyZxid) {
  auto history = make_history(100, 10);
  for (const std::uint64_t zxid : {12U, 15U, 20U}) history.append(batch_at(zxid, {"/a"}));
  const struct {
    std::uint64_t from;
    Zxids want;
  } cases[] = {{10, {12, 15, 20}}, {11, {12, 15, 20}}, {12, {15, 20}}, {14, {15, 20}},
               {15, {20}},         {19, {20}},         {20, {}},       {99, {}}};
  for (const auto& [from, want] : cases) EXPECT_EQ(zxids_since(history, from), want) << from;
  EXPECT_EQ(zxids_since(history, 10, 2), (Zxids{12, 15}));
  EXPECT_EQ(history.last(), Zxid(20));
}

TEST(History, DropsTheOldestOnlyOnceItIsStored) {
  auto history = make_history(2);
  for (std::uint64_t zxid = 1; zxid <= 5; ++zxid) history.append(batch_at(zxid, {"/a"}));
  EXPECT_EQ(history.size(), 5U);
  EXPECT_EQ(history.floor(), Zxid(0));
  history.set_stored(Zxid(1));
  EXPECT_EQ(history.floor(), Zxid(1));
  history.set_stored(Zxid(0));
  EXPECT_EQ(zxids_since(history, 1), (Zxids{2, 3, 4, 5}));
  history.set_stored(Zxid(9));
  EXPECT_EQ(history.floor(), Zxid(3));
  EXPECT_EQ(zxids_since(history, 3), (Zxids{4, 5}));
  history.append(batch_at(6, {"/a"}));
  EXPECT_EQ(history.floor(), Zxid(4));
  history.check_invariants();
}

TEST(History, ABatchLargerThanTheRingLeavesItEmptyWhenItIsStored) {
  auto history = make_history(2);
  history.append(batch_at(4, {"/a", "/b", "/c"}));
  EXPECT_EQ(history.size(), 1U);
  history.set_stored(Zxid(4));
  EXPECT_EQ(history.size(), 0U);
  EXPECT_EQ(history.bytes(), 0U);
  EXPECT_EQ(history.floor(), Zxid(4));
  EXPECT_EQ(history.last(), Zxid(4));
}

TEST(History, LetsGoOfWhatIsStoredAFewAtATime) {
  constexpr std::uint64_t kCount = 10'000;
  auto history = make_history(10);
  for (std::uint64_t zxid = 1; zxid <= kCount; ++zxid) history.append(batch_at(zxid, {"/a"}));
  history.set_stored(Zxid(kCount));
  EXPECT_GT(history.size(), kCount / 2);
  history.check_invariants();
  std::size_t trims = 0;
  for (auto before = history.size() + 1; history.size() < before; ++trims) {
    before = history.size();
    history.trim();
    EXPECT_LE(before - history.size(), kCount / 10);
    EXPECT_EQ(zxids_since(history, history.floor().value()).size(), history.size());
  }
  EXPECT_EQ(history.size(), 10U);
  EXPECT_LT(trims, 100U);
  // Appending alone comes to the end as well.
  for (std::uint64_t zxid = 1; zxid <= 100; ++zxid) history.append(batch_at(kCount + zxid, {"/a"}));
  EXPECT_EQ(history.size(), 100U);
  history.set_stored(Zxid(kCount + 10));
  EXPECT_EQ(history.floor(), Zxid(kCount + 10));
  for (std::uint64_t zxid = 101; zxid <= 600; ++zxid) {
    history.append(batch_at(kCount + zxid, {"/a"}));
    history.set_stored(Zxid(kCount + zxid));
  }
  EXPECT_EQ(history.size(), 10U);
  history.check_invariants();
}

TEST(History, IsBoundedByBytes) {
  WatchLimits limits;
  limits.history_bytes_max = 10 * kKiB;
  History history(limits, Zxid(0));
  history.set_stored(Zxid(100));
  for (std::uint64_t zxid = 1; zxid <= 20; ++zxid) {
    auto change = make_change("/a");
    change.value = Blob(std::string(kKiB, 'x'));
    history.append(make_batch(zxid, {change}));
    EXPECT_LE(history.bytes(), 10 * kKiB);
  }
  EXPECT_GE(history.size(), 5U);
  EXPECT_EQ(history.last(), Zxid(20));
}

TEST(History, AResetStartsAnew) {
  auto history = make_history(10);
  history.append(batch_at(4, {"/a"}));
  history.reset(Zxid(100));
  EXPECT_EQ(history.size(), 0U);
  EXPECT_EQ(history.changes(), 0U);
  EXPECT_EQ(history.floor(), Zxid(100));
  history.append(batch_at(101, {"/a"}));
  EXPECT_EQ(zxids_since(history, 100), (Zxids{101}));
  history.check_invariants();
}

TEST(History, RandomStepsHaveNoHoles) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    auto history = make_history(static_cast<std::size_t>(prng.below(30)));
    std::vector<std::uint64_t> all;
    std::uint64_t stored = 0;
    std::uint64_t zxid = 0;
    for (int step = 0; step < 500; ++step) {
      if (prng.chance(1, 4)) {
        stored = prng.between(stored, zxid);
        history.set_stored(Zxid(stored));
      }
      zxid += prng.between(1, 3);
      all.push_back(zxid);
      history.append(batch_at(zxid, std::vector<std::string>(prng.between(1, 3), "/a")));
      history.check_invariants();
      ASSERT_LE(history.floor(), Zxid(stored));
      const auto from = prng.between(history.floor().value(), zxid + 1);
      const auto begin = std::upper_bound(all.begin(), all.end(), from);
      ASSERT_EQ(zxids_since(history, from), Zxids(begin, all.end()));
    }
  }
}

}  // namespace
}  // namespace coord::watch
