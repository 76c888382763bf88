// Ops: what ZooKeeper's requests mean in core's terms, and core's answers in ZooKeeper's.
//
// plan_call() reads one request frame into a Call: the operation for the member, or what the edge
// itself does. answer_call() writes the reply. Pure; the connection keeps the order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/zk/protocol.hpp"
#include "api/zk/watches.hpp"
#include "coord/core/request.hpp"

namespace coord::api::zk {

// Of /zookeeper/config, which shows the members.
inline constexpr std::int64_t kConfigVersion = 0;

// One request of a connection, until its reply is written.
struct Call {
  enum class Turn : std::uint8_t {
    read,     // Waits for the connection's earlier writes.
    write,    // Goes ahead; later reads wait for it.
    ping,     // Goes ahead; nobody waits for it but replies.
    at_once,  // The edge answers it when its turn comes.
  };
  enum class State : std::uint8_t { queued, submitted, answered };

  // Who watches where once the read is answered.
  struct Watch {
    std::uint8_t kinds = no_watch;
    std::string path;
  };
  // Of setWatches: what to look at, in the order of the reads of the request.
  struct Rearm {
    enum class Kind : std::uint8_t { data, exist, child, persistent, recursive };
    Zxid since;
    std::vector<std::pair<Kind, std::string>> watches;
  };

  // One of a multi or multiRead.
  struct Part {
    OpCode op;
    bool is_root;  // It is of the root.
  };

  std::int32_t xid = 0;
  OpCode op = OpCode::none;
  Turn turn = Turn::at_once;
  State state = State::queued;
  bool is_last = false;             // The connection is closed behind its reply.
  ErrorCode error = ErrorCode::ok;  // Of one that is answered at once.
  RequestId request;
  core::Request held;  // Until it is submitted: operation and consistency, nothing else.
  Watch watch;
  Rearm rearm;
  std::vector<Part> parts;
  std::string text[2];    // auth: scheme and credential; sync: the path.
  std::string out;        // The reply (and events behind it) while earlier ones are not there.
  std::size_t begin = 0;  // Of the reply's frame, where it stands.
  Zxid zxid;              // What its header tells, unless a later one was told already.
  bool has_own_zxid = false;
  std::int64_t since_ms = 0;
  Call* next = nullptr;

  void reset();
};

// Requires: the frame's header was read into xid and op. Never fails: a malformed request becomes a
// Call that is answered with an error at once.
void plan_call(std::string_view body, const core::SessionCredential& session, Call& call);

// The reply to a Call that was submitted, appended to `out` but for the zxid; nothing, and false,
// when the connection must be closed instead.
[[nodiscard]] bool answer_call(const Call& call, const core::Reply& reply, std::string& out,
                               std::size_t& begin);

// As ZooKeeper writes its configuration: server.ID=HOST:PORT:PORT:ROLE;CLIENTS, a line each; of a
// member without peers nothing. Clients that read it want two different ports: members here have
// one, so the second is only a number beside it.
[[nodiscard]] std::string configuration_of(const core::ClusterView& view);

// whoAmI.
void put_identities(std::string& out, const Identities& identities);

// Hides /.coord, which ZooKeeper's clients do not know, from what is said of the root.
[[nodiscard]] znode::Stat shown_stat(bool is_root, znode::Stat stat) noexcept;

}  // namespace coord::api::zk
