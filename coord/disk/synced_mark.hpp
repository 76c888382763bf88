// Which transaction of LMDB's data file is known to be on the disk.
//
// The store commits without a sync and then writes its pages back piece by piece, so that the log's
// syncs do not queue behind one burst. Until that is done the kernel may write the new meta page
// before the pages it leads to; a loss of power then leaves a meta page that promises too much. So
// the number of the last synced transaction stands in a file of its own, and what the data file
// holds beyond it is discarded at the start: the log still has it (ARCHITECTURE.md: the log is kept
// back to the second last checkpoint).
//
// Two slots of one sector each, written in turn. Thread rule: the store thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coord/base/result.hpp"

namespace coord::disk {

class SyncedMark {
 public:
  explicit SyncedMark(std::string path);
  SyncedMark(const SyncedMark&) = delete;
  SyncedMark& operator=(const SyncedMark&) = delete;
  ~SyncedMark();

  // Makes the data file say no more than what is synced, before anything else opens it; it is then
  // missing or empty if nothing was ever synced. An absent mark beside data: every commit was
  // synced (as before this mark existed), nothing is discarded. `corrupt` names file and offset.
  [[nodiscard]] Result<void> settle(const std::string& data);
  // Requires: settle() returned, and everything up to `transaction` is synced.
  [[nodiscard]] Result<void> set(std::uint64_t transaction);

 private:
  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<std::optional<std::uint64_t>> read() const;

  std::string path_;
  int fd_ = -1;
};

}  // namespace coord::disk
