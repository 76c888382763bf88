// Jute: the encoding of ZooKeeper's wire protocol.
//
// Integers are big-endian, strings, buffers and vectors carry a 4-byte length, -1 is null. A reader
// never reads past its end and allocates nothing: after a failed read every further read gives zero
// or empty, and ok() is false. Pure values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coord::api::zk {

// Writes a big-endian number of `Bytes` bytes at `at`, which has room for it.
template <std::size_t Bytes>
inline void put_big_endian(char* at, std::uint64_t v) noexcept {
  for (std::size_t i = 0; i < Bytes; ++i) {
    at[i] = static_cast<char>(v >> (8 * (Bytes - 1 - i)));
  }
}

class JuteWriter {
 public:
  // Appends to `out`, which must outlive the writer.
  explicit JuteWriter(std::string& out) noexcept : out_(out) {}

  void boolean(bool v) { out_.push_back(v ? 1 : 0); }
  void i32(std::int32_t v) { fixed<4>(static_cast<std::uint32_t>(v)); }
  void i64(std::int64_t v) { fixed<8>(static_cast<std::uint64_t>(v)); }
  // A string or a buffer that is not null.
  void bytes(std::string_view v) {
    i32(static_cast<std::int32_t>(v.size()));
    out_.append(v);
  }
  void null() { i32(-1); }

 private:
  template <std::size_t Bytes>
  void fixed(std::uint64_t v) {
    char raw[Bytes];
    put_big_endian<Bytes>(raw, v);
    out_.append(raw, Bytes);
  }
  std::string& out_;
};

class JuteReader {
 public:
  // Reads `in`, which must outlive the reader and every view that it hands out.
  explicit JuteReader(std::string_view in) noexcept : in_(in) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] std::size_t remaining() const noexcept { return in_.size(); }
  void fail() noexcept {
    ok_ = false;
    in_ = {};
  }

  bool boolean() noexcept { return fixed<1>() != 0; }
  std::int32_t i32() noexcept { return static_cast<std::int32_t>(fixed<4>()); }
  std::int64_t i64() noexcept { return static_cast<std::int64_t>(fixed<8>()); }
  // None when it is null.
  std::optional<std::string_view> buffer() noexcept {
    const auto size = i32();
    if (size == -1) return std::nullopt;
    if (size < 0 || static_cast<std::size_t>(size) > in_.size()) {
      fail();
      return std::nullopt;
    }
    const auto v = in_.substr(0, static_cast<std::size_t>(size));
    in_.remove_prefix(v.size());
    return v;
  }
  // Null reads as empty.
  std::string_view text() noexcept { return buffer().value_or(std::string_view()); }
  // The same, and null fails.
  std::string_view path() noexcept {
    const auto v = buffer();
    if (!v) fail();
    return v.value_or(std::string_view());
  }
  // Of the elements that follow, each of which takes `least` bytes or more: fails when the rest
  // cannot hold so many, so that a forged count allocates nothing. Null reads as none.
  std::size_t count(std::size_t least) noexcept {
    const auto n = i32();
    if (n <= 0) {
      if (n < -1) fail();
      return 0;
    }
    if (static_cast<std::size_t>(n) > in_.size() / least) {
      fail();
      return 0;
    }
    return static_cast<std::size_t>(n);
  }
  // The same, and null fails.
  std::size_t list(std::size_t least) noexcept {
    const bool is_null = in_.substr(0, 4) == "\xff\xff\xff\xff";
    const auto n = count(least);
    if (is_null) fail();
    return n;
  }

 private:
  template <std::size_t Bytes>
  std::uint64_t fixed() noexcept {
    if (in_.size() < Bytes) {
      fail();
      return 0;
    }
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < Bytes; ++i) v = v << 8 | static_cast<std::uint8_t>(in_[i]);
    in_.remove_prefix(Bytes);
    return v;
  }
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace coord::api::zk
