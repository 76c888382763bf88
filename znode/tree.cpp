#include "znode/tree.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "znode/tree_impl.hpp"

namespace coord::znode {
namespace {

// The order of a walk: by segments. "/" sorts before every other byte, so that "/a/b" comes before
// "/a-b", as a directory's children come before its next sibling.
bool walks_before(std::string_view a, std::string_view b) noexcept {
  const auto rank = [](char c) { return c == '/' ? 0U : static_cast<std::uint8_t>(c) + 1U; };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [&](char x, char y) { return rank(x) < rank(y); });
}

class Walker {
 public:
  using Each = std::function<bool(std::string_view, const View&)>;
  Walker(bool with_system, const Each& each) : with_system_(with_system), each_(each) {}

  // `rest`: segments below `node` of the path after which it begins ("b/c"), or none: from here.
  // False once `each` has had enough. The depth of a tree is bounded, so is the recursion.
  bool walk(const Node& node, std::string& path, std::size_t depth,
            const std::optional<std::string_view>& rest) {
    if (!rest && !each_(path, node.view())) return false;
    if (depth == 0 || node.extension == nullptr) return true;
    const auto& children = node.extension->children;
    auto at = children.begin();
    if (rest && !rest->empty()) {
      const auto name = rest->substr(0, rest->find('/'));
      at = children.lower_bound(name);
      if (at != children.end() && (*at)->name() == name) {
        const auto below = rest->substr(std::min(name.size() + 1, rest->size()));
        if (!walk_child(**at, path, depth, below)) return false;
        ++at;
      }
    }
    for (; at != children.end(); ++at) {
      if (!walk_child(**at, path, depth, std::nullopt)) return false;
    }
    return true;
  }

 private:
  bool walk_child(const Node& child, std::string& path, std::size_t depth,
                  const std::optional<std::string_view>& rest) {
    const auto size = path.size();
    if (size > 1) path += '/';
    path += child.name();
    const bool is_left_out = !with_system_ && size == 1 && is_system(path);
    const bool goes_on = is_left_out || walk(child, path, depth - 1, rest);
    path.resize(size);
    return goes_on;
  }

  bool with_system_;
  const Each& each_;
};

}  // namespace

Tree::Impl::Impl(const TreeLimits& tree_limits) : limits(tree_limits) {
  COORD_CHECK(limits.name_bytes_max <= Node::kNameBytesMax, "name_bytes_max is within its ceiling",
              Node::kNameBytesMax);
  COORD_CHECK(limits.content_type_bytes_max <= Node::kContentTypeBytesMax,
              "content_type_bytes_max is within its ceiling", Node::kContentTypeBytesMax);
  Node header;
  header.id = next_node_id;
  next_node_id = next_node_id.next();
  root = Node::make(header, "", "", {});
  node_count = 1;
  begin(Stamp{});
  digest += hash_of(*root);
  for (const auto path : kSystemPaths) {
    NewNode parts;
    parts.name = name_of(path);
    // As in ZooKeeper: clients may read the configuration, and nothing else.
    if (path == kConfigPath) parts.acl = acls.intern({{read, "world", "anyone"}}, next_node_id);
    add_node(find(parent_of(path)), path, parts, Blob(""));
  }
  DirtyMap dirty;
  const auto made = commit(dirty);
  COORD_CHECK(made.size() == kSystemPaths.size(), "a fresh tree has its system nodes");
}

Tree::Impl::~Impl() {
  if (is_open) rollback();
  clear();
}

const Node* Tree::Impl::find(std::string_view path) const {
  if (path.empty() || path.front() != '/') return nullptr;
  const Node* node = root;
  if (path.size() == 1) return node;
  for (std::size_t start = 1;;) {
    if (node->extension == nullptr) return nullptr;
    const auto end = path.find('/', start);
    node = node->extension->children.find(path.substr(start, end - start));
    if (node == nullptr || end == std::string_view::npos) return node;
    start = end + 1;
  }
}

