// Node's requests: the door, sessions, exactly once, consistency.
#include <gtest/gtest.h>

#include "coord/recipes/service.hpp"
#include "harness.hpp"

namespace coord::core {
namespace {

Put ephemeral_of(std::string path) {
  auto op = put_of(std::move(path), "1");
  op.mode = znode::Mode::ephemeral;
  return op;
}

TEST(NodeRequests, TheDoorRefusesWhatIsMalformedOrTooLarge) {
  Harness world;
  Txn large;
  large.then.assign(1'001, TxnGet{"/a"});
  Create prefix;
  prefix.path = "/";
  prefix.is_sequential = true;
  Create doubled = prefix;
  doubled.path = "/a//";
  struct Case {
    const char* name;
    Operation op;
    Code want;
  };
  const std::vector<Case> cases = {
      {"a relative path", put_of("a", ""), Code::bad_request},
      {"an empty segment", put_of("/a//b", ""), Code::bad_request},
      {"a trailing slash", put_of("/a/", ""), Code::bad_request},
      {"a read too", Get{"/a/../b"}, Code::bad_request},
      {"a long path", put_of("/" + std::string(5'000, 'a'), ""), Code::too_large},
      {"a path in a transaction", Txn{{}, {TxnGet{"x"}}, {}}, Code::bad_request},
      {"a path in its other branch", Txn{{}, {}, {Delete{"", false, {}}}}, Code::bad_request},
      {"a path that is compared", Txn{{{"", true, {}, {}, {}, {}}}, {}, {}}, Code::bad_request},
      {"too many operations", large, Code::too_large},
      {"a sequential child of the root", prefix, Code::ok},
      {"a sequential prefix with an empty segment", doubled, Code::bad_request},
  };
  for (const auto& [name, op, want] : cases) {
    const auto reply = world.ask(op);
    EXPECT_EQ(reply.code, want) << name << ": " << reply.detail;
  }
  auto named = world.request(put_of("/a", "1"));
  named.idempotency_key.assign(256, 'k');
  EXPECT_EQ(world.call(named).code, Code::too_large);
  auto crowd = world.request(put_of("/a", "1"));
  crowd.identities.assign(17, {"ip", "::1"});
  EXPECT_EQ(world.call(crowd).code, Code::too_large);
}

TEST(NodeRequests, ACommandLargerThanTheLogTakesIsRefusedAtTheDoor) {
  Harness::Options options;
  options.uncommitted_bytes_max = 10'000;
  Harness world(options);
  EXPECT_EQ(world.put("/a", std::string(10'000, 'v')).code, Code::too_large);
  world.syncs = false;
  const auto first = world.send(world.request(put_of("/a", std::string(6'000, 'v'))));
  EXPECT_EQ(world.put("/b", std::string(6'000, 'v')).code, Code::overloaded);
  world.syncs = true;
  world.run();
  EXPECT_EQ(world.reply_of(first)->code, Code::ok);
}

TEST(NodeRequests, TooManyPendingWritesAreRefused) {
  Harness::Options options;
  options.limits.requests.pending_max = 3;
  Harness world(options);
  world.syncs = false;
  for (int i = 0; i < 3; ++i) world.send(world.request(put_of("/a", "1")));
  EXPECT_EQ(world.put("/a", "1").code, Code::overloaded);
  EXPECT_EQ(world.ask(Get{"/"}).code, Code::ok);
}

// ---- sessions

TEST(NodeRequests, ASessionExpiresOnTimeAndNeverEarly) {
  for (const std::int64_t ttl : {1'000, 1'010, 2'345}) {
    Harness world;
    const auto session = world.open_session(ttl);
    auto create = world.request(ephemeral_of("/e"));
    create.session = session;
    EXPECT_EQ(world.call(create).code, Code::ok);
    world.advance(ttl - 1, 7);
    EXPECT_TRUE(world.is_live(session.id)) << ttl;
    world.advance(60, 7);
    EXPECT_FALSE(world.is_live(session.id)) << ttl;
    EXPECT_EQ(world.ask(Get{"/e"}).code, Code::no_node);
    const auto reply = world.keepalive(session);
    EXPECT_EQ(reply.code, Code::session_expired);
    EXPECT_EQ(reply.end_reason, session::EndReason::expired);
  }
}

TEST(NodeRequests, WhateverCarriesASessionRenewsIt) {
  struct Case {
    const char* name;
    std::function<void(Harness&, const SessionCredential&)> act;
  };
  const auto with = [](auto op) {
    return [op](Harness& world, const SessionCredential& session) {
      auto request = world.request(op);
      request.session = session;
      world.call(request);
    };
  };
  const std::vector<Case> cases = {
      {"a write", with(put_of("/a", "1"))},
      {"a read", with(Get{"/"})},
      {"a status", with(GetStatus{})},
      {"a keepalive",
       [](Harness& world, const SessionCredential& session) {
         const auto reply = world.keepalive(session);
         EXPECT_EQ(std::get<KeepaliveResult>(reply.result).remaining_ms, 1'000);
       }},
      {"a stream",
       [](Harness& world, const SessionCredential& session) { world.step(Touched{session}); }},
  };
  for (const auto& [name, act] : cases) {
    Harness world;
    const auto session = world.open_session(1'000);
    for (int i = 0; i < 5; ++i) {
      world.advance(900);
      ASSERT_TRUE(world.is_live(session.id)) << name;
      act(world, session);
    }
    world.advance(1'100);
    EXPECT_FALSE(world.is_live(session.id)) << name;
  }
}

RecipeStep registration_of(std::uint32_t port) {
  recipes::service::Register op;
  op.service = "web";
  op.instance = "i1";
  op.record.address = "10.0.0.1";
  op.record.port = port;
  op.record.ttl_ms = 1'000;
  OwnSession own;
  own.ttl_ms = 1'000;
  return {recipes::Kind::service, recipes::service::encode(op), own};
}

// Another member may have applied and answered it long before this disk lets it count here.
TEST(NodeRequests, ARegistrationRenewsFromItsProposalOn) {
  Harness world;
  const auto made = world.ask(registration_of(80));
  ASSERT_EQ(made.code, Code::ok);
  const auto session = std::get<RecipeResult>(made.result).opened->id;
  world.advance(900);
  world.syncs = false;
  world.send(world.request(registration_of(81)));
  world.advance(900);
  world.syncs = true;
  world.advance(20);
  EXPECT_TRUE(world.is_live(session));
  world.advance(1'100);
  EXPECT_FALSE(world.is_live(session));
}

// A stranger's attempt keeps nothing alive.
TEST(NodeRequests, ARefusedRegistrationRenewsNothing) {
  Harness world;
  const auto made = world.ask(registration_of(80));
  const auto session = std::get<RecipeResult>(made.result).opened->id;
  world.advance(900);
  auto other = world.request(registration_of(81));
  other.session = world.open_session(5'000);
  EXPECT_EQ(world.call(std::move(other)).code, Code::instance_held);
  world.advance(200);
  EXPECT_FALSE(world.is_live(session));
}

TEST(NodeRequests, AWrongSecretRenewsNothing) {
  Harness world;
  const auto session = world.open_session(1'000);
  auto forged = session;
  forged.secret[0] ^= 1;
  world.advance(500);
  EXPECT_EQ(world.keepalive(forged).code, Code::bad_session_secret);
  world.step(Touched{forged});
  auto write = world.request(put_of("/a", "1"));
  write.session = forged;
  EXPECT_EQ(world.call(write).code, Code::bad_session_secret);
  EXPECT_EQ(world.ask(Keepalive{session.id}).code, Code::forbidden);
  world.advance(600);
  EXPECT_FALSE(world.is_live(session.id));
  EXPECT_EQ(world.ask(Get{"/a"}).code, Code::no_node);
}

TEST(NodeRequests, AnOperatorRenewsAndClosesAnySession) {
  Harness world;
  const auto session = world.open_session(1'000);
  world.advance(900);
  auto renew = world.request(Keepalive{session.id});
  renew.identities.push_back({"super", ""});
  EXPECT_EQ(world.call(renew).code, Code::ok);
  world.advance(900);
  EXPECT_TRUE(world.is_live(session.id));
  auto close = world.request(CloseSession{session.id, session::EndReason::closed});
  EXPECT_EQ(world.call(close).code, Code::forbidden);
  close = world.request(CloseSession{session.id, session::EndReason::closed});
  close.identities.push_back({"super", ""});
  EXPECT_EQ(world.call(close).code, Code::ok);
  EXPECT_EQ(world.keepalive(session).end_reason, session::EndReason::killed);
  EXPECT_EQ(world.ask(Keepalive{SessionId(99'999)}).code, Code::forbidden);
}

TEST(NodeRequests, AKeepaliveWaitsForAnExpiryThatIsUnderWay) {
  Harness world;
  const auto session = world.open_session(1'000);
  world.syncs = false;
  world.advance(1'040);  // The end is proposed and not durable.
  EXPECT_TRUE(world.is_live(session.id));
  auto renew = world.request(Keepalive{session.id});
  renew.session = session;
  const auto id = world.send(renew);
  EXPECT_FALSE(world.reply_of(id)) << "a new deadline was promised to a session that ends";
  world.syncs = true;
  world.run();
  EXPECT_EQ(world.reply_of(id)->code, Code::session_expired);
}

TEST(NodeRequests, AStallIsBlamedOnNobody) {
  Harness world;
  const auto session = world.open_session(2'000);
  world.advance(1'900);
  world.advance(10'000, 10'000);  // One turn after ten seconds away.
  EXPECT_TRUE(world.is_live(session.id));
  world.advance(400, 200);  // A shorter stall does not shorten the grace.
  world.advance(1'400);
  EXPECT_TRUE(world.is_live(session.id)) << "it has a full timeout again";
  EXPECT_EQ(world.keepalive(session).code, Code::ok);
  world.advance(20'000);
  EXPECT_FALSE(world.is_live(session.id)) << "late is bounded";
}

TEST(NodeRequests, ANewLeaderGrantsEverySessionAFullTimeout) {
  Harness world;
  const auto session = world.open_session(2'000);
  world.advance(1'900);
  world.restart();
  world.advance(1'900);
  EXPECT_TRUE(world.is_live(session.id));
  world.advance(300);
  EXPECT_FALSE(world.is_live(session.id));
}

TEST(NodeRequests, SessionsAreRenewedAndExpireAlsoWhileTheDiskIsFull) {
  Harness world;
  const auto busy = world.open_session(1'000);
  const auto silent = world.open_session(1'000);
  world.step(DiskFull{true});
  for (int i = 0; i < 5; ++i) {
    world.advance(800);
    EXPECT_EQ(world.keepalive(busy).code, Code::ok);
  }
  EXPECT_TRUE(world.is_live(busy.id));
  EXPECT_FALSE(world.is_live(silent.id));
}

TEST(NodeRequests, AnExpiryThatRaftRefusesIsTriedAgain) {
  Harness::Options options;
  options.uncommitted_bytes_max = 1'000;
  Harness world(options);
  const auto session = world.open_session(1'000);
  world.syncs = false;
  world.send(world.request(put_of("/a", std::string(900, 'v'))));
  world.advance(1'500);
  EXPECT_TRUE(world.is_live(session.id));
  world.syncs = true;
  world.advance(300);
  EXPECT_FALSE(world.is_live(session.id));
}

TEST(NodeRequests, SessionsAreListedWithWhatTheyHold) {
  Harness world;
  const auto first = world.open_session(5'000);
  const auto second = world.open_session(9'000);
  auto create = world.request(ephemeral_of("/e"));
  create.session = first;
  world.call(create);
  auto watch = world.watch_of(1, "/a");
  watch.session = first;
  world.step(watch);
  const auto view = std::get<SessionView>(world.ask(GetSession{first.id}).result);
  EXPECT_EQ(view.ephemerals, std::vector<std::string>{"/e"});
  EXPECT_EQ(view.ephemeral_count, 1U);
  EXPECT_EQ(view.watch_count, 1U);
  EXPECT_EQ(view.remaining_ms, 5'000);
  const auto page = std::get<SessionList>(world.ask(ListSessions{SessionId(), 1}).result);
  ASSERT_EQ(page.sessions.size(), 1U);
  EXPECT_FALSE(page.is_last);
  const auto rest = std::get<SessionList>(world.ask(ListSessions{page.sessions[0].id, 9}).result);
  ASSERT_EQ(rest.sessions.size(), 1U);
  EXPECT_EQ(rest.sessions[0].id, second.id);
  EXPECT_TRUE(rest.is_last);
  EXPECT_EQ(world.ask(GetSession{SessionId(77)}).code, Code::not_found);
}

// ---- exactly once

TEST(NodeRequests, ARetryInFlightWaitsAndGetsTheFirstAnswer) {
  Harness world;
  world.syncs = false;
  Create op;
  op.path = "/job-";
  op.is_sequential = true;
  auto request = world.request(op);
  request.idempotency_key = "k";
  request.request_hash = 5;
  auto retry = request;
  retry.id = RequestId(1'000);
  auto other = request;
  other.id = RequestId(1'001);
  other.request_hash = 6;
  const auto first = world.send(request);
  world.send(retry);
  world.send(other);
  EXPECT_FALSE(world.reply_of(retry.id));
  world.syncs = true;
  world.run();
  const auto one = *world.reply_of(first);
  const auto two = *world.reply_of(retry.id);
  EXPECT_EQ(one.revision, two.revision);
  EXPECT_EQ(std::get<Written>(one.result).path, std::get<Written>(two.result).path);
  EXPECT_FALSE(one.was_applied_before);
  EXPECT_TRUE(two.was_applied_before);
  EXPECT_EQ(world.reply_of(other.id)->code, Code::idempotency_mismatch);
  world.restart();
  retry.id = RequestId(1'002);
  EXPECT_EQ(world.call(retry).revision, one.revision) << "the memory is durable";
}

// ---- consistency

TEST(NodeRequests, ALocalReadWaitsForItsRevisionOrSaysThatItIsBehind) {
  Harness world;
  const auto now = world.put("/a", "1").revision;
  auto read = world.request(Get{"/a"});
  read.consistency = Consistency::local;
  read.min_revision = now;
  auto reply = world.call(read);
  EXPECT_EQ(reply.code, Code::ok);
  EXPECT_EQ(reply.consistency, Consistency::local);
  EXPECT_EQ(reply.staleness_ms, 0);
  auto future = world.request(Get{"/b"});
  future.consistency = Consistency::local;
  future.min_revision = now.next();
  future.timeout_ms = 500;
  const auto waiting = world.send(future);
  auto never = future;
  never.id = RequestId(500);
  never.min_revision = Zxid(now.value() + 100);
  world.send(never);
  EXPECT_FALSE(world.reply_of(waiting));
  world.put("/b", "1");
  reply = *world.reply_of(waiting);
  EXPECT_EQ(reply.code, Code::ok);
  EXPECT_GE(reply.revision, now.next());
  world.advance(600);
  EXPECT_EQ(world.reply_of(never.id)->code, Code::behind);
}

TEST(NodeRequests, AReadThatMayBeStalerThanAllowedIsRefused) {
  Harness world;
  world.syncs = false;
  world.restart();
  world.advance(1'000);  // Without a leader nothing is known to be fresh.
  auto read = world.request(Get{"/"});
  read.consistency = Consistency::local;
  read.max_staleness_ms = 500;
  EXPECT_EQ(world.call(read).code, Code::stale);
  world.syncs = true;
  world.advance(100);
  read.id = RequestId(900);
  EXPECT_EQ(world.call(read).code, Code::ok);
}

TEST(NodeRequests, EveryAnswerCarriesARevision) {
  Harness world;
  const auto put = world.put("/a", "1");
  EXPECT_EQ(put.revision, world.node().state().applied());
  for (const auto consistency :
       {Consistency::linearizable, Consistency::leader, Consistency::local}) {
    auto read = world.request(Get{"/a"});
    read.consistency = consistency;
    EXPECT_EQ(world.call(read).revision, put.revision);
    auto missing = world.request(Get{"/none"});
    missing.consistency = consistency;
    EXPECT_EQ(world.call(missing).revision, put.revision);
  }
  EXPECT_EQ(world.put("bad", "1").revision, put.revision);
  auto refused = put_of("/a", "2");
  refused.create_only = true;
  EXPECT_EQ(world.ask(refused).revision, put.revision.next()) << "of a write its own";
}

}  // namespace
}  // namespace coord::core
