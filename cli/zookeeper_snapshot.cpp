#include "cli/zookeeper_snapshot.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "cli/interrupt.hpp"
#include "cli/text.hpp"

namespace coord::cli {
namespace {

constexpr std::uint32_t kMagic = 0x5a4b534e;  // "ZKSN"
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::uint32_t kPathBytesMax = 1U << 20;
constexpr std::uint32_t kDataBytesMax = 256U << 20;
constexpr std::uint32_t kAclEntriesMax = 1U << 16;
constexpr std::int64_t kOpenAcl = -1;
// ephemeralOwner of those that are no ephemerals.
constexpr std::int64_t kContainer = INT64_MIN;
constexpr std::uint64_t kExtended = 0xff00000000000000U;
constexpr std::uint64_t kExtendedType = 0x00ffff0000000000U;  // 0: a ttl in the bits below.

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// The bytes of a file as Jute's values, with the checksum (Adler-32) of what was read.
class FileReader {
 public:
  explicit FileReader(const std::string& name) : file_(std::fopen(name.c_str(), "rb")) {}

  [[nodiscard]] bool is_open() const noexcept { return file_ != nullptr; }
  [[nodiscard]] bool is_ok() const noexcept { return is_ok_; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  [[nodiscard]] std::uint32_t checksum() const noexcept { return high_ << 16 | low_; }

  std::int32_t number() { return static_cast<std::int32_t>(take_number(4)); }
  std::int64_t large() { return static_cast<std::int64_t>(take_number(8)); }
  // None: null.
  std::optional<std::string> buffer(std::uint32_t most) {
    const auto size = number();
    if (size == -1 || !is_ok_) return std::nullopt;
    if (size < 0 || static_cast<std::uint32_t>(size) > most) {
      is_ok_ = false;
      return std::nullopt;
    }
    std::string out;
    // In pieces, so that a length that lies takes no memory.
    for (auto left = static_cast<std::size_t>(size); left > 0 && is_ok_;) {
      const auto piece = std::min(left, kPieceBytes);
      const auto before = out.size();
      out.resize(before + piece);
      take(out.data() + before, piece);
      left -= piece;
    }
    return out;
  }
  std::string string(std::uint32_t most) { return buffer(most).value_or(std::string()); }

 private:
  void take(char* to, std::size_t size) {
    if (!is_ok_ || std::fread(to, 1, size, file_.get()) != size) {
      is_ok_ = false;
      std::memset(to, 0, size);
      return;
    }
    offset_ += size;
    for (std::size_t i = 0; i < size;) {
      // The sums stay below 2^32 for so many bytes.
      const auto end = std::min<std::size_t>(size, i + 5552);
      for (; i < end; ++i) {
        low_ += static_cast<std::uint8_t>(to[i]);
        high_ += low_;
      }
      low_ %= 65521;
      high_ %= 65521;
    }
  }
  std::uint64_t take_number(std::size_t width) {
    char bytes[8];
    take(bytes, width);
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < width; ++i) v = v << 8 | static_cast<std::uint8_t>(bytes[i]);
    return v;
  }

