#include "watch/filter.hpp"

#include "znode/path.hpp"

namespace coord::watch {
namespace {

bool is_covered(std::string_view path, std::string_view watched, Depth depth) noexcept {
  switch (depth) {
    case Depth::node:
      return path == watched;
    case Depth::children:
      return path == watched || (path != "/" && znode::parent_of(path) == watched);
    case Depth::subtree:
      return znode::is_within(path, watched);
  }
  return false;
}

}  // namespace

bool matches(const Filter& filter, const znode::Change& change) noexcept {
  if (change.kind == znode::ChangeKind::acl) return false;
  const bool hides = !filter.with_system && znode::is_system(change.path);
  for (const auto& watched : filter.paths) {
    if (hides && !znode::is_system(watched)) continue;
    if (is_covered(change.path, watched, filter.depth)) return true;
  }
  return false;
}

}  // namespace coord::watch
