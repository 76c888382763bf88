// SimDisk: a Disk in memory that forgets, at a crash, what was not synced.
//
// Faults are fair: what was synced stays as it is. Of what was not, each 512-byte sector may be
// kept, lost or torn on its own, and each change of the directory kept or lost on its own, so that
// code relying on any order without a sync fails here. Damage to synced bytes is done by the test
// itself (flip, truncate). Single-threaded.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/prng.hpp"
#include "coord/disk/file.hpp"

namespace coord::sim {

struct DiskFaults {
  std::optional<std::uint64_t> capacity_bytes;  // ENOSPC beyond it; a prefix may be written.
  bool write_fails = false;                     // EIO.
  bool sync_fails = false;                      // EIO; the bytes stay unsynced for ever.
  bool read_fails = false;                      // EIO.
  bool forgets_directory = false;               // Its sync says yes and does nothing (a mutant).
  // One sync fails, and what it should have written is clean and lost, as on a real kernel: it can
  // be read until the power goes, and a second sync would succeed without writing it.
  bool next_sync_loses = false;
};

// How likely, in a hundred, an unsynced thing survives a crash.
struct CrashOdds {
  std::uint64_t kept_percent = 50;
  std::uint64_t torn_percent = 10;  // Of the sectors: a part old, a part new.
};

class SimDisk final : public disk::Disk {
 public:
  DiskFaults faults;

  SimDisk() = default;
  // Another disk with the same bytes, all of them synced. No faults are set.
  SimDisk(const SimDisk& other);
  SimDisk& operator=(const SimDisk&) = delete;

  [[nodiscard]] Result<std::unique_ptr<disk::File>> open(std::string_view name,
                                                         bool create) override;
  [[nodiscard]] Result<std::vector<std::string>> list() const override;
  [[nodiscard]] Result<void> rename(std::string_view from, std::string_view to) override;
  [[nodiscard]] Result<void> remove(std::string_view name) override;
  [[nodiscard]] Result<void> sync_directory() override;

  // Changing operations so far (write, sync, create, rename, remove, sync of the directory).
  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
  // The operation with this number, counted from 1, and all after it fail: the power is gone. A
  // write that it hits may be there in part.
  void crash_at(std::uint64_t operation) noexcept { crash_at_ = operation; }
  [[nodiscard]] bool has_lost_power() const noexcept { return has_lost_power_; }
  // Decides what survived, and switches the power on again. Every open File is dead afterwards.
  void crash(Prng& prng, const CrashOdds& odds);

  // The process alone ended: what was written stays to be read, synced or not. Every open File is
  // dead afterwards.
  void end_process();
  // The same disk, apart: files, what is unsynced, changes of the directory; no faults.
  [[nodiscard]] std::unique_ptr<SimDisk> clone() const;
  // A disk that holds what is surely durable, as after the worst loss of power.
  [[nodiscard]] std::unique_ptr<SimDisk> durable_copy() const;

  // For tests that do damage. Requires: the file exists.
  [[nodiscard]] const std::string& content(std::string_view name) const;
  void set_content(std::string_view name, std::string bytes);  // As if synced.
  // What a failed sync does on a real kernel: the bytes can be read, are not on the disk, and are
  // no longer waiting to be written.
  void forget_unsynced(std::string_view name);
  void flip(std::string_view name, std::uint64_t offset, std::uint8_t mask);
  [[nodiscard]] std::uint64_t bytes_used() const;

 private:
  friend class SimFile;
  struct Inode {
    std::string live;
    std::string durable;
    std::set<std::uint64_t> unsynced;  // Sectors.
  };
  struct DirectoryChange {
    std::string removed;  // A name, or empty.
    std::string added;    // A name, or empty.
    std::shared_ptr<Inode> inode;
  };
  [[nodiscard]] Result<void> operate();
  Result<void> write(Inode& inode, std::uint64_t offset, std::string_view bytes);
  Result<void> sync(Inode& inode);
  static void put(Inode& inode, std::uint64_t offset, std::string_view bytes);
  static void crash_file(Inode& inode, Prng& prng, const CrashOdds& odds);

  std::map<std::string, std::shared_ptr<Inode>, std::less<>> live_;
  std::map<std::string, std::shared_ptr<Inode>, std::less<>> durable_;
  std::vector<DirectoryChange> changes_;  // Since the directory was last synced.
  std::uint64_t operations_ = 0;
  std::optional<std::uint64_t> crash_at_;
  bool has_lost_power_ = false;
  std::uint64_t epoch_ = 0;  // Of the power: a File of an older one is dead.
};

}  // namespace coord::sim
