// The records of a tree, and how it is loaded from them.
//
// Table::nodes, the value of a node's record: flags (u8); then varints: parent's id, czxid, mzxid,
// ctime and mtime (zigzag), version, aversion; if the flags say so: children created and pzxid,
// the ACL's id, owner, ttl, service time of the deadline; then the name, the content type and the
// value, each with its length. What the flags leave out has one meaning only, so that equal nodes
// have equal records. cversion is not in it: it is 2 * created - children.
// Table::quotas: flags (u8: 1 nodes, 2 bytes), then the bounds as varints.
#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "znode/tree_impl.hpp"

namespace coord::znode {
namespace {

constexpr std::uint8_t kModeMask = 0x03;
constexpr std::uint8_t kHadChildren = 0x04;
constexpr std::uint8_t kIsNull = 0x08;
constexpr std::uint8_t kHasContentType = 0x10;
constexpr std::uint8_t kHasAcl = 0x20;
constexpr std::uint8_t kAllFlags = 0x3f;

constexpr std::uint8_t kNodesMax = 0x01;
constexpr std::uint8_t kBytesMax = 0x02;

// A decoded record of Table::nodes.
struct NodeRecord {
  Node header;
  NodeId parent;
  Mode mode = Mode::persistent;
  std::uint64_t created = 0;
  Zxid pzxid;
  std::uint64_t acl = 0;
  SessionId owner;
  std::int64_t ttl_ms = 0;
  std::int64_t touched_ms = 0;
  std::string_view name;
  std::string_view content_type;
  Value value;
};

bool decode(std::string_view bytes, NodeRecord& record) {
  Reader in(bytes);
  const auto flags = in.u8();
  if ((flags & ~kAllFlags) != 0) return false;
  record.mode = static_cast<Mode>(flags & kModeMask);
  record.parent = in.id<NodeId>();
  record.header.czxid = in.id<Zxid>();
  record.header.mzxid = in.id<Zxid>();
  record.header.ctime_ms = in.svarint();
  record.header.mtime_ms = in.svarint();
  record.header.version = static_cast<std::int32_t>(in.varint32());
  record.header.aversion = static_cast<std::int32_t>(in.varint32());
  record.pzxid = record.header.czxid;
  if ((flags & kHadChildren) != 0) {
    record.created = in.varint();
    record.pzxid = in.id<Zxid>();
    if (record.created == 0) return false;
  }
  if ((flags & kHasAcl) != 0) {
    record.acl = in.varint();
    if (record.acl == 0) return false;
  }
  if (record.mode == Mode::ephemeral) record.owner = in.id<SessionId>();
  if (record.mode == Mode::ttl) record.ttl_ms = in.svarint();
  if (record.mode == Mode::ttl || record.mode == Mode::container) record.touched_ms = in.svarint();
  record.name = in.bytes();
  if ((flags & kHasContentType) != 0) {
    record.content_type = in.bytes();
    if (record.content_type.empty()) return false;
  }
  record.value.is_null = (flags & kIsNull) != 0;
  if (!record.value.is_null) record.value.bytes = in.bytes();
  return in.done() && record.name.size() <= Node::kNameBytesMax &&
         record.content_type.size() <= Node::kContentTypeBytesMax &&
         (record.mode != Mode::ephemeral || record.owner);
}

}  // namespace

std::string key_of(NodeId id) {
  std::string key;
  append_big_endian(key, id.value());
  return key;
}

std::string encode_quota(const Quota& quota) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>((quota.nodes_max ? kNodesMax : 0) |
                                   (quota.bytes_max ? kBytesMax : 0)));
  if (quota.nodes_max) out.varint(*quota.nodes_max);
  if (quota.bytes_max) out.varint(*quota.bytes_max);
  return bytes;
}

