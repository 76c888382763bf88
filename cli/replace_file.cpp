#include "cli/replace_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace coord::cli {
namespace {

constexpr mode_t kModeOfNew = 0644;

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

mode_t mode_for(const std::string& path) {
  struct stat there {};
  if (::stat(path.c_str(), &there) == 0) return there.st_mode & 07777;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return kModeOfNew & ~mask;
}

// The name itself must outlive a crash too.
void sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Outcome<void> replace_file(const std::string& path, std::string_view bytes) {
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  std::string beside = fmt::format("{}/.{}.XXXXXX", directory, name);
  const int fd = ::mkostemp(beside.data(), O_CLOEXEC);
  const auto failed = [&](const char* what) {
    return Trouble{
        Exit::other, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)), {}};
  };
  if (fd < 0) return failed("write beside");
  const bool is_written =
      write_all(fd, bytes) && ::fchmod(fd, mode_for(path)) == 0 && ::fsync(fd) == 0;
  if (!is_written || ::rename(beside.c_str(), path.c_str()) != 0) {
    const auto trouble = failed("write");
    ::close(fd);
    ::unlink(beside.c_str());
    return trouble;
  }
  ::close(fd);
  sync_directory(directory);
  return success();
}

}  // namespace coord::cli
