#include "tests/sim/sim_disk.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"

namespace coord::sim {
namespace {

constexpr std::uint64_t kSector = 512;

Error no_power() { return error(Failure::io, "the power is gone"); }

}  // namespace

class SimFile final : public disk::File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Inode> inode)
      : disk_(disk), inode_(std::move(inode)), epoch_(disk.epoch_) {}

  Result<void> write_at(std::uint64_t offset, std::string_view bytes) override {
    if (epoch_ != disk_.epoch_) return no_power();
    return disk_.write(*inode_, offset, bytes);
  }
  Result<void> read_at(std::uint64_t offset, std::size_t size, std::string& out) const override {
    if (epoch_ != disk_.epoch_ || disk_.has_lost_power_) return no_power();
    if (disk_.faults.read_fails) return error(Failure::io, "read failed");
    const auto& bytes = inode_->live;
    out = offset < bytes.size() ? bytes.substr(static_cast<std::size_t>(offset), size) : "";
    return success();
  }
  Result<void> sync() override {
    if (epoch_ != disk_.epoch_) return no_power();
    return disk_.sync(*inode_);
  }
  Result<std::uint64_t> size() const override {
    if (epoch_ != disk_.epoch_ || disk_.has_lost_power_) return no_power();
    return static_cast<std::uint64_t>(inode_->live.size());
  }

 private:
  SimDisk& disk_;
  std::shared_ptr<SimDisk::Inode> inode_;
  std::uint64_t epoch_;
};

SimDisk::SimDisk(const SimDisk& other) : disk::Disk(other) {
  for (const auto& [name, inode] : other.live_) set_content(name, inode->live);
}

Result<void> SimDisk::operate() {
  if (has_lost_power_) return no_power();
  ++operations_;
  if (crash_at_ && operations_ >= *crash_at_) {
    has_lost_power_ = true;
    return no_power();
  }
  return success();
}

void SimDisk::put(Inode& inode, std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  const auto end = offset + bytes.size();
  if (inode.live.size() < end) inode.live.resize(static_cast<std::size_t>(end), '\0');
  inode.live.replace(static_cast<std::size_t>(offset), bytes.size(), bytes);
  for (auto at = offset / kSector; at <= (end - 1) / kSector; ++at) inode.unsynced.insert(at);
}

Result<void> SimDisk::write(Inode& inode, std::uint64_t offset, std::string_view bytes) {
  if (auto powered = operate(); !powered) {
    // The operation that the power loss hit: its sectors may or may not have arrived.
    if (operations_ == crash_at_) put(inode, offset, bytes);
    return powered;
  }
  if (faults.write_fails) return error(Failure::io, "write failed");
  const auto end = offset + bytes.size();
  if (faults.capacity_bytes && end > inode.live.size()) {
    const auto others = bytes_used() - inode.live.size();
    const auto room = *faults.capacity_bytes > others ? *faults.capacity_bytes - others : 0;
    if (end > room) {
      const auto fits = room > offset ? std::min<std::uint64_t>(room - offset, bytes.size()) : 0;
      put(inode, offset, bytes.substr(0, static_cast<std::size_t>(fits)));
      return error(Failure::disk_full, "no space left");
    }
  }
  put(inode, offset, bytes);
  return success();
}

Result<void> SimDisk::sync(Inode& inode) {
  COORD_TRY(operate());
  if (faults.sync_fails) return error(Failure::io, "sync failed");
  if (std::exchange(faults.next_sync_loses, false)) {
    inode.unsynced.clear();
    return error(Failure::io, "sync failed");
  }
  inode.durable.resize(inode.live.size(), '\0');
  for (const auto sector : inode.unsynced) {
    const auto at = static_cast<std::size_t>(sector * kSector);
    if (at >= inode.live.size()) continue;
    const auto size = std::min<std::size_t>(kSector, inode.live.size() - at);
    inode.durable.replace(at, size, inode.live, at, size);
  }
  inode.unsynced.clear();
  return success();
}

Result<std::unique_ptr<disk::File>> SimDisk::open(std::string_view name, bool create) {
  if (has_lost_power_) return no_power();
  auto at = live_.find(name);
  if (at == live_.end()) {
    if (!create) return error(Failure::not_found, "{} is not there", name);
    COORD_TRY(operate());
    at = live_.emplace(std::string(name), std::make_shared<Inode>()).first;
    changes_.push_back(DirectoryChange{"", std::string(name), at->second});
  }
  return std::unique_ptr<disk::File>(std::make_unique<SimFile>(*this, at->second));
}

Result<std::vector<std::string>> SimDisk::list() const {
  if (has_lost_power_) return no_power();
  std::vector<std::string> names;
  for (const auto& [name, inode] : live_) names.push_back(name);
  return names;
}

