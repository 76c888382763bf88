#include "coord/disk/wal.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/disk/wal_frame.hpp"
#include "coord/disk/wal_reader.hpp"

namespace coord::disk {
namespace {

constexpr std::size_t kPrepareBytes = 256 * 1024;
constexpr std::size_t kBufferKeptBytes = 4U << 20;

bool is_contiguous(const std::vector<election::SharedEntry>& entries) {
  return std::adjacent_find(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
           return a->index.next() != b->index;
         }) == entries.end();
}

class FileWal final : public Wal {
 public:
  FileWal(Disk& disk, const WalOptions& options) : disk_(disk), options_(options) {}

  Result<WalRecovered> open();

  Result<void> append(const WalBatch& batch) override;
  Result<void> sync() override;
  Result<void> recycle(Index keep_after) override;
  Result<bool> prepare() override;
  [[nodiscard]] std::uint64_t bytes_after(Index index) const override;
  [[nodiscard]] std::size_t segment_count() const override { return segments_.size(); }

 private:
  struct Spare {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    std::uint64_t directory_change = 0;  // Usable once the directory was synced after it.
  };

  Result<void> take_spare(const WalSpare& spare, std::uint64_t last_sequence);
  Result<void> create();
  Result<void> append_once(const WalBatch& batch);
  Result<bool> drop_spares();
  Result<void> fill_last_sector();
  [[nodiscard]] static Result<void> wipe_sector(File& file, std::uint64_t offset);
  Result<void> reopen(const WalScan& scan);
  void encode(const WalBatch& batch, bool with_segment);
  void encode_record(RecordKind kind, const election::HardState& state);
  Result<void> write_batch();
  Result<void> begin_segment();
  Result<void> retire_oldest();
  [[nodiscard]] bool is_short_ahead() const noexcept;
  Result<void> write_ahead();
  [[nodiscard]] Result<void> check_usable() const;
  Result<void> fail(Error why);
  [[nodiscard]] bool is_ready(const Spare& spare) const noexcept {
    return spare.bytes == options_.segment_bytes;
  }

  Disk& disk_;
  const WalOptions options_;
  std::deque<WalSegment> segments_;  // The last one is written to.
  std::unique_ptr<File> file_;       // Of the last one.
  std::uint64_t file_bytes_ = 0;
  std::vector<Spare> spares_;
  std::uint64_t spare_number_ = 0;  // The highest ever used.
  std::unique_ptr<File> preparing_;
  election::HardState hard_state_;
  std::uint64_t generation_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t chain_ = 0;
  std::uint64_t salt_ = 0;
  Index keep_after_;
  bool has_remains_ = false;  // A failed append left bytes after the last batch.
  std::string buffer_;
  std::uint64_t directory_changes_ = 0;  // Written by the loop while no sync is under way.

