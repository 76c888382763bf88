// Fields: a node's value of a few named fields, and names that sort as their numbers do.
//
// A record is text, one "name=value" a line, so that it is readable as it stands. Values never hold
// a line break: they are numbers and names that were checked. Reading is total: what is not there
// is zero or empty. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "coord/base/blob.hpp"
#include "znode/tree.hpp"

namespace coord::recipes {

class Record {
 public:
  Record& number(std::string_view name, std::int64_t value);
  // Requires: no line break in it.
  Record& text(std::string_view name, std::string_view value);
  [[nodiscard]] Blob blob() const { return Blob(text_); }

 private:
  std::string text_;
};

// A field of a record's text.
[[nodiscard]] std::string_view field_of(std::string_view record, std::string_view name) noexcept;
[[nodiscard]] std::int64_t number_of(std::string_view record, std::string_view name) noexcept;

// Twenty digits: the byte order of the names is the order of the numbers.
[[nodiscard]] std::string padded(std::uint64_t number);
// None if it is not such a name.
[[nodiscard]] std::optional<std::uint64_t> unpadded(std::string_view name) noexcept;
// A number as clients write it, without zeros in front.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text) noexcept;

// The name of the first child, or nothing.
[[nodiscard]] std::string first_child(const znode::Tree& tree, std::string_view path);
[[nodiscard]] std::size_t child_count(const znode::Tree& tree, std::string_view path);

}  // namespace coord::recipes
