#include "znode/node.hpp"

#include <cstring>
#include <new>
#include <vector>

#include "coord/base/check.hpp"
#include "znode/path.hpp"

namespace coord::znode {

Node* Node::make(const Node& header, std::string_view name, std::string_view content_type,
                 const Value& value) {
  COORD_CHECK(name.size() <= kNameBytesMax, "a name fits the node", name.size());
  COORD_CHECK(content_type.size() <= kContentTypeBytesMax, "a type fits", content_type.size());
  const bool is_shared = value.bytes.size() > Tree::kInlineValueMax;
  const auto tail =
      name.size() + content_type.size() + (is_shared ? sizeof(Blob) : value.bytes.size());
  void* memory = ::operator new(sizeof(Node) + tail);
  auto* node = new (memory) Node(header);
  node->extension = nullptr;
  node->name_size = static_cast<std::uint32_t>(name.size()) & kNameBytesMax;
  node->content_type_size = static_cast<std::uint32_t>(content_type.size()) & kContentTypeBytesMax;
  node->is_null = value.is_null ? 1 : 0;
  node->is_shared = is_shared ? 1 : 0;
  node->inline_size = is_shared ? 0 : static_cast<std::uint32_t>(value.bytes.size()) & 0x3ffU;
  auto* at = static_cast<char*>(memory) + sizeof(Node);
  if (is_shared) {
    new (at) Blob(value.blob != nullptr ? *value.blob : Blob(value.bytes));
    at += sizeof(Blob);
  }
  const auto append = [&at](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  };
  append(name);
  append(content_type);
  if (!is_shared) append(value.bytes);
  return node;
}

void Node::free(Node* node) noexcept {
  if (node->is_shared) node->blob().~Blob();
  node->~Node();
  ::operator delete(static_cast<void*>(node));
}

Blob Node::value_blob() const {
  if (is_null) return Blob();
  return is_shared ? blob() : Blob(value());
}

Stat Node::stat() const noexcept {
  Stat stat;
  stat.czxid = czxid;
  stat.mzxid = mzxid;
  stat.pzxid = czxid;
  stat.ctime_ms = ctime_ms;
  stat.mtime_ms = mtime_ms;
  stat.version = version;
  stat.aversion = aversion;
  stat.data_length = static_cast<std::uint32_t>(value().size());
  if (extension != nullptr) {
    const auto children = extension->children.size();
    stat.pzxid = extension->pzxid;
    // Created plus deleted, where deleted is created minus present.
    stat.cversion = static_cast<std::int32_t>(2 * extension->created_by_clients() - children);
    stat.num_children = static_cast<std::uint32_t>(children);
    stat.ephemeral_owner = extension->owner;
    stat.mode = extension->mode;
    stat.ttl_ms = extension->ttl_ms;
  }
  return stat;
}

View Node::view() const noexcept { return {id, stat(), value(), is_null == 1, content_type()}; }

std::string Node::path() const {
  if (parent == nullptr) return "/";
  std::size_t size = 0;
  for (const auto* at = this; at->parent != nullptr; at = at->parent_node()) {
    size += 1 + at->name_size;
  }
  std::string path(size, '/');
  for (const auto* at = this; at->parent != nullptr; at = at->parent_node()) {
    size -= at->name_size;
    path.replace(size, at->name_size, at->name());
    --size;
  }
  return path;
}

std::uint64_t Extension::made_with_tree() const noexcept {
  if (node->parent == nullptr) return 2;  // /.coord and /zookeeper.
  const bool is_zookeeper =
      node->parent_node()->parent == nullptr && node->name() == name_of(kZooKeeperPath);
  return is_zookeeper ? 2 : 0;  // Its config and quota.
}

std::int64_t Extension::wanted_deadline(std::int64_t container_grace_ms) const noexcept {
  if (!is_timed() || !children.empty()) return kNoDeadline;
  // A container that never had a child stays.
  if (mode == Mode::container && created == 0) return kNoDeadline;
  const auto wait = mode == Mode::container ? container_grace_ms : ttl_ms;
  std::int64_t deadline = 0;
  if (__builtin_add_overflow(touched_ms, wait, &deadline)) return kNoDeadline;
  return deadline;
}

}  // namespace coord::znode
