#include "coord/base/blob.hpp"

#include <gtest/gtest.h>

namespace coord {
namespace {

TEST(Blob, NullAndEmptyAreDifferentValues) {
  EXPECT_TRUE(Blob().is_null());
  EXPECT_FALSE(Blob("").is_null());
  EXPECT_EQ(Blob().size(), 0U);
  EXPECT_EQ(Blob("").size(), 0U);
  EXPECT_EQ(Blob().view(), "");
  EXPECT_FALSE(Blob() == Blob(""));
  EXPECT_EQ(Blob(), Blob());
}

TEST(Blob, HoldsACopyOfTheBytes) {
  std::string bytes("a\0b", 3);
  const Blob blob(bytes);
  bytes = "changed";
  EXPECT_EQ(blob.view(), std::string_view("a\0b", 3));
  EXPECT_EQ(blob.size(), 3U);
  EXPECT_EQ(blob.str(), std::string("a\0b", 3));
}

TEST(Blob, ACopySharesTheBytesAndOutlivesTheFirst) {
  auto first = std::make_unique<Blob>("value");
  const Blob second = *first;
  EXPECT_EQ(first->view().data(), second.view().data());
  first.reset();
  EXPECT_EQ(second.view(), "value");
}

TEST(Blob, IsEqualByItsBytes) {
  EXPECT_EQ(Blob("x"), Blob("x"));
  EXPECT_FALSE(Blob("x") == Blob("y"));
  EXPECT_FALSE(Blob("x") == Blob("xx"));
}

}  // namespace
}  // namespace coord
