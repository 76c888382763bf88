// The mutations: each finds out first whether it may be done, and then does all of it, so that one
// that is refused has changed nothing.
#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "znode/tree_impl.hpp"

namespace coord::znode {
namespace {

constexpr std::string_view kNoDigits = "0000000000";

// For the message: a header cannot hold a path of any length, and people cannot read one.
std::string quoted(std::string_view path) { return std::string(path.substr(0, 256)); }

}  // namespace

Outcome refused(Code code, std::string_view path, std::string detail) {
  return {code, std::move(detail), std::string(path), {}};
}

Outcome check_guard(std::string_view path, const Node& node, const Guard& guard) {
  Outcome outcome;
  if (guard.mzxid && *guard.mzxid != node.mzxid) {
    outcome = refused(Code::bad_version, path,
                      fmt::format("the last change is of revision {}, not {}", node.mzxid.value(),
                                  guard.mzxid->value()));
  } else if (guard.version && *guard.version != node.version) {
    outcome = refused(Code::bad_version, path,
                      fmt::format("the version is {}, not {}", node.version, *guard.version));
  }
  outcome.stat = node.stat();
  return outcome;
}

// Of a path that leads nowhere: it is malformed, or there is no such node.
Outcome Tree::Impl::missing(std::string_view path, bool is_guarded) const {
  if (auto problem = check_path(path, limits); problem.code != Code::ok) {
    return refused(problem.code, path, std::move(problem.detail));
  }
  return refused(is_guarded ? Code::precondition_no_node : Code::no_node, path,
                 fmt::format("there is no node {}", quoted(path)));
}

Outcome Tree::Impl::refuse_service(std::string_view path) const {
  if (!stamp.is_service && is_within(path, kServicePath)) {
    return refused(Code::forbidden, path,
                   "what is under /.coord is written only through the recipes");
  }
  if (!stamp.is_import && is_closed(path)) {
    return refused(Code::forbidden, path,
                   "the subtree is being imported and is read-only until that is finished");
  }
  return {};
}

Outcome Tree::Impl::refuse_value(std::string_view path, const Blob& value,
                                 std::string_view content_type) const {
  if (value.size() > limits.value_bytes_max) {
    return refused(Code::too_large, path,
                   fmt::format("a value of {} bytes is larger than value_bytes_max = {}",
                               value.size(), limits.value_bytes_max));
  }
  if (content_type.size() > limits.content_type_bytes_max) {
    return refused(
        Code::too_large, path,
        fmt::format("a content type of {} bytes is longer than content_type_bytes_max = {}",
                    content_type.size(), limits.content_type_bytes_max));
  }
  return {};
}

// What is wrong with a creation before the tree is looked at.
Outcome Tree::Impl::refuse_create(std::string_view path, const Blob& value,
                                  const CreateOptions& options, const Identities& who) const {
  auto problem = options.is_sequential ? check_path(std::string(path).append(kNoDigits), limits)
                                       : check_path(path, limits);
  if (problem.code != Code::ok) {
    // As in ZooKeeper, the parent comes first: /a//b is in no /a/.
    if (!path.empty() && path.front() == '/' && !options.with_parents) {
      const auto* const parent = find(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)));
      if (parent == nullptr) return refused(Code::no_node, path, "the parent does not exist");
      if (!may(*parent, znode::create, who)) {
        return refused(Code::forbidden, path, "the parent's ACL does not grant CREATE");
      }
    }
    return refused(problem.code, path, std::move(problem.detail));
  }
  if (path == "/" && !options.is_sequential) {
    return refused(Code::bad_request, path, "the root is there and cannot be created");
  }
  if (auto no = refuse_service(path); no.code != Code::ok) return no;
  if (auto no = refuse_value(path, value, options.content_type); no.code != Code::ok) return no;
  if (options.acl && options.acl->size() > limits.acl_entries_max) {
    return refused(Code::too_large, path,
                   fmt::format("an ACL of {} entries is longer than acl_entries_max = {}",
                               options.acl->size(), limits.acl_entries_max));
  }
  if (options.acl && options.acl->empty()) {
    return refused(Code::bad_request, path, "an ACL has at least one entry");
  }
  if ((options.mode == Mode::ttl) != (options.ttl_ms > 0)) {
    return refused(Code::bad_request, path, "a ttl node has a ttl above zero, no other has one");
  }
  if (options.mode == Mode::ephemeral && !stamp.session) {
    return refused(Code::session_required, path, "an ephemeral node takes a session");
  }
  return {};
}

