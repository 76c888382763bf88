#include "coord/disk/recovery.hpp"

#include <algorithm>
#include <utility>

namespace coord::disk {

Result<StartState> combine(const std::optional<core::CheckpointMark>& mark,
                           WalRecovered recovered) {
  StartState start;
  start.hard_state = recovered.hard_state;
  if (mark) start.checkpoint = election::SnapshotMark{mark->applied, mark->applied_term};
  if (start.checkpoint.index && recovered.hard_state.term < start.checkpoint.term) {
    return error(Failure::corrupt,
                 "the log is missing or too old: its term is {}, the checkpoint at index {} has "
                 "term {}",
                 recovered.hard_state.term, start.checkpoint.index, start.checkpoint.term);
  }
  auto& entries = recovered.entries;
  const auto after = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry->index > start.checkpoint.index;
  });
  if (after == entries.end()) return start;
  if ((*after)->index != start.checkpoint.index.next()) {
    return error(Failure::corrupt,
                 "entries are missing: the checkpoint ends at index {}, the log begins at {}",
                 start.checkpoint.index, (*after)->index);
  }
  // Terms never fall along a log, so these do not belong behind the mark: a snapshot replaced the
  // entry that they follow, which may have been recycled since. They were there before it was
  // installed, all of them: whoever leads in the snapshot's term or later has its last entry
  // (thesis, section 3.6.3), and what it sends takes their places.
  if ((*after)->term < start.checkpoint.term) return start;
  start.entries.assign(std::make_move_iterator(after), std::make_move_iterator(entries.end()));
  return start;
}

}  // namespace coord::disk
