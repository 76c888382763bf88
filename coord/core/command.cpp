#include "coord/core/command.hpp"

#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::core {
namespace {

// The bits of an optional guard's presence byte.
constexpr std::uint8_t kHasMzxid = 1;
constexpr std::uint8_t kHasVersion = 2;

void put_guard(Writer& out, const WriteGuard& guard) {
  out.u8(
      static_cast<std::uint8_t>((guard.mzxid ? kHasMzxid : 0) | (guard.version ? kHasVersion : 0)));
  if (guard.mzxid) out.id(*guard.mzxid);
  if (guard.version) out.svarint(*guard.version);
}

std::int32_t take_int32(Reader& in) {
  const auto v = in.svarint();
  if (v < INT32_MIN || v > INT32_MAX) in.fail();
  return in.ok() ? static_cast<std::int32_t>(v) : 0;
}

WriteGuard take_guard(Reader& in) {
  WriteGuard guard;
  const auto bits = in.u8();
  if (bits > (kHasMzxid | kHasVersion)) in.fail();
  if ((bits & kHasMzxid) != 0) guard.mzxid = in.id<Zxid>();
  if ((bits & kHasVersion) != 0) guard.version = take_int32(in);
  return guard;
}

znode::Mode take_mode(Reader& in) {
  const auto v = in.u8();
  if (v > static_cast<std::uint8_t>(znode::Mode::ttl)) in.fail();
  return in.ok() ? static_cast<znode::Mode>(v) : znode::Mode::persistent;
}

void put_acl(Writer& out, const znode::Acl& acl) {
  out.varint(acl.size());
  for (const auto& entry : acl) {
    out.u8(entry.permissions);
    out.bytes(entry.scheme);
    out.bytes(entry.id);
  }
}

znode::Acl take_acl(Reader& in) {
  znode::Acl acl;
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) {
    auto& entry = acl.emplace_back();
    entry.permissions = in.u8();
    entry.scheme = in.bytes();
    entry.id = in.bytes();
  }
  return acl;
}

void put_fence(Writer& out, const Fence& fence) {
  out.u8(static_cast<std::uint8_t>(fence.kind));
  out.bytes(fence.name);
  out.varint(fence.token);
}

Fence take_fence(Reader& in) {
  Fence fence;
  const auto kind = in.u8();
  if (kind != 1 && kind != 2) in.fail();
  fence.kind = kind == 2 ? Fence::Kind::election : Fence::Kind::lock;
  fence.name = in.bytes();
  fence.token = in.varint();
  return fence;
}

void put(Writer& out, const Put& op) {
  out.bytes(op.path);
  out.blob(op.value);
  out.bytes(op.content_type);
  out.u8(op.mode ? static_cast<std::uint8_t>(static_cast<std::uint8_t>(*op.mode) + 1) : 0);
  out.svarint(op.ttl_ms);
  out.boolean(op.with_parents);
  out.boolean(op.create_only);
  put_guard(out, op.guard);
}
void take(Reader& in, Put& op) {
  op.path = in.bytes();
  op.value = in.blob();
  op.content_type = in.bytes();
  const auto mode = in.u8();
  if (mode > static_cast<std::uint8_t>(znode::Mode::ttl) + 1) in.fail();
  if (mode > 0 && in.ok()) op.mode = static_cast<znode::Mode>(mode - 1);
  op.ttl_ms = in.svarint();
  op.with_parents = in.boolean();
  op.create_only = in.boolean();
  op.guard = take_guard(in);
}

void put(Writer& out, const Create& op) {
  out.bytes(op.path);
  out.blob(op.value);
  out.bytes(op.content_type);
  out.u8(static_cast<std::uint8_t>(op.mode));
  out.boolean(op.is_sequential);
  out.svarint(op.ttl_ms);
  out.boolean(op.with_parents);
  out.boolean(op.acl.has_value());
  if (op.acl) put_acl(out, *op.acl);
}
void take(Reader& in, Create& op) {
  op.path = in.bytes();
  op.value = in.blob();
  op.content_type = in.bytes();
  op.mode = take_mode(in);
  op.is_sequential = in.boolean();
  op.ttl_ms = in.svarint();
  op.with_parents = in.boolean();
  if (in.boolean()) op.acl = take_acl(in);
}

