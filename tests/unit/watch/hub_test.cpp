#include "watch/hub.hpp"

#include <gtest/gtest.h>

#include "tests/unit/watch/changes.hpp"

namespace coord::watch {
namespace {

constexpr ConnectionId kConnection{1};

// "connection.watch@zxid:indices", one word an event; "*" for all changes.
std::string text_of(const std::vector<Event>& events) {
  std::string text;
  for (const auto& event : events) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}.{}@{}:", event.connection, event.watch, event.batch->zxid);
    if (event.wanted.empty()) text += '*';
    for (const auto index : event.wanted) text += fmt::format("{},", index);
  }
  return text;
}

struct Sight {
  Hub hub;
  History history;
  explicit Sight(WatchLimits limits = {}) : hub(limits), history(limits, Zxid(0)) {}

  void add(std::uint64_t connection, std::uint64_t watch, Filter filter,
           std::optional<Zxid> from = std::nullopt) {
    ASSERT_EQ(hub.subscribe(ConnectionId(connection), WatchId(watch), std::move(filter), from,
                            history.last()),
              Code::ok);
  }
  std::string publish(const znode::SharedBatch& batch) {
    std::vector<Event> events;
    history.append(batch);
    hub.publish(batch, events);
    hub.check_invariants();
    return text_of(events);
  }
  // One page, and " live" when it was the last.
  std::string page(std::uint64_t watch) {
    std::vector<Event> events;
    const bool is_live = hub.page(kConnection, WatchId(watch), history, events);
    hub.check_invariants();
    return text_of(events) + (is_live ? " live" : "");
  }
};

TEST(Hub, GivesEveryWatchItsShareOfABatchInOrder) {
  Sight sight;
  sight.add(2, 1, {{"/a"}, Depth::subtree});
  sight.add(1, 9, {{"/"}, Depth::subtree});
  sight.add(1, 10, {{"/a"}, Depth::node});
  sight.add(1, 2, {{"/a"}, Depth::children});
  sight.add(3, 1, {{"/x"}, Depth::subtree});
  EXPECT_EQ(sight.publish(batch_at(5, {"/a"})), "1.2@5:* 1.9@5:* 1.10@5:* 2.1@5:*");
  EXPECT_EQ(sight.publish(batch_at(6, {"/a/b/c", "/a/b", "/a", "/z"})),
            "1.2@6:1,2, 1.9@6:* 1.10@6:2, 2.1@6:0,1,2,");
  EXPECT_EQ(sight.publish(batch_at(7, {"/q", "/a/b", "/q", "/a"})),
            "1.2@7:1,3, 1.9@7:* 1.10@7:3, 2.1@7:1,3,");
  EXPECT_EQ(sight.publish(batch_at(8, {"/.coord/x"})), "");
}

TEST(Hub, AWatchOfManyPathsGetsAChangeOnce) {
  Sight sight;
  sight.add(1, 1, {{"/a", "/a/b", "/a", "/"}, Depth::subtree});
  sight.add(1, 2, {{"/a", "/a/b"}, Depth::children});
  EXPECT_EQ(sight.publish(batch_at(5, {"/x", "/a/b"})), "1.1@5:* 1.2@5:1,");
  EXPECT_EQ(sight.publish(batch_at(6, {"/a/b", "/a/b", "/a"})), "1.1@6:* 1.2@6:*");
}

TEST(Hub, AclChangesAreNeverGiven) {
  Sight sight;
  sight.add(1, 1, {{"/a"}, Depth::node});
  EXPECT_EQ(sight.publish(make_batch(5, {make_change("/a", znode::ChangeKind::acl)})), "");
  EXPECT_EQ(
      sight.publish(make_batch(6, {make_change("/a", znode::ChangeKind::acl), make_change("/a")})),
      "1.1@6:1,");
}

