#include "coord/base/code.hpp"

#include <gtest/gtest.h>

namespace coord {
namespace {

TEST(Code, EachHasAWordAndAStatus) {
  for (int value = 0; value < 256; ++value) {
    const auto code = code_from(static_cast<std::uint8_t>(value));
    if (!code) continue;
    EXPECT_FALSE(word_of(*code).empty());
    EXPECT_GE(status_of(*code), 200);
    EXPECT_LT(status_of(*code), 600);
  }
}

TEST(Code, NumbersAreStable) {
  EXPECT_EQ(static_cast<int>(Code::no_node), 7);
  EXPECT_EQ(static_cast<int>(Code::bad_version), 26);
  EXPECT_EQ(static_cast<int>(Code::disk_full), 42);
}

TEST(Code, ANumberWithoutACodeIsNone) { EXPECT_EQ(code_from(255), std::nullopt); }

}  // namespace
}  // namespace coord