Result<void> SimDisk::rename(std::string_view from, std::string_view to) {
  COORD_TRY(operate());
  const auto at = live_.find(from);
  if (at == live_.end()) return error(Failure::not_found, "{} is not there", from);
  auto inode = at->second;
  live_.erase(at);
  live_.insert_or_assign(std::string(to), inode);
  changes_.push_back(DirectoryChange{std::string(from), std::string(to), std::move(inode)});
  return success();
}

Result<void> SimDisk::remove(std::string_view name) {
  COORD_TRY(operate());
  const auto at = live_.find(name);
  if (at == live_.end()) return error(Failure::not_found, "{} is not there", name);
  live_.erase(at);
  changes_.push_back(DirectoryChange{std::string(name), "", nullptr});
  return success();
}

Result<void> SimDisk::sync_directory() {
  COORD_TRY(operate());
  if (faults.sync_fails) return error(Failure::io, "sync failed");
  if (faults.forgets_directory) return success();
  durable_ = live_;
  changes_.clear();
  return success();
}

void SimDisk::crash_file(Inode& inode, Prng& prng, const CrashOdds& odds) {
  for (const auto sector : inode.unsynced) {
    const auto at = static_cast<std::size_t>(sector * kSector);
    if (at >= inode.live.size() || !prng.chance(odds.kept_percent, 100)) continue;
    auto size = std::min<std::size_t>(kSector, inode.live.size() - at);
    if (prng.chance(odds.torn_percent, 100)) size = static_cast<std::size_t>(prng.below(size));
    if (inode.durable.size() < at + size) inode.durable.resize(at + size, '\0');
    inode.durable.replace(at, size, inode.live, at, size);
  }
  inode.live = inode.durable;
  inode.unsynced.clear();
}

void SimDisk::crash(Prng& prng, const CrashOdds& odds) {
  for (auto& change : changes_) {
    if (!prng.chance(odds.kept_percent, 100)) continue;
    if (!change.removed.empty()) durable_.erase(change.removed);
    if (!change.added.empty()) durable_.insert_or_assign(change.added, change.inode);
  }
  changes_.clear();
  live_ = durable_;
  std::set<Inode*> done;
  for (auto& [name, inode] : live_) {
    if (done.insert(inode.get()).second) crash_file(*inode, prng, odds);
  }
  // A file is under two names when a rename of it was lost and a later one kept; a real file
  // system never does that, so the newer name loses.
  std::set<Inode*> named;
  std::erase_if(live_, [&](const auto& item) { return !named.insert(item.second.get()).second; });
  durable_ = live_;
  crash_at_.reset();
  has_lost_power_ = false;
  ++epoch_;
}

void SimDisk::end_process() {
  crash_at_.reset();
  has_lost_power_ = false;
  ++epoch_;
}

std::unique_ptr<SimDisk> SimDisk::clone() const {
  auto copy = std::make_unique<SimDisk>();
  std::map<const Inode*, std::shared_ptr<Inode>> made;
  const auto of = [&made](const std::shared_ptr<Inode>& inode) -> std::shared_ptr<Inode> {
    if (!inode) return nullptr;
    auto& there = made[inode.get()];
    if (!there) there = std::make_shared<Inode>(*inode);
    return there;
  };
  for (const auto& [name, inode] : live_) copy->live_.emplace(name, of(inode));
  for (const auto& [name, inode] : durable_) copy->durable_.emplace(name, of(inode));
  for (const auto& change : changes_) {
    copy->changes_.push_back({change.removed, change.added, of(change.inode)});
  }
  return copy;
}

std::unique_ptr<SimDisk> SimDisk::durable_copy() const {
  auto copy = std::make_unique<SimDisk>();
  for (const auto& [name, inode] : durable_) copy->set_content(name, inode->durable);
  return copy;
}

const std::string& SimDisk::content(std::string_view name) const {
  const auto at = live_.find(name);
  COORD_CHECK(at != live_.end(), "the file exists", name);
  return at->second->live;
}

void SimDisk::set_content(std::string_view name, std::string bytes) {
  auto& inode = live_[std::string(name)];
  if (!inode) inode = std::make_shared<Inode>();
  inode->live = bytes;
  inode->durable = std::move(bytes);
  inode->unsynced.clear();
  durable_[std::string(name)] = inode;
}

void SimDisk::forget_unsynced(std::string_view name) {
  const auto at = live_.find(name);
  COORD_CHECK(at != live_.end(), "the file exists", name);
  at->second->unsynced.clear();
}

void SimDisk::flip(std::string_view name, std::uint64_t offset, std::uint8_t mask) {
  auto bytes = content(name);
  COORD_CHECK(offset < bytes.size(), "the offset is inside the file", offset);
  auto& byte = bytes[static_cast<std::size_t>(offset)];
  byte = static_cast<char>(static_cast<std::uint8_t>(byte) ^ mask);
  set_content(name, std::move(bytes));
}

std::uint64_t SimDisk::bytes_used() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, inode] : live_) bytes += inode->live.size();
  return bytes;
}

}  // namespace coord::sim
