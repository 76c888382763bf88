// The seam between recipes and connections: steps that are checked here before they are proposed,
// and long polls that wake for what their client sees. The member is a script.
#include <gtest/gtest.h>

#include <vector>

#include "coord/recipes/config.hpp"
#include "edge_harness.hpp"

namespace coord::api {
namespace {

namespace config = recipes::config;

class RecipeCheckTest : public EdgeTest {
 protected:
  void SetUp() override {
    gateway_.on_query = [&](const core::RecipeQuery& query, core::Reply& reply) {
      config::Query asked;
      EXPECT_TRUE(decode(query.bytes, asked));
      ++asked_;
      core::RecipeResult result;
      result.answer = asked.ask == config::Ask::basis ? basis() : present_;
      reply.code = result.answer.code;
      reply.result = std::move(result);
    };
    gateway_.on_step = [&](const core::RecipeStep& step, const core::Request& request,
                           core::Reply& reply) {
      config::Step op;
      EXPECT_TRUE(decode(step.bytes, op));
      keys_.push_back(request.idempotency_key);
      steps_.push_back(op);
      core::RecipeResult result;
      if (op.schema != Zxid(schema_revision_)) {
        result.answer = recipes::refusal(Code::bad_version, "changed");
        result.answer.is_stale = true;
      } else if (!op.refusal.empty()) {
        result.answer = recipes::refusal(Code::schema_refused, op.refusal);
      } else {
        config::Items items;
        items.items.emplace_back().release = 1;
        result.answer.bytes = encode(items);
      }
      reply.code = result.answer.code;
      reply.result = std::move(result);
    };
  }
  // The first answers are of the schema before.
  recipes::Answer basis() {
    config::Items items;
    items.items.emplace_back().revision = Zxid(schema_revision_ - (old_answers_ > 0 ? 1 : 0));
    if (old_answers_ > 0) --old_answers_;
    recipes::Answer answer;
    answer.bytes = encode(items);
    answer.values.emplace_back(R"({"properties":{"port":{"minimum":1}}})");
    return answer;
  }
  static recipes::Answer shown(std::uint64_t release, std::uint64_t changed) {
    config::Items items;
    items.items.emplace_back().release = release;
    recipes::Answer answer;
    answer.bytes = encode(items);
    answer.values.emplace_back("value " + std::to_string(release));
    answer.etag = Zxid(release);
    answer.changed = Zxid(changed);
    return answer;
  }
  void change(recipes::Answer to) {
    present_ = std::move(to);
    gateway_.revision = gateway_.revision.next();
    znode::Change change;
    change.path = "/.coord/config/app";
    gateway_.publish({change});
  }

  std::vector<config::Step> steps_;
  std::vector<std::string> keys_;
  recipes::Answer present_ = recipes::refusal(Code::not_found, "none");
  std::uint64_t schema_revision_ = 5;
  int old_answers_ = 0;
  int asked_ = 0;
};

std::string put_request(std::string_view body, std::string_view header = {}) {
  return "PUT /v1/config/app HTTP/1.1\r\nConnection: close\r\n" + std::string(header) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST_F(RecipeCheckTest, WhatFitsIsProposedWithTheSchemaThatPassedIt) {
  serve();
  const auto got = ask(put_request(R"({"port":1})"));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 201 Created")) << got;
  ASSERT_EQ(steps_.size(), 1U);
  EXPECT_EQ(steps_[0].schema, Zxid(5));
  EXPECT_EQ(steps_[0].value.view(), R"({"port":1})");
}

TEST_F(RecipeCheckTest, WhatDoesNotFitIsRefusedWithoutALogEntry) {
  serve();
  const auto got = ask(put_request(R"({"port":0})"));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 422 ")) << got;
  EXPECT_NE(got.find("\"code\":\"schema-refused\""), std::string::npos) << got;
  EXPECT_NE(got.find("\"path\":\"/port\""), std::string::npos) << got;
  EXPECT_TRUE(steps_.empty());
}

TEST_F(RecipeCheckTest, WithAKeyARefusalIsProposedToBeRemembered) {
  serve();
  const auto got = ask(put_request(R"({"port":0})", "Idempotency-Key: k\r\n"));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 422 ")) << got;
  EXPECT_NE(got.find("\"path\":\"/port\""), std::string::npos) << got;
  ASSERT_EQ(steps_.size(), 1U);
  EXPECT_FALSE(steps_[0].refusal.empty());
}

TEST_F(RecipeCheckTest, ASchemaThatChangedMeanwhileIsCheckedAgain) {
  old_answers_ = 2;
  serve();
  const auto got = ask(put_request("{}", "Idempotency-Key: k\r\n"));
  EXPECT_TRUE(got.starts_with("HTTP/1.1 201 Created")) << got;
  EXPECT_EQ(asked_, 3);
  EXPECT_EQ(keys_, (std::vector<std::string>{"k", "k#2", "k#3"}));
}

TEST_F(RecipeCheckTest, ALongPollWakesForWhatItsClientSees) {
  present_ = shown(1, 3);
  serve();
  Client client(port_);
  client.send("GET /v1/config/app?wait=30s HTTP/1.1\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return gateway_.watches.size() == 1; }));
  change(shown(1, 7));  // For others.
  ASSERT_TRUE(run_until(client, [&] { return gateway_.subscribed.size() == 2; }));
  EXPECT_EQ(client.received, "");
  change(shown(2, 8));
  ASSERT_TRUE(run_until_received(client, "value 2"));
}

TEST_F(RecipeCheckTest, ALongPollSinceARevisionSeesWhatChangedAfterIt) {
  present_ = shown(1, 3);
  serve();
  const auto got = ask("GET /v1/config/app?wait=30s&since=2 HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_NE(got.find("value 1"), std::string::npos) << got;
  EXPECT_TRUE(gateway_.subscribed.empty());
  Client client(port_);
  client.send("GET /v1/config/app?wait=30s&since=3 HTTP/1.1\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return gateway_.watches.size() == 1; }));
  EXPECT_EQ(client.received, "");
}

TEST_F(RecipeCheckTest, EachStreamOpensWithThePresentRelease) {
  present_ = shown(1, 3);
  serve();
  Client first(port_);
  Client second(port_);
  for (auto* client : {&first, &second}) {
    client->send("GET /v1/config/app HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n");
    ASSERT_TRUE(run_until_received(*client, "event: release"));
    EXPECT_NE(client->received.find("\"value\":\"value 1\""), std::string::npos);
  }
}

}  // namespace
}  // namespace coord::api