  std::unique_ptr<std::FILE, CloseFile> file_;
  bool is_ok_ = true;
  std::uint64_t offset_ = 0;
  std::uint32_t low_ = 1;
  std::uint32_t high_ = 0;
};

using Acls = std::map<std::int64_t, std::vector<ImportAcl>>;

Acls read_acls(FileReader& in) {
  Acls acls;
  acls[kOpenAcl] = {{31, "world", "anyone"}};
  for (auto n = in.number(); n > 0 && in.is_ok(); --n) {
    auto& list = acls[in.large()];
    list.clear();
    const auto entries = in.number();
    if (entries < 0 || static_cast<std::uint32_t>(entries) > kAclEntriesMax) return acls;
    for (auto e = entries; e > 0 && in.is_ok(); --e) {
      auto& entry = list.emplace_back();
      entry.permissions = static_cast<std::uint32_t>(in.number());
      entry.scheme = in.string(kPathBytesMax);
      entry.id = in.string(kPathBytesMax);
    }
  }
  return acls;
}

struct Record {
  ImportNode node;
  std::int64_t acl = 0;
  std::int64_t owner = 0;
};

Record read_record(FileReader& in) {
  Record record;
  auto& node = record.node;
  node.data = in.buffer(kDataBytesMax);
  record.acl = in.large();
  in.large();  // czxid
  in.large();  // mzxid
  node.ctime_ms = in.large();
  node.mtime_ms = in.large();
  node.version = in.number();
  // Here it is the count of creations alone.
  node.created = static_cast<std::uint32_t>(in.number());
  node.aversion = in.number();
  record.owner = in.large();
  in.large();  // pzxid
  const auto owner = static_cast<std::uint64_t>(record.owner);
  if (record.owner == kContainer) {
    node.mode = ImportMode::container;
    record.owner = 0;
  } else if ((owner & kExtended) == kExtended && (owner & kExtendedType) == 0) {
    node.mode = ImportMode::ttl;
    node.ttl_ms = static_cast<std::int64_t>(owner & ~kExtended);
    record.owner = 0;
  }
  return record;
}

// Every node of the file but /zookeeper and below, ephemerals with their owner.
Outcome<void> read_all(const std::string& name,
                       const std::function<Outcome<void>(Record&&)>& each) {
  FileReader in(name);
  if (!in.is_open()) {
    return Trouble{
        Exit::usage, fmt::format("cannot open {}: {}", escaped(name), std::strerror(errno)), {}};
  }
  const auto damaged = [&](std::string_view why) {
    return Trouble{Exit::other,
                   fmt::format("{} is no whole snapshot of ZooKeeper: {} at offset {}",
                               escaped(name), why, in.offset()),
                   {}};
  };
  const auto magic = static_cast<std::uint32_t>(in.number());
  if (magic != kMagic) {
    auto trouble = damaged("it does not begin like one");
    if (magic >> 16 == 0x1f8b) trouble.hint = "it is compressed: gunzip it first";
    return trouble;
  }
  if (const auto version = in.number(); version != 2) {
    return damaged(fmt::format("version {} instead of 2", version));
  }
  in.large();  // The database's id.
  for (auto n = in.number(); n > 0 && in.is_ok(); --n) {
    in.large();   // A session's id ...
    in.number();  // ... and time-out.
  }
  const auto acls = read_acls(in);
  if (!in.is_ok()) return damaged("it is cut");
  while (true) {
    if (Interrupt::is_raised()) return Trouble{Exit::interrupted, {}, {}};
    auto path = in.string(kPathBytesMax);
    if (!in.is_ok()) return damaged("it is cut");
    if (path == "/") break;  // The root itself is "".
    auto record = read_record(in);
    if (!in.is_ok()) return damaged("it is cut");
    const auto acl = acls.find(record.acl);
    if (acl == acls.end()) return damaged("an unknown ACL");
    record.node.path = path.empty() ? "/" : std::move(path);
    record.node.acl = acl->second;
    if (is_below(record.node.path, "/zookeeper")) continue;
    COORD_TRY(each(std::move(record)));
  }
  const auto want = in.checksum();
  if (in.large() != std::int64_t{want} || !in.is_ok()) return damaged("the checksum is wrong");
  return success();
}

}  // namespace

Outcome<void> SnapshotSource::walk(const Each& each) {
  ephemerals_ = 0;
  bool is_there = false;
  COORD_TRY(read_all(file_, [&](Record&& record) -> Outcome<void> {
    if (!is_below(record.node.path, top_)) return success();
    if (record.owner != 0) {
      ++ephemerals_;
      return success();
    }
    is_there = is_there || record.node.path == top_;
    return each(std::move(record.node));
  }));
  if (!is_there) {
    return Trouble{Exit::not_found, fmt::format("the snapshot has no node {}", escaped(top_)), {}};
  }
  return success();
}

Outcome<ImportKinds> kinds_in(const std::string& file) {
  ImportKinds kinds;
  COORD_TRY(read_all(file, [&](Record&& record) -> Outcome<void> {
    if (record.node.mode != ImportMode::persistent) {
      kinds[record.node.path] = {record.node.mode, record.node.ttl_ms};
    }
    return success();
  }));
  return kinds;
}

}  // namespace coord::cli
