#include "cli/completion.hpp"

#include <gtest/gtest.h>

#include "cli/verbs.hpp"

namespace coord::cli {
namespace {

using Strings = std::vector<std::string>;

std::vector<std::string> paths_like(const std::string& word) {
  if (word == "/app/" || word == "/app/w") return {"/app/web-1", "/app/workers/", "/app/x"};
  if (word.empty()) return {"app/", "lone"};
  return {};
}

TEST(Completion, offers_what_may_stand_next) {
  const struct {
    const char* name;
    const char* line;
    const char* word;
    Strings want;
  } cases[] = {
      {"verbs by their beginning", "st", "st", {"stat", "status"}},
      {"flags of a verb", "ls --li", "--li", {"--limit"}},
      {"global flags before the verb", "--out", "--out", {"--output"}},
      {"the choices of a flag", "--output ", "", {"json", "raw", "table"}},
      {"the choices of a verb's flag", "watch --depth a", "a", {"all"}},
      {"nothing where a free value stands", "get --at ", "", {}},
      {"verbs below a verb", "session ", "", {"close", "keep", "ls", "open"}},
      {"flags of a verb below", "session open --tt", "--tt", {"--ttl"}},
      {"paths", "get /app/w", "/app/w", {"/app/web-1", "/app/workers/"}},
      {"paths from the current one", "ls ", "", {"app/", "lone"}},
      {"paths of a verb below",
       "acl get /app/",
       "/app/",
       {"/app/web-1", "/app/workers/", "/app/x"}},
      {"a verb after a global flag and its value", "--output json hist", "hist", {"history"}},
      {"nothing after a verb that takes none", "version ", "", {}},
      {"nothing after an unknown verb is a path", "foo ", "", {}},
  };
  for (const auto& c : cases) {
    const Completion got = complete(c.line, describe_commands(), &paths_like);
    EXPECT_EQ(got.word, c.word) << c.name;
    if (std::string_view(c.name) == "nothing after an unknown verb is a path") {
      EXPECT_EQ(std::count(got.candidates.begin(), got.candidates.end(), "lone"), 0) << c.name;
    } else {
      EXPECT_EQ(got.candidates, c.want) << c.name;
    }
  }
}

TEST(Completion, knows_an_open_quote) {
  const auto spaced = [](const std::string& word) {
    return word == "/a b" ? Strings{"/a b c"} : Strings{};
  };
  const Completion got = complete("get '/a b", describe_commands(), spaced);
  EXPECT_EQ(got.word, "/a b");
  EXPECT_TRUE(got.is_quoted);
  EXPECT_EQ(got.candidates, Strings{"/a b c"});
}

TEST(CommonPrefix, is_what_all_share_in_whole_characters) {
  EXPECT_EQ(common_prefix({"web-1", "web-2"}), "web-");
  EXPECT_EQ(common_prefix({"a"}), "a");
  EXPECT_EQ(common_prefix({"a", "b"}), "");
  EXPECT_EQ(common_prefix({}), "");
  EXPECT_EQ(common_prefix({"x\xc3\xa4", "x\xc3\xb6"}), "x");
}

TEST(CompletionScripts, name_every_verb_and_flag) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(shell, describe_commands());
    EXPECT_EQ(script.find("{valued}"), std::string::npos) << shell;
    EXPECT_EQ(script.find("{lookup}"), std::string::npos) << shell;
    for (const CommandInfo& verb : describe_commands().verbs) {
      EXPECT_NE(script.find(verb.name), std::string::npos) << shell << " " << verb.name;
      for (const FlagInfo& flag : verb.flags) {
        const std::string name = flag.names.front();
        const std::string want = std::string_view(shell) == "fish" ? " -l " + name.substr(2) : name;
        EXPECT_NE(script.find(want), std::string::npos) << shell << " " << verb.name << " " << name;
      }
    }
  }
}

TEST(Verbs, each_have_a_summary_and_an_example_that_names_them) {
  for (const Verb& verb : all_verbs()) {
    EXPECT_FALSE(verb.summary.empty()) << verb.name;
    EXPECT_NE(verb.examples.find(verb.name), std::string_view::npos) << verb.name;
    EXPECT_TRUE(verb.define != nullptr || !verb.below.empty()) << verb.name;
  }
}

}  // namespace
}  // namespace coord::cli
