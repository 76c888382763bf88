// Carries out what a Node asks of the store about snapshots. No threads, no Asio: the workers call
// it, and so does the simulator.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "coord/base/result.hpp"
#include "coord/core/snapshot.hpp"
#include "coord/disk/state_store.hpp"

namespace coord::server {

// Loads all that a store holds. Requires: it has a mark.
[[nodiscard]] Result<std::shared_ptr<core::LoadedState>> load_state(
    const disk::StateStore& store, const core::StateLimits& limits);

// The sources that are being read. Thread rule: the reader thread.
class SnapshotReader {
 public:
  explicit SnapshotReader(const disk::StateStore& store) : store_(store) {}
  // None when it let a source go.
  [[nodiscard]] std::optional<core::SnapshotWasRead> read(const core::SnapshotRead& read);

 private:
  const disk::StateStore& store_;
  std::map<std::uint64_t, std::unique_ptr<disk::SnapshotSource>> sources_;
};

// The store that is being filled. Thread rule: the store thread.
class SnapshotWriter {
 public:
  SnapshotWriter(disk::StateStore& store, core::StateLimits limits)
      : store_(store), limits_(limits) {}
  // What to answer, if anything. disk_full: nothing happened, the same may be tried again. Another
  // failure of the disk: the caller ends the process. Damaged bytes are an answer.
  [[nodiscard]] Result<std::optional<core::SnapshotWritten>> write(
      const core::SnapshotWrite& write);

 private:
  Result<void> carry_out(const core::SnapshotWrite& write, core::SnapshotWritten& done);

  disk::StateStore& store_;
  core::StateLimits limits_;
  std::unique_ptr<disk::SnapshotSink> sink_;
  std::uint64_t install_ = 0;
};

}  // namespace coord::server
