#include "coord/core/pending.hpp"

#include <gtest/gtest.h>

namespace coord::core {
namespace {

Waiter waiter(std::uint64_t request, std::int64_t deadline_ms = 100, std::uint64_t connection = 1) {
  return {ConnectionId(connection), RequestId(request), deadline_ms};
}

TEST(Pending, GivesEachWaiterToItsEntryOnce) {
  Pending pending;
  pending.add(Index(5), waiter(1));
  pending.add(Index(8), waiter(2));  // Two entries between have nobody who waits.
  EXPECT_EQ(pending.size(), 2U);
  EXPECT_FALSE(pending.take(Index(4)));
  EXPECT_EQ(pending.take(Index(5))->request, RequestId(1));
  EXPECT_FALSE(pending.take(Index(5)));
  EXPECT_FALSE(pending.take(Index(6)));
  EXPECT_FALSE(pending.take(Index(7)));
  EXPECT_EQ(pending.take(Index(8))->request, RequestId(2));
  EXPECT_EQ(pending.size(), 0U);
  pending.add(Index(20), waiter(3));
  EXPECT_EQ(pending.take(Index(20))->request, RequestId(3));
}

TEST(Pending, ForgetsWhatLiesBeforeTheEntryThatIsTaken) {
  Pending pending;
  pending.add(Index(1), waiter(1));
  pending.add(Index(2), waiter(2));
  EXPECT_EQ(pending.take(Index(2))->request, RequestId(2));
  EXPECT_EQ(pending.size(), 0U);
}

TEST(Pending, TakesWhoseDeadlineHasPassedAndKeepsTheOthers) {
  Pending pending;
  pending.add(Index(1), waiter(1, 300));
  pending.add(Index(2), waiter(2, 100));
  pending.add(Index(3), waiter(3, 200));
  EXPECT_TRUE(pending.expire(99).empty());
  auto late = pending.expire(200);
  ASSERT_EQ(late.size(), 2U);
  EXPECT_EQ(late[0].request, RequestId(2));
  EXPECT_EQ(late[1].request, RequestId(3));
  EXPECT_EQ(pending.size(), 1U);
  EXPECT_FALSE(pending.take(Index(1)) == std::nullopt);
  EXPECT_FALSE(pending.take(Index(2)));
  pending.add(Index(4), waiter(4, 50));
  EXPECT_EQ(pending.expire(50).size(), 1U);
}

TEST(Pending, DropsAConnectionAndTakesAllOthers) {
  Pending pending;
  pending.add(Index(1), waiter(1, 100, 1));
  pending.add(Index(2), waiter(2, 100, 2));
  pending.add(Index(3), waiter(3, 100, 1));
  pending.drop_connection(ConnectionId(1));
  EXPECT_EQ(pending.size(), 1U);
  const auto all = pending.take_all();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].second.request, RequestId(2));
  EXPECT_EQ(pending.size(), 0U);
  pending.add(Index(2), waiter(9));  // A new term may use the index again.
  EXPECT_EQ(pending.take(Index(2))->request, RequestId(9));
}

TEST(PendingDeathTest, RefusesAnIndexThatDoesNotGrow) {
  Pending pending;
  pending.add(Index(5), waiter(1));
  EXPECT_DEATH(pending.add(Index(5), waiter(2)), "indices of pending writes grow");
}

TEST(Limbo, a_write_is_known_not_to_be_applied_once_an_entry_of_a_later_term_is) {
  Limbo limbo;
  limbo.add(Term(3), 10, {ConnectionId(1), RequestId(1), 100});
  limbo.add(Term(3), 11, {ConnectionId(1), RequestId(2), 100});
  limbo.add(Term(5), 10, {ConnectionId(2), RequestId(3), 200});
  EXPECT_FALSE(limbo.take(Term(4), 10)) << "the same index in another term is another entry";
  EXPECT_EQ(limbo.take(Term(3), 10)->request, RequestId(1));
  EXPECT_FALSE(limbo.take(Term(3), 10)) << "once";
  EXPECT_TRUE(limbo.take_before(Term(3)).empty());
  const auto gone = limbo.take_before(Term(5));
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].request, RequestId(2));
  EXPECT_TRUE(limbo.expire(199).empty());
  EXPECT_EQ(limbo.expire(200).size(), 1U);
  limbo.add(Term(6), 1, {ConnectionId(7), RequestId(4), 300});
  limbo.drop_connection(ConnectionId(7));
  EXPECT_EQ(limbo.size(), 0U);
}

}  // namespace
}  // namespace coord::core
