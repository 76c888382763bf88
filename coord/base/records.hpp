// DirtyMap: the records that changed since the last checkpoint, each in its latest version.
//
// All replicated state is records (table, key, bytes); apply() notes here what it touches, and the
// map is swapped for an empty one when a checkpoint starts: O(1), the loop never stops. A record
// that is put twice is kept once. The digest of the replicated state is the wrapping sum of
// record_hash() over all records that exist (all tables but `changes` and `change_paths`), so it
// can be kept incrementally and computed anew from the store alone.
//
// Keys are at most 400 bytes (LMDB allows 511). Thread rule: built by one thread, then moved.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "coord/base/checksum.hpp"

namespace coord {

// The tables of the replicated state. Stored: append only, never renumber.
enum class Table : std::uint8_t {
  meta = 0,          // One record for each named value: applied index, service time, counters ...
  nodes = 1,         // Key: node id, 8 bytes big-endian.
  acls = 2,          // Key: acl id, 8 bytes big-endian.
  quotas = 3,        // Key: node id, 8 bytes big-endian.
  sessions = 4,      // Key: session id, 8 bytes big-endian.
  ended = 5,         // Key: session id: how sessions ended, bounded.
  retry = 6,         // Key: the zxid of the entry, big-endian, and its ordinal: the retry window.
  changes = 7,       // Key: zxid and ordinal, 12 bytes big-endian: history. Not in the digest.
  change_paths = 8,  // Key: hash of the path, zxid, ordinal: 20 bytes. Not in the digest.
  members = 9,       // The ensemble's identity and membership.
};
inline constexpr std::size_t kTables = 10;

[[nodiscard]] constexpr bool is_in_digest(Table table) noexcept {
  return table != Table::changes && table != Table::change_paths && table != Table::meta;
}

// What one record adds to the digest.
[[nodiscard]] inline std::uint64_t record_hash(Table table, std::string_view key,
                                               std::string_view bytes) noexcept {
  // The table's number is spread over the seed: XXH3 mixes a small seed linearly into short keys,
  // and records of two tables could then share a hash.
  return checksum(bytes,
                  checksum(key, (static_cast<std::uint64_t>(table) + 1) * 0x9e3779b97f4a7c15U));
}

class DirtyMap {
 public:
  struct Key {
    Table table;
    std::string key;
    friend bool operator==(const Key&, const Key&) = default;
    friend auto operator<=>(const Key&, const Key&) = default;
    template <class H>
    friend H AbslHashValue(H h, const Key& k) {
      return H::combine(std::move(h), k.table, k.key);
    }
  };
  // No value: the record was erased.
  using Records = absl::flat_hash_map<Key, std::optional<std::string>>;

  void put(Table table, std::string_view key, std::string bytes) {
    set(table, key, std::move(bytes));
  }
  void erase(Table table, std::string_view key) { set(table, key, std::nullopt); }

  [[nodiscard]] const Records& records() const noexcept { return records_; }
  [[nodiscard]] std::size_t size() const noexcept { return records_.size(); }
  // About the memory that it takes: keys, values and a fixed part for each record.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool empty() const noexcept { return records_.empty(); }
  void clear() {
    Records().swap(records_);
    bytes_ = 0;
  }

 private:
  static constexpr std::size_t kRecordOverhead = 96;
  void set(Table table, std::string_view key, std::optional<std::string> bytes) {
    auto [at, inserted] = records_.try_emplace(Key{table, std::string(key)});
    if (inserted) {
      bytes_ += key.size() + kRecordOverhead;
    } else if (at->second) {
      bytes_ -= at->second->size();
    }
    if (bytes) bytes_ += bytes->size();
    at->second = std::move(bytes);
  }
  Records records_;
  std::size_t bytes_ = 0;
};

}  // namespace coord
