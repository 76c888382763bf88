// The names inside LMDB's data file, shared by the store and the check of its pages.
#pragma once

#include <array>
#include <string_view>

#include "coord/base/records.hpp"

namespace coord::disk {

// One database for each Table, in its order; then that of the mark.
inline constexpr std::array<const char*, kTables + 1> kStoreNames = {
    "meta",  "nodes",   "acls",         "quotas",  "sessions", "ended",
    "retry", "changes", "change_paths", "members", "store"};
// The key of the mark in its database.
inline constexpr std::string_view kMarkName = "mark";

}  // namespace coord::disk
