#include "election/log.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"

namespace coord::election {

Log::Log(SnapshotMark mark, std::vector<SharedEntry> entries) : mark_(mark) {
  for (auto& entry : entries) {
    if (entry->index <= mark.index) continue;
    // An entry after the mark whose term is below the mark's comes from a log in which another
    // entry stood at the mark: the snapshot replaced that log, and a crash came before it was cut.
    if (entries_.empty() && entry->term < mark.term) return;
    append(std::move(entry));
  }
}

std::optional<Term> Log::term_of(Index index) const noexcept {
  if (index == mark_.index) return mark_.term;
  if (index < mark_.index || index > last_index()) return std::nullopt;
  return entries_[position(index)]->term;
}

const SharedEntry& Log::at(Index index) const noexcept {
  COORD_CHECK(index > mark_.index, "an entry is in the log", index, mark_.index);
  COORD_CHECK(index <= last_index(), "an entry is in the log", index, last_index());
  return entries_[position(index)];
}

bool Log::is_up_to_date(Index index, Term term) const noexcept {
  if (term != last_term()) return term > last_term();
  return index >= last_index();
}

Index Log::meeting_point(Index index, Term term) const noexcept {
  if (index > last_index()) index = last_index();
  if (index <= mark_.index) return mark_.index;
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(position(index)) + 1;
  const auto above =
      std::upper_bound(entries_.begin(), end, term,
                       [](Term wanted, const SharedEntry& entry) { return wanted < entry->term; });
  return Index(mark_.index.value() + static_cast<std::uint64_t>(above - entries_.begin()));
}

void Log::append(SharedEntry entry) {
  COORD_CHECK(entry->index == last_index().next(), "entries are contiguous", entry->index,
              last_index());
  COORD_CHECK(entry->term >= last_term(), "terms never fall", entry->term, last_term());
  bytes_ += cost(*entry);
  entries_.push_back(std::move(entry));
}

void Log::truncate_from(Index index) {
  COORD_CHECK(index > mark_.index, "what a snapshot covers stays", index, mark_.index);
  while (last_index() >= index) {
    bytes_ -= cost(*entries_.back());
    entries_.pop_back();
  }
}

void Log::compact(Index index) {
  COORD_CHECK(index >= mark_.index, "a mark never goes back", index, mark_.index);
  COORD_CHECK(index <= last_index(), "a mark is in the log", index, last_index());
  while (mark_.index < index) {
    mark_ = SnapshotMark{entries_.front()->index, entries_.front()->term};
    bytes_ -= cost(*entries_.front());
    entries_.pop_front();
  }
}

void Log::reset(SnapshotMark mark) {
  mark_ = mark;
  entries_.clear();
  bytes_ = 0;
}

void Log::copy(Index first, Index last, std::vector<SharedEntry>& out) const {
  if (first > last) return;
  COORD_CHECK(first > mark_.index, "a range is in the log", first, mark_.index);
  COORD_CHECK(last <= last_index(), "a range is in the log", last, last_index());
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(position(first));
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(position(last)) + 1;
  out.insert(out.end(), begin, end);
}

}  // namespace coord::election
