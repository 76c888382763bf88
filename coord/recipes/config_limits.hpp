// Limits of configurations: what one may have, as apply() enforces it.
#pragma once

#include <cstddef>

#include "coord/base/limits.hpp"

namespace coord {

// Bounds of the configurations that apply() keeps under /.coord/config.
struct ConfigLimits {
  std::size_t releases_max = 100;             // Of one configuration; the oldest are trimmed ...
  std::size_t release_bytes_max = 32 * kMiB;  // ... and by the bytes of all their values.
  std::size_t schema_bytes_max = 64 * kKiB;
  std::size_t comment_bytes_max = 1 * kKiB;
  std::size_t author_bytes_max = 255;
  std::size_t labels_max = 16;
  std::size_t label_bytes_max = 255;  // A label's value; its name is a name.
  std::size_t refusal_bytes_max = 2 * kKiB;
};
inline constexpr ConfigLimits kConfigLimits;

}  // namespace coord
