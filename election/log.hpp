// Log: the entries in memory that follow a mark, and the term of that mark.
//
// Owns the order and the arithmetic of entries; knows nothing of commits, members or the disk.
// Invariants: indexes are contiguous from mark().index + 1; terms never fall.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "election/entry.hpp"

namespace coord::election {

class Log {
 public:
  // `entries` may begin at or before the mark: what the mark covers is left out, and so is
  // everything if it belongs to a log that the mark contradicts.
  Log(SnapshotMark mark, std::vector<SharedEntry> entries);

  [[nodiscard]] SnapshotMark mark() const noexcept { return mark_; }
  [[nodiscard]] Index first_index() const noexcept { return mark_.index.next(); }
  [[nodiscard]] Index last_index() const noexcept {
    return Index(mark_.index.value() + entries_.size());
  }
  [[nodiscard]] Term last_term() const noexcept {
    return entries_.empty() ? mark_.term : entries_.back()->term;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  // Nothing before the mark and after the end. Index 0, before everything, is of term 0.
  [[nodiscard]] std::optional<Term> term_of(Index index) const noexcept;
  // Requires: first_index() <= index <= last_index().
  [[nodiscard]] const SharedEntry& at(Index index) const noexcept;
  // Is a log that ends so at least as up to date as this one (thesis, section 3.6.1)?
  [[nodiscard]] bool is_up_to_date(Index last_index, Term last_term) const noexcept;
  // The last index up to `index` whose term is not above `term`: where two logs may meet. The mark
  // when there is none after it. So a refusal skips whole terms (section 3.5).
  [[nodiscard]] Index meeting_point(Index index, Term term) const noexcept;

  // Requires: the entry follows the last one, in a term that is not lower.
  void append(SharedEntry entry);
  // Forgets everything from `index` on. Requires: first_index() <= index.
  void truncate_from(Index index);
  // Forgets everything up to `index`, which becomes the mark. Requires: mark <= index <= last.
  void compact(Index index);
  // Starts anew after a snapshot.
  void reset(SnapshotMark mark);
  // Adds the entries from `first` to `last` to `out`.
  void copy(Index first, Index last, std::vector<SharedEntry>& out) const;

  // What an entry takes in memory, about.
  [[nodiscard]] static std::size_t cost(const LogEntry& entry) noexcept {
    return entry.payload.size() + kEntryOverhead;
  }

 private:
  static constexpr std::size_t kEntryOverhead = 112;
  [[nodiscard]] std::size_t position(Index index) const noexcept {
    return static_cast<std::size_t>(index.value() - mark_.index.value() - 1);
  }
  SnapshotMark mark_;
  std::deque<SharedEntry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace coord::election
