#include "election/log.hpp"

#include <gtest/gtest.h>

#include "unit/election/make.hpp"

namespace coord::election {
namespace {

TEST(Log, KnowsTheTermOfEachIndexAndOfItsMark) {
  const Log log({Index(3), Term(2)}, entries(4, {2, 3, 3}));
  const struct {
    std::string name;
    std::uint64_t given;
    std::optional<Term> want;
  } cases[] = {
      {"before the mark", 2, std::nullopt}, {"the mark", 3, Term(2)},
      {"the first entry", 4, Term(2)},      {"the last entry", 6, Term(3)},
      {"after the end", 7, std::nullopt},   {"nothing at all", 0, std::nullopt},
  };
  for (const auto& c : cases) EXPECT_EQ(log.term_of(Index(c.given)), c.want) << c.name;
  EXPECT_EQ(Log({}, {}).term_of(Index(0)), Term(0));
}

TEST(Log, SaysWhichLogIsAtLeastAsUpToDate) {
  const Log log({}, entries(1, {1, 2, 2}));
  const struct {
    std::string name;
    std::uint64_t last_index, last_term;
    bool want;
  } cases[] = {
      {"the same", 3, 2, true},
      {"longer in the same term", 4, 2, true},
      {"shorter in the same term", 2, 2, false},
      {"shorter in a later term", 1, 3, true},
      {"longer in an earlier term", 9, 1, false},
      {"empty", 0, 0, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(log.is_up_to_date(Index(c.last_index), Term(c.last_term)), c.want) << c.name;
  }
}

TEST(Log, FindsWhereTwoLogsMayMeet) {
  const Log log({Index(2), Term(1)}, entries(3, {1, 3, 3, 5}));
  const struct {
    std::string name;
    std::uint64_t index, term, want;
  } cases[] = {
      {"the own end", 6, 5, 6},
      {"beyond the end", 9, 5, 6},
      {"a whole term is skipped", 6, 4, 5},
      {"two terms are skipped", 6, 2, 3},
      {"only up to the index", 4, 9, 4},
      {"nothing after the mark", 6, 0, 2},
      {"before the mark", 1, 9, 2},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(log.meeting_point(Index(c.index), Term(c.term)), Index(c.want)) << c.name;
  }
}

TEST(Log, LeavesOutWhatTheMarkCoversOrContradicts) {
  const struct {
    std::string name;
    SnapshotMark mark;
    std::vector<SharedEntry> given;
    std::uint64_t want_last;
  } cases[] = {
      {"right after the mark", {Index(2), Term(1)}, entries(3, {1, 2}), 4},
      {"begins before the mark", {Index(2), Term(1)}, entries(1, {1, 1, 2}), 3},
      {"wholly covered", {Index(5), Term(1)}, entries(1, {1, 1}), 5},
      {"of a log that the mark replaced", {Index(2), Term(4)}, entries(1, {1, 1, 2, 3}), 2},
      {"in a later term than the mark", {Index(2), Term(4)}, entries(3, {5}), 3},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Log(c.mark, c.given).last_index(), Index(c.want_last)) << c.name;
  }
}

TEST(Log, ForgetsFromTheFrontAndFromTheBack) {
  Log log({}, {});
  for (const auto& e : entries(1, {1, 1, 2, 2, 3})) log.append(e);
  const auto bytes = log.bytes();
  log.truncate_from(Index(5));
  EXPECT_EQ(log.last_index(), Index(4));
  EXPECT_EQ(log.last_term(), Term(2));
  log.compact(Index(3));
  EXPECT_EQ(log.first_index(), Index(4));
  EXPECT_EQ(log.mark(), (SnapshotMark{Index(3), Term(2)}));
  EXPECT_EQ(log.bytes() * 5, bytes);
  log.compact(Index(4));
  EXPECT_EQ(log.bytes(), 0U);
  EXPECT_EQ(log.last_term(), Term(2));
  log.reset({Index(9), Term(7)});
  EXPECT_EQ(log.last_index(), Index(9));
}

TEST(Log, CopiesARange) {
  const Log log({Index(2), Term(1)}, entries(3, {1, 2, 3}));
  std::vector<SharedEntry> out;
  log.copy(Index(4), Index(5), out);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0]->index, Index(4));
  EXPECT_EQ(out[1]->index, Index(5));
  log.copy(Index(6), Index(5), out);
  EXPECT_EQ(out.size(), 2U);
}

TEST(LogDeathTest, RefusesAHoleAndAFallingTerm) {
  Log log({}, entries(1, {2}));
  EXPECT_DEATH(log.append(entry(3, 2)), "contiguous");
  EXPECT_DEATH(log.append(entry(2, 1)), "terms never fall");
}

}  // namespace
}  // namespace coord::election
