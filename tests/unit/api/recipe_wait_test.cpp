// The seam between recipes and connections: requests that wait for their turn, and what becomes of
// them. The member is a script: it says "wait", and what to ask and to take back.
#include <gtest/gtest.h>

#include <vector>

#include "coord/base/codec.hpp"
#include "coord/recipes/barrier.hpp"
#include "coord/recipes/queue.hpp"
#include "edge_harness.hpp"

namespace coord::api {
namespace {

constexpr std::string_view kTicket = "/.coord/queues/q/takers/1";

// What a queue's take is answered: the encoding is that of an item, number 7, or of none.
std::string taken_bytes(std::uint64_t item) {
  std::string bytes;
  Writer out(bytes);
  out.varint(item);
  out.varint(item == 0 ? 0 : 8);  // The lease.
  out.varint(1);
  out.bytes(item == 0 ? "" : "job");
  out.bytes("");
  return bytes;
}

class RecipeWaitTest : public EdgeTest {
 protected:
  void SetUp() override {
    gateway_.on_step = [&](const core::RecipeStep& step, const core::Request& request,
                           core::Reply& reply) {
      steps_.push_back(step.bytes);
      sessions_.push_back(request.session ? request.session->id : SessionId());
      gateway_.revision = gateway_.revision.next();
      core::RecipeResult result;
      if (step.bytes == "poll" || step.bytes == "give-up") {
        result.answer = step.bytes == "poll" && !is_ready_ ? waiting() : done(is_ready_ ? 7 : 0);
        result.answer.ends_session = ends_session_ && !result.answer.is_waiting;
      } else {
        result.answer = waiting();
        if (step.own_session) {
          result.opened = core::SessionOpened{SessionId(77), step.own_session->secret, ttl_ms_};
        }
        result.session_ttl_ms = ttl_ms_;
      }
      reply.result = std::move(result);
    };
  }
  static recipes::Answer done(std::uint64_t item) {
    recipes::Answer answer;
    answer.bytes = taken_bytes(item);
    return answer;
  }
  static recipes::Answer waiting() {
    auto answer = done(0);
    answer.is_waiting = true;
    answer.watch = kTicket;
    answer.poll = "poll";
    answer.poll_is_step = true;
    answer.give_up = "give-up";
    return answer;
  }
  void change_ticket() {
    gateway_.revision = gateway_.revision.next();
    znode::Change change;
    change.path = kTicket;
    gateway_.publish({change});
  }
  bool run_until_watched(Client& client) {
    return run_until(client, [&] { return gateway_.watches.size() == 1; });
  }

