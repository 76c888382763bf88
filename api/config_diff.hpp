// config_diff: what is different between two texts, as `diff -u` shows it. Pure.
#pragma once

#include <string>
#include <string_view>

namespace coord::api {

struct DiffNames {
  std::string from;
  std::string to;
};

// Empty when they are equal. Bytes that are no text give one line that says so. The least number of
// changed lines while that is found in bounded time, else the middle is shown as replaced whole.
[[nodiscard]] std::string unified_diff(std::string_view from, std::string_view to,
                                       const DiffNames& names);

}  // namespace coord::api
