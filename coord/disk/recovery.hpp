// What a member starts from: the checkpoint's mark and the entries of the log after it.
#pragma once

#include <optional>
#include <vector>

#include "coord/base/result.hpp"
#include "coord/core/checkpoint.hpp"
#include "coord/disk/wal.hpp"
#include "election/entry.hpp"

namespace coord::disk {

struct StartState {
  election::HardState hard_state;
  election::SnapshotMark checkpoint;           // Index zero: there is none.
  std::vector<election::SharedEntry> entries;  // Contiguous from checkpoint.index + 1.
};

// Drops the entries that the checkpoint covers. `corrupt` when entries are missing between the
// mark and the log, or when the log is new although there is a checkpoint: the vote and the last
// entries were then lost. Entries of an earlier term than the mark's are what a snapshot replaced:
// they are dropped, but not what was written after it was installed.
[[nodiscard]] Result<StartState> combine(const std::optional<core::CheckpointMark>& mark,
                                         WalRecovered recovered);

}  // namespace coord::disk
