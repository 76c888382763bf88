// A directory of a test on a real file system (not tmpfs), removed at its end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace coord::disk {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = "/var/tmp/coord-disk-XXXXXX";
    const char* made = ::mkdtemp(pattern.data());
    path_ = made == nullptr ? "" : made;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace coord::disk
