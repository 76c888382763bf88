// The exchange of a store's directory for a whole new one beside it, and its end after a crash.
//
// Thread rule: the store thread, or start-up.
#pragma once

#include <string>

#include "coord/base/result.hpp"

namespace coord::disk {

inline constexpr const char* kNewSuffix = ".new";
inline constexpr const char* kOldSuffix = ".old";

// Puts DIR.new in the place of DIR, durably, and removes what was there. Requires: what is in
// DIR.new is synced.
[[nodiscard]] Result<void> exchange(const std::string& directory);
// At start: an exchange that was cut off in the middle is brought to its end; what was received and
// not exchanged goes, and so does what was replaced.
[[nodiscard]] Result<void> settle_exchange(const std::string& directory);

}  // namespace coord::disk
