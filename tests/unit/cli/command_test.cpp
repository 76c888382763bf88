#include "cli/command.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/cli/scripted_server.hpp"

namespace coord::cli {
namespace {

using Line = std::vector<std::string>;
using Step = ScriptedServer::Step;

TEST(CommandLine, refuses_what_makes_no_sense_with_exit_code_2) {
  const Line cases[] = {
      {"frobnicate"},
      {"get"},
      {"get", "/a", "--at"},
      {"set", "/a"},
      {"set", "/a", "v", "--if-match", "1", "--if-absent"},
      {"ls", "--limit", "x"},
      {"session"},
      {"session", "frobnicate"},
      {"create", "/a", "--hold"},
      {"create", "/a", "--ttl", "30"},
      {"--output", "xml", "ls"},
      {"watch", "/a", "--depth", "2"},
      {"completion", "tcsh"},
      {"ls", "--frobnicate"},
  };
  for (const Line& words : cases) {
    const auto got = parse_command(words);
    ASSERT_FALSE(got) << words.front();
    EXPECT_EQ(got.error().exit, Exit::usage) << words.front();
    EXPECT_FALSE(got.error().message.empty()) << words.front();
  }
}

TEST(CommandLine, takes_global_flags_before_and_after_the_verb) {
  for (const Line& words : {Line{"--output", "json", "--timeout", "2s", "get", "/a"},
                            Line{"get", "/a", "--timeout", "2s", "--output", "json"}}) {
    const auto got = parse_command(words);
    ASSERT_TRUE(got);
    EXPECT_EQ(got.value().globals.output, "json");
    EXPECT_EQ(got.value().globals.timeout_ms, 2000);
    EXPECT_TRUE(got.value().action);
  }
}

TEST(CommandLine, helps_with_examples_for_every_verb) {
  for (const Verb& verb : all_verbs()) {
    const auto asked = parse_command({"help", std::string(verb.name)});
    ASSERT_TRUE(asked) << verb.name;
    EXPECT_NE(asked.value().help.find("Examples:"), std::string::npos) << verb.name;
    EXPECT_NE(asked.value().help.find(verb.examples), std::string::npos) << verb.name;
  }
}

TEST(CommandLine, without_a_verb_has_no_action) {
  const auto got = parse_command({"--endpoint", "http://a:1"});
  ASSERT_TRUE(got);
  EXPECT_FALSE(got.value().action);
  EXPECT_EQ(got.value().globals.endpoint, "http://a:1");
}

TEST(CommandLine, refuses_a_header_in_a_session) {
  Globals globals;
  globals.session = "51.x\r\nEvil: yes";
  const auto got = client_options_of(globals);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().exit, Exit::usage);
}

// What verbs send: one line of request and the headers that matter.
TEST(Verbs, send_what_the_contract_says) {
  const struct {
    const char* name;
    Line words;
    const char* line;
    std::vector<std::pair<const char*, const char*>> headers;
    const char* body = "";
  } cases[] = {
      {"get", {"get", "app"}, "GET /v1/tree/app?as=raw", {}},
      {"get at a revision", {"get", "/a", "--at", "7"}, "GET /v1/tree/a?at=7&as=raw", {}},
      {"a name like a verb", {"get", "ls"}, "GET /v1/tree/ls?as=raw", {}},
      {"a local read",
       {"--consistency", "local", "stat", "/a"},
       "GET /v1/stat/a?consistency=local",
       {}},
      {"set", {"set", "/a", "v"}, "PUT /v1/tree/a", {{"If-Match", ""}, {"If-None-Match", ""}}, "v"},
      {"set guarded",
       {"set", "/a", "v", "--if-match", "42"},
       "PUT /v1/tree/a",
       {{"If-Match", "\"42\""}},
       "v"},
      {"set when absent",
       {"set", "/a", "@@v", "--if-absent", "-p"},
       "PUT /v1/tree/a?parents=true",
       {{"If-None-Match", "*"}},
       "@v"},
      {"a value that begins with -", {"set", "/a", "--", "-5"}, "PUT /v1/tree/a", {}, "-5"},
      {"create",
       {"create", "/a", "v", "--container"},
       "PUT /v1/tree/a?mode=container",
       {{"If-None-Match", "*"}},
       "v"},
      {"create with a ttl",
       {"create", "/a", "--ttl", "60s"},
       "PUT /v1/tree/a?ttl=60s",
       {{"If-None-Match", "*"}}},
      {"create in a session",
       {"--session", "5.x", "create", "-e", "/a", "v"},
       "PUT /v1/tree/a?mode=ephemeral",
       {{"Coord-Session", "5.x"}},
       "v"},
      {"create in sequence",
       {"create", "-s", "/jobs/job-", "v"},
       "POST /v1/tree/jobs?prefix=job-",
       {{"If-None-Match", ""}},
       "v"},
      {"create in sequence without a prefix",
       {"create", "-s", "/jobs/", "v"},
       "POST /v1/tree/jobs",
       {},
       "v"},
      {"rm",
       {"rm", "-r", "/a", "--fence", "jobs=57"},
       "DELETE /v1/tree/a?recursive=true",
       {{"Coord-Fence", "jobs=57"}}},
      {"txn", {"txn", "{}"}, "POST /v1/txn", {{"Content-Type", "application/json"}}, "{}"},
      {"acl",
       {"acl", "set", "/a", "digest:u:h=:rw"},
       "PUT /v1/acl/a",
       {},
       R"({"acl":[{"scheme":"digest","id":"u:h=","permissions":"rw"}]})"},
      {"quota",
       {"quota", "set", "/a", "--bytes", "1KB"},
       "PUT /v1/quotas/a",
       {},
       R"({"bytes":1024})"},
      {"session open",
       {"session", "open", "--ttl", "10s", "--name", "n"},
       "POST /v1/sessions",
       {},
       R"({"ttl_ms":10000,"name":"n"})"},
      {"cluster transfer",
       {"cluster", "transfer", "2", "--yes"},
       "POST /v1/cluster/transfer-leader",
       {},
       R"({"to":2})"},
      {"cluster remove",
       {"cluster", "remove", "3", "--dry-run"},
       "DELETE /v1/cluster/members/3?dry_run=true",
       {},
       "{}"},
      {"cluster replace",
       {"cluster", "replace", "3", "--with", "4=h4:7071", "--dry-run"},
       "POST /v1/cluster/members?dry_run=true",
       {},
       R"({"id":4,"peer":"h4:7071","role":"standby","replaces":3})"},
      {"cluster demote",
       {"cluster", "demote", "3", "--dry-run"},
       "PATCH /v1/cluster/members/3?dry_run=true",
       {},
       R"({"role":"observer"})"},
      {"cluster repair",
       {"cluster", "repair", "3", "--yes"},
       "POST /v1/cluster/members/3/repair",
       {},
       "{}"},
      {"session close",
       {"session", "close", "51.secret"},
       "DELETE /v1/sessions/51",
       {{"Coord-Session", "51.secret"}}},
  };
  for (const auto& c : cases) {
    ScriptedServer server({Step::ok("{\"session\":\"1.x\"}")});
    auto parsed = parse_command(c.words);
    ASSERT_TRUE(parsed) << c.name;
    parsed.value().globals.endpoint = "127.0.0.1:" + server.port();
    Client client(client_options_of(parsed.value().globals).value());
    const Printer print(Output::raw, false, false);
    Context context{client, print, "/", parsed.value().globals.consistency, false};
    testing::internal::CaptureStdout();
    const auto result = parsed.value().action(context);
    static_cast<void>(print.flush());
    testing::internal::GetCapturedStdout();
    EXPECT_TRUE(result) << c.name;
    const auto requests = server.requests();
    ASSERT_EQ(requests.size(), 1U) << c.name;
    EXPECT_EQ(requests[0].substr(0, requests[0].find(" HTTP/1.1")), c.line) << c.name;
    EXPECT_EQ(requests[0].substr(requests[0].find("\r\n\r\n") + 4), c.body) << c.name;
    for (const auto& [name, value] : c.headers) {
      EXPECT_EQ(header_of(requests[0], name), value) << c.name;
    }
  }
}

TEST(Verbs, say_how_to_get_a_session_when_an_ephemeral_node_lacks_one) {
  auto parsed = parse_command({"create", "--ephemeral", "/a", "v"});
  ASSERT_TRUE(parsed);
  parsed.value().globals.endpoint = "127.0.0.1:" + refusing_port();
  parsed.value().globals.session.clear();
  Client client(client_options_of(parsed.value().globals).value());
  const Printer print(Output::raw, false, false);
  Context context{client, print, "/", "", false};
  const auto result = parsed.value().action(context);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().exit, Exit::usage);
  EXPECT_NE(result.error().hint.find("coordctl session open --ttl 30s"), std::string::npos);
}

