// Stand-ins.
#pragma once
#include <string_view>

#include "znode/change.hpp"
namespace coord::watch::paths {
inline bool is_within(std::string_view path, std::string_view top) noexcept {
  if (top == "/") return true;
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}
inline std::string_view parent_of(std::string_view path) noexcept {
  const auto slash = path.rfind('/');
  return slash == 0 ? std::string_view("/") : path.substr(0, slash);
}
inline bool is_system(std::string_view path) noexcept {
  return is_within(path, "/.coord") || is_within(path, "/zookeeper");
}
inline std::size_t bytes_of(const znode::ChangeBatch& batch) noexcept {
  std::size_t sum = sizeof batch;
  for (const auto& c : batch.changes) {
    sum += sizeof c + c.path.size() + c.value.size() + c.prev_value.size();
  }
  return sum;
}
}  // namespace coord::watch::paths
