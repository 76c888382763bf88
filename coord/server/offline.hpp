// What coordd does to a data directory while nobody serves from it: take a backup, restore one, and
// make a cluster of one out of what a member of a lost quorum has.
//
// Thread rule: before anything else is started.
#pragma once

#include <string>

#include "coord/base/result.hpp"
#include "coord/server/config.hpp"

namespace coord::server {

// Indices of a new cluster begin so far above those of the data that it grew from: the old cluster
// may have given out more than the data shows, and a zxid never means two things.
inline constexpr std::uint64_t kIndexJump = 1'000'000;

// Writes the state of --data, with what its log holds beyond the checkpoint, as a snapshot's bytes.
[[nodiscard]] Result<void> back_up(const Config& config, const std::string& file);
// Makes --data from such a file: a cluster of one, --id, with an identity of its own. The directory
// must be missing or empty; it is there whole or not at all.
[[nodiscard]] Result<void> restore(const Config& config, const std::string& file);
// Makes --data a cluster of one, --id. Everything in its log counts as committed.
[[nodiscard]] Result<void> force_new_cluster(const Config& config);

}  // namespace coord::server
