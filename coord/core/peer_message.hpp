// What members say to each other: Raft's messages, and what Node adds to them. Values; encode() and
// decode() give the wire form, which the shell frames.
//
// A link delivers in order or breaks: a hole shows at the next numbered message. Nothing here is
// trusted further than its term says: what a leader answers counts only in the term that it was
// asked in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coord/base/code.hpp"
#include "coord/base/ids.hpp"
#include "coord/core/request.hpp"
#include "election/message.hpp"

namespace coord::core {

// A write that a follower hands to the leader. `command` is an encoded Command without times and
// with its origin (the follower and `number`): the follower answers its client when it applies the
// entry with that origin. Numbers run from `first` on without a hole within one stream; a stream
// ends with the term, with the link, and with a refusal.
struct Forward {
  Term term;
  std::uint64_t stream = 0;    // Unique among all streams of the member, over restarts too.
  std::uint64_t position = 0;  // In the stream, from 1.
  std::uint64_t number = 0;    // The origin's number.
  std::optional<SessionCredential> session;
  std::string command;
};
// The leader did not propose it, nor anything that follows in its stream: none of that was applied.
struct ForwardRefused {
  Term term;
  std::uint64_t stream = 0;
  std::uint64_t position = 0;  // This one and all later ones of the stream, if `ends_stream`.
  std::uint64_t number = 0;
  bool ends_stream = false;
  Code code = Code::no_leader;
  std::string detail;
  std::optional<session::EndReason> end_reason;
};
// Sessions that gave a sign of life at a follower. `confirm` wants an answer each: a keepalive, or
// only how long the session has left.
struct Touches {
  struct Confirm {
    std::uint64_t token = 0;
    SessionId session;
    bool renews = true;
  };
  Term term;
  std::vector<SessionId> alive;
  std::vector<Confirm> confirm;
};
struct TouchesConfirmed {
  struct Answer {
    std::uint64_t token = 0;
    bool is_confirmed = false;  // False: no lease, or the session is ending: see `wait_for`.
    std::int64_t remaining_ms = 0;
    Index wait_for;  // Not zero: the session's end is under way there, apply it and look again.
  };
  Term term;
  std::vector<Answer> answers;
};
// The digest of the whole replicated state as of `index`, at rounded indices, from everybody to
// everybody.
struct DigestNote {
  Index index;
  std::uint64_t digest = 0;
};
// What the leader knows of the others, told to all now and then: GET /v1/cluster anywhere.
struct ClusterNote {
  struct Peer {
    MemberId id;
    Index match;
    std::int64_t heard_ms = -1;  // Ago; -1: never in this term.
    bool needs_snapshot = false;
  };
  Term term;
  Index committed;
  std::vector<Peer> peers;
};
// A member that installs a snapshot pulls it, piece by piece. The sender serves it from one read
// transaction of its store, which it keeps for a while for the next pull.
struct SnapshotPull {
  election::SnapshotMark mark;  // As announced; zero: whatever is there (a repair, a backup).
  std::uint64_t offset = 0;     // Bytes received so far.
  std::uint64_t stream = 0;     // The sender's, zero at first: a resumed pull must name the same.
};
struct SnapshotChunk {
  std::uint64_t stream = 0;     // Zero: the sender has no such stream any more; start anew.
  election::SnapshotMark mark;  // What the stream really is: not older than asked for.
  std::uint64_t offset = 0;
  std::string bytes;
  bool is_last = false;
};

// A change of the ensemble that an operator asked of a follower, an encoded MembershipOp; the
// follower keeps the client's request under `token` until the answer, its deadline or a new term.
struct AdminRequest {
  Term term;
  std::uint64_t token = 0;
  std::string bytes;
};
struct AdminReply {
  std::uint64_t token = 0;
  Code code = Code::ok;
  std::string detail;
  std::string bytes;  // An encoded ClusterPlan.
};

using PeerBody =
    std::variant<election::Body, Forward, ForwardRefused, Touches, TouchesConfirmed, DigestNote,
                 ClusterNote, SnapshotPull, SnapshotChunk, AdminRequest, AdminReply>;

struct Message {
  MemberId from;
  MemberId to;
  PeerBody body;
};

[[nodiscard]] std::string encode(const Message& message);
// False when the bytes are malformed; nothing is allocated beyond what the bytes hold.
[[nodiscard]] bool decode(std::string_view bytes, Message& message);

}  // namespace coord::core
