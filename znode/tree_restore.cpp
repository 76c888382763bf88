// Nodes as another service had them, and the subtrees that are closed while they come.
#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "znode/tree_impl.hpp"

namespace coord::znode {
namespace {

// Far above what ZooKeeper's 32 bits can say, far below where 2 * created could run over.
constexpr std::uint64_t kCreatedMax = std::uint64_t{1} << 40;

}  // namespace

bool Tree::Impl::is_closed(std::string_view path) const {
  if (closed.empty() || is_system(path)) return false;
  return std::any_of(closed.begin(), closed.end(),
                     [&](const auto& top) { return is_within(path, top); });
}

bool Tree::Impl::has_closed_below(std::string_view path) const {
  return std::any_of(closed.begin(), closed.end(),
                     [&](const auto& top) { return is_within(top, path); });
}

Outcome Tree::Impl::refuse_restore(std::string_view path, const Blob& value,
                                   const Restored& as) const {
  if (auto problem = check_path(path, limits); problem.code != Code::ok) {
    return refused(problem.code, path, std::move(problem.detail));
  }
  if (is_system(path)) {
    return refused(Code::forbidden, path, "what is the service's own is not imported");
  }
  if (auto no = refuse_value(path, value, {}); no.code != Code::ok) return no;
  if (as.acl.empty() || as.acl.size() > limits.acl_entries_max) {
    return refused(
        as.acl.empty() ? Code::bad_request : Code::too_large, path,
        fmt::format("an ACL has 1 to {} entries, not {}", limits.acl_entries_max, as.acl.size()));
  }
  if (as.mode == Mode::ephemeral) {
    return refused(Code::bad_request, path, "an ephemeral node cannot be imported");
  }
  if ((as.mode == Mode::ttl) != (as.ttl_ms > 0)) {
    return refused(Code::bad_request, path, "a ttl node has a ttl above zero, no other has one");
  }
  if (as.created > kCreatedMax) {
    return refused(Code::bad_request, path,
                   fmt::format("{} children created are more than {}", as.created, kCreatedMax));
  }
  return {};
}

Outcome Tree::Impl::restore(std::string_view path, const Blob& value, const Restored& as) {
  if (auto no = refuse_restore(path, value, as); no.code != Code::ok) return no;
  if (auto* const there = find(path); there != nullptr) {
    return restore_there(path, there, value, as);
  }
  auto* const parent = find(parent_of(path));
  if (parent == nullptr) {
    return refused(Code::no_node, path,
                   fmt::format("the parent {} does not exist", parent_of(path).substr(0, 256)));
  }
  if (parent->extension != nullptr && parent->extension->mode == Mode::ephemeral) {
    return refused(Code::no_children_for_ephemerals, path,
                   "its parent is ephemeral and cannot have children");
  }
  if (auto no = refuse_growth(path, parent, 1, value.size()); no.code != Code::ok) return no;
  NewNode parts;
  parts.name = name_of(path);
  parts.value = value_from(value);
  parts.acl = acls.intern(as.acl, next_node_id);
  parts.mode = as.mode;
  parts.ttl_ms = as.ttl_ms;
  parts.restored = &as;
  const auto* const node = add_node(parent, path, parts, value);
  return {Code::ok, {}, std::string(path), node->stat()};
}

Outcome Tree::Impl::restore_there(std::string_view path, Node* node, const Blob& value,
                                  const Restored& as) {
  const auto* const known = node->extension;
  if (known != nullptr && known->mode == Mode::ephemeral) {
    return {Code::node_exists, "the node is an ephemeral of a session here", std::string(path),
            node->stat()};
  }
  const auto children = known == nullptr ? 0 : known->children.size();
  const auto made_with_tree = known == nullptr ? 0 : known->made_with_tree();
  const auto created = std::max<std::uint64_t>(as.created + made_with_tree, children);
  const bool is_born = node->ctime_ms != as.ctime_ms;
  const bool is_set = is_born || node->mtime_ms != as.mtime_ms || node->version != as.version ||
                      node->value() != value.view() || (node->is_null == 1) != value.is_null() ||
                      !node->content_type().empty();
  const bool is_guarded = acls.acl(node->acl) != as.acl || node->aversion != as.aversion;
  const bool is_kept = known == nullptr ? as.mode == Mode::persistent && created == 0
                                        : known->mode == as.mode && known->ttl_ms == as.ttl_ms &&
                                              known->created == created;
  if (!is_set && !is_guarded && is_kept) return {Code::ok, {}, std::string(path), node->stat()};
  const auto size = node->value().size();
  if (value.size() > size) {
    if (auto no = refuse_growth(path, node, 0, value.size() - size); no.code != Code::ok) return no;
  }

  auto change = change_of(ChangeKind::changed, path, *node);
  change.prev_stat = node->stat();
  change.prev_value = node->value_blob();
  change.prev_content_type = node->content_type();
  Node header = *node;
  if (is_born) header.czxid = stamp.zxid;
  if (is_set) header.mzxid = stamp.zxid;
  header.ctime_ms = as.ctime_ms;
  header.mtime_ms = as.mtime_ms;
  header.version = as.version;
  header.aversion = as.aversion;
  header.acl = acls.intern(as.acl, next_node_id);
  auto* const fresh = Node::make(header, node->name(), {}, value_from(value));
  replace_node(node, fresh);
  if (!is_kept || fresh->extension != nullptr) {
    auto* const extension = extend(fresh);
    extension->mode = as.mode;
    extension->ttl_ms = as.ttl_ms;
    extension->created = created;
    if (is_born || created == made_with_tree) extension->pzxid = fresh->czxid;
    extension->touched_ms = extension->is_timed() ? stamp.service_ms : 0;
    refresh_deadline(extension);
  }
  Outcome done{Code::ok, {}, std::string(path), fresh->stat()};
  auto acl_change = change_of(ChangeKind::acl, path, *fresh);
  acl_change.prev_stat = change.prev_stat;
  acl_change.stat = change.stat = done.stat;
  change.acl = acl_change.acl;
  change.value = value;
  if (is_set) changes.push_back(std::move(change));
  if (is_guarded) changes.push_back(std::move(acl_change));
  return done;
}

void Tree::Impl::postpone(Node* node) {
  auto* const fresh = Node::make(*node, node->name(), node->content_type(), node->as_value());
  replace_node(node, fresh);
  fresh->extension->touched_ms = stamp.service_ms;
  refresh_deadline(fresh->extension);
}

}  // namespace coord::znode
