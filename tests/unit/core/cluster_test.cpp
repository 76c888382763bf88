// A cluster of Nodes: the harness itself, and what members know of each other.
#include <gtest/gtest.h>

#include "cluster_harness.hpp"

namespace coord::core {
namespace {

TEST(Cluster, ElectsALeaderThatEverybodyFollows) {
  Cluster world(3);
  const auto leader = world.leader();
  ASSERT_NE(leader, 0U);
  EXPECT_EQ(world.put(leader, "/a", "1").code, Code::ok);
  world.settle();
  for (const auto id : world.ids()) {
    EXPECT_TRUE(world.node(id).state().tree().get("/a")) << id;
    EXPECT_EQ(world.node(id).state().digest(), world.node(leader).state().digest()) << id;
  }
}

TEST(Cluster, AStoppedLeaderIsReplacedAndFollowsWhenItIsBack) {
  Cluster world(3);
  const auto old = world.leader();
  world.stop(old);
  ASSERT_TRUE(world.advance_until([&] { return world.leader() != 0; }));
  const auto leader = world.leader();
  EXPECT_NE(leader, old);
  EXPECT_EQ(world.put(leader, "/a", "1").code, Code::ok);
  world.start(old);
  world.settle();
  EXPECT_TRUE(world.node(old).state().tree().get("/a"));
}

TEST(Cluster, AMemberThatIsCutOffCommitsNothing) {
  Cluster world(3);
  const auto old = world.leader();
  world.isolate(old);
  const auto lost = world.send(old, world.request([] {
    Put op;
    op.path = "/lost";
    return op;
  }()));
  world.advance(3'000);
  EXPECT_NE(world.leader(), old);
  EXPECT_FALSE(world.reply_of(old, lost)) << "its fate is not known there";
  world.heal();
  world.settle();
  const auto reply = world.reply_of(old, lost);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->code, Code::no_leader) << "what the next leader did not have is not applied";
  EXPECT_FALSE(world.node(old).state().tree().get("/lost"));
}

}  // namespace
}  // namespace coord::core
