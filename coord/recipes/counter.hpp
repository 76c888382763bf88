// Counter: a 64-bit number that many add to, and blocks of ids that are never given twice.
//
// The node /.coord/counters/NAME holds the number as a signed decimal. It is made by the first
// step; what is read before that is zero.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "coord/recipes/recipe.hpp"

namespace coord::recipes::counter {

// Adds `delta`; the answer's first and last are those of a block when `delta` was one.
struct Add {
  std::string name;
  std::int64_t delta = 1;
  friend bool operator==(const Add&, const Add&) = default;
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
[[nodiscard]] std::string encode(const Get& query);
[[nodiscard]] bool decode(std::string_view bytes, Value& value);

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
// invalid when the number would overflow.
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);

}  // namespace coord::recipes::counter
