#include "election/read_queue.hpp"

#include <gtest/gtest.h>

#include <string>

namespace coord::election {
namespace {

// "read@index" for each grant, in order.
std::string confirm(ReadQueue& queue, std::uint64_t round) {
  std::string text;
  queue.confirm(round, [&](const ReadQueue::Asker& asker, Index index) {
    text += fmt::format("{}{}@{}", text.empty() ? "" : " ", asker.read, index);
  });
  return text;
}

TEST(ReadQueue, OneRoundServesAllThatWait) {
  ReadQueue queue;
  queue.add({MemberId(), ReadId(1)});
  queue.add({MemberId(2), ReadId(7)});
  EXPECT_TRUE(queue.has_waiting());
  queue.start(5, Index(10));
  EXPECT_FALSE(queue.has_waiting());
  EXPECT_EQ(confirm(queue, 4), "");
  EXPECT_EQ(confirm(queue, 5), "1@10 7@10");
  EXPECT_EQ(confirm(queue, 5), "");
  EXPECT_TRUE(queue.empty());
}

TEST(ReadQueue, AnswersOfARoundAreNotUsedForReadsThatCameLater) {
  ReadQueue queue;
  queue.add({MemberId(), ReadId(1)});
  queue.start(5, Index(10));
  queue.add({MemberId(), ReadId(2)});
  EXPECT_EQ(confirm(queue, 5), "1@10");
  EXPECT_FALSE(queue.empty());
  queue.start(6, Index(12));
  EXPECT_EQ(confirm(queue, 5), "");
  EXPECT_EQ(confirm(queue, 6), "2@12");
}

TEST(ReadQueue, ALaterRoundConfirmsEarlierOnes) {
  ReadQueue queue;
  queue.add({MemberId(), ReadId(1)});
  queue.start(5, Index(10));
  queue.add({MemberId(), ReadId(2)});
  queue.start(6, Index(12));
  EXPECT_EQ(confirm(queue, 9), "1@10 2@12");
}

TEST(ReadQueue, ClearTellsEveryReadOnce) {
  ReadQueue queue;
  queue.add({MemberId(), ReadId(1)});
  queue.start(5, Index(10));
  queue.add({MemberId(), ReadId(2)});
  std::string failed;
  queue.clear([&](const ReadQueue::Asker& asker) { failed += fmt::format("{} ", asker.read); });
  EXPECT_EQ(failed, "1 2 ");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(confirm(queue, 99), "");
}

}  // namespace
}  // namespace coord::election
