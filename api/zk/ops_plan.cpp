#include <algorithm>
#include <utility>

#include "api/text.hpp"
#include "api/zk/jute.hpp"
#include "api/zk/ops.hpp"
#include "coord/base/overloaded.hpp"
#include "znode/path.hpp"

namespace coord::api::zk {
namespace {

using Turn = Call::Turn;

constexpr std::int64_t kTtlMax = 0xffffffffffLL;  // Of ZooKeeper's ttl nodes: 40 bits.

void refuse(Call& call, ErrorCode error) {
  call.turn = Turn::at_once;
  call.error = error;
}

// The empty path is the root, for reads.
std::string read_path(JuteReader& in) {
  const auto path = in.path();
  return path.empty() ? "/" : std::string(path);
}

bool has_nul(std::string_view path) { return path.find('\0') != std::string_view::npos; }

// Of a create or delete. ZooKeeper refuses NUL first, and then looks for the parent, of a relative
// path too: a/b is in no a, as //a/b is in no //a.
std::string write_path(JuteReader& in) {
  const auto path = in.path();
  if (has_nul(path)) return {};
  const bool has_no_parent = path.substr(0, 1) != "/" && path.find('/') != std::string_view::npos;
  return has_no_parent ? "//" + std::string(path) : std::string(path);
}

std::optional<std::int32_t> version_of(std::int32_t version) {
  return version == -1 ? std::nullopt : std::optional(version);
}

// What create, create2, createContainer and createTTL have alike. In a multi the flags say what is
// made, whatever `op` is.
ErrorCode take_create(JuteReader& in, OpCode op, bool is_part, core::Create& create) {
  create.path = write_path(in);
  create.value = take_value(in);
  auto acl = take_acl(in);
  const auto flags = in.i32();
  const auto ttl = op == OpCode::create_ttl ? in.i64() : -1;
  const bool is_container = op == OpCode::create_container && !is_part;
  if (!in.ok()) return ErrorCode::marshalling;
  if (acl != znode::open_acl()) create.acl = std::move(acl);
  switch (flags) {
    case 0:
    case 1:
    case 2:
    case 3:
      create.mode = (flags & 1) != 0 ? znode::Mode::ephemeral : znode::Mode::persistent;
      if (is_container) create.mode = znode::Mode::container;
      create.is_sequential = (flags & 2) != 0;
      break;
    case 4:
      create.mode = znode::Mode::container;
      break;
    case 5:
    case 6:
      if (ttl <= 0 || ttl > kTtlMax) return ErrorCode::bad_arguments;
      create.mode = znode::Mode::ttl;
      create.is_sequential = flags == 6;
      create.ttl_ms = ttl;
      break;
    default:
      return ErrorCode::bad_arguments;
  }
  if (op == OpCode::create_ttl && create.ttl_ms == 0 && !is_part) return ErrorCode::bad_arguments;
  return ErrorCode::ok;
}

core::Delete take_delete(JuteReader& in) {
  core::Delete op;
  op.path = write_path(in);
  op.guard.version = version_of(in.i32());
  return op;
}

core::Set take_set(std::string_view path, JuteReader& in) {
  core::Set op;
  op.path = path;
  op.value = take_value(in);
  op.guard.version = version_of(in.i32());
  return op;
}

void plan_create(JuteReader& in, Call& call) {
  core::Create create;
  const auto error = take_create(in, call.op, false, create);
  if (error != ErrorCode::ok) return refuse(call, error);
  call.turn = Turn::write;
  call.held.op = std::move(create);
}

void plan_get(JuteReader& in, bool with_value, Call& call) {
  core::Get get;
  get.path = read_path(in);
  get.with_value = with_value;
  const bool is_watched = in.boolean();
  if (call.op == OpCode::exists && has_nul(get.path)) return refuse(call, ErrorCode::bad_arguments);
  if (is_watched) call.watch = {data_watch, get.path};
  call.turn = Turn::read;
  call.held.op = std::move(get);
}

void plan_children(JuteReader& in, Call& call) {
  core::GetNames get{read_path(in)};
  if (in.boolean()) call.watch = {child_watch, get.path};
  call.turn = Turn::read;
  call.held.op = std::move(get);
}

void plan_sync(JuteReader& in, Call& call) {
  call.text[0] = in.text();
  // A read that a quorum confirms: what was committed before is applied here once it is answered.
  call.turn = Turn::write;
  call.held.op = core::Get{"/", false, std::nullopt};
  call.held.consistency = core::Consistency::linearizable;
}

// A read of nothing: what watches do to themselves keeps its place among the connection's reads.
void plan_watch_op(Call& call) {
  call.turn = Turn::read;
  call.held.op = core::Get{"/", false, std::nullopt};
}

void plan_add_watch(JuteReader& in, Call& call) {
  const std::string path(in.text());
  const auto mode = in.i32();
  if (mode != 0 && mode != 1) in.fail();
  if (!in.ok()) return;
  call.watch = {mode == 0 ? persistent_watch : recursive_watch, path.empty() ? "/" : path};
  plan_watch_op(call);
}

void plan_remove_watches(JuteReader& in, Call& call) {
  auto path = read_path(in);
  const auto type = in.i32();
  if (type < 1 || type > 3) in.fail();
  if (!in.ok()) return;
  std::uint8_t kinds = any_watch;
  if (type == 1) kinds = any_child_watch;
  if (type == 2) kinds = any_data_watch;
  call.watch = {kinds, std::move(path)};
  plan_watch_op(call);
}

void plan_set_watches(JuteReader& in, Call& call) {
  using Kind = Call::Rearm::Kind;
  call.rearm.since = Zxid(static_cast<std::uint64_t>(in.i64()));
  core::ReadMany many;
  const auto take = [&](Kind kind) {
    for (auto left = in.list(4); left > 0 && in.ok(); --left) {
      auto path = read_path(in);
      many.reads.emplace_back(core::Get{path, false, std::nullopt});
      call.rearm.watches.emplace_back(kind, std::move(path));
    }
  };
  for (const auto kind : {Kind::data, Kind::exist, Kind::child}) take(kind);
  if (call.op == OpCode::set_watches2) {
    for (const auto kind : {Kind::persistent, Kind::recursive}) take(kind);
  }
  call.turn = Turn::read;
  call.held.op = std::move(many);
}

// The part of a multi that `type` says; it becomes what the answer shows.
ErrorCode take_part(JuteReader& in, OpCode& type, core::Txn& txn) {
  switch (type) {
    case OpCode::create:
    case OpCode::create2:
    case OpCode::create_container:
    case OpCode::create_ttl: {
      core::Create create;
      const auto error = take_create(in, type, true, create);
      type = OpCode::create;
      if (create.mode == znode::Mode::container) type = OpCode::create_container;
      if (create.mode == znode::Mode::ttl) type = OpCode::create_ttl;
      txn.then.emplace_back(std::move(create));
      return error;
    }
    case OpCode::erase:
      txn.then.emplace_back(take_delete(in));
      return ErrorCode::ok;
    case OpCode::set_data:
      txn.then.emplace_back(take_set(in.path(), in));
      return ErrorCode::ok;
    case OpCode::check: {
      core::Check check;
      check.path = in.path();
      check.guard.version = version_of(in.i32());
      txn.then.emplace_back(std::move(check));
      return ErrorCode::ok;
    }
    default:
      return ErrorCode::marshalling;
  }
}

// Reads the header before each part of a multi: false at the end of them.
bool next_part(JuteReader& in, OpCode& type) {
  type = static_cast<OpCode>(in.i32());
  const bool is_done = in.boolean();
  in.i32();  // The error, of replies.
  return in.ok() && !is_done;
}

void plan_multi(JuteReader& in, Call& call) {
  core::Txn txn;
  OpCode type = OpCode::none;
  while (next_part(in, type)) {
    const auto error = take_part(in, type, txn);
    if (!in.ok() || error == ErrorCode::marshalling) return refuse(call, ErrorCode::marshalling);
    const auto* const set = std::get_if<core::Set>(&txn.then.back());
    call.parts.push_back({type, set != nullptr && set->path == "/"});
    // What fails before the tree is looked at fails the whole, at its place.
    if (error != ErrorCode::ok) {
      core::Check impossible;
      impossible.path = "";
      txn.then.back() = std::move(impossible);
    }
  }
  call.turn = Turn::write;
  call.held.op = std::move(txn);
}

void plan_multi_read(JuteReader& in, Call& call) {
  core::ReadMany many;
  OpCode type = OpCode::none;
  while (next_part(in, type)) {
    auto path = read_path(in);
    in.boolean();  // Watches are not set by it.
    call.parts.push_back({type, path == "/"});
    if (type == OpCode::get_data) {
      many.reads.emplace_back(core::Get{std::move(path), true, std::nullopt});
    } else if (type == OpCode::get_children) {
      many.reads.emplace_back(core::GetNames{std::move(path)});
    } else {
      return refuse(call, ErrorCode::marshalling);
    }
  }
  call.turn = Turn::read;
  call.held.op = std::move(many);
}

// server.ID=HOST:PORT:PORT[:ROLE];CLIENTS
bool is_server(std::string_view text) {
  const auto equal = text.find('=');
  const auto end = text.find(';');
  if (equal == std::string_view::npos || end == std::string_view::npos || end < equal) return false;
  const auto address = text.substr(equal, end - equal);
  return text.substr(0, 7) == "server." && parse_u64(text.substr(7, equal - 7)) &&
         std::count(address.begin(), address.end(), ':') >= 2;
}

// Between commas; none are fine.
bool are_servers(std::string_view text) {
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (!is_server(text.substr(0, comma))) return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

// The ensemble is changed over HTTP or with coordctl: here it is only said who may not, what is
// malformed and what is out of date, as ZooKeeper says it; and that it is not done.
void plan_reconfig(JuteReader& in, Call& call) {
  const auto joining = in.text();
  const auto leaving = in.text();
  const bool has_change = !joining.empty() || !leaving.empty();
  const auto members = in.text();
  const auto version = in.i64();
  if (version != -1 && version != kConfigVersion) return refuse(call, ErrorCode::bad_version);
  const bool is_sound =
      has_change == members.empty() && are_servers(joining) && are_servers(members);
  refuse(call, is_sound ? ErrorCode::unimplemented : ErrorCode::bad_arguments);
}

void plan_known(JuteReader& in, const core::SessionCredential& session, Call& call) {
  switch (call.op) {
    case OpCode::create:
    case OpCode::create2:
    case OpCode::create_container:
    case OpCode::create_ttl:
      return plan_create(in, call);
    case OpCode::erase:
      call.turn = Turn::write;
      call.held.op = take_delete(in);
      return;
    case OpCode::set_data:
      call.turn = Turn::write;
      call.held.op = take_set(in.text(), in);
      return;
    case OpCode::exists:
      return plan_get(in, false, call);
    case OpCode::get_data:
      return plan_get(in, true, call);
    case OpCode::get_children:
    case OpCode::get_children2:
      return plan_children(in, call);
    case OpCode::get_acl:
      call.turn = Turn::read;
      call.held.op = core::GetAcl{read_path(in)};
      return;
    case OpCode::set_acl: {
      core::SetAcl op;
      op.path = in.text();
      op.acl = take_acl(in);
      op.aversion = version_of(in.i32());
      call.turn = Turn::write;
      call.held.op = std::move(op);
      return;
    }
    case OpCode::sync:
      return plan_sync(in, call);
    case OpCode::ping:
      call.turn = Turn::ping;
      call.held.op = core::Keepalive{session.id};
      return;
    case OpCode::multi:
      return plan_multi(in, call);
    case OpCode::multi_read:
      return plan_multi_read(in, call);
    case OpCode::check_watches:
    case OpCode::remove_watches:
      return plan_remove_watches(in, call);
    case OpCode::add_watch:
      return plan_add_watch(in, call);
    case OpCode::set_watches:
    case OpCode::set_watches2:
      return plan_set_watches(in, call);
    case OpCode::get_ephemerals:
      call.turn = Turn::read;
      call.held.op = core::GetEphemerals{session.id, std::string(in.text())};
      return;
    case OpCode::get_all_children_number:
      call.turn = Turn::read;
      call.text[0] = read_path(in);
      call.held.op = core::CountNodes{call.text[0]};
      return;
    case OpCode::auth:
      in.i32();  // A type that nobody uses.
      call.text[0] = in.text();
      call.text[1] = in.text();
      return;
    case OpCode::close_session:
      call.turn = Turn::write;
      call.held.op = core::CloseSession{session.id, session::EndReason::closed};
      call.is_last = true;
      return;
    case OpCode::who_am_i:
      return;
    case OpCode::sasl:
      // No login is configured: refused as a login that failed.
      refuse(call, ErrorCode::auth_failed);
      call.is_last = true;
      return;
    case OpCode::reconfig:
      return plan_reconfig(in, call);
    case OpCode::delete_container:
      return refuse(call, ErrorCode::bad_arguments);
    case OpCode::check:  // In a multi alone.
    case OpCode::none:
      break;
  }
  refuse(call, ErrorCode::unimplemented);
  call.is_last = true;
}

}  // namespace

void Call::reset() {
  xid = 0;
  op = OpCode::none;
  turn = Turn::at_once;
  state = State::queued;
  is_last = false;
  error = ErrorCode::ok;
  request = RequestId();
  held = core::Request();
  watch.kinds = no_watch;
  watch.path.clear();
  rearm = Rearm();
  parts.clear();
  text[0].clear();
  text[1].clear();
  out.clear();
  begin = 0;
  zxid = Zxid();
  has_own_zxid = false;
  since_ms = 0;
  next = nullptr;
}

void plan_call(std::string_view body, const core::SessionCredential& session, Call& call) {
  JuteReader in(body);
  call.held.consistency = core::Consistency::local;
  plan_known(in, session, call);
  if (!in.ok()) return refuse(call, ErrorCode::marshalling);
  call.has_own_zxid = core::is_write(call.held.op) && call.turn == Turn::write;
  std::visit(
      Overloaded{[&](const core::Get& op) {
                   if (call.op != OpCode::sync) call.text[0] = op.path;
                 },
                 [&](const core::GetNames& op) { call.text[0] = op.path; },
                 [&](const core::GetAcl& op) { call.text[0] = op.path; }, [](const auto&) {}},
      call.held.op);
  const bool is_value = call.op == OpCode::get_data || call.op == OpCode::exists;
  if (is_value && call.text[0] == znode::kConfigPath) call.held.op = core::GetCluster{};
}

}  // namespace coord::api::zk
