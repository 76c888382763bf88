#include "election/progress.hpp"

#include <gtest/gtest.h>

namespace coord::election {
namespace {

using State = Progress::State;

Progress replicating(std::uint64_t match) {
  Progress progress(Index(match + 1));
  progress.acknowledged(Index(match));
  return progress;
}

TEST(Progress, ProbesWithOneRequestUntilItIsAnswered) {
  Progress progress(Index(11));
  EXPECT_TRUE(progress.can_send(8));
  progress.sent(Index(12));
  EXPECT_FALSE(progress.can_send(8));
  EXPECT_EQ(progress.next(), Index(11));
  EXPECT_TRUE(progress.acknowledged(Index(12)));
  EXPECT_EQ(progress.state(), State::replicate);
  EXPECT_EQ(progress.next(), Index(13));
}

TEST(Progress, SendsAheadOfTheAnswersUpToTheWindow) {
  auto progress = replicating(10);
  progress.sent(Index(12));
  progress.sent(Index(15));
  EXPECT_EQ(progress.next(), Index(16));
  EXPECT_EQ(progress.in_flight(), 2U);
  EXPECT_TRUE(progress.can_send(3));
  EXPECT_FALSE(progress.can_send(2));
  EXPECT_TRUE(progress.acknowledged(Index(12)));
  EXPECT_EQ(progress.in_flight(), 1U);
  EXPECT_TRUE(progress.acknowledged(Index(15)));
  EXPECT_EQ(progress.in_flight(), 0U);
  progress.sent(Index(15));  // Without entries: it takes no place in the window.
  EXPECT_EQ(progress.in_flight(), 0U);
}

TEST(Progress, NeverTakesBackWhatIsSynced) {
  auto progress = replicating(10);
  EXPECT_FALSE(progress.acknowledged(Index(7)));
  EXPECT_EQ(progress.match(), Index(10));
}

TEST(Progress, GoesBackOnlyForRefusalsThatAreNew) {
  const struct {
    std::string name;
    State state;
    std::uint64_t refused, meeting_point;
    bool want;
    std::uint64_t want_next;
  } cases[] = {
      // match 10; replicate: sent up to 20; probe: next 16.
      {"replicate: below the match", State::replicate, 10, 5, false, 21},
      {"replicate: of something never sent", State::replicate, 30, 5, false, 21},
      {"replicate: something was lost", State::replicate, 20, 14, true, 15},
      {"replicate: never before the match", State::replicate, 20, 3, true, 11},
      {"probe: of another request", State::probe, 14, 12, false, 16},
      {"probe: back to the meeting point", State::probe, 15, 12, true, 13},
      {"probe: at least one back", State::probe, 15, 99, true, 15},
      {"probe: never before the match", State::probe, 15, 3, true, 11},
  };
  for (const auto& c : cases) {
    auto progress = replicating(10);
    progress.sent(Index(20));
    if (c.state == State::probe) {
      ASSERT_TRUE(progress.refused(Index(20), Index(15)));
      progress.sent(Index(15));
    }
    EXPECT_EQ(progress.refused(Index(c.refused), Index(c.meeting_point)), c.want) << c.name;
    EXPECT_EQ(progress.next(), Index(c.want_next)) << c.name;
    if (c.want) {
      EXPECT_EQ(progress.state(), State::probe) << c.name;
      EXPECT_TRUE(progress.can_send(1)) << c.name;
    }
  }
}

TEST(Progress, SendsNothingWhileASnapshotIsOnItsWay) {
  auto progress = replicating(10);
  progress.sent(Index(20));
  progress.become_snapshot();
  EXPECT_FALSE(progress.can_send(8));
  EXPECT_FALSE(progress.refused(Index(15), Index(3)));
  EXPECT_TRUE(progress.acknowledged(Index(40)));
  EXPECT_EQ(progress.state(), State::snapshot);
  progress.become_probe();
  EXPECT_EQ(progress.next(), Index(41));
  EXPECT_TRUE(progress.can_send(8));
}

}  // namespace
}  // namespace coord::election
