// PosixDisk: a Disk over one directory of the machine.
#pragma once

#include <memory>
#include <string>

#include "coord/disk/file.hpp"

namespace coord::disk {

// Makes the directory and its parents when they are missing, durably.
[[nodiscard]] Result<void> make_directories(const std::string& path);
// Makes the names in a directory durable.
[[nodiscard]] Result<void> sync_directory(const std::string& path);
// Makes the directory when it is missing, and locks it: a second opening, by whatever process,
// fails until the first Disk is gone.
[[nodiscard]] Result<std::unique_ptr<Disk>> open_posix_disk(const std::string& directory);

}  // namespace coord::disk
