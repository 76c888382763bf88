#include "coord/core/members.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"

namespace coord::core {
namespace {

constexpr std::string_view kKeyPrefix = "member-";
constexpr std::uint8_t kRecordVersion = 1;

bool holds(const std::vector<MemberId>& list, MemberId id) {
  return std::binary_search(list.begin(), list.end(), id);
}

void put_into(std::vector<MemberId>& list, MemberId id) {
  const auto at = std::lower_bound(list.begin(), list.end(), id);
  if (at == list.end() || *at != id) list.insert(at, id);
}

void drop(election::Membership& membership, MemberId id) {
  std::erase(membership.voters, id);
  std::erase(membership.observers, id);
  std::erase(membership.standbys, id);
}

const MemberRecord* find(std::span<const MemberRecord> records, MemberId id) {
  const auto at = std::lower_bound(records.begin(), records.end(), id,
                                   [](const auto& record, MemberId i) { return record.id < i; });
  return at != records.end() && at->id == id ? &*at : nullptr;
}

const MemberHealth* find(std::span<const MemberHealth> health, MemberId id) {
  const auto at = std::find_if(health.begin(), health.end(),
                               [id](const MemberHealth& one) { return one.id == id; });
  return at != health.end() ? &*at : nullptr;
}

bool is_live(std::span<const MemberHealth> health, MemberId id) {
  const auto* one = find(health, id);
  return one != nullptr && one->is_live;
}

std::size_t live_of(const std::vector<MemberId>& voters, std::span<const MemberHealth> health) {
  return static_cast<std::size_t>(std::count_if(voters.begin(), voters.end(),
                                                [&](MemberId id) { return is_live(health, id); }));
}

std::size_t quorum_of(const std::vector<MemberId>& voters) { return voters.size() / 2 + 1; }

std::size_t spare_of(const std::vector<MemberId>& voters, std::span<const MemberHealth> health) {
  const auto live = live_of(voters, health);
  const auto quorum = quorum_of(voters);
  return live > quorum ? live - quorum : 0;
}

ClusterPlan view_of(const election::Membership& membership, std::span<const MemberHealth> health) {
  ClusterPlan view;
  view.voters = membership.voters.size();
  view.quorum = quorum_of(membership.voters);
  view.failures_tolerated = failures_tolerated(membership, health);
  view.warnings = warnings_of(membership, health);
  return view;
}

ChangePlan refused(Code code, std::string detail) {
  ChangePlan plan;
  plan.code = code;
  plan.detail = std::move(detail);
  return plan;
}

// Whom the promotion of `id` lets go, if that one is still there.
MemberId replaced_by(MemberId id, const election::Membership& present,
                     std::span<const MemberRecord> records) {
  const auto* record = find(records, id);
  if (record == nullptr || !present.contains(record->replaces)) return {};
  return record->replaces;
}

class Planner {
 public:
  Planner(const election::Membership& present, std::span<const MemberRecord> records,
          std::span<const MemberHealth> health)
      : present_(present), records_(records), health_(health) {}

  ChangePlan operator()(const AddMember& op) const;
  ChangePlan operator()(const ChangeMember& op) const;
  ChangePlan operator()(const RemoveMember& op) const;
  ChangePlan operator()(const TransferLeader& op) const;
  ChangePlan operator()(const RepairMember& op) const;

 private:
  // The voters shrink to `target`: are enough of them alive?
  [[nodiscard]] ChangePlan to(election::Membership target) const;

