#include "api/edge.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <zlib.h>

#include "allocations.hpp"
#include "edge_harness.hpp"

namespace coord::api {
namespace {

HttpOptions tiny_times() {
  HttpOptions options;
  options.header_timeout_ms = 40;
  options.idle_timeout_ms = 80;
  options.body_window_ms = 40;
  options.body_window_bytes = 1000;
  options.write_timeout_ms = 60;
  options.scan_ms = 10;
  options.linger_ms = 20;
  options.stream_beat_ms = 20;
  options.drain_ms = 1'000;
  return options;
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST_F(EdgeTest, PutsAndGetsAValueRaw) {
  serve();
  const auto created =
      ask("PUT /v1/tree/a HTTP/1.1\r\nContent-Type: text/css\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_TRUE(created.starts_with("HTTP/1.1 201 Created\r\n")) << created;
  EXPECT_NE(created.find("Coord-Revision: 11\r\n"), std::string::npos);
  const auto got = ask("GET /v1/tree/a HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
  for (const auto* part :
       {"Content-Type: text/css\r\n", "Content-Length: 5\r\n", "ETag: \"11\"\r\n",
        "Coord-Consistency: linearizable\r\n", "Coord-Stat: czxid=11, ", "Vary: Accept\r\n",
        "X-Content-Type-Options: nosniff\r\n", "Date: "}) {
    EXPECT_NE(got.find(part), std::string::npos) << part;
  }
  EXPECT_TRUE(got.ends_with("\r\n\r\nhello"));
}

TEST_F(EdgeTest, HeadHasTheLengthAndNoBody) {
  serve();
  put("/a", "hello");
  const auto got = ask("HEAD /v1/tree/a HTTP/1.1\r\n\r\n");
  EXPECT_NE(got.find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\n"));
}

TEST_F(EdgeTest, PipelinedAnswersLeaveInTheOrderOfTheRequests) {
  serve();
  for (const auto* name : {"a", "b", "c"}) put(std::string("/") + name, name);
  gateway_.is_held = true;
  Client client(port_);
  client.send(
      "GET /v1/tree/a HTTP/1.1\r\n\r\nGET /v1/tree/b HTTP/1.1\r\n\r\n"
      "GET /livez HTTP/1.1\r\n\r\nGET /v1/tree/c HTTP/1.1\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return gateway_.requests.size() == 3; }));
  EXPECT_EQ(client.received, "");
  std::swap(gateway_.requests[0], gateway_.requests[2]);  // Answered in another order.
  gateway_.is_held = false;
  ASSERT_TRUE(run_until_closed(client));
  const auto a = client.received.find("\r\n\r\na");
  const auto b = client.received.find("\r\n\r\nb");
  const auto alive = client.received.find("alive");
  const auto c = client.received.find("\r\n\r\nc");
  EXPECT_TRUE(a < b && b < alive && alive < c && c != std::string::npos) << client.received;
}

TEST_F(EdgeTest, APipelinedReadWaitsForTheWriteBeforeIt) {
  serve();
  gateway_.is_held = true;
  Client client(port_);
  client.send(
      "PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /v1/tree/a HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return !gateway_.requests.empty(); }));
  EXPECT_EQ(gateway_.requests.size(), 1U);
  gateway_.is_held = false;
  EXPECT_TRUE(run_until_received(client, "\r\n\r\nx"));
}

TEST_F(EdgeTest, MoreRequestsThanMayWaitAreTakenLater) {
  HttpOptions options;
  options.pipelined_max = 4;
  serve(options);
  put("/a", "v");
  Client client(port_);
  std::string many;
  for (int i = 0; i < 50; ++i) many += "GET /v1/tree/a HTTP/1.1\r\n\r\n";
  gateway_.is_held = true;
  client.send(many);
  ASSERT_TRUE(run_until(client, [&] { return gateway_.requests.size() == 4; }));
  gateway_.is_held = false;
  EXPECT_TRUE(run_until(client, [&] { return count_of(client.received, "200 OK") == 50; }));
}

TEST_F(EdgeTest, ChunkedUploadsAndContinueAreServed) {
  serve();
  Client client(port_);
  client.send(
      "PUT /v1/tree/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(run_until_received(client, "HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n");
  ASSERT_TRUE(run_until_received(client, "201 Created"));
  EXPECT_EQ(gateway_.nodes["/a"].value, Blob("hello"));
  EXPECT_EQ(count_of(client.received, "100 Continue"), 1U);
}

TEST_F(EdgeTest, WhatIsTooLargeIsRefusedBeforeItIsRead) {
  HttpOptions options;
  options.body_bytes_max = 100;
  options.header_bytes_max = 1000;
  serve(options);
  const std::string big(101, 'x');
  struct Case {
    std::string request;
    std::string_view status;
  };
  for (const auto& [request, status] : {
           Case{"PUT /v1/tree/a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n",
                "413 Content Too Large"},
           {"PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", "413 "},
           {"PUT /v1/tree/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + big + "\r\n",
            "413 "},
           {"GET /v1/tree/a HTTP/1.1\r\nX: " + std::string(1000, 'x') + "\r\n\r\n", "431 "},
           {"GET /v1/tree/" + std::string(2000, 'x'), "431 "},
       }) {
    const auto answer = ask(request);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::string(status))) << answer;
    EXPECT_NE(answer.find("\"limit\":"), std::string::npos) << answer;
    EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  }
  const auto write = ask("PUT /v1/tree/a HTTP/1.1\r\nX: " + std::string(1000, 'x') + "\r\n\r\n");
  EXPECT_NE(write.find("\"instance\":\"/v1/tree/a\""), std::string::npos) << write;
  EXPECT_NE(write.find("\"outcome\":\"not-applied\""), std::string::npos) << write;
  EXPECT_TRUE(gateway_.requests.empty());
  EXPECT_TRUE(gateway_.nodes.empty());
}

TEST_F(EdgeTest, MalformedHttpIs400AndTheEnd) {
  serve();
  for (const std::string_view request : {
           "GET\r\n\r\n",
           "GET / HTTP/9.9\r\n\r\n",
           "\r\n\r\nGET /\r\n\r\n",
           "GET /v1/tree/a HTTP/1.1\r\nBad Header: x\r\n\r\n",
           "PUT /v1/tree/a HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
           "PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
           "PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
           "PUT /v1/tree/a HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
           "PUT /v1/tree/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
       }) {
    const auto answer = ask(request);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << request << "\n" << answer;
    EXPECT_NE(answer.find("application/problem+json"), std::string::npos);
  }
  EXPECT_TRUE(gateway_.nodes.empty());
}

TEST_F(EdgeTest, ABodyCutShortAppliesNothing) {
  serve();
  for (const auto* request :
       {"PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 10\r\n\r\nhello",
        "PUT /v1/tree/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "PUT /v1/tree/a HTTP/1.1\r\nContent-"}) {
    EXPECT_EQ(ask(request), "");
  }
  EXPECT_TRUE(gateway_.nodes.empty());
}

TEST_F(EdgeTest, SlowAndSilentClientsAreClosed) {
  serve(tiny_times());
  Client silent(port_);
  EXPECT_TRUE(run_until_closed(silent));
  EXPECT_EQ(silent.received, "");
  Client slow_header(port_);
  slow_header.send("GET /v1/tr");
  EXPECT_TRUE(run_until_closed(slow_header));
  EXPECT_TRUE(slow_header.received.starts_with("HTTP/1.1 408 ")) << slow_header.received;
  Client slow_body(port_);
  slow_body.send("PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 10\r\n\r\nhello");
  EXPECT_TRUE(run_until_closed(slow_body));
  EXPECT_TRUE(slow_body.received.starts_with("HTTP/1.1 408 ")) << slow_body.received;
  Client idle(port_);
  idle.send("GET /livez HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(run_until_received(idle, "alive"));
  EXPECT_TRUE(run_until_closed(idle));
  EXPECT_TRUE(run_until(idle, [&] { return edge_->sockets().count() == 0; }));
}

TEST_F(EdgeTest, OneConnectionTooManyGets503) {
  HttpOptions options;
  options.connections_max = 1;
  serve(options);
  Client first(port_);
  ASSERT_TRUE(run_until(first, [&] { return edge_->sockets().count() == 1; }));
  Client second(port_);
  ASSERT_TRUE(run_until_closed(second));
  EXPECT_TRUE(second.received.starts_with("HTTP/1.1 503 ")) << second.received;
}

TEST_F(EdgeTest, OldClientsAreServedByTheirRules) {
  serve();
  put("/a", "v");
  const auto closed = ask("GET /v1/tree/a HTTP/1.0\r\n\r\n");
  EXPECT_NE(closed.find("Connection: close\r\n"), std::string::npos);
  Client client(port_);
  client.send("GET /v1/tree/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(run_until_received(client, "Connection: keep-alive\r\n"));
  EXPECT_FALSE(client.is_closed);
}

TEST_F(EdgeTest, LargeJsonIsGzippedOnDemandOnly) {
  serve();
  for (int i = 0; i < 200; ++i) put("/name-" + std::to_string(1000 + i), "");
  const auto plain = ask("GET /v1/children HTTP/1.1\r\n\r\n");
  EXPECT_EQ(plain.find("Content-Encoding"), std::string::npos);
  const auto small = ask("GET /v1/children HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n");
  ASSERT_NE(small.find("Content-Encoding: gzip\r\n"), std::string::npos);
  const auto body = small.substr(small.find("\r\n\r\n") + 4);
  std::string out(100'000, '\0');
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  EXPECT_EQ(out, plain.substr(plain.find("\r\n\r\n") + 4));
}

TEST_F(EdgeTest, CorsAnswersAllowedOriginsOnly) {
  HttpOptions options;
  options.cors_origins = {"https://ui.example"};
  serve(options);
  const std::string preflight =
      " HTTP/1.1\r\nAccess-Control-Request-Method: PUT\r\nOrigin: https://";
  const auto allowed = ask("OPTIONS /v1/tree/a" + preflight + "ui.example\r\n\r\n");
  EXPECT_TRUE(allowed.starts_with("HTTP/1.1 204 "));
  EXPECT_NE(allowed.find("Access-Control-Allow-Origin: https://ui.example\r\n"), std::string::npos);
  EXPECT_NE(allowed.find("Access-Control-Allow-Methods: GET, HEAD, PUT"), std::string::npos);
  const auto foreign = ask("OPTIONS /v1/tree/a" + preflight + "evil.example\r\n\r\n");
  EXPECT_EQ(foreign.find("Access-Control"), std::string::npos);
  EXPECT_NE(foreign.find("Allow: GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"), std::string::npos);
}

TEST_F(EdgeTest, AMergePatchTriesAgainWhenItLosesARace) {
  serve();
  put("/a", R"({"x":1})");
  gateway_.before_set = [&] {
    gateway_.revision = gateway_.revision.next();
    put("/a", R"({"x":1,"other":true})");
  };
  const auto answer = ask("PATCH /v1/tree/a HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"y\":2}");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
  EXPECT_EQ(gateway_.nodes["/a"].value, Blob(R"({"other":true,"x":1,"y":2})"));
  gateway_.before_set = [&] { gateway_.nodes["/a"].stat.mzxid = Zxid(99); };
  const auto guarded = ask("PATCH /v1/tree/a HTTP/1.1\r\nIf-Match: \"" +
                           std::to_string(gateway_.nodes["/a"].stat.mzxid.value()) +
                           "\"\r\nContent-Length: 7\r\n\r\n{\"y\":3}");
  EXPECT_TRUE(guarded.starts_with("HTTP/1.1 412 ")) << guarded;
}

TEST_F(EdgeTest, ALongPollAnswersOnAChangeAndOtherwise304) {
  serve(tiny_times());
  put("/a", "1");
  const auto quiet = ask("GET /v1/tree/a?wait=30ms HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(quiet, "");  // A poll whose client has ended its side is given up.
  Client timed(port_);
  timed.send("GET /v1/tree/a?wait=30ms HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(run_until_received(timed, "304 Not Modified"));
  Client changed(port_);
  changed.send("GET /v1/tree/a?wait=30s HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(changed, [&] { return gateway_.watches.size() == 1; }));
  ask("PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 1\r\n\r\n2");
  EXPECT_TRUE(run_until_received(changed, "\r\n\r\n2"));
  EXPECT_TRUE(gateway_.watches.empty());
  Client deleted(port_);
  deleted.send("GET /v1/tree/a?wait=30s HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(deleted, [&] { return gateway_.watches.size() == 1; }));
  ask("DELETE /v1/tree/a HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(run_until_received(deleted, "404 Not Found"));
}

TEST_F(EdgeTest, ALongPollWithAnEtagAnswersAtOnceWhatDiffers) {
  serve();
  put("/a", "1");
  Client client(port_);
  client.send("GET /v1/tree/a?wait=30s HTTP/1.1\r\nIf-None-Match: \"9\"\r\n\r\n");
  EXPECT_TRUE(run_until_received(client, "\r\n\r\n1"));
  client.received.clear();
  client.send("GET /v1/tree/a?wait=30s HTTP/1.1\r\nIf-None-Match: \"10\"\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return gateway_.watches.size() == 1; }));
  EXPECT_EQ(gateway_.subscribed.back().from, Zxid(10));
  EXPECT_EQ(client.received, "");
}

TEST_F(EdgeTest, AStreamOpensWithABookmarkAndBringsEvents) {
  serve(tiny_times());
  Client client(port_);
  client.send("GET /v1/watch?path=/a&values=true HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_received(client, "event: bookmark\nid: 10\ndata: {\"revision\":10}\n\n"));
  for (const auto* part : {"text/event-stream\r\n", "Cache-Control: no-store\r\n",
                           "X-Accel-Buffering: no\r\n", "Transfer-Encoding: chunked\r\n"}) {
    EXPECT_NE(client.received.find(part), std::string::npos) << part;
  }
  ask("PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
  ASSERT_TRUE(run_until_received(
      client, "event: created\nid: 11\ndata: {\"type\":\"created\",\"path\":\"/a\","));
  EXPECT_TRUE(run_until_received(client, ":\n\n"));
  client.received.clear();
  EXPECT_TRUE(run_until_received(client, "event: bookmark\nid: 11\n"));
}

TEST_F(EdgeTest, AHistoryThatIsGoneIs410) {
  serve();
  gateway_.oldest = Zxid(5);
  Client client(port_);
  client.send("GET /v1/watch?path=/a&from=3 HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_closed(client));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 410 Gone")) << client.received;
  EXPECT_NE(client.received.find("\"oldest_revision\":5"), std::string::npos);
}

TEST_F(EdgeTest, AReaderThatIsTooSlowIsCutAndCostsNobodyElse) {
  auto options = tiny_times();
  options.stream_bytes_max = 64 * kKiB;
  options.write_timeout_ms = 60'000;
  serve(options);
  Client slow(port_, 4096);
  slow.send("GET /v1/watch?path=/a&values=true HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_received(slow, "bookmark"));
  reads_ = false;
  for (int i = 0; i < 500 && !gateway_.watches.empty(); ++i) {
    put("/a", "");
    znode::Change change;
    change.path = "/a";
    change.value = Blob(std::string(64 * kKiB, 'x'));
    gateway_.publish({change});
    gateway_.pump();
    edge_->sockets().poll();
  }
  EXPECT_TRUE(gateway_.watches.empty());
  reads_ = true;
  EXPECT_TRUE(run_until_closed(slow));
}

TEST_F(EdgeTest, AStreamRenewsItsSessionWhileItsBytesAreAcknowledged) {
  auto options = tiny_times();
  options.stream_beat_ms = 10'000;
  serve(options);
  gateway_.session_ttl_ms = 80;
  Client client(port_);
  client.send(
      "GET /v1/watch?path=/a HTTP/1.1\r\n"
      "Coord-Session: 51.000102030405060708090a0b0c0d0e0f\r\n\r\n");
  EXPECT_TRUE(run_until(client, [&] { return gateway_.touched >= 3; }));
  EXPECT_GE(count_of(client.received, ":\n\n"), 3U);
}

TEST_F(EdgeTest, TheProbesAnswerWithoutTheMember) {
  serve();
  gateway_.is_held = true;
  EXPECT_TRUE(ask("GET /livez HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(ask("GET /readyz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
  gateway_.is_serving = false;
  const auto waiting = ask("GET /readyz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(waiting.starts_with("HTTP/1.1 503 "));
  EXPECT_NE(waiting.find("no leader"), std::string::npos);
  EXPECT_NE(ask("GET /metrics HTTP/1.1\r\n\r\n").find("coord_applied 1"), std::string::npos);
  EXPECT_NE(ask("GET /openapi.json HTTP/1.1\r\n\r\n").find("\"3.1.0\""), std::string::npos);
}

TEST_F(EdgeTest, AMemberThatDoesNotAnswerIsAnsweredForAtLast) {
  auto options = tiny_times();
  options.answer_grace_ms = 10;
  serve(options);
  gateway_.is_held = true;
  Client write(port_);
  write.send("PUT /v1/tree/a?timeout=20ms HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
  ASSERT_TRUE(run_until_received(write, "\"outcome\":\"unknown\""));
  EXPECT_TRUE(write.received.starts_with("HTTP/1.1 504 ")) << write.received;
  Client read(port_);
  read.send("GET /v1/tree/a?timeout=20ms HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_received(read, "503 Service Unavailable"));
}

TEST_F(EdgeTest, DrainingEndsStreamsCleanlyAndAnswersWhatIsInFlight) {
  auto options = tiny_times();
  options.idle_timeout_ms = 60'000;
  serve(options);
  Client stream(port_);
  stream.send("GET /v1/watch?path=/a HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until_received(stream, "bookmark"));
  Client write(port_);
  write.send("PUT /v1/tree/a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
  gateway_.is_held = true;
  ASSERT_TRUE(run_until(write, [&] { return gateway_.requests.size() == 1; }));
  edge_->sockets().start_draining();
  EXPECT_TRUE(run_until_closed(stream));
  EXPECT_TRUE(stream.received.ends_with("0\r\n\r\n"));
  gateway_.is_held = false;
  EXPECT_TRUE(run_until_closed(write));
  EXPECT_NE(write.received.find("201 Created"), std::string::npos);
  EXPECT_TRUE(run_until(write, [&] { return edge_->sockets().is_drained(); }));
}

TEST_F(EdgeTest, ASessionsSecretIsChanceAndItsTokenAHeader) {
  serve();
  const auto answer = ask("POST /v1/sessions?ttl=10s HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 201 ")) << answer;
  EXPECT_NE(answer.find("Coord-Session: 11.010203"), std::string::npos);
  EXPECT_NE(answer.find("\"ttl_ms\":10000"), std::string::npos);
}

TEST_F(EdgeTest, ARawGetCostsFewAllocations) {
  serve();
  put("/bench/p0001/k00000001", std::string(100, 'v'));
  Client client(port_);
  const std::string request = "GET /v1/tree/bench/p0001/k00000001 HTTP/1.1\r\nHost: a:1\r\n\r\n";
  constexpr std::size_t kRounds = 200;
  std::size_t edge_allocations = 0;
  std::size_t allocations = 0;
  for (std::size_t i = 0; i < kRounds + 10; ++i) {
    client.send(request);
    pollfd ready{edge_->sockets().descriptor(), POLLIN, 0};
    while (gateway_.requests.empty()) {
      ::poll(&ready, 1, 1000);
      coord::testing_support::count_allocations(true);
      edge_->sockets().poll();
      allocations = coord::testing_support::count_allocations(false);
    }
    if (i >= 10) edge_allocations += allocations;  // The first ones fill the pools.
    auto node = gateway_.nodes.at("/bench/p0001/k00000001");
    core::Reply reply;
    reply.connection = gateway_.requests[0].connection;
    reply.id = gateway_.requests[0].id;
    reply.result = core::NodeValue{node.stat, node.value, ""};
    gateway_.requests.clear();
    gateway_.deliveries.push_back(std::move(reply));
    client.received.clear();
    gateway_.pump();
    ASSERT_TRUE(run_until_received(client, "vvv"));
  }
  // The path in the request and in the scratch, the identities, and the fake's queue.
  EXPECT_LE(edge_allocations, kRounds * 6) << edge_allocations / kRounds << " a request";
}

TEST_F(EdgeTest, ABackupIsReadPieceByPieceAsTheClientTakesIt) {
  HttpOptions options;
  options.stream_resume_bytes = 100'000;
  serve(options);
  Client client(port_, 4'096);
  client.send("GET /v1/backup HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(client, [&] { return gateway_.backup_asks.size() == 1; }));
  EXPECT_EQ(client.received, "") << "the first piece may still be refused";
  reads_ = false;
  const std::string piece(1'000'000, 'p');
  std::size_t given = 0;
  for (; given < 50 && !gateway_.backup_asks.empty(); ++given) {
    gateway_.give_backup({{}, Zxid(57), piece, false});
    for (int i = 0; i < 20; ++i) edge_->sockets().poll();
  }
  EXPECT_LT(given, 50U) << "what nobody takes gathers";
  reads_ = true;
  ASSERT_TRUE(run_until(client, [&] { return !gateway_.backup_asks.empty(); }));
  gateway_.give_backup({{}, Zxid(57), "end", true});
  ASSERT_TRUE(run_until_closed(client));
  for (const auto* part :
       {"HTTP/1.1 200 OK\r\n", "Coord-Revision: 57\r\n",
        "Content-Type: application/octet-stream\r\n", "Transfer-Encoding: chunked\r\n"}) {
    EXPECT_NE(client.received.find(part), std::string::npos) << part;
  }
  EXPECT_TRUE(client.received.ends_with("\r\n3\r\nend\r\n0\r\n\r\n"));
  EXPECT_GT(client.received.size(), given * piece.size());
}

TEST_F(EdgeTest, ABackupThatCannotBeReadIsRefusedOrCut) {
  serve();
  Client refused(port_);
  refused.send("GET /v1/backup HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(refused, [&] { return !gateway_.backup_asks.empty(); }));
  gateway_.give_backup({"2 backups are read already", {}, {}, false});
  ASSERT_TRUE(run_until_closed(refused));
  EXPECT_TRUE(refused.received.starts_with("HTTP/1.1 503 ")) << refused.received;
  EXPECT_NE(refused.received.find("2 backups are read already"), std::string::npos);
  Client cut(port_);
  cut.send("GET /v1/backup HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(cut, [&] { return !gateway_.backup_asks.empty(); }));
  gateway_.give_backup({{}, Zxid(57), "begin", false});
  ASSERT_TRUE(run_until(cut, [&] { return !gateway_.backup_asks.empty(); }));
  gateway_.give_backup({"the disk is gone", {}, {}, false});
  ASSERT_TRUE(run_until_closed(cut));
  EXPECT_TRUE(cut.received.ends_with("5\r\nbegin\r\n")) << cut.received;
  EXPECT_TRUE(ask("HEAD /v1/backup HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

}  // namespace
}  // namespace coord::api
