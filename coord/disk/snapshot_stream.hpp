// The bytes of a snapshot: what one member sends another, and what a backup file holds.
//
// head    "coordSN2", applied index, its term, digest of the state: 8 bytes each; checksum of them
// record  table (1 byte), key, value (each with a varint length), record_hash (8 bytes)
// end     0xff, count of the records (8 bytes), chain (8 bytes)
//
// Records come in (table, key) order. The chain is a checksum over the hashes of all records and
// the head's: a record that is missing, doubled or moved shows, and a stream without its end is no
// snapshot. Integers are little-endian.
//
// Thread rule: values; used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "coord/base/records.hpp"
#include "coord/base/result.hpp"
#include "coord/core/checkpoint.hpp"

namespace coord::disk {

// Appends the parts of a stream to a buffer that its user empties.
class SnapshotEncoder {
 public:
  void begin(const core::CheckpointMark& mark, std::string& out);
  void record(Table table, std::string_view key, std::string_view bytes, std::string& out);
  void end(std::string& out);

 private:
  std::uint64_t count_ = 0;
  std::uint64_t chain_ = 0;
};

// Takes a stream in pieces of any size. A record counts once its hash was checked.
class SnapshotDecoder {
 public:
  // Hands whole records to `sink`. `corrupt` names the offset; everything after that fails too.
  [[nodiscard]] Result<void> append(std::string_view bytes, const core::RecordSink& sink);
  // None until the head was read.
  [[nodiscard]] const std::optional<core::CheckpointMark>& mark() const noexcept { return mark_; }
  // `corrupt` unless the whole stream was read and its records have the digest of its mark.
  [[nodiscard]] Result<void> finish() const;

 private:
  // Bytes of one part at the front of `in`; zero: there is not enough of it yet.
  Result<std::size_t> take_part(std::string_view in, const core::RecordSink& sink);
  Result<std::size_t> take_head(std::string_view in);
  Result<std::size_t> take_record(std::string_view in, const core::RecordSink& sink);
  Result<std::size_t> take_end(std::string_view in);
  [[nodiscard]] Error damaged(std::string_view what) const;

  std::string rest_;  // A part that is not whole yet.
  std::uint64_t offset_ = 0;
  std::optional<core::CheckpointMark> mark_;
  Table last_table_ = Table::meta;
  std::string last_key_;
  std::uint64_t count_ = 0;
  std::uint64_t chain_ = 0;
  std::uint64_t digest_ = 0;
  bool has_ended_ = false;
  bool has_failed_ = false;
};

}  // namespace coord::disk
