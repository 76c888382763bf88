#include "cli/client.hpp"

#include <gtest/gtest.h>

#include "tests/unit/cli/scripted_server.hpp"

namespace coord::cli {
namespace {

using Step = ScriptedServer::Step;
using std::chrono::milliseconds;

ClientOptions options_for(const std::vector<std::string>& ports, milliseconds timeout) {
  ClientOptions options;
  for (const std::string& port : ports) options.endpoints.push_back({"127.0.0.1", port});
  options.timeout = timeout;
  options.refused_patience = milliseconds(20);
  options.backoff_min = milliseconds(1);
  options.backoff_max = milliseconds(5);
  return options;
}

TEST(Endpoints, are_read_from_lists_in_the_forms_that_people_type) {
  const struct {
    const char* name;
    const char* given;
    std::vector<Endpoint> want;  // Empty: refused.
  } cases[] = {
      {"the default", "http://127.0.0.1:7070", {{"127.0.0.1", "7070"}}},
      {"no scheme, no port", "localhost", {{"localhost", "7070"}}},
      {"several", "http://a:1,b:2/,c", {{"a", "1"}, {"b", "2"}, {"c", "7070"}}},
      {"IPv6", "[::1]:80,http://[::2]", {{"::1", "80"}, {"::2", "7070"}}},
      {"empty", "", {}},
      {"an empty one among them", "a,,b", {}},
      {"https", "https://a", {}},
      {"a path", "http://a:1/v1", {}},
      {"a port that is none", "a:x", {}},
      {"a port that is too large", "a:70000", {}},
      {"an open bracket", "[::1", {}},
  };
  for (const auto& c : cases) {
    const auto got = parse_endpoints(c.given);
    ASSERT_EQ(got.has_value(), !c.want.empty()) << c.name;
    if (got) {
      EXPECT_EQ(got.value(), c.want) << c.name;
    } else {
      EXPECT_EQ(got.error().exit, Exit::usage) << c.name;
    }
  }
}

TEST(Target, encodes_paths_and_parameters) {
  EXPECT_EQ(Target("/v1/tree", "/a b/c%\xc3\xa4").text(), "/v1/tree/a%20b/c%25%C3%A4");
  EXPECT_EQ(Target("/v1/watch").add("path", "/a&b").add("depth", "all").text(),
            "/v1/watch?path=/a%26b&depth=all");
}

TEST(Client, keeps_its_connection_and_sends_the_common_headers) {
  ScriptedServer server({Step::ok("one"), Step::ok("two")});
  ClientOptions options = options_for({server.port()}, milliseconds(5000));
  options.session = "51.secret";
  options.user = "ann:pw";
  Client client(options);
  EXPECT_EQ(client.call({"GET", "/a", {}, {}}).value().body, "one");
  EXPECT_EQ(client.call({"PUT", "/b", {}, "value"}).value().body, "two");
  EXPECT_EQ(server.connections(), 1);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_TRUE(requests[0].starts_with("GET /a HTTP/1.1\r\n"));
  EXPECT_EQ(header_of(requests[0], "Coord-Session"), "51.secret");
  EXPECT_EQ(header_of(requests[0], "Authorization"), "Basic YW5uOnB3");
  EXPECT_EQ(header_of(requests[0], "Idempotency-Key"), "");
  EXPECT_EQ(header_of(requests[1], "Idempotency-Key").size(), 32U);
  EXPECT_TRUE(requests[1].ends_with("\r\n\r\nvalue"));
}

TEST(Client, reads_chunked_answers) {
  ScriptedServer server(
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"}});
  Client client(options_for({server.port()}, milliseconds(5000)));
  EXPECT_EQ(client.call({"GET", "/", {}, {}}).value().body, "abcde");
}

TEST(Client, goes_to_the_next_endpoint_when_one_refuses) {
  ScriptedServer server({Step::ok("here")});
  Client client(options_for({refusing_port(), server.port()}, milliseconds(5000)));
  EXPECT_EQ(client.call({"GET", "/", {}, {}}).value().body, "here");
  EXPECT_EQ(client.endpoint().port, server.port());
}

TEST(Client, goes_to_the_next_endpoint_when_one_has_no_leader) {
  ScriptedServer first({Step::problem(503, "no-leader")});
  ScriptedServer second({Step::ok("here")});
  Client client(options_for({first.port(), second.port()}, milliseconds(5000)));
  EXPECT_EQ(client.call({"PUT", "/", {}, "v"}).value().body, "here");
  const std::string key = header_of(first.requests().at(0), "Idempotency-Key");
  EXPECT_EQ(header_of(second.requests().at(0), "Idempotency-Key"), key);
}

TEST(Client, goes_to_the_next_endpoint_when_one_hangs) {
  ScriptedServer first({Step{}});
  ScriptedServer second({Step::ok("here")});
  Client client(options_for({first.port(), second.port()}, milliseconds(400)));
  EXPECT_EQ(client.call({"GET", "/", {}, {}}).value().body, "here");
}

TEST(Client, repeats_a_write_whose_answer_was_lost_with_the_same_key) {
  ScriptedServer server({{"", true}, Step::problem(504, "outcome-unknown"), Step::ok("done")});
  Client client(options_for({server.port()}, milliseconds(5000)));
  EXPECT_EQ(client.call({"PUT", "/", {}, "v"}).value().body, "done");
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3U);
  const std::string key = header_of(requests[0], "Idempotency-Key");
  EXPECT_EQ(header_of(requests[1], "Idempotency-Key"), key);
  EXPECT_EQ(header_of(requests[2], "Idempotency-Key"), key);
}

TEST(Client, does_not_repeat_what_was_refused) {
  ScriptedServer server({Step::problem(412, "bad-version")});
  Client client(options_for({server.port()}, milliseconds(5000)));
  const auto got = client.call_ok({"PUT", "/", {}, "v"});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().exit, Exit::conflict);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(Client, opens_another_connection_when_the_kept_one_was_closed) {
  ScriptedServer server({{Step::ok("one").answer, true}, Step::ok("two")});
  Client client(options_for({server.port()}, milliseconds(5000)));
  EXPECT_EQ(client.call({"GET", "/", {}, {}}).value().body, "one");
  EXPECT_EQ(client.call({"GET", "/", {}, {}}).value().body, "two");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Client, tells_apart_how_a_call_can_fail) {
  const std::string nobody = refusing_port();
  Client refused(options_for({nobody}, milliseconds(5000)));
  const auto unavailable = refused.call({"PUT", "/", {}, "v"});
  ASSERT_FALSE(unavailable);
  EXPECT_EQ(unavailable.error().exit, Exit::unavailable);
  EXPECT_NE(unavailable.error().message.find("cannot connect to http://127.0.0.1:" + nobody),
            std::string::npos);

  ScriptedServer silent({Step{}, Step{}});
  Client patient(options_for({silent.port()}, milliseconds(100)));
  const auto timed_out = patient.call({"GET", "/", {}, {}});
  ASSERT_FALSE(timed_out);
  EXPECT_EQ(timed_out.error().exit, Exit::timed_out);
  const auto unknown = patient.call({"PUT", "/", {}, "v"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().exit, Exit::unknown_outcome);
}

TEST(Client, gives_a_503_that_lasts_as_the_answer) {
  const std::vector<Step> steps(2000, Step::problem(503, "no-leader"));
  ScriptedServer server(steps);
  Client client(options_for({server.port()}, milliseconds(500)));
  const auto got = client.call_ok({"GET", "/", {}, {}});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().exit, Exit::unavailable);
  EXPECT_GT(server.requests().size(), 2U);
}

TEST(Client, gives_the_503_too_when_the_try_after_it_is_not_answered) {
  const std::vector<Step> steps{Step::problem(503, "no-leader"), Step{}, Step{}};
  ScriptedServer server(steps);
  Client reader(options_for({server.port()}, milliseconds(500)));
  const auto got = reader.call_ok({"GET", "/", {}, {}});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().exit, Exit::unavailable);

