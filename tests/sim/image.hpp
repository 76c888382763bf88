// Image: a log with its hard state, as a disk holds it.
//
// The Witness keeps two of each member: what is synced, and what was handed out to be written.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "coord/disk/wal.hpp"
#include "election/entry.hpp"

namespace coord::sim {

struct Image {
  election::HardState hard_state;
  election::SnapshotMark base;  // The entries begin after it.
  std::deque<election::SharedEntry> entries;

  void put(const std::optional<election::HardState>& state,
           const std::vector<election::SharedEntry>& list) {
    if (state) hard_state = *state;
    if (list.empty()) return;
    const auto first = list.front()->index;
    while (!entries.empty() && entries.back()->index >= first) entries.pop_back();
    // What was written before a snapshot came does not reach what is written after it.
    if (!entries.empty() && entries.back()->index.next() != first) entries.clear();
    entries.insert(entries.end(), list.begin(), list.end());
  }
  // A snapshot took the place of everything up to its mark.
  void rebase(election::SnapshotMark mark) {
    const auto term = term_of(mark.index);
    if (term != mark.term) entries.clear();
    while (!entries.empty() && entries.front()->index <= mark.index) entries.pop_front();
    base = mark;
  }
  [[nodiscard]] const election::SharedEntry* find(Index index) const {
    if (entries.empty() || index < entries.front()->index || index > entries.back()->index) {
      return nullptr;
    }
    return &entries[static_cast<std::size_t>(index.value() - entries.front()->index.value())];
  }
  [[nodiscard]] std::optional<Term> term_of(Index index) const {
    if (index == base.index) return base.term;
    const auto* entry = find(index);
    return entry == nullptr ? std::nullopt : std::optional((*entry)->term);
  }
  [[nodiscard]] Index last() const {
    return entries.empty() ? base.index : std::max(base.index, entries.back()->index);
  }
};

}  // namespace coord::sim