  const election::Membership& present_;
  std::span<const MemberRecord> records_;
  std::span<const MemberHealth> health_;
};

ChangePlan Planner::to(election::Membership target) const {
  if (target.voters.empty()) return refused(Code::invalid, "the last voter cannot go");
  const auto live = live_of(target.voters, health_);
  const auto quorum = quorum_of(target.voters);
  if (live < quorum) {
    return refused(Code::quorum_at_risk,
                   fmt::format("of the {} voters that this leaves, {} are up and {} are needed",
                               target.voters.size(), live, quorum));
  }
  ChangePlan plan;
  plan.view = view_of(target, health_);
  plan.target = std::move(target);
  return plan;
}

ChangePlan Planner::operator()(const AddMember& op) const {
  if (op.role == MemberRole::voter) {
    return refused(Code::invalid,
                   "a new member comes as standby (which becomes a voter once it has caught up) or "
                   "as observer");
  }
  const auto* record = find(records_, op.id);
  if (present_.contains(op.id)) {
    const bool is_same = record != nullptr && record->peer == op.peer;
    // A repeated request changes nothing, and neither does a member that joins by itself after an
    // operator said whom it replaces.
    if (is_same && (!op.replaces || record->replaces == op.replaces)) return to(present_);
    if (!is_same || !holds(present_.standbys, op.id)) {
      return refused(Code::invalid, fmt::format("member {} is there already, as {}", op.id,
                                                role_of(present_, op.id)));
    }
  }
  if (op.replaces) {
    if (op.role != MemberRole::standby) {
      return refused(Code::invalid, "only a standby can replace a member");
    }
    if (!present_.contains(op.replaces)) {
      return refused(Code::not_found, fmt::format("there is no member {} to replace", op.replaces));
    }
  }
  if (!present_.contains(op.id) && present_.everybody().size() + 2 > election::kMembersMax) {
    return refused(Code::invalid, "there are as many members as there may be");
  }
  MemberRecord given;
  given.id = op.id;
  given.peer = op.peer;
  given.replaces = op.replaces;
  if (record != nullptr) {
    given.http = record->http;
    given.zookeeper = record->zookeeper;
  } else if (records_.size() >= kMemberRecordsMax) {
    return refused(Code::invalid, fmt::format("there were {} members already", records_.size()));
  }
  auto merged = merge(record, given);
  if (merged.code != Code::ok) return refused(merged.code, std::move(merged.detail));
  ChangePlan plan;
  plan.record = std::move(merged.record);
  plan.target = present_;
  const bool is_standby = op.role == MemberRole::standby;
  put_into(is_standby ? plan.target.standbys : plan.target.observers, op.id);
  if (!is_standby) {
    plan.view = view_of(plan.target, health_);
    return plan;
  }
  // What it comes to once the standby is promoted.
  auto promoted = present_;
  if (op.replaces) drop(promoted, op.replaces);
  put_into(promoted.voters, op.id);
  std::vector<MemberHealth> later(health_.begin(), health_.end());
  later.push_back({op.id, true, true});
  plan.view = view_of(promoted, later);
  return plan;
}

ChangePlan Planner::operator()(const ChangeMember& op) const {
  if (!present_.contains(op.id)) {
    return refused(Code::not_found, fmt::format("there is no member {}", op.id));
  }
  auto target = present_;
  switch (op.role) {
    case MemberRole::voter: {
      if (holds(present_.voters, op.id)) return to(present_);
      const auto* health = find(health_, op.id);
      if (health == nullptr || !health->is_live || !health->is_caught_up) {
        return refused(Code::not_caught_up,
                       fmt::format("member {} has not caught up with the leader", op.id));
      }
      if (const auto old = replaced_by(op.id, present_, records_)) drop(target, old);
      drop(target, op.id);
      put_into(target.voters, op.id);
      return to(std::move(target));
    }
    case MemberRole::observer:
      drop(target, op.id);
      put_into(target.observers, op.id);
      return to(std::move(target));
    case MemberRole::standby:
      break;
  }
  if (holds(present_.voters, op.id)) {
    return refused(Code::invalid,
                   "a standby becomes a voter by itself: make the member an observer instead");
  }
  drop(target, op.id);
  put_into(target.standbys, op.id);
  return to(std::move(target));
}

ChangePlan Planner::operator()(const RemoveMember& op) const {
  if (!present_.contains(op.id)) {
    const auto* record = find(records_, op.id);
    return refused(Code::not_found, record != nullptr && record->is_removed
                                        ? fmt::format("member {} was removed already", op.id)
                                        : fmt::format("there is no member {}", op.id));
  }
  auto target = present_;
  drop(target, op.id);
  return to(std::move(target));
}

ChangePlan Planner::operator()(const TransferLeader& op) const {
  if (op.to && !holds(present_.voters, op.to)) {
    return refused(Code::invalid, fmt::format("member {} is no voter", op.to));
  }
  return to(present_);
}

// It changes nothing of the ensemble.
ChangePlan Planner::operator()(const RepairMember& op) const {
  if (!present_.contains(op.id)) {
    return refused(Code::not_found, fmt::format("there is no member {}", op.id));
  }
  if (present_.everybody().size() == 1) {
    return refused(Code::invalid, "there is no other member to rebuild it from");
  }
  // Asked of a member that may not lead, and does not know who is up.
  ChangePlan plan;
  plan.view = view_of(present_, health_);
  plan.target = present_;
  return plan;
}

// ---- codec

void write(Writer& out, const AddMember& op) {
  out.id(op.id);
  out.bytes(op.peer);
  out.u8(static_cast<std::uint8_t>(op.role));
  out.id(op.replaces);
  out.boolean(op.is_dry_run);
}
MemberRole read_role(Reader& in) {
  const auto role = in.u8();
  if (role < 1 || role > 3) in.fail();
  return in.ok() ? static_cast<MemberRole>(role) : MemberRole::standby;
}
void read(Reader& in, AddMember& op) {
  op.id = in.id<MemberId>();
  op.peer = in.bytes();
  op.role = read_role(in);
  op.replaces = in.id<MemberId>();
  op.is_dry_run = in.boolean();
}
void write(Writer& out, const ChangeMember& op) {
  out.id(op.id);
  out.u8(static_cast<std::uint8_t>(op.role));
  out.boolean(op.is_dry_run);
}
void read(Reader& in, ChangeMember& op) {
  op.id = in.id<MemberId>();
  op.role = read_role(in);
  op.is_dry_run = in.boolean();
}
void write(Writer& out, const RemoveMember& op) {
  out.id(op.id);
  out.boolean(op.is_dry_run);
}
void read(Reader& in, RemoveMember& op) {
  op.id = in.id<MemberId>();
  op.is_dry_run = in.boolean();
}
void write(Writer& out, const TransferLeader& op) { out.id(op.to); }
void read(Reader& in, TransferLeader& op) { op.to = in.id<MemberId>(); }
void write(Writer& out, const RepairMember& op) { out.id(op.id); }
void read(Reader& in, RepairMember& op) { op.id = in.id<MemberId>(); }

}  // namespace

bool is_membership_op(const Operation& op) noexcept {
  return std::holds_alternative<AddMember>(op) || std::holds_alternative<ChangeMember>(op) ||
         std::holds_alternative<RemoveMember>(op) || std::holds_alternative<TransferLeader>(op) ||
         std::holds_alternative<RepairMember>(op);
}

// ---------------------------------------------------------------- records

std::string key_of(MemberId id) {
  std::string key(kKeyPrefix);
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>((id.value() >> shift) & 0xff));
  }
  return key;
}

