// JsonFields: the JSON that clients send, taken field by field, so that what is wrong is named and
// what is unknown is refused. The inside of bodies.hpp; nlohmann/json, bounded in depth.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "api/plan.hpp"
#include "api/text.hpp"
#include "znode/path.hpp"

namespace coord::api {

using Json = nlohmann::json;

[[nodiscard]] Problem bad(std::string detail);
// The text is one JSON document within the bound on depth.
[[nodiscard]] Problem parse(std::string_view text, Json& out);
// The same, and an object; blank text is an empty one.
[[nodiscard]] Problem parse_object(std::string_view text, Json& out);
// A list of entries with scheme, id and permissions.
[[nodiscard]] Problem parse_acl_list(const Json& list, znode::Acl& out);

// Takes the fields of one JSON object, by name; what is left over at the end is unknown.
class JsonFields {
 public:
  JsonFields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(fmt::format("{} must be an object", where_));
  }

  const Json* find(std::string_view name) {
    if (!object_.is_object()) return nullptr;
    const auto at = object_.find(name);
    if (at == object_.end()) return nullptr;
    ++taken_;
    return &*at;
  }
  std::optional<std::string> text(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_string()) return wrong<std::string>(name, "a string");
    return field->get<std::string>();
  }
  std::optional<bool> boolean(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_boolean()) return wrong<bool>(name, "true or false");
    return field->get<bool>();
  }
  std::optional<std::uint64_t> count(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_number_unsigned()) return wrong<std::uint64_t>(name, "a whole number");
    return field->get<std::uint64_t>();
  }
  std::optional<std::int64_t> whole(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_number_integer() ||
        (field->is_number_unsigned() && field->get<std::uint64_t>() > INT64_MAX)) {
      return wrong<std::int64_t>(name, "a whole number");
    }
    return field->get<std::int64_t>();
  }
  // ttl ("30s") or ttl_ms.
  std::optional<std::int64_t> duration(std::string_view name, std::string_view name_ms) {
    const auto as_text = text(name);
    const auto as_ms = whole(name_ms);
    if (!as_text) return as_ms;
    const auto parsed = parse_duration_ms(*as_text);
    if (!parsed) return wrong<std::int64_t>(name, "a duration like \"30s\"");
    if (as_ms) return wrong<std::int64_t>(name, "given once, not with its _ms form too");
    return parsed;
  }
  std::string path(bool may_end_in_slash = false) {
    auto value = text("path");
    if (!value) {
      fail(fmt::format("{} needs a \"path\"", where_));
      return {};
    }
    std::string_view checked = *value;
    if (may_end_in_slash && checked.size() > 1 && checked.ends_with('/')) checked.remove_suffix(1);
    if (auto wrong_path = znode::path_error(checked); !wrong_path.empty()) {
      fail(fmt::format("{}: {}", where_, wrong_path));
    }
    return std::move(*value);
  }
  // "value" with "encoding"; null is null data.
  std::optional<Blob> value() {
    const auto encoding = text("encoding").value_or("utf8");
    const auto* field = find("value");
    if (field == nullptr) return std::nullopt;
    if (field->is_null()) return Blob();
    if (!field->is_string()) return wrong<Blob>("value", "a string or null");
    const auto& plain = field->get_ref<const std::string&>();
    if (encoding == "utf8" || encoding == "utf-8") return Blob(plain);
    if (encoding != "base64") return wrong<Blob>("encoding", "\"utf8\" or \"base64\"");
    const auto bytes = base64_decode(plain);
    if (!bytes) return wrong<Blob>("value", "valid base64");
    return Blob(*bytes);
  }
  core::WriteGuard guard() {
    core::WriteGuard guard;
    if (const auto version = whole("version")) {
      if (*version < INT32_MIN || *version > INT32_MAX) {
        fail(fmt::format("{}: \"version\" is out of range", where_));
      }
      guard.version = static_cast<std::int32_t>(*version);
    }
    if (const auto mzxid = count("mzxid")) guard.mzxid = Zxid(*mzxid);
    return guard;
  }
  void fail(std::string detail) {
    if (!problem_) problem_ = bad(std::move(detail));
  }
  // Call last: fails on a field that nobody took.
  Problem finish(std::initializer_list<std::string_view> known) {
    if (!problem_ && object_.is_object() && taken_ < object_.size()) {
      for (const auto& [name, field] : object_.items()) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
          const auto near = nearest(name, std::span(known.begin(), known.size()));
          fail(fmt::format("{} has no field \"{}\"{}", where_, name,
                           near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
          break;
        }
      }
    }
    return std::move(problem_);
  }

 private:
  template <class T>
  std::optional<T> wrong(std::string_view name, std::string_view wanted) {
    fail(fmt::format("{}: \"{}\" must be {}", where_, name, wanted));
    return std::nullopt;
  }
  const Json& object_;
  std::string where_;
  std::size_t taken_ = 0;
  Problem problem_;
};

}  // namespace coord::api
