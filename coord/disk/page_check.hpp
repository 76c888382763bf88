// A check of every page of LMDB's data file, before LMDB opens it.
//
// LMDB trusts its pages: a flipped bit in a branch page or in the list of free pages makes it read
// or write anywhere. This walks the newest tree without it and accepts the file only if every page
// is in exactly one place (a tree, an overflow run or the list of free pages), every key is within
// the bounds that its branch sets, the counts agree, and every record of a table carries its
// checksum. What it does not look at is what nothing reads: free pages and unused bytes.
//
// Thread rule: before the store is opened.
#pragma once

#include <string>

#include "coord/base/result.hpp"

namespace coord::disk {

// `corrupt` names file and offset. A missing or empty file is fine.
[[nodiscard]] Result<void> check_pages(const std::string& path);

}  // namespace coord::disk
