#include "coord/server/peer_frame.hpp"

#include <algorithm>
#include <cstring>

#include "coord/base/check.hpp"
#include "coord/base/checksum.hpp"
#include "coord/base/codec.hpp"

namespace coord::server {
namespace {

constexpr std::size_t kFirstBytes = 64 * kKiB;
constexpr std::size_t kReadBytes = 4 * kKiB;  // Room for less is not worth a read.
constexpr std::size_t kKeptBytes = 4 * kMiB;  // A larger buffer is given back when it is empty.

}  // namespace

void append_frame(std::string& out, std::string_view bytes) {
  COORD_CHECK(bytes.size() <= kFrameBytesMax, "a message fits a frame", bytes.size());
  Writer writer(out);
  writer.u32(static_cast<std::uint32_t>(bytes.size()));
  writer.u64(checksum(bytes));
  out.append(bytes);
}

void FrameReader::resize(std::size_t capacity) {
  auto larger = std::make_unique_for_overwrite<char[]>(capacity);
  if (end_ > begin_) std::memcpy(larger.get(), buffer_.get() + begin_, end_ - begin_);
  buffer_ = std::move(larger);
  capacity_ = capacity;
  end_ -= begin_;
  begin_ = 0;
}

std::span<char> FrameReader::room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (capacity_ > kKeptBytes || capacity_ == 0) resize(kFirstBytes);
  } else if (capacity_ - end_ < kReadBytes) {
    const auto size = end_ - begin_;
    if (begin_ >= size && capacity_ - size >= kReadBytes) {
      std::memcpy(buffer_.get(), buffer_.get() + begin_, size);
      begin_ = 0;
      end_ = size;
    } else {
      resize(std::max(2 * size, kFirstBytes));
    }
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

FrameReader::Next FrameReader::next(std::string_view& frame) {
  const std::string_view in(buffer_.get() + begin_, end_ - begin_);
  if (in.size() < kFrameHeaderBytes) return Next::more;
  Reader header(in);
  const std::size_t size = header.u32();
  const auto sum = header.u64();
  if (size > bytes_max_) return Next::damaged;
  if (in.size() - kFrameHeaderBytes < size) return Next::more;
  frame = in.substr(kFrameHeaderBytes, size);
  if (checksum(frame) != sum) return Next::damaged;
  begin_ += kFrameHeaderBytes + size;
  return Next::frame;
}

}  // namespace coord::server
