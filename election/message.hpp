// Messages between the Rafts of two members. Values; the wire form is encode() / decode().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coord/base/ids.hpp"
#include "election/entry.hpp"
#include "election/membership.hpp"

namespace coord::election {

// PreVote (thesis, section 9.6) and RequestVote (section 3.4).
struct VoteRequest {
  bool is_pre_vote = false;
  Term term;  // Of a pre-vote: the term that it would campaign in.
  Index last_index;
  Term last_term;
  bool is_transfer = false;  // The leader asked for it (section 3.10): leases do not hold it up.
};
struct VoteReply {
  bool is_pre_vote = false;
  Term term;
  bool granted = false;
};
// AppendEntries (section 3.5); without entries it is a heartbeat.
struct AppendRequest {
  Term term;
  Index prev_index;
  Term prev_term;
  Index committed;  // The leader's, never above what this message lets the follower verify.
  std::vector<SharedEntry> entries;
  std::uint64_t round = 0;      // Counts the leader's rounds; echoed. For read index and leases.
  std::int64_t sent_at_ms = 0;  // The leader's own monotonic clock; echoed, meaningless elsewhere.
};
struct AppendReply {
  Term term;
  bool success = false;
  Index match;       // On success: everything up to here is synced and verified in this term. On
                     // refusal: the prev_index that was refused.
  Index hint_index;  // On refusal: where the logs may meet, and the term there.
  Term hint_term;
  std::uint64_t round = 0;
  std::int64_t sent_at_ms = 0;
};
// InstallSnapshot is announced here and streamed by the shell; the reply comes when it is in place.
struct SnapshotRequest {
  Term term;
  SnapshotMark mark;
  Membership membership;
};
struct SnapshotReply {
  Term term;
  bool success = false;
  Index match;
};
// TimeoutNow (section 3.10): the leader asks the receiver to campaign at once.
struct TimeoutNow {
  Term term;
};
// A follower asks the leader for a read index, and its answer (section 6.4).
struct ReadIndexRequest {
  Term term;
  ReadId read;
};
struct ReadIndexReply {
  Term term;
  ReadId read;
  bool granted = false;
  Index index;
};

using Body = std::variant<VoteRequest, VoteReply, AppendRequest, AppendReply, SnapshotRequest,
                          SnapshotReply, TimeoutNow, ReadIndexRequest, ReadIndexReply>;

struct Message {
  MemberId from;
  MemberId to;
  Body body;
};

[[nodiscard]] std::string encode(const Message& message);
// False when the bytes are malformed; nothing is allocated beyond what the bytes hold.
[[nodiscard]] bool decode(std::string_view bytes, Message& message);

}  // namespace coord::election