  std::vector<std::string> steps_;
  std::vector<SessionId> sessions_;
  bool is_ready_ = false;
  bool ends_session_ = true;
  std::int64_t ttl_ms_ = 60'000;
};

TEST_F(RecipeWaitTest, WhoWaitsWatchesItsTicketAndIsAnsweredWhenItsTurnComes) {
  serve();
  Client client(port_);
  client.send("POST /v1/queues/q/take?wait=30s HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_watched(client));
  const auto& watch = gateway_.subscribed.back();
  EXPECT_EQ(watch.filter.paths, std::vector<std::string>{std::string(kTicket)});
  EXPECT_EQ(watch.filter.depth, watch::Depth::node);
  EXPECT_TRUE(watch.filter.with_system);
  EXPECT_EQ(watch.from, gateway_.revision);  // Nothing that came meanwhile is missed.
  ASSERT_TRUE(watch.session.has_value());
  EXPECT_EQ(watch.session->id, SessionId(77));
  change_ticket();  // Not its turn yet: it waits on.
  ASSERT_TRUE(run_until(client, [&] { return gateway_.subscribed.size() == 2; }));
  EXPECT_EQ(client.received, "");
  is_ready_ = true;
  change_ticket();
  ASSERT_TRUE(run_until_received(client, "\"item\":\"7\""));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 200 OK"));
  EXPECT_TRUE(gateway_.watches.empty());
  EXPECT_EQ(steps_.size(), 3U);
  EXPECT_EQ(sessions_.back(), SessionId(77));  // It acts as the session that it brought.
}

TEST_F(RecipeWaitTest, WhenTheTimeHasRunOutItGivesUp) {
  serve();
  Client client(port_);
  client.send("POST /v1/queues/q/take?wait=50ms HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_received(client, "\r\n\r\n"));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 204 No Content")) << client.received;
  ASSERT_EQ(steps_.size(), 2U);
  EXPECT_EQ(steps_.back(), "give-up");
  EXPECT_EQ(sessions_.back(), SessionId(77));
  EXPECT_TRUE(gateway_.watches.empty());
}

TEST_F(RecipeWaitTest, WithoutWaitItIsAnsweredAtOnce) {
  serve();
  const auto got = ask("POST /v1/queues/q/take HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 204 No Content")) << got;
  EXPECT_TRUE(gateway_.subscribed.empty());
  EXPECT_EQ(steps_.size(), 1U);
}

TEST_F(RecipeWaitTest, AConnectionThatBreaksClosesTheSessionThatItBrought) {
  serve();
  SessionId closed;
  {
    Client client(port_);
    client.send("POST /v1/queues/q/take?wait=30s HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(run_until_watched(client));
    gateway_.is_held = true;
  }
  Client other(port_);
  ASSERT_TRUE(run_until(other, [&] { return !gateway_.requests.empty(); }));
  const auto* close = std::get_if<core::CloseSession>(&gateway_.requests.back().op);
  ASSERT_NE(close, nullptr);
  EXPECT_EQ(close->id, SessionId(77));
  EXPECT_TRUE(gateway_.watches.empty());
}

TEST_F(RecipeWaitTest, AConnectionThatBreaksTakesBackWhatAGivenSessionAskedFor) {
  serve();
  const auto token = session::token_of(SessionId(5), session::Secret{4});
  {
    Client client(port_);
    client.send("POST /v1/queues/q/take?wait=30s HTTP/1.1\r\nCoord-Session: " + token + "\r\n\r\n");
    ASSERT_TRUE(run_until_watched(client));
    gateway_.is_held = true;
  }
  Client other(port_);
  ASSERT_TRUE(run_until(other, [&] { return !gateway_.requests.empty(); }));
  const auto* step = std::get_if<core::RecipeStep>(&gateway_.requests.back().op);
  ASSERT_NE(step, nullptr);
  EXPECT_EQ(step->bytes, "give-up");
  ASSERT_TRUE(gateway_.requests.back().session.has_value());
  EXPECT_EQ(gateway_.requests.back().session->id, SessionId(5));
}

TEST_F(RecipeWaitTest, AWatchThatIsCompactedOnlyMakesItAskAgain) {
  serve();
  gateway_.oldest = Zxid(1'000);  // Every resume is too old.
  is_ready_ = true;
  Client client(port_);
  client.send("POST /v1/queues/q/take?wait=30s HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_received(client, "\"item\":\"7\""));
  EXPECT_EQ(steps_, (std::vector<std::string>{steps_.front(), "poll"}));
}

TEST_F(RecipeWaitTest, TheOpenRequestKeepsItsSessionAlive) {
  ttl_ms_ = 100;
  serve();
  Client client(port_);
  client.send("POST /v1/queues/q/take?wait=30s HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return gateway_.touched >= 3; }));
  EXPECT_EQ(gateway_.touched_session, SessionId(77));
  EXPECT_EQ(client.received, "");
}

TEST_F(RecipeWaitTest, AWatchThatEndsWithTheSessionEndsTheRequest) {
  serve();
  Client client(port_);
  client.send("POST /v1/queues/q/take?wait=30s HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_watched(client));
  core::WatchState ended;
  ended.connection = gateway_.watches.back().connection;
  ended.watch = gateway_.watches.back().watch;
  ended.kind = core::WatchState::Kind::ended;
  ended.code = Code::session_expired;
  ended.revision = gateway_.revision;
  gateway_.watches.clear();
  gateway_.deliveries.push_back(ended);
  ASSERT_TRUE(run_until_received(client, "session-expired"));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 410 Gone"));
}

// ---- long polls of views

class RecipePollTest : public EdgeTest {
 protected:
  void SetUp() override {
    gateway_.on_query = [&](const core::RecipeQuery&, core::Reply& reply) {
      ++asked_;
      core::RecipeResult result;
      result.answer = answer_;
      reply.code = answer_.code;
      reply.result = std::move(result);
    };
  }
  recipes::Answer answer_;
  int asked_ = 0;
};

TEST_F(RecipePollTest, WhatIsFinalIsAnsweredAtOnce) {
  serve();
  answer_.is_final = true;
  answer_.etag = Zxid(9);
  const auto got = ask("GET /v1/counters/n?wait=30s HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK")) << got;
  EXPECT_TRUE(gateway_.subscribed.empty());
}

TEST_F(RecipePollTest, WhatIsMissingIsWaitedFor) {
  serve();
  answer_ = recipes::refusal(Code::not_found, "none");
  Client client(port_);
  client.send("GET /v1/counters/n?wait=30s HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return gateway_.watches.size() == 1; }));
  EXPECT_EQ(client.received, "");
  answer_ = {};
  answer_.etag = gateway_.revision = Zxid(20);
  znode::Change change;
  change.path = "/.coord/counters/n";
  gateway_.publish({change});
  ASSERT_TRUE(run_until_received(client, "HTTP/1.1 200 OK"));
  EXPECT_NE(client.received.find("ETag: \"20\""), std::string::npos);
  EXPECT_EQ(asked_, 2);
}

TEST_F(RecipePollTest, AnEtagThatIsStillTheSameIs304WhenTheTimeIsOver) {
  serve();
  answer_.etag = Zxid(9);
  Client client(port_);
  client.send("GET /v1/counters/n?wait=50ms HTTP/1.1\r\nIf-None-Match: \"9\"\r\n\r\n");
  ASSERT_TRUE(run_until_received(client, "\r\n\r\n"));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 304 Not Modified")) << client.received;
}

}  // namespace
}  // namespace coord::api
