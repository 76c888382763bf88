// Node's part for operators: what is recorded of the members, what is told of them, and changes of
// the ensemble, asked of any member and done by the leader.
#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/core/node.hpp"

namespace coord::core {
namespace {

constexpr std::int64_t kNoteMs = 500;
// What the leader told is too old to say who is up.
constexpr std::int64_t kNoteStaleMs = 3'000;
// How long the leader lets another member's client wait: the usual timeout of a request.
constexpr std::int64_t kRemoteMs = 10'000;

bool is_dry_run(const MembershipOp& op) {
  return std::visit(Overloaded{[](const TransferLeader&) { return false; },
                               [](const RepairMember&) { return false; },
                               [](const auto& o) { return o.is_dry_run; }},
                    op);
}

MembershipOp op_of(const Operation& op) {
  return std::visit(
      [](const auto& o) -> MembershipOp {
        if constexpr (std::is_constructible_v<MembershipOp, decltype(o)>) {
          return o;
        } else {
          COORD_CHECK(false, "a change of the ensemble");
          return TransferLeader();
        }
      },
      op);
}

}  // namespace

// ---------------------------------------------------------------- records

MemberRecord Node::known_of(MemberId id) const {
  MemberRecord record;
  if (const auto* present = state_.member(id)) record = *present;
  record.id = id;
  if (record.peer.empty()) {
    for (const auto& [member, peer] : options_.members) {
      if (member == id) record.peer = peer;
    }
  }
  if (id == options_.raft.id) {
    record.disk_id = options_.disk_id;
    record.http = options_.http;
    record.zookeeper = options_.zookeeper;
    return record;
  }
  const auto link = links_.find(id);
  if (link == links_.end()) return record;
  // What comes from another disk than the recorded one says nothing of this member.
  if (record.disk_id != 0 && link->second.disk_id != record.disk_id) return record;
  record.disk_id = link->second.disk_id;
  record.http = link->second.http;
  record.zookeeper = link->second.zookeeper;
  return record;
}

Bootstrap Node::bootstrap_of_all() const {
  Bootstrap bootstrap;
  bootstrap.cluster = options_.cluster;
  bootstrap.membership = raft_.membership();
  for (const auto id : raft_.membership().everybody()) bootstrap.members.push_back(known_of(id));
  return bootstrap;
}

// One record at a time; the next look comes when that one is applied.
void Node::propose_records() {
  auto& desk = desk_;
  if (!was_leader_ || !desk.are_records_due) return;
  if (state_.cluster().empty() || state_.applied_term() != raft_.term()) return;
  if (index_of(state_.applied()) < desk.record_index) return;
  for (const auto id : raft_.membership().everybody()) {
    const auto* present = state_.member(id);
    auto merged = merge(present, known_of(id));
    if (merged.code != Code::ok || (present != nullptr && merged.record == *present)) continue;
    const auto index = raft_.last_index().next();
    if (propose(SetMember{std::move(merged.record)})) desk.record_index = index;
    return;
  }
  desk.are_records_due = false;
}

// ---------------------------------------------------------------- what is told

ClusterNote Node::note_of_all() const {
  ClusterNote note;
  note.term = raft_.term();
  note.committed = raft_.committed();
  for (const auto& peer : raft_.peers()) {
    auto heard_ms = peer.heard_ms;
    // A leader that has just begun has heard nobody: who is connected has not been silent for
    // longer than that.
    if (heard_ms < 0 && links_.contains(peer.id)) heard_ms = now_.mono_ms - led_since_ms_;
    note.peers.push_back({peer.id, peer.match, heard_ms, peer.needs_snapshot});
  }
  return note;
}

void Node::tell_cluster() {
  if (!was_leader_ || now_.mono_ms < desk_.next_note_ms) return;
  desk_.next_note_ms = now_.mono_ms + kNoteMs;
  const auto note = note_of_all();
  for (const auto& peer : note.peers) {
    messages_.push_back(Message{options_.raft.id, peer.id, note});
  }
}

void Node::on_note(ClusterNote&& note) {
  if (note.term < raft_.term()) return;
  desk_.note = std::move(note);
  desk_.note_ms = now_.mono_ms;
}

std::vector<MemberHealth> Node::health_of(const ClusterNote& note) const {
  std::vector<MemberHealth> health{{raft_.leader(), true, true}};
  for (const auto& peer : note.peers) {
    MemberHealth one;
    one.id = peer.id;
    one.is_live = peer.heard_ms >= 0 && peer.heard_ms < 2 * options_.raft.election_timeout_ms;
    one.is_caught_up = !peer.needs_snapshot &&
                       peer.match.value() + options_.raft.standby_lag_max >= note.committed.value();
    health.push_back(one);
  }
  return health;
}

ClusterView Node::cluster_view() const {
  const bool is_leader = was_leader_;
  const auto note = is_leader ? note_of_all() : desk_.note.value_or(ClusterNote());
  const auto& membership = raft_.membership();
  ClusterView view;
  view.cluster = state_.cluster();
  view.term = raft_.term();
  view.leader = raft_.leader();
  view.age_ms = is_leader ? 0 : desk_.note ? now_.mono_ms - desk_.note_ms : -1;
  view.voters = membership.voters.size();
  view.quorum = view.voters / 2 + 1;
  // What an earlier leader told says nothing of who is up now.
  const bool is_known =
      raft_.leader() && note.term == raft_.term() && view.age_ms >= 0 && view.age_ms < kNoteStaleMs;
  const auto health = health_of(note);
  for (const auto id : membership.everybody()) {
    view.members.push_back(view_of_member(id, note, is_known ? &health : nullptr, view.age_ms));
  }
  if (is_known) {
    view.failures_tolerated = failures_tolerated(membership, health);
    view.warnings = warnings_of(membership, health);
  } else {
    view.warnings.emplace_back(raft_.leader() ? "the leader has told nothing of the others yet"
                                              : "there is no leader: nothing can be written");
  }
  return view;
}

MemberView Node::view_of_member(MemberId id, const ClusterNote& note,
                                const std::vector<MemberHealth>* health,
                                std::int64_t age_ms) const {
  MemberView view;
  view.id = id;
  view.role = role_of(raft_.membership(), id);
  if (const auto* record = state_.member(id)) {
    view.peer = record->peer;
    view.http = record->http;
    view.zookeeper = record->zookeeper;
    view.replaces = record->replaces;
  }
  view.state = "unknown";
  const auto committed = std::max(note.committed, raft_.committed());
  for (const auto& peer : note.peers) {
    if (peer.id != id) continue;
    view.applied = peer.match;
    if (peer.heard_ms >= 0) view.heard_ms = peer.heard_ms + std::max<std::int64_t>(0, age_ms);
  }
  if (id == options_.raft.id) {
    view.applied = index_of(state_.applied());
    view.heard_ms = 0;
  } else if (id == raft_.leader()) {
    view.applied = note.committed;
    view.heard_ms = age_ms;
  }
  if (committed > view.applied) view.lag = committed.value() - view.applied.value();
  if (health == nullptr) return view;
  const auto one = std::find_if(health->begin(), health->end(),
                                [id](const MemberHealth& h) { return h.id == id; });
  if (one == health->end()) return view;
  if (id == raft_.leader()) {
    view.state = "leader";
    view.lag = 0;
  } else if (!one->is_live) {
    view.state = "down";
  } else {
    view.state = one->is_caught_up ? "ready" : "behind";
  }
  return view;
}

// ---------------------------------------------------------------- changes: any member

void Node::change_members(Request&& request) {
  if (!is_operator(request.identities)) {
    return refuse(request, Code::forbidden,
                  "to change the cluster's members takes an operator's right");
  }
  auto leader = raft_.leader();
  if (!leader) return refuse(request, Code::no_leader, "there is no leader to change the members");
  auto op = op_of(request.op);
  auto deadline = now_.mono_ms + request.timeout_ms;
  if (const auto* repair = std::get_if<RepairMember>(&op)) {
    if (repair->id == options_.raft.id || !raft_.membership().contains(repair->id)) {
      return answer_repair(std::move(request), *repair);
    }
    if (!links_.contains(repair->id)) {
      return refuse(request, Code::not_ready,
                    fmt::format("member {} cannot be reached from here", repair->id));
    }
    leader = repair->id;  // Whoever it concerns is asked.
  }
  const bool is_transfer = std::holds_alternative<TransferLeader>(op);
  const bool is_repair = std::holds_alternative<RepairMember>(op);
  if (was_leader_ && !is_transfer && !is_repair)
    return judge(std::move(request), std::move(op), deadline);
  if (is_transfer) {
    // By then Raft has given the transfer up.
    deadline = std::min(deadline, now_.mono_ms + 4 * options_.raft.election_timeout_ms);
  }
  if (desk_.waits.size() >= options_.requests.pending_max) {
    return refuse(request, Code::overloaded, "too many requests wait already");
  }
  if (desk_.last_token == 0) desk_.last_token = options_.raft.seed << 20U;
  const auto token = ++desk_.last_token;
  desk_.waits[token] = {std::move(request), raft_.term(), leader, deadline};
  if (was_leader_ && !is_repair) {
    judge(ClusterDesk::Remote{options_.raft.id, token}, std::move(op), deadline);
  } else {
    messages_.push_back(
        Message{options_.raft.id, leader, AdminRequest{raft_.term(), token, encode(op)}});
  }
}

void Node::on_admin(MemberId from, const AdminRequest& ask) {
  const ClusterDesk::Remote asker{from, ask.token};
  MembershipOp op;
  const bool is_known = decode(ask.bytes, op);
  if (is_known && std::holds_alternative<RepairMember>(op)) {
    return answer_repair(asker, std::get<RepairMember>(op));
  }
  if (ask.term != raft_.term() || !was_leader_) {
    return answer(asker, Code::no_leader, "this member is not the leader of that term", {});
  }
  if (!is_known) return answer(asker, Code::bad_request, "it cannot be read", {});
  judge(asker, std::move(op), now_.mono_ms + kRemoteMs);
}

void Node::on_admin(const AdminReply& reply) {
  const auto at = desk_.waits.find(reply.token);
  if (at == desk_.waits.end()) return;
  // Accepted: whoever asked for another leader waits for that one.
  const bool is_transfer = std::holds_alternative<TransferLeader>(at->second.request.op);
  if (is_transfer && reply.code == Code::ok) return;
  auto wait = std::move(at->second);
  desk_.waits.erase(at);
  if (reply.code != Code::ok) return refuse(wait.request, reply.code, reply.detail);
  ClusterPlan plan;
  if (!decode(reply.bytes, plan)) {
    return refuse(wait.request, Code::internal, "the leader's answer cannot be read");
  }
  auto done = reply_to(wait.request);
  done.result = std::move(plan);
  deliver(std::move(done));
}

// Those that wait for the leader: it is another one now, or time has run out.
void Node::look_after_waits() {
  std::erase_if(desk_.waits, [this](const auto& entry) {
    const auto& wait = entry.second;
    if (const auto* transfer = std::get_if<TransferLeader>(&wait.request.op)) {
      const auto leader = raft_.leader();
      if (leader && (transfer->to ? leader == transfer->to : leader != wait.leader)) {
        deliver(reply_to(wait.request));
        return true;
      }
      if (wait.deadline_ms > now_.mono_ms) return false;
      refuse(wait.request, Code::not_ready, "leadership was not taken over in time");
      return true;
    }
    if (wait.term == raft_.term() && wait.deadline_ms > now_.mono_ms) return false;
    refuse(wait.request,
           is_dry_run(op_of(wait.request.op)) ? Code::no_leader : Code::outcome_unknown,
           "the leader did not answer; the change may still be made");
    return true;
  });
}

void Node::drop_waits_of(ConnectionId connection) {
  std::erase_if(desk_.waits, [connection](const auto& entry) {
    return entry.second.request.connection == connection;
  });
}

// At the member itself, or where it is not known.
void Node::answer_repair(const ClusterDesk::Asker& asker, const RepairMember& op) {
  auto plan = plan_change(op, raft_.membership(), state_.members(), health_of(note_of_all()));
  if (plan.code == Code::ok && op.id == options_.raft.id) plan.code = begin_repair(plan.detail);
  answer(asker, plan.code, std::move(plan.detail), plan.view);
}

// ---------------------------------------------------------------- changes: the leader

void Node::judge(ClusterDesk::Asker asker, MembershipOp op, std::int64_t deadline_ms) {
  auto plan = plan_change(op, raft_.membership(), state_.members(), health_of(note_of_all()));
  if (plan.code != Code::ok) return answer(asker, plan.code, std::move(plan.detail), {});
  if (is_dry_run(op)) return answer(asker, Code::ok, {}, plan.view);
  if (const auto* transfer = std::get_if<TransferLeader>(&op)) {
    return hand_over(asker, transfer->to);
  }
  if (desk_.change || raft_.membership().is_joint()) {
    return answer(asker, Code::not_ready, "another change of the members is under way", {});
  }
  desk_.change = {std::move(asker), std::move(op), raft_.term(), deadline_ms, {}, {}, plan.view};
  const auto* present = plan.record ? state_.member(plan.record->id) : nullptr;
  if (plan.record && (present == nullptr || *present != *plan.record)) {
    const auto index = raft_.last_index().next();
    if (!propose(SetMember{std::move(*plan.record)})) {
      return finish_change(Code::not_ready, "the leader takes no proposals now");
    }
    desk_.change->record = index;
    return;
  }
  propose_change();
}

void Node::hand_over(const ClusterDesk::Asker& asker, MemberId to) {
  if (!to) {
    Index best;
    for (const auto& peer : raft_.peers()) {
      if (!peer.is_active || !raft_.membership().is_voter(peer.id) || peer.match < best) continue;
      best = peer.match;
      to = peer.id;
    }
    if (!to) return answer(asker, Code::not_ready, "there is no other voter to hand over to", {});
  }
  const auto error = raft_.transfer(to);
  if (!error) return answer(asker, Code::ok, {}, {});
  answer(asker, *error == election::TransferError::not_leader ? Code::no_leader : Code::not_ready,
         "leadership cannot be handed over now", {});
}

// Judged anew: the ensemble may have changed while the record was on its way.
void Node::propose_change() {
  auto& change = *desk_.change;
  auto plan =
      plan_change(change.op, raft_.membership(), state_.members(), health_of(note_of_all()));
  if (plan.code != Code::ok) return finish_change(plan.code, std::move(plan.detail));
  change.view = plan.view;
  if (plan.target == raft_.membership()) return finish_change(Code::ok, {});
  const auto proposed = raft_.change(std::move(plan.target));
  if (const auto* at = std::get_if<election::Proposed>(&proposed)) {
    change.change = at->index;
    return;
  }
  switch (std::get<election::ChangeError>(proposed)) {
    case election::ChangeError::not_leader:
      return finish_change(Code::no_leader, "this member is not the leader any more");
    case election::ChangeError::transferring:
      return finish_change(Code::not_ready, "leadership is being handed over");
    case election::ChangeError::in_progress:
      return finish_change(Code::not_ready, "another change of the members is under way");
    case election::ChangeError::not_ready:
      return finish_change(Code::not_ready, "the leader has only just been elected");
    case election::ChangeError::malformed:
      return finish_change(Code::invalid, "such an ensemble is not possible");
  }
}

void Node::finish_change(Code code, std::string detail) {
  const auto change = std::exchange(desk_.change, std::nullopt);
  answer(change->asker, code, std::move(detail), change->view);
}

void Node::answer(const ClusterDesk::Asker& asker, Code code, std::string detail,
                  const ClusterPlan& view) {
  if (const auto* request = std::get_if<Request>(&asker)) {
    if (code != Code::ok) return refuse(*request, code, std::move(detail));
    auto reply = reply_to(*request);
    reply.result = view;
    deliver(std::move(reply));
    return;
  }
  const auto& remote = std::get<ClusterDesk::Remote>(asker);
  AdminReply reply{remote.token, code, std::move(detail), encode(view)};
  if (remote.member == options_.raft.id) return on_admin(reply);
  messages_.push_back(Message{options_.raft.id, remote.member, std::move(reply)});
}

// ---------------------------------------------------------------- every turn

// Before Raft's Ready is taken, after follow_role().
void Node::step_cluster() {
  tell_cluster();
  propose_records();
  if (desk_.change) {
    const auto& change = *desk_.change;
    if (!was_leader_ || change.term != raft_.term()) {
      finish_change(Code::outcome_unknown,
                    "this member lost its leadership; the change may still be made");
    } else if (change.deadline_ms <= now_.mono_ms) {
      finish_change(Code::outcome_unknown, "it was not confirmed in time; it may still be made");
    } else if (!change.record && !change.change) {
      propose_change();
    }
  }
  if (!desk_.waits.empty()) look_after_waits();
}

void Node::note_members(Index index, const Applied& applied) {
  if (applied.are_members_changed) {
    desk_.are_records_due = true;
    tell_replacements();
  }
  if (!desk_.change) return;
  if (desk_.change->record == index) {
    desk_.change->record = Index();
    if (applied.outcome.code != Code::ok) {
      return finish_change(applied.outcome.code, applied.outcome.detail);
    }
    wants_turn_ = true;  // The membership is next.
  } else if (desk_.change->change == index) {
    finish_change(Code::ok, {});
  }
}

void Node::tell_replacements() {
  std::vector<election::Replacement> replacements;
  for (const auto& record : state_.members()) {
    if (record.replaces && !record.is_removed) replacements.push_back({record.id, record.replaces});
  }
  raft_.set_replacements(std::move(replacements));
}

}  // namespace coord::core
