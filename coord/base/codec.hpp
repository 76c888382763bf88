// Writer and Reader: the one way in which values become bytes and come back.
//
// Fixed-width integers are little-endian; varints are LEB128 (at most 10 bytes); strings and blobs
// carry a varint length. A Reader never reads past its end and never allocates more than its input
// holds: after a failed read every further read gives zero or empty, and ok() is false. Callers
// check ok() once at the end. Thread rule: values.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "coord/base/blob.hpp"
#include "coord/base/ids.hpp"

namespace coord {

class Writer {
 public:
  // Appends to `out`, which must outlive the Writer.
  explicit Writer(std::string& out) noexcept : out_(out) {}

  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u32(std::uint32_t v) { fixed(v); }
  void u64(std::uint64_t v) { fixed(v); }
  void boolean(bool v) { u8(v ? 1 : 0); }
  void varint(std::uint64_t v) {
    if (v < 0x80) return u8(static_cast<std::uint8_t>(v));
    char raw[10];
    std::size_t size = 0;
    for (; v >= 0x80; v >>= 7) raw[size++] = static_cast<char>(v | 0x80);
    raw[size++] = static_cast<char>(v);
    out_.append(raw, size);
  }
  // Zigzag, so that small negative numbers stay short.
  void svarint(std::int64_t v) {
    varint((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
  }
  void bytes(std::string_view v) {
    varint(v.size());
    out_.append(v);
  }
  // 0 for null, else 1 + length, then the bytes.
  void blob(const Blob& v) {
    varint(v.is_null() ? 0 : v.size() + 1);
    out_.append(v.view());
  }
  template <class Tag>
  void id(Strong<Tag> v) {
    varint(v.value());
  }

 private:
  template <class T>
  void fixed(T v) {
    static_assert(std::endian::native == std::endian::little);
    char raw[sizeof v];
    std::memcpy(raw, &v, sizeof v);
    out_.append(raw, sizeof v);
  }
  std::string& out_;
};

class Reader {
 public:
  // Reads `in`, which must outlive the Reader and every view that it hands out.
  explicit Reader(std::string_view in) noexcept : in_(in) {}

  // False once any read went past the end or met a malformed value.
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  // True if nothing failed and nothing is left over: the end of a whole record.
  [[nodiscard]] bool done() const noexcept { return ok_ && in_.empty(); }
  [[nodiscard]] std::size_t remaining() const noexcept { return in_.size(); }
  // Marks the input as malformed: for callers that find a value out of range.
  void fail() noexcept {
    ok_ = false;
    in_ = {};
  }

  std::uint8_t u8() noexcept { return fixed<std::uint8_t>(); }
  std::uint32_t u32() noexcept { return fixed<std::uint32_t>(); }
  std::uint64_t u64() noexcept { return fixed<std::uint64_t>(); }
  bool boolean() noexcept {
    const auto v = u8();
    if (v > 1) fail();
    return v == 1;
  }
  std::uint64_t varint() noexcept {
    std::uint64_t v = 0;
    for (unsigned i = 0; i < 10 && i < in_.size(); ++i) {
      const auto b = static_cast<std::uint8_t>(in_[i]);
      if (i == 9 && b > 1) break;
      v |= static_cast<std::uint64_t>(b & 0x7f) << (7 * i);
      if ((b & 0x80) != 0) continue;
      in_.remove_prefix(i + 1);
      return v;
    }
    fail();
    return 0;
  }
  std::int64_t svarint() noexcept {
    const auto v = varint();
    return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
  }
  // A varint that must fit 32 bits.
  std::uint32_t varint32() noexcept {
    const auto v = varint();
    if (v > UINT32_MAX) fail();
    return ok_ ? static_cast<std::uint32_t>(v) : 0;
  }
  // A view into the input.
  std::string_view bytes() noexcept { return take(varint()); }
  Blob blob() {
    const auto n = varint();
    if (n == 0) return Blob();
    const auto v = take(n - 1);
    return ok_ ? Blob(v) : Blob();
  }
  template <class Id>
  Id id() noexcept {
    return Id(varint());
  }
  // The count of elements that follow. Fails when the rest of the input cannot hold so many of
  // at least one byte each, so that a forged count allocates nothing.
  std::size_t count() noexcept {
    const auto n = varint();
    if (n > in_.size()) fail();
    return ok_ ? static_cast<std::size_t>(n) : 0;
  }

 private:
  template <class T>
  T fixed() noexcept {
    T v{};
    if (in_.size() < sizeof v) {
      fail();
      return v;
    }
    std::memcpy(&v, in_.data(), sizeof v);
    in_.remove_prefix(sizeof v);
    return v;
  }
  std::string_view take(std::uint64_t n) noexcept {
    if (n > in_.size()) {
      fail();
      return {};
    }
    const auto v = in_.substr(0, static_cast<std::size_t>(n));
    in_.remove_prefix(static_cast<std::size_t>(n));
    return v;
  }
  std::string_view in_;
  bool ok_ = true;
};

// Big-endian, so that byte order is number order: for the keys of stored records.
inline void append_big_endian(std::string& out, std::uint64_t v) {
  char raw[8];
  for (int i = 0; i < 8; ++i) raw[i] = static_cast<char>(v >> (56 - 8 * i));
  out.append(raw, sizeof raw);
}
// Requires: 8 bytes at least.
[[nodiscard]] inline std::uint64_t read_big_endian(std::string_view in) noexcept {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 8; ++i) v = v << 8 | static_cast<std::uint8_t>(in[i]);
  return v;
}

}  // namespace coord
