#include "cli/watcher.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/scripted_server.hpp"

namespace coord::cli {
namespace {

using Step = ScriptedServer::Step;

std::string event_text(const std::string& type, int revision, const std::string& path,
                       bool is_last) {
  return fmt::format("event: {}\n{}data: {{\"type\":\"{}\",\"path\":\"{}\",\"revision\":{}}}\n\n",
                     type, is_last ? fmt::format("id: {}\n", revision) : "", type, path, revision);
}

std::string bookmark_text(int revision) {
  return fmt::format("event: bookmark\nid: {0}\ndata: {{\"revision\":{0}}}\n\n", revision);
}

struct Watched {
  std::vector<std::string> events;  // "revision type path"
  std::vector<std::string> targets;
  Outcome<void> result = success();
};

// Watches /a at a server of these steps until `count` events have come.
Watched watch(const std::vector<Step>& steps, std::size_t count, bool with_initial) {
  ScriptedServer server(steps);
  ClientOptions options;
  options.endpoints = {{"127.0.0.1", server.port()}};
  Client client(options);
  WatchPlan plan;
  plan.paths = {"/a"};
  plan.with_initial = with_initial;
  Watched out;
  out.result = run_watch(
      client, plan,
      [&](const Json& event) {
        out.events.push_back(fmt::format("{} {} {}", event["revision"].get<int>(),
                                         event["type"].get<std::string>(),
                                         event["path"].get<std::string>()));
        return out.events.size() < count;
      },
      [](const std::string&) {});
  for (const std::string& request : server.requests()) {
    out.targets.push_back(request.substr(4, request.find(' ', 4) - 4));
  }
  return out;
}

TEST(Watcher, resumes_after_a_cut_in_the_middle_of_a_transaction) {
  const auto got =
      watch({Step::cut_stream(bookmark_text(4) + event_text("created", 5, "/a", true) +
                              event_text("created", 6, "/a/x", false)),
             Step::cut_stream(bookmark_text(5) + event_text("created", 6, "/a/x", false) +
                              event_text("changed", 6, "/a", true))},
            3, false);
  EXPECT_TRUE(got.result);
  EXPECT_EQ(got.events,
            (std::vector<std::string>{"5 created /a", "6 created /a/x", "6 changed /a"}));
  EXPECT_EQ(got.targets,
            (std::vector<std::string>{"/v1/watch?path=/a", "/v1/watch?path=/a&from=5"}));
}

TEST(Watcher, asks_again_for_a_present_state_that_was_cut_before_its_end) {
  const std::string opening = "event: bookmark\ndata: {\"revision\":9}\n\n";
  const auto got =
      watch({Step::cut_stream(opening + event_text("created", 3, "/a", false)),
             Step::cut_stream(opening + event_text("created", 3, "/a", false) +
                              event_text("created", 4, "/a/x", false) + bookmark_text(9)),
             Step::cut_stream(bookmark_text(9) + event_text("deleted", 10, "/a/x", true))},
            3, true);
  EXPECT_TRUE(got.result);
  EXPECT_EQ(got.events,
            (std::vector<std::string>{"3 created /a", "4 created /a/x", "10 deleted /a/x"}));
  EXPECT_EQ(got.targets, (std::vector<std::string>{"/v1/watch?path=/a&initial=true",
                                                   "/v1/watch?path=/a&initial=true",
                                                   "/v1/watch?path=/a&from=9"}));
}

TEST(Watcher, does_not_ask_again_for_a_present_state_that_was_empty) {
  const std::string opening = "event: bookmark\ndata: {\"revision\":9}\n\n";
  const auto got = watch({Step::cut_stream(opening + bookmark_text(9)),
                          Step::cut_stream(event_text("created", 10, "/a", true))},
                         1, true);
  EXPECT_EQ(got.events, (std::vector<std::string>{"10 created /a"}));
  EXPECT_EQ(got.targets.at(1), "/v1/watch?path=/a&from=9");
}

TEST(Watcher, resumes_from_a_bookmark) {
  const auto got = watch({Step::cut_stream(bookmark_text(4) + bookmark_text(70)),
                          Step::cut_stream(event_text("changed", 71, "/a", true))},
                         1, false);
  EXPECT_EQ(got.targets.at(1), "/v1/watch?path=/a&from=70");
}

TEST(Watcher, goes_on_when_the_server_ends_the_stream_for_a_while) {
  const auto got = watch({Step::cut_stream(bookmark_text(4) + "event: no-leader\ndata: {}\n\n"),
                          Step::cut_stream(event_text("changed", 5, "/a", true))},
                         1, false);
  EXPECT_TRUE(got.result);
  EXPECT_EQ(got.events.size(), 1U);
}

TEST(Watcher, ends_when_the_server_says_that_it_cannot_go_on) {
  const struct {
    const char* name;
    Step step;
    Exit want;
  } cases[] = {
      {"the revision was trimmed while streaming",
       Step::cut_stream(bookmark_text(4) +
                        "event: compacted\ndata: {\"code\":\"compacted\",\"detail\":\"d\"}\n\n"),
       Exit::other},
      {"the revision was trimmed at the opening", Step::problem(410, "compacted"), Exit::other},
      {"the session has ended",
       Step::cut_stream("event: session-expired\ndata: {\"detail\":\"d\"}\n\n"),
       Exit::session_lost},
      {"it may not watch", Step::problem(403, "forbidden"), Exit::forbidden},
  };
  for (const auto& c : cases) {
    const auto got = watch({c.step}, 1, false);
    ASSERT_FALSE(got.result) << c.name;
    EXPECT_EQ(got.result.error().exit, c.want) << c.name;
    EXPECT_TRUE(got.events.empty()) << c.name;
  }
}

}  // namespace
}  // namespace coord::cli