void put(Writer& out, const Set& op) {
  out.bytes(op.path);
  out.blob(op.value);
  out.bytes(op.content_type);
  put_guard(out, op.guard);
}
void take(Reader& in, Set& op) {
  op.path = in.bytes();
  op.value = in.blob();
  op.content_type = in.bytes();
  op.guard = take_guard(in);
}

void put(Writer& out, const Add& op) {
  out.bytes(op.path);
  out.svarint(op.delta);
  put_guard(out, op.guard);
}
void take(Reader& in, Add& op) {
  op.path = in.bytes();
  op.delta = in.svarint();
  op.guard = take_guard(in);
}

void put(Writer& out, const Delete& op) {
  out.bytes(op.path);
  out.boolean(op.is_recursive);
  put_guard(out, op.guard);
}
void take(Reader& in, Delete& op) {
  op.path = in.bytes();
  op.is_recursive = in.boolean();
  op.guard = take_guard(in);
}

void put(Writer& out, const Check& op) {
  out.bytes(op.path);
  put_guard(out, op.guard);
}
void take(Reader& in, Check& op) {
  op.path = in.bytes();
  op.guard = take_guard(in);
}

void put(Writer& out, const SetAcl& op) {
  out.bytes(op.path);
  put_acl(out, op.acl);
  out.boolean(op.aversion.has_value());
  if (op.aversion) out.svarint(*op.aversion);
}
void take(Reader& in, SetAcl& op) {
  op.path = in.bytes();
  op.acl = take_acl(in);
  if (in.boolean()) op.aversion = take_int32(in);
}

void put_optional(Writer& out, const std::optional<std::uint64_t>& v) {
  out.boolean(v.has_value());
  if (v) out.varint(*v);
}
std::optional<std::uint64_t> take_optional(Reader& in) {
  if (!in.boolean()) return std::nullopt;
  return in.varint();
}

void put(Writer& out, const SetQuota& op) {
  out.bytes(op.path);
  put_optional(out, op.nodes_max);
  put_optional(out, op.bytes_max);
}
void take(Reader& in, SetQuota& op) {
  op.path = in.bytes();
  op.nodes_max = take_optional(in);
  op.bytes_max = take_optional(in);
}

void put(Writer& out, const TxnGet& op) { out.bytes(op.path); }
void take(Reader& in, TxnGet& op) { op.path = in.bytes(); }
void put(Writer& out, const TxnChildren& op) {
  out.bytes(op.path);
  out.varint(op.limit);
}
void take(Reader& in, TxnChildren& op) {
  op.path = in.bytes();
  op.limit = in.varint32();
}

// Declared for take_alternative(), which is a template and looks names up where it stands.
void take(Reader& in, Txn& op);
void take(Reader& in, OpenSession& op);
void take(Reader& in, CloseSession& op);
void take(Reader& in, ExpireSessions& op);
void take(Reader& in, Reap& op);
void take(Reader& in, Bootstrap& op);
void take(Reader& in, SetMember& op);
void take(Reader& in, BeginImport& op);
void take(Reader& in, ImportNodes& op);
void take(Reader& in, FinishImport& op);
void take(Reader& in, RecipeStep& op);
void take(Reader& in, RecipesDue& op);
void take(Reader& in, AttachSession& op);

// Fills the alternative `index` of a variant by its take(); false when there is none such.
template <class Variant, std::size_t I = 0>
bool take_alternative(Reader& in, std::size_t index, Variant& out) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (index == I) {
      take(in, out.template emplace<I>());
      return in.ok();
    }
    return take_alternative<Variant, I + 1>(in, index, out);
  } else {
    return false;
  }
}

