// The steps that mutations are made of, and how a transaction ends.
#include <algorithm>

#include "coord/base/check.hpp"
#include "znode/tree_impl.hpp"

namespace coord::znode {

void Tree::Impl::begin(const Stamp& new_stamp) {
  COORD_CHECK(!is_open, "one transaction at a time");
  COORD_CHECK(!is_loading, "a tree is loaded before it is changed");
  is_open = true;
  stamp = new_stamp;
  digest_before = digest;
  next_node_id_before = next_node_id;
}

std::vector<Change> Tree::Impl::commit(DirtyMap& dirty) {
  COORD_CHECK(is_open, "a transaction is open");
  for (const auto& step : steps) {
    if (step.kind == Step::Kind::quota) continue;
    if (step.kind == Step::Kind::erased) {
      // What came and went within the transaction was never a record.
      if (step.node->id < next_node_id_before) dirty.erase(Table::nodes, key_of(step.node->id));
    } else {
      flush(step.node, dirty);
    }
    if (auto* parent = step.node->parent_node(); parent != nullptr) flush(parent, dirty);
  }
  for (auto& [id, quota] : quota_records) {
    if (quota) {
      dirty.put(Table::quotas, key_of(id), encode_quota(*quota));
    } else {
      dirty.erase(Table::quotas, key_of(id));
    }
  }
  digest += acls.commit(dirty);
  for (const auto& step : steps) {
    if (step.kind == Step::Kind::erased) free_with_extension(step.node);
    if (step.kind == Step::Kind::replaced) Node::free(step.old);
  }
  steps.clear();
  quota_records.clear();
  quotas_before.clear();
  is_open = false;
  return std::exchange(changes, {});
}

void Tree::Impl::rollback() {
  COORD_CHECK(is_open, "a transaction is open");
  while (!steps.empty()) {
    undo(steps.back());
    steps.pop_back();
  }
  acls.rollback();
  COORD_CHECK(quotas_before.empty(), "every quota is as it was");
  quota_records.clear();
  changes.clear();
  digest = digest_before;
  next_node_id = next_node_id_before;
  is_open = false;
}

void Tree::Impl::undo(Step& step) {
  auto* const parent = step.node->parent;
  const auto restore_parent = [&] {
    parent->created = step.created;
    parent->pzxid = step.pzxid;
    parent->touched_ms = step.touched_ms;
    parent->node->is_touched = 0;
    refresh_deadline(parent);
  };
  step.node->is_touched = 0;
  switch (step.kind) {
    case Step::Kind::created:
      unlink(step.node);
      restore_parent();
      drop_idle_extension(parent->node);
      free_with_extension(step.node);
      return;
    case Step::Kind::erased:
      link(step.node);
      restore_parent();
      return;
    case Step::Kind::replaced:
      step.old->is_touched = 0;
      swap_in(step.node, step.old);
      // An extension that said nothing in between may have gone with a creation that was undone.
      if (step.had_extension) {
        auto* const extension = extend(step.old);
        extension->created = step.created;
        extension->pzxid = step.pzxid;
        extension->touched_ms = step.touched_ms;
        extension->mode = step.mode;
        extension->ttl_ms = step.ttl_ms;
        refresh_deadline(extension);
      } else if (step.old->extension != nullptr) {
        step.old->extension->created = 0;
        step.old->extension->mode = Mode::persistent;
        refresh_deadline(step.old->extension);
        drop_idle_extension(step.old);
      }
      Node::free(step.node);
      return;
    case Step::Kind::quota: {
      // Without its quota the extension may have gone as idle, when a creation below was undone.
      auto& quota = extend(step.node)->quota;
      quota_count -= quota ? 1 : 0;
      quota = std::move(quotas_before.back());
      quotas_before.pop_back();
      quota_count += quota ? 1 : 0;
      drop_idle_extension(step.node);
      return;
    }
  }
}

Node* Tree::Impl::add_node(Node* parent, std::string_view path, const NewNode& parts,
                           const Blob& value) {
  Node header;
  header.parent = extend(parent);
  header.id = next_node_id;
  header.czxid = header.mzxid = stamp.zxid;
  header.ctime_ms = header.mtime_ms = stamp.wall_ms;
  header.acl = parts.acl;
  if (const auto* const as = parts.restored; as != nullptr) {
    header.ctime_ms = as->ctime_ms;
    header.mtime_ms = as->mtime_ms;
    header.version = as->version;
    header.aversion = as->aversion;
  }
  auto* const node = Node::make(header, parts.name, parts.content_type, parts.value);
  next_node_id = next_node_id.next();
  if (parts.mode != Mode::persistent) {
    auto* const extension = extend(node);
    extension->mode = parts.mode;
    extension->ttl_ms = parts.ttl_ms;
    if (parts.mode == Mode::ephemeral) extension->owner = stamp.session;
    if (extension->is_timed()) extension->touched_ms = stamp.service_ms;
  }
  if (parts.restored != nullptr && parts.restored->created > 0) {
    extend(node)->created = parts.restored->created;
  }
  touch(parent);
  node->is_touched = 1;
  auto* const above = node->parent;
  steps.push_back({Step::Kind::created,
                   node,
                   nullptr,
                   above->created,
                   above->pzxid,
                   above->touched_ms,
                   {},
                   0,
                   false});
  link(node);
  // One that comes from elsewhere was counted there.
  above->created = parts.restored == nullptr
                       ? above->created + 1
                       : std::max<std::uint64_t>(above->created, above->children.size());
  above->pzxid = stamp.zxid;
  refresh_deadline(above);

  auto change = change_of(ChangeKind::created, path, *node);
  change.value = value;
  change.content_type = parts.content_type;
  change.stat = node->stat();
  changes.push_back(std::move(change));
  return node;
}

void Tree::Impl::erase_node(Node* node, std::string_view path) {
  COORD_CHECK(!node->has_children(), "an erased node has no children", node->id);
  COORD_CHECK(node->parent != nullptr, "the root is not erased");
  auto change = change_of(ChangeKind::deleted, path, *node);
  change.prev_value = node->value_blob();
  change.prev_content_type = node->content_type();
  change.stat = change.prev_stat = node->stat();
  changes.push_back(std::move(change));

  touch(node);
  node->is_touched = 0;
  auto* const above = node->parent;
  touch(above->node);
  steps.push_back({Step::Kind::erased,
                   node,
                   nullptr,
                   above->created,
                   above->pzxid,
                   above->touched_ms,
                   {},
                   0,
                   false});
  if (node->extension != nullptr && node->extension->quota) {
    const auto key = key_of(node->id);
    digest -= record_hash(Table::quotas, key, encode_quota(node->extension->quota->quota));
    quota_records.push_back({node->id, std::nullopt});
  }
  unlink(node);
  above->pzxid = stamp.zxid;
  if (above->mode == Mode::container) above->touched_ms = stamp.service_ms;
  refresh_deadline(above);
}

void Tree::Impl::replace_node(Node* node, Node* fresh) {
  touch(node);
  Step step{Step::Kind::replaced, fresh, node, 0, {}, 0, {}, 0, false};
  if (const auto* const extension = node->extension; extension != nullptr) {
    step.created = extension->created;
    step.pzxid = extension->pzxid;
    step.touched_ms = extension->touched_ms;
    step.mode = extension->mode;
    step.ttl_ms = extension->ttl_ms;
    step.had_extension = true;
  }
  steps.push_back(step);
  swap_in(node, fresh);
  node->is_touched = 0;
  fresh->is_touched = 1;
}

// Puts a node under its parent, and counts it. The parent's own counters are the caller's.
void Tree::Impl::link(Node* node) {
  const bool is_new = node->parent->children.insert(node);
  COORD_CHECK(is_new, "a name is there once", node->id);
  ++node_count;
  value_bytes += node->value().size();
  acls.add_reference(node->acl);
  if (auto* const extension = node->extension; extension != nullptr) {
    if (extension->mode == Mode::ephemeral) add_ephemeral(extension);
    if (extension->quota) ++quota_count;
    refresh_deadline(extension);
  }
  account(node, 1, static_cast<std::int64_t>(node->value().size()));
}

void Tree::Impl::unlink(Node* node) {
  account(node, -1, -static_cast<std::int64_t>(node->value().size()));
  if (auto* const extension = node->extension; extension != nullptr) {
    if (extension->mode == Mode::ephemeral) remove_ephemeral(extension);
    if (extension->quota) --quota_count;
    if (extension->deadline_ms != kNoDeadline) {
      deadlines.erase({extension->deadline_ms, node->id});
      extension->deadline_ms = kNoDeadline;
    }
  }
  acls.drop_reference(node->acl);
  value_bytes -= node->value().size();
  --node_count;
  node->parent->children.erase(node);
}

// Puts `fresh` in the place of `old`, which leaves the tree but keeps its bytes.
void Tree::Impl::swap_in(Node* old, Node* fresh) {
  fresh->parent = old->parent;
  fresh->extension = std::exchange(old->extension, nullptr);
  if (fresh->extension != nullptr) fresh->extension->node = fresh;
  if (old == root) {
    root = fresh;
  } else {
    old->parent->children.replace(old, fresh);
  }
  acls.add_reference(fresh->acl);
  acls.drop_reference(old->acl);
  const auto before = old->value().size();
  const auto after = fresh->value().size();
  value_bytes += after;
  value_bytes -= before;
  account(fresh, 0, static_cast<std::int64_t>(after) - static_cast<std::int64_t>(before));
}

// Takes the record as it was before the transaction out of the digest, once.
void Tree::Impl::touch(Node* node) {
  if (node->is_touched) return;
  digest -= hash_of(*node);
  node->is_touched = 1;
}

void Tree::Impl::flush(Node* node, DirtyMap& dirty) {
  if (!node->is_touched) return;
  node->is_touched = 0;
  const auto key = key_of(node->id);
  encode_node(*node, scratch);
  digest += record_hash(Table::nodes, key, scratch);
  dirty.put(Table::nodes, key, scratch);
}

Extension* Tree::Impl::extend(Node* node) {
  if (node->extension == nullptr) node->extension = new Extension(node);
  return node->extension;
}

void Tree::Impl::drop_idle_extension(Node* node) {
  if (node == root || node->extension == nullptr || !node->extension->is_idle()) return;
  delete std::exchange(node->extension, nullptr);
}

Change Tree::Impl::change_of(ChangeKind kind, std::string_view path, const Node& node) const {
  Change change;
  change.kind = kind;
  change.path = path;
  change.session = stamp.session;
  if (!acls.may_world_read(node.acl)) change.acl = acls.acl(node.acl);
  return change;
}

void Tree::Impl::free_with_extension(Node* node) noexcept {
  delete node->extension;
  Node::free(node);
}

void Tree::Impl::add_ephemeral(Extension* extension) {
  auto& list = ephemerals[extension->owner];
  extension->place = list.size();
  list.push_back(extension);
}

void Tree::Impl::remove_ephemeral(Extension* extension) {
  const auto at = ephemerals.find(extension->owner);
  COORD_CHECK(at != ephemerals.end(), "an ephemeral is in the index", extension->owner);
  auto& list = at->second;
  COORD_CHECK(list[extension->place] == extension, "at its place", extension->node->id);
  list[extension->place] = list.back();
  list[extension->place]->place = extension->place;
  list.pop_back();
  if (list.empty()) ephemerals.erase(at);
}

}  // namespace coord::znode
