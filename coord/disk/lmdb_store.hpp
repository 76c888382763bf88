// LmdbStore: the records and the mark in one directory, over LMDB. Internal to coord/disk: the
// StateStore around it (exchange_store.cpp) can put another directory in its place.
//
// Thread rule: that of StateStore.
#pragma once

#include <lmdb.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/base/result.hpp"
#include "coord/disk/state_store.hpp"
#include "coord/disk/synced_mark.hpp"

namespace coord::disk {

inline constexpr std::size_t kChecksumBytes = 8;

inline MDB_val value_of(std::string_view bytes) {
  return MDB_val{bytes.size(), const_cast<char*>(bytes.data())};
}
inline std::string_view view_of(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

// Splits what is stored into the record's bytes and its checksum. None: too short.
struct Stored {
  std::string_view bytes;
  std::uint64_t checksum = 0;
};
inline std::optional<Stored> split_stored(const MDB_val& value) {
  auto all = view_of(value);
  if (all.size() < kChecksumBytes) return std::nullopt;
  Stored stored;
  std::memcpy(&stored.checksum, all.data() + all.size() - kChecksumBytes, kChecksumBytes);
  all.remove_suffix(kChecksumBytes);
  stored.bytes = all;
  return stored;
}

class Transaction {
 public:
  Transaction() = default;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() { abort(); }
  int begin(MDB_env* env, unsigned flags) { return mdb_txn_begin(env, nullptr, flags, &txn_); }
  int commit() { return mdb_txn_commit(std::exchange(txn_, nullptr)); }
  void abort() {
    if (txn_ != nullptr) mdb_txn_abort(std::exchange(txn_, nullptr));
  }
  [[nodiscard]] MDB_txn* get() const noexcept { return txn_; }

 private:
  MDB_txn* txn_ = nullptr;
};

class Cursor {
 public:
  Cursor() = default;
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;
  ~Cursor() { close(); }
  int open(MDB_txn* txn, MDB_dbi table) {
    close();
    return mdb_cursor_open(txn, table, &cursor_);
  }
  void close() {
    if (cursor_ != nullptr) mdb_cursor_close(std::exchange(cursor_, nullptr));
  }
  [[nodiscard]] MDB_cursor* get() const noexcept { return cursor_; }

 private:
  MDB_cursor* cursor_ = nullptr;
};

class LmdbStore {
 public:
  LmdbStore(std::string directory, const StoreOptions& options)
      : file_(directory + "/data.mdb"),
        directory_(std::move(directory)),
        options_(options),
        synced_(directory_ + "/synced") {}
  LmdbStore(const LmdbStore&) = delete;
  LmdbStore& operator=(const LmdbStore&) = delete;
  ~LmdbStore() {
    if (env_ != nullptr) mdb_env_close(env_);
  }

  Result<void> open();
  // The directory has another name now: its files stay open.
  void moved_to(const std::string& directory);

  Result<std::optional<core::CheckpointMark>> mark() const;
  Result<void> load(const core::RecordSink& sink) const;
  Result<void> commit(const core::Checkpoint& checkpoint);
  // From any thread.
  void hurry() noexcept { is_hurried_ = true; }
  Result<void> scan(
      Table table, std::string_view from, std::string_view to,
      const std::function<bool(std::string_view key, std::string_view bytes)>& each) const;
  Result<std::optional<std::string>> get(Table table, std::string_view key) const;
  Result<std::optional<Zxid>> oldest_change() const;
  std::uint64_t bytes_used() const;
  // The source must not outlive this store.
  Result<std::unique_ptr<SnapshotSource>> snapshot() const;

 private:
  friend class LmdbSnapshot;
  using Record = DirtyMap::Records::value_type;

  Result<std::optional<core::CheckpointMark>> mark_in(MDB_txn* txn) const;
  Result<std::uint64_t> load_table(MDB_txn* txn, Table table, const core::RecordSink& sink) const;
  int write(const core::Checkpoint& checkpoint, const std::vector<const Record*>& records);
  int write_table(MDB_txn* txn, std::vector<const Record*>::const_iterator& at,
                  std::vector<const Record*>::const_iterator end);
  int write_changes(MDB_txn* txn, const std::vector<znode::SharedBatch>& batches);
  int write_mark(MDB_txn* txn, const core::Checkpoint& checkpoint);
  int trim(MDB_txn* txn, Zxid below);
  Result<void> grow();
  Result<void> allocate(std::uint64_t bytes);
  Result<void> sync(bool is_paced);
  [[nodiscard]] Result<char*> written_map(std::uint64_t last_page) const;
  [[nodiscard]] Error failure(std::string_view what, int code) const;
  [[nodiscard]] Error damaged(Table table, std::string_view key) const;

  std::string file_;
  std::string directory_;
  StoreOptions options_;
  SyncedMark synced_;
  std::chrono::steady_clock::time_point last_sync_ = std::chrono::steady_clock::now();
  std::atomic<bool> is_hurried_ = false;
  MDB_env* env_ = nullptr;
  MDB_dbi mark_table_ = 0;
  std::array<MDB_dbi, kTables> tables_{};
  // The map may only move while nobody reads: readers share, grow() excludes them.
  mutable std::shared_mutex map_mutex_;
};

}  // namespace coord::disk
