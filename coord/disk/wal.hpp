// Wal: the write-ahead log, the truth of the last minutes. Format: wal_format.md.
//
// Segment files over blocks that were written before (recycled, or pre-written in steps while the
// log is used), framed in sync batches aligned to 512 bytes: generation, batch number, length,
// checksum, the previous batch's checksum. One batch is in flight at a time. Each segment opens
// with the hard state of its moment.
//
// Thread rule: append(), recycle() and prepare() from the loop; sync() from the disk thread, one at
// a time, for the batch that append() wrote last.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coord/base/result.hpp"
#include "coord/disk/file.hpp"
#include "election/entry.hpp"

namespace coord::disk {

struct WalOptions {
  std::uint64_t segment_bytes = 64ULL << 20;
  std::size_t spare_segments = 1;  // Pre-written ones that are kept ready.
  // So many bytes of the segment that is written to are pre-written, where it is not one that was
  // a spare: a file system syncs what makes a file longer together with blocks of its own.
  std::uint64_t ahead_bytes = 0;
  std::size_t batch_bytes_max = 80ULL << 20;
  // Used once, when the log is made: random bytes, so that no client can write into a value what
  // recovery would take for a batch. The simulator gives any number.
  std::uint64_t salt = 0;
};

// One unit of durability: all of it or nothing is there after a crash.
struct WalBatch {
  std::optional<election::HardState> hard_state;
  // Contiguous. They replace the log from the first one's index on.
  std::vector<election::SharedEntry> entries;

  // Adds what is asked for later: its entries replace those from its first index on. Where they do
  // not follow what is here, a snapshot took the place of what is here, and what lies between.
  void add(WalBatch&& later);
};

// What was found at the end of the log at start, for the log of the operator.
struct WalTail {
  bool was_cut = false;
  std::string file;  // Where the log ends, cut or not.
  std::uint64_t offset = 0;
  std::uint64_t dropped_bytes = 0;
  std::string reason;
};

struct WalRecovered {
  election::HardState hard_state;
  std::vector<election::SharedEntry> entries;  // Contiguous. May start before the checkpoint.
  WalTail tail;
  std::uint64_t batches = 0;
  std::size_t segments = 0;
};

class Wal {
 public:
  virtual ~Wal() = default;

  // Writes one batch (no sync). disk_full: nothing of it counts and the log can still be used;
  // any other failure: the caller ends the process.
  [[nodiscard]] virtual Result<void> append(const WalBatch& batch) = 0;
  // Makes everything appended durable.
  [[nodiscard]] virtual Result<void> sync() = 0;
  // Entries with an index <= `keep_after` are not needed any more: segments that hold only such
  // ones become spares, one for each sync() that follows.
  [[nodiscard]] virtual Result<void> recycle(Index keep_after) = 0;
  // Pre-writes and syncs a bounded piece (256 KiB, about 0.5 ms): of the segment that is written to
  // if less than `ahead_bytes` are left, else of the next spare if one is missing. True if there is
  // more to do. Call it between two syncs. disk_full: may be called again later.
  [[nodiscard]] virtual Result<bool> prepare() = 0;
  // Bytes of batches since the segment that holds the first entry > `index` began.
  [[nodiscard]] virtual std::uint64_t bytes_after(Index index) const = 0;
  [[nodiscard]] virtual std::size_t segment_count() const = 0;
};

struct OpenedWal {
  std::unique_ptr<Wal> wal;
  WalRecovered recovered;
};

// Opens or creates the log on `disk` and reads it whole. Damage in a batch is a torn tail exactly
// if no valid later batch of this chain exists, which is found by scanning on: it is then dropped
// whole and described in `tail`; otherwise the error is `corrupt` and names file and offset.
[[nodiscard]] Result<OpenedWal> open_wal(Disk& disk, const WalOptions& options);

}  // namespace coord::disk