Tree::Impl::Descent Tree::Impl::descend(std::string_view path) {
  Node* node = root;
  auto rest = path.substr(1);
  while (!rest.empty()) {
    const auto name = rest.substr(0, rest.find('/'));
    auto* const child = node->extension == nullptr ? nullptr : node->extension->children.find(name);
    if (child == nullptr) break;
    node = child;
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
  }
  return {node, rest};
}

bool Tree::Impl::may(const Node& node, std::uint8_t wanted, const Identities& who) const {
  return node.acl == AclTable::kOpen || is_allowed(acls.acl(node.acl), wanted, who);
}

Tree::Tree(TreeLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
Tree::~Tree() = default;
Tree::Tree(Tree&&) noexcept = default;
Tree& Tree::operator=(Tree&&) noexcept = default;

std::optional<View> Tree::get(std::string_view path) const {
  const auto* const node = std::as_const(*impl_).find(path);
  if (node == nullptr) return std::nullopt;
  return node->view();
}

Blob Tree::value_of(std::string_view path) const {
  const auto* const node = std::as_const(*impl_).find(path);
  return node == nullptr ? Blob() : node->value_blob();
}

const Acl* Tree::acl_of(std::string_view path) const {
  const auto* const node = std::as_const(*impl_).find(path);
  return node == nullptr ? nullptr : &impl_->acls.acl(node->acl);
}

Code Tree::check_access(std::string_view path, std::uint8_t wanted,
                        const Identities& identities) const {
  const auto* const node = std::as_const(*impl_).find(path);
  if (node == nullptr) return Code::no_node;
  return impl_->may(*node, wanted, identities) ? Code::ok : Code::forbidden;
}

bool Tree::children(std::string_view path, std::string_view after, std::string_view prefix,
                    const std::function<bool(std::string_view name, const View&)>& each) const {
  const auto* const node = std::as_const(*impl_).find(path);
  if (node == nullptr) return false;
  if (node->extension == nullptr) return true;
  const auto& children = node->extension->children;
  auto at = children.lower_bound(std::max(after, prefix));
  if (!after.empty() && at != children.end() && (*at)->name() == after) ++at;
  for (; at != children.end() && (*at)->name().starts_with(prefix); ++at) {
    if (!each((*at)->name(), (*at)->view())) break;
  }
  return true;
}

bool Tree::walk(std::string_view top, std::size_t depth, std::string_view after, bool with_system,
                const std::function<bool(std::string_view path, const View&)>& each) const {
  const auto* const node = std::as_const(*impl_).find(top);
  if (node == nullptr) return false;
  std::optional<std::string_view> rest;
  if (!after.empty()) {
    if (is_within(after, top)) {
      rest = after.substr(std::min(top.size() + (top == "/" ? 0 : 1), after.size()));
    } else if (walks_before(top, after)) {
      return true;  // All of it was before.
    }
  }
  std::string path(top);
  Walker(with_system, each).walk(*node, path, depth, rest);
  return true;
}

std::vector<std::string> Tree::ephemerals_of(SessionId session) const {
  std::vector<std::string> paths;
  const auto at = impl_->ephemerals.find(session);
  if (at == impl_->ephemerals.end()) return paths;
  paths.reserve(at->second.size());
  for (const auto* extension : at->second) paths.push_back(extension->node->path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::size_t Tree::ephemeral_count() const noexcept { return impl_->ephemeral_count; }

std::size_t Tree::ephemeral_count_of(SessionId session) const noexcept {
  const auto at = impl_->ephemerals.find(session);
  return at == impl_->ephemerals.end() ? 0 : at->second.size();
}

std::optional<QuotaUsage> Tree::quota_of(std::string_view path) const {
  const auto* const node = std::as_const(*impl_).find(path);
  if (node == nullptr || node->extension == nullptr || !node->extension->quota) {
    return std::nullopt;
  }
  return *node->extension->quota;
}

std::size_t Tree::node_count() const noexcept { return impl_->node_count; }
std::uint64_t Tree::value_bytes() const noexcept { return impl_->value_bytes; }

std::uint64_t Tree::descendants_of(std::string_view path) const {
  const auto* const node = std::as_const(*impl_).find(path);
  if (node == nullptr) return 0;
  std::uint64_t count = 0;
  std::vector<const Node*> left{node};
  while (!left.empty()) {
    const auto* const at = left.back();
    left.pop_back();
    if (at->extension == nullptr) continue;
    count += at->extension->children.size();
    for (auto* const child : at->extension->children) left.push_back(child);
  }
  return count;
}

std::uint64_t Tree::digest() const noexcept { return impl_->digest; }

std::vector<std::string> Tree::due(std::int64_t service_ms, std::size_t most) const {
  std::vector<std::string> paths;
  for (const auto& [key, extension] : impl_->deadlines) {
    if (key.first > service_ms || paths.size() >= most) break;
    paths.push_back(extension->node->path());
  }
  return paths;
}

std::optional<std::int64_t> Tree::next_deadline() const {
  if (impl_->deadlines.empty()) return std::nullopt;
  return impl_->deadlines.begin()->first.first;
}

void Tree::begin(const Stamp& stamp) { impl_->begin(stamp); }

void Tree::act_as_service() noexcept {
  COORD_CHECK(is_open(), "who acts is said of an open transaction");
  impl_->stamp.is_service = true;
}

std::span<const Change> Tree::pending_changes() const noexcept { return impl_->changes; }

Outcome Tree::create(std::string_view path, const Blob& value, CreateOptions options,
                     const Identities& identities) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  return impl_->create(path, value, options, identities);
}

Outcome Tree::set(std::string_view path, const Blob& value, std::string_view content_type,
                  const Guard& guard, const Identities& identities) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  return impl_->set(path, value, content_type, guard, identities);
}

Outcome Tree::erase(std::string_view path, const Guard& guard, const Identities& identities) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  return impl_->erase(path, guard, identities);
}

