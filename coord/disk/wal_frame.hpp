// The frame of one batch of the write-ahead log, and the names of its files: the constants that
// the writer and the reader share, and nothing more. Normative text: wal_format.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coord::disk {

inline constexpr std::uint64_t kSectorBytes = 512;
inline constexpr std::size_t kFrameBytes = 64;
inline constexpr std::string_view kFrameMagic = "coordWL1";

// The kinds of a batch's records. Stored: append only, never renumber.
enum class RecordKind : std::uint8_t {
  segment = 1,     // First of a segment: the hard state at its opening.
  hard_state = 2,  // Term and vote, in one.
  entry = 3,       // One entry of the log.
};

// A batch's first 64 bytes, after the magic.
struct Frame {
  std::uint64_t checksum = 0;    // Of everything after this field, padding included.
  std::uint64_t segment = 0;     // The sequence of the file that it was written into.
  std::uint64_t salt = 0;        // `previous` of the segment's first batch.
  std::uint64_t generation = 0;  // One more at each opening of the log.
  std::uint64_t number = 0;      // Of the batch, from 1 over the whole life of the log.
  std::uint64_t previous = 0;    // The checksum of the batch before.
  std::uint64_t size = 0;        // Frame and records, without the padding.
};

[[nodiscard]] constexpr std::uint64_t round_up_to_sector(std::uint64_t bytes) noexcept {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

// Writes the frame over the first 64 bytes of `batch`, whose size is a multiple of 512, and
// computes the checksum, which it returns.
std::uint64_t seal_frame(Frame frame, std::string& batch) noexcept;
// None when there are fewer than 64 bytes or the magic is missing. Nothing else is checked.
[[nodiscard]] std::optional<Frame> parse_frame(std::string_view bytes) noexcept;
// The fields, whatever the magic says. Requires: 64 bytes at least.
[[nodiscard]] Frame read_fields(std::string_view bytes) noexcept;
// The checksum that a batch of these bytes (rounded up to sectors) must carry.
[[nodiscard]] std::uint64_t batch_checksum(std::string_view batch) noexcept;

// "wal-<16 hexadecimal digits>" and "spare-<16 hexadecimal digits>".
[[nodiscard]] std::string segment_name(std::uint64_t sequence);
[[nodiscard]] std::string spare_name(std::uint64_t number);
[[nodiscard]] std::optional<std::uint64_t> parse_segment_name(std::string_view name) noexcept;
[[nodiscard]] std::optional<std::uint64_t> parse_spare_name(std::string_view name) noexcept;

}  // namespace coord::disk
