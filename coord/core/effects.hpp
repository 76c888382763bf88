// Event and Effects: everything that can happen to a Node, and everything that it asks for.
//
// Plain data: tests print and compare it. An empty Effects is the idle state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coord/base/ids.hpp"
#include "coord/core/changes.hpp"
#include "coord/core/checkpoint.hpp"
#include "coord/core/peer_message.hpp"
#include "coord/core/request.hpp"
#include "coord/core/snapshot.hpp"
#include "election/ready.hpp"

namespace coord::core {

// ---- events

struct ClientRequest {
  Request request;
};
// A client's connection is gone: its watches and waiting requests are dropped.
struct Disconnected {
  ConnectionId connection;
};
// A stream proved that its session is alive.
struct Touched {
  SessionCredential session;
};
struct PeerMessage {
  Message message;
};
// A link to a member stands: what its handshake told.
struct PeerUp {
  MemberId member;
  std::uint64_t disk_id = 0;
  std::string http;       // Where clients reach it: HOST:PORT.
  std::string zookeeper;  // Empty: it does not serve that protocol.
  std::string version;
};
// The last link to a member broke.
struct PeerDown {
  MemberId member;
};
// This member is about to stop: it hands leadership to the voter that lags least, if it leads.
struct StepDown {};
// Everything up to this Persist number is synced.
struct Persisted {
  std::uint64_t number = 0;
};
// The disk takes no more (true), or takes writes again (false).
struct DiskFull {
  bool is_full = false;
};
// The checkpoint at `index` is durable.
struct Checkpointed {
  Index index;
};
// What the reader thread found.
struct StoreAnswered {
  StoreAnswer answer;
};
// Time is data: the member's monotonic and wall time, in milliseconds.
struct Tick {
  std::int64_t mono_ms = 0;
  std::int64_t wall_ms = 0;
};

using Event =
    std::variant<ClientRequest, Subscribe, Unsubscribe, ResumeWatch, Disconnected, Touched,
                 PeerMessage, PeerUp, PeerDown, StepDown, Persisted, DiskFull, Checkpointed,
                 StoreAnswered, SnapshotWasRead, SnapshotWritten, Tick, WatchApplied>;

// ---- effects, in the order in which they are carried out

struct Effects {
  std::vector<Message> messages;                // At once.
  std::optional<election::Persist> persist;     // Write, then sync.
  std::vector<Message> messages_after_persist;  // Once that is synced.
  std::vector<Delivery> deliveries;             // To clients, in this order.
  std::optional<Checkpoint> checkpoint;         // For the store thread.
  std::vector<StoreRead> store_reads;           // For the reader thread.
  std::optional<Index> recycle;                 // Log entries up to here are needed no more.
  std::vector<SnapshotRead> snapshot_reads;     // For the reader thread.
  std::vector<SnapshotWrite> snapshot_writes;   // For the store thread, in order.

  [[nodiscard]] bool empty() const noexcept {
    return messages.empty() && !persist && messages_after_persist.empty() && deliveries.empty() &&
           !checkpoint && store_reads.empty() && !recycle && snapshot_reads.empty() &&
           snapshot_writes.empty();
  }
};

}  // namespace coord::core
