#include "coord/base/codec.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace coord {
namespace {

TEST(Codec, WhatIsWrittenIsReadBack) {
  std::string bytes;
  Writer out(bytes);
  out.u8(7);
  out.u32(0xdeadbeef);
  out.varint(std::numeric_limits<std::uint64_t>::max());
  out.svarint(std::numeric_limits<std::int64_t>::min());
  out.svarint(-1);
  out.bytes("hello");
  out.blob(Blob());
  out.blob(Blob(""));
  out.blob(Blob("x"));
  out.id(Zxid(42));
  Reader in(bytes);
  EXPECT_EQ(in.u8(), 7);
  EXPECT_EQ(in.u32(), 0xdeadbeef);
  EXPECT_EQ(in.varint(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(in.svarint(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(in.svarint(), -1);
  EXPECT_EQ(in.bytes(), "hello");
  EXPECT_TRUE(in.blob().is_null());
  EXPECT_EQ(in.blob(), Blob(""));
  EXPECT_EQ(in.blob(), Blob("x"));
  EXPECT_EQ(in.id<Zxid>(), Zxid(42));
  EXPECT_TRUE(in.done());
}

TEST(Codec, EveryCutIsAFailureAndNotAnOverrun) {
  std::string bytes;
  Writer out(bytes);
  out.varint(300);
  out.bytes("some text");
  out.u64(1);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    Reader in(std::string_view(bytes).substr(0, cut));
    (void)in.varint();
    (void)in.bytes();
    (void)in.u64();
    EXPECT_FALSE(in.done()) << cut;
  }
}

TEST(Codec, AForgedCountIsRefused) {
  std::string bytes;
  Writer(bytes).varint(1'000'000'000);
  Reader in(bytes);
  EXPECT_EQ(in.count(), 0U);
  EXPECT_FALSE(in.ok());
}

TEST(Codec, AVarintOfMoreThan64BitsIsRefused) {
  Reader in(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  EXPECT_EQ(in.varint(), 0U);
  EXPECT_FALSE(in.ok());
}

TEST(Codec, BigEndianKeysSortAsNumbers) {
  std::string low;
  std::string high;
  append_big_endian(low, 255);
  append_big_endian(high, 256);
  EXPECT_LT(low, high);
  EXPECT_EQ(read_big_endian(high), 256U);
}

}  // namespace
}  // namespace coord
