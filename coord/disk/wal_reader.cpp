#include "coord/disk/wal_reader.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "coord/base/codec.hpp"
#include "coord/disk/wal_frame.hpp"

namespace coord::disk {
namespace {

// A sliding view of a file, so that a segment is never in memory whole.
class Window {
 public:
  Window(const File& file, std::uint64_t end) noexcept : file_(file), end_(end) {}

  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
  // The bytes from `offset`, fewer than `size` only at the end. Valid until the next call.
  [[nodiscard]] Result<std::string_view> view(std::uint64_t offset, std::uint64_t size) {
    if (offset >= end_) return std::string_view();
    const auto want = std::min(size, end_ - offset);
    if (offset < at_ || offset + want > at_ + buffer_.size()) {
      const auto piece = std::min(std::max(want, kPieceBytes), end_ - offset);
      COORD_TRY(file_.read_at(offset, static_cast<std::size_t>(piece), buffer_));
      at_ = offset;
    }
    return std::string_view(buffer_).substr(static_cast<std::size_t>(offset - at_),
                                            static_cast<std::size_t>(want));
  }

 private:
  static constexpr std::uint64_t kPieceBytes = 1U << 20;
  const File& file_;
  std::uint64_t end_;
  std::uint64_t at_ = 0;
  std::string buffer_;
};

// A whole batch at a place of a segment, valid in itself: it carries the checksum of its bytes
// and was written into this segment. Whether it continues the chain is not asked here.
struct Found {
  Frame frame;
  std::string_view bytes;
};

Result<std::optional<Found>> batch_at(Window& window, std::uint64_t offset,
                                      std::uint64_t sequence) {
  COORD_TRY(const auto head, window.view(offset, kFrameBytes));
  const auto frame = parse_frame(head);
  if (!frame || frame->segment != sequence) return std::nullopt;
  if (frame->size < kFrameBytes || frame->size > window.end() - offset) return std::nullopt;
  const auto rounded = round_up_to_sector(frame->size);
  COORD_TRY(const auto bytes, window.view(offset, rounded));
  if (bytes.size() < rounded || batch_checksum(bytes) != frame->checksum) return std::nullopt;
  return Found{*frame, bytes};
}

// How the bytes after the last valid batch look.
enum class End : std::uint8_t {
  clean,      // No batch was begun here, as far as anyone can tell.
  suspected,  // The beginning of a batch, or a trace of one: cut in the last segment.
  begun       // Carries a hash that only the next batch of this chain could: surely one of ours.
};

class LogReader {
 public:
  explicit LogReader(Disk& disk) noexcept : disk_(disk) {}

  Result<WalScan> read() {
    COORD_TRY(find_files());
    for (std::size_t i = 0; i < scan_.segments.size(); ++i) {
      COORD_TRY(read_segment(i));
    }
    scan_.recovered.segments = scan_.segments.size();
    return std::move(scan_);
  }

 private:
  Result<void> find_files() {
    COORD_TRY(const auto names, disk_.list());
    for (const auto& name : names) {
      if (const auto sequence = parse_segment_name(name)) {
        if (!scan_.segments.empty() && scan_.segments.back().sequence + 1 != *sequence) {
          return error(Failure::corrupt, "{} is missing: the log goes from {} to {}",
                       segment_name(scan_.segments.back().sequence + 1),
                       segment_name(scan_.segments.back().sequence), name);
        }
        scan_.segments.push_back(WalSegment{.sequence = *sequence});
      } else if (const auto number = parse_spare_name(name)) {
        COORD_TRY(const auto file, disk_.open(name, false));
        COORD_TRY(const auto bytes, file->size());
        scan_.spares.push_back(WalSpare{*number, bytes});
      }
    }
    return success();
  }

