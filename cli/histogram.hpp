// Histogram: latencies in nanoseconds, counted in buckets that are at most 1.6 % wide.
//
// Constant memory and a few instructions a value, whatever the count: a bench must not slow down
// as it goes on. Thread rule: a value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace coord::cli {

class Histogram {
 public:
  void add(std::uint64_t value) noexcept;
  void merge(const Histogram& other) noexcept;

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  [[nodiscard]] double mean() const noexcept;
  // The smallest bucket's upper end that at least `fraction` of the values do not exceed (never
  // above max()); 0 if there are none. Requires: 0 <= fraction <= 1.
  [[nodiscard]] std::uint64_t percentile(double fraction) const noexcept;

 private:
  // 64 buckets for each power of two; values below 64 have one bucket each.
  static constexpr unsigned kSubBits = 6;
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) << kSubBits;
  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t upper_end_of(std::size_t bucket) noexcept;

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace coord::cli
