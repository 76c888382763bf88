#include "api/config_diff.hpp"

#include <gtest/gtest.h>

#include <string>

namespace coord::api {
namespace {

std::string diff(std::string_view from, std::string_view to) {
  return unified_diff(from, to, {"old", "new"});
}

TEST(ConfigDiff, EqualTextsHaveNone) {
  EXPECT_EQ(diff("", ""), "");
  EXPECT_EQ(diff("a\n", "a\n"), "");
}

TEST(ConfigDiff, ShowsTheLinesAround) {
  EXPECT_EQ(diff("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nfive\n6\n7\n8\n"),
            "--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
}

TEST(ConfigDiff, FarChangesStandInHunksOfTheirOwn) {
  std::string from;
  for (int i = 1; i <= 20; ++i) from += std::to_string(i) + "\n";
  std::string to = "0\n" + from;
  to.resize(to.size() - 3);  // Without "20\n".
  EXPECT_EQ(diff(from, to),
            "--- old\n+++ new\n@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n"
            "@@ -17,4 +18,3 @@\n 17\n 18\n 19\n-20\n");
}

TEST(ConfigDiff, NewAndEmptiedTextsAndMissingNewlines) {
  EXPECT_EQ(diff("", "a\n"), "--- old\n+++ new\n@@ -0,0 +1 @@\n+a\n");
  EXPECT_EQ(diff("a\n", ""), "--- old\n+++ new\n@@ -1 +0,0 @@\n-a\n");
  EXPECT_EQ(diff("a", "a\n"),
            "--- old\n+++ new\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
}

TEST(ConfigDiff, WhatIsNoTextIsOnlySaidToDiffer) {
  EXPECT_EQ(diff(std::string_view("a\0", 2), "b"), "Binary values old and new differ\n");
}

// The script that is found is right whatever the texts: applying it to one gives the other.
TEST(ConfigDiff, EveryScriptLeadsFromOneTextToTheOther) {
  std::uint64_t seed = 1;
  const auto draw = [&seed](std::uint64_t below) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % below;
  };
  for (int round = 0; round < 300; ++round) {
    std::string from;
    std::string to;
    for (auto left = draw(12); left > 0; --left)
      from += std::string(1, static_cast<char>('a' + draw(4))) + "\n";
    for (auto left = draw(12); left > 0; --left)
      to += std::string(1, static_cast<char>('a' + draw(4))) + "\n";
    std::string old_side;
    std::string new_side;
    const auto kept = from == to ? std::string() : unified_diff(from, to, {"x", "y"});
    std::string_view text = kept;
    // All lines are near each other: when anything differs, one or few hunks hold what changed.
    std::size_t removed = 0;
    std::size_t added = 0;
    while (!text.empty()) {
      const auto end = text.find('\n');
      const auto line = text.substr(0, end);
      text.remove_prefix(end + 1);
      if (line.starts_with("---") || line.starts_with("+++") || line.starts_with("@@")) continue;
      removed += line[0] == '-' ? 1 : 0;
      added += line[0] == '+' ? 1 : 0;
      if (line[0] != '+') old_side += std::string(line.substr(1)) + "\n";
      if (line[0] != '-') new_side += std::string(line.substr(1)) + "\n";
    }
    EXPECT_NE(from.find(old_side), std::string::npos) << kept;
    EXPECT_NE(to.find(new_side), std::string::npos) << kept;
    EXPECT_EQ(from.size() / 2 - removed, to.size() / 2 - added) << kept;
  }
}

TEST(ConfigDiff, TooManyChangesAreShownWhole) {
  std::string from;
  std::string to;
  for (int i = 0; i < 3'000; ++i) {
    from += "a" + std::to_string(i) + "\n";
    to += "b" + std::to_string(i) + "\n";
  }
  const auto text = diff(from, to);
  EXPECT_NE(text.find("@@ -1,3000 +1,3000 @@"), std::string::npos);
}

}  // namespace
}  // namespace coord::api
