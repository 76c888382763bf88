#include "coord/base/checksum.hpp"

#include <gtest/gtest.h>

#include <string>

namespace coord {
namespace {

TEST(Checksum, IsXxh3AndStableForEver) {
  EXPECT_EQ(checksum(""), 0x2d06800538d394c2U);
  EXPECT_EQ(checksum("a"), 16629034431890738719U);
  EXPECT_EQ(checksum("coord"), 5981548218034380961U);
  EXPECT_EQ(checksum("coord", 1), 12282242731001111470U);
  EXPECT_EQ(checksum(std::string(1'000, 'x')), 13881368916332952194U);
}

TEST(Checksum, EveryBitAndTheSeedCount) {
  std::string bytes(300, 'x');
  const auto want = checksum(bytes);
  EXPECT_NE(checksum(bytes, 1), want);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
    EXPECT_NE(checksum(bytes), want) << i;
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
  }
  EXPECT_EQ(checksum(bytes), want);
}

}  // namespace
}  // namespace coord
