#include "api/fields.hpp"

#include <fmt/format.h>

#include "api/bodies.hpp"

namespace coord::api {

Fields::Fields(const PlanInput& in, std::initializer_list<std::string_view> names) : in_(in) {
  body_ = nlohmann::json::object();
  if (in.view.body.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
  problem_ = check_json(in.view.body);
  if (problem_) return;
  body_ = nlohmann::json::parse(in.view.body.begin(), in.view.body.end(), nullptr, false);
  if (!body_.is_object()) {
    body_ = nlohmann::json::object();
    fail("the body must be a JSON object");
    return;
  }
  const std::vector<std::string_view> known(names);
  for (const auto& [name, value] : body_.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto near = nearest(name, known);
    fail(fmt::format("there is no field \"{}\" here{}", name,
                     near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
  }
}

bool Fields::has(std::string_view name) const noexcept {
  return in_.query.find(name) != nullptr || body_.contains(name);
}

const nlohmann::json* Fields::body(std::string_view name) const noexcept {
  const auto at = body_.find(name);
  return at == body_.end() || at->is_null() ? nullptr : &*at;
}

std::optional<std::string> Fields::text(std::string_view name) {
  if (const auto* given = in_.query.find(name)) return *given;
  const auto* field = body(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_string()) {
    fail(fmt::format("{} must be a string", name));
    return std::nullopt;
  }
  return field->get<std::string>();
}

std::optional<bool> Fields::boolean(std::string_view name) {
  if (in_.query.find(name) != nullptr) return in_.query.boolean(name, problem_);
  const auto* field = body(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_boolean()) {
    fail(fmt::format("{} must be true or false", name));
    return std::nullopt;
  }
  return field->get<bool>();
}

std::optional<std::uint64_t> Fields::count(std::string_view name) {
  if (in_.query.find(name) != nullptr) return in_.query.count(name, problem_);
  const auto* field = body(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_number_unsigned()) {
    fail(fmt::format("{} must be a whole number", name));
    return std::nullopt;
  }
  return field->get<std::uint64_t>();
}

std::optional<std::int64_t> Fields::whole(std::string_view name) {
  if (in_.query.find(name) != nullptr) return in_.query.whole(name, problem_);
  const auto* field = body(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_number_integer() ||
      (field->is_number_unsigned() && field->get<std::uint64_t>() > INT64_MAX)) {
    fail(fmt::format("{} must be a whole number of 64 bits", name));
    return std::nullopt;
  }
  return field->get<std::int64_t>();
}

std::optional<std::int64_t> Fields::duration(std::string_view name, std::string_view name_ms) {
  const auto typed = text(name);
  const auto in_ms = name_ms.empty() ? std::nullopt : whole(name_ms);
  if (!typed) return in_ms;
  if (in_ms) {
    fail(fmt::format("{} and {} say the same: give one of them", name, name_ms));
    return std::nullopt;
  }
  const auto parsed = parse_duration_ms(*typed);
  if (!parsed) fail(fmt::format("{}={} must be a duration like 30s or 250ms", name, *typed));
  return parsed;
}

std::optional<std::vector<std::string>> Fields::texts(std::string_view name) {
  std::vector<std::string> all;
  if (const auto* given = in_.query.find(name)) {
    std::string_view rest = *given;
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      all.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
    return all;
  }
  const auto* field = body(name);
  if (field == nullptr) return std::nullopt;
  if (!field->is_array()) {
    fail(fmt::format("{} must be a list of strings", name));
    return std::nullopt;
  }
  for (const auto& one : *field) {
    if (!one.is_string()) {
      fail(fmt::format("{} must be a list of strings", name));
      return std::nullopt;
    }
    all.push_back(one.get<std::string>());
  }
  return all;
}

void Fields::fail(std::string detail) {
  if (!problem_) problem_ = bad_request(std::move(detail));
}

}  // namespace coord::api
