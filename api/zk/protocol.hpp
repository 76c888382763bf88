// The numbers and the small records of ZooKeeper's client protocol. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/blob.hpp"
#include "coord/base/code.hpp"
#include "coord/base/ids.hpp"
#include "session/session.hpp"
#include "znode/acl.hpp"
#include "znode/stat.hpp"

namespace coord::api::zk {

class JuteReader;
class JuteWriter;

enum class OpCode : std::int32_t {
  none = 0,  // Of no client: an empty place.
  create = 1,
  erase = 2,
  exists = 3,
  get_data = 4,
  set_data = 5,
  get_acl = 6,
  set_acl = 7,
  get_children = 8,
  sync = 9,
  ping = 11,
  get_children2 = 12,
  check = 13,
  multi = 14,
  create2 = 15,
  reconfig = 16,
  check_watches = 17,
  remove_watches = 18,
  create_container = 19,
  delete_container = 20,
  create_ttl = 21,
  multi_read = 22,
  auth = 100,
  set_watches = 101,
  sasl = 102,
  get_ephemerals = 103,
  get_all_children_number = 104,
  set_watches2 = 105,
  add_watch = 106,
  who_am_i = 107,
  close_session = -11,
};

// As the word cons shows it; empty: it does not.
[[nodiscard]] std::string_view name_of(OpCode op) noexcept;

enum class ErrorCode : std::int32_t {
  ok = 0,
  system_error = -1,
  runtime_inconsistency = -2,
  marshalling = -5,
  unimplemented = -6,
  bad_arguments = -8,
  no_node = -101,
  no_auth = -102,
  bad_version = -103,
  no_children_for_ephemerals = -108,
  node_exists = -110,
  not_empty = -111,
  session_expired = -112,
  invalid_acl = -114,
  auth_failed = -115,
  session_moved = -118,
  not_read_only = -119,
  no_watcher = -121,
  quota_exceeded = -125,
};

// Reserved xids.
inline constexpr std::int32_t kNotificationXid = -1;
inline constexpr std::int32_t kPingXid = -2;
inline constexpr std::int32_t kAuthXid = -4;
inline constexpr std::int32_t kSetWatchesXid = -8;

enum class EventType : std::int32_t { created = 1, deleted = 2, changed = 3, children = 4 };

// Of an outcome. None: the connection is closed instead, because what happened is not known or
// another member can do better.
[[nodiscard]] std::optional<ErrorCode> error_of(Code code) noexcept;

struct ConnectRequest {
  std::int32_t protocol = 0;
  Zxid last_seen;
  std::int32_t timeout_ms = 0;
  SessionId session;
  session::Secret password{};
  bool has_read_only = false;  // The client knows of it, so the answer says it too.
  bool is_read_only = false;   // A member that can only be read will do.
};
// False: it is none.
[[nodiscard]] bool decode(std::string_view frame, ConnectRequest& request);

// The frame that answers it. A refusal has the session 0 and the time-out 0.
void put_connected(std::string& out, const ConnectRequest& request, SessionId session,
                   std::int64_t timeout_ms, const session::Secret& password,
                   bool is_read_only = false);
void put_refused(std::string& out, const ConnectRequest& request);

// A frame's length and a reply's header, of kReplyHead bytes; the length and the zxid are set when
// the rest stands.
inline constexpr std::size_t kReplyHead = 20;
[[nodiscard]] std::size_t begin_reply(std::string& out, std::int32_t xid, ErrorCode error);
void end_reply(std::string& out, std::size_t begin, Zxid zxid);
void set_zxid(std::string& out, std::size_t begin, Zxid zxid);
// The whole frame of an event.
void put_event(std::string& out, EventType type, std::string_view path);

inline constexpr std::size_t kStatBytes = 68;
void put_stat(JuteWriter& out, const znode::Stat& stat);
void put_value(JuteWriter& out, const Blob& value);
void put_acl(JuteWriter& out, const znode::Acl& acl);
[[nodiscard]] znode::Acl take_acl(JuteReader& in);
[[nodiscard]] Blob take_value(JuteReader& in);

}  // namespace coord::api::zk
