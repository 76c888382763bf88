// Command: what a log entry asks of the state machine. The payload of EntryKind::command.
//
// The leader stamps it with the times and encodes it; every member decodes and applies it alike.
// Versioned: a member that meets an unknown version stops, it never skips. Passwords are never in
// it, only identities.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coord/base/identity.hpp"
#include "coord/base/ids.hpp"
#include "coord/core/members.hpp"
#include "coord/core/request.hpp"

namespace coord::core {

// Proposed by a leader whose clock says that these sessions have run out.
struct ExpireSessions {
  std::vector<SessionId> sessions;
  friend bool operator==(const ExpireSessions&, const ExpireSessions&) = default;
};
// Proposed by a leader for containers and ttl nodes that are due; apply() checks again.
struct Reap {
  std::vector<std::string> paths;
  friend bool operator==(const Reap&, const Reap&) = default;
};
// The first leader's first command: the cluster's identity, who its members are and where. It comes
// before every change of the ensemble.
struct Bootstrap {
  std::string cluster;  // A UUID in its text form.
  std::vector<MemberRecord> members;
  // The ensemble that the founders began with: one that joins an old log learns it here. No voters:
  // not told.
  election::Membership membership;
  friend bool operator==(const Bootstrap&, const Bootstrap&) = default;
};
// Proposed by a leader: of a new member before it is added, or what a member told of itself.
struct SetMember {
  MemberRecord record;
  friend bool operator==(const SetMember&, const SetMember&) = default;
};

// Proposed by a leader for nodes of recipes that have something due; apply() looks again.
struct RecipesDue {
  std::vector<std::string> paths;
  friend bool operator==(const RecipesDue&, const RecipesDue&) = default;
};

using WriteOp = std::variant<Put, Create, Set, Add, Delete, SetAcl, SetQuota, Txn, OpenSession,
                             CloseSession, ExpireSessions, Reap, Bootstrap, SetMember, RecipeStep,
                             RecipesDue, BeginImport, ImportNodes, FinishImport, AttachSession>;

// Version 2 has an attachment behind the session, version 3 also the ttl of an AttachSession at the
// end. The least that holds the command is written.
inline constexpr std::uint8_t kCommandVersion = 3;

// Who waits for the answer, when that is not the leader itself: a follower and its own number.
struct Origin {
  MemberId member;
  std::uint64_t number = 0;
  friend bool operator==(const Origin&, const Origin&) = default;
};

struct Command {
  std::int64_t service_ms = 0;  // Replicated time: deadlines follow it.
  std::int64_t wall_ms = 0;     // Only shown.
  SessionId session;            // Who acts; none if no session was named.
  Zxid attachment;              // Of its connection; none: of no connection in particular.
  Identities identities;
  std::string idempotency_key;
  std::uint64_t request_hash = 0;
  std::vector<Fence> fences;
  Origin origin;
  WriteOp op;
  friend bool operator==(const Command&, const Command&) = default;
};

[[nodiscard]] std::string encode(const Command& command);

enum class DecodeError : std::uint8_t { none, malformed, unknown_version };
// Allocates nothing beyond what the bytes hold.
[[nodiscard]] DecodeError decode(std::string_view bytes, Command& command);

// The write that a request asks for. Requires: is_write(op).
[[nodiscard]] WriteOp write_op_of(Operation&& op);

}  // namespace coord::core
