#include "coord/disk/lmdb_store.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/limits.hpp"
#include "coord/core/changes.hpp"
#include "coord/disk/page_check.hpp"
#include "coord/disk/posix_disk.hpp"
#include "coord/disk/state_store.hpp"
#include "coord/disk/store_names.hpp"
#include "coord/disk/synced_mark.hpp"

namespace coord::disk {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPageBytes = 4096;
// The write-back of a commit: see sync(). Smaller pieces cost more requests to the disk, larger
// ones hold up the syncs of the log for longer.
constexpr std::uint64_t kPieceBytes = 256 * kKiB;
constexpr int kPausesPerWork = 2;  // At least.
constexpr auto kPauseMax = std::chrono::milliseconds(50);
constexpr auto kCleanPiece = std::chrono::microseconds(30);  // Nothing was written.
constexpr auto kPacedMax = std::chrono::seconds(8);
constexpr std::uint64_t kMapUnit = 1U << 20;
// So many changes leave with one commit, at most: the rest leave with the next ones.
constexpr std::size_t kTrimmedChangesMax = 50'000;
constexpr std::uint8_t kMarkVersion = 2;
constexpr std::uint64_t round_up_to_unit(std::uint64_t bytes) {
  return (bytes + kMapUnit - 1) / kMapUnit * kMapUnit;
}
constexpr std::size_t index_of_table(Table table) { return static_cast<std::size_t>(table); }

}  // namespace

Error LmdbStore::failure(std::string_view what, int code) const {
  const bool is_full = code == ENOSPC || code == EDQUOT;
  const bool is_damage = code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND ||
                         code == MDB_INVALID || code == MDB_VERSION_MISMATCH ||
                         code == MDB_BAD_TXN || code == MDB_INCOMPATIBLE;
  return error(is_full     ? Failure::disk_full
               : is_damage ? Failure::corrupt
                           : Failure::io,
               "{} {}: {}", what, file_, mdb_strerror(code));
}

Error LmdbStore::damaged(Table table, std::string_view key) const {
  std::string hex;
  for (const char c : key) hex += fmt::format("{:02x}", static_cast<std::uint8_t>(c));
  return error(Failure::corrupt, "{}: the record {} of table {} is damaged", file_, hex,
               kStoreNames[index_of_table(table)]);
}

// With a writable map, a store into a hole of a full disk is a SIGBUS; so the file's blocks are
// allocated before the map covers them, and a full disk shows here, as an error.
Result<void> LmdbStore::allocate(std::uint64_t bytes) {
  const int fd = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return failure("open", errno);
  int code = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  while (code == EINTR) code = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  ::close(fd);
  if (code != 0) return failure("allocate", code);
  return success();
}

Result<void> LmdbStore::open() {
  COORD_TRY(synced_.settle(file_));
  COORD_TRY(sync_directory(directory_));
  COORD_TRY(check_pages(file_));
  struct stat info {};
  const bool exists = ::stat(file_.c_str(), &info) == 0 && info.st_size > 0;
  // An existing file keeps its size: a member must be able to start on a full disk.
  const auto held = exists ? static_cast<std::uint64_t>(info.st_size) : 0;
  const auto bytes =
      exists && options_.write_map ? round_up_to_unit(held) : std::max(options_.map_bytes, held);
  int code = mdb_env_create(&env_);
  if (code != 0) return failure("make", code);
  if ((code = mdb_env_set_maxdbs(env_, kTables + 1)) != 0) return failure("make", code);
  if ((code = mdb_env_set_mapsize(env_, bytes)) != 0) return failure("map", code);
  // Each commit is synced by sync(), in pieces, and counts once SyncedMark says so.
  const unsigned flags =
      MDB_NOTLS | MDB_NOSYNC | MDB_NORDAHEAD | (options_.write_map ? MDB_WRITEMAP : 0U);
  if (exists && options_.write_map) {
    COORD_TRY(allocate(bytes));
  }
  if ((code = mdb_env_open(env_, directory_.c_str(), flags, 0640)) != 0) {
    return failure("open", code);
  }
  if (!exists && options_.write_map) {
    COORD_TRY(allocate(bytes));
  }
  // A process that was killed may have left its place among the readers, which would hold pages.
  int dead = 0;
  if ((code = mdb_reader_check(env_, &dead)) != 0) return failure("open", code);
  Transaction txn;
  if ((code = txn.begin(env_, 0)) != 0) return failure("open", code);
  if ((code = mdb_dbi_open(txn.get(), kStoreNames[kTables], MDB_CREATE, &mark_table_)) != 0) {
    return failure("open", code);
  }
  for (std::size_t i = 0; i < kTables; ++i) {
    code = mdb_dbi_open(txn.get(), kStoreNames[i], MDB_CREATE, &tables_[i]);
    if (code != 0) return failure("open", code);
  }
  if ((code = txn.commit()) != 0) return failure("open", code);
  COORD_TRY(sync_directory(directory_));
  return sync(false);
}

