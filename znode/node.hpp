// Node: how a node of the tree lies in memory.
//
// One allocation: a header of 72 bytes, then the name, the content type and the value. A value
// above Tree::kInlineValueMax is a Blob at the front of the tail instead, shared with the log and
// with changes. What a plain leaf does not need (children, owner, ttl, quota) is in an Extension.
//
// A node's bytes are never changed in place: a set makes a new Node and puts it where the old one
// was, so that the journal undoes it by putting the old one back. Children point at their parent's
// Extension, which stays where it is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "coord/base/blob.hpp"
#include "coord/base/ids.hpp"
#include "znode/children.hpp"
#include "znode/stat.hpp"
#include "znode/tree.hpp"

namespace coord::znode {

struct Extension;

// A value on its way into a node: bytes, and the Blob that holds them if there is one.
struct Value {
  std::string_view bytes;
  const Blob* blob = nullptr;
  bool is_null = false;
};
[[nodiscard]] inline Value value_from(const Blob& blob) noexcept {
  return {blob.view(), &blob, blob.is_null()};
}

struct Node {
  static constexpr std::size_t kNameBytesMax = (1U << 11) - 1;
  static constexpr std::size_t kContentTypeBytesMax = (1U << 8) - 1;

  Extension* parent = nullptr;     // Null: the root, or a node that is not in the tree.
  Extension* extension = nullptr;  // Null: a persistent node that never had a child.
  NodeId id;
  Zxid czxid;
  Zxid mzxid;
  std::int64_t ctime_ms = 0;
  std::int64_t mtime_ms = 0;
  std::int32_t version = 0;
  std::int32_t aversion = 0;
  std::uint32_t acl = 0;  // Slot of the AclTable.
  std::uint32_t inline_size : 10 = 0;
  std::uint32_t name_size : 11 = 0;
  std::uint32_t content_type_size : 8 = 0;
  std::uint32_t is_null : 1 = 0;
  std::uint32_t is_shared : 1 = 0;   // The value is a Blob.
  std::uint32_t is_touched : 1 = 0;  // By the open transaction: its old hash has left the digest.

  // A node with the header's fields and these parts. The Extension is not copied.
  [[nodiscard]] static Node* make(const Node& header, std::string_view name,
                                  std::string_view content_type, const Value& value);
  // Frees the node, not its Extension.
  static void free(Node* node) noexcept;

  [[nodiscard]] std::string_view name() const noexcept { return {text(), name_size}; }
  [[nodiscard]] std::string_view content_type() const noexcept {
    return {text() + name_size, content_type_size};
  }
  [[nodiscard]] std::string_view value() const noexcept {
    if (is_shared) return blob().view();
    return {text() + name_size + content_type_size, inline_size};
  }
  [[nodiscard]] Value as_value() const noexcept {
    return {value(), is_shared ? &blob() : nullptr, is_null == 1};
  }
  // A copy of the value, or a share of a large one.
  [[nodiscard]] Blob value_blob() const;

  [[nodiscard]] Stat stat() const noexcept;
  [[nodiscard]] View view() const noexcept;
  [[nodiscard]] std::string path() const;
  [[nodiscard]] bool has_children() const noexcept;
  [[nodiscard]] const Node* parent_node() const noexcept;
  [[nodiscard]] Node* parent_node() noexcept;

 private:
  [[nodiscard]] const char* tail() const noexcept {
    return reinterpret_cast<const char*>(this + 1);
  }
  [[nodiscard]] const Blob& blob() const noexcept { return *reinterpret_cast<const Blob*>(tail()); }
  [[nodiscard]] const char* text() const noexcept {
    return tail() + (is_shared ? sizeof(Blob) : 0);
  }
};
static_assert(sizeof(Node) == 72, "a leaf must stay lean");
static_assert(Tree::kInlineValueMax < 1U << 10);

inline constexpr std::int64_t kNoDeadline = INT64_MAX;

struct Extension {
  explicit Extension(Node* its_node) noexcept : node(its_node), pzxid(its_node->czxid) {}

  Node* node;
  Children children;
  std::uint64_t created = 0;  // Children ever created, those of the service itself too.
  Zxid pzxid;
  SessionId owner;  // Of an ephemeral.
  std::int64_t ttl_ms = 0;
  // Service time from which the deadline runs: of a container when its last child left, of a ttl
  // node when its value changed last.
  std::int64_t touched_ms = 0;
  std::int64_t deadline_ms = kNoDeadline;  // As the index of deadlines has it.
  // Of an ephemeral: its place in the list of its owner. Of a directory while a tree is loaded: of
  // its list of children.
  std::size_t place = 0;
  std::unique_ptr<QuotaUsage> quota;  // Null: none is set right here.
  Mode mode = Mode::persistent;

  [[nodiscard]] bool is_timed() const noexcept {
    return mode == Mode::container || mode == Mode::ttl;
  }
  // Children that clients ever created: numbers sequential nodes, and is half of cversion. What a
  // fresh tree has below / and /zookeeper does not count, as in ZooKeeper.
  [[nodiscard]] std::uint64_t created_by_clients() const noexcept {
    return created - made_with_tree();
  }
  [[nodiscard]] std::uint64_t made_with_tree() const noexcept;
  // When it may be reaped as things stand, or kNoDeadline.
  [[nodiscard]] std::int64_t wanted_deadline(std::int64_t container_grace_ms) const noexcept;
  // Says nothing that a node without an Extension does not say.
  [[nodiscard]] bool is_idle() const noexcept {
    return mode == Mode::persistent && created == 0 && !quota;
  }
};

inline bool Node::has_children() const noexcept {
  return extension != nullptr && !extension->children.empty();
}
inline const Node* Node::parent_node() const noexcept {
  return parent == nullptr ? nullptr : parent->node;
}
inline Node* Node::parent_node() noexcept { return parent == nullptr ? nullptr : parent->node; }

}  // namespace coord::znode
