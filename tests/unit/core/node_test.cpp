// Node: order of effects, durability, checkpoints, time.
#include "coord/core/node.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "harness.hpp"

namespace coord::core {
namespace {

TEST(Node, ElectsItselfAndServes) {
  Harness world;
  std::string why;
  EXPECT_TRUE(world.node().is_ready(why)) << why;
  const auto status = std::get<Status>(world.ask(GetStatus{}).result);
  EXPECT_EQ(status.role, "leader");
  EXPECT_EQ(status.cluster, "6b0c");
  EXPECT_EQ(status.leader, MemberId(1));
  EXPECT_EQ(status.applied, status.committed);
  EXPECT_EQ(status.applied, status.last);
  EXPECT_EQ(status.nodes, 5U);
  EXPECT_TRUE(status.is_ready);
  world.advance(500);
  EXPECT_EQ(std::get<Status>(world.ask(GetStatus{}).result).uptime_ms, 500);
}

TEST(Node, SaysWhyItIsNotReady) {
  Harness world;
  std::string why;
  world.step(DiskFull{true});
  EXPECT_FALSE(world.node().is_ready(why));
  EXPECT_EQ(why, "the disk is full");
  world.step(DiskFull{false});
  EXPECT_TRUE(world.node().is_ready(why));
}

TEST(Node, SaysForHowLongItHasNotBeenReady) {
  Harness world;
  world.advance(500);
  EXPECT_EQ(world.node().status().unready_ms, 0);
  world.step(DiskFull{true});
  world.advance(300);
  EXPECT_EQ(world.node().status().unready_ms, 300);
  world.step(DiskFull{false});
  EXPECT_EQ(world.node().status().unready_ms, 0);
}

TEST(Node, ALeaderKnowsTheSizesOfItsProposals) {
  Harness world;
  const auto before = world.node().status().leading.value().proposals;
  EXPECT_EQ(before.count, 1U) << "what a cluster begins with";
  EXPECT_EQ(before.least, before.last);
  world.ask(put_of("/a", std::string(1'000, 'x')));
  const auto large = world.node().status().leading.value().proposals;
  EXPECT_GT(large.last, 1'000U);
  EXPECT_LT(large.last, 1'200U);
  world.ask(put_of("/a", ""));
  const auto small = world.node().status().leading.value().proposals;
  EXPECT_EQ(small.count, 3U);
  EXPECT_LT(small.last, 200U);
  EXPECT_EQ(small.most, std::max(before.most, large.last));
  EXPECT_EQ(small.least, std::min(before.least, small.last));
}

TEST(Node, AnswersAWriteOnlyOnceItIsSynced) {
  Harness world;
  world.syncs = false;
  const auto id = world.send(world.request(put_of("/a", "1")));
  EXPECT_FALSE(world.reply_of(id));
  EXPECT_EQ(world.unsynced.size(), 1U);
  EXPECT_FALSE(world.node().state().tree().get("/a")) << "applied before it was durable";
  world.sync_one();
  world.run();
  const auto reply = world.reply_of(id);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->code, Code::ok);
  EXPECT_EQ(reply->revision, world.node().state().applied());
  EXPECT_TRUE(std::get<Written>(reply->result).created);
}

TEST(Node, AReadSeesNoWriteThatIsNotDurable) {
  Harness world;
  world.syncs = false;
  const auto write = world.send(world.request(put_of("/a", "1")));
  EXPECT_EQ(world.ask(Get{"/a"}).code, Code::no_node);
  world.sync_one();
  world.run();
  EXPECT_TRUE(world.reply_of(write));
  EXPECT_EQ(world.ask(Get{"/a"}).code, Code::ok);
}

TEST(Node, TheEventsOfAChangeComeBeforeItsReplyAndAReadAfterBoth) {
  Harness world;
  world.step(world.watch_of(1, "/", watch::Depth::subtree));
  world.deliveries.clear();
  world.syncs = false;
  world.send(world.request(put_of("/a", "1")));
  auto read = world.request(Get{"/a"});
  read.consistency = Consistency::local;
  read.min_revision = world.node().state().applied().next();
  world.send(read);
  EXPECT_TRUE(world.deliveries.empty());
  world.sync_one();
  world.run();
  ASSERT_EQ(world.deliveries.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<WatchEvent>(world.deliveries[0]));
  EXPECT_TRUE(std::holds_alternative<Written>(std::get<Reply>(world.deliveries[1]).result));
  EXPECT_TRUE(std::holds_alternative<NodeValue>(std::get<Reply>(world.deliveries[2]).result));
}

TEST(Node, OneTurnPersistsAllThatCameTogether) {
  Harness world;
  world.syncs = false;
  for (int i = 0; i < 5; ++i) world.node().step(ClientRequest{world.request(put_of("/a", "1"))});
  world.run();
  ASSERT_EQ(world.unsynced.size(), 1U);
  EXPECT_EQ(world.unsynced.front().entries.size(), 5U);
}

TEST(Node, ARestartKeepsWhatWasAnsweredAndItsDigest) {
  Harness world;
  world.put("/a", "1");
  const auto session = world.open_session(5'000);
  auto create = world.request(put_of("/e", "1"));
  std::get<Put>(create.op).mode = znode::Mode::ephemeral;
  create.session = session;
  EXPECT_EQ(world.call(create).code, Code::ok);
  const auto digest = world.node().state().digest();
  world.restart();
  EXPECT_EQ(world.node().state().digest(), digest);
  world.advance(20'000);  // Past the interval: a checkpoint was written.
  EXPECT_TRUE(world.store.mark());
  world.put("/a", "2");
  const auto later = world.node().state().digest();
  world.restart();
  EXPECT_EQ(world.node().state().digest(), later);
  EXPECT_EQ(std::get<NodeValue>(world.ask(Get{"/a"}).result).value, Blob("2"));
}

TEST(Node, AWriteWhoseFateIsNotKnownInTimeSaysSo) {
  Harness world;
  world.syncs = false;
  auto request = world.request(put_of("/a", "1"));
  request.timeout_ms = 1'000;
  const auto id = world.send(request);
  world.advance(900);
  EXPECT_FALSE(world.reply_of(id));
  world.advance(200);
  EXPECT_EQ(world.reply_of(id)->code, Code::outcome_unknown);
  world.syncs = true;
  world.run();
  EXPECT_FALSE(world.reply_of(id)) << "answered twice";
  EXPECT_EQ(world.ask(Get{"/a"}).code, Code::ok) << "it took effect all the same";
}

TEST(Node, AReadThatNoLeaderConfirmsEndsInTime) {
  Harness world;
  world.syncs = false;
  world.restart();  // It cannot sync its vote: there is no leader.
  auto request = world.request(Get{"/a"});
  request.timeout_ms = 1'000;
  const auto id = world.send(request);
  auto local = world.request(Get{"/"});
  local.consistency = Consistency::local;
  EXPECT_EQ(world.call(local).code, Code::ok) << "local reads work without a leader";
  world.advance(1'100);
  EXPECT_EQ(world.reply_of(id)->code, Code::no_leader);
  EXPECT_EQ(world.put("/a", "1").code, Code::no_leader);
  std::string why;
  EXPECT_FALSE(world.node().is_ready(why));
}

TEST(Node, AFullDiskRefusesWritesServesReadsAndRecovers) {
  Harness world;
  world.put("/a", "1");
  world.step(DiskFull{true});
  const auto reply = world.put("/a", "2");
  EXPECT_EQ(reply.code, Code::disk_full);
  EXPECT_EQ(std::get<NodeValue>(world.ask(Get{"/a"}).result).value, Blob("1"));
  world.step(DiskFull{false});
  EXPECT_EQ(world.put("/a", "3").code, Code::ok);
}

TEST(Node, AFullDiskLetsGoOfTheLogUpToTheLastCheckpoint) {
  Harness::Options options;
  options.checkpoint.records_max = 1;
  Harness world(options);
  world.put("/a", "1");
  const auto checkpointed = world.node().status().checkpointed;
  EXPECT_EQ(checkpointed, world.node().status().applied);
  EXPECT_LT(world.recycled.value_or(Index()), checkpointed) << "the store may fall back";
  world.step(DiskFull{true});
  EXPECT_EQ(world.recycled, checkpointed);
  EXPECT_EQ(world.node().status().checkpointed, checkpointed);
  // Once is enough.
  world.checkpoints = false;
  world.advance(1'000);
  EXPECT_FALSE(world.unwritten);
}

TEST(Node, ADroppedConnectionIsToldNothing) {
  Harness world;
  world.step(world.watch_of(1, "/a"));
  world.syncs = false;
  world.send(world.request(put_of("/a", "1")));
  world.deliveries.clear();
  world.step(Disconnected{Harness::kConnection});
  world.syncs = true;
  world.run();
  EXPECT_TRUE(world.deliveries.empty());
  EXPECT_EQ(world.node().watch_count(), 0U);
  EXPECT_EQ(world.node().pending_count(), 0U);
  EXPECT_TRUE(world.node().state().tree().get("/a")) << "the write happens all the same";
}

TEST(Node, ACheckpointIsDueByRecordsBytesLogOrTime) {
  struct Case {
    const char* name;
    CheckpointPolicy policy;
  };
  const CheckpointPolicy never{.records_max = 1'000'000,
                               .bytes_max = 1ULL << 40,
                               .bulk_bytes_max = 1ULL << 40,
                               .interval_ms = 1LL << 40,
                               .log_bytes_max = 1ULL << 40,
                               .backlog_factor = 3};
  auto by_records = never;
  by_records.records_max = 30;
  auto by_bytes = never;
  by_bytes.bytes_max = 8'000;
  auto by_bulk = never;
  by_bulk.bulk_bytes_max = 2'000;
  by_bulk.bulk_ms = 1LL << 40;
  auto by_log = never;
  by_log.log_bytes_max = 1'000;
  auto by_time = never;
  by_time.interval_ms = 100;
  for (const auto& [name, policy] : {Case{"records", by_records},
                                     {"bytes", by_bytes},
                                     {"bulk", by_bulk},
                                     {"log", by_log},
                                     {"time", by_time}}) {
    Harness::Options options;
    options.checkpoint = policy;
    Harness world(options);
    for (int i = 0; i < 20; ++i) {
      world.put(fmt::format("/n{}", i), std::string(100, 'v'));
      world.advance(20);
    }
    EXPECT_GT(world.node().checkpointed(), Index()) << name;
    EXPECT_TRUE(world.recycled) << name;
  }
  Harness::Options options;
  options.checkpoint = never;
  Harness world(options);
  world.put("/a", "1");
  world.advance(60'000);
  // A first start may write what a fresh tree holds; nothing after it.
  EXPECT_LT(world.node().checkpointed(), index_of(world.node().state().applied()));
}

// History alone is no bulk load: the pages that updates share are written once for all of them.
TEST(Node, UpdatesOfOneNodeGather) {
  Harness::Options options;
  options.checkpoint.bulk_bytes_max = 4'000;
  options.checkpoint.bulk_ms = 1LL << 40;
  options.checkpoint.interval_ms = 1LL << 40;
  Harness world(options);
  world.put("/a", "1");
  const auto checkpointed = world.node().checkpointed();
  for (int i = 0; i < 100; ++i) world.put("/a", std::string(100, 'v'));
  EXPECT_EQ(world.node().checkpointed(), checkpointed);
  EXPECT_GT(world.node().state().dirty_bytes(), options.checkpoint.bulk_bytes_max);
  for (int i = 0; i < 100; ++i) world.put(fmt::format("/b{}", i), std::string(100, 'v'));
  EXPECT_GT(world.node().checkpointed(), checkpointed);
}

TEST(Node, DrawsTheBoundsOfEachCheckpointApart) {
  for (const std::uint64_t spread : {0U, 40U}) {
    Harness::Options options;
    options.checkpoint.records_max = 300;
    options.checkpoint.spread_percent = spread;
    Harness world(options);
    world.put("/a", "1");
    std::vector<std::uint64_t> lengths;
    auto last = world.node().checkpointed();
    for (int i = 0; i < 3'000; ++i) {
      world.put("/a", "1");
      const auto now = world.node().checkpointed();
      if (now == last) continue;
      lengths.push_back(now.value() - last.value());
      last = now;
    }
    ASSERT_GT(lengths.size(), 10U);
    lengths.erase(lengths.begin());  // It may have begun before.
    const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
    EXPECT_LE(*most, 300U);
    if (spread == 0) {
      EXPECT_EQ(*least, *most);
    } else {
      EXPECT_LT(*least, *most * 9 / 10);
      EXPECT_GE(*least, *most * 6 / 10 - 1);
    }
  }
}

TEST(Node, AnIdleMemberWritesNoCheckpoints) {
  Harness world;
  world.advance(60'000);
  const auto checkpointed = world.node().checkpointed();
  world.advance(120'000);
  EXPECT_EQ(world.node().checkpointed(), checkpointed);
}

TEST(Node, TheLogIsKeptBackToTheSecondLastCheckpoint) {
  Harness::Options options;
  options.checkpoint.interval_ms = 100;
  Harness world(options);
  world.put("/a", "1");
  world.advance(200);
  const auto first = world.node().checkpointed();
  world.put("/a", "2");
  world.advance(200);
  EXPECT_GT(world.node().checkpointed(), first);
  EXPECT_EQ(world.recycled, first);
}

TEST(Node, WritesWaitWhileTheStoreIsBehindAndKeepTheirOrder) {
  Harness::Options options;
  options.checkpoint.records_max = 30;
  options.checkpoint.backlog_factor = 2;
  Harness world(options);
  world.checkpoints = false;
  std::vector<RequestId> ids;
  for (int i = 0; i < 60; ++i) {
    ids.push_back(world.send(world.request(put_of("/a", fmt::format("{}", i)))));
  }
  EXPECT_TRUE(world.reply_of(ids.front()));
  EXPECT_FALSE(world.reply_of(ids.back())) << "memory grows";
  EXPECT_LT(world.node().state().dirty().size(), 90U);
  auto hasty = world.request(put_of("/a", "late"));
  hasty.timeout_ms = 100;
  const auto late = world.send(hasty);
  world.advance(200);
  EXPECT_EQ(world.reply_of(late)->code, Code::overloaded) << "its own deadline, not the first's";
  world.checkpoints = true;
  world.run();
  for (std::size_t i = 1; i < ids.size(); ++i) world.reply_of(ids[i]);
  EXPECT_EQ(world.node().pending_count(), 0U);
  EXPECT_EQ(std::get<NodeValue>(world.ask(Get{"/a"}).result).value, Blob("59"));
}

TEST(Node, ServiceTimeGoesOnFromWhatTheLogHeld) {
  Harness world;
  world.checkpoints = false;
  world.advance(30'000);
  world.put("/a", "1");
  const auto before = world.node().state().service_ms();
  EXPECT_GE(before, 30'000);
  world.restart();
  world.advance(1'000);
  world.put("/a", "2");
  EXPECT_GE(world.node().state().service_ms(), before + 1'000) << "service time stood still";
  EXPECT_LE(world.node().state().service_ms(), before + 1'100);
}

TEST(Node, ContainersAndTtlNodesGoWhenTheyAreDue) {
  Harness world;
  Put ttl = put_of("/t", "1");
  ttl.ttl_ms = 2'000;
  world.ask(ttl);
  Put container = put_of("/c", "1");
  container.mode = znode::Mode::container;
  world.ask(container);
  world.put("/c/x", "1");
  world.advance(1'900);
  EXPECT_EQ(world.ask(Get{"/t"}).code, Code::ok);
  world.advance(300);
  EXPECT_EQ(world.ask(Get{"/t"}).code, Code::no_node);
  EXPECT_EQ(world.ask(Delete{"/c/x", false, {}}).code, Code::ok);
  world.advance(9'000);
  EXPECT_EQ(world.ask(Get{"/c"}).code, Code::ok);
  world.advance(2'000);
  EXPECT_EQ(world.ask(Get{"/c"}).code, Code::no_node);
}

}  // namespace
}  // namespace coord::core
