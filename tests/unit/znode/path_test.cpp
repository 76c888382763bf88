#include "znode/path.hpp"

#include <gtest/gtest.h>

namespace coord::znode {
namespace {

TEST(Path, paths_are_checked_by_the_rules_of_zookeeper) {
  struct Case {
    std::string name;
    std::string given;
    Code want;
  };
  const std::vector<Case> cases = {
      {"the root", "/", Code::ok},
      {"one segment", "/a", Code::ok},
      {"a name of dots that is not relative", "/...", Code::ok},
      {"a hidden name", "/.coord", Code::ok},
      {"text beyond ASCII", "/gr\xc3\xbc\xc3\x9f/\xe4\xb8\xad", Code::ok},
      {"the last character below the surrogates", "/\xed\x9f\xbf", Code::ok},
      {"the first character above the private range", "/\xef\xa4\x80", Code::ok},
      {"a space", "/a b", Code::ok},
      {"nothing", "", Code::bad_request},
      {"a relative path", "a/b", Code::bad_request},
      {"a slash at the end", "/a/", Code::bad_request},
      {"two slashes", "/a//b", Code::bad_request},
      {"a dot", "/a/./b", Code::bad_request},
      {"two dots", "/a/..", Code::bad_request},
      {"a NUL", std::string("/a\0b", 4), Code::bad_request},
      {"a control character", "/a\x1f", Code::bad_request},
      {"a delete character", "/a\x7f", Code::bad_request},
      {"a control character of two bytes", "/\xc2\x9f", Code::bad_request},
      {"the first of the private range", "/\xee\x80\x80", Code::bad_request},
      {"the last of the private range", "/\xef\xa3\xbf", Code::bad_request},
      {"a non-character", "/\xef\xbf\xb0", Code::bad_request},
      {"a character beyond U+FFFF", "/\xf0\x9f\x98\x80", Code::bad_request},
      {"an encoded surrogate", "/\xed\xa0\x80", Code::bad_request},
      {"an overlong form", "/\xc0\xaf", Code::bad_request},
      {"a lone continuation", "/\x80", Code::bad_request},
      {"a sequence that is cut short", "/\xe4\xb8", Code::bad_request},
      {"a name as long as may be", "/" + std::string(2047, 'n'), Code::ok},
      {"a name too long", "/" + std::string(2048, 'n'), Code::too_large},
      {"a path too long", "/" + std::string(4096, 'n'), Code::too_large},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(check_path(c.given).code, c.want) << c.name;
    EXPECT_EQ(path_error(c.given).empty(), c.want == Code::ok) << c.name;
  }
  EXPECT_EQ(path_error("/ab//c"), "the path has an empty segment at byte 4");
  EXPECT_EQ(name_error("a/b"), "the name has a / at byte 1");
  EXPECT_EQ(name_error(""), "the name is empty");
}

TEST(Path, a_path_that_is_too_deep_is_too_large_and_names_the_limit) {
  const TreeLimits limits{.depth_max = 3};
  EXPECT_EQ(check_path("/a/b/c", limits).code, Code::ok);
  const auto problem = check_path("/a/b/c/d", limits);
  EXPECT_EQ(problem.code, Code::too_large);
  EXPECT_EQ(problem.detail, "a path of 4 segments is deeper than depth_max = 3");
}

TEST(Path, parts_are_taken_apart_and_put_together) {
  EXPECT_EQ(parent_of("/a/b"), "/a");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(name_of("/a/b"), "b");
  EXPECT_EQ(join("/", "b"), "/b");
  EXPECT_EQ(join("/a", "b"), "/a/b");
  EXPECT_TRUE(is_within("/a/b", "/a"));
  EXPECT_TRUE(is_within("/a", "/a"));
  EXPECT_TRUE(is_within("/a", "/"));
  EXPECT_FALSE(is_within("/ab", "/a"));
  EXPECT_TRUE(is_system("/.coord/locks"));
  EXPECT_TRUE(is_system("/zookeeper"));
  EXPECT_FALSE(is_system("/.coordinates"));
  EXPECT_TRUE(is_valid_utf8("\xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_valid_utf8("\xf5\x80\x80\x80"));
}

}  // namespace
}  // namespace coord::znode
