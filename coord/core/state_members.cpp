// The part of the state machine that knows the ensemble: Table::members.
#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/core/state_machine.hpp"

namespace coord::core {
namespace {

// Keys of Table::members, beside those of the records.
constexpr std::string_view kMembership = "membership";
constexpr std::string_view kCluster = "cluster";

}  // namespace

const MemberRecord* StateMachine::member(MemberId id) const noexcept {
  const auto at = std::lower_bound(members_.begin(), members_.end(), id,
                                   [](const auto& record, MemberId i) { return record.id < i; });
  return at != members_.end() && at->id == id ? &*at : nullptr;
}

void StateMachine::set_membership(election::Membership membership) {
  COORD_CHECK(!applied_, "the first membership comes before any entry");
  put_member_record(kMembership, election::encode(membership));
  membership_ = std::move(membership);
}

void StateMachine::put_member_record(std::string_view key, std::string bytes) {
  auto at =
      std::lower_bound(member_records_.begin(), member_records_.end(), key,
                       [](const auto& record, std::string_view k) { return record.first < k; });
  if (at != member_records_.end() && at->first == key) {
    member_digest_ -= record_hash(Table::members, key, at->second);
    at->second = bytes;
  } else {
    member_records_.emplace(at, std::string(key), bytes);
  }
  member_digest_ += record_hash(Table::members, key, bytes);
  dirty_.put(Table::members, key, std::move(bytes));
}

void StateMachine::put_member(MemberRecord record) {
  put_member_record(key_of(record.id), encode(record));
  const auto at =
      std::lower_bound(members_.begin(), members_.end(), record.id,
                       [](const auto& present, MemberId id) { return present.id < id; });
  if (at != members_.end() && at->id == record.id) {
    *at = std::move(record);
  } else {
    members_.insert(at, std::move(record));
  }
}

void StateMachine::bootstrap(const Bootstrap& op) {
  if (!cluster_.empty()) return;  // The first one counts.
  cluster_ = op.cluster;
  std::string bytes;
  Writer(bytes).bytes(op.cluster);
  put_member_record(kCluster, std::move(bytes));
  for (const auto& record : op.members) set_member({record});
  // Founders have it already; a member that joined later and replays their log has not.
  if (!op.membership.voters.empty()) enter_membership(op.membership);
}

Outcome StateMachine::set_member(const SetMember& op) {
  Outcome outcome;
  const auto* present = member(op.record.id);
  if (present == nullptr && members_.size() >= kMemberRecordsMax) {
    outcome.code = Code::invalid;
    outcome.detail = fmt::format("there were {} members already", members_.size());
    return outcome;
  }
  auto merged = merge(present, op.record);
  outcome.code = merged.code;
  outcome.detail = std::move(merged.detail);
  if (merged.code == Code::ok) put_member(std::move(merged.record));
  return outcome;
}

// Whoever it leaves out was a member and is none any more: its id is never used again.
void StateMachine::enter_membership(election::Membership membership) {
  for (const auto id : membership_.everybody()) {
    if (membership.contains(id)) continue;
    MemberRecord record;
    if (const auto* present = member(id)) record = *present;
    record.id = id;
    record.is_removed = true;
    put_member(std::move(record));
  }
  put_member_record(kMembership, election::encode(membership));
  membership_ = std::move(membership);
}

std::string StateMachine::load_member(std::string_view key, std::string_view bytes) {
  if (is_record_key(key)) {
    MemberRecord record;
    if (!decode(bytes, record) || key_of(record.id) != key) return "a member's record is malformed";
    put_member(std::move(record));
    return {};
  }
  if (key == kMembership && !election::decode(bytes, membership_)) {
    return "the membership record is malformed";
  }
  if (key == kCluster) {
    Reader in(bytes);
    cluster_ = in.bytes();
    if (!in.ok()) return "the cluster record is malformed";
  }
  put_member_record(key, std::string(bytes));
  return {};
}

}  // namespace coord::core