TEST(Hub, SystemNodesAreSeenOnDemandOrFromWithin) {
  Sight sight;
  sight.add(1, 1, {{"/"}, Depth::subtree, false});
  sight.add(1, 2, {{"/"}, Depth::subtree, true});
  sight.add(1, 3, {{"/.coord"}, Depth::subtree, false});
  sight.add(1, 4, {{"/"}, Depth::children, false});
  sight.add(1, 5, {{"/"}, Depth::children, true});
  EXPECT_EQ(sight.publish(batch_at(5, {"/.coord/a"})), "1.2@5:* 1.3@5:*");
  EXPECT_EQ(sight.publish(batch_at(6, {"/.coord"})), "1.2@6:* 1.3@6:* 1.5@6:*");
}

TEST(Hub, NothingComesAfterUnsubscribe) {
  Sight sight;
  sight.add(1, 1, {{"/a"}, Depth::node});
  sight.add(1, 2, {{"/a"}, Depth::node});
  EXPECT_TRUE(sight.hub.unsubscribe(kConnection, WatchId(1)));
  EXPECT_FALSE(sight.hub.unsubscribe(kConnection, WatchId(1)));
  EXPECT_FALSE(sight.hub.unsubscribe(ConnectionId(9), WatchId(2)));
  EXPECT_EQ(sight.publish(batch_at(5, {"/a"})), "1.2@5:*");
  EXPECT_EQ(sight.hub.size(), 1U);
}

TEST(Hub, AConnectionGoesWithAllItsWatchesAndNoOthers) {
  Sight sight;
  for (std::uint64_t connection = 1; connection <= 3; ++connection) {
    sight.add(connection, 1, {{"/a"}, Depth::node});
    sight.add(connection, 2, {{"/a"}, Depth::subtree}, Zxid(0));
  }
  EXPECT_EQ(sight.hub.drop_connection(ConnectionId(2)), 2U);
  EXPECT_EQ(sight.hub.drop_connection(ConnectionId(2)), 0U);
  EXPECT_EQ(sight.hub.count_of(ConnectionId(2)), 0U);
  EXPECT_EQ(sight.hub.count_of(ConnectionId(3)), 2U);
  EXPECT_EQ(sight.publish(batch_at(5, {"/a"})), "1.1@5:* 1.2@5:* 3.1@5:* 3.2@5:*");
}

TEST(Hub, RefusesWhatIsTooMuch) {
  WatchLimits limits;
  limits.watches_per_connection_max = 1;
  limits.paths_per_watch_max = 2;
  Hub hub(limits);
  EXPECT_EQ(hub.subscribe(kConnection, WatchId(1), {{"/a", "/b", "/c"}}, std::nullopt, Zxid(0)),
            Code::too_large);
  EXPECT_EQ(hub.size(), 0U);
  EXPECT_EQ(hub.subscribe(kConnection, WatchId(1), {{"/a", "/b"}}, std::nullopt, Zxid(0)),
            Code::ok);
  EXPECT_EQ(hub.subscribe(kConnection, WatchId(2), {{"/a"}}, std::nullopt, Zxid(0)),
            Code::overloaded);
  EXPECT_EQ(hub.subscribe(ConnectionId(2), WatchId(2), {{"/a"}}, std::nullopt, Zxid(0)), Code::ok);
  EXPECT_EQ(hub.size(), 2U);
}

TEST(Hub, AWatchThatCatchesUpIsGivenNothingButItsPages) {
  Sight sight;
  for (std::uint64_t zxid = 1; zxid <= 4; ++zxid) sight.publish(batch_at(zxid, {"/a"}));
  sight.add(1, 1, {{"/a"}, Depth::node}, Zxid(2));
  EXPECT_EQ(sight.hub.cursor_of(kConnection, WatchId(1)), Zxid(2));
  EXPECT_EQ(sight.publish(batch_at(5, {"/a"})), "");
  EXPECT_EQ(sight.page(1), "1.1@3:* 1.1@4:* 1.1@5:* live");
  EXPECT_EQ(sight.hub.cursor_of(kConnection, WatchId(1)), std::nullopt);
  EXPECT_EQ(sight.page(1), " live");
  EXPECT_EQ(sight.publish(batch_at(6, {"/a"})), "1.1@6:*");
}