  // A write that was sent again after it may have been applied.
  ScriptedServer other(steps);
  Client writer(options_for({other.port()}, milliseconds(500)));
  const auto unknown = writer.call_ok({"PUT", "/", {}, "v"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().exit, Exit::unknown_outcome);
}

TEST(Client, streams_an_answer_and_says_when_it_was_cut) {
  ScriptedServer server({Step::cut_stream("a\nb\n"),
                         {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true},
                         Step::problem(404, "no-node")});
  Client client(options_for({server.port()}, milliseconds(5000)));
  std::string got;
  const auto sink = [&](std::string_view piece) {
    got += piece;
    return true;
  };
  const auto whole = client.stream({"GET", "/", {}, {}}, sink, milliseconds(5000));
  EXPECT_EQ(got, "a\nb\n");
  EXPECT_FALSE(whole.value().is_cut);
  got.clear();
  const auto cut = client.stream({"GET", "/", {}, {}}, sink, milliseconds(5000));
  EXPECT_EQ(got, "abc");
  EXPECT_TRUE(cut.value().is_cut);
  got.clear();
  const auto refused = client.stream({"GET", "/", {}, {}}, sink, milliseconds(5000));
  EXPECT_EQ(got, "");
  EXPECT_EQ(refused.value().status, 404);
}

TEST(RandomKey, is_never_the_same) { EXPECT_NE(random_key(), random_key()); }

}  // namespace
}  // namespace coord::cli
