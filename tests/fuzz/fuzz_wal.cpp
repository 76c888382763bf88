// The reader of the write-ahead log over hostile bytes.
//
// The input is taken as up to three segments, and, so that the fuzzer gets past the checksums, each
// batch's frame may be repaired first. Whatever is there, opening ends with a log or an error; a
// log that opened opens again and gives the same entries.
#include <cstdint>
#include <string>
#include <string_view>

#include "coord/base/check.hpp"
#include "coord/disk/wal.hpp"
#include "coord/disk/wal_frame.hpp"
#include "tests/sim/sim_disk.hpp"

namespace coord::disk {
namespace {

// Gives every batch a magic, its chain and a valid checksum, as far as the sizes make sense.
void repair(std::string& bytes, std::uint64_t sequence, std::uint64_t& number,
            std::uint64_t& chain) {
  const auto salt = chain;
  std::size_t at = 0;
  while (at + kSectorBytes <= bytes.size()) {
    auto frame = read_fields(std::string_view(bytes).substr(at));
    const auto room = (bytes.size() - at) / kSectorBytes * kSectorBytes;
    frame.size = kFrameBytes + frame.size % (room - kFrameBytes + 1);
    const auto rounded = static_cast<std::size_t>(round_up_to_sector(frame.size));
    frame.segment = sequence;
    frame.salt = salt;
    frame.generation = 1;
    frame.number = ++number;
    frame.previous = chain;
    auto batch = bytes.substr(at, rounded);
    chain = seal_frame(frame, batch);
    bytes.replace(at, rounded, batch);
    at += rounded;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto mode = data[0];
  const std::size_t segments = 1 + mode % 3U;
  const auto rest = input.substr(1);
  const auto part = rest.size() / segments;
  sim::SimDisk disk;
  std::uint64_t number = 0;
  std::uint64_t chain = 7;
  for (std::size_t i = 0; i < segments; ++i) {
    std::string bytes(rest.substr(i * part, part));
    if ((mode & 0x10U) != 0) bytes.resize((bytes.size() + 511) / 512 * 512, '\0');
    if ((mode & 0x20U) != 0) repair(bytes, i + 1, number, chain);
    disk.set_content(segment_name(i + 1), bytes);
  }
  if ((mode & 0x40U) != 0) disk.set_content(spare_name(1), std::string(rest.substr(0, 4096)));
  const WalOptions options{.segment_bytes = 4096};
  auto opened = open_wal(disk, options);
  if (!opened) {
    COORD_CHECK(!opened.error().message.empty(), "an error says what is wrong");
    return 0;
  }
  const auto first = opened.value().recovered;
  opened.value().wal.reset();
  auto again = open_wal(disk, options);
  COORD_CHECK(again.has_value(), "a log that opened opens again");
  const auto& second = again.value().recovered;
  COORD_CHECK(!second.tail.was_cut, "a tail is cut once");
  COORD_CHECK(first.entries.size() == second.entries.size(), "the entries stay");
  for (std::size_t i = 0; i < first.entries.size(); ++i) {
    COORD_CHECK(*first.entries[i] == *second.entries[i], "the entries stay", i);
    if (i == 0) continue;
    COORD_CHECK(first.entries[i]->index == first.entries[i - 1]->index.next(), "contiguous", i);
  }
  COORD_CHECK(first.hard_state == second.hard_state, "the hard state stays");
  return 0;
}

}  // namespace coord::disk
