#include "coord/base/records.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "coord/base/codec.hpp"

namespace coord {
namespace {

// The key of a record as the tables have it.
std::string key_of(std::uint64_t id) {
  std::string key;
  append_big_endian(key, id);
  return key;
}

TEST(RecordHash, DependsOnTableKeyAndBytes) {
  std::vector<std::uint64_t> hashes;
  for (const auto table : {Table::nodes, Table::acls, Table::sessions, Table::ended}) {
    for (std::uint64_t id = 1; id <= 1'000; ++id) {
      hashes.push_back(record_hash(table, key_of(id), "bytes"));
      hashes.push_back(record_hash(table, key_of(id), "bytez"));
      hashes.push_back(record_hash(table, key_of(id), ""));
    }
  }
  const auto count = hashes.size();
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  EXPECT_EQ(hashes.size(), count);
  EXPECT_EQ(record_hash(Table::nodes, key_of(1), "x"), record_hash(Table::nodes, key_of(1), "x"));
}

TEST(Table, HistoryAndMetaAreNotInTheDigest) {
  const struct {
    Table table;
    bool want;
  } cases[] = {{Table::meta, false},  {Table::nodes, true},    {Table::acls, true},
               {Table::quotas, true}, {Table::sessions, true}, {Table::ended, true},
               {Table::retry, true},  {Table::changes, false}, {Table::change_paths, false},
               {Table::members, true}};
  EXPECT_EQ(std::size(cases), kTables);
  for (const auto& [table, want] : cases) {
    EXPECT_EQ(is_in_digest(table), want) << static_cast<int>(table);
  }
}

TEST(DirtyMap, KeepsTheLatestVersionOfARecord) {
  DirtyMap dirty;
  EXPECT_TRUE(dirty.empty());
  dirty.put(Table::nodes, "k", "one");
  dirty.put(Table::nodes, "k", "two");
  dirty.put(Table::acls, "k", "other");
  EXPECT_EQ(dirty.size(), 2U);
  EXPECT_EQ(dirty.records().at({Table::nodes, "k"}), "two");
  EXPECT_EQ(dirty.records().at({Table::acls, "k"}), "other");
}

TEST(DirtyMap, AnErasedRecordIsNotedWithoutAValue) {
  DirtyMap dirty;
  dirty.put(Table::nodes, "k", "one");
  dirty.erase(Table::nodes, "k");
  dirty.erase(Table::nodes, "never there");
  EXPECT_EQ(dirty.size(), 2U);
  EXPECT_EQ(dirty.records().at({Table::nodes, "k"}), std::nullopt);
  dirty.put(Table::nodes, "k", "again");
  EXPECT_EQ(dirty.records().at({Table::nodes, "k"}), "again");
}

TEST(DirtyMap, CountsItsBytes) {
  DirtyMap dirty;
  dirty.put(Table::nodes, "key", std::string(1'000, 'x'));
  const auto full = dirty.bytes();
  EXPECT_GE(full, 1'003U);
  dirty.put(Table::nodes, "key", std::string(1'101, 'y'));
  EXPECT_GE(dirty.bytes(), full + 1'101);
  dirty.clear();
  EXPECT_EQ(dirty.bytes(), 0U);
  EXPECT_TRUE(dirty.empty());
}

TEST(DirtyMap, ARecordThatChangesWithoutGrowingTakesItsSpaceOnce) {
  DirtyMap dirty;
  dirty.put(Table::nodes, "key", "first value");
  const auto before = dirty.bytes();
  for (int i = 0; i < 100; ++i) dirty.put(Table::nodes, "key", i % 2 == 0 ? "short" : "longer one");
  EXPECT_EQ(dirty.bytes(), before);
  EXPECT_EQ(dirty.records().at({Table::nodes, "key"}), "longer one");
}

TEST(DirtyMap, AnEmptyValueIsThereAndNotNull) {
  DirtyMap dirty;
  dirty.put(Table::change_paths, "key", "");
  const auto value = dirty.records().at({Table::change_paths, "key"});
  ASSERT_TRUE(value.has_value());
  EXPECT_NE(value->data(), nullptr);
  dirty.put(Table::change_paths, "key", "grown");
  EXPECT_EQ(dirty.records().at({Table::change_paths, "key"}), "grown");
}

TEST(DirtyMap, AMapThatWasMovedFromIsEmptyAndCanBeUsed) {
  DirtyMap first;
  first.put(Table::nodes, "key", "one");
  DirtyMap second = std::move(first);
  first.put(Table::nodes, "key", "two");  // NOLINT: a moved-from map is empty, and that is tested.
  EXPECT_EQ(second.records().at({Table::nodes, "key"}), "one");
  EXPECT_EQ(first.records().at({Table::nodes, "key"}), "two");
}

}  // namespace
}  // namespace coord
