// Identity: who may talk to whom, and when an empty member may vote.
#include "coord/core/identity.hpp"

#include <gtest/gtest.h>

namespace coord::core {
namespace {

Hello hello(std::uint64_t id, std::uint64_t disk, std::string cluster, std::uint64_t hash = 7) {
  Hello value;
  value.id = MemberId(id);
  value.disk_id = disk;
  value.cluster = std::move(cluster);
  value.members_hash = hash;
  value.peer = "h:1";
  return value;
}

TEST(Identity, JudgesWhoMayTalk) {
  const std::vector<KnownMember> known = {{MemberId(1), "h1:1", 11, false},
                                          {MemberId(2), "h2:1", 22, false},
                                          {MemberId(3), "h3:1", 0, false},
                                          {MemberId(4), "h4:1", 44, true}};
  auto newer = hello(2, 22, "A");
  newer.protocol = kPeerProtocol + 1;
  struct Case {
    const char* name;
    Hello mine;
    Hello theirs;
    MemberId expected;
    Refusal want;
  };
  const std::vector<Case> cases = {
      {"a known member on its disk", hello(1, 11, "A"), hello(2, 22, "A"), {}, Refusal::none},
      {"one that knows no cluster yet", hello(1, 11, "A"), hello(2, 22, ""), {}, Refusal::none},
      {"a listed member whose disk nobody knows",
       hello(1, 11, "A"),
       hello(3, 9, ""),
       {},
       Refusal::none},
      {"another disk", hello(1, 11, "A"), hello(2, 23, ""), {}, Refusal::wiped_member},
      {"another cluster", hello(1, 11, "A"), hello(2, 22, "B"), {}, Refusal::foreign_cluster},
      {"another list before there is a cluster",
       hello(1, 11, "", 7),
       hello(2, 22, "", 8),
       {},
       Refusal::members_differ},
      {"another list, but both know the cluster",
       hello(1, 11, "A", 7),
       hello(2, 22, "A", 8),
       {},
       Refusal::none},
      {"no list: it joins", hello(1, 11, "A", 7), hello(3, 33, "", 0), {}, Refusal::none},
      {"nobody knows it", hello(1, 11, "A"), hello(9, 99, ""), {}, Refusal::unknown_member},
      {"it was removed", hello(1, 11, "A"), hello(4, 44, "A"), {}, Refusal::removed_member},
      {"my own id", hello(1, 11, "A"), hello(1, 11, "A"), {}, Refusal::same_member},
      {"not whom I dialled", hello(1, 11, "A"), hello(2, 22, "A"), MemberId(3),
       Refusal::other_member},
      {"another protocol", hello(1, 11, "A"), newer, {}, Refusal::protocol},
  };
  for (const auto& c : cases) {
    const auto verdict = judge(c.mine, c.theirs, c.expected, known);
    EXPECT_EQ(verdict.refusal, c.want) << c.name << ": " << verdict.text;
    EXPECT_EQ(verdict.text.empty(), c.want == Refusal::none) << c.name;
  }
  EXPECT_NE(
      judge(hello(1, 11, "A"), hello(2, 23, ""), {}, known).text.find("coordctl cluster replace 2"),
      std::string::npos);
}

TEST(Identity, AMemberKnowsThatItStandsOnTheWrongDisk) {
  const std::vector<KnownMember> known = {{MemberId(1), "", 11, false},
                                          {MemberId(2), "", 22, false}};
  EXPECT_EQ(judge_self(hello(1, 11, "A"), known).refusal, Refusal::none);
  EXPECT_NE(judge_self(hello(1, 22, "A"), known).text.find("disk of member 2"), std::string::npos);
  EXPECT_EQ(judge_self(hello(1, 33, "A"), known).refusal, Refusal::wiped_member);
}

TEST(Identity, AGreetingComesBackAlikeAndACutOneDoesNot) {
  Greeting greeting{hello(3, 77, "uuid"), true, {Refusal::wiped_member, "why"}};
  greeting.hello.is_empty = true;
  const auto bytes = encode(greeting);
  Greeting back;
  ASSERT_TRUE(decode(bytes, back));
  EXPECT_EQ(back.hello.id, MemberId(3));
  EXPECT_EQ(back.hello.cluster, "uuid");
  EXPECT_TRUE(back.knows_you && back.hello.is_empty);
  EXPECT_EQ(back.verdict.refusal, Refusal::wiped_member);
  EXPECT_EQ(back.verdict.text, "why");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Greeting cut;
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), cut)) << size;
  }
}

TEST(Identity, TheHashOfAListKnowsNoOrder) {
  const ListedMember a{MemberId(1), "h1:1", "voter"};
  const ListedMember b{MemberId(2), "h2:1", "voter"};
  EXPECT_EQ(hash_of({a, b}), hash_of({b, a}));
  EXPECT_NE(hash_of({a, b}), hash_of({a, {MemberId(2), "h2:2", "voter"}}));
}

TEST(VoteGate, OpensWhenAMajorityKnowsOfNoOtherDisk) {
  const std::vector<MemberId> three = {MemberId(1), MemberId(2), MemberId(3)};
  VoteGate gate(MemberId(1), true, three);
  EXPECT_FALSE(gate.is_open());
  gate.answered(MemberId(2), false, false);
  gate.answered(MemberId(9), true, false);
  EXPECT_FALSE(gate.is_open()) << "one has data, the other has no vote";
  gate.answered(MemberId(3), false, true);
  EXPECT_TRUE(gate.is_open());
  EXPECT_TRUE(VoteGate(MemberId(1), false, three).is_open()) << "who has data kept its promises";
  EXPECT_TRUE(VoteGate(MemberId(1), true, {MemberId(1)}).is_open()) << "it is the majority";
}

}  // namespace
}  // namespace coord::core
