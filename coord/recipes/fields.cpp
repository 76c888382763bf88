#include "coord/recipes/fields.hpp"

#include <fmt/format.h>

#include <charconv>

#include "coord/base/check.hpp"

namespace coord::recipes {
namespace {

constexpr std::size_t kDigits = 20;

}  // namespace

Record& Record::number(std::string_view name, std::int64_t value) {
  text_ += fmt::format("{}={}\n", name, value);
  return *this;
}

Record& Record::text(std::string_view name, std::string_view value) {
  COORD_CHECK(value.find('\n') == std::string_view::npos, "a field is one line", name);
  text_ += fmt::format("{}={}\n", name, value);
  return *this;
}

std::string_view field_of(std::string_view record, std::string_view name) noexcept {
  while (!record.empty()) {
    const auto line = record.substr(0, record.find('\n'));
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == '=') {
      return line.substr(name.size() + 1);
    }
    record.remove_prefix(line.size() == record.size() ? line.size() : line.size() + 1);
  }
  return {};
}

std::int64_t number_of(std::string_view record, std::string_view name) noexcept {
  const auto text = field_of(record, name);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

std::string padded(std::uint64_t number) { return fmt::format("{:020}", number); }

std::optional<std::uint64_t> unpadded(std::string_view name) noexcept {
  if (name.size() != kDigits) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
  if (text.empty() || text.front() == '0') return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string first_child(const znode::Tree& tree, std::string_view path) {
  std::string first;
  tree.children(path, {}, {}, [&](std::string_view name, const znode::View&) {
    first = name;
    return false;
  });
  return first;
}

std::size_t child_count(const znode::Tree& tree, std::string_view path) {
  const auto node = tree.get(path);
  return node ? static_cast<std::size_t>(node->stat.num_children) : 0;
}

}  // namespace coord::recipes
