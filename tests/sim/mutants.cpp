// What is broken on purpose in the simulated shell, at its edges: a mutant of Raft that can be told
// by what comes in or goes to the disk needs no branch in Raft.
#include "coord/base/overloaded.hpp"
#include "tests/sim/member.hpp"

namespace coord::sim {

void Member::mutate(core::Event& event) const {
  const auto mutant = world_.mutant();
  if (auto* asked = std::get_if<core::ClientRequest>(&event)) {
    const bool is_leader = node_->raft().role() == election::Role::leader;
    if (mutant == Mutant::read_without_index && is_leader) {
      asked->request.consistency = core::Consistency::local;
    }
    return;
  }
  auto* peer = std::get_if<core::PeerMessage>(&event);
  auto* body = peer == nullptr ? nullptr : std::get_if<election::Body>(&peer->message.body);
  if (body == nullptr) return;
  if (auto* request = std::get_if<election::VoteRequest>(body)) {
    if (mutant != Mutant::vote_without_log) return;
    request->last_term = request->term;
    return;
  }
  auto* reply = std::get_if<election::AppendReply>(body);
  if (reply == nullptr) return;
  if (mutant == Mutant::lease_from_reply) reply->sent_at_ms = mono_ms();
  if (mutant == Mutant::late_acknowledgement && reply->term < node_->raft().term()) {
    reply->term = node_->raft().term();
  }
}

void Member::mutate(disk::WalBatch& batch) const {
  if (world_.mutant() == Mutant::vote_not_stored && batch.hard_state) {
    batch.hard_state->vote = MemberId();
  }
}

void Member::mutate(core::NodeState& started) const {
  if (world_.mutant() == Mutant::configuration_not_restored) {
    started.log.membership = world_.plan().founders();
  }
}

// What a mutant does wrong for as long as it runs.
void Member::mutate_disks() {
  disk_->faults.forgets_directory = world_.mutant() == Mutant::directory_not_synced;
  store_.faults.adopts_part = world_.mutant() == Mutant::part_of_snapshot && world_.chance(50);
}

}  // namespace coord::sim
