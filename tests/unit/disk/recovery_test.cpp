#include "coord/disk/recovery.hpp"

#include <gtest/gtest.h>

#include "tests/unit/disk/wal_fixture.hpp"

namespace coord::disk {
namespace {

struct Case {
  std::string name;
  std::optional<core::CheckpointMark> mark;
  std::uint64_t first, last;  // Of the log, all in term 2. Zero: empty.
  std::uint64_t term;         // The hard state's.
  std::vector<std::uint64_t> want;
  std::string want_error;
};

core::CheckpointMark mark_at(std::uint64_t applied, std::uint64_t term = 2) {
  return {.applied = Index(applied), .applied_term = Term(term)};
}

TEST(Recovery, the_log_continues_the_checkpoint_or_is_refused) {
  const Case cases[] = {
      {"nothing at all", std::nullopt, 0, 0, 0, {}, ""},
      {"a log alone", std::nullopt, 1, 4, 2, {1, 2, 3, 4}, ""},
      {"a log alone that does not begin at 1", std::nullopt, 2, 4, 2, {}, "entries are missing"},
      {"a log that overlaps", mark_at(3), 1, 5, 2, {4, 5}, ""},
      {"a log that follows exactly", mark_at(3), 4, 5, 2, {4, 5}, ""},
      {"a log that ends at the mark", mark_at(5), 3, 5, 2, {}, ""},
      {"a log that ends before the mark", mark_at(9), 3, 5, 2, {}, ""},
      {"a hole between", mark_at(3), 5, 6, 2, {}, "entries are missing"},
      {"a new log beside a checkpoint", mark_at(3), 0, 0, 0, {}, "the log is missing"},
      {"a log without entries", mark_at(3), 0, 0, 2, {}, ""},
      {"a log that a snapshot replaced", mark_at(4, 3), 1, 6, 3, {}, ""},
      {"a log that a snapshot replaced, recycled up to the mark", mark_at(3, 3), 4, 6, 3, {}, ""},
      {"a log that ends where a snapshot replaced it", mark_at(6, 3), 1, 6, 3, {}, ""},
  };
  for (const auto& c : cases) {
    WalRecovered recovered;
    recovered.hard_state.term = Term(c.term);
    for (auto i = c.first; i != 0 && i <= c.last; ++i) recovered.entries.push_back(entry(i, 2));
    const auto start = combine(c.mark, std::move(recovered));
    if (!c.want_error.empty()) {
      ASSERT_FALSE(start) << c.name;
      EXPECT_EQ(start.error().failure, Failure::corrupt) << c.name;
      EXPECT_NE(start.error().message.find(c.want_error), std::string::npos) << c.name;
      continue;
    }
    ASSERT_TRUE(start) << c.name << ": " << start.error().message;
    std::vector<std::uint64_t> got;
    for (const auto& e : start.value().entries) got.push_back(e->index.value());
    EXPECT_EQ(got, c.want) << c.name;
    EXPECT_EQ(start.value().hard_state.term, Term(c.term)) << c.name;
    EXPECT_EQ(start.value().checkpoint.index, c.mark ? c.mark->applied : Index()) << c.name;
  }
}

TEST(Recovery, what_was_written_after_a_snapshot_replaced_the_log_is_kept) {
  WalRecovered recovered;
  recovered.hard_state.term = Term(5);
  for (std::uint64_t i = 1; i <= 4; ++i) recovered.entries.push_back(entry(i, 2));
  recovered.entries.push_back(entry(5, 3));
  recovered.entries.push_back(entry(6, 5));
  const auto start = combine(mark_at(4, 3), std::move(recovered));
  ASSERT_TRUE(start);
  ASSERT_EQ(start.value().entries.size(), 2U);
  EXPECT_EQ(start.value().entries.front()->index, Index(5));
}

}  // namespace
}  // namespace coord::disk