Outcome Tree::Impl::create(std::string_view path, const Blob& value, CreateOptions& options,
                           const Identities& who) {
  if (auto no = refuse_create(path, value, options, who); no.code != Code::ok) return no;
  const auto slash = path.rfind('/');
  const auto parent_path = path.substr(0, std::max<std::size_t>(slash, 1));
  auto [parent, rest] = descend(parent_path);
  if (!rest.empty() && !options.with_parents) {
    return refused(Code::no_node, path,
                   fmt::format("the parent {} does not exist", quoted(parent_path)));
  }
  if (!may(*parent, znode::create, who)) {
    return refused(Code::forbidden, path, "the parent's ACL does not grant CREATE");
  }
  std::string full(path);
  if (options.is_sequential) {
    const auto* const extension = rest.empty() ? parent->extension : nullptr;
    fmt::format_to(std::back_inserter(full), "{:010}",
                   extension == nullptr ? 0 : extension->created_by_clients());
  }
  const auto name = std::string_view(full).substr(slash + 1);
  if (rest.empty() && parent->extension != nullptr) {
    if (const auto* const there = parent->extension->children.find(name); there != nullptr) {
      return {Code::node_exists, "the node exists", full, there->stat()};
    }
    if (parent->extension->mode == Mode::ephemeral) {
      return refused(Code::no_children_for_ephemerals, full,
                     fmt::format("{} is ephemeral and cannot have children", quoted(parent_path)));
    }
  } else if (parent->extension != nullptr && parent->extension->mode == Mode::ephemeral) {
    return refused(Code::no_children_for_ephemerals, full,
                   fmt::format("{} is ephemeral and cannot have children", parent->path()));
  }
  const auto missing_parents =
      rest.empty() ? 0 : 1 + static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '/'));
  if (auto no = refuse_growth(full, parent, missing_parents + 1, value.size());
      no.code != Code::ok) {
    return no;
  }

  while (!rest.empty()) {
    NewNode parts;
    parts.name = rest.substr(0, rest.find('/'));
    parts.value.is_null = true;
    parts.acl = parent->acl;
    const auto end = static_cast<std::size_t>(parts.name.data() - path.data()) + parts.name.size();
    parent = add_node(parent, path.substr(0, end), parts, Blob());
    rest.remove_prefix(std::min(parts.name.size() + 1, rest.size()));
  }
  const auto acl = options.acl ? acls.intern(*options.acl, next_node_id) : AclTable::kOpen;
  const auto* const node = add_node(
      parent, full,
      {name, value_from(value), options.content_type, acl, options.mode, options.ttl_ms}, value);
  Outcome done;
  done.stat = node->stat();
  done.path = std::move(full);
  return done;
}

Outcome Tree::Impl::set(std::string_view path, const Blob& value, std::string_view content_type,
                        const Guard& guard, const Identities& who) {
  if (auto no = refuse_service(path); no.code != Code::ok) return no;
  if (path == kConfigPath) {
    return refused(Code::forbidden, path, "it shows who the members are, and is not written");
  }
  if (auto no = refuse_value(path, value, content_type); no.code != Code::ok) return no;
  auto* const node = find(path);
  if (node == nullptr) return missing(path, guard.is_set());
  if (!may(*node, write, who)) {
    return refused(Code::forbidden, path, "the ACL does not grant WRITE");
  }
  if (auto no = check_guard(path, *node, guard); no.code != Code::ok) return no;
  const auto size = node->value().size();
  if (value.size() > size) {
    if (auto no = refuse_growth(path, node, 0, value.size() - size); no.code != Code::ok) return no;
  }

  auto change = change_of(ChangeKind::changed, path, *node);
  change.prev_stat = node->stat();
  change.prev_value = node->value_blob();
  change.prev_content_type = node->content_type();
  Node header = *node;
  header.mzxid = stamp.zxid;
  header.mtime_ms = stamp.wall_ms;
  header.version = static_cast<std::int32_t>(static_cast<std::uint32_t>(node->version) + 1);
  auto* const fresh = Node::make(header, node->name(), content_type, value_from(value));
  replace_node(node, fresh);
  if (fresh->extension != nullptr && fresh->extension->mode == Mode::ttl) {
    fresh->extension->touched_ms = stamp.service_ms;
    refresh_deadline(fresh->extension);
  }
  Outcome done;
  done.path = path;
  done.stat = change.stat = fresh->stat();
  change.value = value;
  change.content_type = content_type;
  changes.push_back(std::move(change));
  return done;
}

// Of erase and erase_tree alike.
Outcome Tree::Impl::refuse_erase(std::string_view path, const Node* node, const Guard& guard,
                                 const Identities& who) const {
  const bool is_kept = path == "/" || std::find(kSystemPaths.begin(), kSystemPaths.end(), path) !=
                                          kSystemPaths.end();
  if (is_kept) {
    return refused(Code::bad_request, path, fmt::format("{} cannot be deleted", path));
  }
  if (auto no = refuse_service(path); no.code != Code::ok) return no;
  // As in ZooKeeper, whoever may not delete below the parent does not learn what is there.
  const auto* const parent = find(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)));
  if (parent == nullptr) return missing(path, guard.is_set());
  if (!may(*parent, znode::erase, who)) {
    return refused(Code::forbidden, path, "the parent's ACL does not grant DELETE");
  }
  if (node == nullptr) return missing(path, guard.is_set());
  return check_guard(path, *node, guard);
}

