// The data directory: its lock, its disk's id, and what a member starts from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "coord/base/result.hpp"
#include "coord/core/node.hpp"
#include "coord/disk/state_store.hpp"
#include "coord/disk/wal.hpp"
#include "coord/server/config.hpp"

namespace coord::server {

// From the system's random source; ends the process when there is none.
void fill_random(void* bytes, std::size_t size);
[[nodiscard]] std::uint64_t random_number();
[[nodiscard]] std::string random_uuid();

// Holds the lock on a data directory as long as it lives.
class DataLock {
 public:
  ~DataLock();
  DataLock(const DataLock&) = delete;
  DataLock& operator=(const DataLock&) = delete;
  // Makes the directory when it is missing; unavailable if another process holds it.
  [[nodiscard]] static Result<std::unique_ptr<DataLock>> take(const std::string& directory);

 private:
  explicit DataLock(int fd) : fd_(fd) {}
  int fd_;
};

// The random id that a disk got at its first start, from DIR/disk-id.
[[nodiscard]] Result<std::uint64_t> disk_id(const std::string& directory);

struct Opened {
  std::unique_ptr<disk::Wal> wal;
  std::unique_ptr<disk::StateStore> store;
  core::NodeState state;
};

// Loads the checkpoint, checks its digest, reads the log. Errors say what is damaged and what to
// do.
[[nodiscard]] Result<Opened> open_data(const Config& config, disk::Disk& wal_disk);

}  // namespace coord::server
