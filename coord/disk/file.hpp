// Disk and File: the narrow door to the file system, so that it can be simulated.
//
// One of the five virtual seams. PosixDisk is the real one; the simulator's loses what was not
// synced. Names are relative to the Disk's directory. Thread rule: a File may be written by one
// thread and synced by another at the same time; all else from one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/result.hpp"

namespace coord::disk {

class File {
 public:
  virtual ~File() = default;
  // Writes all of it, or fails (disk_full when there is no room).
  [[nodiscard]] virtual Result<void> write_at(std::uint64_t offset, std::string_view bytes) = 0;
  // Reads up to `size` bytes into `out` (replaced); fewer only at the end of the file.
  [[nodiscard]] virtual Result<void> read_at(std::uint64_t offset, std::size_t size,
                                             std::string& out) const = 0;
  // fdatasync. After a failure nothing written may be believed: the caller ends the process.
  [[nodiscard]] virtual Result<void> sync() = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size() const = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  // Opens for reading and writing; creates it when `create` and it is missing.
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(std::string_view name, bool create) = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> list() const = 0;  // Sorted.
  [[nodiscard]] virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
  [[nodiscard]] virtual Result<void> remove(std::string_view name) = 0;
  [[nodiscard]] virtual Result<void> sync_directory() = 0;
};

}  // namespace coord::disk
