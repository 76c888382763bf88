#include "coord/disk/page_check.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>
#include <vector>

#include "coord/base/records.hpp"
#include "coord/disk/store_names.hpp"

namespace coord::disk {
namespace {

// The layout of LMDB 0.9 on a little-endian machine of 64 bits.
constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kPageHead = 16;
constexpr std::size_t kNodeHead = 8;
constexpr std::size_t kDepthMax = 32;
constexpr std::uint64_t kNoPage = ~0ULL;
constexpr std::uint16_t kBranch = 1;
constexpr std::uint16_t kLeaf = 2;
constexpr std::uint16_t kOverflow = 4;
constexpr std::uint16_t kMetaPage = 8;
constexpr std::uint16_t kBigData = 1;
constexpr std::uint16_t kSubData = 2;
constexpr std::uint16_t kIntegerKeys = 8;

struct Database {
  std::uint32_t pad;
  std::uint16_t flags;
  std::uint16_t depth;
  std::uint64_t branch_pages;
  std::uint64_t leaf_pages;
  std::uint64_t overflow_pages;
  std::uint64_t entries;
  std::uint64_t root;
};
static_assert(sizeof(Database) == 48);

struct Meta {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint64_t address;
  std::uint64_t map_bytes;
  Database free;
  Database main;
  std::uint64_t last_page;
  std::uint64_t transaction;
};
static_assert(sizeof(Meta) == 136);

template <class T>
T load_from(std::string_view bytes, std::size_t at) noexcept {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// What the records of a tree are.
struct Kind {
  enum class Is : std::uint8_t { free_list, main, records, mark } is = Is::records;
  Table table = Table::meta;
};

class Checker {
 public:
  Checker(std::string_view file, const std::string& path) : file_(file), path_(path) {}

  Result<void> check() {
    COORD_TRY(choose_meta());
    if (meta_.last_page >= file_.size() / kPage) return damaged(0, "its last page is missing");
    used_.assign(static_cast<std::size_t>(meta_.last_page + 1), false);
    used_[0] = used_[1] = true;
    COORD_TRY(check_tree(meta_.free, Kind{Kind::Is::free_list, {}}));
    COORD_TRY(check_tree(meta_.main, Kind{Kind::Is::main, {}}));
    const auto unused = std::find(used_.begin(), used_.end(), false);
    if (unused != used_.end()) {
      return damaged(static_cast<std::uint64_t>(unused - used_.begin()),
                     "the page belongs nowhere");
    }
    if (tables_ != 0 && tables_ != kStoreNames.size()) return damaged(0, "a table is missing");
    return success();
  }

 private:
  struct Walk {
    Database found{};  // Counted on the way.
    std::uint16_t depth = 0;
    Kind kind;
    std::string_view last_key;
    bool has_key = false;
  };

  [[nodiscard]] Error damaged(std::uint64_t page, std::string_view what) const {
    return error(Failure::corrupt, "{} is damaged at offset {}: {}", path_, page * kPage, what);
  }
  [[nodiscard]] std::string_view page(std::uint64_t number) const {
    return file_.substr(static_cast<std::size_t>(number * kPage), kPage);
  }

  Result<void> choose_meta() {
    for (std::uint64_t number = 0; number < 2; ++number) {
      if (file_.size() < (number + 1) * kPage) return damaged(number, "a meta page is missing");
      const auto bytes = page(number);
      const auto meta = load_from<Meta>(bytes, kPageHead);
      if (load_from<std::uint64_t>(bytes, 0) != number ||
          load_from<std::uint16_t>(bytes, 10) != kMetaPage || meta.magic != 0xBEEFC0DE ||
          meta.version != 1 || meta.free.pad != kPage || meta.free.flags != kIntegerKeys ||
          meta.main.pad != 0 || meta.main.flags != 0) {
        return damaged(number, "it is no meta page of this version and page size");
      }
      if (number == 0 || meta.transaction > meta_.transaction) meta_ = meta;
    }
    return success();
  }

  Result<void> take_page(std::uint64_t number, std::uint64_t from) {
    if (number < 2 || number > meta_.last_page) return damaged(from, "a page number is too high");
    auto used = used_[static_cast<std::size_t>(number)];
    if (used) return damaged(number, "the page is in two places");
    used = true;
    return success();
  }

  Result<void> check_tree(const Database& database, const Kind& kind) {
    Walk walk;
    walk.kind = kind;
    if (database.depth > kDepthMax) return damaged(0, "a tree is too deep");
    if (database.root != kNoPage) {
      COORD_TRY(check_page(database.root, 0, database.depth, {}, {}, walk));
    } else if (database.depth != 0) {
      return damaged(0, "a tree has no root");
    }
    const auto& found = walk.found;
    if (found.branch_pages != database.branch_pages || found.leaf_pages != database.leaf_pages ||
        found.overflow_pages != database.overflow_pages || found.entries != database.entries) {
      return damaged(database.root == kNoPage ? 0 : database.root, "the counts of a tree differ");
    }
    return success();
  }

  struct Node {
    std::uint32_t size = 0;   // Of the data, in a leaf.
    std::uint64_t child = 0;  // In a branch.
    std::uint16_t flags = 0;
    std::string_view key;
    std::string_view rest;  // From the data to the end of the page.
  };

  // `low` (none: empty) <= every key < `high` (none: empty).
  Result<void> check_page(std::uint64_t number, std::uint64_t from, std::size_t depth,
                          std::string_view low, std::string_view high, Walk& walk) {
    if (depth == 0) return damaged(from, "a tree is deeper than it says");
    COORD_TRY(take_page(number, from));
    const auto bytes = page(number);
    const auto flags = load_from<std::uint16_t>(bytes, 10);
    const auto lower = load_from<std::uint16_t>(bytes, 12);
    const auto upper = load_from<std::uint16_t>(bytes, 14);
    const bool is_leaf = depth == 1;
    if (load_from<std::uint64_t>(bytes, 0) != number || flags != (is_leaf ? kLeaf : kBranch) ||
        lower < kPageHead || lower > upper || upper > kPage || lower % 2 != 0) {
      return damaged(number, "the head of a page is wrong");
    }
    const std::size_t count = (lower - kPageHead) / 2;
    if (count == 0 || (!is_leaf && count < 2)) return damaged(number, "a page has too few nodes");
    ++(is_leaf ? walk.found.leaf_pages : walk.found.branch_pages);
    std::size_t taken = 0;
    for (std::size_t i = 0; i < count; ++i) {
      Node node;
      COORD_TRY(read_node(number, bytes, upper, i, is_leaf, node));
      taken += (kNodeHead + node.key.size() + (is_leaf ? stored_size(node) : 0) + 1) / 2 * 2;
      if (is_leaf) {
        const auto least = i == 0 ? low : std::string_view();
        const auto bound = i + 1 == count ? high : std::string_view();
        if (!in_order(node.key, least, bound, walk))
          return damaged(number, "a key is out of order");
        COORD_TRY(check_leaf_node(number, node, walk));
        continue;
      }
      Node next;
      if (i + 1 < count) {
        COORD_TRY(read_node(number, bytes, upper, i + 1, false, next));
      }
      const auto child_low = i == 0 ? low : node.key;
      const auto child_high = i + 1 < count ? next.key : high;
      COORD_TRY(check_page(node.child, number, depth - 1, child_low, child_high, walk));
    }
    if (taken != kPage - upper) return damaged(number, "the nodes of a page overlap");
    return success();
  }

  static std::size_t stored_size(const Node& node) {
    return (node.flags & kBigData) != 0 ? sizeof(std::uint64_t) : node.size;
  }

  Result<void> read_node(std::uint64_t number, std::string_view bytes, std::size_t upper,
                         std::size_t i, bool is_leaf, Node& node) const {
    const auto at = load_from<std::uint16_t>(bytes, kPageHead + 2 * i);
    if (at < upper || at % 2 != 0 || at + kNodeHead > kPage) {
      return damaged(number, "a node is outside its page");
    }
    const std::uint64_t low = load_from<std::uint16_t>(bytes, at);
    const std::uint64_t high = load_from<std::uint16_t>(bytes, at + 2U);
    node.flags = load_from<std::uint16_t>(bytes, at + 4U);
    const auto key_size = load_from<std::uint16_t>(bytes, at + 6U);
    if (at + kNodeHead + key_size > kPage) return damaged(number, "a key is outside its page");
    node.key = bytes.substr(at + kNodeHead, key_size);
    node.rest = bytes.substr(at + kNodeHead + key_size);
    node.size = static_cast<std::uint32_t>(low | high << 16);
    node.child = low | high << 16 | static_cast<std::uint64_t>(node.flags) << 32;
    if (!is_leaf) return success();
    if (stored_size(node) > node.rest.size()) return damaged(number, "a value is outside its page");
    return success();
  }

  static int compare(std::string_view a, std::string_view b, const Walk& walk) {
    if (walk.kind.is != Kind::Is::free_list) return a.compare(b);
    const auto x = load_from<std::uint64_t>(a, 0);
    const auto y = load_from<std::uint64_t>(b, 0);
    return x < y ? -1 : x > y ? 1 : 0;
  }

  static bool in_order(std::string_view key, std::string_view low, std::string_view high,
                       Walk& walk) {
    if (walk.kind.is == Kind::Is::free_list &&
        (key.size() != 8 || (!low.empty() && low.size() != 8) ||
         (!high.empty() && high.size() != 8))) {
      return false;
    }
    const bool fits = (low.empty() || compare(key, low, walk) >= 0) &&
                      (high.empty() || compare(key, high, walk) < 0) &&
                      (!walk.has_key || compare(key, walk.last_key, walk) > 0);
    walk.last_key = key;
    walk.has_key = true;
    return fits;
  }

  Result<void> check_leaf_node(std::uint64_t number, const Node& node, Walk& walk) {
    ++walk.found.entries;
    const bool is_main = walk.kind.is == Kind::Is::main;
    if (node.flags != (is_main ? kSubData : 0) && (is_main || node.flags != kBigData)) {
      return damaged(number, "a node has unknown flags");
    }
    auto data = node.rest.substr(0, node.size);
    if (node.flags == kBigData) {
      COORD_TRY(overflow_data(number, node, walk, data));
    }
    switch (walk.kind.is) {
      case Kind::Is::free_list:
        return check_free_list(number, data);
      case Kind::Is::main:
        return check_table(number, node.key, data);
      case Kind::Is::mark:
        if (node.key != kMarkName) return damaged(number, "the name of the mark is wrong");
        return success();
      case Kind::Is::records:
        return check_record(number, node.key, data, walk.kind.table);
    }
    return success();
  }

  Result<void> overflow_data(std::uint64_t number, const Node& node, Walk& walk,
                             std::string_view& data) {
    const auto first = load_from<std::uint64_t>(node.rest, 0);
    const auto pages = (kPageHead + node.size + kPage - 1) / kPage;
    for (std::uint64_t i = 0; i < pages; ++i) {
      COORD_TRY(take_page(first + i, number));
    }
    const auto head = page(first);
    if (load_from<std::uint64_t>(head, 0) != first ||
        load_from<std::uint16_t>(head, 10) != kOverflow ||
        load_from<std::uint32_t>(head, 12) != pages) {
      return damaged(first, "the head of a page is wrong");
    }
    walk.found.overflow_pages += pages;
    data = file_.substr(static_cast<std::size_t>(first * kPage) + kPageHead, node.size);
    return success();
  }

  Result<void> check_free_list(std::uint64_t number, std::string_view data) {
    if (data.size() < 8) return damaged(number, "a list of free pages is cut");
    const auto count = load_from<std::uint64_t>(data, 0);
    if (count > data.size() / 8 - 1) return damaged(number, "a list of free pages is cut");
    std::uint64_t before = kNoPage;
    for (std::size_t i = 1; i <= count; ++i) {
      const auto free = load_from<std::uint64_t>(data, i * 8);
      if (free >= before) return damaged(number, "a list of free pages is out of order");
      before = free;
      COORD_TRY(take_page(free, number));
    }
    return success();
  }

  Result<void> check_table(std::uint64_t number, std::string_view name, std::string_view data) {
    const auto at = std::find(kStoreNames.begin(), kStoreNames.end(), name);
    if (at == kStoreNames.end() || data.size() != sizeof(Database)) {
      return damaged(number, "a table has an unknown name");
    }
    const auto database = load_from<Database>(data, 0);
    if (database.flags != 0 || database.pad != 0)
      return damaged(number, "a table is of a wrong kind");
    ++tables_;
    const auto index = static_cast<std::size_t>(at - kStoreNames.begin());
    if (index == kTables) return check_tree(database, Kind{Kind::Is::mark, {}});
    return check_tree(database, Kind{Kind::Is::records, static_cast<Table>(index)});
  }

  // The tables that a load reads are checked there.
  Result<void> check_record(std::uint64_t number, std::string_view key, std::string_view data,
                            Table table) const {
    if (table != Table::changes && table != Table::change_paths) return success();
    if (data.size() < sizeof(std::uint64_t)) return damaged(number, "a record is cut");
    const auto bytes = data.substr(0, data.size() - sizeof(std::uint64_t));
    if (record_hash(table, key, bytes) != load_from<std::uint64_t>(data, bytes.size())) {
      return damaged(number, "the checksum of a record does not match its bytes");
    }
    return success();
  }

  std::string_view file_;
  const std::string& path_;
  Meta meta_{};
  std::vector<bool> used_;
  std::size_t tables_ = 0;
};

}  // namespace

Result<void> check_pages(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return success();
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) < 0) {
    const auto text = std::generic_category().message(errno);
    if (fd >= 0) ::close(fd);
    return error(Failure::io, "open {}: {}", path, text);
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) {
    ::close(fd);
    return success();
  }
  void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  const int number = errno;
  ::close(fd);
  if (map == MAP_FAILED) {
    return error(Failure::io, "map {}: {}", path, std::generic_category().message(number));
  }
  auto checked = Checker(std::string_view(static_cast<const char*>(map), size), path).check();
  ::munmap(map, size);
  return checked;
}

}  // namespace coord::disk
