#include "coord/core/reads.hpp"

#include <algorithm>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/recipes/recipe.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

bool is_readable(const std::string& path, const Request& request, const StateMachine& state,
                 Reply& reply) {
  reply.code = state.tree().check_access(path, znode::Permission::read, request.identities);
  if (reply.code == Code::ok) return true;
  reply.path = path;
  reply.detail = reply.code == Code::no_node ? "there is no such node" : "reading is not allowed";
  return false;
}

void serve_get(const Get& op, const Request& request, const StateMachine& state, Reply& reply) {
  // Knowing that a node exists takes no permission (ZooKeeper's exists); its value does.
  const auto view = state.tree().get(op.path);
  if (!view) {
    reply.code = Code::no_node;
    reply.path = op.path;
    reply.detail = "there is no such node";
    return;
  }
  NodeValue node;
  node.stat = view->stat;
  const auto stats = quota_stats(state.tree(), op.path);
  if (stats) node.stat.data_length = static_cast<std::uint32_t>(stats->size());
  if (op.with_value) {
    if (!is_readable(op.path, request, state, reply)) return;
    node.value = stats ? Blob(*stats) : state.tree().value_of(op.path);
    node.content_type = view->content_type;
  }
  reply.result = std::move(node);
}

NodeValue node_of(const znode::View& view, const std::string& path, bool with_value,
                  const StateMachine& state, const Identities& identities) {
  NodeValue node;
  node.stat = view.stat;
  if (!with_value) return node;
  // A value that the caller may not read is left out, as null; the name is not secret.
  if (state.tree().check_access(path, znode::Permission::read, identities) != Code::ok) return node;
  if (!view.is_null) node.value = Blob(view.value);
  node.content_type = view.content_type;
  return node;
}

void serve_children(const GetChildren& op, const Request& request, const StateMachine& state,
                    Reply& reply) {
  if (!is_readable(op.path, request, state, reply)) return;
  ChildList list;
  list.stat = state.tree().get(op.path)->stat;
  const auto most = std::min(op.limit, state.limits().requests.list_limit_max);
  state.tree().children(
      op.path, op.after, op.prefix, [&](std::string_view name, const znode::View& view) {
        const auto path = op.with_values || op.path == "/" ? znode::join(op.path, name) : "";
        if (op.path == "/" && !op.with_system && znode::is_system(path)) return true;
        if (list.children.size() >= most) {
          list.is_last = false;
          return false;
        }
        auto& child = list.children.emplace_back();
        child.name = name;
        if (op.with_stat || op.with_values) {
          child.node = node_of(view, path, op.with_values, state, request.identities);
        }
        return true;
      });
  reply.result = std::move(list);
}

void serve_names(const GetNames& op, const Request& request, const StateMachine& state,
                 Reply& reply) {
  if (!is_readable(op.path, request, state, reply)) return;
  NameList list;
  list.stat = state.tree().get(op.path)->stat;
  list.names.reserve(list.stat.num_children);
  state.tree().children(op.path, {}, {}, [&](std::string_view name, const znode::View&) {
    list.names.emplace_back(name);
    return true;
  });
  reply.result = std::move(list);
}

void serve_many(const ReadMany& op, const Request& request, const StateMachine& state,
                Reply& reply) {
  ManyRead many;
  many.results.reserve(op.reads.size());
  std::size_t bytes = 0;
  for (const auto& read : op.reads) {
    auto& one = many.results.emplace_back();
    Reply part;
    std::visit(Overloaded{[&](const Get& get) { serve_get(get, request, state, part); },
                          [&](const GetNames& get) { serve_names(get, request, state, part); }},
               read);
    one.code = part.code;
    if (auto* node = std::get_if<NodeValue>(&part.result)) {
      bytes += node->value.size();
      one.result = std::move(*node);
    } else if (auto* list = std::get_if<NameList>(&part.result)) {
      for (const auto& name : list->names) bytes += name.size();
      one.result = std::move(*list);
    }
    if (bytes > kTxnResultBytesMax) {
      reply.code = Code::too_large;
      reply.detail = fmt::format("what one request reads is at most {} bytes", kTxnResultBytesMax);
      return;
    }
  }
  reply.result = std::move(many);
}

void serve_acl(const GetAcl& op, const Request& request, const StateMachine& state, Reply& reply) {
  const auto& tree = state.tree();
  const bool may_admin =
      tree.check_access(op.path, znode::Permission::admin, request.identities) == Code::ok;
  if (!may_admin && !is_readable(op.path, request, state, reply)) return;
  AclView view{*tree.acl_of(op.path), tree.get(op.path)->stat};
  for (auto& entry : view.acl) {
    if (may_admin || entry.scheme != "digest") continue;
    entry.id.resize(std::min(entry.id.find(':'), entry.id.size()));
    entry.id += ":x";
  }
  reply.result = std::move(view);
}