void put_ops(Writer& out, const std::vector<TxnOp>& ops) {
  out.varint(ops.size());
  for (const auto& op : ops) {
    out.u8(static_cast<std::uint8_t>(op.index()));
    std::visit([&out](const auto& o) { put(out, o); }, op);
  }
}
std::vector<TxnOp> take_ops(Reader& in) {
  std::vector<TxnOp> ops;
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) {
    if (!take_alternative(in, in.u8(), ops.emplace_back())) in.fail();
  }
  return ops;
}

constexpr std::uint8_t kCompareExists = 1;
constexpr std::uint8_t kCompareMzxid = 2;
constexpr std::uint8_t kCompareVersion = 4;
constexpr std::uint8_t kCompareValue = 8;
constexpr std::uint8_t kCompareFence = 16;

void put(Writer& out, const Compare& c) {
  out.bytes(c.path);
  out.u8(static_cast<std::uint8_t>((c.exists ? kCompareExists : 0) | (c.mzxid ? kCompareMzxid : 0) |
                                   (c.version ? kCompareVersion : 0) |
                                   (c.value ? kCompareValue : 0) | (c.fence ? kCompareFence : 0)));
  if (c.exists) out.boolean(*c.exists);
  if (c.mzxid) out.id(*c.mzxid);
  if (c.version) out.svarint(*c.version);
  if (c.value) out.blob(*c.value);
  if (c.fence) put_fence(out, *c.fence);
}
void take(Reader& in, Compare& c) {
  c.path = in.bytes();
  const auto bits = in.u8();
  if (bits > 31) in.fail();
  if ((bits & kCompareExists) != 0) c.exists = in.boolean();
  if ((bits & kCompareMzxid) != 0) c.mzxid = in.id<Zxid>();
  if ((bits & kCompareVersion) != 0) c.version = take_int32(in);
  if ((bits & kCompareValue) != 0) c.value = in.blob();
  if ((bits & kCompareFence) != 0) c.fence = take_fence(in);
}

void put(Writer& out, const Txn& op) {
  out.varint(op.compare.size());
  for (const auto& c : op.compare) put(out, c);
  put_ops(out, op.then);
  put_ops(out, op.otherwise);
}
void take(Reader& in, Txn& op) {
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) take(in, op.compare.emplace_back());
  op.then = take_ops(in);
  op.otherwise = take_ops(in);
}

void put(Writer& out, const OpenSession& op) {
  out.svarint(op.ttl_ms);
  out.bytes(op.name);
  out.bytes(op.address);
  for (const auto byte : op.secret) out.u8(byte);
}
void take(Reader& in, OpenSession& op) {
  op.ttl_ms = in.svarint();
  op.name = in.bytes();
  op.address = in.bytes();
  for (auto& byte : op.secret) byte = in.u8();
}

void put(Writer& out, const CloseSession& op) {
  out.id(op.id);
  out.u8(static_cast<std::uint8_t>(op.reason));
}
void take(Reader& in, CloseSession& op) {
  op.id = in.id<SessionId>();
  const auto reason = in.u8();
  if (reason < 1 || reason > 3) in.fail();
  if (in.ok()) op.reason = static_cast<session::EndReason>(reason);
}

void put(Writer& out, const ExpireSessions& op) {
  out.varint(op.sessions.size());
  for (const auto id : op.sessions) out.id(id);
}
void take(Reader& in, ExpireSessions& op) {
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) op.sessions.push_back(in.id<SessionId>());
}

void put(Writer& out, const Reap& op) {
  out.varint(op.paths.size());
  for (const auto& path : op.paths) out.bytes(path);
}
void take(Reader& in, Reap& op) {
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) op.paths.emplace_back(in.bytes());
}

void take_record(Reader& in, MemberRecord& record) {
  if (!decode(in.bytes(), record)) in.fail();
}

