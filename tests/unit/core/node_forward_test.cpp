// Followers: writes and keepalives that the leader decides, reads here, digests that differ.
#include <gtest/gtest.h>

#include "cluster_harness.hpp"

namespace coord::core {
namespace {

SessionOpened open(Cluster& world, std::uint64_t member, std::int64_t ttl_ms = 2'000) {
  OpenSession op;
  op.ttl_ms = ttl_ms;
  op.secret = {1, 2, 3};
  auto reply = world.ask(member, op);
  EXPECT_EQ(reply.code, Code::ok) << reply.detail;
  return std::get<SessionOpened>(reply.result);
}

Keepalive keepalive(SessionId id) { return Keepalive{id}; }

Reply renew(Cluster& world, std::uint64_t member, const SessionOpened& session) {
  auto request = world.request(keepalive(session.id));
  request.session = {session.id, session.secret};
  return world.call(member, std::move(request));
}

TEST(NodeForward, a_write_at_a_follower_is_answered_there_once_it_is_applied_there) {
  Cluster world(3);
  const auto follower = world.follower();
  const auto reply = world.put(follower, "/a", "1");
  EXPECT_EQ(reply.code, Code::ok) << reply.detail;
  EXPECT_GE(world.node(follower).state().applied(), reply.revision);
  Get get{"/a"};
  auto read = world.request(get);
  read.consistency = Consistency::local;
  const auto seen = world.call(follower, read);
  EXPECT_EQ(std::get<NodeValue>(seen.result).value, Blob("1"));
  for (const auto id : world.ids()) {
    const auto linear = world.ask(id, get);
    EXPECT_EQ(linear.code, Code::ok) << id;
  }
  const auto refused = world.ask(follower, Delete{"/none"});
  EXPECT_EQ(refused.code, Code::no_node) << "an outcome that is no success comes back too";
}

TEST(NodeForward, a_write_that_died_with_its_leader_is_known_not_to_be_applied) {
  Cluster world(3);
  const auto leader = world.leader();
  const auto follower = world.follower();
  // The leader takes it, and nobody else hears of it.
  world.drops = [&](const Message& message) {
    return message.from == MemberId(leader) && std::holds_alternative<election::Body>(message.body);
  };
  const auto own = world.send(leader, world.request(Put{"/own", Blob("x")}));
  const auto forwarded = world.send(follower, world.request(Put{"/forwarded", Blob("x")}));
  EXPECT_FALSE(world.reply_of(follower, forwarded));
  world.drops = nullptr;
  world.isolate(leader);
  std::optional<Reply> answer;
  ASSERT_TRUE(world.advance_until(
      [&] { return (answer = world.reply_of(follower, forwarded)).has_value(); }, 5'000));
  EXPECT_EQ(answer->code, Code::no_leader);
  EXPECT_NE(world.leader(), leader);
  world.heal();
  ASSERT_TRUE(world.advance_until(
      [&] { return (answer = world.reply_of(leader, own)).has_value(); }, 5'000));
  EXPECT_EQ(answer->code, Code::no_leader) << "also where it was proposed";
  EXPECT_EQ(world.ask(follower, Get{"/own"}).code, Code::no_node);
  EXPECT_EQ(world.ask(follower, Get{"/forwarded"}).code, Code::no_node);
}

TEST(NodeForward, a_write_whose_leader_died_after_it_was_replicated_gets_its_outcome) {
  Cluster world(3);
  const auto leader = world.leader();
  const auto follower = world.follower();
  // The followers acknowledge, and the leader does not hear it.
  world.drops = [&](const Message& message) {
    return message.to == MemberId(leader) && std::holds_alternative<election::Body>(message.body);
  };
  const auto own = world.send(leader, world.request(Put{"/own", Blob("x")}));
  const auto forwarded = world.send(follower, world.request(Put{"/forwarded", Blob("x")}));
  world.drops = nullptr;
  world.isolate(leader);
  std::optional<Reply> answer;
  ASSERT_TRUE(world.advance_until(
      [&] { return (answer = world.reply_of(follower, forwarded)).has_value(); }, 5'000));
  EXPECT_EQ(answer->code, Code::ok) << answer->detail;
  world.heal();
  ASSERT_TRUE(world.advance_until(
      [&] { return (answer = world.reply_of(leader, own)).has_value(); }, 5'000));
  EXPECT_EQ(answer->code, Code::ok) << answer->detail;
}

TEST(NodeForward, a_write_waits_for_its_session_where_the_leaders_disk_is_slower_than_the_others) {
  Cluster world(3);
  const auto leader = world.leader();
  const auto follower = world.follower();
  world.member(leader).is_disk_slow = true;
  const auto session = open(world, follower);
  ASSERT_LT(world.node(leader).state().applied(), Zxid(session.id.value()));
  auto close = world.request(CloseSession{session.id});
  close.session = {session.id, session.secret};
  const auto closing = world.send(follower, std::move(close));
  const auto behind = world.send(follower, world.request(Put{"/behind", Blob("x")}));
  EXPECT_FALSE(world.reply_of(follower, closing)) << "the leader cannot know the secret yet";
  world.member(leader).is_disk_slow = false;
  world.step(leader, *world.member(leader).unsynced);
  EXPECT_EQ(world.reply_of(follower, closing)->code, Code::ok);
  EXPECT_EQ(world.reply_of(follower, behind)->code, Code::ok);
}

TEST(NodeForward, nothing_is_proposed_behind_a_hole_in_the_stream_and_a_new_stream_goes_on) {
  Cluster world(3);
  const auto follower = world.follower();
  bool is_first = true;
  world.drops = [&](const Message& message) {
    return std::holds_alternative<Forward>(message.body) && std::exchange(is_first, false);
  };
  auto first = world.request(Put{"/first", Blob("x")});
  first.timeout_ms = 1'000;
  const auto lost = world.send(follower, std::move(first));
  const auto second = world.send(follower, world.request(Put{"/second", Blob("x")}));
  const auto refused = world.reply_of(follower, second);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, Code::no_leader);
  EXPECT_EQ(world.put(follower, "/third", "x").code, Code::ok);
  EXPECT_EQ(world.ask(follower, Get{"/second"}).code, Code::no_node);
  world.advance(1'100);
  EXPECT_EQ(world.reply_of(follower, lost)->code, Code::outcome_unknown);
}

TEST(NodeForward, a_repeated_or_foreign_message_proposes_nothing) {
  Cluster world(3);
  const auto leader = world.leader();
  const auto follower = world.follower();
  std::vector<Message> seen;
  world.drops = [&](const Message& message) {
    if (std::holds_alternative<Forward>(message.body)) seen.push_back(message);
    return false;
  };
  ASSERT_EQ(world.put(follower, "/a", "1").code, Code::ok);
  ASSERT_EQ(seen.size(), 1U);
  const auto last = world.node(leader).raft().last_index();
  world.step(leader, PeerMessage{seen[0]});
  auto& forward = std::get<Forward>(seen[0].body);
  forward.term = forward.term.previous();
  world.step(leader, PeerMessage{seen[0]});
  EXPECT_EQ(world.node(leader).raft().last_index(), last);
  // Only what clients may ask for, under the sender's own name.
  forward.term = world.node(leader).raft().term();
  forward.position = 2;
  Command command;
  command.origin = {MemberId(follower), ++forward.number};
  command.op = ExpireSessions{{SessionId(1)}};
  forward.command = encode(command);
  world.step(leader, PeerMessage{seen[0]});
  EXPECT_EQ(world.node(leader).raft().last_index(), last);
}

TEST(NodeForward, a_session_lives_by_what_it_does_at_any_member) {
  Cluster world(3);
  const auto follower = world.follower();
  const auto session = open(world, follower);
  for (int i = 0; i < 5; ++i) {
    world.advance(1'500);
    auto read = world.request(Get{"/"});
    read.session = {session.id, session.secret};
    ASSERT_EQ(world.call(follower, read).code, Code::ok) << i;
  }
  for (const auto id : world.ids()) {
    world.advance(1'500);
    const auto reply = renew(world, id, session);
    ASSERT_EQ(reply.code, Code::ok) << id << reply.detail;
    EXPECT_EQ(std::get<KeepaliveResult>(reply.result).remaining_ms, 2'000);
  }
  world.advance(2'500);
  EXPECT_EQ(renew(world, follower, session).code, Code::session_expired);
}

TEST(NodeForward, a_session_that_moves_is_known_where_it_has_just_come_to) {
  Cluster world(3);
  const auto leader = world.leader();
  const auto follower = world.follower();
  // The follower hears nothing for a while: it does not know the session yet.
  world.cut(leader, follower);
  const auto session = open(world, leader, 10'000);
  EXPECT_EQ(world.node(follower).state().sessions().find(session.id), nullptr);
  auto read = world.request(Get{"/"});
  read.session = {session.id, session.secret};
  const auto waiting = world.send(follower, read);
  world.heal();
  world.advance(1'000);
  std::optional<Reply> reply = world.reply_of(follower, waiting);
  if (!reply) reply = world.call(follower, read);
  Put put{"/e", Blob("x")};
  put.mode = znode::Mode::ephemeral;
  auto write = world.request(put);
  write.session = {session.id, session.secret};
  EXPECT_EQ(world.call(follower, write).code, Code::ok);
  EXPECT_EQ(world.call(follower, read).code, Code::ok);
}

TEST(NodeForward, without_a_quorum_only_local_reads_are_served_and_say_how_old_they_may_be) {
  Cluster world(3);
  const auto follower = world.follower();
  ASSERT_EQ(world.put(follower, "/a", "1").code, Code::ok);
  const auto session = open(world, follower, 60'000);
  world.isolate(follower);
  world.advance(3'000);
  EXPECT_EQ(world.put(follower, "/a", "2").code, Code::no_leader);
  EXPECT_EQ(world.ask(follower, Get{"/a"}).code, Code::no_leader);
  EXPECT_EQ(renew(world, follower, session).code, Code::no_leader);
  auto read = world.request(Get{"/a"});
  read.consistency = Consistency::local;
  const auto local = world.call(follower, read);
  EXPECT_EQ(local.code, Code::ok);
  EXPECT_GE(local.staleness_ms, 2'900);
  EXPECT_LE(local.staleness_ms, 4'500);
  read.max_staleness_ms = 200;
  read.id = RequestId(999);
  EXPECT_EQ(world.call(follower, read).code, Code::stale);
  world.heal();
  world.settle();
  world.advance(200);
  read.id = RequestId(1000);
  EXPECT_EQ(world.call(follower, read).code, Code::ok) << "and is fresh again afterwards";
}

TEST(NodeForward, a_keepalive_is_confirmed_by_the_next_leader_when_the_first_one_dies) {
  Cluster world(3);
  const auto leader = world.leader();
  const auto follower = world.follower();
  const auto session = open(world, follower, 10'000);
  world.drops = [](const Message& message) {
    return std::holds_alternative<Touches>(message.body);
  };
  auto request = world.request(keepalive(session.id));
  request.session = {session.id, session.secret};
  const auto waiting = world.send(follower, std::move(request));
  world.advance(20);
  world.drops = nullptr;
  world.stop(leader);
  std::optional<Reply> reply;
  ASSERT_TRUE(world.advance_until(
      [&] { return (reply = world.reply_of(follower, waiting)).has_value(); }, 5'000));
  EXPECT_TRUE(reply->code == Code::ok || reply->code == Code::no_leader) << reply->detail;
}

TEST(NodeForward, a_follower_asks_how_long_a_session_has_left_and_does_not_renew_it) {
  Cluster world(3);
  const auto follower = world.follower();
  const auto session = open(world, follower, 10'000);
  std::int64_t before = 10'000;
  for (int i = 0; i < 3; ++i) {
    world.advance(2'000);
    const auto reply = world.ask(follower, GetSession{session.id});
    ASSERT_EQ(reply.code, Code::ok) << reply.detail;
    const auto left = std::get<SessionView>(reply.result).remaining_ms;
    ASSERT_TRUE(left);
    EXPECT_LE(*left, before - 2'000);
    EXPECT_GT(*left, before - 3'000);
    before = *left;
  }
  auto local = world.request(GetSession{session.id});
  local.consistency = Consistency::local;
  EXPECT_FALSE(std::get<SessionView>(world.call(follower, local).result).remaining_ms);
  world.advance(before + 2'000);
  EXPECT_EQ(world.ask(follower, GetSession{session.id}).code, Code::session_expired);
}

TEST(NodeForward, a_member_whose_digest_differs_from_the_majoritys_serves_nothing) {
  Cluster world(3);
  const auto leader = world.leader();
  for (int i = 0; i < 130; ++i)
    ASSERT_EQ(world.put(leader, "/a", std::to_string(i)).code, Code::ok);
  const auto victim = world.follower();
  // Both others tell it a digest that is not its own.
  Index index(64);
  for (const auto id : world.ids()) {
    if (id == victim) continue;
    EXPECT_EQ(world.ask(victim, Get{"/a"}).code, Code::ok) << "one voice is no majority";
    world.step(victim, PeerMessage{{MemberId(id), MemberId(victim), DigestNote{index, 42}}});
  }
  EXPECT_EQ(world.ask(victim, Get{"/a"}).code, Code::diverged);
  EXPECT_EQ(world.put(victim, "/a", "x").code, Code::diverged);
  std::string why;
  EXPECT_FALSE(world.node(victim).is_ready(why));
  EXPECT_NE(why.find("revision 64"), std::string::npos) << why;
  EXPECT_EQ(world.put(leader, "/a", "x").code, Code::ok) << "the others go on";
}

TEST(NodeForward, a_leader_that_diverged_hands_over) {
  Cluster world(3);
  const auto leader = world.leader();
  for (int i = 0; i < 70; ++i) ASSERT_EQ(world.put(leader, "/a", std::to_string(i)).code, Code::ok);
  for (const auto id : world.ids()) {
    if (id == leader) continue;
    world.step(leader, PeerMessage{{MemberId(id), MemberId(leader), DigestNote{Index(64), 42}}});
  }
  EXPECT_TRUE(world.advance_until([&] { return world.leader() != leader; }, 5'000));
  EXPECT_EQ(world.put(world.leader(), "/a", "x").code, Code::ok);
}

TEST(NodeForward, a_leader_whose_disk_is_full_hands_over_and_the_others_take_writes) {
  Cluster world(3);
  const auto leader = world.leader();
  world.step(leader, DiskFull{true});
  EXPECT_TRUE(world.advance_until([&] { return world.leader() != leader; }, 2'000));
  EXPECT_EQ(world.put(world.leader(), "/a", "x").code, Code::ok);
  // With all disks full it does not go round and round.
  for (const auto id : world.ids()) world.step(id, DiskFull{true});
  world.advance(2'000);
  const auto term = world.node(1).raft().term();
  world.advance(10'000);
  EXPECT_LE(world.node(1).raft().term().value(), term.value() + 9);
  const auto next = world.leader() % 3 + 1;
  world.step(next, DiskFull{false});
  EXPECT_TRUE(world.advance_until([&] { return world.leader() == next; }, 20'000))
      << "who has room comes to lead";
  EXPECT_EQ(world.put(next, "/a", "y").code, Code::ok);
}

TEST(NodeForward, an_observer_that_is_cut_off_says_that_it_has_no_leader) {
  Cluster::Options options;
  options.voters = 1;
  options.observers = 1;
  Cluster world(std::move(options));
  ASSERT_EQ(world.put(2, "/a", "1").code, Code::ok);
  world.isolate(2);
  world.advance(3'000);
  std::string why;
  EXPECT_FALSE(world.node(2).is_ready(why));
  EXPECT_EQ(world.ask(2, Get{"/a"}).code, Code::no_leader);
  EXPECT_EQ(world.put(2, "/a", "2").code, Code::no_leader);
  world.heal();
  world.settle();
  EXPECT_TRUE(world.node(2).is_ready(why)) << why;
  EXPECT_EQ(world.put(2, "/a", "3").code, Code::ok);
}

}  // namespace
}  // namespace coord::core
