// ClusterDesk: what a Node keeps for operators: who waits for a change of the ensemble, and what
// the leader told of everybody. Volatile: nothing of it is replicated.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <variant>

#include "coord/core/members.hpp"
#include "coord/core/peer_message.hpp"
#include "coord/core/request.hpp"

namespace coord::core {

struct ClusterDesk {
  // A member that asked on behalf of its client.
  struct Remote {
    MemberId member;
    std::uint64_t token = 0;
  };
  using Asker = std::variant<Request, Remote>;

  // At the leader, one at a time: first the record, then the membership, then the answer.
  struct Change {
    Asker asker;
    MembershipOp op;
    Term term;
    std::int64_t deadline_ms = 0;
    Index record;  // The entry that sets it; zero: none, or it is applied.
    Index change;  // The membership's entry; zero: not proposed yet.
    ClusterPlan view;
  };
  // A client of this member that waits for the leader's answer, or for a new leader.
  struct Wait {
    Request request;
    Term term;
    MemberId leader;  // That was asked.
    std::int64_t deadline_ms = 0;
  };

  std::optional<Change> change;
  std::map<std::uint64_t, Wait> waits;  // By token.
  std::uint64_t last_token = 0;
  // Records may differ from what is known of the members: look through them.
  bool are_records_due = true;
  Index record_index;  // Of the last SetMember that was proposed out of such a look.
  std::optional<ClusterNote> note;
  std::int64_t note_ms = 0;  // When it came.
  std::int64_t next_note_ms = 0;
};

}  // namespace coord::core
