// Members: what is recorded of each member, and the arithmetic of changing who is in the ensemble.
//
// A record is replicated: it stands in Table::members and in the digest. Roles are not in it: those
// are Raft's (election::Membership). A record outlives its member, so that no id is used again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/code.hpp"
#include "coord/base/ids.hpp"
#include "coord/core/request.hpp"
#include "election/membership.hpp"

namespace coord::core {

struct MemberRecord {
  MemberId id;
  std::uint64_t disk_id = 0;  // Zero: not known yet. Once known it stays.
  std::string peer;           // Where other members reach it: HOST:PORT.
  std::string http;           // Where clients reach it; empty: not known yet.
  std::string zookeeper;      // Empty: it does not serve that protocol.
  MemberId replaces;          // Its promotion to a voter lets that one go.
  bool is_removed = false;    // It was in the ensemble and is not any more.
  friend bool operator==(const MemberRecord&, const MemberRecord&) = default;
};

inline constexpr std::size_t kAddressBytesMax = 300;
// Of all that ever were members.
inline constexpr std::size_t kMemberRecordsMax = 4'096;

[[nodiscard]] std::string key_of(MemberId id);
// False unless `key` is that of a record.
[[nodiscard]] bool is_record_key(std::string_view key) noexcept;
[[nodiscard]] std::string encode(const MemberRecord& record);
// False when the bytes are malformed.
[[nodiscard]] bool decode(std::string_view bytes, MemberRecord& record);

// What stands after `given` came for `present` (null: there is none): a known disk stays, and what
// `given` leaves empty of disk and peer address is kept. The code is `invalid`, with a text, if it
// may not.
struct Merged {
  Code code = Code::ok;
  std::string detail;
  MemberRecord record;
};
[[nodiscard]] Merged merge(const MemberRecord* present, const MemberRecord& given);

// ---- changes of the ensemble

[[nodiscard]] bool is_membership_op(const Operation& op) noexcept;

// What the leader knows of the others when a change is judged.
struct MemberHealth {
  MemberId id;
  bool is_live = false;
  bool is_caught_up = false;
};

// A change that is possible, or why not.
struct ChangePlan {
  Code code = Code::ok;
  std::string detail;
  std::optional<MemberRecord> record;  // To be set before.
  election::Membership target;         // Equal to the present one: nothing is to be done.
  ClusterPlan view;
};

// `records` are sorted by id; `health` is of everybody, the leader too.
[[nodiscard]] ChangePlan plan_change(const MembershipOp& op, const election::Membership& present,
                                     std::span<const MemberRecord> records,
                                     std::span<const MemberHealth> health);
// How many voters may still fail before nothing can be committed. The least of both halves while
// the configuration is joint.
[[nodiscard]] std::size_t failures_tolerated(const election::Membership& membership,
                                             std::span<const MemberHealth> health);
// What an operator should know of it: who is down, an even number of voters, no failure to spare.
[[nodiscard]] std::vector<std::string> warnings_of(const election::Membership& membership,
                                                   std::span<const MemberHealth> health);
// "voter", "observer", "standby", "leaving" (of a joint configuration's old half only), "none".
[[nodiscard]] std::string_view role_of(const election::Membership& membership, MemberId id);

// The bytes in which a follower hands a change to the leader, and gets back its plan.
[[nodiscard]] std::string encode(const MembershipOp& op);
[[nodiscard]] bool decode(std::string_view bytes, MembershipOp& op);
[[nodiscard]] std::string encode(const ClusterPlan& plan);
[[nodiscard]] bool decode(std::string_view bytes, ClusterPlan& plan);

}  // namespace coord::core