  // The hand-off from the disk thread's sync() to the loop.
  std::atomic<std::uint64_t> directory_synced_{0};
  std::atomic<std::uint64_t> directory_wanted_{0};
  std::atomic<bool> has_failed_{false};
};

Result<WalRecovered> FileWal::open() {
  COORD_TRY(auto scan, read_wal(disk_));
  for (const auto& spare : scan.spares) {
    COORD_TRY(take_spare(spare, scan.segments.empty() ? 0 : scan.segments.back().sequence));
  }
  const bool is_new =
      scan.segments.empty() || (scan.segments.size() == 1 && scan.segments.front().used == 0);
  if (is_new) {
    COORD_TRY(create());
    scan.recovered.segments = 1;
  } else {
    COORD_TRY(reopen(scan));
  }
  COORD_TRY(disk_.sync_directory());
  return std::move(scan.recovered);
}

// A spare may hold the first batch of a segment whose renaming the crash lost. Its chain fits, so
// it would come back once the file gets that name again: it is wiped out here.
Result<void> FileWal::take_spare(const WalSpare& spare, std::uint64_t last_sequence) {
  const auto name = spare_name(spare.number);
  spare_number_ = std::max(spare_number_, spare.number);
  // A crash may have brought back what was let go.
  const bool is_surplus = spares_.size() >= options_.spare_segments;
  if (is_surplus || spare.bytes > options_.segment_bytes) return disk_.remove(name);
  COORD_TRY(const auto file, disk_.open(name, false));
  COORD_TRY(file->read_at(0, kFrameBytes, buffer_));
  const auto frame = parse_frame(buffer_);
  if (frame && frame->segment > last_sequence) {
    COORD_TRY(wipe_sector(*file, 0));
    COORD_TRY(file->sync());
  }
  spares_.push_back(Spare{spare.number, spare.bytes, 0});
  return success();
}

// The first batch says only that the log exists; it is synced before anything may rely on it.
Result<void> FileWal::create() {
  COORD_TRY(file_, disk_.open(segment_name(1), true));
  COORD_TRY(fill_last_sector());
  COORD_TRY(file_bytes_, file_->size());
  // Whatever stands behind the first batch must not look like the beginning of a second one.
  if (file_bytes_ > kSectorBytes) {
    COORD_TRY(file_->write_at(kSectorBytes, std::string(kSectorBytes, '\0')));
  }
  segments_.push_back(WalSegment{.sequence = 1});
  while (is_short_ahead()) {
    // On a full disk there are no pre-written blocks.
    if (auto written = write_ahead(); !written) {
      if (written.error().failure != Failure::disk_full) return written;
      break;
    }
  }
  generation_ = 1;
  chain_ = options_.salt;
  encode(WalBatch{}, true);
  COORD_TRY(write_batch());
  return file_->sync();
}

bool FileWal::is_short_ahead() const noexcept {
  return file_bytes_ <
         std::min(options_.segment_bytes, segments_.back().used + options_.ahead_bytes);
}

Result<void> FileWal::write_ahead() {
  const auto piece = std::min<std::uint64_t>(kPrepareBytes, options_.segment_bytes - file_bytes_);
  COORD_TRY(file_->write_at(file_bytes_, std::string(static_cast<std::size_t>(piece), '\0')));
  file_bytes_ += piece;
  return success();
}

// A file that was cut inside a sector gets whole sectors again.
Result<void> FileWal::fill_last_sector() {
  COORD_TRY(const auto bytes, file_->size());
  if (bytes % kSectorBytes == 0) return success();
  return file_->write_at(bytes / kSectorBytes * kSectorBytes, std::string(kSectorBytes, '\0'));
}

// Only what is there: the file does not grow, so that a member can start on a full disk.
Result<void> FileWal::wipe_sector(File& file, std::uint64_t offset) {
  COORD_TRY(const auto bytes, file.size());
  if (bytes <= offset) return success();
  const auto size = static_cast<std::size_t>(std::min(kSectorBytes, bytes - offset));
  return file.write_at(offset, std::string(size, '\0'));
}

Result<void> FileWal::reopen(const WalScan& scan) {
  segments_.assign(scan.segments.begin(), scan.segments.end());
  const auto& segment = segments_.back();
  COORD_TRY(file_, disk_.open(segment_name(segment.sequence), false));
  generation_ = scan.generation + 1;
  number_ = scan.number;
  chain_ = scan.chain;
  salt_ = scan.salt;
  hard_state_ = scan.recovered.hard_state;
  if (scan.recovered.tail.was_cut) {
    COORD_TRY(wipe_sector(*file_, segment.used));
    // On a full disk the next append does it.
    const auto filled = fill_last_sector();
    if (!filled && filled.error().failure != Failure::disk_full) return filled;
  }
  // The last batch may have been read from a page that a failed sync left marked clean though it
  // never reached the disk. Written again, the sync below tells the truth about it.
  if (segment.used > 0) {
    const auto size = static_cast<std::size_t>(segment.used - scan.last_batch_offset);
    COORD_TRY(file_->read_at(scan.last_batch_offset, size, buffer_));
    COORD_TRY(file_->write_at(scan.last_batch_offset, buffer_));
    std::string().swap(buffer_);
  }
  COORD_TRY(file_->sync());
  COORD_TRY(file_bytes_, file_->size());
  return success();
}

Result<void> FileWal::check_usable() const {
  if (has_failed_.load(std::memory_order_acquire)) {
    return error(Failure::io, "the write-ahead log failed before");
  }
  return success();
}

Result<void> FileWal::fail(Error why) {
  if (why.failure != Failure::disk_full) has_failed_.store(true, std::memory_order_release);
  return why;
}

void FileWal::encode_record(RecordKind kind, const election::HardState& state) {
  Writer writer(buffer_);
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.id(state.term);
  writer.id(state.vote);
}

void FileWal::encode(const WalBatch& batch, bool with_segment) {
  buffer_.assign(kFrameBytes, '\0');
  if (with_segment) encode_record(RecordKind::segment, hard_state_);
  if (batch.hard_state) encode_record(RecordKind::hard_state, *batch.hard_state);
  Writer writer(buffer_);
  for (const auto& entry : batch.entries) {
    writer.u8(static_cast<std::uint8_t>(RecordKind::entry));
    writer.id(entry->term);
    writer.id(entry->index);
    writer.u8(static_cast<std::uint8_t>(entry->kind));
    writer.bytes(entry->payload);
  }
}

// Seals what encode() left in the buffer and writes it at the end of the last segment.
Result<void> FileWal::write_batch() {
  auto& segment = segments_.back();
  const auto size = buffer_.size();
  buffer_.resize(static_cast<std::size_t>(round_up_to_sector(size)), '\0');
  const auto salt = segment.used == 0 ? chain_ : salt_;
  const auto sum = seal_frame(Frame{.segment = segment.sequence,
                                    .salt = salt,
                                    .generation = generation_,
                                    .number = number_ + 1,
                                    .previous = chain_,
                                    .size = size},
                              buffer_);
  if (auto written = file_->write_at(segment.used, buffer_); !written) {
    has_remains_ = true;
    return fail(std::move(written).error());
  }
  has_remains_ = false;
  ++number_;
  salt_ = salt;
  chain_ = sum;
  segment.used += buffer_.size();
  file_bytes_ = std::max(file_bytes_, segment.used);
  if (buffer_.capacity() > kBufferKeptBytes) std::string().swap(buffer_);
  return success();
}

// Spares are a comfort; on a full disk their room is the log's.
Result<void> FileWal::append(const WalBatch& batch) {
  auto appended = append_once(batch);
  if (appended || appended.error().failure != Failure::disk_full) return appended;
  COORD_TRY(const bool has_room, drop_spares());
  return has_room ? append_once(batch) : std::move(appended);
}

// True if there were any.
Result<bool> FileWal::drop_spares() {
  preparing_.reset();
  const bool has_some = !spares_.empty();
  while (!spares_.empty()) {
    auto removed = disk_.remove(spare_name(spares_.back().number));
    if (!removed) return fail(std::move(removed).error()).error();
    spares_.pop_back();
  }
  // Or a crash brings them back, one more with each time that the disk is full.
  if (has_some) directory_wanted_.store(++directory_changes_, std::memory_order_release);
  return has_some;
}

Result<void> FileWal::append_once(const WalBatch& batch) {
  COORD_TRY(check_usable());
  COORD_CHECK(is_contiguous(batch.entries), "the entries of a batch are contiguous");
  COORD_TRY(retire_oldest());
  encode(batch, segments_.back().used == 0);
  if (buffer_.size() > options_.batch_bytes_max) {
    return error(Failure::invalid, "a batch of {} bytes is more than the log takes",
                 buffer_.size());
  }
  const auto end = segments_.back().used + round_up_to_sector(buffer_.size());
  if (segments_.back().used > 0 && end > std::max(options_.segment_bytes, file_bytes_)) {
    COORD_TRY(begin_segment());
    encode(batch, true);
  }
  const bool is_first = segments_.back().used == 0;
  COORD_TRY(write_batch());
  // The sync of it counts as one of the directory: until then retire_oldest() must wait, also when
  // the segment was begun before a restart.
  if (is_first) directory_wanted_.store(++directory_changes_, std::memory_order_release);
  auto& segment = segments_.back();
  if (batch.hard_state) hard_state_ = *batch.hard_state;
  if (!batch.entries.empty()) {
    segment.last_index = std::max(segment.last_index, batch.entries.back()->index);
  }
  return success();
}

Result<void> FileWal::begin_segment() {
  if (has_remains_) {
    // Behind a later segment, half a batch would be damage: nothing may stay of it.
    auto cleared = file_->write_at(segments_.back().used, std::string(kSectorBytes, '\0'));
    if (!cleared) return fail(std::move(cleared).error());
    if (auto synced = file_->sync(); !synced) {
      has_failed_ = true;
      return std::move(synced).error();
    }
    has_remains_ = false;
  }
  const auto sequence = segments_.back().sequence + 1;
  const auto name = segment_name(sequence);
  const auto synced = directory_synced_.load(std::memory_order_acquire);
  const auto spare = std::find_if(spares_.begin(), spares_.end(), [&](const Spare& s) {
    return is_ready(s) && s.directory_change <= synced;
  });
  std::unique_ptr<File> file;
  if (spare != spares_.end()) {
    if (auto renamed = disk_.rename(spare_name(spare->number), name); !renamed) {
      return fail(std::move(renamed).error());
    }
    spares_.erase(spare);
  }
  auto opened = disk_.open(name, true);
  if (!opened) return fail(std::move(opened).error());
  file_ = std::move(opened).value();
  COORD_TRY(file_bytes_, file_->size());
  segments_.push_back(WalSegment{.sequence = sequence});
  directory_wanted_.store(++directory_changes_, std::memory_order_release);
  return success();
}

Result<void> FileWal::sync() {
  COORD_TRY(check_usable());
  if (auto synced = file_->sync(); !synced) {
    has_failed_.store(true, std::memory_order_release);
    return std::move(synced).error();
  }
  const auto wanted = directory_wanted_.load(std::memory_order_acquire);
  if (wanted != directory_synced_.load(std::memory_order_relaxed)) {
    if (auto synced = disk_.sync_directory(); !synced) {
      has_failed_.store(true, std::memory_order_release);
      return std::move(synced).error();
    }
    directory_synced_.store(wanted, std::memory_order_release);
  }
  return success();
}

Result<void> FileWal::recycle(Index keep_after) {
  COORD_TRY(check_usable());
  keep_after_ = std::max(keep_after_, keep_after);
  return retire_oldest();
}

// Takes the oldest segment out of the log if nothing in it is needed. One at a time, the directory
// synced between two: otherwise a crash could keep an older name and lose a newer one, which is a
// hole. And not before the segment that follows has a synced batch, which opens with the hard
// state: beginning a segment changes the directory too, and its sync comes after the batch's.
Result<void> FileWal::retire_oldest() {
  if (segments_.size() < 2 || segments_.front().last_index > keep_after_) return success();
  if (segments_[1].used == 0) return success();
  if (directory_changes_ != directory_synced_.load(std::memory_order_acquire)) return success();
  const auto name = segment_name(segments_.front().sequence);
  auto opened = disk_.open(name, false);
  if (!opened) return fail(std::move(opened).error());
  auto size = opened.value()->size();
  if (!size) return fail(std::move(size).error());
  const auto ready = static_cast<std::size_t>(std::count_if(
      spares_.begin(), spares_.end(), [&](const Spare& spare) { return is_ready(spare); }));
  if (size.value() == options_.segment_bytes && ready < options_.spare_segments) {
    const Spare spare{++spare_number_, size.value(), directory_changes_ + 1};
    auto renamed = disk_.rename(name, spare_name(spare.number));
    if (!renamed) return fail(std::move(renamed).error());
    spares_.push_back(spare);
  } else {
    auto removed = disk_.remove(name);
    if (!removed) return fail(std::move(removed).error());
  }
  segments_.pop_front();
  directory_wanted_.store(++directory_changes_, std::memory_order_release);
  return success();
}

Result<bool> FileWal::prepare() {
  COORD_TRY(check_usable());
  COORD_TRY(retire_oldest());
  if (is_short_ahead()) {
    if (auto written = write_ahead(); !written) return fail(std::move(written).error()).error();
    if (auto synced = file_->sync(); !synced) {
      has_failed_.store(true, std::memory_order_release);
      return std::move(synced).error();
    }
    return true;
  }
  const auto ready = static_cast<std::size_t>(std::count_if(
      spares_.begin(), spares_.end(), [&](const Spare& spare) { return is_ready(spare); }));
  if (ready >= options_.spare_segments) return false;
  auto spare = std::find_if(spares_.begin(), spares_.end(),
                            [&](const Spare& candidate) { return !is_ready(candidate); });
  if (spare == spares_.end()) {
    spares_.push_back(Spare{++spare_number_, 0, 0});
    spare = std::prev(spares_.end());
    preparing_.reset();
  }
  if (!preparing_) {
    COORD_TRY(preparing_, disk_.open(spare_name(spare->number), true));
  }
  const auto piece = std::min<std::uint64_t>(kPrepareBytes, options_.segment_bytes - spare->bytes);
  auto written =
      preparing_->write_at(spare->bytes, std::string(static_cast<std::size_t>(piece), '\0'));
  if (!written) return fail(std::move(written).error()).error();
  // Synced piece by piece, so that no later sync of a batch has to carry it all.
  if (auto synced = preparing_->sync(); !synced) {
    has_failed_.store(true, std::memory_order_release);
    return std::move(synced).error();
  }
  spare->bytes += piece;
  if (is_ready(*spare)) preparing_.reset();
  return ready + (is_ready(*spare) ? 1 : 0) < options_.spare_segments;
}

std::uint64_t FileWal::bytes_after(Index index) const {
  std::uint64_t bytes = 0;
  bool is_after = false;
  for (const auto& segment : segments_) {
    is_after = is_after || segment.last_index > index;
    if (is_after) bytes += segment.used;
  }
  return bytes;
}

}  // namespace

void WalBatch::add(WalBatch&& later) {
  if (later.hard_state) hard_state = later.hard_state;
  if (later.entries.empty()) return;
  const auto first = later.entries.front()->index;
  while (!entries.empty() && entries.back()->index >= first) entries.pop_back();
  if (!entries.empty() && entries.back()->index.next() != first) entries.clear();
  if (entries.empty()) {
    entries = std::move(later.entries);
  } else {
    std::move(later.entries.begin(), later.entries.end(), std::back_inserter(entries));
  }
}

Result<OpenedWal> open_wal(Disk& disk, const WalOptions& options) {
  if (options.segment_bytes < 2 * kSectorBytes || options.segment_bytes % kSectorBytes != 0) {
    return error(Failure::invalid, "a segment is a multiple of 512 bytes, at least 1,024");
  }
  auto wal = std::make_unique<FileWal>(disk, options);
  COORD_TRY(auto recovered, wal->open());
  return OpenedWal{std::move(wal), std::move(recovered)};
}

}  // namespace coord::disk
