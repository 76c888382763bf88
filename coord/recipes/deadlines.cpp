#include "coord/recipes/deadlines.hpp"

#include "coord/base/check.hpp"

namespace coord::recipes {

void Deadlines::set(std::string_view path, std::optional<std::int64_t> service_ms) {
  const auto known = of_path_.find(path);
  if (known != of_path_.end()) {
    if (service_ms == known->second) return;
    by_time_.erase({known->second, known->first});
    if (service_ms) {
      known->second = *service_ms;
      by_time_.emplace(*service_ms, path);
    } else {
      of_path_.erase(known);
    }
  } else if (service_ms) {
    of_path_.emplace(path, *service_ms);
    by_time_.emplace(*service_ms, path);
  }
  COORD_CHECK(of_path_.size() == by_time_.size(), "each path has one deadline", path);
}

void Deadlines::clear() noexcept {
  of_path_.clear();
  by_time_.clear();
}

std::optional<std::int64_t> Deadlines::soonest() const {
  if (by_time_.empty()) return std::nullopt;
  return by_time_.begin()->first;
}

std::vector<std::string> Deadlines::due(std::int64_t service_ms, std::size_t most) const {
  std::vector<std::string> paths;
  for (const auto& [at, path] : by_time_) {
    if (at > service_ms || paths.size() >= most) break;
    paths.push_back(path);
  }
  return paths;
}

std::optional<std::int64_t> Deadlines::of(std::string_view path) const {
  const auto known = of_path_.find(path);
  if (known == of_path_.end()) return std::nullopt;
  return known->second;
}

}  // namespace coord::recipes
