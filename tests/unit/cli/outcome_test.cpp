#include "cli/outcome.hpp"

#include <gtest/gtest.h>

namespace coord::cli {
namespace {

TEST(ExitCodes, are_those_that_scripts_rely_on) {
  const struct {
    int status;
    const char* code;
    Exit want;
  } cases[] = {
      {200, "", Exit::ok},
      {304, "", Exit::ok},
      {400, "bad-request", Exit::other},
      {401, "unauthenticated", Exit::forbidden},
      {403, "forbidden", Exit::forbidden},
      {403, "bad-session-secret", Exit::forbidden},
      {404, "no-node", Exit::not_found},
      {404, "not-found", Exit::not_found},
      {408, "request-timeout", Exit::timed_out},
      {409, "node-exists", Exit::conflict},
      {409, "fence-stale", Exit::conflict},
      {410, "compacted", Exit::other},
      {410, "session-expired", Exit::session_lost},
      {412, "bad-version", Exit::conflict},
      {413, "too-large", Exit::other},
      {422, "invalid", Exit::other},
      {503, "no-leader", Exit::unavailable},
      {504, "outcome-unknown", Exit::unknown_outcome},
      {507, "disk-full", Exit::other},
  };
  for (const auto& c : cases) EXPECT_EQ(exit_of(c.status, c.code), c.want) << c.status << c.code;
  EXPECT_EQ(static_cast<int>(Exit::not_found), 3);
  EXPECT_EQ(static_cast<int>(Exit::conflict), 4);
  EXPECT_EQ(static_cast<int>(Exit::unavailable), 5);
  EXPECT_EQ(static_cast<int>(Exit::unknown_outcome), 6);
  EXPECT_EQ(static_cast<int>(Exit::forbidden), 7);
  EXPECT_EQ(static_cast<int>(Exit::timed_out), 124);
  EXPECT_EQ(static_cast<int>(Exit::session_lost), 125);
}

TEST(Problems, become_one_readable_line_and_a_hint) {
  const struct {
    const char* name;
    int status;
    const char* body;
    const char* want;
  } cases[] = {
      {"a missing node", 404, R"({"code":"no-node","path":"/a/b","detail":"not there"})",
       "error: no such node /a/b (no-node, 404)\n"},
      {"with something to do", 409, R"({"code":"not-empty","path":"/a","detail":"it has 3"})",
       "error: the node has children /a (not-empty, 409): it has 3\n"
       "hint: delete it with all that is below: coordctl rm -r /a\n"},
      {"with the server's words", 422, R"({"code":"invalid","detail":"ttl is at most 24h"})",
       "error: ttl is at most 24h (invalid, 422)\n"},
      {"with a title only", 405, R"({"code":"method-not-allowed","title":"Not so"})",
       "error: Not so (method-not-allowed, 405)\n"},
      {"the end of a session", 410, R"({"code":"session-expired","reason":"killed"})",
       "error: the session has expired (session-expired, 410) [reason: killed]\n"
       "hint: the session and its ephemeral nodes are gone; open another: coordctl session open "
       "--ttl 30s\n"},
      {"not JSON", 502, "<html>", "error: the server answered 502\n"},
      {"fields of other types", 400, R"({"code":7,"path":[],"detail":null})",
       "error: refused (problem, 400)\n"},
      {"an escape sequence", 404, R"({"code":"no-node","path":"/\u001b[2J"})",
       "error: no such node /\\x1b[2J (no-node, 404)\n"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(describe(trouble_of(c.status, c.body)), c.want) << c.name;
  }
  EXPECT_EQ(describe(Trouble{Exit::interrupted, {}, {}}), "");
}

}  // namespace
}  // namespace coord::cli
