// Jute: the encoding of ZooKeeper's records, as far as an import reads and writes them.
//
// Big-endian numbers; strings, buffers and lists with a length of four bytes, -1 for null. The
// reader trusts nothing: what does not fit fails it, and a failed reader gives zeros. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coord::cli {

class JuteWriter {
 public:
  JuteWriter& number(std::int32_t v) {
    append(static_cast<std::uint32_t>(v), 4);
    return *this;
  }
  JuteWriter& large(std::int64_t v) {
    append(static_cast<std::uint64_t>(v), 8);
    return *this;
  }
  JuteWriter& boolean(bool v) {
    bytes_ += v ? '\1' : '\0';
    return *this;
  }
  // A string or a buffer.
  JuteWriter& bytes(std::string_view v) {
    number(static_cast<std::int32_t>(v.size()));
    bytes_.append(v);
    return *this;
  }
  [[nodiscard]] const std::string& text() const noexcept { return bytes_; }

 private:
  void append(std::uint64_t v, int width) {
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8) {
      bytes_ += static_cast<char>(static_cast<std::uint8_t>(v >> shift));
    }
  }
  std::string bytes_;
};

class JuteReader {
 public:
  explicit JuteReader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] std::int32_t number() { return static_cast<std::int32_t>(take(4)); }
  [[nodiscard]] std::int64_t large() { return static_cast<std::int64_t>(take(8)); }
  [[nodiscard]] bool boolean() { return take(1) != 0; }
  // None: null. The view is into what is read.
  [[nodiscard]] std::optional<std::string_view> buffer() {
    const auto size = number();
    if (size == -1) return std::nullopt;
    if (size < 0 || static_cast<std::size_t>(size) > rest_.size()) {
      fail();
      return std::string_view();
    }
    const auto piece = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(piece.size());
    return piece;
  }
  [[nodiscard]] std::string string() { return std::string(buffer().value_or(std::string_view())); }
  // The number of entries of a list; null is empty. Each entry has at least `least` bytes.
  [[nodiscard]] std::size_t count(std::size_t least) {
    const auto size = number();
    if (size == -1) return 0;
    if (size < 0 || static_cast<std::size_t>(size) > rest_.size() / least) {
      fail();
      return 0;
    }
    return static_cast<std::size_t>(size);
  }
  [[nodiscard]] bool is_ok() const noexcept { return is_ok_; }
  [[nodiscard]] bool is_at_end() const noexcept { return rest_.empty(); }

 private:
  void fail() {
    is_ok_ = false;
    rest_ = {};
  }
  std::uint64_t take(std::size_t width) {
    if (rest_.size() < width) {
      fail();
      return 0;
    }
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < width; ++i) v = v << 8 | static_cast<std::uint8_t>(rest_[i]);
    rest_.remove_prefix(width);
    // Narrower ones keep their sign.
    return width == 4 ? static_cast<std::uint64_t>(static_cast<std::int32_t>(v)) : v;
  }
  std::string_view rest_;
  bool is_ok_ = true;
};

}  // namespace coord::cli
