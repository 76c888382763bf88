// Deadlines: when a recipe's node has something due, in service time.
//
// Derived from the tree: kept up by core after each entry that changed nodes under /.coord, and
// made anew after a load; so it is the same on every member and needs no record of its own.
//
// Invariant between calls: for each path at most one deadline, in both maps alike.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coord::recipes {

class Deadlines {
 public:
  // None: it has no deadline (any more).
  void set(std::string_view path, std::optional<std::int64_t> service_ms);
  void clear() noexcept;
  [[nodiscard]] std::optional<std::int64_t> soonest() const;
  // The paths that are due, soonest first, at most `most`.
  [[nodiscard]] std::vector<std::string> due(std::int64_t service_ms, std::size_t most) const;
  [[nodiscard]] std::size_t size() const noexcept { return of_path_.size(); }
  [[nodiscard]] std::optional<std::int64_t> of(std::string_view path) const;

 private:
  std::map<std::string, std::int64_t, std::less<>> of_path_;
  std::set<std::pair<std::int64_t, std::string>> by_time_;
};

}  // namespace coord::recipes