bool is_record_key(std::string_view key) noexcept {
  return key.size() == kKeyPrefix.size() + 8 && key.starts_with(kKeyPrefix);
}

std::string encode(const MemberRecord& record) {
  std::string bytes;
  Writer out(bytes);
  out.u8(kRecordVersion);
  out.id(record.id);
  out.u64(record.disk_id);
  out.bytes(record.peer);
  out.bytes(record.http);
  out.bytes(record.zookeeper);
  out.id(record.replaces);
  out.boolean(record.is_removed);
  return bytes;
}

bool decode(std::string_view bytes, MemberRecord& record) {
  Reader in(bytes);
  if (in.u8() != kRecordVersion) return false;
  record.id = in.id<MemberId>();
  record.disk_id = in.u64();
  record.peer = in.bytes();
  record.http = in.bytes();
  record.zookeeper = in.bytes();
  record.replaces = in.id<MemberId>();
  record.is_removed = in.boolean();
  return in.done();
}

Merged merge(const MemberRecord* present, const MemberRecord& given) {
  Merged merged;
  const auto refuse = [&merged](std::string detail) {
    merged.code = Code::invalid;
    merged.detail = std::move(detail);
    return merged;
  };
  if (!given.id) return refuse("a member's id is above 0");
  if (std::max({given.peer.size(), given.http.size(), given.zookeeper.size()}) > kAddressBytesMax) {
    return refuse(fmt::format("an address has at most {} bytes", kAddressBytesMax));
  }
  if (given.replaces == given.id) return refuse("a member cannot replace itself");
  if (present != nullptr && present->is_removed) {
    return refuse(fmt::format("member {} was removed; an id is never used again", given.id));
  }
  merged.record = given;
  merged.record.is_removed = false;
  if (present == nullptr) return merged;
  if (present->disk_id != 0) merged.record.disk_id = present->disk_id;
  if (given.peer.empty()) merged.record.peer = present->peer;
  return merged;
}

