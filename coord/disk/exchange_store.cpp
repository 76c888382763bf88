// ExchangeStore: the StateStore in DIR, which a received snapshot in DIR.new can take the place of.
//
// Whoever uses the present LmdbStore holds it by a shared pointer, so that an exchange waits for
// nobody and a source may go on over a store whose directory is gone already.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/limits.hpp"
#include "coord/disk/exchange.hpp"
#include "coord/disk/lmdb_store.hpp"
#include "coord/disk/posix_disk.hpp"
#include "coord/disk/snapshot_stream.hpp"

namespace coord::disk {
namespace {

constexpr std::uint64_t kStagingMapUnit = 1U << 20;
// What one transaction of a store that is being filled holds.
constexpr std::size_t kLoadPieceBytes = 4 * kMiB;
constexpr std::size_t kPieceRecords = 20'000;

Error failure(std::string_view what, const std::string& path, int number) {
  return error(number == ENOSPC || number == EDQUOT ? Failure::disk_full : Failure::io, "{} {}: {}",
               what, path, std::generic_category().message(number));
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

Result<void> remove_all(const std::string& path) {
  std::error_code code;
  std::filesystem::remove_all(path, code);
  if (code) return failure("remove", path, code.value());
  return success();
}

Result<void> rename_one(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return failure("rename", from, errno);
  return success();
}

std::string parent_of(const std::string& directory) {
  const auto parent = std::filesystem::path(directory).parent_path().string();
  return parent.empty() ? "." : parent;
}

// ---------------------------------------------------------------- the new store

class LmdbSink final : public SnapshotSink {
 public:
  LmdbSink(std::string directory, std::shared_ptr<LmdbStore> store)
      : directory_(std::move(directory)), store_(std::move(store)), view_(store_) {}
  LmdbSink(const LmdbSink&) = delete;
  LmdbSink& operator=(const LmdbSink&) = delete;
  ~LmdbSink() override {
    if (!store_) return;
    store_.reset();
    // What cannot be removed now goes with the next one, or at the next start.
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  Result<void> append(std::string_view bytes) override {
    // After a full disk the bytes come again: what they held is gathered already.
    if (!std::exchange(is_retry_, false)) {
      COORD_TRY(
          decoder_.append(bytes, [this](Table table, std::string_view key, std::string_view value) {
            piece_.records.put(table, key, value);
            return std::string();
          }));
    }
    if (piece_.records.bytes() < kLoadPieceBytes && piece_.records.size() < kPieceRecords) {
      return success();
    }
    return commit_piece();
  }

  Result<core::CheckpointMark> finish() override {
    COORD_TRY(decoder_.finish());
    const auto& mark = *decoder_.mark();
    piece_.applied = mark.applied;
    piece_.applied_term = mark.applied_term;
    piece_.digest = mark.digest;
    COORD_TRY(commit_piece());
    // Once more with nothing in it: LMDB may fall back by one commit, and must not leave the mark
    // out then, nor records.
    piece_.applied = mark.applied;
    piece_.applied_term = mark.applied_term;
    piece_.digest = mark.digest;
    COORD_TRY(commit_piece());
    is_whole_ = true;
    return mark;
  }

  const StateStore& store() const override { return view_; }
  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }
  [[nodiscard]] std::shared_ptr<LmdbStore> take() noexcept { return std::move(store_); }

 private:
  // The new store as a StateStore that can only be read.
  class View final : public StateStore {
   public:
    explicit View(const std::shared_ptr<LmdbStore>& store) : store_(*store) {}
    Result<std::optional<core::CheckpointMark>> mark() const override { return store_.mark(); }
    Result<void> load(const core::RecordSink& sink) const override { return store_.load(sink); }
    Result<void> commit(const core::Checkpoint&) override { return refusal(); }
    Result<void> scan(
        Table table, std::string_view from, std::string_view to,
        const std::function<bool(std::string_view, std::string_view)>& each) const override {
      return store_.scan(table, from, to, each);
    }
    Result<std::optional<std::string>> get(Table table, std::string_view key) const override {
      return store_.get(table, key);
    }
    Result<std::optional<Zxid>> oldest_change() const override { return store_.oldest_change(); }
    std::uint64_t bytes_used() const override { return store_.bytes_used(); }
    Result<std::unique_ptr<SnapshotSource>> snapshot() const override { return store_.snapshot(); }
    Result<std::unique_ptr<SnapshotSink>> receive() override { return refusal(); }
    Result<void> adopt(std::unique_ptr<SnapshotSink>) override { return refusal(); }

   private:
    static Error refusal() {
      return error(Failure::invalid, "a store that is received can only be read");
    }
    LmdbStore& store_;
  };

  Result<void> commit_piece() {
    // Paced by the sender, and waited for by this member.
    store_->hurry();
    if (auto committed = store_->commit(piece_); !committed) {
      is_retry_ = true;
      return std::move(committed).error();
    }
    piece_ = core::Checkpoint();
    return success();
  }

  std::string directory_;
  std::shared_ptr<LmdbStore> store_;
  View view_;
  SnapshotDecoder decoder_;
  core::Checkpoint piece_;
  bool is_retry_ = false;
  bool is_whole_ = false;
};

// ---------------------------------------------------------------- the store in use

class HeldSource final : public SnapshotSource {
 public:
  HeldSource(std::shared_ptr<LmdbStore> store, std::unique_ptr<SnapshotSource> source)
      : store_(std::move(store)), source_(std::move(source)) {}
  core::CheckpointMark mark() const override { return source_->mark(); }
  Result<std::string> read(std::size_t bytes_max) override { return source_->read(bytes_max); }
  bool has_ended() const override { return source_->has_ended(); }

 private:
  std::shared_ptr<LmdbStore> store_;  // Outlives the source.
  std::unique_ptr<SnapshotSource> source_;
};

class ExchangeStore final : public StateStore {
 public:
  ExchangeStore(std::string directory, const StoreOptions& options)
      : directory_(std::move(directory)), options_(options) {}

  Result<void> open() {
    COORD_TRY(settle_exchange(directory_));
    COORD_TRY(make_directories(directory_));
    auto store = std::make_shared<LmdbStore>(directory_, options_);
    COORD_TRY(store->open());
    present_ = std::move(store);
    return success();
  }

  Result<std::optional<core::CheckpointMark>> mark() const override { return held()->mark(); }
  Result<void> load(const core::RecordSink& sink) const override { return held()->load(sink); }
  Result<void> commit(const core::Checkpoint& checkpoint) override {
    return held()->commit(checkpoint);
  }
  void hurry() noexcept override { held()->hurry(); }
  Result<void> scan(Table table, std::string_view from, std::string_view to,
                    const std::function<bool(std::string_view key, std::string_view bytes)>& each)
      const override {
    return held()->scan(table, from, to, each);
  }
  Result<std::optional<std::string>> get(Table table, std::string_view key) const override {
    return held()->get(table, key);
  }
  Result<std::optional<Zxid>> oldest_change() const override { return held()->oldest_change(); }
  std::uint64_t bytes_used() const override { return held()->bytes_used(); }

  Result<std::unique_ptr<SnapshotSource>> snapshot() const override {
    auto store = held();
    COORD_TRY(auto source, store->snapshot());
    return std::unique_ptr<SnapshotSource>(
        std::make_unique<HeldSource>(std::move(store), std::move(source)));
  }

  Result<std::unique_ptr<SnapshotSink>> receive() override {
    COORD_TRY(remove_all(directory_ + kNewSuffix));
    COORD_TRY(make_directories(directory_ + kNewSuffix));
    auto store = std::make_shared<LmdbStore>(directory_ + kNewSuffix, options_);
    COORD_TRY(store->open());
    return std::unique_ptr<SnapshotSink>(
        std::make_unique<LmdbSink>(directory_ + kNewSuffix, std::move(store)));
  }

  Result<void> adopt(std::unique_ptr<SnapshotSink> sink) override {
    auto& received = dynamic_cast<LmdbSink&>(*sink);
    COORD_CHECK(received.is_whole(), "a snapshot is adopted when it is whole");
    auto store = received.take();
    COORD_TRY(exchange(directory_));
    store->moved_to(directory_);
    const std::scoped_lock lock(mutex_);
    present_ = std::move(store);
    return success();
  }

 private:
  [[nodiscard]] std::shared_ptr<LmdbStore> held() const {
    const std::scoped_lock lock(mutex_);
    return present_;
  }

  const std::string directory_;
  const StoreOptions options_;
  mutable std::mutex mutex_;  // Of the pointer, for its copy.
  std::shared_ptr<LmdbStore> present_;
};

}  // namespace

// ---------------------------------------------------------------- directories

Result<void> exchange(const std::string& directory) {
  const auto fresh = directory + kNewSuffix;
  const auto parent = parent_of(directory);
  COORD_TRY(sync_directory(parent));
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, directory.c_str(), RENAME_EXCHANGE) == 0) {
    COORD_TRY(sync_directory(parent));
    return remove_all(fresh);
  }
  if (errno != EINVAL && errno != ENOSYS) return failure("exchange", fresh, errno);
  COORD_TRY(remove_all(directory + kOldSuffix));
  COORD_TRY(rename_one(directory, directory + kOldSuffix));
  COORD_TRY(sync_directory(parent));
  COORD_TRY(rename_one(fresh, directory));
  COORD_TRY(sync_directory(parent));
  return remove_all(directory + kOldSuffix);
}