Result<std::optional<core::CheckpointMark>> LmdbStore::mark() const {
  const std::shared_lock lock(map_mutex_);
  Transaction txn;
  if (const int code = txn.begin(env_, MDB_RDONLY); code != 0) return failure("read", code);
  return mark_in(txn.get());
}

Result<std::optional<core::CheckpointMark>> LmdbStore::mark_in(MDB_txn* txn) const {
  auto key = value_of(kMarkName);
  MDB_val value{};
  const int code = mdb_get(txn, mark_table_, &key, &value);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code != 0) return failure("read", code);
  const auto stored = split_stored(value);
  if (!stored || checksum(stored->bytes) != stored->checksum) {
    return error(Failure::corrupt, "{}: the mark of the checkpoint is damaged", file_);
  }
  Reader reader(stored->bytes);
  const auto version = reader.u8();
  core::CheckpointMark mark;
  mark.applied = Index(reader.u64());
  mark.applied_term = Term(reader.u64());
  mark.digest = reader.u64();
  if (!reader.done() || version != kMarkVersion) {
    return error(Failure::corrupt, "{}: the mark has version {}, not {}", file_, version,
                 kMarkVersion);
  }
  return mark;
}

Result<std::uint64_t> LmdbStore::load_table(MDB_txn* txn, Table table,
                                            const core::RecordSink& sink) const {
  Cursor cursor;
  if (const int code = cursor.open(txn, tables_[index_of_table(table)]); code != 0) {
    return failure("read", code);
  }
  std::uint64_t digest = 0;
  MDB_val key{};
  MDB_val value{};
  int code = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST);
  for (; code == 0; code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) {
    const auto stored = split_stored(value);
    if (!stored) return damaged(table, view_of(key));
    const auto hash = record_hash(table, view_of(key), stored->bytes);
    if (hash != stored->checksum) return damaged(table, view_of(key));
    digest += hash;
    if (auto wrong = sink(table, view_of(key), stored->bytes); !wrong.empty()) {
      return error(Failure::corrupt, "{}: {}", file_, wrong);
    }
  }
  if (code != MDB_NOTFOUND) return failure("read", code);
  return is_in_digest(table) ? digest : 0;
}

Result<void> LmdbStore::load(const core::RecordSink& sink) const {
  COORD_TRY(const auto stored, mark());
  const std::shared_lock lock(map_mutex_);
  Transaction txn;
  if (const int code = txn.begin(env_, MDB_RDONLY); code != 0) return failure("read", code);
  std::uint64_t digest = 0;
  for (std::size_t i = 0; i < kTables; ++i) {
    const auto table = static_cast<Table>(i);
    if (table == Table::changes || table == Table::change_paths) continue;
    COORD_TRY(const auto part, load_table(txn.get(), table, sink));
    digest += part;
  }
  const auto expected = stored ? stored->digest : 0;
  if (digest != expected) {
    return error(Failure::corrupt,
                 "{}: the digest of its records is {:016x}, the mark says {:016x}", file_, digest,
                 expected);
  }
  return success();
}

int LmdbStore::write_mark(MDB_txn* txn, const core::Checkpoint& checkpoint) {
  std::string bytes;
  Writer writer(bytes);
  writer.u8(kMarkVersion);
  writer.u64(checkpoint.applied.value());
  writer.u64(checkpoint.applied_term.value());
  writer.u64(checkpoint.digest);
  writer.u64(checksum(bytes));
  auto key = value_of(kMarkName);
  auto value = value_of(bytes);
  return mdb_put(txn, mark_table_, &key, &value, 0);
}

