#include "coord/disk/synced_mark.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "coord/base/checksum.hpp"
#include "coord/base/codec.hpp"

namespace coord::disk {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::size_t kSlotBytes = 16;
// LMDB 0.9's meta pages.
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMagicAt = 16;
constexpr std::uint32_t kPageMagic = 0xBEEFC0DE;
constexpr std::size_t kTransactionAt = 144;

Error failure(std::string_view what, const std::string& path, int number) {
  return error(number == ENOSPC || number == EDQUOT ? Failure::disk_full : Failure::io, "{} {}: {}",
               what, path, std::generic_category().message(number));
}

template <class T>
T load_from(const std::string& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

class Closing {
 public:
  explicit Closing(int fd) noexcept : fd_(fd) {}
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;
  ~Closing() { ::close(fd_); }

 private:
  int fd_;
};

// A meta page as it stands: none when it is not one.
std::optional<std::uint64_t> transaction_of(const std::string& page) {
  if (page.size() != kPage || load_from<std::uint32_t>(page, kMagicAt) != kPageMagic)
    return std::nullopt;
  return load_from<std::uint64_t>(page, kTransactionAt);
}

}  // namespace

SyncedMark::SyncedMark(std::string path) : path_(std::move(path)) {}

SyncedMark::~SyncedMark() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> SyncedMark::open() {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd_ < 0) return failure("open", path_, errno);
  return success();
}

Result<std::optional<std::uint64_t>> SyncedMark::read() const {
  std::optional<std::uint64_t> newest;
  bool is_empty = true;
  for (std::size_t i = 0; i < 2; ++i) {
    std::string slot(kSlotBytes, '\0');
    const auto n = ::pread(fd_, slot.data(), slot.size(), static_cast<off_t>(i * kSector));
    if (n < 0) return failure("read", path_, errno);
    is_empty = is_empty && n == 0;
    if (n != static_cast<ssize_t>(kSlotBytes)) continue;
    const auto sum = load_from<std::uint64_t>(slot, 8);
    if (checksum(std::string_view(slot).substr(0, 8)) != sum) continue;
    newest = std::max(newest.value_or(0), load_from<std::uint64_t>(slot, 0));
  }
  if (!newest && !is_empty) {
    return error(Failure::corrupt, "{} is damaged at offset 0: neither slot is valid", path_);
  }
  return newest;
}

Result<void> SyncedMark::set(std::uint64_t transaction) {
  std::string slot;
  Writer writer(slot);
  writer.u64(transaction);
  writer.u64(checksum(slot));
  const auto at = static_cast<off_t>(transaction % 2 * kSector);
  const auto n = ::pwrite(fd_, slot.data(), slot.size(), at);
  if (n != static_cast<ssize_t>(slot.size())) return failure("write", path_, n < 0 ? errno : EIO);
  if (::fdatasync(fd_) < 0) return failure("sync", path_, errno);
  return success();
}

Result<void> SyncedMark::settle(const std::string& data) {
  const int fd = ::open(data.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno != ENOENT) return failure("open", data, errno);
  const Closing closing(fd);
  std::array<std::string, 2> pages;
  std::array<std::optional<std::uint64_t>, 2> found;
  bool is_empty = true;
  for (std::size_t i = 0; fd >= 0 && i < 2; ++i) {
    pages[i].assign(kPage, '\0');
    const auto n = ::pread(fd, pages[i].data(), kPage, static_cast<off_t>(i * kPage));
    if (n < 0) return failure("read", data, errno);
    is_empty = is_empty && n == 0;
    pages[i].resize(static_cast<std::size_t>(n));
    found[i] = transaction_of(pages[i]);
  }
  COORD_TRY(open());
  COORD_TRY(const auto synced, read());
  if (is_empty || synced == 0U) {
    // Nothing was ever synced: whatever is there was left by a crash while the file was made.
    if (!is_empty && ::ftruncate(fd, 0) < 0) return failure("truncate", data, errno);
    if (!is_empty && ::fdatasync(fd) < 0) return failure("sync", data, errno);
    if (::ftruncate(fd_, 0) < 0) return failure("truncate", path_, errno);
    return set(0);
  }
  if (!synced) return success();
  for (std::size_t i = 0; i < 2; ++i) {
    if (!found[i] || *found[i] <= *synced) continue;
    const auto& other = found[1 - i];
    if (other != synced) {
      return error(Failure::corrupt,
                   "{} is damaged at offset {}: no meta page is of transaction {}", data, i * kPage,
                   *synced);
    }
    auto page = pages[1 - i];
    const std::uint64_t number = i;
    std::memcpy(page.data(), &number, sizeof number);
    const auto n = ::pwrite(fd, page.data(), page.size(), static_cast<off_t>(i * kPage));
    if (n != static_cast<ssize_t>(page.size())) return failure("write", data, n < 0 ? errno : EIO);
    if (::fdatasync(fd) < 0) return failure("sync", data, errno);
    return success();
  }
  if (std::max(found[0].value_or(0), found[1].value_or(0)) < *synced) {
    return error(Failure::corrupt, "{} is damaged at offset 0: transaction {} is missing", data,
                 *synced);
  }
  return success();
}

}  // namespace coord::disk
