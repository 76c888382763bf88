// Counter: a 64-bit number that many add to, and blocks of ids that are never given twice.
//
// The node /.coord/counters/NAME holds the number as a signed decimal. The first step makes it,
// from zero; before that there is no such counter. A counter that was removed begins from zero
// again, and gives its ids again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "coord/recipes/listing.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::recipes::counter {

// Adds `delta`; the answer's first and last are those of a block when `delta` was one.
struct Add {
  std::string name;
  std::int64_t delta = 1;
  friend bool operator==(const Add&, const Add&) = default;
};
struct Remove {
  std::string name;
  friend bool operator==(const Remove&, const Remove&) = default;
};
struct Get {
  std::string name;
  friend bool operator==(const Get&, const Get&) = default;
};
struct Value {
  std::int64_t before = 0;
  std::int64_t after = 0;
};

[[nodiscard]] std::string encode(const Add& op);
[[nodiscard]] std::string encode(const Remove& op);
[[nodiscard]] std::string encode(const Get& query);
// The listing's entries hold a Value each.
[[nodiscard]] std::string encode(const ListQuery& query);
[[nodiscard]] bool decode(std::string_view bytes, Value& value);

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
// Add: invalid when the number would overflow. Remove: not_found.
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);

}  // namespace coord::recipes::counter
