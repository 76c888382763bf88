#include "session/retry.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "coord/base/codec.hpp"
#include "coord/base/prng.hpp"

namespace coord::session {
namespace {

constexpr std::size_t kEvery = 1'000'000;

RetryEntry make_entry(std::uint64_t zxid, std::int64_t service_ms = 0) {
  return {Zxid(zxid), service_ms, zxid * 31, "outcome-" + std::to_string(zxid)};
}
bool is_equal(const RetryEntry& a, const RetryEntry& b) {
  return a.zxid == b.zxid && a.service_ms == b.service_ms && a.request_hash == b.request_hash &&
         a.outcome == b.outcome;
}

using StoredWindow = std::map<std::string, std::string>;
void apply_window_to(StoredWindow& stored, const DirtyMap& dirty) {
  for (const auto& [key, bytes] : dirty.records()) {
    EXPECT_EQ(key.table, Table::retry);
    if (bytes) {
      stored[std::string(key.key)] = *bytes;
    } else {
      stored.erase(std::string(key.key));
    }
  }
}
std::uint64_t window_digest_of(const StoredWindow& stored) {
  std::uint64_t sum = 0;
  for (const auto& [key, bytes] : stored) sum += record_hash(Table::retry, key, bytes);
  return sum;
}
RetryWindow loaded_from(const StoredWindow& stored, RetryLimits limits) {
  RetryWindow window(limits);
  for (const auto& [key, bytes] : stored) EXPECT_EQ(window.load(key, bytes), "");
  return window;
}

TEST(RetryWindow, FindsTheFirstAnswerByScopeAndKey) {
  RetryWindow window(RetryLimits{});
  DirtyMap dirty;
  window.insert("alice", "k", make_entry(7, 1'000), dirty);
  ASSERT_NE(window.find("alice", "k"), nullptr);
  EXPECT_TRUE(is_equal(*window.find("alice", "k"), make_entry(7, 1'000)));
  EXPECT_EQ(window.find("bob", "k"), nullptr);
  EXPECT_EQ(window.find("alice", "l"), nullptr);
  // The border between scope and key counts.
  EXPECT_EQ(window.find("alic", "ek"), nullptr);
  EXPECT_EQ(window.find("alicek", ""), nullptr);
}

TEST(RetryWindow, SeveralEntriesOfOneZxidKeepTheirOrder) {
  RetryWindow window(RetryLimits{});
  DirtyMap dirty;
  window.insert("s", "a", make_entry(7), dirty);
  window.insert("s", "b", make_entry(7), dirty);
  window.insert("s", "c", make_entry(8), dirty);
  EXPECT_EQ(dirty.size(), 3U);
  StoredWindow stored;
  apply_window_to(stored, dirty);
  auto loaded = loaded_from(stored, RetryLimits{});
  loaded.check_invariants();
  EXPECT_EQ(loaded.size(), 3U);
  EXPECT_EQ(loaded.digest(), window.digest());
}

TEST(RetryWindow, LetsGoByTheRule) {
  const struct {
    const char* name;
    std::size_t held;
    std::int64_t service_ms;  // Entry n has the service time n.
    std::size_t want;
  } cases[] = {
      {"young ones stay though there are more than are kept", 50, 100, 50},
      {"one exactly of that age stays", 50, 101, 50},
      {"one that is older leaves", 50, 102, 49},
      {"old ones leave", 50, 131, 20},
      {"the last ones stay however old", 50, 1'000'000, 10},
      {"few are never too old", 10, 1'000'000, 10},
      {"never more than the most, however young", 80, 0, 60},
      {"both", 80, 150, 31},
  };
  for (const auto& [name, held, service_ms, want] : cases) {
    RetryLimits limits;
    limits.age_ms = 100;
    limits.entries_kept = 10;
    limits.entries_max = 60;
    RetryWindow window(limits);
    DirtyMap dirty;
    for (std::uint64_t n = 1; n <= held; ++n) {
      window.insert("s", std::to_string(n), make_entry(n, static_cast<std::int64_t>(n)), dirty);
    }
    window.trim(service_ms, kEvery, dirty);
    EXPECT_EQ(window.size(), want) << name;
    // The oldest left, the youngest are there.
    for (std::uint64_t n = 1; n <= held; ++n) {
      EXPECT_EQ(window.find("s", std::to_string(n)) != nullptr, n > held - want) << name << n;
    }
    window.check_invariants();
  }
}

TEST(RetryWindow, DropsNoMoreAtOnceThanItIsTold) {
  RetryLimits limits;
  limits.entries_max = 1;
  RetryWindow window(limits);
  DirtyMap dirty;
  for (std::uint64_t n = 1; n <= 10; ++n) {
    window.insert("s", std::to_string(n), make_entry(n), dirty);
  }
  window.trim(0, 2, dirty);
  EXPECT_EQ(window.size(), 8U);
  window.trim(0, 100, dirty);
  EXPECT_EQ(window.size(), 1U);
}

TEST(RetryWindow, AMalformedRecordIsNamed) {
  RetryWindow window(RetryLimits{});
  DirtyMap dirty;
  window.insert("scope", "key", make_entry(7), dirty);
  StoredWindow stored;
  apply_window_to(stored, dirty);
  const auto& [key, bytes] = *stored.begin();
  ASSERT_EQ(key.size(), 12U);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_NE(RetryWindow({}).load(key, bytes.substr(0, cut)), "") << cut;
  }
  EXPECT_NE(RetryWindow({}).load(key, bytes + "x"), "");
  EXPECT_NE(RetryWindow({}).load(key.substr(1), bytes), "");
  EXPECT_NE(window.load(key, bytes), "") << "twice";
  auto later = key;
  later[7] = 8;
  EXPECT_NE(window.load(later, bytes), "") << "the same key again";
  auto loaded = loaded_from(stored, RetryLimits{});
  EXPECT_TRUE(is_equal(*loaded.find("scope", "key"), make_entry(7)));
}

TEST(RetryWindow, RandomStepsAgreeWithAModel) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    RetryLimits limits;
    limits.age_ms = 50;
    limits.entries_kept = static_cast<std::size_t>(prng.below(20));
    limits.entries_max = limits.entries_kept + static_cast<std::size_t>(prng.below(40));
    RetryWindow window(limits);
    StoredWindow stored;
    std::deque<std::pair<std::string, RetryEntry>> model;
    std::int64_t service_ms = 0;
    for (std::uint64_t zxid = 1; zxid <= 600; ++zxid) {
      DirtyMap dirty;
      service_ms += static_cast<std::int64_t>(prng.below(4));
      const auto key = std::to_string(prng.below(200));
      if (window.find("s", key) == nullptr) {
        window.insert("s", key, make_entry(zxid, service_ms), dirty);
        model.emplace_back(key, make_entry(zxid, service_ms));
      }
      window.trim(service_ms, kEvery, dirty);
      while (model.size() > limits.entries_max ||
             (model.size() > limits.entries_kept &&
              service_ms - model.front().second.service_ms > limits.age_ms)) {
        model.pop_front();
      }
      apply_window_to(stored, dirty);
      ASSERT_EQ(window.size(), model.size());
      ASSERT_EQ(window.digest(), window_digest_of(stored));
      for (const auto& [held, entry] : model) {
        ASSERT_NE(window.find("s", held), nullptr);
        ASSERT_TRUE(is_equal(*window.find("s", held), entry));
      }
      if (zxid % 100 != 0) continue;
      window.check_invariants();
      DirtyMap all;
      window.put_all(all);
      StoredWindow again;
      apply_window_to(again, all);
      ASSERT_EQ(again, stored);
      window = loaded_from(stored, limits);
    }
  }
}

}  // namespace
}  // namespace coord::session
