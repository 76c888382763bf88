#include "cli/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace coord::cli {

std::size_t Histogram::bucket_of(std::uint64_t value) noexcept {
  constexpr std::uint64_t kSubCount = std::uint64_t{1} << kSubBits;
  if (value < kSubCount) return static_cast<std::size_t>(value);
  const auto exponent = static_cast<unsigned>(std::bit_width(value)) - 1;
  const unsigned shift = exponent - kSubBits;
  return ((static_cast<std::size_t>(shift) + 1) << kSubBits) +
         static_cast<std::size_t>((value >> shift) - kSubCount);
}

std::uint64_t Histogram::upper_end_of(std::size_t bucket) noexcept {
  constexpr std::size_t kSubCount = std::size_t{1} << kSubBits;
  if (bucket < kSubCount) return bucket;
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::uint64_t start = (kSubCount + (bucket & (kSubCount - 1)));
  return (start << shift) + ((std::uint64_t{1} << shift) - 1);
}

void Histogram::add(std::uint64_t value) noexcept {
  ++buckets_[bucket_of(value)];
  ++count_;
  sum_ += static_cast<double>(value);
  max_ = std::max(max_, value);
}

void Histogram::merge(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

double Histogram::mean() const noexcept {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

std::uint64_t Histogram::percentile(double fraction) const noexcept {
  if (count_ == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(upper_end_of(i), max_);
  }
  return max_;
}

}  // namespace coord::cli
