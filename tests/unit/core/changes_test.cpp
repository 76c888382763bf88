// The stored form of changes, and the three questions to the store.
#include "coord/core/changes.hpp"

#include <gtest/gtest.h>

#include "coord/base/prng.hpp"
#include "harness.hpp"

namespace coord::core {
namespace {

znode::Change change_of(std::string path, znode::ChangeKind kind = znode::ChangeKind::changed) {
  znode::Change change;
  change.kind = kind;
  change.path = std::move(path);
  change.value = Blob("after");
  change.prev_value = Blob("before");
  change.session = SessionId(4);
  return change;
}

class Table3 {
 public:
  void add(std::uint64_t zxid, std::vector<znode::Change> changes) {
    znode::ChangeBatch batch;
    batch.zxid = Zxid(zxid);
    batch.wall_ms = static_cast<std::int64_t>(zxid) * 10;
    batch.changes = std::move(changes);
    store.add(batch);
  }
  StoreAnswer ask(StoreQuestion question) {
    auto found = answer({7, std::move(question)}, store.reader());
    EXPECT_EQ(found.token, 7U);
    return found;
  }
  FakeStore store;
};

std::vector<std::uint64_t> zxids_of(const StoreAnswer& found) {
  std::vector<std::uint64_t> zxids;
  for (const auto& batch : found.batches) zxids.push_back(batch->zxid.value());
  for (const auto& entry : found.entries) zxids.push_back(entry.zxid.value());
  return zxids;
}
using Zxids = std::vector<std::uint64_t>;

TEST(Changes, AStoredChangeComesBackAlikeAndRefusesCuts) {
  znode::ChangeBatch batch;
  batch.zxid = Zxid(9);
  batch.wall_ms = -44;
  batch.changes = {change_of("/a"), change_of("/b", znode::ChangeKind::deleted)};
  const auto bytes = encode_stored(batch, 1);
  std::int64_t wall_ms = 0;
  znode::Change back;
  ASSERT_TRUE(decode_stored(bytes, wall_ms, back));
  EXPECT_EQ(back, batch.changes[1]);
  EXPECT_EQ(wall_ms, -44);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(decode_stored(std::string_view(bytes).substr(0, cut), wall_ms, back)) << cut;
  }
  auto other = bytes;
  other[0] = static_cast<char>(other[0] ^ 1);
  EXPECT_FALSE(decode_stored(other, wall_ms, back)) << "the hash is of another path";
  Prng prng(2);
  for (int round = 0; round < 5'000; ++round) {
    auto damaged = bytes;
    damaged[8 + static_cast<std::size_t>(prng.below(bytes.size() - 8))] =
        static_cast<char>(prng.next());
    if (!decode_stored(damaged, wall_ms, back)) continue;
    EXPECT_EQ(back.path, "/b");
  }
}

TEST(Changes, KeysAreInTheOrderOfRevisions) {
  EXPECT_LT(change_key(Zxid(1), 9), change_key(Zxid(2), 0));
  EXPECT_LT(change_key(Zxid(255), 0), change_key(Zxid(256), 0));
  EXPECT_LT(change_key(Zxid(1), 255), change_key(Zxid(1), 256));
  EXPECT_EQ(change_key(Zxid(1), 0).size(), 12U);
  EXPECT_EQ(change_path_key(1, Zxid(1), 0).size(), 20U);
}

TEST(Changes, TheKeyInTheIndexComesOfTheRecord) {
  znode::ChangeBatch batch;
  batch.zxid = Zxid(0x1234'5678'9abc'def0);
  batch.changes = {change_of("/a"), change_of("/b")};
  EXPECT_EQ(change_path_key_of(change_key(batch.zxid, 1), encode_stored(batch, 1)),
            change_path_key(path_hash("/b"), batch.zxid, 1));
  // Within an epoch by path; an epoch is 65,536 revisions.
  EXPECT_LT(change_path_key(1, Zxid(65'535), 0), change_path_key(2, Zxid(1), 0));
  EXPECT_LT(change_path_key(2, Zxid(65'535), 0), change_path_key(1, Zxid(65'536), 0));
}

TEST(Changes, HistoryIsFoundAcrossEpochs) {
  Table3 table;
  const Zxids at = {5, 65'535, 65'536, 65'537, 131'071, 300'000};
  for (const auto zxid : at) table.add(zxid, {change_of("/a"), change_of("/other")});
  const auto newest_first = [&](std::size_t from, std::size_t count) {
    Zxids all(at.rbegin(), at.rend());
    return Zxids(all.begin() + static_cast<std::ptrdiff_t>(from),
                 all.begin() + static_cast<std::ptrdiff_t>(from + count));
  };
  auto found = table.ask(ReadHistory{"/a", Zxid(), Zxid(300'000), 100});
  EXPECT_EQ(zxids_of(found), newest_first(0, 6));
  EXPECT_TRUE(found.is_last);
  for (std::size_t limit = 1; limit < 6; ++limit) {
    found = table.ask(ReadHistory{"/a", Zxid(), Zxid(300'000), limit});
    EXPECT_EQ(zxids_of(found), newest_first(0, limit)) << limit;
    EXPECT_FALSE(found.is_last) << limit;
  }
  EXPECT_TRUE(table.ask(ReadHistory{"/a", Zxid(), Zxid(300'000), 6}).is_last);
  found = table.ask(ReadHistory{"/a", Zxid(65'536), Zxid(300'000), 100});
  EXPECT_EQ(zxids_of(found), newest_first(4, 2));
  found = table.ask(ReadHistory{"/a", Zxid(5), Zxid(300'000), 100});
  EXPECT_EQ(zxids_of(found), Zxids{});
  EXPECT_TRUE(found.is_last);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto after = Zxid(at[i] - 1);
    EXPECT_EQ(zxids_of(table.ask(ReadFirstAfter{"/a", after, Zxid(400'000)})), Zxids{at[i]});
  }
  EXPECT_EQ(zxids_of(table.ask(ReadFirstAfter{"/a", Zxid(131'071), Zxid(299'999)})), Zxids{});
  EXPECT_EQ(zxids_of(table.ask(ReadFirstAfter{"/a", Zxid(300'000), Zxid(400'000)})), Zxids{});
}

// More than a page of keys that end in one revision, with an older epoch behind.
TEST(Changes, APageThatEndsWithARevisionOfManyChangesIsNotTheLast) {
  Table3 table;
  table.add(5, {change_of("/a")});
  table.add(70'000, {change_of("/a"), change_of("/a"), change_of("/a")});
  const auto found = table.ask(ReadHistory{"/a", Zxid(), Zxid(80'000), 1});
  EXPECT_EQ(zxids_of(found), (Zxids{70'000, 70'000, 70'000}));
  EXPECT_FALSE(found.is_last);
}

TEST(Changes, PagesAreWholeRevisionsWithinTheirBounds) {
  Table3 table;
  for (std::uint64_t zxid = 2; zxid <= 10; zxid += 2) {
    table.add(zxid, {change_of("/a"), change_of("/b")});
  }
  auto found = table.ask(ReadChanges{Zxid(), Zxid(10), 1 << 20, 100});
  EXPECT_EQ(zxids_of(found), (Zxids{2, 4, 6, 8, 10}));
  EXPECT_EQ(found.through, Zxid(10));
  EXPECT_EQ(found.batches[1]->changes.size(), 2U);
  EXPECT_EQ(found.batches[1]->wall_ms, 40);
  found = table.ask(ReadChanges{Zxid(4), Zxid(9), 1 << 20, 100});
  EXPECT_EQ(zxids_of(found), (Zxids{6, 8}));
  EXPECT_EQ(found.through, Zxid(9)) << "all up to there was looked at";
  found = table.ask(ReadChanges{Zxid(), Zxid(10), 1 << 20, 2});
  EXPECT_EQ(zxids_of(found), (Zxids{2, 4}));
  EXPECT_EQ(found.through, Zxid(4));
  found = table.ask(ReadChanges{Zxid(4), Zxid(10), 1, 100});
  EXPECT_EQ(zxids_of(found), Zxids{6}) << "one at least, however large";
  found = table.ask(ReadChanges{Zxid(10), Zxid(20), 1 << 20, 100});
  EXPECT_TRUE(found.batches.empty());
  EXPECT_EQ(found.through, Zxid(20));
}

TEST(Changes, HistoryIsNewestFirstAndCutsNoRevision) {
  Table3 table;
  for (std::uint64_t zxid = 1; zxid <= 6; ++zxid) {
    table.add(zxid, {change_of("/a"), change_of("/other"), change_of("/a")});
  }
  auto found = table.ask(ReadHistory{"/a", Zxid(), Zxid(6), 100});
  EXPECT_EQ(zxids_of(found), (Zxids{6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1}));
  EXPECT_TRUE(found.is_last);
  found = table.ask(ReadHistory{"/a", Zxid(), Zxid(6), 3});
  EXPECT_EQ(zxids_of(found), (Zxids{6, 6, 5, 5}));
  EXPECT_FALSE(found.is_last);
  found = table.ask(ReadHistory{"/a", Zxid(5), Zxid(6), 8});
  EXPECT_EQ(zxids_of(found), (Zxids{4, 4, 3, 3, 2, 2, 1, 1}));
  EXPECT_TRUE(found.is_last);
  found = table.ask(ReadHistory{"/a", Zxid(9), Zxid(2), 8});
  EXPECT_EQ(zxids_of(found), (Zxids{2, 2, 1, 1})) << "never beyond what the ring holds";
}

TEST(Changes, TheFirstChangeAfterSkipsThoseOfTheAcl) {
  Table3 table;
  table.add(1, {change_of("/a", znode::ChangeKind::created)});
  for (std::uint64_t zxid = 2; zxid <= 100; ++zxid) {
    table.add(zxid, {change_of("/a", znode::ChangeKind::acl)});
  }
  table.add(101, {change_of("/a")});
  table.add(102, {change_of("/a")});
  EXPECT_EQ(zxids_of(table.ask(ReadFirstAfter{"/a", Zxid(), Zxid(200)})), Zxids{1});
  EXPECT_EQ(zxids_of(table.ask(ReadFirstAfter{"/a", Zxid(1), Zxid(200)})), Zxids{101});
  EXPECT_EQ(zxids_of(table.ask(ReadFirstAfter{"/a", Zxid(1), Zxid(100)})), Zxids{});
  EXPECT_EQ(zxids_of(table.ask(ReadFirstAfter{"/b", Zxid(), Zxid(200)})), Zxids{});
}

TEST(Changes, DamageAndFailuresAreSaid) {
  Table3 table;
  table.add(1, {change_of("/a")});
  table.store.put(Table::changes, change_key(Zxid(1), 0), "damaged");
  EXPECT_NE(table.ask(ReadChanges{Zxid(), Zxid(9), 1'000, 9}).error, "");
  EXPECT_NE(table.ask(ReadHistory{"/a", Zxid(), Zxid(9), 9}).error, "");
  EXPECT_NE(table.ask(ReadFirstAfter{"/a", Zxid(), Zxid(9)}).error, "");
  table.store.put(Table::changes, "short", "");
  EXPECT_NE(table.ask(ReadChanges{Zxid(1), Zxid(UINT64_MAX), 1'000, 9}).error, "");
  table.store.fail_with("the disk is gone");
  EXPECT_EQ(table.ask(ReadHistory{"/a", Zxid(), Zxid(9), 9}).error, "the disk is gone");
}

}  // namespace
}  // namespace coord::core