void Tree::Impl::encode_node(const Node& node, std::string& bytes) const {
  bytes.clear();
  Writer out(bytes);
  const auto* const extension = node.extension;
  const auto mode = extension == nullptr ? Mode::persistent : extension->mode;
  const bool had_children = extension != nullptr && extension->created > 0;
  const auto acl = acls.id(node.acl);
  out.u8(static_cast<std::uint8_t>(
      static_cast<unsigned>(mode) | (had_children ? kHadChildren : 0U) |
      (node.is_null ? kIsNull : 0U) | (node.content_type_size > 0 ? kHasContentType : 0U) |
      (acl != 0 ? kHasAcl : 0U)));
  const auto* const parent = node.parent_node();
  out.id(parent == nullptr ? NodeId() : parent->id);
  out.id(node.czxid);
  out.id(node.mzxid);
  out.svarint(node.ctime_ms);
  out.svarint(node.mtime_ms);
  out.varint(static_cast<std::uint32_t>(node.version));
  out.varint(static_cast<std::uint32_t>(node.aversion));
  if (had_children) {
    out.varint(extension->created);
    out.id(extension->pzxid);
  }
  if (acl != 0) out.varint(acl);
  if (mode == Mode::ephemeral) out.id(extension->owner);
  if (mode == Mode::ttl) out.svarint(extension->ttl_ms);
  if (mode == Mode::ttl || mode == Mode::container) out.svarint(extension->touched_ms);
  out.bytes(node.name());
  if (node.content_type_size > 0) out.bytes(node.content_type());
  if (!node.is_null) out.bytes(node.value());
}

std::uint64_t Tree::Impl::hash_of(const Node& node) {
  encode_node(node, scratch);
  return record_hash(Table::nodes, key_of(node.id), scratch);
}

std::string Tree::Impl::load(Table table, std::string_view key, std::string_view bytes) {
  COORD_CHECK(!is_open, "a tree is loaded outside of transactions");
  if (!is_loading) {
    clear();
    is_loading = true;
  }
  if (key.size() != 8) return fmt::format("a key of {} bytes instead of 8", key.size());
  const auto id = read_big_endian(key);
  std::string problem;
  if (table == Table::nodes) {
    problem = load_node(key, bytes);
  } else if (table == Table::acls) {
    problem = acls.load(id, bytes);
  } else if (table == Table::quotas) {
    problem = load_quota(NodeId(id), bytes);
  } else {
    problem = fmt::format("table {} is none of the tree's", static_cast<unsigned>(table));
  }
  if (problem.empty()) digest += record_hash(table, key, bytes);
  return problem;
}

std::string Tree::Impl::load_node(std::string_view key, std::string_view bytes) {
  const NodeId id(read_big_endian(key));
  const auto wrong = [&id](std::string_view what) {
    return fmt::format("node {}: {}", id.value(), what);
  };
  if (!loaded_nodes.empty() && id <= loaded_nodes.back().first) return wrong("out of order");
  if (id >= next_node_id) return wrong("its id was never given");
  NodeRecord record;
  if (!decode(bytes, record)) return wrong("the record does not decode");
  if (record.value.bytes.size() > UINT32_MAX) return wrong("its value is too large");
  Node* parent = nullptr;
  if (record.parent) {
    parent = loaded(record.parent);
    if (parent == nullptr) return wrong("its parent is missing");
    if (parent->extension == nullptr || parent->extension->created == 0) {
      return wrong("its parent never had a child");
    }
    if (parent->extension->mode == Mode::ephemeral) return wrong("its parent is an ephemeral");
    if (record.name.empty()) return wrong("it has no name");
    record.header.parent = parent->extension;
  } else if (root != nullptr || !record.name.empty()) {
    return wrong("it is a second root");
  }
  record.header.id = id;
  if (record.acl != 0) record.header.acl = acls.slot_to_load(record.acl);
  auto* const node = Node::make(record.header, record.name, record.content_type, record.value);
  if (parent == nullptr) {
    root = node;
  } else {
    loaded_children[parent->extension->place].push_back(node);
  }
  if (record.mode != Mode::persistent || record.created > 0) {
    auto* const extension = extend(node);
    extension->mode = record.mode;
    extension->created = record.created;
    extension->pzxid = record.pzxid;
    extension->owner = record.owner;
    extension->ttl_ms = record.ttl_ms;
    extension->touched_ms = record.touched_ms;
    if (record.mode == Mode::ephemeral) {
      add_ephemeral(extension);
    } else if (record.created > 0) {
      extension->place = loaded_children.size();
      loaded_children.emplace_back();
    }
  }
  acls.add_reference(node->acl);
  ++node_count;
  value_bytes += record.value.bytes.size();
  loaded_nodes.emplace_back(id, node);
  return {};
}

