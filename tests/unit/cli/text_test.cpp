#include "cli/text.hpp"

#include <gtest/gtest.h>

#include "coord/base/prng.hpp"

namespace coord::cli {
namespace {

TEST(Paths, are_resolved_from_where_the_shell_stands) {
  const struct {
    const char* from;
    const char* given;
    const char* want;
  } cases[] = {
      {"/", "a", "/a"},           {"/a/b", "..", "/a"},     {"/a/b", "../../..", "/"},
      {"/a", "", "/a"},           {"/a", ".", "/a"},        {"/a", "/b", "/b"},
      {"/a", "b/./c/", "/a/b/c"}, {"/a/b", "../c", "/a/c"}, {"/a", "//b//c", "/b/c"},
      {"/", "..", "/"},           {"/a", "...", "/a/..."},  {"/", "/", "/"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(resolve_path(c.from, c.given), c.want) << c.from << " + " << c.given;
  }
  EXPECT_EQ(parent_path("/a/b"), "/a");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(base_name("/a/b"), "b");
  EXPECT_EQ(base_name("/"), "");
}

TEST(Durations, are_read_as_they_are_typed) {
  const struct {
    const char* given;
    std::optional<std::int64_t> want;
  } cases[] = {
      {"250ms", 250},     {"30s", 30'000},
      {"5m", 300'000},    {"2h", 7'200'000},
      {"1d", 86'400'000}, {"1.5s", 1500},
      {"0s", 0},          {"30", {}},
      {"s", {}},          {"", {}},
      {"-1s", {}},        {"1x", {}},
      {"1s ", {}},        {"99999999999999999d", {}},
  };
  for (const auto& c : cases) EXPECT_EQ(parse_duration_ms(c.given), c.want) << c.given;
  EXPECT_EQ(format_duration_ms(30'000), "30s");
  EXPECT_EQ(format_duration_ms(1'500), "1500ms");
  EXPECT_EQ(rough_duration(850), "0.8s");
  EXPECT_EQ(rough_duration(252'000), "4m12s");
}

TEST(Times, are_shown_in_UTC_to_the_second) {
  EXPECT_EQ(format_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_time(1'795'291'082'999), "2026-11-21T19:58:02Z");
}

TEST(Base64, comes_back_as_it_went) {
  EXPECT_EQ(base64_encoded("ann:pw"), "YW5uOnB3");
  EXPECT_EQ(base64_encoded("a"), "YQ==");
  Prng prng(1);
  for (std::size_t size = 0; size < 40; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(prng.below(256));
    EXPECT_EQ(base64_decoded(base64_encoded(bytes)), bytes);
  }
  EXPECT_EQ(base64_decoded("YQ"), std::nullopt);
  EXPECT_EQ(base64_decoded("Y*=="), std::nullopt);
}

TEST(Words, are_split_like_a_shell_does) {
  const struct {
    const char* given;
    std::vector<std::string> want;
    bool is_open = false;
  } cases[] = {
      {"ls -l /a", {"ls", "-l", "/a"}},
      {"  set\t/a   b ", {"set", "/a", "b"}},
      {"set /a 'b c' \"d \\\" e\"", {"set", "/a", "b c", "d \" e"}},
      {"set /a\\ b x", {"set", "/a b", "x"}},
      {"set /a ''", {"set", "/a", ""}},
      {"a'b'\"c\"d", {"abcd"}},
      {"ls # all of it", {"ls"}},
      {"ls a#b", {"ls", "a#b"}},
      {"", {}},
      {"# a comment", {}},
      {"set /a 'b", {"set", "/a", "b"}, true},
      {"ls \\", {"ls", ""}, true},
  };
  for (const auto& c : cases) {
    const Words got = split_words(c.given);
    EXPECT_EQ(got.words, c.want) << c.given;
    EXPECT_EQ(got.is_open, c.is_open) << c.given;
  }
}

TEST(Words, that_are_quoted_come_back_as_one) {
  for (const char* word : {"a", "", "a b", "it's", "\"", "a\\b", "#x", "tab\t"}) {
    EXPECT_EQ(split_words(quoted(word)).words, std::vector<std::string>{word}) << word;
  }
}

TEST(Escaping, keeps_values_from_driving_the_terminal) {
  const struct {
    const char* name;
    std::string given;
    const char* want;
  } cases[] = {
      {"plain text", "abc \xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82",
       "abc \xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82"},
      {"an escape sequence", "\x1b[2J", "\\x1b[2J"},
      {"line ends", "a\nb\tc\r", "a\\nb\\tc\\r"},
      {"a C1 control",
       "\xc2\x9b"
       "2J",
       "\\x9b2J"},
      {"bytes that are not UTF-8", "\xff\xc3(", "\\xff\\xc3("},
      {"an overlong slash", "\xc0\xaf", "\\xc0\\xaf"},
      {"NUL and DEL", std::string("\0\x7f", 2), "\\x00\\x7f"},
  };
  for (const auto& c : cases) EXPECT_EQ(escaped(c.given), c.want) << c.name;
}

TEST(Shortening, counts_characters_and_never_cuts_one) {
  EXPECT_EQ(shortened("abcdef", 6), "abcdef");
  EXPECT_EQ(shortened("abcdefg", 6), "abc...");
  EXPECT_EQ(shortened("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 4), "\xc3\xa4...");
  EXPECT_EQ(width_of("\xc3\xa4"
                     "b"),
            2U);
}

TEST(PercentEncoding, leaves_only_what_is_unreserved) {
  EXPECT_EQ(percent_encoded("/a b/+%", true), "/a%20b/%2B%25");
  EXPECT_EQ(percent_encoded("a/b", false), "a%2Fb");
}

}  // namespace
}  // namespace coord::cli
