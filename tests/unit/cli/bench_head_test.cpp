#include <gtest/gtest.h>

#include "cli/bench.hpp"
#include "tests/unit/cli/scripted_server.hpp"

namespace coord::cli {
namespace {

TEST(BenchHead, is_parsed_as_far_as_the_bench_needs_it) {
  const struct {
    const char* name;
    const char* given;
    HeadState want;
    int status = 0;
    std::size_t body_bytes = 0;
    bool is_closing = false;
  } cases[] = {
      {"a usual answer", "HTTP/1.1 200 OK\r\nETag: \"4\"\r\nContent-Length: 5\r\n\r\nhello",
       HeadState::complete, 200, 5},
      {"any case, any blanks", "HTTP/1.1 201 \r\nCONTENT-LENGTH:  12 \r\n\r\n", HeadState::complete,
       201, 12},
      {"no content", "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", HeadState::complete,
       204, 0},
      {"the last one", "HTTP/1.1 503 x\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
       HeadState::complete, 503, 0, true},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", HeadState::complete, 200, 0,
       true},
      {"not whole", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", HeadState::incomplete},
      {"nothing", "", HeadState::incomplete},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HeadState::malformed},
      {"not HTTP", "SSH-2.0-x\r\n\r\n", HeadState::malformed},
      {"no number", "HTTP/1.1 abc OK\r\nContent-Length: 5\r\n\r\n", HeadState::malformed},
      {"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
       HeadState::malformed},
      {"a line that is no header", "HTTP/1.1 200 OK\r\nfoo\r\n\r\n", HeadState::malformed},
  };
  for (const auto& c : cases) {
    Head head;
    EXPECT_EQ(parse_head(c.given, head), c.want) << c.name;
    if (c.want != HeadState::complete) continue;
    EXPECT_EQ(head.status, c.status) << c.name;
    EXPECT_EQ(head.body_bytes, c.body_bytes) << c.name;
    EXPECT_EQ(head.is_closing, c.is_closing) << c.name;
  }
}

// The server takes one connection at a time, so the bench has one here.
BenchOptions options_for(const ScriptedServer& server) {
  BenchOptions options;
  options.endpoints = {{"127.0.0.1", server.port()}};
  options.connections = 1;
  options.keys = 3;
  options.duration = std::chrono::milliseconds(50);
  options.timeout = std::chrono::milliseconds(2000);
  return options;
}

TEST(Bench, fills_its_keys_and_counts_each_answer_once) {
  ScriptedServer server(
      std::vector<ScriptedServer::Step>(1'000'000, ScriptedServer::Step::ok("v")));
  BenchOptions options = options_for(server);
  options.op = BenchOp::mixed;
  options.reads = 0.5;
  const auto report = run_bench(options);
  ASSERT_TRUE(report);
  const auto requests = server.requests();
  EXPECT_EQ(report.value().errors, 0U);
  EXPECT_GT(report.value().reads.count(), 0U);
  EXPECT_GT(report.value().writes.count(), 0U);
  EXPECT_EQ(report.value().reads.count() + report.value().writes.count() + 3, requests.size());
  EXPECT_TRUE(requests[0].starts_with("PUT /v1/tree/bench/k00000000 HTTP/1.1\r\n"));
}

TEST(Bench, keeps_to_the_rate_of_an_open_loop) {
  ScriptedServer server(std::vector<ScriptedServer::Step>(1'000'000, ScriptedServer::Step::ok("")));
  BenchOptions options = options_for(server);
  options.op = BenchOp::create;
  options.rate = 200;
  options.duration = std::chrono::milliseconds(200);
  const auto report = run_bench(options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report.value().writes.count() + report.value().unsent, 40U);
}

TEST(Bench, counts_from_when_a_request_was_due_even_if_every_connection_was_busy) {
  // The first answer never comes: what was due meanwhile is not forgotten.
  ScriptedServer server({ScriptedServer::Step{}});
  BenchOptions options = options_for(server);
  options.op = BenchOp::create;
  options.rate = 100;
  options.duration = std::chrono::milliseconds(100);
  options.timeout = std::chrono::milliseconds(50);
  const auto report = run_bench(options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report.value().errors, 1U);
  EXPECT_EQ(report.value().first_error, "no answer in time");
  EXPECT_EQ(report.value().unsent, 9U);
}

TEST(Bench, says_when_nobody_is_there) {
  BenchOptions options;
  options.endpoints = {{"127.0.0.1", refusing_port()}};
  const auto report = run_bench(options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().exit, Exit::unavailable);
}

}  // namespace
}  // namespace coord::cli