std::string Tree::Impl::load_quota(NodeId id, std::string_view bytes) {
  auto* const node = loaded(id);
  if (node == nullptr) return fmt::format("quota of node {}: no such node", id.value());
  Reader in(bytes);
  const auto flags = in.u8();
  auto usage = std::make_unique<QuotaUsage>();
  if ((flags & kNodesMax) != 0) usage->quota.nodes_max = in.varint();
  if ((flags & kBytesMax) != 0) usage->quota.bytes_max = in.varint();
  if (!in.done() || flags > (kNodesMax | kBytesMax)) {
    return fmt::format("quota of node {}: the record does not decode", id.value());
  }
  auto* const extension = extend(node);
  if (extension->quota) return fmt::format("quota of node {}: there twice", id.value());
  extension->quota = std::move(usage);
  ++quota_count;
  return {};
}

// Directories are filled one after the other, each sorted while it is in the cache: records come
// in order of creation, which is all over the tree.
std::string Tree::Impl::fill_directories() {
  for (auto& list : loaded_children) {
    if (list.empty()) continue;
    std::sort(list.begin(), list.end(),
              [](const Node* a, const Node* b) { return a->name() < b->name(); });
    for (auto* node : list) {
      if (node->parent->children.insert(node)) continue;
      return fmt::format("node {}: its name is there twice", node->id);
    }
    std::vector<Node*>().swap(list);
  }
  std::vector<std::vector<Node*>>().swap(loaded_children);
  return {};
}

std::string Tree::Impl::load_done() {
  if (!is_loading) return {};  // No record at all: the tree is as fresh as it was made.
  if (root == nullptr) return "the tree has no root";
  if (auto problem = fill_directories(); !problem.empty()) return problem;
  for (const auto path : kSystemPaths) {
    if (find(path) == nullptr) {
      return fmt::format("the tree has no {}: it was not written by this version", path);
    }
  }
  if (auto problem = acls.load_done(); !problem.empty()) return problem;
  for (const auto& [id, node] : loaded_nodes) {
    account(node, 1, static_cast<std::int64_t>(node->value().size()));
    if (node->extension == nullptr) continue;
    if (node->extension->children.size() > node->extension->created) {
      return fmt::format("node {}: it has more children than were created", id.value());
    }
    refresh_deadline(node->extension);
  }
  std::vector<std::pair<NodeId, Node*>>().swap(loaded_nodes);
  is_loading = false;
  return {};
}

// Ids come in order, so the list is sorted.
Node* Tree::Impl::loaded(NodeId id) const {
  const auto at = std::lower_bound(loaded_nodes.begin(), loaded_nodes.end(), id,
                                   [](const auto& a, NodeId b) { return a.first < b; });
  return at == loaded_nodes.end() || at->first != id ? nullptr : at->second;
}

void Tree::Impl::for_each_record(const AclTable::RecordVisitor& visit) const {
  std::vector<const Node*> left{root};
  std::string bytes;
  while (!left.empty()) {
    const auto* const node = left.back();
    left.pop_back();
    encode_node(*node, bytes);
    visit(Table::nodes, key_of(node->id), bytes);
    if (node->extension == nullptr) continue;
    if (node->extension->quota) {
      visit(Table::quotas, key_of(node->id), encode_quota(node->extension->quota->quota));
    }
    for (auto* const child : node->extension->children) left.push_back(child);
  }
  acls.for_each_record(visit);
}

// Frees everything: before a load, and at the end.
void Tree::Impl::clear() {
  std::vector<Node*> left;
  // In a load that was not finished, not every node is in its directory yet.
  if (is_loading) {
    for (const auto& [id, node] : loaded_nodes) left.push_back(node);
  } else if (root != nullptr) {
    left.push_back(root);
  }
  while (!left.empty()) {
    auto* const node = left.back();
    left.pop_back();
    if (!is_loading && node->extension != nullptr) {
      for (auto* const child : node->extension->children) left.push_back(child);
    }
    free_with_extension(node);
  }
  root = nullptr;
  node_count = value_bytes = digest = quota_count = 0;
  acls = AclTable();
  ephemerals.clear();
  ephemeral_count = 0;
  deadlines.clear();
  loaded_nodes.clear();
  loaded_children.clear();
}

}  // namespace coord::znode
