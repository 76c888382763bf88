#include "cli/shell.hpp"

#include <gtest/gtest.h>

#include "tests/unit/cli/scripted_server.hpp"

namespace coord::cli {
namespace {

using Step = ScriptedServer::Step;

struct Ran {
  std::vector<Exit> exits;
  std::string output;
  std::string cwd;
  std::vector<std::string> lines;  // Of the requests.
};

Ran run(const std::vector<Step>& steps, const std::vector<std::string>& lines) {
  ScriptedServer server(steps);
  Globals globals;
  globals.endpoint = "127.0.0.1:" + server.port();
  Client client(client_options_of(globals).value());
  const Printer print(Output::table, false, false);
  Shell shell(client, print, globals);
  Ran out;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  for (const std::string& line : lines) out.exits.push_back(shell.run_line(line));
  static_cast<void>(print.flush());
  out.output = testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  out.cwd = shell.cwd();
  for (const std::string& request : server.requests()) {
    out.lines.push_back(request.substr(0, request.find(" HTTP/1.1")));
  }
  return out;
}

TEST(Shell, changes_the_node_that_relative_paths_start_at) {
  const Ran ran = run({Step::ok("{}"), Step::ok("value"), Step::ok("{}")},
                      {"cd /app", "get config", "cd ../x/./y", "pwd"});
  EXPECT_EQ(ran.exits, (std::vector<Exit>{Exit::ok, Exit::ok, Exit::ok, Exit::ok}));
  EXPECT_EQ(ran.lines,
            (std::vector<std::string>{"GET /v1/stat/app", "GET /v1/tree/app/config?as=raw",
                                      "GET /v1/stat/x/y"}));
  EXPECT_EQ(ran.cwd, "/x/y");
  EXPECT_EQ(ran.output, "value/x/y\n");
}

TEST(Shell, stays_where_it_is_when_there_is_no_such_node) {
  const Ran ran = run({Step::problem(404, "no-node")}, {"cd /nowhere"});
  EXPECT_EQ(ran.exits, std::vector<Exit>{Exit::not_found});
  EXPECT_EQ(ran.cwd, "/");
}

TEST(Shell, takes_blank_lines_and_comments_and_refuses_open_quotes) {
  const Ran ran = run({}, {"", "  # nothing", "get 'x", "frobnicate"});
  EXPECT_EQ(ran.exits, (std::vector<Exit>{Exit::ok, Exit::ok, Exit::usage, Exit::usage}));
  EXPECT_TRUE(ran.lines.empty());
}

TEST(Shell, uses_the_session_that_it_opened_until_it_is_closed) {
  ScriptedServer server({Step::ok(R"({"session":"5.x","id":"5","ttl_ms":1000})"), Step::ok("{}"),
                         Step::ok("{}"), Step::ok("{}")});
  Globals globals;
  globals.endpoint = "127.0.0.1:" + server.port();
  Client client(client_options_of(globals).value());
  const Printer print(Output::json, false, false);
  Shell shell(client, print, globals);
  testing::internal::CaptureStdout();
  EXPECT_EQ(shell.run_line("session open"), Exit::ok);
  EXPECT_EQ(shell.run_line("create -e /a v"), Exit::ok);
  EXPECT_EQ(shell.run_line("session close"), Exit::ok);
  EXPECT_EQ(shell.run_line("stat /a"), Exit::ok);
  static_cast<void>(print.flush());
  testing::internal::GetCapturedStdout();
  const auto requests = server.requests();
  EXPECT_EQ(header_of(requests.at(1), "Coord-Session"), "5.x");
  EXPECT_EQ(header_of(requests.at(3), "Coord-Session"), "");
}

TEST(Shell, completes_paths_from_the_server) {
  ScriptedServer server({Step::ok(R"({"children":[{"name":"web-1","stat":{"num_children":0}},
                                      {"name":"web","stat":{"num_children":3}}]})")});
  Globals globals;
  globals.endpoint = "127.0.0.1:" + server.port();
  Client client(client_options_of(globals).value());
  const Printer print(Output::table, false, false);
  Shell shell(client, print, globals);
  EXPECT_EQ(shell.paths_like("/app/we"), (std::vector<std::string>{"/app/web-1", "/app/web/"}));
  EXPECT_TRUE(
      server.requests().at(0).starts_with("GET /v1/children/app?stat=true&limit=200&prefix=we "));
}

TEST(Shell, leaves_with_exit) {
  ScriptedServer server({});
  Globals globals;
  globals.endpoint = "127.0.0.1:" + server.port();
  Client client(client_options_of(globals).value());
  const Printer print(Output::table, false, false);
  Shell shell(client, print, globals);
  EXPECT_EQ(shell.run_line("exit"), Exit::ok);
  EXPECT_TRUE(shell.is_leaving());
}

}  // namespace
}  // namespace coord::cli