void serve_walk(const Walk& op, const Request& request, const StateMachine& state, Reply& reply) {
  if (!is_readable(op.path, request, state, reply)) return;
  WalkList list;
  const auto most =
      op.limit > 0 ? std::min(op.limit, state.limits().requests.list_limit_max) : kWalkNodesMax;
  state.tree().walk(
      op.path, op.depth, op.after, op.with_system,
      [&](std::string_view path, const znode::View& view) {
        if (list.nodes.size() >= most) {
          list.is_last = false;
          return false;
        }
        std::string name(path);
        auto node = node_of(view, name, op.with_values, state, request.identities);
        auto& entry = list.nodes.emplace_back();
        if (op.with_acls && state.tree().check_access(path, znode::Permission::read,
                                                      request.identities) == Code::ok) {
          entry.acl = *state.tree().acl_of(path);
        }
        entry.path = std::move(name);
        entry.node = std::move(node);
        return true;
      });
  if (!list.is_last && op.limit == 0) {
    reply.code = Code::too_large;
    reply.path = op.path;
    reply.detail = fmt::format(
        "the subtree has more than {} nodes: walk a smaller one, or in pages with limit and cursor",
        kWalkNodesMax);
    return;
  }
  reply.result = std::move(list);
}

}  // namespace

void serve(const Request& request, const StateMachine& state, Reply& reply) {
  std::visit(Overloaded{[&](const Get& op) { serve_get(op, request, state, reply); },
                        [&](const GetChildren& op) { serve_children(op, request, state, reply); },
                        [&](const Walk& op) { serve_walk(op, request, state, reply); },
                        [&](const GetNames& op) { serve_names(op, request, state, reply); },
                        [&](const ReadMany& op) { serve_many(op, request, state, reply); },
                        [&](const CountNodes& op) {
                          if (!is_readable(op.path, request, state, reply)) return;
                          auto count = state.tree().descendants_of(op.path);
                          // ZooKeeper's clients, who ask it, do not know of /.coord.
                          if (op.path == "/") {
                            count -= 1 + state.tree().descendants_of(znode::kServicePath);
                          }
                          reply.result = NodeCount{count};
                        },
                        [&](const GetAcl& op) { serve_acl(op, request, state, reply); },
                        [&](const GetQuota& op) {
                          if (!is_readable(op.path, request, state, reply)) return;
                          const auto quota = state.tree().quota_of(op.path);
                          if (!quota) {
                            reply.code = Code::not_found;
                            reply.path = op.path;
                            reply.detail = "no quota is set on this node";
                            return;
                          }
                          reply.result = QuotaView{quota->quota.nodes_max, quota->quota.bytes_max,
                                                   quota->nodes, quota->bytes};
                        },
                        [&](const RecipeQuery& op) {
                          const recipes::Look look{state.tree(), state.sessions(), state.applied(),
                                                   state.service_ms(), request.identities};
                          RecipeResult result;
                          result.answer = recipes::view(op.kind, op.bytes, look);
                          reply.code = result.answer.code;
                          reply.detail = result.answer.detail;
                          reply.result = std::move(result);
                        },
                        [](const auto&) { COORD_CHECK(false, "not a read of the tree"); }},
             request.op);
}

bool may_see(const znode::Change& change, const Identities& identities) {
  return change.acl.empty() || znode::is_allowed(change.acl, znode::Permission::read, identities);
}

std::vector<NamedPath> paths_of(const Operation& op) {
  std::vector<NamedPath> paths;
  const auto of_txn_op = [&paths](const TxnOp& txn_op) {
    std::visit(Overloaded{[&](const Create& o) {
                            paths.push_back({o.path, o.is_sequential});
                          },
                          [&](const auto& o) {
                            paths.push_back({o.path, false});
                          }},
               txn_op);
  };
  std::visit(
      Overloaded{[&](const Create& o) {
                   paths.push_back({o.path, o.is_sequential});
                 },
                 [&](const Txn& o) {
                   for (const auto& compare : o.compare) {
                     if (!compare.fence) paths.push_back({compare.path, false});
                   }
                   for (const auto& txn_op : o.then) of_txn_op(txn_op);
                   for (const auto& txn_op : o.otherwise) of_txn_op(txn_op);
                 },
                 [&](const ImportNodes& o) {
                   paths.push_back({o.path, false});
                   for (const auto& node : o.nodes) paths.push_back({node.path, false});
                 },
                 [](const RecipeStep&) {},
                 [](const RecipeQuery&) {},
                 [](const RecipeRenew&) {},
                 [&](const ReadMany& o) {
                   for (const auto& read : o.reads) {
                     std::visit([&](const auto& one) { paths.push_back({one.path, false}); }, read);
                   }
                 },
                 [](const AttachSession&) {},
                 [](const GetEphemerals&) {},
                 [](const OpenSession&) {},
                 [](const CloseSession&) {},
                 [](const Keepalive&) {},
                 [](const GetChanges&) {},
                 [](const GetSession&) {},
                 [](const ListSessions&) {},
                 [](const GetStatus&) {},
                 [](const GetCluster&) {},
                 [](const PrepareBackup&) {},
                 [](const RepairMember&) {},
                 [](const AddMember&) {},
                 [](const ChangeMember&) {},
                 [](const RemoveMember&) {},
                 [](const TransferLeader&) {},
                 [&](const auto& o) {
                   paths.push_back({o.path, false});
                 }},
      op);
  return paths;
}

}  // namespace coord::core
