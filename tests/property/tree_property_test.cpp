// The tree against a model that is too simple to be wrong: one map from path to node, copied for
// every transaction, with everything counted by looking at all of it.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "znode/tree.hpp"

namespace coord::znode {
namespace {

constexpr TreeLimits kLimits{
    .value_bytes_max = 1500, .depth_max = 4, .delete_tree_nodes_max = 6, .container_grace_ms = 40};

// What is drawn. Numbers are taken modulo what they choose from, so that shrinking goes to zero.
struct Op {
  std::uint32_t kind = 0;
  std::uint32_t path = 0;
  std::uint32_t value = 0;
  std::uint32_t mode = 0;
  std::uint32_t acl = 0;
  std::uint32_t guard = 0;
  std::uint32_t who = 0;
};
struct Transaction {
  std::vector<Op> ops;
  std::uint32_t stamp = 0;
  bool is_rolled_back = false;
};

void showValue(const Op& op, std::ostream& out) {
  out << "{" << op.kind << "," << op.path << "," << op.value << "," << op.mode << "," << op.acl
      << "," << op.guard << "," << op.who << "}";
}
void showValue(const Transaction& t, std::ostream& out) {
  out << (t.is_rolled_back ? "rollback@" : "commit@") << t.stamp << "[";
  for (const auto& op : t.ops) showValue(op, out);
  out << "]";
}

struct ModelNode {
  Stat stat;
  std::uint64_t created = 0;
  std::int64_t touched_ms = 0;
  Blob value;
  std::string content_type;
  Acl acl = open_acl();
  std::optional<Quota> quota;
};
using Nodes = std::map<std::string, ModelNode>;

struct Done {
  Code code = Code::ok;
  std::string path;
};

const Acl& acl_of(std::uint32_t choice) {
  static const std::vector<Acl> acls = {
      open_acl(),
      open_acl(),
      {{read | create, "world", "anyone"}},
      {{all, "digest", "ann:hash"}},
      {{all, "digest", "ann:hash"}, {read, "world", "anyone"}},
      {{static_cast<std::uint8_t>(all & ~znode::erase), "ip", "10.0.0.0/8"}},
  };
  return acls[choice % acls.size()];
}

const Identities& who_of(std::uint32_t choice) {
  static const std::vector<Identities> all_of_them = {
      {{"super", ""}}, {{"digest", "ann:hash"}}, {}, {{"ip", "10.1.2.3"}}};
  return all_of_them[choice % all_of_them.size()];
}

std::string path_of(std::uint32_t choice) {
  static const std::vector<std::string> names = {"a", "b", "ab", "a-b"};
  if (choice % 97 == 96) return "/.coord/x";
  if (choice % 97 == 95) return "/";
  if (choice % 97 == 94) return "/.coord";
  std::string path;
  for (auto depth = 1 + choice % 3; depth > 0; --depth, choice /= 5) {
    path += "/" + names[(choice / 5) % names.size()];
  }
  return path;
}

Blob value_of(std::uint32_t choice) {
  static const std::vector<std::size_t> sizes = {0, 3, 100, 512, 513, 1400, 2000};
  if (choice % 8 == 7) return Blob();
  return Blob(std::string(sizes[choice % 8], static_cast<char>('a' + choice % 23)));
}

std::uint64_t number(std::size_t size) { return static_cast<std::uint64_t>(size); }

// The rules, by looking at everything.
class Model {
 public:
  Nodes nodes = fresh();
  std::vector<std::pair<ChangeKind, std::string>> changes;
  Stamp stamp;

