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

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  change_paths = 8,  // Key: of zxid, path and ordinal (core/changes.hpp). Not in the digest.
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
    std::string_view key;
    friend bool operator==(const Key&, const Key&) = default;
    friend auto operator<=>(const Key&, const Key&) = default;
    template <class H>
    friend H AbslHashValue(H h, const Key& k) {
      return H::combine(std::move(h), k.table, checksum(k.key));
    }
  };
  // No value: the record was erased. The views are valid until the map changes or ends.
  using Records = absl::flat_hash_map<Key, std::optional<std::string_view>>;

  DirtyMap() = default;
  DirtyMap(const DirtyMap&) = delete;
  DirtyMap& operator=(const DirtyMap&) = delete;
  DirtyMap(DirtyMap&& other) noexcept { *this = std::move(other); }
  DirtyMap& operator=(DirtyMap&& other) noexcept {
    records_ = std::exchange(other.records_, Records());
    blocks_ = std::exchange(other.blocks_, {});
    block_used_ = std::exchange(other.block_used_, 0);
    block_size_ = std::exchange(other.block_size_, 0);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  void put(Table table, std::string_view key, std::string_view bytes) {
    auto& value = slot(table, key);
    if (value && room_of(*value) >= bytes.size()) {
      // In place: a record that changes again and again takes its space once.
      auto* at = const_cast<char*>(value->data());
      if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
      value = std::string_view(at, bytes.size());
    } else {
      value = keep_value(bytes);
    }
  }
  void erase(Table table, std::string_view key) { slot(table, key) = std::nullopt; }

  [[nodiscard]] const Records& records() const noexcept { return records_; }
  [[nodiscard]] std::size_t size() const noexcept { return records_.size(); }
  // About the memory that it takes: keys, values and a fixed part for each record.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool empty() const noexcept { return records_.empty(); }
  void clear() { *this = DirtyMap(); }

 private:
  static constexpr std::size_t kRecordOverhead = 64;
  // Not null: readers hand the bytes on to functions that take no null pointer.
  static constexpr std::string_view kNothing = "";
  static constexpr std::size_t kSpareRoom = 8;  // So that a counter may grow by a few digits.
  // Keys and values lie in blocks of their own, which go back to the system whole: as single
  // allocations they would stand between the nodes of the tree and leave holes there.
  static constexpr std::size_t kFirstBlockBytes = 4 * 1024;
  static constexpr std::size_t kBlockBytes = 512 * 1024;

  std::optional<std::string_view>& slot(Table table, std::string_view key) {
    const auto found = records_.find(Key{table, key});
    if (found != records_.end()) return found->second;
    bytes_ += kRecordOverhead;
    return records_.try_emplace(Key{table, keep(key)}).first->second;
  }
  char* take(std::size_t size) {
    bytes_ += size;
    if (block_size_ - block_used_ < size) {
      block_size_ = std::max(blocks_.empty() ? kFirstBlockBytes : kBlockBytes, size);
      block_used_ = 0;
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_size_));
    }
    return blocks_.back().get() + std::exchange(block_used_, block_used_ + size);
  }
  std::string_view keep(std::string_view bytes) {
    if (bytes.empty()) return kNothing;
    auto* at = take(bytes.size());
    std::memcpy(at, bytes.data(), bytes.size());
    return {at, bytes.size()};
  }
  // A value stands behind the four bytes of its room, which a shorter one does not give up.
  std::string_view keep_value(std::string_view bytes) {
    if (bytes.empty()) return kNothing;
    const auto room = static_cast<std::uint32_t>(bytes.size() + kSpareRoom);
    auto* at = take(sizeof room + room);
    std::memcpy(at, &room, sizeof room);
    std::memcpy(at + sizeof room, bytes.data(), bytes.size());
    return {at + sizeof room, bytes.size()};
  }
  static std::size_t room_of(std::string_view value) noexcept {
    if (value.data() == kNothing.data()) return 0;
    std::uint32_t room = 0;
    std::memcpy(&room, value.data() - sizeof room, sizeof room);
    return room;
  }

  Records records_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t block_used_ = 0;
  std::size_t block_size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace coord
