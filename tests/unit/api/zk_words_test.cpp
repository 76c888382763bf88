// The four-letter words: what a member in each of its states answers.
#include <gtest/gtest.h>

#include "api/zk/words.hpp"
#include "api/zk/zk_edge.hpp"
#include "fake_gateway.hpp"

namespace coord::api::zk {
namespace {

constexpr std::string_view kNotServing =
    "This ZooKeeper instance is not currently serving requests\n";

ZkOptions options() {
  ZkOptions options;
  options.peer_port = 7071;
  return options;
}

class Words {
 public:
  // The answer; `next` is what the member answers if it is asked for more than its status.
  std::string ask(std::string name, core::Status status, core::ResultValue next = {}) {
    Word word{std::move(name), {}};
    core::Reply reply;
    reply.result = std::move(status);
    std::string out;
    if (answer_word(word, edge_, reply, out)) {
      EXPECT_EQ(out, "");
      reply.result = std::move(next);
      EXPECT_FALSE(answer_word(word, edge_, reply, out));
    }
    return out;
  }
  [[nodiscard]] const ZkOptions& options() const { return edge_.options(); }

 private:
  FakeGateway gateway_;
  ZkEdge edge_{gateway_, zk::options()};
};

core::Status follower() {
  core::Status status;
  status.member = MemberId(2);
  status.role = "follower";
  status.leader = MemberId(1);
  status.is_ready = true;
  return status;
}

core::Status leader() {
  auto status = follower();
  status.role = "leader";
  status.leader = status.member;
  status.voters = 3;
  status.leading = core::Leading{3, 2, 1, 1'500, {4, 20, 10, 30}};
  return status;
}

core::Status leaderless(std::int64_t for_ms) {
  auto status = follower();
  status.role = "pre-candidate";
  status.leader = MemberId();
  status.is_ready = false;
  status.unready_ms = for_ms;
  return status;
}

bool has(const std::string& text, std::string_view line) {
  return ('\n' + text).find(fmt::format("\n{}\n", line)) != std::string::npos;
}

TEST(Words, WithoutALeaderNobodyIsServedAndThenReaders) {
  Words words;
  const auto until = words.options().read_only_after_ms;
  for (const auto* name : {"srvr", "stat", "mntr", "conf", "cons", "dump", "wchs", "wchc", "wchp",
                           "dirs", "srst", "crst"}) {
    EXPECT_EQ(words.ask(name, leaderless(until - 1)), kNotServing) << name;
    const auto next = std::string_view(name) == "dump" ? core::ResultValue(core::SessionList())
                                                       : core::ResultValue(core::ClusterView());
    EXPECT_NE(words.ask(name, leaderless(until), next), kNotServing) << name;
  }
  EXPECT_EQ(words.ask("isro", leaderless(until - 1)), "null");
  EXPECT_EQ(words.ask("isro", leaderless(until)), "ro");
  EXPECT_EQ(words.ask("isro", follower()), "rw");
}

TEST(Words, WhoHasALeaderAndIsAboutToBeReadyServesEverybody) {
  Words words;
  auto status = follower();
  status.is_ready = false;
  status.unready_ms = 1;
  EXPECT_EQ(words.ask("isro", status), "rw");
  status.unready_ms = words.options().read_only_after_ms;
  EXPECT_EQ(words.ask("isro", status), "ro") << "its disk is full, or it lags far behind";
}

TEST(Words, ReadOnlyModeIsShown) {
  Words words;
  const auto status = leaderless(60'000);
  for (const auto* name : {"srvr", "stat"}) {
    const auto text = words.ask(name, status);
    EXPECT_TRUE(has(text, "READ-ONLY mode; serving only read-only clients")) << text;
    EXPECT_TRUE(has(text, "Mode: read-only")) << text;
  }
  const auto text = words.ask("mntr", status);
  EXPECT_TRUE(has(text, "zk_server_state\tread-only")) << text;
  EXPECT_EQ(text.find("zk_peer_state"), std::string::npos) << text;
}

TEST(Words, ALeaderOfOthersTellsOfThem) {
  Words words;
  const auto text = words.ask("mntr", leader());
  for (const auto* line :
       {"zk_server_state\tleader", "zk_peer_state\tleading - broadcast", "zk_leader_uptime\t1500",
        "zk_quorum_size\t3", "zk_learners\t3", "zk_synced_followers\t2", "zk_synced_observers\t1",
        "zk_synced_non_voting_followers\t0", "zk_last_proposal_size\t20",
        "zk_min_proposal_size\t10", "zk_max_proposal_size\t30"}) {
    EXPECT_TRUE(has(text, line)) << line << " in\n" << text;
  }
  EXPECT_TRUE(has(words.ask("srvr", leader()), "Proposal sizes last/min/max: 20/10/30"));
  auto quiet = leader();
  quiet.leading->proposals = {};
  EXPECT_TRUE(has(words.ask("srvr", quiet), "Proposal sizes last/min/max: -1/-1/-1"));
}

TEST(Words, OthersDoNot) {
  Words words;
  auto alone = leader();
  alone.is_alone = true;
  auto observer = follower();
  observer.role = "standby";
  for (const auto& [status, state, peer] :
       {std::tuple(alone, "standalone", ""), std::tuple(follower(), "follower", "following"),
        std::tuple(observer, "observer", "observing")}) {
    const auto text = words.ask("mntr", status);
    EXPECT_TRUE(has(text, fmt::format("zk_server_state\t{}", state))) << text;
    EXPECT_EQ(has(text, fmt::format("zk_peer_state\t{} - broadcast", peer)), *peer != 0) << text;
    EXPECT_EQ(text.find("zk_learners"), std::string::npos) << text;
    EXPECT_EQ(words.ask("srvr", status).find("Proposal"), std::string::npos);
  }
}

TEST(Words, OnlyALeaderKnowsWhenSessionsEnd) {
  Words words;
  core::SessionList list;
  for (const std::uint64_t id : {0x10, 0x20, 0x30}) {
    core::SessionView one;
    one.id = SessionId(id);
    one.ttl_ms = 10'000;
    one.remaining_ms = id == 0x30 ? 60'000 : 0;
    if (id == 0x20) one.ephemerals = {"/a", "/b"};
    list.sessions.push_back(one);
  }
  const auto nodes =
      "ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x20:\n\t/a\n\t/b\n"
      "Connections dump:\nConnections Sets (0)/(0):\n";
  EXPECT_EQ(words.ask("dump", follower(), list),
            std::string("SessionTracker dump:\nGlobal Sessions(3):\n"
                        "0x10\t10000ms\n0x20\t10000ms\n0x30\t10000ms\n") +
                nodes);
  const auto text = words.ask("dump", leader(), list);
  EXPECT_TRUE(text.starts_with("SessionTracker dump:\nSession Sets (2)/(3):\n2 expire at "))
      << text;
  EXPECT_NE(text.find(":\n\t0x10\n\t0x20\n1 expire at "), std::string::npos) << text;
  EXPECT_NE(text.find(std::string(":\n\t0x30\n") + nodes), std::string::npos) << text;
}

TEST(Words, TheConfigurationOfAnEnsembleHasItsMembers) {
  Words words;
  core::ClusterView cluster;
  for (const std::uint64_t id : {1, 2}) {
    core::MemberView member;
    member.id = MemberId(id);
    member.role = id == 1 ? "voter" : "standby";
    member.peer = fmt::format("h{}:7071", id);
    cluster.members.push_back(member);
  }
  const auto text = words.ask("conf", follower(), cluster);
  EXPECT_TRUE(
      text.ends_with("serverId=2\nquorumPort=7071\npeerType=1\nmembership: \n"
                     "server.1=h1:7071:7072:participant\nserver.2=h2:7071:7072:observer\n"
                     "version=0"))
      << text;
  cluster.members.resize(1);
  cluster.members[0].peer = "";
  EXPECT_TRUE(words.ask("conf", follower(), cluster).ends_with("serverId=2\n"));
}

}  // namespace
}  // namespace coord::api::zk