  static Nodes fresh() {
    Nodes nodes;
    nodes["/"].value = Blob("");
    for (const auto* path : {"/.coord", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"}) {
      nodes[path].value = Blob("");
      auto& parent = nodes[std::string(parent_of(path))];
      ++parent.stat.num_children;
      --parent.stat.cversion;
    }
    nodes["/zookeeper/config"].acl = {{read, "world", "anyone"}};
    return nodes;
  }

  bool has(const std::string& path) const { return nodes.contains(path); }
  std::uint64_t children_of_clients(const std::string& path) const {
    return nodes.at(path).stat.num_children - (path == "/" ? 2U : 0U);
  }
  bool may(const std::string& path, std::uint8_t wanted, const Identities& who) const {
    return is_allowed(nodes.at(path).acl, wanted, who);
  }
  bool is_closed(const std::string& path) const {
    return !stamp.is_service && is_within(path, "/.coord");
  }
  std::vector<std::string> below(const std::string& top) const {
    std::vector<std::string> paths;
    for (const auto& [path, node] : nodes) {
      if (path != top && is_within(path, top)) paths.push_back(path);
    }
    return paths;
  }
  QuotaUsage usage(const std::string& top) const {
    QuotaUsage usage;
    for (const auto& [path, node] : nodes) {
      if (!is_within(path, top)) continue;
      ++usage.nodes;
      usage.bytes += node.value.size();
    }
    return usage;
  }
  bool breaks_quota(const std::string& at, std::uint64_t more_nodes,
                    std::uint64_t more_bytes) const {
    for (const auto& [path, node] : nodes) {
      if (!node.quota || !is_within(at, path)) continue;
      const auto used = usage(path);
      const auto& quota = *node.quota;
      if (quota.nodes_max && more_nodes > 0 && used.nodes + more_nodes > *quota.nodes_max) {
        return true;
      }
      if (quota.bytes_max && more_bytes > 0 && used.bytes + more_bytes > *quota.bytes_max) {
        return true;
      }
    }
    return false;
  }

  void add(const std::string& path, ModelNode node) {
    node.stat.czxid = node.stat.mzxid = node.stat.pzxid = stamp.zxid;
    node.stat.ctime_ms = node.stat.mtime_ms = stamp.wall_ms;
    node.stat.data_length = static_cast<std::uint32_t>(node.value.size());
    auto& parent = nodes[std::string(parent_of(path))];
    ++parent.created;
    ++parent.stat.cversion;
    ++parent.stat.num_children;
    parent.stat.pzxid = stamp.zxid;
    node.touched_ms = stamp.service_ms;
    nodes[path] = std::move(node);
    changes.emplace_back(ChangeKind::created, path);
  }
  void remove(const std::string& path) {
    nodes.erase(path);
    auto& parent = nodes[std::string(parent_of(path))];
    ++parent.stat.cversion;
    --parent.stat.num_children;
    parent.stat.pzxid = stamp.zxid;
    if (parent.stat.mode == Mode::container) parent.touched_ms = stamp.service_ms;
    changes.emplace_back(ChangeKind::deleted, path);
  }

  Done create(const std::string& given, const Blob& value, const CreateOptions& options,
              const Identities& who) {
    auto path = given;
    const auto problem = check_path(options.is_sequential ? path + "0000000000" : path, kLimits);
    if (problem.code != Code::ok) {
      const std::string above(parent_of(path));
      if (!options.with_parents && !has(above)) return {Code::no_node, path};
      if (!options.with_parents && !may(above, znode::create, who)) return {Code::forbidden, path};
      return {problem.code, path};
    }
    if (path == "/" && !options.is_sequential) return {Code::bad_request, path};
    if (is_closed(path)) return {Code::forbidden, path};
    if (value.size() > kLimits.value_bytes_max) return {Code::too_large, path};
    if ((options.mode == Mode::ttl) != (options.ttl_ms > 0)) return {Code::bad_request, path};
    if (options.mode == Mode::ephemeral && !stamp.session) return {Code::session_required, path};
    const std::string parent(parent_of(path + "0"));  // Also of "/a/", the parent of "/a/000...".
    auto there = parent;
    std::vector<std::string> absent;
    for (; !has(there); there = parent_of(there)) absent.insert(absent.begin(), there);
    if (!absent.empty() && !options.with_parents) return {Code::no_node, path};
    if (!may(there, znode::create, who)) return {Code::forbidden, path};
    if (options.is_sequential) {
      const auto digits = std::to_string(has(parent) ? nodes[parent].created : 0);
      path += std::string(10 - digits.size(), '0') + digits;
    }
    if (has(path)) return {Code::node_exists, path};
    if (nodes[there].stat.mode == Mode::ephemeral) return {Code::no_children_for_ephemerals, path};
    if (breaks_quota(there, number(absent.size()) + 1, number(value.size()))) {
      return {Code::quota, path};
    }
    for (const auto& missing : absent) {
      ModelNode made;
      made.acl = nodes[there].acl;
      add(missing, made);
    }
    ModelNode made;
    made.value = value;
    made.content_type = options.content_type;
    made.acl = options.acl.value_or(open_acl());
    made.stat.mode = options.mode;
    made.stat.ttl_ms = options.ttl_ms;
    if (options.mode == Mode::ephemeral) made.stat.ephemeral_owner = stamp.session;
    add(path, made);
    return {Code::ok, path};
  }

  Code guarded(const std::string& path, const Guard& guard) const {
    const auto& stat = nodes.at(path).stat;
    if (guard.mzxid && *guard.mzxid != stat.mzxid) return Code::bad_version;
    if (guard.version && *guard.version != stat.version) return Code::bad_version;
    return Code::ok;
  }
  static Code missing(bool is_guarded) {
    return is_guarded ? Code::precondition_no_node : Code::no_node;
  }

  Code set(const std::string& path, const Blob& value, const std::string& type, const Guard& guard,
           const Identities& who) {
    if (is_closed(path) || path == "/zookeeper/config") return Code::forbidden;
    if (value.size() > kLimits.value_bytes_max) return Code::too_large;
    if (!has(path)) return missing(guard.is_set());
    if (!may(path, write, who)) return Code::forbidden;
    if (const auto code = guarded(path, guard); code != Code::ok) return code;
    auto& node = nodes[path];
    if (value.size() > node.value.size() &&
        breaks_quota(path, 0, number(value.size() - node.value.size()))) {
      return Code::quota;
    }
    node.value = value;
    node.content_type = type;
    node.stat.data_length = static_cast<std::uint32_t>(value.size());
    node.stat.mzxid = stamp.zxid;
    node.stat.mtime_ms = stamp.wall_ms;
    ++node.stat.version;
    if (node.stat.mode == Mode::ttl) node.touched_ms = stamp.service_ms;
    changes.emplace_back(ChangeKind::changed, path);
    return Code::ok;
  }

  Code erase(const std::string& path, bool is_recursive, const Guard& guard,
             const Identities& who) {
    if (fresh().contains(path)) return Code::bad_request;
    if (is_closed(path)) return Code::forbidden;
    const std::string above(parent_of(path));
    if (has(above) && !may(above, znode::erase, who)) return Code::forbidden;
    if (!has(path)) return missing(guard.is_set());
    if (const auto code = guarded(path, guard); code != Code::ok) return code;
    if (!is_recursive) {
      if (!below(path).empty()) return Code::not_empty;
      remove(path);
      return Code::ok;
    }
    const auto paths = below(path);
    if (paths.size() + 1 > kLimits.delete_tree_nodes_max) return Code::too_large;
    for (const auto& each : paths) {
      const std::string parent(parent_of(each));
      if (!may(parent, znode::erase, who)) return Code::forbidden;
    }
    remove_below(path);
    return Code::ok;
  }
  void remove_below(const std::string& path) {
    for (const auto& each : below(path)) {
      if (parent_of(each) == path) remove_below(each);
    }
    remove(path);
  }

  Code set_acl(const std::string& path, const Acl& acl, std::optional<std::int32_t> aversion,
               const Identities& who) {
    if (is_closed(path)) return Code::forbidden;
    if (!has(path)) return missing(aversion.has_value());
    if (!may(path, admin, who)) return Code::forbidden;
    auto& node = nodes[path];
    if (aversion && *aversion != node.stat.aversion) return Code::bad_version;
    node.acl = acl;
    ++node.stat.aversion;
    changes.emplace_back(ChangeKind::acl, path);
    return Code::ok;
  }

  Code set_quota(const std::string& path, const std::optional<Quota>& quota,
                 const Identities& who) {
    if (is_closed(path)) return Code::forbidden;
    if (!has(path)) return Code::no_node;
    if (!may(path, admin, who)) return Code::forbidden;
    nodes[path].quota = quota;
    return Code::ok;
  }

  Code restore(const std::string& path, const Blob& value, const Restored& as) {
    if (is_system(path)) return Code::forbidden;
    if (value.size() > kLimits.value_bytes_max) return Code::too_large;
    if (as.mode == Mode::ephemeral || (as.mode == Mode::ttl) != (as.ttl_ms > 0)) {
      return Code::bad_request;
    }
    const std::string parent(path == "/" ? "/" : parent_of(path));
    const bool is_there = has(path);
    if (!has(parent)) return Code::no_node;
    if (is_there && nodes[path].stat.mode == Mode::ephemeral) return Code::node_exists;
    if (!is_there && nodes[parent].stat.mode == Mode::ephemeral) {
      return Code::no_children_for_ephemerals;
    }
    const auto before = is_there ? nodes[path].value.size() : 0;
    const auto more = value.size() > before ? value.size() - before : 0;
    if (breaks_quota(is_there ? path : parent, is_there ? 0 : 1, number(more))) return Code::quota;
    if (!is_there) {
      const auto counted = nodes[parent].created;
      add(path, {});
      auto& above = nodes[parent];
      above.created = std::max<std::uint64_t>(counted, children_of_clients(parent));
      recount(above);
    }
    auto& node = nodes[path];
    const bool is_born = !is_there || node.stat.ctime_ms != as.ctime_ms;
    const bool is_set = is_born || node.stat.mtime_ms != as.mtime_ms ||
                        node.stat.version != as.version || node.value != value ||
                        !node.content_type.empty();
    const bool is_guarded = node.acl != as.acl || node.stat.aversion != as.aversion;
    const auto created = std::max<std::uint64_t>(as.created, children_of_clients(path));
    if (!is_set && !is_guarded && created == node.created && node.stat.mode == as.mode &&
        node.stat.ttl_ms == as.ttl_ms) {
      return Code::ok;
    }
    if (is_born) node.stat.czxid = stamp.zxid;
    if (is_set) node.stat.mzxid = stamp.zxid;
    node.created = created;
    if (is_born || created == 0) node.stat.pzxid = node.stat.czxid;
    node.value = value;
    node.content_type.clear();
    node.acl = as.acl;
    auto& stat = node.stat;
    stat.data_length = static_cast<std::uint32_t>(value.size());
    stat.ctime_ms = as.ctime_ms;
    stat.mtime_ms = as.mtime_ms;
    stat.version = as.version;
    stat.aversion = as.aversion;
    stat.mode = as.mode;
    stat.ttl_ms = as.ttl_ms;
    node.touched_ms = stamp.service_ms;
    recount(node);
    if (is_there && is_set) changes.emplace_back(ChangeKind::changed, path);
    if (is_there && is_guarded) changes.emplace_back(ChangeKind::acl, path);
    return Code::ok;
  }
  static void recount(ModelNode& node) {
    node.stat.cversion = static_cast<std::int32_t>(2 * node.created - node.stat.num_children);
  }

  std::size_t erase_ephemerals(SessionId session) {
    std::vector<std::string> paths;
    for (const auto& [path, node] : nodes) {
      if (node.stat.ephemeral_owner == session && session) paths.push_back(path);
    }
    for (const auto& path : paths) remove(path);
    return paths.size();
  }

  std::vector<std::pair<std::int64_t, std::string>> deadlines() const {
    std::vector<std::pair<std::int64_t, std::string>> found;
    for (const auto& [path, node] : nodes) {
      if (node.stat.num_children > 0) continue;
      if (node.stat.mode == Mode::ttl) found.emplace_back(node.touched_ms + node.stat.ttl_ms, path);
      if (node.stat.mode == Mode::container && node.created > 0) {
        found.emplace_back(node.touched_ms + kLimits.container_grace_ms, path);
      }
    }
    return found;
  }
  bool reap(const std::string& path) {
    for (const auto& [deadline, each] : deadlines()) {
      if (each == path && deadline <= stamp.service_ms) {
        remove(path);
        return true;
      }
    }
    return false;
  }
};

using Store = std::map<std::pair<Table, std::string>, std::string>;

Store records_of(const Tree& tree) {
  DirtyMap everything;
  tree.put_all(everything);
  Store store;
  for (const auto& [key, bytes] : everything.records())
    store[{key.table, std::string(key.key)}] = *bytes;
  return store;
}

std::uint64_t sum_of(const Store& store) {
  std::uint64_t sum = 0;
  for (const auto& [key, bytes] : store) sum += record_hash(key.first, key.second, bytes);
  return sum;
}

Tree loaded_from(const Store& store, NodeId next) {
  Tree tree(kLimits);
  tree.set_next_node_id(next);
  for (const auto& [key, bytes] : store) RC_ASSERT(tree.load(key.first, key.second, bytes) == "");
  RC_ASSERT(tree.load_done() == "");
  return tree;
}

void expect_equal(const Tree& tree, const Model& model) {
  tree.check_invariants();
  RC_ASSERT(tree.node_count() == model.nodes.size());
  std::vector<std::string> walked;
  tree.walk("/", SIZE_MAX, "", true, [&](std::string_view path, const View& view) {
    walked.emplace_back(path);
    const auto& want = model.nodes.at(walked.back());
    RC_ASSERT((view.stat == want.stat));
    RC_ASSERT(view.value == want.value.view());
    RC_ASSERT(view.is_null == want.value.is_null());
    RC_ASSERT(view.content_type == want.content_type);
    RC_ASSERT((*tree.acl_of(path) == want.acl));
    RC_ASSERT((tree.value_of(path) == want.value));
    const auto quota = tree.quota_of(path);
    RC_ASSERT(quota.has_value() == want.quota.has_value());
    if (quota) {
      RC_ASSERT((quota->quota == *want.quota));
      RC_ASSERT(quota->nodes == model.usage(walked.back()).nodes);
      RC_ASSERT(quota->bytes == model.usage(walked.back()).bytes);
    }
    return true;
  });
  RC_ASSERT(walked.size() == model.nodes.size());
  for (std::uint64_t session = 1; session < 4; ++session) {
    std::vector<std::string> owned;
    for (const auto& [path, node] : model.nodes) {
      if (node.stat.ephemeral_owner == SessionId(session)) owned.push_back(path);
    }
    RC_ASSERT(tree.ephemerals_of(SessionId(session)) == owned);
  }
  auto deadlines = model.deadlines();
  std::vector<std::string> due;
  for (const auto& [deadline, path] : deadlines) {
    if (deadline <= model.stamp.service_ms) due.push_back(path);
  }
  auto got = tree.due(model.stamp.service_ms, SIZE_MAX);
  std::sort(got.begin(), got.end());
  std::sort(due.begin(), due.end());
  RC_ASSERT(got == due);
  RC_ASSERT(tree.next_deadline().has_value() == !deadlines.empty());
  if (!deadlines.empty()) {
    RC_ASSERT(*tree.next_deadline() == std::min_element(deadlines.begin(), deadlines.end())->first);
  }
}

// A walk in two parts, cut after any node, is the whole walk; pages of children too.
void expect_resumable(const Tree& tree) {
  std::vector<std::string> whole;
  const auto append_to = [](std::vector<std::string>& to) {
    return [&to](std::string_view path, const View&) {
      to.emplace_back(path);
      return true;
    };
  };
  tree.walk("/", SIZE_MAX, "", true, append_to(whole));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::vector<std::string> rest;
    tree.walk("/", SIZE_MAX, whole[i], true, append_to(rest));
    RC_ASSERT(
        (rest == std::vector(whole.begin() + static_cast<std::ptrdiff_t>(i) + 1, whole.end())));
  }
}

Guard guard_of(std::uint32_t choice, const Model& model, const std::string& path) {
  const auto at = model.nodes.find(path);
  const auto stat = at == model.nodes.end() ? Stat{} : at->second.stat;
  switch (choice % 6) {
    case 0:
      return {stat.mzxid, std::nullopt};
    case 1:
      return {std::nullopt, stat.version};
    case 2:
      return {Zxid(999), std::nullopt};
    default:
      return {};
  }
}

CreateOptions options_of(const Op& op) {
  CreateOptions options;
  options.mode = static_cast<Mode>(op.mode % 4);
  options.is_sequential = op.mode / 4 % 4 == 1;
  options.with_parents = op.mode / 16 % 3 == 1;
  options.ttl_ms = options.mode == Mode::ttl ? 1 + op.value % 60 : 0;
  if (op.guard % 3 == 0) options.acl = acl_of(op.acl);
  if (op.acl % 4 == 1) options.content_type = "text/x";
  return options;
}

void run_op(const Op& op, Tree& tree, Model& model) {
  const auto path = path_of(op.path);
  const auto value = value_of(op.value);
  const auto& who = who_of(op.who % 7 < 4 ? 0 : op.who);
  const auto guard = guard_of(op.guard, model, path);
  const auto present = [&] { return model.has(path) ? model.nodes[path].stat : Stat{}; };
  switch (op.kind % 12) {
    case 0:
    case 1:
    case 2: {
      const auto options = options_of(op);
      const auto given = options.is_sequential && op.acl % 5 == 0 ? path + "/" : path;
      const auto want = model.create(given, value, options, who);
      const auto got = tree.create(given, value, options, who);
      RC_ASSERT(static_cast<int>(got.code) == static_cast<int>(want.code));
      RC_ASSERT(got.path == want.path);
      RC_ASSERT(got.detail.empty() == (got.code == Code::ok));
      if (got.code == Code::ok || got.code == Code::node_exists) {
        RC_ASSERT((got.stat == model.nodes[want.path].stat));
      }
      return;
    }
    case 3:
    case 4: {
      const std::string type = op.acl % 3 == 1 ? "text/y" : "";
      const auto want = model.set(path, value, type, guard, who);
      const auto got = tree.set(path, value, type, guard, who);
      RC_ASSERT(static_cast<int>(got.code) == static_cast<int>(want));
      if (got.code == Code::ok || got.code == Code::bad_version) {
        RC_ASSERT((got.stat == present()));
      }
      return;
    }
    case 5: {
      const bool is_recursive = op.mode % 3 == 1;
      const auto want = model.erase(path, is_recursive, guard, who);
      const auto got =
          is_recursive ? tree.erase_tree(path, guard, who) : tree.erase(path, guard, who);
      RC_ASSERT(static_cast<int>(got.code) == static_cast<int>(want));
      return;
    }
    case 6: {
      std::optional<std::int32_t> aversion;
      if (op.guard % 4 == 0) aversion = static_cast<std::int32_t>(op.value % 2);
      const auto want = model.set_acl(path, acl_of(op.acl), aversion, who);
      const auto got = tree.set_acl(path, acl_of(op.acl), aversion, who);
      RC_ASSERT(static_cast<int>(got.code) == static_cast<int>(want));
      return;
    }
    case 7: {
      std::optional<Quota> quota;
      if (op.mode % 3 != 0) {
        quota = Quota{};
        if (op.mode % 2 == 0) quota->nodes_max = op.value % 9;
        if (op.mode % 2 != 0 && op.value % 2 == 0) quota->bytes_max = op.value % 900;
      }
      const auto want = model.set_quota(path, quota, who);
      const auto got = tree.set_quota(path, quota, who);
      RC_ASSERT(static_cast<int>(got.code) == static_cast<int>(want));
      return;
    }
    case 8: {
      const SessionId session(1 + op.value % 3);
      RC_ASSERT(tree.erase_ephemerals(session) == model.erase_ephemerals(session));
      return;
    }
    case 9:
    case 10: {
      Restored as;
      as.mode = static_cast<Mode>(op.mode % 4);
      as.ttl_ms = as.mode == Mode::ttl ? 1 + op.value % 60 : 0;
      as.acl = acl_of(op.acl);
      as.version = static_cast<std::int32_t>(op.who % 2);
      as.aversion = static_cast<std::int32_t>(op.who / 2 % 2);
      as.created = op.guard % 3;
      as.ctime_ms = op.guard / 3 % 2;
      as.mtime_ms = op.guard / 6 % 2;
      const auto want = model.restore(path, value, as);
      const auto got = tree.restore(path, value, as);
      RC_ASSERT(static_cast<int>(got.code) == static_cast<int>(want));
      if (got.code == Code::ok || got.code == Code::node_exists) {
        RC_ASSERT((got.stat == model.nodes[path].stat));
      }
      return;
    }
    default:
      RC_ASSERT(tree.reap(path) == model.reap(path));
  }
}

void run(const std::vector<Transaction>& transactions) {
  Tree tree(kLimits);
  Model model;
  auto store = records_of(tree);
  std::uint64_t zxid = 10;
  for (const auto& transaction : transactions) {
    zxid += 1 + transaction.stamp % 2;
    Stamp stamp;
    stamp.zxid = Zxid(zxid);
    stamp.service_ms = model.stamp.service_ms + transaction.stamp % 50;
    stamp.wall_ms = static_cast<std::int64_t>(transaction.stamp % 100) - 10;
    stamp.session = SessionId(transaction.stamp % 4);
    stamp.is_service = transaction.stamp % 3 == 0;
    const auto before = model.nodes;
    const auto next_before = tree.next_node_id();
    model.stamp = stamp;
    model.changes.clear();
    tree.begin(stamp);
    for (const auto& op : transaction.ops) run_op(op, tree, model);
    if (transaction.is_rolled_back) {
      tree.rollback();
      model.nodes = before;
      RC_ASSERT(tree.next_node_id().value() == next_before.value());
    } else {
      DirtyMap dirty;
      const auto changes = tree.commit(dirty);
      RC_ASSERT(changes.size() == model.changes.size());
      for (std::size_t i = 0; i < changes.size(); ++i) {
        RC_ASSERT((std::pair(changes[i].kind, changes[i].path) == model.changes[i]));
      }
      for (const auto& [key, bytes] : dirty.records()) {
        if (bytes) {
          store[{key.table, std::string(key.key)}] = *bytes;
        } else {
          store.erase({key.table, std::string(key.key)});
        }
      }
    }
    expect_equal(tree, model);
    RC_ASSERT((records_of(tree) == store));
    RC_ASSERT(tree.digest() == sum_of(store));
  }
  expect_resumable(tree);
  const auto again = loaded_from(store, tree.next_node_id());
  RC_ASSERT(again.digest() == tree.digest());
  expect_equal(again, model);
}

rc::Gen<Op> op_gen() {
  const auto any = rc::gen::inRange<std::uint32_t>(0, 10'000);
  return rc::gen::build<Op>(rc::gen::set(&Op::kind, any), rc::gen::set(&Op::path, any),
                            rc::gen::set(&Op::value, any), rc::gen::set(&Op::mode, any),
                            rc::gen::set(&Op::acl, any), rc::gen::set(&Op::guard, any),
                            rc::gen::set(&Op::who, any));
}

rc::Gen<Transaction> transaction_gen() {
  return rc::gen::build<Transaction>(
      rc::gen::set(&Transaction::ops, rc::gen::mapcat(rc::gen::inRange<std::size_t>(1, 8),
                                                      [](std::size_t size) {
                                                        return rc::gen::container<std::vector<Op>>(
                                                            size, op_gen());
                                                      })),
      rc::gen::set(&Transaction::stamp, rc::gen::inRange<std::uint32_t>(0, 10'000)),
      rc::gen::set(&Transaction::is_rolled_back,
                   rc::gen::map(rc::gen::inRange(0, 4), [](int n) { return n == 3; })));
}

TEST(TreeProperty, a_tree_does_what_its_model_does) {
  const bool held = rc::check("tree against model", [] {
    // Several sequences a case: RapidCheck's hundred cases alone are too few.
    for (int sequence = 0; sequence < 25; ++sequence) {
      run(*rc::gen::scale(1.5, rc::gen::container<std::vector<Transaction>>(transaction_gen())));
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace coord::znode
