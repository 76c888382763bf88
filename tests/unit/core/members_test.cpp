// Records of members, and the arithmetic of changing the ensemble.
#include "coord/core/members.hpp"

#include <gtest/gtest.h>

namespace coord::core {
namespace {

MemberRecord record_of(std::uint64_t id) {
  return {MemberId(id), 100 + id, fmt::format("h{}:1", id), "", "", {}, false};
}

std::vector<MemberHealth> health_of(std::initializer_list<std::uint64_t> live) {
  std::vector<MemberHealth> health;
  for (const auto id : live) health.push_back({MemberId(id), true, true});
  return health;
}

TEST(Members, ARecordComesBackAlike) {
  const MemberRecord record{MemberId(4), UINT64_MAX, "a:1", "b:2", "c:3", MemberId(2), true};
  MemberRecord back;
  ASSERT_TRUE(decode(encode(record), back));
  EXPECT_EQ(back, record);
  const auto bytes = encode(record);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, cut), back)) << cut;
  }
  EXPECT_TRUE(is_record_key(key_of(MemberId(4))));
  EXPECT_FALSE(is_record_key("membership"));
  EXPECT_LT(key_of(MemberId(255)), key_of(MemberId(256)));
}

TEST(Members, AKnownDiskStaysAndAnAddressMayChange) {
  const auto present = record_of(1);
  auto given = present;
  given.disk_id = 7;
  given.peer = "moved:1";
  auto merged = merge(&present, given);
  EXPECT_EQ(merged.code, Code::ok);
  EXPECT_EQ(merged.record.disk_id, 101U);
  EXPECT_EQ(merged.record.peer, "moved:1");
  auto unset = present;
  unset.disk_id = 0;
  EXPECT_EQ(merge(&unset, given).record.disk_id, 7U);
  given.peer.clear();
  EXPECT_EQ(merge(&present, given).record.peer, "h1:1");
}

TEST(Members, WhatMayNotBeRecordedIsRefusedWithAText) {
  auto removed = record_of(1);
  removed.is_removed = true;
  auto long_one = record_of(1);
  long_one.http.assign(kAddressBytesMax + 1, 'x');
  auto own = record_of(1);
  own.replaces = own.id;
  EXPECT_EQ(merge(&removed, record_of(1)).code, Code::invalid);
  EXPECT_EQ(merge(nullptr, record_of(0)).code, Code::invalid);
  EXPECT_EQ(merge(nullptr, long_one).code, Code::invalid);
  EXPECT_EQ(merge(nullptr, own).code, Code::invalid);
}

TEST(Members, EveryChangeComesBackAlike) {
  for (const MembershipOp& op :
       {MembershipOp(AddMember{MemberId(4), "h:1", MemberRole::observer, MemberId(2), true}),
        MembershipOp(ChangeMember{MemberId(4), MemberRole::voter, true}),
        MembershipOp(RemoveMember{MemberId(4), true}), MembershipOp(TransferLeader{MemberId(9)})}) {
    MembershipOp back;
    ASSERT_TRUE(decode(encode(op), back)) << op.index();
    EXPECT_EQ(back, op) << op.index();
    const auto bytes = encode(op);
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, bytes.size() - 1), back));
  }
  const ClusterPlan plan{3, 2, 1, {"a", "b"}};
  ClusterPlan back;
  ASSERT_TRUE(decode(encode(plan), back));
  EXPECT_EQ(back, plan);
}

