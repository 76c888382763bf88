// The stored form of changes: the tables `changes` and `change_paths`, and what is read from them.
//
// changes:       zxid (8) ordinal (4)                          -> path hash (8), wall time, change
// change_paths:  epoch (6) path hash (8) rest of zxid (2) ordinal (4) -> nothing
// The epoch is the zxid without its last 16 bits. By the hash alone, new keys would fall all over
// the index and each checkpoint would write most of its pages again; so they fall into the pages of
// one epoch or two. A search looks into every epoch that is retained: one for 65,536 revisions.
// Reading happens on the reader thread; what it finds comes back as an event.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coord/base/records.hpp"
#include "coord/core/request.hpp"
#include "znode/change.hpp"

namespace coord::core {

[[nodiscard]] std::uint64_t path_hash(std::string_view path) noexcept;
[[nodiscard]] std::string change_key(Zxid zxid, std::uint32_t ordinal);
[[nodiscard]] std::string change_path_key(std::uint64_t hash, Zxid zxid, std::uint32_t ordinal);
[[nodiscard]] std::string encode_stored(const znode::ChangeBatch& batch, std::size_t ordinal);
// The same bytes behind what `bytes` holds.
void append_stored(std::string& bytes, const znode::ChangeBatch& batch, std::size_t ordinal);
// The key in `change_paths` of a record of `changes`. Requires: it has a key of kChangeKeyBytes and
// at least kPathHashBytes.
[[nodiscard]] std::string change_path_key_of(std::string_view key, std::string_view bytes);
inline constexpr std::size_t kChangeKeyBytes = 12;
inline constexpr std::size_t kPathKeyBytes = 20;
inline constexpr std::size_t kPathHashBytes = 8;
// False when the bytes are malformed.
[[nodiscard]] bool decode_stored(std::string_view bytes, std::int64_t& wall_ms,
                                 znode::Change& change);

// ---- questions for the reader thread

// Batches with from < zxid <= through, oldest first, whole, until about `bytes_max` are gathered.
struct ReadChanges {
  Zxid from;
  Zxid through;
  std::size_t bytes_max = 0;
  std::size_t batches_max = 0;
};
// Changes of one path with zxid < before (all, when none) and <= through, newest first.
struct ReadHistory {
  std::string path;
  Zxid before;
  Zxid through;
  std::size_t limit = 0;
};
// The first change of a path with after < zxid <= through that is not one of its ACL.
struct ReadFirstAfter {
  std::string path;
  Zxid after;
  Zxid through;
};
using StoreQuestion = std::variant<ReadChanges, ReadHistory, ReadFirstAfter>;

struct StoreRead {
  std::uint64_t token = 0;
  StoreQuestion question;
};

struct StoreAnswer {
  std::uint64_t token = 0;
  std::string error;                        // Empty when it was read.
  std::vector<znode::SharedBatch> batches;  // ReadChanges.
  Zxid through;                             // Everything up to here was looked at.
  std::vector<HistoryEntry> entries;        // ReadHistory, ReadFirstAfter (at most one).
  bool is_last = true;                      // ReadHistory: no older one is retained.
};

// How the answer reaches the records: StateStore::scan and ::get without their class.
struct StoreReader {
  // Keys with from < key <= to, in order, until `each` returns false; an error, or empty.
  std::function<std::string(Table table, std::string_view from, std::string_view to,
                            const std::function<bool(std::string_view, std::string_view)>& each)>
      scan;
  std::function<std::string(Table table, std::string_view key, std::optional<std::string>& bytes)>
      get;
};

[[nodiscard]] StoreAnswer answer(const StoreRead& read, const StoreReader& reader);

}  // namespace coord::core
