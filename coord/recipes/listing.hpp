// Listing: what there is of a recipe, by name, in pages.
//
// A recipe only says what each entry shows. Thread rule: values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/recipes/recipe.hpp"

namespace coord::recipes {

inline constexpr std::uint32_t kListMax = 10'000;

struct ListQuery {
  std::string after;  // The last name of the page before; empty: from the start.
  std::uint32_t limit = 1'000;
  friend bool operator==(const ListQuery&, const ListQuery&) = default;
};
void encode(const ListQuery& query, Writer& out);
// A malformed query, or a limit out of 1 to kListMax, fails the reader.
[[nodiscard]] ListQuery decode_list_query(Reader& in);

struct ListEntry {
  std::string name;
  std::string bytes;  // The recipe's own.
};
struct ListResult {
  std::vector<ListEntry> entries;
  bool is_last = true;
};
[[nodiscard]] bool decode(std::string_view bytes, ListResult& result);

// The children of `path` that the caller may read. An empty list when there is no such node.
[[nodiscard]] Answer list_children(
    std::string_view path, const ListQuery& query, const Look& look,
    const std::function<std::string(std::string_view name, const znode::View&)>& each);
// All of a recipe.
[[nodiscard]] Answer list_recipe(
    Kind kind, const ListQuery& query, const Look& look,
    const std::function<std::string(std::string_view name, const znode::View&)>& each);

}  // namespace coord::recipes
