// What core has for the clients of ZooKeeper's protocol: attachments of sessions, what is applied
// as events, whole listings, several reads at once, quotas as nodes.
#include <gtest/gtest.h>

#include "coord/core/reads.hpp"
#include "harness.hpp"

namespace coord::core {
namespace {

Create create_of(std::string path, std::string_view value = {}) {
  Create op;
  op.path = std::move(path);
  op.value = Blob(value);
  return op;
}

class ZooKeeper : public ::testing::Test {
 protected:
  void SetUp() override { world.run(); }

  Reply attach(const SessionCredential& session, std::int64_t ttl_ms = 0) {
    auto request = world.request(AttachSession{session.id, "10.0.0.1", ttl_ms});
    request.session = session;
    return world.call(std::move(request));
  }
  Reply write(const SessionCredential& session, Operation op) {
    auto request = world.request(std::move(op));
    request.session = session;
    return world.call(std::move(request));
  }
  Reply read(Operation op) {
    auto request = world.request(std::move(op));
    request.consistency = Consistency::local;
    request.checks_paths = false;
    return world.call(std::move(request));
  }

  Harness world;
};

TEST_F(ZooKeeper, WhatComesOverAnEarlierConnectionOfASessionIsRefused) {
  auto session = world.open_session(10'000);
  session.attachment = Zxid(session.id.value());
  EXPECT_EQ(write(session, create_of("/a")).code, Code::ok);
  const auto attached = attach({session.id, session.secret, Zxid()});
  ASSERT_EQ(attached.code, Code::ok);
  EXPECT_EQ(std::get<SessionOpened>(attached.result).ttl_ms, 10'000);
  EXPECT_EQ(world.node().state().sessions().find(session.id)->address, "10.0.0.1");
  EXPECT_EQ(write(session, create_of("/b")).code, Code::session_moved);
  EXPECT_EQ(write(session, CloseSession{session.id}).code, Code::session_moved);
  EXPECT_TRUE(world.is_live(session.id));
  session.attachment = attached.revision;
  EXPECT_EQ(write(session, create_of("/b")).code, Code::ok);
  // Over HTTP a session has no connection of its own.
  session.attachment = Zxid();
  EXPECT_EQ(write(session, create_of("/c")).code, Code::ok);
}

TEST_F(ZooKeeper, AnAttachmentTakesTheSecretAndALiveSession) {
  const auto session = world.open_session(10'000);
  auto wrong = session;
  wrong.secret.fill(0xee);
  EXPECT_EQ(attach(wrong).code, Code::bad_session_secret);
  EXPECT_EQ(write(session, CloseSession{session.id}).code, Code::ok);
  EXPECT_EQ(attach(session).code, Code::session_expired);
}

TEST_F(ZooKeeper, AnAttachmentMayChangeTheTtlAndTheSessionLivesSoLong) {
  const auto session = world.open_session(30'000);
  world.advance(5'000);
  for (const std::int64_t ttl_ms : {60'000, 4'000}) {
    const auto attached = attach(session, ttl_ms);
    ASSERT_EQ(attached.code, Code::ok);
    EXPECT_EQ(std::get<SessionOpened>(attached.result).ttl_ms, ttl_ms);
    auto request = world.request(GetSession{session.id});
    request.identities.push_back({"super", ""});
    const auto seen = world.call(std::move(request));
    EXPECT_EQ(std::get<SessionView>(seen.result).remaining_ms, ttl_ms);
  }
  const auto kept = attach(session);
  EXPECT_EQ(std::get<SessionOpened>(kept.result).ttl_ms, 4'000);
  EXPECT_EQ(attach(session, 1).code, Code::invalid);
  world.advance(3'900);
  EXPECT_TRUE(world.is_live(session.id));
  world.advance(200);
  EXPECT_FALSE(world.is_live(session.id));
}

TEST_F(ZooKeeper, AnAttachmentOutlivesARestart) {
  const auto session = world.open_session(10'000);
  const auto attached = attach(session, 20'000);
  world.restart();
  EXPECT_EQ(world.node().state().sessions().find(session.id)->ttl_ms, 20'000);
  EXPECT_EQ(world.node().state().sessions().find(session.id)->attached, attached.revision);
}

TEST_F(ZooKeeper, WhatIsAppliedIsToldAheadOfTheReply) {
  const auto session = world.open_session(10'000);
  world.step(WatchApplied{ConnectionId(99)});
  world.deliveries.clear();
  const auto id = world.send(world.request(create_of("/a")));
  ASSERT_EQ(world.deliveries.size(), 2U);
  const auto& event = std::get<AppliedEvent>(world.deliveries[0]);
  EXPECT_EQ(event.connection, ConnectionId(99));
  EXPECT_EQ(event.batch->changes.at(0).path, "/a");
  EXPECT_EQ(world.reply_of(id)->revision, event.revision);
  world.deliveries.clear();
  attach(session);
  EXPECT_EQ(std::get<AppliedEvent>(world.deliveries.at(0)).moved, std::vector{session.id});
  world.deliveries.clear();
  write(session, CloseSession{session.id});
  EXPECT_EQ(std::get<AppliedEvent>(world.deliveries.at(0)).ended, std::vector{session.id});
  // A refusal changes nothing; and who is gone is told nothing.
  world.deliveries.clear();
  world.ask(create_of("/a"));
  EXPECT_TRUE(world.deliveries.empty());
  world.step(Disconnected{ConnectionId(99)});
  world.ask(create_of("/b"));
  EXPECT_TRUE(world.deliveries.empty());
}

TEST_F(ZooKeeper, ALocalKeepaliveAsksNoQuorumAndRenews) {
  const auto session = world.open_session(10'000);
  world.advance(4'000);
  auto request = world.request(Keepalive{session.id});
  request.session = session;
  request.consistency = Consistency::local;
  const auto reply = world.call(std::move(request));
  ASSERT_EQ(reply.code, Code::ok);
  EXPECT_EQ(std::get<KeepaliveResult>(reply.result).remaining_ms, 10'000);
}

TEST_F(ZooKeeper, AListingIsWholeAndSeveralReadsAreOne) {
  world.ask(create_of("/top"));
  world.ask(create_of("/top/b", "v"));
  world.ask(create_of("/top/a"));
  const auto list = read(GetNames{"/top"});
  EXPECT_EQ(std::get<NameList>(list.result).names, (std::vector<std::string>{"a", "b"}));
  ReadMany many;
  many.reads = {Get{"/top/b", true, {}}, Get{"/none", true, {}}, GetNames{"/top"}};
  const auto reply = read(many);
  const auto& results = std::get<ManyRead>(reply.result).results;
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(std::get<NodeValue>(results[0].result).value.view(), "v");
  EXPECT_EQ(results[1].code, Code::no_node);
  EXPECT_EQ(std::get<NameList>(results[2].result).names.size(), 2U);
  EXPECT_EQ(std::get<NodeCount>(read(CountNodes{"/top"}).result).count, 2U);
}

TEST_F(ZooKeeper, EphemeralsAreListedByTheirBeginning) {
  const auto session = world.open_session(10'000);
  for (const auto* path : {"/a", "/ab", "/b"}) {
    auto op = create_of(path);
    op.mode = znode::Mode::ephemeral;
    EXPECT_EQ(write(session, op).code, Code::ok);
  }
  const auto found = read(GetEphemerals{session.id, "/a"});
  EXPECT_EQ(std::get<PathList>(found.result).paths, (std::vector<std::string>{"/a", "/ab"}));
  EXPECT_EQ(world.node().status().ephemerals, 3U);
}

TEST_F(ZooKeeper, APathIsJudgedWhereItIsUsedIfItWasNotAtTheDoor) {
  struct Case {
    const char* path;
    Code want;
  };
  world.ask(create_of("/a"));
  for (const auto& [path, want] : {Case{"/no//b", Code::no_node}, Case{"/a//b", Code::no_node},
                                   Case{"/a/", Code::bad_request}, Case{"", Code::bad_request},
                                   Case{"x", Code::bad_request}, Case{"/..", Code::bad_request}}) {
    auto request = world.request(create_of(path));
    request.checks_paths = false;
    EXPECT_EQ(world.call(std::move(request)).code, want) << path;
    EXPECT_EQ(read(Get{path, true, {}}).code, Code::no_node) << path;
  }
}

TEST_F(ZooKeeper, TheHashOfADigestTakesAdminToSee) {
  auto op = create_of("/a");
  op.acl = znode::Acl{{znode::read, "world", "anyone"}, {znode::all, "digest", "joe:hash"}};
  ASSERT_EQ(world.ask(op).code, Code::ok);
  auto request = world.request(GetAcl{"/a"});
  EXPECT_EQ(std::get<AclView>(world.call(request).result).acl[1].id, "joe:x");
  request = world.request(GetAcl{"/a"});
  request.identities.push_back({"digest", "joe:hash"});
  EXPECT_EQ(std::get<AclView>(world.call(request).result).acl[1].id, "joe:hash");
}

TEST_F(ZooKeeper, AHardLimitInANodeOfQuotasIsAQuota) {
  world.ask(create_of("/a"));
  EXPECT_EQ(world.ask(create_of("/zookeeper/quota/a")).code, Code::ok);
  const std::string limits = "/zookeeper/quota/a/zookeeper_limits";
  EXPECT_EQ(world.ask(create_of(limits, "count=1,bytes=-1")).code, Code::ok);
  EXPECT_EQ(world.ask(create_of("/a/1")).code, Code::ok) << "a soft limit only warns";
  const auto& tree = world.node().state().tree();
  EXPECT_EQ(quota_stats(tree, "/zookeeper/quota/a/zookeeper_stats"), "count=2,bytes=0");
  for (const auto* path :
       {"/zookeeper/quota/zookeeper_stats", "/a/zookeeper_stats", "/a",
        "/zookeeper/quota/a/1/zookeeper_stats", "/zookeeper/quotas/zookeeper_stats"}) {
    EXPECT_EQ(quota_stats(tree, path), std::nullopt) << path;
  }
  Set set;
  set.path = limits;
  set.value = Blob("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=2");
  EXPECT_EQ(world.ask(set).code, Code::ok);
  EXPECT_EQ(world.ask(create_of("/a/2")).code, Code::quota);
  Delete erase;
  erase.path = limits;
  EXPECT_EQ(world.ask(erase).code, Code::ok);
  EXPECT_EQ(world.ask(create_of("/a/2")).code, Code::ok);
  // However it is written, and whatever it goes with.
  Put put;
  put.path = limits;
  put.value = set.value;
  EXPECT_EQ(world.ask(put).code, Code::ok);
  EXPECT_EQ(world.ask(create_of("/a/3")).code, Code::quota);
  erase.path = "/zookeeper/quota/a";
  erase.is_recursive = true;
  EXPECT_EQ(world.ask(erase).code, Code::ok);
  EXPECT_EQ(world.ask(create_of("/a/3")).code, Code::ok);
  world.node().state().check_invariants();
}

}  // namespace
}  // namespace coord::core
