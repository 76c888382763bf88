#include "election/unsynced.hpp"

#include <gtest/gtest.h>

namespace coord::election {
namespace {

TEST(Unsynced, CountsOnlyWhatWasReported) {
  Unsynced unsynced(Index(3), HardState{Term(1), MemberId()});
  EXPECT_EQ(unsynced.issue(Index(5), std::nullopt), 1U);
  EXPECT_EQ(unsynced.issue(Index(8), HardState{Term(2), MemberId(7)}), 2U);
  EXPECT_EQ(unsynced.synced(), Index(3));
  unsynced.persisted(1);
  EXPECT_EQ(unsynced.synced(), Index(5));
  EXPECT_EQ(unsynced.hard_state(), (HardState{Term(1), MemberId()}));
  unsynced.persisted(2);
  EXPECT_EQ(unsynced.synced(), Index(8));
  EXPECT_EQ(unsynced.hard_state(), (HardState{Term(2), MemberId(7)}));
  EXPECT_TRUE(unsynced.is_idle());
}

TEST(Unsynced, ALateReportDoesNotCountForEntriesThatTookTheirPlace) {
  Unsynced unsynced(Index(3), {});
  const auto old_leader = unsynced.issue(Index(9), std::nullopt);
  unsynced.lower(Index(5));                                        // Another leader cuts 6 to 9 ...
  const auto new_leader = unsynced.issue(Index(8), std::nullopt);  // ... and writes 6 to 8.
  unsynced.persisted(old_leader);
  EXPECT_EQ(unsynced.synced(), Index(5));
  unsynced.persisted(new_leader);
  EXPECT_EQ(unsynced.synced(), Index(8));
}

TEST(Unsynced, ATruncationLowersWhatIsSynced) {
  Unsynced unsynced(Index(9), {});
  unsynced.lower(Index(4));
  EXPECT_EQ(unsynced.synced(), Index(4));
  unsynced.raise(Index(6));
  EXPECT_EQ(unsynced.synced(), Index(6));
}

TEST(UnsyncedDeathTest, AReportOfWhatWasNeverIssuedIsABug) {
  Unsynced unsynced(Index(0), {});
  EXPECT_DEATH(unsynced.persisted(1), "issued");
}

}  // namespace
}  // namespace coord::election
