// Frames on a link between members: length (u32), checksum of the bytes (u64), the bytes; all
// little-endian. A frame that is damaged or too long ends the link: what follows cannot be trusted.
//
// Thread rule: values.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "coord/base/limits.hpp"

namespace coord::server {

inline constexpr std::size_t kFrameHeaderBytes = 12;
// More than the largest entry that one message may carry.
inline constexpr std::size_t kFrameBytesMax = 128 * kMiB;
// Before it is known who speaks.
inline constexpr std::size_t kGreetingBytesMax = 8 * kKiB;

void append_frame(std::string& out, std::string_view bytes);

// Takes bytes as they come and hands out whole frames. Its buffer grows with what has arrived, not
// with what a header announces.
class FrameReader {
 public:
  explicit FrameReader(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void set_bytes_max(std::size_t bytes_max) { bytes_max_ = bytes_max; }
  // Where the next bytes go; never empty. Takes back the views that next() gave.
  [[nodiscard]] std::span<char> room();
  void filled(std::size_t size) { end_ += size; }

  enum class Next { frame, more, damaged };
  // The view is valid until room().
  [[nodiscard]] Next next(std::string_view& frame);

 private:
  void resize(std::size_t capacity);

  std::size_t bytes_max_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace coord::server