TEST(Members, AChangeIsJudgedByWhoIsUp) {
  election::Membership three;
  three.voters = {MemberId(1), MemberId(2), MemberId(3)};
  three.observers = {MemberId(7)};
  const std::vector records = {record_of(1), record_of(2), record_of(3), record_of(7)};
  struct Case {
    std::string_view name;
    MembershipOp op;
    std::vector<MemberHealth> health;
    Code want;
  };
  const auto all = health_of({1, 2, 3, 7});
  const auto two = health_of({1, 2});
  for (const auto& [name, op, health, want] : {
           Case{"remove one of three", RemoveMember{MemberId(3), false}, all, Code::ok},
           {"remove the one that is down", RemoveMember{MemberId(3), false}, two, Code::ok},
           {"remove one beside one down", RemoveMember{MemberId(2), false}, two,
            Code::quorum_at_risk},
           {"remove nobody", RemoveMember{MemberId(9), false}, all, Code::not_found},
           {"promote an observer", ChangeMember{MemberId(7), MemberRole::voter, false}, all,
            Code::ok},
           {"promote one that is down", ChangeMember{MemberId(7), MemberRole::voter, false}, two,
            Code::not_caught_up},
           {"demote a voter", ChangeMember{MemberId(3), MemberRole::observer, false}, all,
            Code::ok},
           {"a voter as standby", ChangeMember{MemberId(3), MemberRole::standby, false}, all,
            Code::invalid},
           {"add a voter", AddMember{MemberId(4), "h:1", MemberRole::voter, {}, false}, all,
            Code::invalid},
           {"add a standby", AddMember{MemberId(4), "h:1", MemberRole::standby, {}, false}, all,
            Code::ok},
           {"add one again", AddMember{MemberId(3), "h3:1", MemberRole::standby, {}, false}, all,
            Code::ok},
           {"add one elsewhere", AddMember{MemberId(3), "x:1", MemberRole::standby, {}, false}, all,
            Code::invalid},
           {"replace nobody",
            AddMember{MemberId(4), "h:1", MemberRole::standby, MemberId(9), false}, all,
            Code::not_found},
           {"an observer replaces",
            AddMember{MemberId(4), "h:1", MemberRole::observer, MemberId(3), false}, all,
            Code::invalid},
           {"hand over to an observer", TransferLeader{MemberId(7)}, all, Code::invalid},
       }) {
    const auto plan = plan_change(op, three, records, health);
    EXPECT_EQ(plan.code, want) << name << ": " << plan.detail;
    EXPECT_EQ(plan.detail.empty(), want == Code::ok) << name;
  }
  election::Membership one;
  one.voters = {MemberId(1)};
  EXPECT_EQ(plan_change(RemoveMember{MemberId(1), false}, one, records, all).code, Code::invalid);
}

TEST(Members, AStandbyThatCameByItselfIsToldWhomItReplaces) {
  election::Membership present;
  present.voters = {MemberId(1), MemberId(2), MemberId(3)};
  present.standbys = {MemberId(4)};
  std::vector records = {record_of(1), record_of(2), record_of(3), record_of(4)};
  const auto health = health_of({1, 2, 4});
  const AddMember op{MemberId(4), "h4:1", MemberRole::standby, MemberId(3), false};
  const auto plan = plan_change(op, present, records, health);
  ASSERT_EQ(plan.code, Code::ok) << plan.detail;
  ASSERT_TRUE(plan.record);
  EXPECT_EQ(plan.record->replaces, MemberId(3));
  EXPECT_EQ(plan.record->disk_id, 104U);
  EXPECT_EQ(plan.target, present);
  EXPECT_EQ(plan.view.voters, 3U);
  // Once that stands, a request that names nobody does not take it back.
  records[3] = *plan.record;
  const AddMember again{MemberId(4), "h4:1", MemberRole::standby, {}, false};
  const auto repeated = plan_change(again, present, records, health);
  EXPECT_EQ(repeated.code, Code::ok);
  EXPECT_FALSE(repeated.record);
}

TEST(Members, FailuresAreToleratedByTheWeakerHalf) {
  election::Membership joint;
  joint.voters = {MemberId(1), MemberId(2), MemberId(3), MemberId(4), MemberId(5)};
  joint.outgoing = {MemberId(1), MemberId(2), MemberId(3)};
  EXPECT_EQ(failures_tolerated(joint, health_of({1, 2, 3, 4, 5})), 1U);
  joint.outgoing.clear();
  EXPECT_EQ(failures_tolerated(joint, health_of({1, 2, 3, 4, 5})), 2U);
  EXPECT_EQ(failures_tolerated(joint, health_of({1, 2})), 0U);
  EXPECT_EQ(warnings_of(joint, health_of({1, 2})).back(),
            "the quorum is lost: no write can be committed");
}

}  // namespace
}  // namespace coord::core
