// Fields: what a request says in its JSON body or in its query; the query wins.
//
// For routes whose body is an object of a few named fields. Unknown names are refused, with the
// nearest known one. The first thing that is wrong is kept; finish() gives it. Thread rule: values.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/plan_parts.hpp"

namespace coord::api {

class Fields {
 public:
  // Parses the body as a JSON object, whatever its Content-Type; it may be empty. `names`: what the
  // body may have (the query's names are checked by the route already).
  Fields(const PlanInput& in, std::initializer_list<std::string_view> names);

  [[nodiscard]] bool has(std::string_view name) const noexcept;
  std::optional<std::string> text(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::uint64_t> count(std::string_view name);
  std::optional<std::int64_t> whole(std::string_view name);
  // `name` ("30s") or `name_ms` (an integer), not both. `name_ms` may be empty.
  std::optional<std::int64_t> duration(std::string_view name, std::string_view name_ms);
  // A field of the body of any kind, or null.
  [[nodiscard]] const nlohmann::json* body(std::string_view name) const noexcept;
  // A list of strings in the body, or the comma-separated text of the query.
  std::optional<std::vector<std::string>> texts(std::string_view name);

  void fail(std::string detail);
  [[nodiscard]] Problem finish() const { return problem_; }

 private:
  const PlanInput& in_;
  nlohmann::json body_;
  Problem problem_;
};

}  // namespace coord::api
