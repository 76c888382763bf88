// replace_file: a file gets new contents whole or not at all, also when the machine fails.
#pragma once

#include <string>
#include <string_view>

#include "cli/outcome.hpp"

namespace coord::cli {

// Writes beside `path`, syncs, and renames over it. An existing file's mode is kept.
[[nodiscard]] Outcome<void> replace_file(const std::string& path, std::string_view bytes);

}  // namespace coord::cli
