#include "watch/filter.hpp"

#include <gtest/gtest.h>

#include "tests/unit/watch/changes.hpp"

namespace coord::watch {
namespace {

TEST(Filter, MatchesByPathDepthAndSystemArea) {
  const struct {
    const char* name;
    std::vector<std::string> paths;
    Depth depth;
    bool with_system;
    const char* given;
    bool want;
  } cases[] = {
      {"the node itself", {"/a"}, Depth::node, false, "/a", true},
      {"not its child", {"/a"}, Depth::node, false, "/a/b", false},
      {"not its parent", {"/a/b"}, Depth::node, false, "/a", false},
      {"not a longer name", {"/a"}, Depth::node, false, "/ab", false},
      {"the root", {"/"}, Depth::node, false, "/", true},
      {"a second path", {"/a", "/b"}, Depth::node, false, "/b", true},
      {"children: the node itself", {"/a"}, Depth::children, false, "/a", true},
      {"children: a child", {"/a"}, Depth::children, false, "/a/b", true},
      {"children: no grandchild", {"/a"}, Depth::children, false, "/a/b/c", false},
      {"children: no sibling", {"/a"}, Depth::children, false, "/ab", false},
      {"children of the root", {"/"}, Depth::children, false, "/a", true},
      {"children: the root itself", {"/"}, Depth::children, false, "/", true},
      {"children of the root: no grandchild", {"/"}, Depth::children, false, "/a/b", false},
      {"subtree: the node itself", {"/a"}, Depth::subtree, false, "/a", true},
      {"subtree: deep below", {"/a"}, Depth::subtree, false, "/a/b/c/d", true},
      {"subtree: no longer name", {"/a"}, Depth::subtree, false, "/ab/c", false},
      {"subtree: nothing above", {"/a/b"}, Depth::subtree, false, "/a", false},
      {"subtree of the root", {"/"}, Depth::subtree, false, "/a/b", true},
      {"system from above", {"/"}, Depth::subtree, false, "/.coord/locks/x", false},
      {"system from above, its top", {"/"}, Depth::subtree, false, "/.coord", false},
      {"system child from above", {"/"}, Depth::children, false, "/zookeeper", false},
      {"system from above on demand", {"/"}, Depth::subtree, true, "/.coord/locks/x", true},
      {"system child on demand", {"/"}, Depth::children, true, "/zookeeper", true},
      {"system from within", {"/.coord"}, Depth::subtree, false, "/.coord/locks/x", true},
      {"system node itself", {"/.coord/a"}, Depth::node, false, "/.coord/a", true},
      {"system by another path", {"/", "/.coord/a"}, Depth::subtree, false, "/.coord/a/b", true},
      {"system not by that path", {"/", "/.coord/a"}, Depth::subtree, false, "/.coord/b", false},
      {"a name that only starts so", {"/"}, Depth::subtree, false, "/.coordinate", true},
  };
  for (const auto& [name, paths, depth, with_system, given, want] : cases) {
    const Filter filter{paths, depth, with_system};
    EXPECT_EQ(matches(filter, make_change(given)), want) << name;
    EXPECT_FALSE(matches(filter, make_change(given, znode::ChangeKind::acl))) << name;
  }
}

}  // namespace
}  // namespace coord::watch
