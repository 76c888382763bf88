// What the links to the other members bring, and what a stop asks of them.

#include <algorithm>

#include "coord/core/node.hpp"

namespace coord::core {

void Node::on(StepDown& /*event*/) { hand_over(); }

void Node::hand_over() {
  if (raft_.role() != election::Role::leader) return;
  MemberId best;
  Index match;
  for (const auto& peer : raft_.peers()) {
    const auto& voters = raft_.membership().voters;
    const bool is_voter = std::binary_search(voters.begin(), voters.end(), peer.id);
    if (!is_voter || !peer.is_active || peer.needs_snapshot) continue;
    if (best && peer.match <= match) continue;
    best = peer.id;
    match = peer.match;
  }
  if (!best) return;
  trace_.trace(Note{Note::Level::info, fmt::format("hands leadership over to {}", best)});
  // Refused only when another transfer is under way: then that one serves as well.
  (void)raft_.transfer(best);
}

}  // namespace coord::core
