// Requests that the load generator sends, to a coordd or to etcd's JSON gateway: text of HTTP/1.1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace coord::bench {

struct Shape {
  bool is_etcd = false;
  std::uint64_t keys = 10'000;
  std::uint64_t parents = 10;
  std::size_t value_bytes = 100;
};

// One whole request each. `key` is below `shape.keys`; the value carries `sequence`.
[[nodiscard]] std::string put_request(const Shape& shape, std::uint64_t key,
                                      std::uint64_t sequence);
[[nodiscard]] std::string get_request(const Shape& shape, std::uint64_t key);
// Makes the keys [first, first + count) in one transaction.
[[nodiscard]] std::string fill_request(const Shape& shape, std::uint64_t first,
                                       std::uint64_t count);
// Makes "/bench" and its parents (coordd only: etcd has no tree).
[[nodiscard]] std::string parents_request(const Shape& shape, std::uint64_t first,
                                          std::uint64_t count);
// A page of the children of /bench/p0 after `cursor` (empty: the first page).
[[nodiscard]] std::string list_request(std::string_view cursor, std::uint64_t limit);
// Opens a stream of the key's changes.
[[nodiscard]] std::string watch_request(const Shape& shape, std::uint64_t key);

}  // namespace coord::bench