// Puts records into one table, in the order of their keys.
class TableWriter {
 public:
  int open(MDB_txn* txn, MDB_dbi database, Table table) {
    table_ = table;
    if (const int code = cursor_.open(txn, database); code != 0) return code;
    MDB_val last{};
    MDB_val ignored{};
    const int code = mdb_cursor_get(cursor_.get(), &last, &ignored, MDB_LAST);
    if (code != 0 && code != MDB_NOTFOUND) return code;
    if (code == 0) last_key_ = view_of(last);
    return 0;
  }
  int put(std::string_view key, std::string_view bytes) {
    MDB_val name = value_of(key);
    MDB_val place{bytes.size() + kChecksumBytes, nullptr};
    // A key beyond the last one is appended: pages are then filled whole, and nothing is searched.
    const auto append = key > last_key_ ? MDB_APPEND : 0U;
    const int code = mdb_cursor_put(cursor_.get(), &name, &place, MDB_RESERVE | append);
    if (code != 0) return code;
    const auto hash = record_hash(table_, key, bytes);
    std::memcpy(place.mv_data, bytes.data(), bytes.size());
    std::memcpy(static_cast<char*>(place.mv_data) + bytes.size(), &hash, sizeof hash);
    return 0;
  }
  int erase(std::string_view key) {
    auto name = value_of(key);
    int code = mdb_cursor_get(cursor_.get(), &name, nullptr, MDB_SET);
    if (code == 0) code = mdb_cursor_del(cursor_.get(), 0);
    return code == MDB_NOTFOUND ? 0 : code;
  }

 private:
  Table table_ = Table::meta;
  Cursor cursor_;
  std::string last_key_;
};

// Writes the records of one table, which are together and in the order of their keys.
int LmdbStore::write_table(MDB_txn* txn, std::vector<const Record*>::const_iterator& at,
                           std::vector<const Record*>::const_iterator end) {
  const auto table = (*at)->first.table;
  TableWriter writer;
  if (const int code = writer.open(txn, tables_[index_of_table(table)], table); code != 0) {
    return code;
  }
  for (; at != end && (*at)->first.table == table; ++at) {
    const auto& [key, bytes] = **at;
    const int code = bytes ? writer.put(key.key, *bytes) : writer.erase(key.key);
    if (code != 0) return code;
  }
  return 0;
}

int LmdbStore::write_changes(MDB_txn* txn, const std::vector<znode::SharedBatch>& batches) {
  if (batches.empty()) return 0;
  TableWriter changes;
  int code = changes.open(txn, tables_[index_of_table(Table::changes)], Table::changes);
  if (code != 0) return code;
  // A checkpoint has a hundred thousand changes: no memory of its own for each.
  std::string bytes;
  std::string joined;
  for (const auto& batch : batches) {
    for (std::size_t i = 0; i < batch->changes.size(); ++i) {
      const auto key = core::change_key(batch->zxid, static_cast<std::uint32_t>(i));
      bytes.clear();
      core::append_stored(bytes, *batch, i);
      if ((code = changes.put(key, bytes)) != 0) return code;
      joined += core::change_path_key_of(key, bytes);
    }
  }
  std::vector<std::string_view> path_keys;
  path_keys.reserve(joined.size() / core::kPathKeyBytes);
  for (std::size_t at = 0; at < joined.size(); at += core::kPathKeyBytes) {
    path_keys.push_back(std::string_view(joined).substr(at, core::kPathKeyBytes));
  }
  std::sort(path_keys.begin(), path_keys.end());
  TableWriter paths;
  code = paths.open(txn, tables_[index_of_table(Table::change_paths)], Table::change_paths);
  for (auto at = path_keys.begin(); code == 0 && at != path_keys.end(); ++at) {
    code = paths.put(*at, "");  // No null: its bytes are copied.
  }
  return code;
}

