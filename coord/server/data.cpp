#include "coord/server/data.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

#include "coord/base/codec.hpp"
#include "coord/disk/posix_disk.hpp"
#include "coord/disk/recovery.hpp"
#include "coord/server/log.hpp"

namespace coord::server {

void fill_random(void* bytes, std::size_t size) {
  auto* at = static_cast<char*>(bytes);
  while (size > 0) {
    const auto n = getrandom(at, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) log_and_die("the system gives no random bytes: {}", std::strerror(errno));
    at += n;
    size -= static_cast<std::size_t>(n);
  }
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  fill_random(&number, sizeof number);
  return number;
}

std::string random_uuid() {
  std::uint8_t b[16];
  fill_random(b, sizeof b);
  b[6] = static_cast<std::uint8_t>((b[6] & 0x0f) | 0x40);  // Version 4 (RFC 9562).
  b[8] = static_cast<std::uint8_t>((b[8] & 0x3f) | 0x80);
  std::string text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", b[i]);
  }
  return text;
}

DataLock::~DataLock() { ::close(fd_); }

Result<std::unique_ptr<DataLock>> DataLock::take(const std::string& directory) {
  std::error_code code;
  std::filesystem::create_directories(directory, code);
  if (code) return error(Failure::io, "make {}: {}", directory, code.message());
  const auto path = directory + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return error(Failure::io, "open {}: {}", path, std::strerror(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return error(Failure::unavailable,
                 "another coordd serves from {}: stop it, or give --data another directory",
                 directory);
  }
  return std::unique_ptr<DataLock>(new DataLock(fd));
}

Result<std::uint64_t> disk_id(const std::string& directory) {
  constexpr std::string_view kName = "disk-id";
  COORD_TRY(auto disk, disk::open_posix_disk(directory));
  COORD_TRY(auto names, disk->list());
  if (std::find(names.begin(), names.end(), kName) != names.end()) {
    std::string bytes;
    COORD_TRY(auto file, disk->open(kName, false));
    COORD_TRY(file->read_at(0, 17, bytes));
    std::uint64_t id = 0;
    const auto* end = bytes.data() + bytes.size();
    const auto [at, problem] = std::from_chars(bytes.data(), end, id, 16);
    if (bytes.size() != 16 || problem != std::errc() || at != end) {
      return error(Failure::corrupt, "{}/{} does not hold 16 hexadecimal digits", directory, kName);
    }
    return id;
  }
  const auto id = random_number();
  COORD_TRY(auto file, disk->open("disk-id.new", true));
  COORD_TRY(file->write_at(0, fmt::format("{:016x}", id)));
  COORD_TRY(file->sync());
  COORD_TRY(disk->rename("disk-id.new", kName));
  COORD_TRY(disk->sync_directory());
  return id;
}

namespace {

constexpr std::uint64_t kAheadBytes = 8 * kMiB;

// What a member without data begins with; empty for one that joins: the leader tells it.
election::Membership first_membership(const Config& config) {
  election::Membership membership;
  if (!config.join.empty()) return membership;
  if (config.members.empty()) membership.voters = {config.id};
  for (const auto& member : config.members) {
    auto& list = member.role == "voter"      ? membership.voters
                 : member.role == "observer" ? membership.observers
                                             : membership.standbys;
    list.push_back(member.id);
  }
  return membership;
}

}  // namespace

Result<Opened> open_data(const Config& config, disk::Disk& wal_disk) {
  COORD_TRY(auto store, disk::open_lmdb_store(config.data + "/state", {}));
  COORD_TRY(auto mark, store->mark());
  // The log first: what the checkpoint covers of it is dropped, and the tree takes that memory.
  disk::WalOptions options;
  options.segment_bytes = config.wal_segment_bytes;
  options.ahead_bytes = kAheadBytes;
  options.salt = random_number();
  COORD_TRY(auto wal, disk::open_wal(wal_disk, options));
  const auto& tail = wal.recovered.tail;
  if (tail.was_cut) {
    spdlog::warn("event=torn-tail file={} offset={} dropped_bytes={} reason=\"{}\"", tail.file,
                 tail.offset, tail.dropped_bytes, tail.reason);
  }
  const auto log_end = fmt::format("{}:{}", tail.file, tail.offset);
  COORD_TRY(auto start, disk::combine(mark, std::move(wal.recovered)));
  core::StateMachine state(config.limits);
  core::Retention retention;
  if (mark) {
    COORD_TRY(store->load([&](Table table, std::string_view key, std::string_view bytes) {
      if (table == Table::meta && key == core::Retention::kKey) {
        return std::string(retention.decode(bytes) ? "" : "the retention record is malformed");
      }
      return state.load(table, key, bytes);
    }));
    if (auto problem = state.load_done(*mark); !problem.empty()) {
      return error(Failure::corrupt, "{}/state: {}", config.data, problem);
    }
  } else {
    state.set_membership(first_membership(config));
  }
  spdlog::info(
      "event=loaded checkpoint={} entries_after={} log_end={} nodes={} sessions={} term={}",
      start.checkpoint.index, start.entries.size(), log_end, state.tree().node_count(),
      state.sessions().size(), start.hard_state.term);
  election::Restored log;
  log.hard_state = start.hard_state;
  log.snapshot = start.checkpoint;
  log.membership = state.membership();
  log.entries = std::move(start.entries);
  // A member that joins is in the membership only once it has applied the entry that added it.
  if (config.join.empty() && !log.membership.contains(config.id)) {
    return error(Failure::invalid,
                 "{} holds the data of another member: --id {} is not in its membership",
                 config.data, config.id);
  }
  return Opened{std::move(wal.wal), std::move(store),
                core::NodeState{std::move(state), std::move(log), std::move(retention)}};
}

}  // namespace coord::server
