// Image: a log with its hard state and snapshot, as a disk holds it.
//
// Each member has two: what is synced, and what it has handed out to be written (its mirror).
#pragma once

#include <deque>
#include <optional>

#include "election/raft.hpp"

namespace coord::raft_sim {

using namespace election;  // NOLINT: this program is about nothing else.

struct Image {
  HardState hard_state;
  SnapshotMark snapshot;
  Membership membership;          // At the snapshot.
  std::uint64_t state_chain = 0;  // The state machine at the snapshot: a chain of hashes.
  std::deque<SharedEntry> entries;

  void apply(const Persist& persist) {
    if (persist.hard_state) hard_state = *persist.hard_state;
    if (persist.entries.empty()) return;
    const auto first = persist.entries.front()->index;
    while (!entries.empty() && entries.back()->index >= first) entries.pop_back();
    if (!entries.empty() && entries.back()->index.next() != first) entries.clear();
    entries.insert(entries.end(), persist.entries.begin(), persist.entries.end());
  }
  // A checkpoint of the own state, or a snapshot that was fetched, is in place.
  void set_snapshot(SnapshotMark mark, const Membership& at_mark, std::uint64_t chain) {
    snapshot = mark;
    membership = at_mark;
    state_chain = chain;
    while (!entries.empty() && entries.front()->index <= mark.index) entries.pop_front();
  }
  [[nodiscard]] const SharedEntry* find(Index index) const {
    if (entries.empty() || index < entries.front()->index || index > entries.back()->index) {
      return nullptr;
    }
    return &entries[static_cast<std::size_t>(index.value() - entries.front()->index.value())];
  }
  [[nodiscard]] std::optional<Term> term_of(Index index) const {
    if (index == snapshot.index) return snapshot.term;
    const auto* entry = find(index);
    return entry == nullptr ? std::nullopt : std::optional((*entry)->term);
  }
  [[nodiscard]] Index last() const {
    return entries.empty() ? snapshot.index : std::max(snapshot.index, entries.back()->index);
  }
  [[nodiscard]] Restored restored() const {
    return {hard_state, snapshot, membership, {entries.begin(), entries.end()}};
  }
};

}  // namespace coord::raft_sim
