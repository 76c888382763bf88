// Random commands over a small world of paths and sessions, so that they meet each other.
#pragma once

#include <string>
#include <vector>

#include "coord/base/prng.hpp"
#include "coord/core/command.hpp"

namespace coord::core {

class CommandSource {
 public:
  explicit CommandSource(std::uint64_t seed) : prng_(seed) {}

  // `sessions`: ids that may be named; `zxid`: about where the state stands.
  Command next(const std::vector<SessionId>& sessions, std::uint64_t zxid) {
    Command command;
    time_ms_ += static_cast<std::int64_t>(prng_.below(200));
    command.service_ms = time_ms_;
    command.wall_ms = 1'700'000'000'000 + time_ms_;
    if (prng_.chance(1, 3)) command.session = session(sessions);
    if (prng_.chance(2, 3)) command.identities.push_back({"ip", "10.0.0.1"});
    if (prng_.chance(1, 3)) command.identities.push_back({"digest", "ann:" + std::string(8, 'h')});
    if (prng_.chance(1, 4)) command.identities.push_back({"super", ""});
    if (prng_.chance(1, 4)) {
      command.idempotency_key = std::string(1, static_cast<char>('a' + prng_.below(6)));
      command.request_hash = prng_.below(2);
    }
    if (prng_.chance(1, 40)) command.fences.push_back(fence());
    command.op = op(sessions, zxid);
    return command;
  }

  std::string path() {
    static const std::vector<std::string> kPaths = {"/a",   "/a/b", "/a/b/c",    "/d",
                                                    "/d/e", "/f",   "/.coord/x", "/"};
    return kPaths[static_cast<std::size_t>(prng_.below(kPaths.size()))];
  }
  Blob value() {
    switch (prng_.below(4)) {
      case 0:
        return Blob();
      case 1:
        return Blob(fmt::format("{}", prng_.below(100)));
      case 2:
        return Blob(std::string(static_cast<std::size_t>(prng_.below(700)), 'x'));
      default:
        return Blob("");
    }
  }
  Prng& prng() { return prng_; }

