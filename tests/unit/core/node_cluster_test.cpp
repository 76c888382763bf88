// Node for operators: records of members, what is told of them, changes of the ensemble.
#include <gtest/gtest.h>

#include "cluster_harness.hpp"

namespace coord::core {
namespace {

Cluster::Options founders(std::size_t voters) {
  Cluster::Options options;
  options.voters = voters;
  options.adjust = [voters](std::uint64_t id, NodeOptions& node) {
    node.http = fmt::format("h{}:7070", id);
    for (std::uint64_t other = 1; other <= voters; ++other) {
      node.members.emplace_back(MemberId(other), fmt::format("h{}:7000", other));
    }
  };
  return options;
}

// A member that starts empty and learns who it is from the leader's log.
void join(Cluster& world, std::uint64_t id) {
  world.add(id, true);
  world.start(id);
}

ClusterView view_at(Cluster& world, std::uint64_t id) {
  return std::get<ClusterView>(world.ask(id, GetCluster{}).result);
}

AddMember add_of(std::uint64_t id, MemberRole role = MemberRole::standby,
                 std::uint64_t replaces = 0) {
  return {MemberId(id), fmt::format("h{}:7000", id), role, MemberId(replaces), false};
}

bool is_voter(Cluster& world, std::uint64_t at, std::uint64_t id) {
  const auto& voters = world.node(at).state().membership().voters;
  return std::find(voters.begin(), voters.end(), MemberId(id)) != voters.end();
}

TEST(NodeCluster, EverybodyKnowsEverybodysDiskAndAddresses) {
  Cluster world(founders(3));
  world.advance(1'000);
  for (const auto id : world.ids()) {
    const auto& members = world.node(id).state().members();
    ASSERT_EQ(members.size(), 3U) << id;
    for (const auto& record : members) {
      EXPECT_EQ(record.disk_id, 100 + record.id.value());
      EXPECT_EQ(record.http, fmt::format("h{}:7070", record.id));
      EXPECT_EQ(record.peer, fmt::format("h{}:7000", record.id));
      EXPECT_FALSE(record.is_removed);
    }
  }
}

TEST(NodeCluster, ALeaderCountsWhoFollows) {
  Cluster::Options options;
  options.observers = 1;
  Cluster world(std::move(options));
  world.advance(1'000);
  const auto leader = world.leader();
  const auto all = world.node(leader).status().leading.value();
  EXPECT_EQ(all.learners, 3U);
  EXPECT_EQ(all.voters_ready, 2U);
  EXPECT_EQ(all.observers_ready, 1U);
  EXPECT_GE(all.since_ms, 1'000);
  EXPECT_FALSE(world.node(world.follower()).status().leading);
  world.stop(4);
  world.stop(world.follower());
  world.advance(5'000);
  const auto rest = world.node(leader).status().leading.value();
  EXPECT_EQ(rest.learners, 1U);
  EXPECT_EQ(rest.voters_ready, 1U);
  EXPECT_EQ(rest.observers_ready, 0U);
}

TEST(NodeCluster, ALaterLeaderRecordsWhereAMemberMovedTo) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto leader = world.leader();
  const auto other = world.follower();
  world.step(leader, PeerUp{MemberId(other), 100 + other, "moved:1", "moved:2", "test"});
  world.settle();
  const auto* record = world.node(other).state().member(MemberId(other));
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->http, "moved:1");
  EXPECT_EQ(record->zookeeper, "moved:2");
  // Another disk under its id says nothing of it.
  world.step(leader, PeerUp{MemberId(other), 999, "thief:1", "", "test"});
  world.advance(1'000);
  EXPECT_EQ(world.node(leader).state().member(MemberId(other))->http, "moved:1");
  EXPECT_EQ(world.node(leader).state().member(MemberId(other))->disk_id, 100 + other);
}

TEST(NodeCluster, EveryMemberShowsTheSamePicture) {
  Cluster world(founders(3));
  world.advance(2'000);
  for (const auto id : world.ids()) {
    const auto view = view_at(world, id);
    EXPECT_EQ(view.cluster, "6b0c");
    EXPECT_EQ(view.leader, MemberId(world.leader()));
    EXPECT_EQ(view.voters, 3U);
    EXPECT_EQ(view.quorum, 2U);
    EXPECT_EQ(view.failures_tolerated, 1U);
    EXPECT_TRUE(view.warnings.empty()) << view.warnings.front();
    ASSERT_EQ(view.members.size(), 3U);
    for (const auto& member : view.members) {
      EXPECT_EQ(member.role, "voter");
      EXPECT_EQ(member.state, member.id == view.leader ? "leader" : "ready");
      EXPECT_EQ(member.lag, 0U);
    }
  }
}

TEST(NodeCluster, AMemberThatIsDownIsSeenByAll) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto down = world.follower();
  world.stop(down);
  world.advance(5'000);
  for (const auto id : world.ids()) {
    if (id == down) continue;
    const auto view = view_at(world, id);
    EXPECT_EQ(view.members[down - 1].state, "down");
    EXPECT_GE(view.members[down - 1].heard_ms, 4'000);
    EXPECT_EQ(view.failures_tolerated, 0U);
    ASSERT_FALSE(view.warnings.empty());
    EXPECT_EQ(view.warnings.front(), fmt::format("member {} is down", down));
  }
}

TEST(NodeCluster, WithoutALeaderItSaysSo) {
  Cluster world(founders(3));
  const auto alone = world.leader();
  EXPECT_EQ(world.node(alone).leaderless_ms(), 0);
  for (const auto id : world.ids()) {
    if (id != alone) world.stop(id);
  }
  world.advance(5'000);
  const auto view = view_at(world, alone);
  EXPECT_FALSE(view.leader);
  EXPECT_GT(world.node(alone).leaderless_ms(), 2'000);
  EXPECT_LE(world.node(alone).leaderless_ms(), 5'000);
  EXPECT_EQ(view.warnings, std::vector<std::string>{"there is no leader: nothing can be written"});
  EXPECT_EQ(world.operate(alone, RemoveMember{MemberId(2), false}).code, Code::no_leader);
}

TEST(NodeCluster, AStandbyIsAddedAtAFollowerAndBecomesAVoter) {
  Cluster world(founders(3));
  world.advance(1'000);
  join(world, 4);
  const auto reply = world.operate(world.follower(), add_of(4));
  ASSERT_EQ(reply.code, Code::ok) << reply.detail;
  const auto plan = std::get<ClusterPlan>(reply.result);
  EXPECT_EQ(plan.voters, 4U);
  EXPECT_EQ(plan.quorum, 3U);
  ASSERT_TRUE(world.advance_until([&] { return is_voter(world, world.leader(), 4); }));
  world.settle();
  EXPECT_TRUE(is_voter(world, 4, 4));
  EXPECT_EQ(world.node(4).state().digest(), world.node(world.leader()).state().digest());
  EXPECT_EQ(world.node(4).state().member(MemberId(4))->disk_id, 104U);
}

TEST(NodeCluster, AStandbyThatReplacesAMemberTakesItsPlaceInOneChange) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto down = world.follower();
  world.stop(down);
  join(world, 4);
  ASSERT_EQ(world.operate(world.leader(), add_of(4, MemberRole::standby, down)).code, Code::ok);
  std::size_t most = 0;
  ASSERT_TRUE(world.advance_until([&] {
    const auto& membership = world.node(world.leader()).raft().membership();
    most = std::max(most, membership.voters.size());
    return is_voter(world, world.leader(), 4) && !membership.is_joint();
  }));
  EXPECT_EQ(most, 3U);
  world.settle();
  EXPECT_FALSE(is_voter(world, world.leader(), down));
  EXPECT_TRUE(world.node(4).state().member(MemberId(down))->is_removed);
}

TEST(NodeCluster, ARemovedIdNeverComesBack) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto gone = world.follower();
  ASSERT_EQ(world.operate(world.leader(), RemoveMember{MemberId(gone), false}).code, Code::ok);
  world.settle();
  EXPECT_TRUE(world.node(world.leader()).state().member(MemberId(gone))->is_removed);
  const auto reply = world.operate(world.leader(), add_of(gone));
  EXPECT_EQ(reply.code, Code::invalid);
  EXPECT_NE(reply.detail.find("never used again"), std::string::npos) << reply.detail;
}

TEST(NodeCluster, WhatEndangersTheQuorumIsRefused) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto down = world.follower();
  world.stop(down);
  world.advance(2'000);
  const auto leader = world.leader();
  const auto other = 6 - leader - down;
  EXPECT_EQ(world.operate(other, RemoveMember{MemberId(other), false}).code, Code::quorum_at_risk);
  EXPECT_EQ(world.operate(leader, ChangeMember{MemberId(other), MemberRole::observer, true}).code,
            Code::quorum_at_risk);
  EXPECT_EQ(world.operate(leader, RemoveMember{MemberId(down), false}).code, Code::ok);
}

TEST(NodeCluster, OnlyAnOperatorMayChangeTheMembers) {
  Cluster world(founders(3));
  EXPECT_EQ(world.ask(1, RemoveMember{MemberId(2), true}).code, Code::forbidden);
  EXPECT_EQ(world.ask(1, TransferLeader{}).code, Code::forbidden);
  EXPECT_EQ(world.ask(1, GetCluster{}).code, Code::ok);
}

TEST(NodeCluster, ADryRunChangesNothing) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto before = world.node(world.leader()).raft().last_index();
  auto add = add_of(4);
  add.is_dry_run = true;
  const auto reply = world.operate(world.follower(), add);
  ASSERT_EQ(reply.code, Code::ok);
  const auto plan = std::get<ClusterPlan>(reply.result);
  EXPECT_EQ(plan.warnings, std::vector<std::string>{"4 voters tolerate no more failures than 3"});
  EXPECT_EQ(world.node(world.leader()).raft().last_index(), before);
}

TEST(NodeCluster, LeadershipIsHandedOverFromAnyMember) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto old = world.leader();
  const auto next = world.follower();
  const auto third = 6 - old - next;
  EXPECT_EQ(world.operate(third, TransferLeader{MemberId(next)}).code, Code::ok);
  EXPECT_EQ(world.leader(), next);
  world.settle();
  world.advance(1'000);
  EXPECT_EQ(world.operate(next, TransferLeader{}).code, Code::ok);
  EXPECT_NE(world.leader(), next);
  world.settle();
  EXPECT_EQ(world.operate(third, TransferLeader{MemberId(9)}).code, Code::invalid);
}

TEST(NodeCluster, ALeaderThatHasJustBegunTakesNobodyForDown) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto old = world.leader();
  const auto next = world.follower();
  world.drops = [next](const Message& message) {
    const auto* body = std::get_if<election::Body>(&message.body);
    return message.to == MemberId(next) && body != nullptr &&
           std::holds_alternative<election::AppendReply>(*body);
  };
  world.send(old, [&] {
    auto transfer = world.request(TransferLeader{MemberId(next)});
    transfer.identities.push_back({"super", ""});
    return transfer;
  }());
  ASSERT_TRUE(world.advance_until(
      [&] { return world.node(next).cluster_view().leader == MemberId(next); }));
  const auto just = world.node(next).cluster_view();
  EXPECT_TRUE(just.warnings.empty()) << just.warnings.front();
  EXPECT_EQ(just.failures_tolerated, 1U);
  world.drops = nullptr;
  world.settle();
  world.stop(old);  // Whose link is gone is down at once, heard in this term or not.
  world.advance(5'000);
  EXPECT_EQ(world.node(world.leader()).cluster_view().failures_tolerated, 0U);
}

TEST(NodeCluster, ALostLeaderLeavesTheFateOfAChangeOpen) {
  Cluster world(founders(3));
  world.advance(1'000);
  const auto follower = world.follower();
  const auto leader = world.leader();
  world.drops = [](const Message& message) {
    return std::holds_alternative<AdminReply>(message.body);
  };
  auto request = world.request(Operation(RemoveMember{MemberId(leader), false}));
  request.identities.push_back({"super", ""});
  const auto id = world.send(follower, std::move(request));
  std::optional<Reply> reply;
  ASSERT_TRUE(
      world.advance_until([&] { return (reply = world.reply_of(follower, id)).has_value(); }));
  EXPECT_EQ(reply->code, Code::outcome_unknown);
}

}  // namespace
}  // namespace coord::core
