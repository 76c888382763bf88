// ConfigCheck: values against JSON Schema (draft 7), by valijson over nlohmann/json.
//
// Schemas come from clients, so what they may cost is bounded: their size and depth, the steps of a
// check, references that lead round in a circle, expressions whose time explodes. Nothing is
// fetched: a reference leads into the same document. Pure, but for a thread with a stack of its own
// while it works, because the library recurses.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace coord::api {

// What does not fit: a JSON pointer into the value (empty: all of it), and why.
struct Misfit {
  std::string path;
  std::string reason;
  friend bool operator==(const Misfit&, const Misfit&) = default;
};

// What is wrong with a schema, or nothing.
[[nodiscard]] std::string schema_error(std::string_view schema);
// The first thing in `value` that does not fit, or none. A schema that is none fits nothing.
[[nodiscard]] std::optional<Misfit> check_value(std::string_view schema, std::string_view value);

}  // namespace coord::api