Outcome Tree::erase_tree(std::string_view path, const Guard& guard, const Identities& identities) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  return impl_->erase_tree(path, guard, identities);
}

Outcome Tree::check(std::string_view path, const Guard& guard, const Identities& identities) const {
  return impl_->check(path, guard, identities);
}

Outcome Tree::set_acl(std::string_view path, const Acl& acl, std::optional<std::int32_t> aversion,
                      const Identities& identities) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  return impl_->set_acl(path, acl, aversion, identities);
}

Outcome Tree::set_quota(std::string_view path, const std::optional<Quota>& quota,
                        const Identities& identities) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  return impl_->set_quota(path, quota, identities);
}

Outcome Tree::restore(std::string_view path, const Blob& value, const Restored& as) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  return impl_->restore(path, value, as);
}

void Tree::set_closed(std::vector<std::string> tops) { impl_->closed = std::move(tops); }

std::size_t Tree::erase_ephemerals(SessionId session) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  const auto paths = ephemerals_of(session);
  for (const auto& path : paths) impl_->erase_node(impl_->find(path), path);
  return paths.size();
}

bool Tree::reap(std::string_view path) {
  COORD_CHECK(impl_->is_open, "mutations are made in a transaction");
  auto* const node = impl_->find(path);
  if (node == nullptr || node->extension == nullptr) return false;
  const auto deadline = node->extension->deadline_ms;
  if (deadline == kNoDeadline || deadline > impl_->stamp.service_ms) return false;
  if (impl_->is_closed(path)) {
    impl_->postpone(node);
    return false;
  }
  impl_->erase_node(node, path);
  return true;
}

std::vector<Change> Tree::commit(DirtyMap& dirty) { return impl_->commit(dirty); }
void Tree::rollback() { impl_->rollback(); }
bool Tree::is_open() const noexcept { return impl_->is_open; }

std::string Tree::load(Table table, std::string_view key, std::string_view bytes) {
  return impl_->load(table, key, bytes);
}
std::string Tree::load_done() { return impl_->load_done(); }
NodeId Tree::next_node_id() const noexcept { return impl_->next_node_id; }
void Tree::set_next_node_id(NodeId id) noexcept { impl_->next_node_id = id; }
void Tree::put_all(DirtyMap& dirty) const {
  impl_->for_each_record([&dirty](Table table, std::string_view key, std::string bytes) {
    dirty.put(table, key, std::move(bytes));
  });
}
void Tree::check_invariants() const { impl_->check_invariants(); }

}  // namespace coord::znode