TEST(Hub, APageIsBoundedByBytesAndSplitsNoBatch) {
  WatchLimits limits;
  limits.replay_page_bytes = 3 * kKiB;
  Sight sight(limits);
  for (std::uint64_t zxid = 1; zxid <= 4; ++zxid) {
    auto change = make_change("/a");
    change.value = Blob(std::string(zxid == 4 ? 9 * kKiB : kKiB, 'x'));
    sight.publish(make_batch(zxid, {change, make_change("/other")}));
  }
  sight.add(1, 1, {{"/a"}, Depth::node}, Zxid(0));
  EXPECT_EQ(sight.page(1), "1.1@1:0, 1.1@2:0,");
  EXPECT_EQ(sight.page(1), "1.1@3:0,");
  EXPECT_EQ(sight.page(1), "1.1@4:0, live");
}

TEST(Hub, APageIsBoundedInWhatItLooksAt) {
  Sight sight;
  for (std::uint64_t zxid = 1; zxid <= Hub::kPageChangesMax; ++zxid) {
    sight.publish(batch_at(zxid, {"/b"}));
  }
  sight.publish(batch_at(Hub::kPageChangesMax + 1, {"/a"}));
  sight.add(1, 1, {{"/a"}, Depth::node}, Zxid(0));
  EXPECT_EQ(sight.page(1), "");
  EXPECT_EQ(sight.hub.cursor_of(kConnection, WatchId(1)), Zxid(Hub::kPageChangesMax));
  EXPECT_EQ(sight.page(1), "1.1@10001:* live");
}

TEST(Hub, AResumePointOfTheFutureBringsNothingOld) {
  Sight sight;
  sight.publish(batch_at(5, {"/a"}));
  sight.add(1, 1, {{"/a"}, Depth::node}, Zxid(7));
  EXPECT_EQ(sight.publish(batch_at(6, {"/a"})), "");
  EXPECT_EQ(sight.publish(batch_at(7, {"/a"})), "");
  EXPECT_EQ(sight.publish(batch_at(8, {"/a"})), "1.1@8:*");
}

TEST(Hub, ABatchThatAPageGaveIsNotPublishedAgain) {
  Sight sight;
  sight.publish(batch_at(5, {"/a"}));
  sight.add(1, 1, {{"/a"}, Depth::node}, Zxid(0));
  const auto batch = batch_at(6, {"/a"});
  sight.history.append(batch);
  EXPECT_EQ(sight.page(1), "1.1@5:* 1.1@6:* live");
  std::vector<Event> events;
  sight.hub.publish(batch, events);
  EXPECT_EQ(text_of(events), "");
}

TEST(Hub, WhatTheStoreBringsMovesTheCursorAndMakesNothingLive) {
  Sight sight;
  sight.history.reset(Zxid(10));
  sight.publish(batch_at(11, {"/a"}));
  sight.add(1, 1, {{"/a"}, Depth::node}, Zxid(3));
  const std::vector<znode::SharedBatch> batches = {batch_at(3, {"/a"}), batch_at(4, {"/b", "/a"}),
                                                   batch_at(6, {"/b"})};
  std::vector<Event> events;
  sight.hub.page_stored(kConnection, WatchId(1), batches, Zxid(10), events);
  EXPECT_EQ(text_of(events), "1.1@4:1,");
  EXPECT_EQ(sight.hub.cursor_of(kConnection, WatchId(1)), Zxid(10));
  EXPECT_EQ(sight.page(1), "1.1@11:* live");
}

TEST(Hub, OneBatchOfManyChangesNamesAllOfThemWithoutAList) {
  Sight sight;
  sight.add(1, 1, {{"/a"}, Depth::subtree});
  std::vector<std::string> paths(10'000, "/a/b");
  EXPECT_EQ(sight.publish(batch_at(5, paths)), "1.1@5:*");
}

}  // namespace
}  // namespace coord::watch