// ---------------------------------------------------------------- the ensemble

ChangePlan plan_change(const MembershipOp& op, const election::Membership& present,
                       std::span<const MemberRecord> records,
                       std::span<const MemberHealth> health) {
  return std::visit(Planner(present, records, health), op);
}

std::size_t failures_tolerated(const election::Membership& membership,
                               std::span<const MemberHealth> health) {
  const auto spare = spare_of(membership.voters, health);
  if (!membership.is_joint()) return spare;
  return std::min(spare, spare_of(membership.outgoing, health));
}

std::vector<std::string> warnings_of(const election::Membership& membership,
                                     std::span<const MemberHealth> health) {
  std::vector<std::string> warnings;
  const auto voters = membership.voters.size();
  for (const auto id : membership.everybody()) {
    if (!is_live(health, id)) warnings.push_back(fmt::format("member {} is down", id));
  }
  if (membership.is_joint()) warnings.emplace_back("a change of the voters is under way");
  if (voters == 1) {
    warnings.emplace_back("there is one voter: nothing is kept twice");
  } else if (voters % 2 == 0) {
    warnings.push_back(
        fmt::format("{} voters tolerate no more failures than {}", voters, voters - 1));
  }
  const auto live = live_of(membership.voters, health);
  if (live < quorum_of(membership.voters)) {
    warnings.emplace_back("the quorum is lost: no write can be committed");
  } else if (voters > 1 && failures_tolerated(membership, health) == 0) {
    warnings.emplace_back("one more failure stops all writes");
  }
  return warnings;
}

std::string_view role_of(const election::Membership& membership, MemberId id) {
  if (holds(membership.voters, id)) return "voter";
  if (holds(membership.observers, id)) return "observer";
  if (holds(membership.standbys, id)) return "standby";
  return holds(membership.outgoing, id) ? "leaving" : "none";
}

// ---------------------------------------------------------------- codec

std::string encode(const MembershipOp& op) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(op.index()));
  std::visit([&out](const auto& o) { write(out, o); }, op);
  return bytes;
}

bool decode(std::string_view bytes, MembershipOp& op) {
  Reader in(bytes);
  switch (in.u8()) {
    case 0:
      read(in, op.emplace<AddMember>());
      break;
    case 1:
      read(in, op.emplace<ChangeMember>());
      break;
    case 2:
      read(in, op.emplace<RemoveMember>());
      break;
    case 3:
      read(in, op.emplace<TransferLeader>());
      break;
    case 4:
      read(in, op.emplace<RepairMember>());
      break;
    default:
      return false;
  }
  return in.done();
}

std::string encode(const ClusterPlan& plan) {
  std::string bytes;
  Writer out(bytes);
  out.varint(plan.voters);
  out.varint(plan.quorum);
  out.varint(plan.failures_tolerated);
  out.varint(plan.warnings.size());
  for (const auto& warning : plan.warnings) out.bytes(warning);
  return bytes;
}

bool decode(std::string_view bytes, ClusterPlan& plan) {
  Reader in(bytes);
  plan.voters = static_cast<std::size_t>(in.varint());
  plan.quorum = static_cast<std::size_t>(in.varint());
  plan.failures_tolerated = static_cast<std::size_t>(in.varint());
  plan.warnings.clear();
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) plan.warnings.emplace_back(in.bytes());
  return in.done();
}

}  // namespace coord::core