  Result<void> read_segment(std::size_t at) {
    auto& segment = scan_.segments[at];
    const auto name = segment_name(segment.sequence);
    COORD_TRY(const auto file, disk_.open(name, false));
    COORD_TRY(const auto bytes, file->size());
    Window window(*file, bytes);
    const bool is_oldest = at == 0;
    const bool is_last = at + 1 == scan_.segments.size();
    while (true) {
      COORD_TRY(const auto found, batch_at(window, segment.used, segment.sequence));
      if (!found) break;
      if (!continues_chain(*found, segment, is_oldest)) {
        COORD_TRY(check_nothing_lost(*found, at));
        break;
      }
      COORD_TRY(take_batch(*found, segment, name));
    }
    COORD_TRY(check_nothing_later(window, segment, name, is_oldest));
    COORD_TRY(const auto end, end_of(window, segment));
    if (is_last) return finish(window, segment, name, end, is_oldest);
    // The next segment was begun only after the last batch of this one was synced.
    if (segment.used == 0 || end == End::begun) {
      return error(Failure::corrupt, "{} is damaged at offset {}: a later segment, {}, exists",
                   name, segment.used, segment_name(segment.sequence + 1));
    }
    return success();
  }

  [[nodiscard]] bool continues_chain(const Found& found, const WalSegment& segment,
                                     bool is_oldest) const noexcept {
    const auto& frame = found.frame;
    if (segment.used == 0 && is_oldest) return frame.salt == frame.previous && frame.number > 0;
    const auto salt = segment.used == 0 ? scan_.chain : scan_.salt;
    return frame.salt == salt && frame.previous == scan_.chain &&
           frame.number == scan_.number + 1 && frame.generation >= scan_.generation;
  }

  // A valid batch that begins a segment of its own and counts on from batches that are not there:
  // the end of the segment before it was synced, and is lost.
  Result<void> check_nothing_lost(const Found& found, std::size_t at) const {
    if (at == 0 || scan_.segments[at].used > 0 || found.frame.number <= scan_.number + 1) {
      return success();
    }
    const auto& before = scan_.segments[at - 1];
    return error(
        Failure::corrupt,
        "{} is damaged at offset {}: batch {} is expected there, and {} begins with batch {}",
        segment_name(before.sequence), before.used, scan_.number + 1,
        segment_name(scan_.segments[at].sequence), found.frame.number);
  }

  Result<void> take_batch(const Found& found, WalSegment& segment, const std::string& name) {
    Reader reader(
        found.bytes.substr(kFrameBytes, static_cast<std::size_t>(found.frame.size) - kFrameBytes));
    bool is_first = true;
    while (reader.ok() && reader.remaining() > 0) {
      take_record(reader, segment, is_first);
      is_first = false;
    }
    if (!reader.done() || (is_first && segment.used == 0)) {
      return error(Failure::corrupt,
                   "{} at offset {}: batch {} has a valid checksum but does not "
                   "decode: written by another version?",
                   name, segment.used, found.frame.number);
    }
    if (segment.used == 0) scan_.salt = found.frame.salt;
    scan_.last_batch_offset = segment.used;
    segment.used += found.bytes.size();
    scan_.generation = found.frame.generation;
    scan_.number = found.frame.number;
    scan_.chain = found.frame.checksum;
    ++scan_.recovered.batches;
    return success();
  }

  // The first record of a segment, and no other, is a segment record.
  void take_record(Reader& reader, WalSegment& segment, bool is_first) {
    const auto kind = static_cast<RecordKind>(reader.u8());
    if ((kind == RecordKind::segment) != (segment.used == 0 && is_first)) return reader.fail();
    switch (kind) {
      case RecordKind::segment:
      case RecordKind::hard_state: {
        election::HardState state;
        state.term = reader.id<Term>();
        state.vote = reader.id<MemberId>();
        if (reader.ok()) scan_.recovered.hard_state = state;
        return;
      }
      case RecordKind::entry:
        return take_entry(reader, segment);
    }
    reader.fail();
  }

  void take_entry(Reader& reader, WalSegment& segment) {
    election::LogEntry entry;
    entry.term = reader.id<Term>();
    entry.index = reader.id<Index>();
    const auto kind = reader.u8();
    entry.payload = reader.bytes();
    if (kind < static_cast<std::uint8_t>(election::EntryKind::command) ||
        kind > static_cast<std::uint8_t>(election::EntryKind::membership) || !entry.index) {
      return reader.fail();
    }
    entry.kind = static_cast<election::EntryKind>(kind);
    segment.last_index = std::max(segment.last_index, entry.index);
    auto& entries = scan_.recovered.entries;
    // A batch replaces the log from its first entry's index on. One that begins beyond the end
    // begins the log anew: a snapshot took the place of what lies between.
    if (!entries.empty() && entry.index <= entries.back()->index) {
      const auto first = entries.front()->index;
      const auto keep = entry.index > first ? entry.index.value() - first.value() : 0;
      entries.resize(static_cast<std::size_t>(keep));
    } else if (!entries.empty() && entry.index != entries.back()->index.next()) {
      entries.clear();
    }
    entries.push_back(std::make_shared<const election::LogEntry>(std::move(entry)));
  }

