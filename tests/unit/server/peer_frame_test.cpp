// Frames: whole ones come out, however the bytes are cut; damage ends them.
#include "coord/server/peer_frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace coord::server {
namespace {

// Feeds `bytes` in pieces; false: damaged.
bool feed(FrameReader& reader, std::string_view bytes, std::size_t piece,
          std::vector<std::string>& frames) {
  while (!bytes.empty()) {
    const auto room = reader.room();
    const auto size = std::min({piece, room.size(), bytes.size()});
    std::memcpy(room.data(), bytes.data(), size);
    bytes.remove_prefix(size);
    reader.filled(size);
    std::string_view frame;
    auto next = reader.next(frame);
    for (; next == FrameReader::Next::frame; next = reader.next(frame)) frames.emplace_back(frame);
    if (next == FrameReader::Next::damaged) return false;
  }
  return true;
}

TEST(PeerFrame, ComesOutWholeHoweverTheBytesAreCut) {
  const std::vector<std::string> want = {"a", "", std::string(300'000, 'x'), "last"};
  std::string bytes;
  for (const auto& one : want) append_frame(bytes, one);
  for (const std::size_t piece : {1, 7, 4096, 1'000'000}) {
    FrameReader reader(kFrameBytesMax);
    std::vector<std::string> frames;
    EXPECT_TRUE(feed(reader, bytes, piece, frames)) << piece;
    EXPECT_EQ(frames, want) << piece;
  }
}

TEST(PeerFrame, EveryFlippedByteIsDamageOrAWait) {
  std::string bytes;
  append_frame(bytes, "hello");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    FrameReader reader(kFrameBytesMax);
    std::vector<std::string> frames;
    (void)feed(reader, damaged, 100, frames);
    EXPECT_TRUE(frames.empty()) << i;
  }
}

TEST(PeerFrame, AFrameBeyondTheBoundIsDamage) {
  std::string bytes;
  append_frame(bytes, std::string(101, 'x'));
  FrameReader reader(100);
  std::vector<std::string> frames;
  EXPECT_FALSE(feed(reader, bytes, 1000, frames));
}

}  // namespace
}  // namespace coord::server
