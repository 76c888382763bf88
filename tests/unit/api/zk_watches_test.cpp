#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/zk/watches.hpp"
#include "coord/base/prng.hpp"

namespace coord::api::zk {
namespace {

using Kind = znode::ChangeKind;

class Table {
 public:
  // "client:type:path" of what one change fires.
  std::vector<std::string> change(Kind kind, std::string path) {
    znode::ChangeBatch batch;
    batch.changes.emplace_back();
    batch.changes.back().kind = kind;
    batch.changes.back().path = std::move(path);
    WatchTable::Events events;
    watches.publish(batch, events);
    watches.check_invariants();
    std::vector<std::string> told;
    for (const auto& fired : events.fired) {
      told.push_back(std::to_string(fired.client) + ":" +
                     std::to_string(static_cast<int>(fired.type)) + ":" + events.paths[fired.path]);
    }
    return told;
  }
  WatchTable watches;
};

using Told = std::vector<std::string>;

TEST(WatchTable, AOneShotWatchFiresOnceAndForItsKindAlone) {
  Table table;
  table.watches.add(1, "/a", data_watch);
  table.watches.add(2, "/a", child_watch);
  EXPECT_EQ(table.change(Kind::acl, "/a"), Told());
  EXPECT_EQ(table.change(Kind::changed, "/a"), Told{"1:3:/a"});
  EXPECT_EQ(table.change(Kind::changed, "/a"), Told());
  EXPECT_EQ(table.change(Kind::created, "/a/x"), Told{"2:4:/a"});
  EXPECT_EQ(table.change(Kind::created, "/a/y"), Told());
  EXPECT_EQ(table.watches.size(), 0U);
}

TEST(WatchTable, SeveralKindsOnOneNodeGiveOneDeletedEvent) {
  Table table;
  table.watches.add(1, "/a/b", any_watch);
  table.watches.add(1, "/a", recursive_watch | child_watch);
  EXPECT_EQ(table.change(Kind::deleted, "/a/b"), (Told{"1:2:/a/b", "1:4:/a"}));
  EXPECT_EQ(table.watches.kinds_of(1, "/a/b"), persistent_watch | recursive_watch);
}

TEST(WatchTable, APersistentWatchStaysAndTellsOfChildren) {
  Table table;
  table.watches.add(1, "/a", persistent_watch | data_watch);
  EXPECT_EQ(table.change(Kind::created, "/a"), Told{"1:1:/a"});
  EXPECT_EQ(table.change(Kind::changed, "/a"), Told{"1:3:/a"});
  EXPECT_EQ(table.change(Kind::created, "/a/b"), Told{"1:4:/a"});
  EXPECT_EQ(table.change(Kind::changed, "/a/b"), Told());
  EXPECT_EQ(table.change(Kind::deleted, "/a"), Told{"1:2:/a"});
  EXPECT_EQ(table.change(Kind::created, "/a"), Told{"1:1:/a"});
}

TEST(WatchTable, ARecursiveWatchTellsOfAllBelowAndNothingOfChildren) {
  Table table;
  table.watches.add(1, "/", recursive_watch);
  table.watches.add(2, "/a", recursive_watch);
  EXPECT_EQ(table.change(Kind::created, "/a/b"), (Told{"2:1:/a/b", "1:1:/a/b"}));
  EXPECT_EQ(table.change(Kind::deleted, "/b"), Told{"1:2:/b"});
  EXPECT_EQ(table.change(Kind::changed, "/"), Told{"1:3:/"});
}

TEST(WatchTable, HalfOfAPersistentWatchCanBeRemoved) {
  struct Case {
    std::uint8_t kinds;
    std::uint8_t removed;
    Told made, changed, child, child_gone, gone;
  };
  for (const auto& one :
       {Case{persistent_watch, any_child_watch, {"1:1:/a"}, {"1:3:/a"}, {}, {}, {"1:2:/a"}},
        Case{persistent_watch, any_data_watch, {}, {}, {"1:4:/a"}, {"1:4:/a"}, {"1:2:/a"}},
        Case{recursive_watch,
             any_child_watch,
             {"1:1:/a"},
             {"1:3:/a"},
             {"1:1:/a/b"},
             {"1:2:/a/b"},
             {"1:2:/a"}},
        Case{recursive_watch, any_data_watch, {}, {}, {}, {"1:2:/a/b"}, {"1:2:/a"}}}) {
    Table table;
    table.watches.add(1, "/a", one.kinds);
    EXPECT_EQ(table.watches.size(), 2U);
    EXPECT_EQ(table.watches.remove(1, "/a", one.removed), one.kinds & one.removed);
    EXPECT_EQ(table.watches.remove(1, "/a", one.removed), 0);
    EXPECT_EQ(table.change(Kind::created, "/a"), one.made);
    EXPECT_EQ(table.change(Kind::changed, "/a"), one.changed);
    EXPECT_EQ(table.change(Kind::created, "/a/b"), one.child);
    EXPECT_EQ(table.change(Kind::deleted, "/a/b"), one.child_gone);
    EXPECT_EQ(table.change(Kind::deleted, "/a"), one.gone);
    EXPECT_EQ(table.watches.remove(1, "/a", any_watch), one.kinds & ~one.removed);
    EXPECT_EQ(table.watches.size(), 0U);
  }
}

TEST(WatchTable, WatchesAreRemovedByKindAndWithTheirClient) {
  Table table;
  EXPECT_EQ(table.watches.remove(1, "/a", any_watch), 0);
  table.watches.add(1, "/a", data_watch | child_watch);
  table.watches.add(1, "/b", data_watch);
  table.watches.add(2, "/a", data_watch);
  EXPECT_EQ(table.watches.remove(1, "/a", child_watch | recursive_watch), child_watch);
  EXPECT_EQ(table.watches.count_of(1), 2U);
  table.watches.drop(1);
  table.watches.check_invariants();
  EXPECT_EQ(table.watches.count_of(1), 0U);
  EXPECT_EQ(table.watches.path_count(), 1U);
  EXPECT_EQ(table.change(Kind::changed, "/a"), Told{"2:3:/a"});
  EXPECT_EQ(table.watches.client_count(), 0U);
}

TEST(WatchTable, RandomStepsKeepItWhole) {
  Prng prng(7);
  Table table;
  const std::vector<std::string> paths = {"/", "/a", "/a/b", "/a/b/c", "/d"};
  for (int step = 0; step < 5'000; ++step) {
    const auto& path = paths[prng.below(paths.size())];
    const ClientId client = prng.between(1, 4);
    switch (prng.below(5)) {
      case 0:
      case 1:
        table.watches.add(client, path, static_cast<std::uint8_t>(prng.between(1, any_watch)));
        break;
      case 2:
        table.watches.remove(client, path, static_cast<std::uint8_t>(prng.between(1, any_watch)));
        break;
      case 3:
        if (prng.chance(1, 20)) table.watches.drop(client);
        break;
      default:
        table.change(static_cast<Kind>(prng.between(1, 4)), path);
    }
    table.watches.check_invariants();
  }
}

TEST(WatchTable, WhatOnlyAWatchThatStaysHearsIsGuarded) {
  Table table;
  table.watches.add(1, "/a", data_watch | persistent_watch);
  table.watches.add(2, "/a", persistent_watch);
  table.watches.add(3, "/", recursive_watch);
  znode::ChangeBatch batch;
  batch.changes.resize(2);
  batch.changes[0].path = "/a";
  batch.changes[1].kind = Kind::created;
  batch.changes[1].path = "/a/b";
  WatchTable::Events events;
  table.watches.publish(batch, events);
  std::vector<std::string> told;
  for (const auto& fired : events.fired) {
    told.push_back(std::to_string(fired.client) + (fired.is_guarded ? " if it may read " : " ") +
                   events.paths[fired.path] + " of " + fired.change->path);
  }
  EXPECT_EQ(told, (Told{"1 /a of /a", "2 if it may read /a of /a", "3 if it may read /a of /a",
                        "3 if it may read /a/b of /a/b", "1 if it may read /a of /a/b",
                        "2 if it may read /a of /a/b"}));
}

}  // namespace
}  // namespace coord::api::zk
