// Filter: which changes a watch wants.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "znode/change.hpp"

namespace coord::watch {

enum class Depth : std::uint8_t {
  node = 0,      // The node itself.
  children = 1,  // The node and its children.
  subtree = 2,   // The node and all below it.
};

struct Filter {
  std::vector<std::string> paths;  // Valid, at least one; a path that does not exist is fine.
  Depth depth = Depth::node;
  // System nodes below a watched path that is itself not a system path, too.
  bool with_system = false;
  // Changes of kind acl are never delivered; that is fixed and not a choice of the filter.
};

// Does the filter want this change? Costs a comparison with every path; Hub keeps an index.
[[nodiscard]] bool matches(const Filter& filter, const znode::Change& change) noexcept;

}  // namespace coord::watch
