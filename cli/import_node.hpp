// ImportNode: a node on its way from ZooKeeper to here, and where such nodes come from.
//
// Two nodes are equal when a client could not tell them apart, but for the zxids: data, ACL, kind,
// versions, times; the count of children ever created is compared apart, since here it may be
// larger. Thread rule: the main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/outcome.hpp"
#include "cli/print.hpp"

namespace coord::cli {

struct ImportAcl {
  std::uint32_t permissions = 0;  // ZooKeeper's bits.
  std::string scheme;
  std::string id;
};

enum class ImportMode : std::uint8_t { persistent, container, ttl };

struct ImportNode {
  std::string path;
  std::optional<std::string> data;
  std::vector<ImportAcl> acl;
  ImportMode mode = ImportMode::persistent;
  std::int64_t ttl_ms = 0;
  std::int32_t version = 0;
  std::int32_t aversion = 0;
  std::uint64_t created = 0;  // Children ever created.
  std::int64_t ctime_ms = 0;
  std::int64_t mtime_ms = 0;
};

// Of all but `created`, under this path. Sums of it are the digest of a tree.
[[nodiscard]] std::uint64_t hash_of(const ImportNode& node);
// The line of POST /v1/imports.
[[nodiscard]] Json line_of(const ImportNode& node);
// What GET /v1/walk says of one node, or none if it is no such line.
struct WalkedNode {
  ImportNode node;
  std::uint64_t czxid = 0;
  std::uint64_t children = 0;  // Those that clients created.
};
[[nodiscard]] std::optional<WalkedNode> walked_of(const Json& line);
// ZooKeeper's cversion counts creations and deletions.
[[nodiscard]] std::uint64_t created_of(std::int32_t cversion, std::uint64_t children) noexcept;

// Is `path` the node `top` or below it?
[[nodiscard]] bool is_below(std::string_view path, std::string_view top) noexcept;

// Where nodes come from.
class ImportSource {
 public:
  virtual ~ImportSource() = default;
  using Each = std::function<Outcome<void>(ImportNode&&)>;
  // Gives every node at and below the source's path, parents first; ephemerals and /zookeeper are
  // left out. Trouble not_found when the path is not there.
  [[nodiscard]] virtual Outcome<void> walk(const Each& each) = 0;
  // Ephemerals that the last walk met.
  [[nodiscard]] virtual std::size_t ephemerals() const noexcept = 0;
};

}  // namespace coord::cli
