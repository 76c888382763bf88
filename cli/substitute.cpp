#include "cli/substitute.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/text.hpp"

namespace coord::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

const Json* child_of(const Json& parent, const std::string& name) {
  if (parent.is_object()) {
    const auto at = parent.find(name);
    return at == parent.end() ? nullptr : &*at;
  }
  if (!parent.is_array() || name.empty() || name.size() > 9 ||
      name.find_first_not_of("0123456789") != std::string::npos) {
    return nullptr;
  }
  const auto index = static_cast<std::size_t>(std::stoul(name));
  return index < parent.size() ? &parent[index] : nullptr;
}

const Json* find_value(const Json& document, std::string_view way) {
  const Json* at = &document;
  while (at != nullptr) {
    const auto dot = way.find('.');
    at = child_of(*at, std::string(way.substr(0, dot)));
    if (dot == std::string_view::npos) return at;
    way.remove_prefix(dot + 1);
  }
  return nullptr;
}

}  // namespace

Outcome<std::string> substitute(std::string_view text, std::string_view value) {
  const Json document = Json::parse(value, nullptr, false);
  std::string out;
  while (true) {
    const auto begin = text.find("{{");
    out += text.substr(0, begin);
    if (begin == std::string_view::npos) return out;
    const auto end = text.find("}}", begin);
    if (end == std::string_view::npos) {
      return Trouble{Exit::usage, "the template has a {{ without its }}", {}};
    }
    const auto way = trimmed(text.substr(begin + 2, end - begin - 2));
    text.remove_prefix(end + 2);
    if (way == ".") {
      out += value;
      continue;
    }
    if (document.is_discarded()) {
      return Trouble{Exit::other, "the value is not JSON: only {{.}} can stand for it", {}};
    }
    const Json* found = find_value(document, way);
    if (found == nullptr) {
      return Trouble{Exit::other, fmt::format("the value has no {}", escaped(way)), {}};
    }
    out += found->is_string() ? found->get<std::string>()
                              : found->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

}  // namespace coord::cli