TEST(Verbs, raw_get_adds_no_byte) {
  ScriptedServer server({Step::ok("no newline")});
  auto parsed = parse_command({"get", "/a"});
  ASSERT_TRUE(parsed);
  parsed.value().globals.endpoint = "127.0.0.1:" + server.port();
  Client client(client_options_of(parsed.value().globals).value());
  const Printer print(Output::raw, false, true);
  Context context{client, print, "/", "", false};
  testing::internal::CaptureStdout();
  const auto result = parsed.value().action(context);
  EXPECT_TRUE(print.flush());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "no newline");
  EXPECT_TRUE(result);
}

TEST(Verbs, survive_answers_of_another_shape) {
  const std::vector<std::string> verbs[] = {{"ls", "-l", "/a"},
                                            {"stat", "/a"},
                                            {"history", "/a"},
                                            {"acl", "get", "/a"},
                                            {"session", "ls"},
                                            {"session", "open"},
                                            {"cluster", "status"},
                                            {"quota", "get", "/"},
                                            {"txn", "{}"},
                                            {"status"},
                                            {"tree", "/a"},
                                            {"set", "/a", "v"},
                                            {"session", "keep", "1.x", "--once"}};
  const char* answers[] = {
      "[]",
      "7",
      "null",
      "",
      "<html>",
      R"({"children":["a",7],"history":[[]],"acl":[1,[]],"sessions":[3],"session":4,"results":[5],
          "remaining_ms":"x","path":8,"stat":9,"succeeded":"no","cursor":{}})"};
  for (const auto& words : verbs) {
    for (const char* answer : answers) {
      ScriptedServer server({Step::ok(answer)});
      auto parsed = parse_command(words);
      ASSERT_TRUE(parsed) << words.front();
      parsed.value().globals.endpoint = "127.0.0.1:" + server.port();
      Client client(client_options_of(parsed.value().globals).value());
      const Printer print(Output::table, false, false);
      Context context{client, print, "/", "", false};
      testing::internal::CaptureStdout();
      testing::internal::CaptureStderr();
      const auto result = parsed.value().action(context);
      EXPECT_TRUE(print.flush());
      testing::internal::GetCapturedStdout();
      testing::internal::GetCapturedStderr();
      // Either it made sense of it, or it says so: no exception leaves a verb.
      EXPECT_TRUE(result || result.error().exit == Exit::other) << words.front() << " " << answer;
    }
  }
}

