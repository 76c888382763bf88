// StateStore: the incremental checkpoint of all replicated state. LMDB is the real one.
//
// One of the five virtual seams; a model of it with the same transaction semantics serves the
// simulator, and one contract suite runs on both. Each record carries a checksum, checked on every
// read. A record of the table `changes` begins with the 8 bytes of the path's hash that its key in
// `change_paths` is made of (core/changes.hpp). A callback must not call the store. Thread rule:
// load() before any other thread exists; commit() from the store thread; the read functions from
// the reader thread, beside a commit.
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

// The whole store as it was at one moment, as the bytes of a snapshot (snapshot_stream.hpp). It
// does not keep commits waiting; pages that it may still read are not used again, so the file grows
// while it lives. From one thread at a time, any.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  [[nodiscard]] virtual core::CheckpointMark mark() const = 0;
  // The next bytes, at most `bytes_max`; fewer only at the end, where it gives none.
  [[nodiscard]] virtual Result<std::string> read(std::size_t bytes_max) = 0;
  [[nodiscard]] virtual bool has_ended() const = 0;
};

class StateStore;

// A store that is filled with a snapshot's bytes beside the one in use. Gone without a trace unless
// it is adopted. From the store thread.
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  // disk_full: the same bytes may be tried again. `corrupt`: the bytes are damaged, all was in
  // vain.
  [[nodiscard]] virtual Result<void> append(std::string_view bytes) = 0;
  // Checks that the snapshot is whole and makes it durable.
  [[nodiscard]] virtual Result<core::CheckpointMark> finish() = 0;
  // Requires: finish() succeeded. For loading the new state from it.
  [[nodiscard]] virtual const StateStore& store() const = 0;
};

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

  // What is in the store now, from a read transaction of its own. invalid when it is empty.
  [[nodiscard]] virtual Result<std::unique_ptr<SnapshotSource>> snapshot() const = 0;
  // Begins a new store beside this one; what an earlier one left is removed.
  [[nodiscard]] virtual Result<std::unique_ptr<SnapshotSink>> receive() = 0;
  // Puts the new store in the place of this one: after a crash, whenever, it is one of them, whole.
  // Sources of the old one may still be read. Requires: `sink` is of receive(), its finish()
  // succeeded, no commit is under way.
  [[nodiscard]] virtual Result<void> adopt(std::unique_ptr<SnapshotSink> sink) = 0;
};

struct StoreOptions {
  // The first size of the data file's map, and the least step by which it grows when it is full. A
  // multiple of 1 MiB.
  std::uint64_t map_bytes = 32ULL << 20;
  // Write through the map: no copies of pages in memory. The blocks are allocated before the map
  // covers them, so that a full disk is an error and not a signal.
  bool write_map = true;
};

// `directory` is made when it is missing. `directory`.new is where a snapshot is received; an
// exchange that a crash cut off is brought to its end (README.md, "An exchange").
[[nodiscard]] Result<std::unique_ptr<StateStore>> open_lmdb_store(const std::string& directory,
                                                                  const StoreOptions& options);

}  // namespace coord::disk