int LmdbStore::trim(MDB_txn* txn, Zxid below) {
  Cursor changes;
  int code = changes.open(txn, tables_[index_of_table(Table::changes)]);
  if (code != 0) return code;
  MDB_val key{};
  MDB_val value{};
  for (std::size_t trimmed = 0; trimmed < kTrimmedChangesMax; ++trimmed) {
    code = mdb_cursor_get(changes.get(), &key, &value, MDB_FIRST);
    if (code == MDB_NOTFOUND) return 0;
    if (code != 0) return code;
    if (key.mv_size != core::kChangeKeyBytes ||
        value.mv_size < core::kPathHashBytes + kChecksumBytes) {
      return MDB_CORRUPTED;
    }
    if (read_big_endian(view_of(key)) >= below.value()) return 0;
    const auto path_key = core::change_path_key_of(view_of(key), view_of(value));
    auto path = value_of(path_key);
    code = mdb_del(txn, tables_[index_of_table(Table::change_paths)], &path, nullptr);
    if (code != 0 && code != MDB_NOTFOUND) return code;
    code = mdb_cursor_del(changes.get(), 0);
    if (code != 0) return code;
  }
  return 0;
}

int LmdbStore::write(const core::Checkpoint& checkpoint,
                     const std::vector<const Record*>& records) {
  Transaction txn;
  int code = txn.begin(env_, 0);
  if (code != 0) return code;
  for (auto at = records.begin(); at != records.end();) {
    if ((code = write_table(txn.get(), at, records.end())) != 0) return code;
  }
  if ((code = write_changes(txn.get(), checkpoint.changes)) != 0) return code;
  if ((code = trim(txn.get(), checkpoint.trim_changes_below)) != 0) return code;
  if ((code = write_mark(txn.get(), checkpoint)) != 0) return code;
  return txn.commit();
}

// The pages of a commit are scattered over the file: written at once they would hold up every sync
// of the log for as long as they take. So they go out piece by piece, evenly over most of the time
// between two commits, and the disk is left to others in between; what is left then comes without a
// pause, or the store would fall behind.
Result<void> LmdbStore::sync(bool is_paced) {
  MDB_envinfo info{};
  if (const int code = mdb_env_info(env_, &info); code != 0) return failure("sync", code);
  mdb_filehandle_t fd = -1;
  if (const int code = mdb_env_get_fd(env_, &fd); code != 0) return failure("sync", code);
  const auto start = Clock::now();
  const auto until = start + std::min<Clock::duration>((start - last_sync_) * 4 / 5, kPacedMax);
  last_sync_ = start;
  const auto end = (info.me_last_pgno + 1) * kPageBytes;
  auto found = written_map(info.me_last_pgno);
  if (!found) return found.error();
  auto* const map = found.value();
  for (std::uint64_t at = 0; is_paced && at < end; at += kPieceBytes) {
    // To write a page out, the kernel takes the right to write from whoever has it mapped, and
    // interrupts every processor that this process runs on, for each page. Taken out of the map
    // together before, they cost one interrupt. Their bytes are the file's: the next access finds
    // them there. By the piece, as whoever wants memory meanwhile waits.
    const auto size = std::min(kPieceBytes, end - at);
    if (map != nullptr && ::madvise(map + at, size, MADV_DONTNEED) != 0) {
      return failure("sync", errno);
    }
    const auto before = Clock::now();
    if (before >= until || is_hurried_) break;
    if (::sync_file_range(
            fd, static_cast<off64_t>(at), kPieceBytes,
            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) < 0) {
      return failure("sync", errno);
    }
    const auto worked = Clock::now() - before;
    if (worked > kCleanPiece) {
      const auto pieces = static_cast<std::int64_t>((end - at + kPieceBytes - 1) / kPieceBytes);
      const auto even = (until - before) / pieces - worked;
      std::this_thread::sleep_for(std::min<Clock::duration>(
          std::max<Clock::duration>(even, worked * kPausesPerWork), kPauseMax));
    }
  }
  is_hurried_ = false;
  if (const int code = mdb_env_sync(env_, 1); code != 0) return failure("sync", code);
  return synced_.set(info.me_last_txnid);
}

// Where the map begins; null if it is not written through, or holds nothing.
Result<char*> LmdbStore::written_map(std::uint64_t last_page) const {
  if (!options_.write_map) return nullptr;
  Transaction txn;
  if (const int code = txn.begin(env_, MDB_RDONLY); code != 0) return failure("sync", code);
  auto key = value_of(kMarkName);
  MDB_val value{};
  const int code = mdb_get(txn.get(), mark_table_, &key, &value);
  if (code == MDB_NOTFOUND) return nullptr;
  if (code != 0) return failure("sync", code);
  // A page begins with its number.
  const auto in_page = reinterpret_cast<std::uintptr_t>(value.mv_data) % kPageBytes;
  auto* const page = static_cast<char*>(value.mv_data) - in_page;
  std::uint64_t number = 0;
  std::memcpy(&number, page, sizeof number);
  COORD_CHECK(number <= last_page, "the page of the mark is in the file", number, last_page);
  return page - number * kPageBytes;
}

