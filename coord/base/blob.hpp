// Blob: immutable bytes that may be null, shared when copied.
//
// A node's value, a change's value, a log entry's payload. One allocation for control block and
// bytes; copies share it, also between threads (the count is atomic, the bytes never change).
// Null (no data at all, ZooKeeper's -1) and empty are different values.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace coord {

class Blob {
 public:
  // Null.
  Blob() noexcept = default;
  // A copy of `bytes`, not null even if empty.
  explicit Blob(std::string_view bytes) : size_(bytes.size()), is_null_(false) {
    if (bytes.empty()) return;
    auto data = std::make_shared_for_overwrite<char[]>(bytes.size());
    std::memcpy(data.get(), bytes.data(), bytes.size());
    data_ = std::move(data);
  }

  [[nodiscard]] bool is_null() const noexcept { return is_null_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Valid as long as any copy of this Blob lives. Empty when null.
  [[nodiscard]] std::string_view view() const noexcept { return {data_.get(), size_}; }
  [[nodiscard]] std::string str() const { return std::string(view()); }

  friend bool operator==(const Blob& a, const Blob& b) noexcept {
    return a.is_null_ == b.is_null_ && a.view() == b.view();
  }

 private:
  std::shared_ptr<const char[]> data_;
  std::size_t size_ = 0;
  bool is_null_ = true;
};

}  // namespace coord