  // Scans on from the end of the valid batches. The salt, which no client can guess, keeps bytes
  // inside a torn batch that merely look like a frame from being taken for one.
  Result<void> check_nothing_later(Window& window, const WalSegment& segment,
                                   const std::string& name, bool is_oldest) {
    const bool knows_salt = segment.used > 0 || !is_oldest;
    const auto salt = segment.used > 0 ? scan_.salt : scan_.chain;
    for (auto at = segment.used; at + kFrameBytes <= window.end(); at += kSectorBytes) {
      COORD_TRY(const auto head, window.view(at, kFrameBytes));
      const auto frame = parse_frame(head);
      if (!frame || frame->segment != segment.sequence) continue;
      if (knows_salt && frame->salt != salt) continue;
      COORD_TRY(const auto found, batch_at(window, at, segment.sequence));
      if (!found) continue;
      return error(Failure::corrupt,
                   "{} is damaged at offset {}: batch {} is expected there, and a valid batch {} "
                   "stands at offset {}",
                   name, segment.used, scan_.number + 1, found->frame.number, at);
    }
    return success();
  }

  Result<End> end_of(Window& window, const WalSegment& segment) {
    if (segment.used >= window.end()) return End::clean;
    COORD_TRY(auto head, window.view(segment.used, kFrameBytes));
    if (head.size() < kFrameBytes) {
      // The end of a torn batch that was wiped out on a full disk.
      return head.find_first_not_of('\0') == std::string_view::npos ? End::clean : End::suspected;
    }
    const auto fields = read_fields(head);
    const bool has_magic = head.starts_with(kFrameMagic);
    const auto salt = segment.used > 0 ? scan_.salt : scan_.chain;
    if ((scan_.chain != 0 && fields.previous == scan_.chain) ||
        (salt != 0 && fields.salt == salt)) {
      return End::begun;
    }
    // An older segment's number behind the magic: what a recycled file held before.
    if (has_magic && (fields.segment == 0 || fields.segment >= segment.sequence)) {
      return End::suspected;
    }
    const auto last = head.find_last_not_of('\0');
    if (last == std::string_view::npos) return End::clean;
    head = head.substr(0, last + 1);
    return kFrameMagic.starts_with(head) ? End::suspected : End::clean;
  }

  Result<void> finish(Window& window, const WalSegment& segment, const std::string& name, End end,
                      bool is_oldest) {
    if (is_oldest && segment.used == 0 && segment.sequence != 1) {
      return error(Failure::corrupt, "{} is damaged at offset 0: the only segment holds no batch",
                   name);
    }
    auto& tail = scan_.recovered.tail;
    tail.file = name;
    tail.offset = segment.used;
    if (end == End::clean) return success();
    tail.was_cut = true;
    tail.dropped_bytes = window.end() - segment.used;
    tail.reason = "the file ends inside a batch";
    COORD_TRY(const auto head, window.view(segment.used, kFrameBytes));
    const auto frame = parse_frame(head);
    if (head.size() == kFrameBytes && (!frame || frame->size < kFrameBytes)) {
      tail.dropped_bytes = std::min(tail.dropped_bytes, kSectorBytes);
      tail.reason = "the frame of a batch is damaged";
    } else if (frame && frame->size <= tail.dropped_bytes) {
      tail.dropped_bytes = std::min(tail.dropped_bytes, round_up_to_sector(frame->size));
      tail.reason = "the checksum of a batch does not match its bytes";
    }
    return success();
  }

  Disk& disk_;
  WalScan scan_;
};

}  // namespace

Result<WalScan> read_wal(Disk& disk) { return LogReader(disk).read(); }

}  // namespace coord::disk
