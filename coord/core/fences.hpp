// Fences of a request whose session has ended.
#pragma once

#include "coord/base/code.hpp"

namespace coord::core {

// Who has lost its session has most likely lost the lock that it held: apply() tells a fenced write
// that its fence is stale, if it is, and only else that the session has ended.
[[nodiscard]] constexpr bool is_about_fences(Code refusal, bool has_fences) noexcept {
  return refusal == Code::session_expired && has_fences;
}

}  // namespace coord::core