TEST(Verbs, list_page_by_page) {
  ScriptedServer server(
      {Step::ok(R"({"children":["a","b"],"cursor":"c1"})"), Step::ok(R"({"children":["c"]})")});
  auto parsed = parse_command({"ls", "/x"});
  ASSERT_TRUE(parsed);
  parsed.value().globals.endpoint = "127.0.0.1:" + server.port();
  Client client(client_options_of(parsed.value().globals).value());
  const Printer print(Output::table, false, false);
  Context context{client, print, "/", "", false};
  testing::internal::CaptureStdout();
  const auto result = parsed.value().action(context);
  EXPECT_TRUE(print.flush());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "a\nb\nc\n");
  EXPECT_TRUE(result);
  EXPECT_TRUE(server.requests().at(1).starts_with("GET /v1/children/x?limit=1000&cursor=c1 "));
}

TEST(Verbs, a_backup_that_is_no_whole_one_leaves_nothing_behind) {
  const std::string name = testing::TempDir() + "/no-backup";
  for (const auto& step : {Step::ok("this is no backup, whatever its answer says, by any means"),
                           Step::ok(""), Step::cut_stream("coordSN2")}) {
    ScriptedServer server({step});
    auto parsed = parse_command({"backup", name});
    ASSERT_TRUE(parsed);
    parsed.value().globals.endpoint = "127.0.0.1:" + server.port();
    Client client(client_options_of(parsed.value().globals).value());
    const Printer print(Output::raw, false, false);
    Context context{client, print, "/", "", false};
    const auto result = parsed.value().action(context);
    ASSERT_FALSE(result) << step.answer;
    EXPECT_EQ(result.error().exit, Exit::unavailable) << step.answer;
    EXPECT_EQ(server.requests().at(0).substr(0, 15), "GET /v1/backup ");
    EXPECT_FALSE(std::filesystem::exists(name)) << step.answer;
    EXPECT_FALSE(std::filesystem::exists(name + ".part")) << step.answer;
  }
}

}  // namespace
}  // namespace coord::cli
