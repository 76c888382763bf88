// SnapshotSource: the tree in a snapshot file of ZooKeeper ("snapshot.1000003e7").
//
// Reads the file from front to back for each walk and checks its checksum at the end; keeps only
// the ACLs in memory. A snapshot that ZooKeeper wrote while it served holds some later changes and
// not others; the one that it writes when it starts is exact. Thread rule: one thread.
#pragma once

#include <string>

#include "cli/import_node.hpp"
#include "cli/zookeeper_source.hpp"

namespace coord::cli {

class SnapshotSource final : public ImportSource {
 public:
  SnapshotSource(std::string file, std::string top)
      : file_(std::move(file)), top_(std::move(top)) {}

  [[nodiscard]] Outcome<void> walk(const Each& each) override;
  [[nodiscard]] std::size_t ephemerals() const noexcept override { return ephemerals_; }

 private:
  std::string file_;
  std::string top_;
  std::size_t ephemerals_ = 0;
};

// Which nodes of the snapshot are containers or have a ttl.
[[nodiscard]] Outcome<ImportKinds> kinds_in(const std::string& file);

}  // namespace coord::cli
