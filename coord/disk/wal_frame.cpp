#include "coord/disk/wal_frame.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "coord/base/check.hpp"
#include "coord/base/checksum.hpp"

namespace coord::disk {
namespace {

constexpr std::string_view kSegmentPrefix = "wal-";
constexpr std::string_view kSparePrefix = "spare-";
constexpr std::size_t kDigits = 16;
// The checksum covers everything after the magic and itself.
constexpr std::size_t kCovered = 16;

static_assert(kFrameMagic.size() == 8);
static_assert(sizeof(Frame) + kFrameMagic.size() == kFrameBytes, "no padding inside the frame");

std::optional<std::uint64_t> parse_name(std::string_view name, std::string_view prefix) noexcept {
  if (name.size() != prefix.size() + kDigits || !name.starts_with(prefix)) return std::nullopt;
  std::uint64_t value = 0;
  const auto* const end = name.data() + name.size();
  const auto [at, failed] = std::from_chars(name.data() + prefix.size(), end, value, 16);
  if (failed != std::errc() || at != end || value == 0) return std::nullopt;
  return value;
}

}  // namespace

std::uint64_t seal_frame(Frame frame, std::string& batch) noexcept {
  COORD_CHECK(batch.size() >= kFrameBytes && batch.size() % kSectorBytes == 0,
              "a batch is whole sectors", batch.size());
  std::memcpy(batch.data(), kFrameMagic.data(), kFrameMagic.size());
  std::memcpy(batch.data() + kFrameMagic.size(), &frame, sizeof frame);
  frame.checksum = batch_checksum(batch);
  std::memcpy(batch.data() + kFrameMagic.size(), &frame.checksum, sizeof frame.checksum);
  return frame.checksum;
}

Frame read_fields(std::string_view bytes) noexcept {
  COORD_CHECK(bytes.size() >= kFrameBytes, "a frame has 64 bytes", bytes.size());
  Frame frame;
  std::memcpy(&frame, bytes.data() + kFrameMagic.size(), sizeof frame);
  return frame;
}

std::optional<Frame> parse_frame(std::string_view bytes) noexcept {
  if (bytes.size() < kFrameBytes || !bytes.starts_with(kFrameMagic)) return std::nullopt;
  return read_fields(bytes);
}

std::uint64_t batch_checksum(std::string_view batch) noexcept {
  return checksum(batch.substr(kCovered));
}

std::string segment_name(std::uint64_t sequence) {
  return fmt::format("{}{:016x}", kSegmentPrefix, sequence);
}
std::string spare_name(std::uint64_t number) {
  return fmt::format("{}{:016x}", kSparePrefix, number);
}
std::optional<std::uint64_t> parse_segment_name(std::string_view name) noexcept {
  return parse_name(name, kSegmentPrefix);
}
std::optional<std::uint64_t> parse_spare_name(std::string_view name) noexcept {
  return parse_name(name, kSparePrefix);
}

}  // namespace coord::disk
