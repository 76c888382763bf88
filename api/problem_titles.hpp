// The titles of problem documents: what a code means, in a few words. Pure.
#pragma once

#include <string_view>

#include "coord/base/code.hpp"

namespace coord::api {

[[nodiscard]] std::string_view title_of(Code code) noexcept;

}  // namespace coord::api