void put(Writer& out, const Bootstrap& op) {
  out.bytes(op.cluster);
  out.varint(op.members.size());
  for (const auto& record : op.members) out.bytes(encode(record));
  out.bytes(election::encode(op.membership));
}
void take(Reader& in, Bootstrap& op) {
  op.cluster = in.bytes();
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) take_record(in, op.members.emplace_back());
  if (!election::decode(in.bytes(), op.membership)) in.fail();
}

void put(Writer& out, const SetMember& op) { out.bytes(encode(op.record)); }
void take(Reader& in, SetMember& op) { take_record(in, op.record); }

void put(Writer& out, const BeginImport& op) {
  out.bytes(op.path);
  out.bytes(op.source);
}
void take(Reader& in, BeginImport& op) {
  op.path = in.bytes();
  op.source = in.bytes();
}

void put(Writer& out, const ImportedNode& node) {
  out.bytes(node.path);
  out.boolean(node.is_deleted);
  if (node.is_deleted) return;
  out.blob(node.value);
  out.u8(static_cast<std::uint8_t>(node.as.mode));
  out.svarint(node.as.ttl_ms);
  put_acl(out, node.as.acl);
  out.svarint(node.as.version);
  out.svarint(node.as.aversion);
  out.varint(node.as.created);
  out.svarint(node.as.ctime_ms);
  out.svarint(node.as.mtime_ms);
}
void take(Reader& in, ImportedNode& node) {
  node.path = in.bytes();
  node.is_deleted = in.boolean();
  if (node.is_deleted) return;
  node.value = in.blob();
  node.as.mode = take_mode(in);
  node.as.ttl_ms = in.svarint();
  node.as.acl = take_acl(in);
  node.as.version = take_int32(in);
  node.as.aversion = take_int32(in);
  node.as.created = in.varint();
  node.as.ctime_ms = in.svarint();
  node.as.mtime_ms = in.svarint();
}
void put(Writer& out, const ImportNodes& op) {
  out.bytes(op.path);
  out.varint(op.nodes.size());
  for (const auto& node : op.nodes) put(out, node);
}
void take(Reader& in, ImportNodes& op) {
  op.path = in.bytes();
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) take(in, op.nodes.emplace_back());
}

void put(Writer& out, const FinishImport& op) { out.bytes(op.path); }
void take(Reader& in, FinishImport& op) { op.path = in.bytes(); }

void put(Writer& out, const RecipeStep& op) {
  out.u8(static_cast<std::uint8_t>(op.kind));
  out.bytes(op.bytes);
  out.boolean(op.own_session.has_value());
  if (!op.own_session) return;
  out.svarint(op.own_session->ttl_ms);
  out.bytes(op.own_session->name);
  out.bytes(op.own_session->address);
  for (const auto byte : op.own_session->secret) out.u8(byte);
}
void take(Reader& in, RecipeStep& op) {
  const auto kind = in.u8();
  if (kind < 1 || kind > recipes::kKindLast) in.fail();
  op.kind = in.ok() ? static_cast<recipes::Kind>(kind) : recipes::Kind::lock;
  op.bytes = in.bytes();
  if (!recipes::is_step(op.kind, op.bytes)) in.fail();
  if (!in.boolean()) return;
  auto& own = op.own_session.emplace();
  own.ttl_ms = in.svarint();
  own.name = in.bytes();
  own.address = in.bytes();
  for (auto& byte : own.secret) byte = in.u8();
}

void put(Writer& out, const RecipesDue& op) {
  out.varint(op.paths.size());
  for (const auto& path : op.paths) out.bytes(path);
}
void take(Reader& in, RecipesDue& op) {
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) op.paths.emplace_back(in.bytes());
}

void put(Writer& out, const AttachSession& op) {
  out.id(op.id);
  out.bytes(op.address);
}
void take(Reader& in, AttachSession& op) {
  op.id = in.id<SessionId>();
  op.address = in.bytes();
}

