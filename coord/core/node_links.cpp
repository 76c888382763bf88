// What the links to the other members bring, and what a stop asks of them.

#include <algorithm>

#include "coord/core/node.hpp"

namespace coord::core {
namespace {

constexpr std::int64_t kFullHandOverMs = 5'000;

}  // namespace

void Node::on(StepDown& /*event*/) { hand_over(); }

void Node::hand_over() {
  if (raft_.role() != election::Role::leader) return;
  const auto own = options_.raft.id;
  MemberId best;
  Index match;
  for (const auto& peer : raft_.peers()) {
    const auto& voters = raft_.membership().voters;
    const bool is_voter = std::binary_search(voters.begin(), voters.end(), peer.id);
    if (!is_voter || !peer.is_active || peer.needs_snapshot) continue;
    // Of equals the next one in the circle: where several cannot lead, somebody's turn comes.
    const bool is_next = best < own && peer.id > own;
    if (best && (peer.match < match || (peer.match == match && !is_next))) continue;
    best = peer.id;
    match = peer.match;
  }
  if (!best) return;
  trace_.trace(Note{Note::Level::info, fmt::format("hands leadership over to {}", best)});
  // Refused only when another transfer is under way: then that one serves as well.
  (void)raft_.transfer(best);
}

// A leader that takes no writes stops those of all. Not too often: all disks may be full.
void Node::lead_no_more_on_a_full_disk() {
  if (!is_disk_full_ || now_.mono_ms < full_hand_over_ms_) return;
  if (raft_.role() != election::Role::leader || raft_.membership().voters.size() < 2) return;
  full_hand_over_ms_ = now_.mono_ms + kFullHandOverMs;
  hand_over();
}

}  // namespace coord::core
