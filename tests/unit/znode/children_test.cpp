#include "znode/children.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "coord/base/prng.hpp"
#include "znode/node.hpp"

namespace coord::znode {
namespace {

// Names of one shape, in few or many bytes before they differ.
std::string numbered(std::uint64_t n) { return std::to_string(n); }
std::string with_a_long_beginning(std::uint64_t n) {
  return fmt::format("a-beginning-that-all-share-{:05}", n);
}
std::string of_many_bytes(std::uint64_t n) {
  return fmt::format("{:03}-the-same-again-and-again-{}", n / 100, n);
}
// Of the least and the greatest byte; many are the beginning of others.
std::string of_extreme_bytes(std::uint64_t n) {
  std::string name = "n";
  for (; n > 0; n /= 3) name += std::string(n % 3, n % 2 == 0 ? '\0' : '\xff') + 'x';
  return name;
}

// Against std::map, over sizes that split and join chunks many times.
void compare_with_a_map(std::uint64_t names, std::string (*name_of)(std::uint64_t)) {
  Prng prng(names);
  Children children;
  std::map<std::string, Node*> model;
  for (int i = 0; i < 20'000; ++i) {
    // One that shares nothing with the others comes and goes, at either end.
    const bool is_other = prng.chance(1, 50);
    // More goes in than out at first, and later the other way round.
    const auto name =
        is_other ? std::string(prng.chance(1, 2) ? "\x01" : "\xfe") : name_of(prng.below(names));
    const auto at = model.find(name);
    if (prng.chance(i < 10'000 ? 2 : 1, 3)) {
      auto* const node = Node::make(Node{}, name, "", {});
      const bool is_new = children.insert(node);
      ASSERT_EQ(is_new, at == model.end());
      if (is_new) {
        model[name] = node;
      } else {
        Node::free(node);
      }
    } else if (at != model.end()) {
      children.erase(at->second);
      Node::free(at->second);
      model.erase(at);
    }
    ASSERT_EQ(children.size(), model.size());
    const auto found = model.find(name);
    ASSERT_EQ(children.find(name), found == model.end() ? nullptr : found->second);
    const auto bound = model.lower_bound(name);
    const auto got = children.lower_bound(name);
    ASSERT_EQ(got == children.end(), bound == model.end());
    if (bound != model.end()) {
      ASSERT_EQ(*got, bound->second);
    }
  }
  auto want = model.begin();
  for (auto* const node : children) {
    ASSERT_NE(want, model.end());
    ASSERT_EQ(node, (want++)->second);
  }
  EXPECT_EQ(want, model.end());
  for (const auto& [name, node] : model) Node::free(node);
}

TEST(Children, a_directory_is_an_ordered_map_by_name) {
  for (const std::uint64_t names : {10U, 300U, 5000U}) {
    for (auto* const name_of : {numbered, with_a_long_beginning, of_many_bytes, of_extreme_bytes}) {
      SCOPED_TRACE(fmt::format("{} names as {}", names, name_of(names - 1)));
      compare_with_a_map(names, name_of);
    }
  }
}

TEST(Children, a_node_is_replaced_in_its_place) {
  Children children;
  auto* const old = Node::make(Node{}, "a", "", {"one", nullptr, false});
  auto* const with = Node::make(Node{}, "a", "", {"two", nullptr, false});
  EXPECT_TRUE(children.insert(old));
  children.replace(old, with);
  EXPECT_EQ(children.find("a"), with);
  EXPECT_EQ(children.size(), 1U);
  Node::free(old);
  Node::free(with);
}

}  // namespace
}  // namespace coord::znode
