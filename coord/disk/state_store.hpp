// StateStore: the incremental checkpoint of all replicated state. LMDB is the real one.
//
// One of the five virtual seams; a model of it with the same transaction semantics serves the
// simulator, and one contract suite runs on both. Each record carries a checksum, checked on every
// read. A record of the table `changes` begins with the 8 bytes of the path's hash with which its
// key in `change_paths` begins. A callback must not call the store. Thread rule: load() before any
// other thread exists; commit() from the store thread; the read functions from the reader thread,
// beside a commit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/result.hpp"
#include "coord/core/checkpoint.hpp"

namespace coord::disk {

class StateStore {
 public:
  virtual ~StateStore() = default;

  // None when the store is empty (a first start).
  [[nodiscard]] virtual Result<std::optional<core::CheckpointMark>> mark() const = 0;
  // Hands every record of every table but `changes` and `change_paths` to `sink`, tables in order,
  // keys in order. The digest over them is computed and compared with the mark's: `corrupt` if it
  // differs or a checksum does.
  [[nodiscard]] virtual Result<void> load(const core::RecordSink& sink) const = 0;
  // One transaction, synced: afterwards all of it is there, or none.
  [[nodiscard]] virtual Result<void> commit(const core::Checkpoint& checkpoint) = 0;
  // A commit may take its time, so that the log's syncs find the disk free: the one under way, or
  // else the next, does no longer. From any thread.
  virtual void hurry() noexcept {}

  // Records of `table` with from < key (exclusive unless empty) and key <= to (when not empty), in
  // order, until `each` returns false.
  [[nodiscard]] virtual Result<void> scan(
      Table table, std::string_view from, std::string_view to,
      const std::function<bool(std::string_view key, std::string_view bytes)>& each) const = 0;
  [[nodiscard]] virtual Result<std::optional<std::string>> get(Table table,
                                                               std::string_view key) const = 0;
  // The zxid of the oldest retained change, or none.
  [[nodiscard]] virtual Result<std::optional<Zxid>> oldest_change() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes_used() const = 0;
};

struct StoreOptions {
  // The first size of the data file's map, and the least step by which it grows when it is full. A
  // multiple of 1 MiB.
  std::uint64_t map_bytes = 32ULL << 20;
  // Write through the map: no copies of pages in memory. The blocks are allocated before the map
  // covers them, so that a full disk is an error and not a signal.
  bool write_map = true;
};

// `directory` is made when it is missing.
[[nodiscard]] Result<std::unique_ptr<StateStore>> open_lmdb_store(const std::string& directory,
                                                                  const StoreOptions& options);

}  // namespace coord::disk