 private:
  template <class T>
  std::optional<T> maybe(T value) {
    if (prng_.chance(1, 2)) return value;
    return std::nullopt;
  }
  SessionId session(const std::vector<SessionId>& sessions) {
    if (sessions.empty() || prng_.chance(1, 10)) return SessionId(prng_.below(1000));
    return sessions[static_cast<std::size_t>(prng_.below(sessions.size()))];
  }
  Fence fence() {
    return {prng_.chance(1, 2) ? Fence::Kind::lock : Fence::Kind::election, "jobs",
            prng_.below(90)};
  }
  WriteGuard guard(std::uint64_t zxid) {
    WriteGuard guard;
    if (prng_.chance(1, 6)) guard.mzxid = Zxid(prng_.below(zxid + 2));
    if (prng_.chance(1, 6)) guard.version = static_cast<std::int32_t>(prng_.below(4));
    return guard;
  }
  znode::Mode mode() { return static_cast<znode::Mode>(prng_.below(3)); }
  std::int64_t ttl() {
    return prng_.chance(1, 6) ? static_cast<std::int64_t>(prng_.below(900)) : 0;
  }
  znode::Acl acl() {
    znode::Acl acl;
    acl.push_back({static_cast<std::uint8_t>(prng_.below(40)), "world", "anyone"});
    if (prng_.chance(1, 3)) acl.push_back({znode::Permission::all, "auth", ""});
    if (prng_.chance(1, 8)) acl.push_back({znode::Permission::all, "no-such-scheme", "x"});
    return acl;
  }
  Create create() {
    Create op;
    op.path = path();
    op.is_sequential = prng_.chance(1, 3);
    if (op.is_sequential && prng_.chance(1, 3)) op.path += op.path == "/" ? "" : "/";
    op.value = value();
    op.mode = mode();
    op.ttl_ms = ttl();
    op.with_parents = prng_.chance(1, 2);
    op.content_type = prng_.chance(1, 4) ? "application/json" : "";
    if (prng_.chance(1, 6)) op.acl = acl();
    return op;
  }
  TxnOp txn_op(std::uint64_t zxid) {
    switch (prng_.below(6)) {
      case 0:
        return TxnGet{path()};
      case 1:
        return TxnChildren{path(), static_cast<std::uint32_t>(prng_.below(5))};
      case 2:
        return Check{path(), guard(zxid)};
      case 3:
        return create();
      case 4:
        return Set{path(), value(), "", guard(zxid)};
      default:
        return Delete{path(), prng_.chance(1, 4), guard(zxid)};
    }
  }
  Compare compare(std::uint64_t zxid) {
    Compare compare;
    if (prng_.chance(1, 20)) {
      compare.fence = fence();
      return compare;
    }
    compare.path = path();
    if (prng_.chance(1, 2)) compare.exists = prng_.chance(1, 2);
    if (prng_.chance(1, 5)) compare.mzxid = Zxid(prng_.below(zxid + 1));
    if (prng_.chance(1, 5)) compare.version = static_cast<std::int32_t>(prng_.below(3));
    if (prng_.chance(1, 5)) compare.value = value();
    return compare;
  }
  Txn txn(std::uint64_t zxid) {
    Txn txn;
    for (auto n = prng_.below(3); n > 0; --n) txn.compare.push_back(compare(zxid));
    for (auto n = prng_.below(4); n > 0; --n) txn.then.push_back(txn_op(zxid));
    for (auto n = prng_.below(3); n > 0; --n) txn.otherwise.push_back(txn_op(zxid));
    return txn;
  }
  ImportNodes import() {
    ImportNodes op;
    op.path = path();
    for (auto n = prng_.below(4); n > 0; --n) {
      auto& node = op.nodes.emplace_back();
      node.path = prng_.chance(1, 2) ? op.path : path();
      node.is_deleted = prng_.chance(1, 4);
      if (node.is_deleted) continue;
      node.value = value();
      node.as.mode = mode();
      node.as.ttl_ms = ttl();
      if (node.as.ttl_ms > 0) node.as.mode = znode::Mode::ttl;
      node.as.acl = acl();
      node.as.version = static_cast<std::int32_t>(prng_.below(9));
      node.as.aversion = static_cast<std::int32_t>(prng_.below(3));
      node.as.created = prng_.below(5);
      node.as.ctime_ms = static_cast<std::int64_t>(prng_.below(3));
      node.as.mtime_ms = static_cast<std::int64_t>(prng_.below(3));
    }
    return op;
  }
  MemberRecord member() {
    MemberRecord record;
    record.id = MemberId(prng_.below(5));
    if (prng_.chance(1, 2)) record.disk_id = prng_.below(3);
    if (prng_.chance(1, 2)) record.peer = "a:1";
    if (prng_.chance(1, 2)) record.http = "a:2";
    record.replaces = MemberId(prng_.below(4));
    return record;
  }
  WriteOp op(const std::vector<SessionId>& sessions, std::uint64_t zxid) {
    switch (prng_.below(17)) {
      case 0:
        return create();
      case 1:
        return Set{path(), value(), "", guard(zxid)};
      case 2:
        return Add{path(), static_cast<std::int64_t>(prng_.below(20)) - 10, guard(zxid)};
      case 3:
        return Delete{path(), prng_.chance(1, 2), guard(zxid)};
      case 4:
        return SetAcl{path(), acl(), maybe<std::int32_t>(0)};
      case 5:
        return SetQuota{path(), maybe<std::uint64_t>(prng_.below(9)),
                        maybe<std::uint64_t>(prng_.below(3000))};
      case 6:
      case 7:
        return txn(zxid);
      case 8: {
        OpenSession op;
        op.ttl_ms = prng_.chance(1, 8) ? 1 : 1'000 + static_cast<std::int64_t>(prng_.below(9'000));
        op.name = "client";
        op.address = "10.0.0.1:999";
        for (auto& byte : op.secret) byte = static_cast<std::uint8_t>(prng_.next());
        return op;
      }
      case 9:
        return CloseSession{session(sessions), session::EndReason::closed};
      case 16:
        return AttachSession{session(sessions), "10.0.0.2:7", 10 * ttl()};
      case 10: {
        ExpireSessions op;
        for (auto n = prng_.below(3); n > 0; --n) op.sessions.push_back(session(sessions));
        return op;
      }
      case 11: {
        Reap op;
        for (auto n = prng_.below(4); n > 0; --n) op.paths.push_back(path());
        return op;
      }
      case 14:
        if (prng_.chance(1, 2)) return BeginImport{path(), "elsewhere"};
        return FinishImport{path()};
      case 15:
        return import();
      case 12:
        if (prng_.chance(1, 4)) {
          return Bootstrap{"6b0c", {member(), member()}, {}};
        }
        if (prng_.chance(1, 4)) return SetMember{member()};
        [[fallthrough]];
      default: {
        Put op;
        op.path = path();
        op.value = value();
        op.mode = maybe(mode());
        op.ttl_ms = ttl();
        op.with_parents = prng_.chance(1, 2);
        op.create_only = prng_.chance(1, 6);
        op.guard = guard(zxid);
        return op;
      }
    }
  }
  Prng prng_;
  std::int64_t time_ms_ = 1'000;
};

}  // namespace coord::core
