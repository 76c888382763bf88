// PosixDisk: a Disk over one directory of the machine.
#pragma once

#include <memory>
#include <string>

#include "coord/disk/file.hpp"

namespace coord::disk {

// Makes the directory (and its parents) when it is missing.
[[nodiscard]] Result<std::unique_ptr<Disk>> open_posix_disk(const std::string& directory);

}  // namespace coord::disk
