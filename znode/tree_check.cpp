// The invariants of a tree, by a walk over everything.
#include "coord/base/check.hpp"
#include "znode/tree_impl.hpp"

namespace coord::znode {

void Tree::Impl::check_invariants() const {
  COORD_CHECK(!is_open && !is_loading, "no transaction is open between calls");
  COORD_CHECK(steps.empty() && changes.empty(), "no step is left over");
  std::size_t nodes = 0;
  std::size_t quotas = 0;
  std::size_t timed = 0;
  std::size_t owned = 0;
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> references(acls.slots());
  std::vector<const Node*> left{root};
  while (!left.empty()) {
    const auto* const node = left.back();
    left.pop_back();
    ++nodes;
    bytes += node->value().size();
    ++references[node->acl];
    COORD_CHECK(node->id < next_node_id, "ids come from the counter", node->id);
    COORD_CHECK(!node->is_touched, "no transaction has touched it", node->id);
    COORD_CHECK(!node->is_null || node->value().empty(), "null data is empty", node->id);
    const auto* const extension = node->extension;
    if (extension == nullptr) continue;
    COORD_CHECK(extension->node == node, "an extension knows its node", node->id);
    COORD_CHECK(extension->created >= extension->children.size(), "children were created",
                node->id);
    COORD_CHECK(extension->deadline_ms == extension->wanted_deadline(limits.container_grace_ms),
                "a deadline is what the state says", node->id);
    if (extension->deadline_ms != kNoDeadline) {
      const auto at = deadlines.find({extension->deadline_ms, node->id});
      COORD_CHECK(at != deadlines.end() && at->second == extension, "and indexed", node->id);
      ++timed;
    }
    if (extension->mode == Mode::ephemeral) {
      COORD_CHECK(extension->children.empty(), "an ephemeral has no children", node->id);
      const auto at = ephemerals.find(extension->owner);
      COORD_CHECK(at != ephemerals.end(), "its owner is in the index", node->id);
      COORD_CHECK(at->second.at(extension->place) == extension, "at its place", node->id);
      ++owned;
    } else {
      COORD_CHECK(!extension->owner, "only ephemerals have an owner", node->id);
    }
    if (extension->quota) {
      ++quotas;
      Extension measured(extension->node);
      measured.quota = std::make_unique<QuotaUsage>();
      measure(measured);
      COORD_CHECK(measured.quota->nodes == extension->quota->nodes, "quota counts nodes", node->id);
      COORD_CHECK(measured.quota->bytes == extension->quota->bytes, "quota counts bytes", node->id);
    }
    std::string_view last;
    for (auto* const child : extension->children) {
      COORD_CHECK(child->parent == extension, "a child knows its parent", child->id);
      COORD_CHECK(last < child->name(), "children are in order", child->id);
      last = child->name();
      left.push_back(child);
    }
  }
  COORD_CHECK(nodes == node_count, "nodes are counted", nodes, node_count);
  COORD_CHECK(bytes == value_bytes, "bytes are counted", bytes, value_bytes);
  COORD_CHECK(quotas == quota_count, "quotas are counted", quotas, quota_count);
  COORD_CHECK(timed == deadlines.size(), "deadlines are those of nodes", timed);
  std::size_t indexed = 0;
  for (const auto& [session, list] : ephemerals) indexed += list.size();
  COORD_CHECK(indexed == owned, "the index holds nothing but ephemerals", indexed, owned);
  for (std::uint32_t slot = 1; slot < references.size(); ++slot) {
    COORD_CHECK(references[slot] == acls.references(slot), "ACLs are counted", slot);
  }
  std::uint64_t sum = 0;
  for_each_record([&sum](Table table, std::string_view key, const std::string& record) {
    sum += record_hash(table, key, record);
  });
  COORD_CHECK(sum == digest, "the digest is the sum over the records", sum, digest);
}

}  // namespace coord::znode