Outcome Tree::Impl::erase(std::string_view path, const Guard& guard, const Identities& who) {
  auto* const node = find(path);
  auto outcome = refuse_erase(path, node, guard, who);
  if (outcome.code != Code::ok) return outcome;
  if (node->has_children()) {
    return {Code::not_empty, "the node has children", std::string(path), node->stat()};
  }
  outcome.path = path;
  erase_node(node, path);
  return outcome;
}

Outcome Tree::Impl::erase_tree(std::string_view path, const Guard& guard, const Identities& who) {
  auto* const top = find(path);
  auto outcome = refuse_erase(path, top, guard, who);
  if (outcome.code != Code::ok) return outcome;
  if (!stamp.is_import && has_closed_below(path)) {
    return refused(Code::forbidden, path,
                   "a subtree below is being imported and is read-only until that is finished");
  }
  const auto nodes = subtree_of(top);
  if (!nodes) {
    return refused(Code::too_large, path,
                   fmt::format("the subtree has more than delete_tree_nodes_max = {} nodes",
                               limits.delete_tree_nodes_max));
  }
  for (const auto* node : *nodes) {
    if (node->has_children() && !may(*node, znode::erase, who)) {
      return refused(Code::forbidden, path,
                     fmt::format("the ACL of {} does not grant DELETE", node->path()));
    }
  }
  for (auto* node : *nodes) {
    if (node == top) outcome.stat = node->stat();
    erase_node(node, node->path());
  }
  outcome.path = path;
  return outcome;
}

std::optional<std::vector<Node*>> Tree::Impl::subtree_of(Node* top) const {
  std::vector<Node*> left{top};
  std::vector<Node*> nodes;
  while (!left.empty()) {
    auto* const node = left.back();
    left.pop_back();
    nodes.push_back(node);
    if (node->extension != nullptr) {
      const auto& children = node->extension->children;
      if (nodes.size() + left.size() + children.size() > limits.delete_tree_nodes_max) {
        return std::nullopt;
      }
      for (auto* const child : children) left.push_back(child);
    } else if (nodes.size() + left.size() > limits.delete_tree_nodes_max) {
      return std::nullopt;
    }
  }
  // A node came before its children and the last child first; turned round it is as it should be.
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

Outcome Tree::Impl::check(std::string_view path, const Guard& guard, const Identities& who) const {
  const auto* const node = find(path);
  if (node == nullptr) return missing(path, guard.is_set());
  if (!may(*node, read, who)) {
    return refused(Code::forbidden, path, "the ACL does not grant READ");
  }
  auto outcome = check_guard(path, *node, guard);
  outcome.path = path;
  return outcome;
}

Outcome Tree::Impl::set_acl(std::string_view path, const Acl& acl,
                            std::optional<std::int32_t> aversion, const Identities& who) {
  if (auto no = refuse_service(path); no.code != Code::ok) return no;
  if (acl.size() > limits.acl_entries_max) {
    return refused(Code::too_large, path,
                   fmt::format("an ACL of {} entries is longer than acl_entries_max = {}",
                               acl.size(), limits.acl_entries_max));
  }
  if (acl.empty()) return refused(Code::bad_request, path, "an ACL has at least one entry");
  auto* const node = find(path);
  if (node == nullptr) return missing(path, aversion.has_value());
  if (!may(*node, admin, who)) {
    return refused(Code::forbidden, path, "the ACL does not grant ADMIN");
  }
  if (aversion && *aversion != node->aversion) {
    return {Code::bad_version,
            fmt::format("the version of the ACL is {}, not {}", node->aversion, *aversion),
            std::string(path), node->stat()};
  }
  const auto prev_stat = node->stat();
  Node header = *node;
  header.aversion = static_cast<std::int32_t>(static_cast<std::uint32_t>(node->aversion) + 1);
  header.acl = acls.intern(acl, next_node_id);
  auto* const fresh = Node::make(header, node->name(), node->content_type(), node->as_value());
  replace_node(node, fresh);
  auto change = change_of(ChangeKind::acl, path, *fresh);
  change.prev_stat = prev_stat;
  change.stat = fresh->stat();
  Outcome done{Code::ok, {}, std::string(path), change.stat};
  changes.push_back(std::move(change));
  return done;
}

}  // namespace coord::znode
