#include "coord/disk/posix_disk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace coord::disk {
namespace {

Error system_error(std::string_view what, std::string_view name, int number) {
  const auto failure = number == ENOSPC || number == EDQUOT ? Failure::disk_full
                       : number == ENOENT                   ? Failure::not_found
                                                            : Failure::io;
  return error(failure, "{} {}: {}", what, name, std::generic_category().message(number));
}

// Calls again while a signal interrupts.
template <class Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  // Nothing is lost by an ignored failure of close: what counts was synced before.
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

class PosixFile final : public File {
 public:
  PosixFile(Descriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Result<void> write_at(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const auto n = retry([&] {
        return ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      });
      if (n < 0) return system_error("write", path_, errno);
      if (n == 0) return system_error("write", path_, EIO);
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return success();
  }

  Result<void> read_at(std::uint64_t offset, std::size_t size, std::string& out) const override {
    out.resize(size);
    std::size_t have = 0;
    while (have < size) {
      const auto n = retry([&] {
        return ::pread(descriptor_.get(), out.data() + have, size - have,
                       static_cast<off_t>(offset + have));
      });
      if (n < 0) return system_error("read", path_, errno);
      if (n == 0) break;
      have += static_cast<std::size_t>(n);
    }
    out.resize(have);
    return success();
  }

  Result<void> sync() override {
    // EINTR is the one failure after which the pages are still dirty; any other is final.
    if (retry([&] { return ::fdatasync(descriptor_.get()); }) < 0) {
      return system_error("sync", path_, errno);
    }
    return success();
  }

  Result<std::uint64_t> size() const override {
    struct stat info {};
    if (::fstat(descriptor_.get(), &info) < 0) return system_error("stat", path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  Descriptor descriptor_;
  std::string path_;
};

class PosixDisk final : public Disk {
 public:
  PosixDisk(Descriptor directory, std::string path)
      : directory_(std::move(directory)), path_(std::move(path)) {}

  Result<std::unique_ptr<File>> open(std::string_view name, bool create) override {
    const std::string text(name);
    const int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0);
    Descriptor file(retry([&] { return ::openat(directory_.get(), text.c_str(), flags, 0640); }));
    if (file.get() < 0) return system_error("open", full(name), errno);
    return std::make_unique<PosixFile>(std::move(file), full(name));
  }

  Result<std::vector<std::string>> list() const override {
    const int copy = retry([&] { return ::openat(directory_.get(), ".", O_RDONLY | O_CLOEXEC); });
    if (copy < 0) return system_error("open", path_, errno);
    DIR* stream = ::fdopendir(copy);
    if (stream == nullptr) {
      const int number = errno;
      ::close(copy);
      return system_error("list", path_, number);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const auto* entry = ::readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int number = errno;
    ::closedir(stream);
    if (number != 0) return system_error("list", path_, number);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<void> rename(std::string_view from, std::string_view to) override {
    const std::string source(from);
    const std::string target(to);
    if (::renameat(directory_.get(), source.c_str(), directory_.get(), target.c_str()) < 0) {
      return system_error("rename", full(from), errno);
    }
    return success();
  }

  Result<void> remove(std::string_view name) override {
    const std::string text(name);
    if (::unlinkat(directory_.get(), text.c_str(), 0) < 0) {
      return system_error("remove", full(name), errno);
    }
    return success();
  }

  Result<void> sync_directory() override {
    if (retry([&] { return ::fsync(directory_.get()); }) < 0) {
      return system_error("sync", path_, errno);
    }
    return success();
  }

 private:
  [[nodiscard]] std::string full(std::string_view name) const {
    return fmt::format("{}/{}", path_, name);
  }
  Descriptor directory_;
  std::string path_;
};

// Makes `path` and its parents, each made durable in the directory above it: a log whose own
// directory a power loss takes away is lost whole.
Result<void> make_one_by_one(const std::filesystem::path& path) {
  std::error_code failed;
  if (std::filesystem::is_directory(path, failed)) return success();
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (parent != path) {
    COORD_TRY(make_one_by_one(parent));
  }
  if (::mkdir(path.c_str(), 0750) < 0 && errno != EEXIST) {
    return system_error("make directory", path.string(), errno);
  }
  return sync_directory(parent.string());
}

}  // namespace

Result<void> sync_directory(const std::string& path) {
  const Descriptor directory(
      retry([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (directory.get() < 0) return system_error("open", path, errno);
  if (retry([&] { return ::fsync(directory.get()); }) < 0) {
    return system_error("sync", path, errno);
  }
  return success();
}

Result<void> make_directories(const std::string& path) {
  return make_one_by_one(std::filesystem::path(path).lexically_normal());
}

Result<std::unique_ptr<Disk>> open_posix_disk(const std::string& directory) {
  const auto path = std::filesystem::path(directory).lexically_normal();
  COORD_TRY(make_one_by_one(path));
  Descriptor descriptor(
      retry([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (descriptor.get() < 0) return system_error("open", directory, errno);
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK) {
      return error(Failure::io, "{} is in use by another process", directory);
    }
    return system_error("lock", directory, errno);
  }
  return std::make_unique<PosixDisk>(std::move(descriptor), directory);
}

}  // namespace coord::disk
