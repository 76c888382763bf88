// Checksums and the replicated digest's hash: XXH3, 64 bits (xxHash).
#pragma once

#include <cstdint>
#include <string_view>

namespace coord {

// XXH3_64bits with a seed. Stable for ever: it is stored on disk and compared between members.
[[nodiscard]] std::uint64_t checksum(std::string_view bytes, std::uint64_t seed = 0) noexcept;

}  // namespace coord
