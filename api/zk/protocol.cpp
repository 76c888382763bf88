#include "api/zk/protocol.hpp"

#include <algorithm>

#include "api/zk/jute.hpp"

namespace coord::api::zk {

std::optional<ErrorCode> error_of(Code code) noexcept {
  switch (code) {
    case Code::ok:
      return ErrorCode::ok;
    case Code::no_node:
    case Code::precondition_no_node:
      return ErrorCode::no_node;
    case Code::forbidden:
      return ErrorCode::no_auth;
    case Code::bad_version:
      return ErrorCode::bad_version;
    case Code::no_children_for_ephemerals:
      return ErrorCode::no_children_for_ephemerals;
    case Code::node_exists:
      return ErrorCode::node_exists;
    case Code::not_empty:
      return ErrorCode::not_empty;
    case Code::session_expired:
    case Code::not_found:
    case Code::bad_session_secret:
      return ErrorCode::session_expired;
    case Code::invalid:
      return ErrorCode::invalid_acl;
    case Code::session_moved:
      return ErrorCode::session_moved;
    case Code::bad_request:
    case Code::too_large:
      return ErrorCode::bad_arguments;
    case Code::quota:
      return ErrorCode::quota_exceeded;
    case Code::transaction_aborted:
      return ErrorCode::runtime_inconsistency;
    case Code::no_leader:
    case Code::outcome_unknown:
    case Code::behind:
    case Code::stale:
    case Code::overloaded:
    case Code::not_ready:
    case Code::diverged:
      return std::nullopt;
    default:
      return ErrorCode::system_error;
  }
}

std::string_view name_of(OpCode op) noexcept {
  switch (op) {
    case OpCode::create:
    case OpCode::create2:
    case OpCode::create_container:
    case OpCode::create_ttl:
      return "CREA";
    case OpCode::erase:
    case OpCode::delete_container:
      return "DELE";
    case OpCode::exists:
      return "EXIS";
    case OpCode::get_data:
      return "GETD";
    case OpCode::set_data:
      return "SETD";
    case OpCode::get_acl:
      return "GETA";
    case OpCode::set_acl:
      return "SETA";
    case OpCode::get_children:
    case OpCode::get_children2:
      return "GETC";
    case OpCode::get_all_children_number:
      return "GETACN";
    case OpCode::get_ephemerals:
      return "GETE";
    case OpCode::sync:
      return "SYNC";
    case OpCode::ping:
      return "PING";
    case OpCode::check:
      return "CHEC";
    case OpCode::multi:
      return "MULT";
    case OpCode::multi_read:
      return "MLTR";
    case OpCode::reconfig:
      return "RECO";
    case OpCode::check_watches:
      return "CHKW";
    case OpCode::remove_watches:
      return "REMW";
    case OpCode::set_watches:
      return "SETW";
    case OpCode::set_watches2:
      return "STW2";
    case OpCode::add_watch:
      return "ADDW";
    case OpCode::who_am_i:
      return "HOMI";
    case OpCode::close_session:
      return "CLOS";
    case OpCode::auth:
    case OpCode::sasl:
    case OpCode::none:
      break;
  }
  return {};
}

bool decode(std::string_view frame, ConnectRequest& request) {
  JuteReader in(frame);
  request = ConnectRequest();
  request.protocol = in.i32();
  request.last_seen = Zxid(static_cast<std::uint64_t>(in.i64()));
  request.timeout_ms = in.i32();
  request.session = SessionId(static_cast<std::uint64_t>(in.i64()));
  const auto password = in.text();
  if (!in.ok()) return false;
  // One of another length is the password of no session.
  if (password.size() == request.password.size()) {
    std::copy_n(password.begin(), password.size(), request.password.begin());
  }
  request.has_read_only = in.remaining() > 0;
  if (request.has_read_only) request.is_read_only = in.boolean();
  return in.ok();
}

void put_connected(std::string& out, const ConnectRequest& request, SessionId session,
                   std::int64_t timeout_ms, const session::Secret& password, bool is_read_only) {
  JuteWriter to(out);
  to.i32(request.has_read_only ? 37 : 36);
  to.i32(0);
  to.i32(static_cast<std::int32_t>(std::min<std::int64_t>(timeout_ms, INT32_MAX)));
  to.i64(static_cast<std::int64_t>(session.value()));
  to.bytes({reinterpret_cast<const char*>(password.data()), password.size()});
  if (request.has_read_only) to.boolean(is_read_only);
}

void put_refused(std::string& out, const ConnectRequest& request) {
  put_connected(out, request, SessionId(), 0, session::Secret{});
}

std::size_t begin_reply(std::string& out, std::int32_t xid, ErrorCode error) {
  const auto begin = out.size();
  char head[kReplyHead] = {};
  put_big_endian<4>(head + 4, static_cast<std::uint32_t>(xid));
  put_big_endian<4>(head + 16, static_cast<std::uint32_t>(error));
  out.append(head, kReplyHead);
  return begin;
}

void end_reply(std::string& out, std::size_t begin, Zxid zxid) {
  put_big_endian<4>(out.data() + begin, out.size() - begin - 4);
  set_zxid(out, begin, zxid);
}

void set_zxid(std::string& out, std::size_t begin, Zxid zxid) {
  put_big_endian<8>(out.data() + begin + 8, zxid.value());
}

void put_event(std::string& out, EventType type, std::string_view path) {
  constexpr std::int32_t kConnectedState = 3;
  const auto begin = begin_reply(out, kNotificationXid, ErrorCode::ok);
  JuteWriter to(out);
  to.i32(static_cast<std::int32_t>(type));
  to.i32(kConnectedState);
  to.bytes(path);
  end_reply(out, begin, Zxid(UINT64_MAX));
}

void put_stat(JuteWriter& out, const znode::Stat& stat) {
  out.i64(static_cast<std::int64_t>(stat.czxid.value()));
  out.i64(static_cast<std::int64_t>(stat.mzxid.value()));
  out.i64(stat.ctime_ms);
  out.i64(stat.mtime_ms);
  out.i32(stat.version);
  out.i32(stat.cversion);
  out.i32(stat.aversion);
  out.i64(static_cast<std::int64_t>(stat.ephemeral_owner.value()));
  out.i32(static_cast<std::int32_t>(stat.data_length));
  out.i32(static_cast<std::int32_t>(stat.num_children));
  out.i64(static_cast<std::int64_t>(stat.pzxid.value()));
}

void put_value(JuteWriter& out, const Blob& value) {
  if (value.is_null()) {
    out.null();
  } else {
    out.bytes(value.view());
  }
}

Blob take_value(JuteReader& in) {
  const auto bytes = in.buffer();
  return bytes ? Blob(*bytes) : Blob();
}

void put_acl(JuteWriter& out, const znode::Acl& acl) {
  out.i32(static_cast<std::int32_t>(acl.size()));
  for (const auto& entry : acl) {
    out.i32(entry.permissions);
    out.bytes(entry.scheme);
    out.bytes(entry.id);
  }
}

znode::Acl take_acl(JuteReader& in) {
  constexpr std::size_t kEntryBytesMin = 12;
  constexpr std::uint8_t kNoPermissions = 0xff;  // Not a set of permissions: refused later.
  znode::Acl acl;
  for (auto left = in.count(kEntryBytesMin); left > 0 && in.ok(); --left) {
    auto& entry = acl.emplace_back();
    const auto permissions = in.i32();
    entry.permissions = permissions >= 0 && permissions <= znode::Permission::all
                            ? static_cast<std::uint8_t>(permissions)
                            : kNoPermissions;
    entry.scheme = in.text();
    entry.id = in.text();
  }
  return acl;
}

}  // namespace coord::api::zk
