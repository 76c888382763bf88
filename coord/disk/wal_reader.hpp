// Reads a write-ahead log whole and finds its end. Never writes. Format and rules: wal_format.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coord/base/result.hpp"
#include "coord/disk/file.hpp"
#include "coord/disk/wal.hpp"

namespace coord::disk {

struct WalSegment {
  std::uint64_t sequence = 0;
  std::uint64_t used = 0;  // Bytes of valid batches.
  Index last_index;        // The highest index of any entry in it.
};

struct WalSpare {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
};

struct WalScan {
  WalRecovered recovered;
  std::vector<WalSegment> segments;  // In order. Empty: a new log.
  std::vector<WalSpare> spares;
  std::uint64_t generation = 0;         // The highest seen.
  std::uint64_t number = 0;             // Of the last valid batch.
  std::uint64_t chain = 0;              // Its checksum.
  std::uint64_t salt = 0;               // Of the last segment, if it has a batch.
  std::uint64_t last_batch_offset = 0;  // Of the last batch in the last segment, if it has one.
};

[[nodiscard]] Result<WalScan> read_wal(Disk& disk);

}  // namespace coord::disk
