#include "api/json_fields.hpp"

#include <array>

namespace coord::api {
namespace {

constexpr int kDepthMax = 100;

// The depth of brackets outside of strings: bounded before the parser and the recursive functions
// of the library see the text.
bool is_too_deep(std::string_view text) noexcept {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDepthMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Problem bad(std::string detail) { return {Code::bad_request, std::move(detail), {}, {}}; }

Problem parse(std::string_view text, Json& out) {
  if (is_too_deep(text)) {
    return bad(fmt::format("the JSON is nested more than {} levels deep", kDepthMax));
  }
  out = Json::parse(text.begin(), text.end(), nullptr, false);
  if (out.is_discarded()) return bad("the body is not valid JSON");
  return {};
}

Problem parse_object(std::string_view text, Json& out) {
  if (trim(text).empty()) {
    out = Json::object();
    return {};
  }
  if (auto problem = parse(text, out)) return problem;
  if (!out.is_object()) return bad("the body must be a JSON object");
  return {};
}

Problem parse_acl_list(const Json& list, znode::Acl& out) {
  if (!list.is_array()) return bad("an ACL is a list of entries");
  constexpr std::array<std::pair<std::string_view, std::uint8_t>, 6> kWords = {{
      {"read", znode::read},
      {"write", znode::write},
      {"create", znode::create},
      {"delete", znode::erase},
      {"admin", znode::admin},
      {"all", znode::all},
  }};
  constexpr std::string_view kLetters = "rwcda";
  for (std::size_t i = 0; i < list.size(); ++i) {
    JsonFields fields(list[i], fmt::format("entry {}", i));
    znode::AclEntry entry;
    entry.scheme = fields.text("scheme").value_or("");
    entry.id = fields.text("id").value_or("");
    const auto* permissions = fields.find("permissions");
    if (permissions != nullptr && permissions->is_string()) {
      for (const char c : permissions->get_ref<const std::string&>()) {
        const auto at = kLetters.find(c);
        if (at == std::string_view::npos) fields.fail("permissions are letters of \"cdrwa\"");
        if (at != std::string_view::npos) entry.permissions |= static_cast<std::uint8_t>(1U << at);
      }
    } else if (permissions != nullptr && permissions->is_array()) {
      for (const auto& word : *permissions) {
        const auto text = word.is_string() ? word.get<std::string>() : std::string();
        const auto* found = std::find_if(kWords.begin(), kWords.end(),
                                         [&](const auto& known) { return known.first == text; });
        if (found == kWords.end()) {
          fields.fail("permissions are read, write, create, delete, admin, all");
        } else {
          entry.permissions |= found->second;
        }
      }
    } else {
      fields.fail(fmt::format("entry {} needs \"permissions\"", i));
    }
    if (auto problem = fields.finish({"scheme", "id", "permissions"})) return problem;
    out.push_back(std::move(entry));
  }
  return {};
}

}  // namespace coord::api