Result<void> LmdbStore::commit(const core::Checkpoint& checkpoint) {
  std::vector<const Record*> records;
  records.reserve(checkpoint.records.size());
  for (const auto& record : checkpoint.records.records()) records.push_back(&record);
  std::sort(records.begin(), records.end(),
            [](const Record* a, const Record* b) { return a->first < b->first; });
  while (true) {
    const int code = write(checkpoint, records);
    if (code == 0) return sync(true);
    if (code != MDB_MAP_FULL) return failure("write", code);
    COORD_TRY(grow());
  }
}

// By a quarter, so that the copies of a commit that did not fit stay few.
Result<void> LmdbStore::grow() {
  MDB_envinfo info{};
  if (const int code = mdb_env_info(env_, &info); code != 0) return failure("grow", code);
  const auto step = std::max<std::uint64_t>(options_.map_bytes, info.me_mapsize / 4);
  const auto bytes = round_up_to_unit(info.me_mapsize + step);
  if (options_.write_map) {
    COORD_TRY(allocate(bytes));
  }
  const std::unique_lock lock(map_mutex_);
  if (const int code = mdb_env_set_mapsize(env_, bytes); code != 0) return failure("grow", code);
  return success();
}

Result<void> LmdbStore::scan(
    Table table, std::string_view from, std::string_view to,
    const std::function<bool(std::string_view key, std::string_view bytes)>& each) const {
  const std::shared_lock lock(map_mutex_);
  Transaction txn;
  int code = txn.begin(env_, MDB_RDONLY);
  if (code != 0) return failure("read", code);
  Cursor cursor;
  code = cursor.open(txn.get(), tables_[index_of_table(table)]);
  if (code != 0) return failure("read", code);
  auto key = value_of(from);
  MDB_val value{};
  code = mdb_cursor_get(cursor.get(), &key, &value, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  if (code == 0 && !from.empty() && view_of(key) == from) {
    code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
  }
  for (; code == 0; code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) {
    if (!to.empty() && view_of(key) > to) return success();
    const auto stored = split_stored(value);
    if (!stored || record_hash(table, view_of(key), stored->bytes) != stored->checksum) {
      return damaged(table, view_of(key));
    }
    if (!each(view_of(key), stored->bytes)) return success();
  }
  if (code != MDB_NOTFOUND) return failure("read", code);
  return success();
}

Result<std::optional<std::string>> LmdbStore::get(Table table, std::string_view key) const {
  const std::shared_lock lock(map_mutex_);
  Transaction txn;
  int code = txn.begin(env_, MDB_RDONLY);
  if (code != 0) return failure("read", code);
  auto place = value_of(key);
  MDB_val value{};
  code = mdb_get(txn.get(), tables_[index_of_table(table)], &place, &value);
  if (code == MDB_NOTFOUND) return std::optional<std::string>();
  if (code != 0) return failure("read", code);
  const auto stored = split_stored(value);
  if (!stored || record_hash(table, key, stored->bytes) != stored->checksum) {
    return damaged(table, key);
  }
  return std::optional<std::string>(std::string(stored->bytes));
}

Result<std::optional<Zxid>> LmdbStore::oldest_change() const {
  std::optional<Zxid> oldest;
  auto scanned = scan(Table::changes, {}, {}, [&](std::string_view key, std::string_view) {
    if (key.size() == core::kChangeKeyBytes) oldest = Zxid(read_big_endian(key));
    return false;
  });
  COORD_TRY(std::move(scanned));
  return oldest;
}

std::uint64_t LmdbStore::bytes_used() const {
  const std::shared_lock lock(map_mutex_);
  MDB_envinfo info{};
  MDB_stat stat{};
  if (mdb_env_info(env_, &info) != 0 || mdb_env_stat(env_, &stat) != 0) return 0;
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

void LmdbStore::moved_to(const std::string& directory) {
  directory_ = directory;
  file_ = directory_ + "/data.mdb";
}

}  // namespace coord::disk