Result<void> settle_exchange(const std::string& directory) {
  const auto fresh = directory + kNewSuffix;
  const auto old = directory + kOldSuffix;
  if (!exists(directory) && exists(old)) {
    // Only an exchange by two renamings leaves this, and only when the new store was whole.
    COORD_TRY(rename_one(exists(fresh) ? fresh : old, directory));
    COORD_TRY(sync_directory(parent_of(directory)));
  }
  if (exists(fresh) || exists(old)) {
    // What a process that was killed renamed may not be durable yet: nothing goes before that.
    COORD_TRY(sync_directory(parent_of(directory)));
  }
  if (exists(fresh)) {
    COORD_TRY(remove_all(fresh));
  }
  if (exists(old)) {
    COORD_TRY(remove_all(old));
  }
  return success();
}

Result<std::unique_ptr<StateStore>> open_lmdb_store(const std::string& directory,
                                                    const StoreOptions& options) {
  if (options.map_bytes == 0 || options.map_bytes % kStagingMapUnit != 0) {
    return error(Failure::invalid, "the map is a multiple of 1 MiB");
  }
  auto store = std::make_unique<ExchangeStore>(directory, options);
  COORD_TRY(store->open());
  return std::unique_ptr<StateStore>(std::move(store));
}

}  // namespace coord::disk