std::uint8_t version_of(const Command& command) {
  const auto* const attach = std::get_if<AttachSession>(&command.op);
  if (attach != nullptr && attach->ttl_ms != 0) return 3;
  return command.attachment ? 2 : 1;
}

}  // namespace

std::string encode(const Command& command) {
  std::string bytes;
  bytes.reserve(256);
  Writer out(bytes);
  const auto version = version_of(command);
  out.u8(version);
  out.svarint(command.service_ms);
  out.svarint(command.wall_ms);
  out.id(command.session);
  if (version > 1) out.id(command.attachment);
  out.varint(command.identities.size());
  for (const auto& identity : command.identities) {
    out.bytes(identity.scheme);
    out.bytes(identity.id);
  }
  out.bytes(command.idempotency_key);
  if (!command.idempotency_key.empty()) out.u64(command.request_hash);
  out.varint(command.fences.size());
  for (const auto& fence : command.fences) put_fence(out, fence);
  out.id(command.origin.member);
  if (command.origin.member) out.u64(command.origin.number);
  out.u8(static_cast<std::uint8_t>(command.op.index()));
  std::visit([&out](const auto& op) { put(out, op); }, command.op);
  if (version > 2) out.svarint(std::get<AttachSession>(command.op).ttl_ms);
  return bytes;
}

DecodeError decode(std::string_view bytes, Command& command) {
  Reader in(bytes);
  command = Command();
  const auto version = in.u8();
  if (!in.ok()) return DecodeError::malformed;
  if (version < 1 || version > kCommandVersion) return DecodeError::unknown_version;
  command.service_ms = in.svarint();
  command.wall_ms = in.svarint();
  command.session = in.id<SessionId>();
  if (version > 1) command.attachment = in.id<Zxid>();
  const auto identities = in.count();
  for (std::size_t i = 0; i < identities && in.ok(); ++i) {
    auto& identity = command.identities.emplace_back();
    identity.scheme = in.bytes();
    identity.id = in.bytes();
  }
  command.idempotency_key = in.bytes();
  if (!command.idempotency_key.empty()) command.request_hash = in.u64();
  const auto fences = in.count();
  for (std::size_t i = 0; i < fences && in.ok(); ++i) command.fences.push_back(take_fence(in));
  command.origin.member = in.id<MemberId>();
  if (command.origin.member) command.origin.number = in.u64();
  const auto index = in.u8();
  if (!in.ok() || !take_alternative(in, index, command.op)) return DecodeError::malformed;
  if (version > 2) {
    auto* const attach = std::get_if<AttachSession>(&command.op);
    if (attach == nullptr) return DecodeError::malformed;
    attach->ttl_ms = in.svarint();
  }
  return in.done() ? DecodeError::none : DecodeError::malformed;
}

bool is_write(const Operation& op) noexcept {
  return std::visit(
      Overloaded{[](const Put&) { return true; }, [](const Create&) { return true; },
                 [](const Set&) { return true; }, [](const Add&) { return true; },
                 [](const Delete&) { return true; }, [](const SetAcl&) { return true; },
                 [](const SetQuota&) { return true; }, [](const Txn&) { return true; },
                 [](const OpenSession&) { return true; }, [](const CloseSession&) { return true; },
                 [](const BeginImport&) { return true; }, [](const ImportNodes&) { return true; },
                 [](const FinishImport&) { return true; }, [](const RecipeStep&) { return true; },
                 [](const AttachSession&) { return true; }, [](const auto&) { return false; }},
      op);
}

WriteOp write_op_of(Operation&& op) {
  COORD_CHECK(is_write(op), "only a write has a command");
  return std::visit(
      [](auto&& o) -> WriteOp {
        using Op = std::decay_t<decltype(o)>;
        if constexpr (std::is_constructible_v<WriteOp, Op>) {
          return WriteOp(std::forward<decltype(o)>(o));
        } else {
          COORD_CHECK(false, "not a write");
          return WriteOp();
        }
      },
      std::move(op));
}

}  // namespace coord::core
