// LmdbSnapshot: a source over one read transaction, read piece by piece.
#include "coord/base/check.hpp"
#include "coord/disk/lmdb_store.hpp"
#include "coord/disk/snapshot_stream.hpp"

namespace coord::disk {

// Between two reads only the transaction is kept, no cursor: a cursor holds addresses in the map,
// and the map may move meanwhile, which readers are locked out from (map_mutex_). The transaction
// itself knows pages by their numbers.
class LmdbSnapshot final : public SnapshotSource {
 public:
  explicit LmdbSnapshot(const LmdbStore& store) : store_(store) {}

  Result<void> begin() {
    COORD_TRY(const auto before, store_.mark());
    if (!before) return error(Failure::invalid, "{}: there is no checkpoint yet", store_.file_);
    const std::shared_lock lock(store_.map_mutex_);
    if (const int code = transaction_.begin(store_.env_, MDB_RDONLY); code != 0) {
      return store_.failure("read", code);
    }
    COORD_TRY(const auto mark, store_.mark_in(transaction_.get()));
    COORD_CHECK(mark, "a mark never leaves");
    mark_ = *mark;
    encoder_.begin(mark_, buffer_);
    return success();
  }

  core::CheckpointMark mark() const override { return mark_; }
  bool has_ended() const override { return has_ended_ && buffer_.empty(); }

  Result<std::string> read(std::size_t bytes_max) override {
    const std::shared_lock lock(store_.map_mutex_);
    while (!has_ended_ && buffer_.size() < bytes_max) {
      if (table_ == kTables) {
        encoder_.end(buffer_);
        has_ended_ = true;
        transaction_.abort();
      } else {
        COORD_TRY(gather(bytes_max));
      }
    }
    if (buffer_.size() <= bytes_max) return std::exchange(buffer_, {});
    auto bytes = buffer_.substr(0, bytes_max);
    buffer_.erase(0, bytes_max);
    return bytes;
  }

 private:
  // Records of the present table after `key_` until there are enough bytes.
  Result<void> gather(std::size_t bytes_max) {
    Cursor cursor;
    int code = cursor.open(transaction_.get(), store_.tables_[table_]);
    if (code != 0) return store_.failure("read", code);
    const auto table = static_cast<Table>(table_);
    auto key = value_of(key_);
    MDB_val value{};
    code = mdb_cursor_get(cursor.get(), &key, &value, is_begun_ ? MDB_SET_RANGE : MDB_FIRST);
    if (code == 0 && is_begun_ && view_of(key) == key_) {
      code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
    }
    while (code == 0) {
      const auto stored = split_stored(value);
      if (!stored || record_hash(table, view_of(key), stored->bytes) != stored->checksum) {
        return store_.damaged(table, view_of(key));
      }
      encoder_.record(table, view_of(key), stored->bytes, buffer_);
      if (buffer_.size() >= bytes_max) {
        key_.assign(view_of(key));
        is_begun_ = true;
        return success();
      }
      code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
    }
    if (code != MDB_NOTFOUND) return store_.failure("read", code);
    ++table_;
    is_begun_ = false;
    return success();
  }

  const LmdbStore& store_;
  Transaction transaction_;
  core::CheckpointMark mark_;
  SnapshotEncoder encoder_;
  std::string buffer_;
  std::size_t table_ = 0;
  std::string key_;  // The last one given, if is_begun_.
  bool is_begun_ = false;
  bool has_ended_ = false;
};

Result<std::unique_ptr<SnapshotSource>> LmdbStore::snapshot() const {
  auto source = std::make_unique<LmdbSnapshot>(*this);
  COORD_TRY(source->begin());
  return std::unique_ptr<SnapshotSource>(std::move(source));
}

}  // namespace coord::disk
