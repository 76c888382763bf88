#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/text.hpp"
#include "api/zk/jute.hpp"
#include "api/zk/ops.hpp"
#include "coord/base/overloaded.hpp"
#include "znode/path.hpp"

namespace coord::api::zk {
namespace {

// The paths that ZooKeeper does not let go. Any other malformed one is missing.
bool is_kept(std::string_view path) {
  return path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos ||
         path == "/" || path == znode::kZooKeeperPath || path == znode::kQuotaPath ||
         path == znode::kConfigPath;
}

// Where ZooKeeper sees a refusal with other eyes.
std::optional<ErrorCode> error_for(OpCode op, Code code, std::string_view path) {
  if (code == Code::bad_request) {
    if (op == OpCode::erase && !is_kept(path)) return ErrorCode::no_node;
    const bool is_create = op == OpCode::create || op == OpCode::create2 ||
                           op == OpCode::create_container || op == OpCode::create_ttl;
    if (is_create && path == "/") return ErrorCode::node_exists;
  }
  return error_of(code);
}

void put_names(JuteWriter& out, bool is_root, const core::NameList& list) {
  const auto is_hidden = [&](const std::string& name) {
    return is_root && name == znode::name_of(znode::kServicePath);
  };
  const auto hidden = std::count_if(list.names.begin(), list.names.end(), is_hidden);
  out.i32(static_cast<std::int32_t>(list.names.size()) - static_cast<std::int32_t>(hidden));
  for (const auto& name : list.names) {
    if (!is_hidden(name)) out.bytes(name);
  }
}

constexpr std::int32_t type_of(OpCode op) { return static_cast<std::int32_t>(op); }

void put_part_header(JuteWriter& out, std::int32_t type, bool is_done, ErrorCode error) {
  out.i32(type);
  out.boolean(is_done);
  out.i32(static_cast<std::int32_t>(error));
}

void put_failed_part(JuteWriter& out, ErrorCode error) {
  put_part_header(out, -1, false, error);
  out.i32(static_cast<std::int32_t>(error));
}

// As 3.8 answers them: create2 as create, container and ttl as create2.
void put_part(JuteWriter& out, const Call::Part& part, const core::TxnOpResult& result) {
  switch (part.op) {
    case OpCode::create:
    case OpCode::create2:
      put_part_header(out, type_of(OpCode::create), false, ErrorCode::ok);
      out.bytes(result.path);
      return;
    case OpCode::create_container:
    case OpCode::create_ttl:
      put_part_header(out, type_of(OpCode::create2), false, ErrorCode::ok);
      out.bytes(result.path);
      put_stat(out, result.stat);
      return;
    case OpCode::set_data:
      put_part_header(out, type_of(part.op), false, ErrorCode::ok);
      put_stat(out, shown_stat(part.is_root, result.stat));
      return;
    default:
      put_part_header(out, type_of(part.op), false, ErrorCode::ok);
  }
}

void put_multi(JuteWriter& out, const Call& call, const core::Reply& reply) {
  const auto* txn = std::get_if<core::TxnResult>(&reply.result);
  if (reply.code == Code::ok && txn != nullptr) {
    for (std::size_t i = 0; i < txn->results.size(); ++i) {
      put_part(out, call.parts[i], txn->results[i]);
    }
  } else {
    const std::size_t failed = txn != nullptr ? txn->failed_op.value_or(0) : 0;
    for (std::size_t i = 0; i < call.parts.size(); ++i) {
      auto error = i < failed ? ErrorCode::ok : ErrorCode::runtime_inconsistency;
      if (i == failed) {
        error =
            error_for(call.parts[i].op, reply.code, reply.path).value_or(ErrorCode::system_error);
      }
      put_failed_part(out, error);
    }
  }
  put_part_header(out, -1, true, ErrorCode(-1));
}

void put_multi_read(JuteWriter& out, const Call& call, const core::ManyRead& many) {
  for (std::size_t i = 0; i < many.results.size(); ++i) {
    const auto& one = many.results[i];
    const auto& part = call.parts[i];
    if (one.code != Code::ok) {
      put_failed_part(out, error_of(one.code).value_or(ErrorCode::system_error));
      continue;
    }
    put_part_header(out, type_of(part.op), false, ErrorCode::ok);
    std::visit(Overloaded{[&](const core::NodeValue& node) {
                            put_value(out, node.value);
                            put_stat(out, shown_stat(part.is_root, node.stat));
                          },
                          [&](const core::NameList& list) { put_names(out, part.is_root, list); }},
               one.result);
  }
  put_part_header(out, -1, true, ErrorCode(-1));
}

void put_result(JuteWriter& out, const Call& call, const core::Reply& reply) {
  const auto path = std::string_view(call.text[0]);
  std::visit(Overloaded{[&](const core::Written& written) {
                          const bool is_create =
                              call.op == OpCode::create || call.op == OpCode::create2 ||
                              call.op == OpCode::create_container || call.op == OpCode::create_ttl;
                          if (is_create) out.bytes(written.path);
                          if (call.op != OpCode::create && call.op != OpCode::erase) {
                            put_stat(out, shown_stat(written.path == "/", written.stat));
                          }
                        },
                        [&](const core::NodeValue& node) {
                          if (call.op == OpCode::sync) return out.bytes(path);
                          if (call.op == OpCode::add_watch) return out.i32(0);
                          if (call.op == OpCode::get_data) put_value(out, node.value);
                          if (call.op == OpCode::get_data || call.op == OpCode::exists) {
                            put_stat(out, shown_stat(path == "/", node.stat));
                          }
                        },
                        [&](const core::NameList& list) {
                          put_names(out, path == "/", list);
                          if (call.op == OpCode::get_children2)
                            put_stat(out, shown_stat(path == "/", list.stat));
                        },
                        [&](const core::AclView& view) {
                          put_acl(out, view.acl);
                          put_stat(out, shown_stat(path == "/", view.stat));
                        },
                        [&](const core::ManyRead& many) {
                          if (call.op == OpCode::multi_read) put_multi_read(out, call, many);
                        },
                        [&](const core::PathList& list) {
                          out.i32(static_cast<std::int32_t>(list.paths.size()));
                          for (const auto& one : list.paths) out.bytes(one);
                        },
                        [&](const core::ClusterView& view) {
                          const auto text = configuration_of(view);
                          znode::Stat stat;
                          stat.data_length = static_cast<std::uint32_t>(text.size());
                          // ZooKeeper's sets them so, whatever their last value was.
                          if (!text.empty()) stat.version = stat.aversion = -1;
                          if (call.op == OpCode::get_data) out.bytes(text);
                          put_stat(out, stat);
                        },
                        [&](const core::NodeCount& found) {
                          out.i32(static_cast<std::int32_t>(found.count));
                        },
                        [](const auto&) {}},
             reply.result);
}

}  // namespace

std::string configuration_of(const core::ClusterView& view) {
  std::string text;
  for (const auto& member : view.members) {
    const auto port = parse_u64(std::string_view(member.peer).substr(member.peer.rfind(':') + 1));
    if (member.peer.empty() || !port) continue;
    text += fmt::format("server.{}={}:{}:{}", member.id, member.peer,
                        *port < UINT16_MAX ? *port + 1 : *port - 1,
                        member.role == "voter" ? "participant" : "observer");
    if (!member.zookeeper.empty()) text += ';' + member.zookeeper;
    text += '\n';
  }
  if (!text.empty()) text += fmt::format("version={:x}", kConfigVersion);
  return text;
}

bool answer_call(const Call& call, const core::Reply& reply, std::string& out, std::size_t& begin) {
  if (call.op == OpCode::multi && error_of(reply.code)) {
    const bool is_whole_failure =
        reply.code != Code::ok && std::holds_alternative<std::monostate>(reply.result);
    if (!is_whole_failure) {
      begin = begin_reply(out, call.xid, ErrorCode::ok);
      JuteWriter to(out);
      put_multi(to, call, reply);
      return true;
    }
  }
  const auto error = error_for(call.op, reply.code, reply.path);
  if (!error) return false;
  begin = begin_reply(out, call.xid, *error);
  if (*error != ErrorCode::ok) return true;
  JuteWriter to(out);
  put_result(to, call, reply);
  return true;
}

void put_identities(std::string& out, const Identities& identities) {
  JuteWriter to(out);
  to.i32(static_cast<std::int32_t>(identities.size()));
  for (const auto& identity : identities) {
    to.bytes(identity.scheme);
    // The user, and not what its password hashes to.
    const auto id = std::string_view(identity.id);
    to.bytes(identity.scheme == "digest" ? id.substr(0, id.find(':')) : id);
  }
}

znode::Stat shown_stat(bool is_root, znode::Stat stat) noexcept {
  if (!is_root) return stat;
  --stat.num_children;
  ++stat.cversion;  // Twice the children created, less those that are there.
  return stat;
}

}  // namespace coord::api::zk
