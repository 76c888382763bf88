// Prng: the one source of chance inside the pure world, seeded from outside.
//
// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). Not for
// secrets: the random bytes of a session's secret come in with the event that opens it.
#pragma once

#include <cstdint>

#include "coord/base/check.hpp"

namespace coord {

class Prng {
 public:
  explicit constexpr Prng(std::uint64_t seed) noexcept : state_(seed) {}

  constexpr std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  // Uniform in [0, bound). Requires: bound > 0.
  std::uint64_t below(std::uint64_t bound) noexcept {
    COORD_CHECK(bound > 0, "a bound is positive");
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  // Uniform in [low, high]. Requires: low <= high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    COORD_CHECK(low <= high, "a range is not empty");
    if (high - low == UINT64_MAX) return next();
    return low + below(high - low + 1);
  }
  // True with a probability of `numerator` in `denominator`.
  bool chance(std::uint64_t numerator, std::uint64_t denominator) noexcept {
    return below(denominator) < numerator;
  }

 private:
  __extension__ using Wide = unsigned __int128;
  std::uint64_t state_;
};

}  // namespace coord
