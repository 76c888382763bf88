// Node's watches: live, resumed from the ring or the store, ended.
#include <gtest/gtest.h>

#include "harness.hpp"

namespace coord::core {
namespace {

using Words = std::vector<std::string>;

Harness::Options small_ring() {
  Harness::Options options;
  options.watches.history_changes_max = 4;
  options.checkpoint.interval_ms = 100;
  return options;
}

// Writes n changes of /n, with checkpoints between, and gives the revision of each.
std::vector<Zxid> write_many(Harness& world, int n) {
  std::vector<Zxid> revisions;
  for (int i = 0; i < n; ++i) {
    revisions.push_back(world.put("/n", fmt::format("{}", i)).revision);
    world.advance(120);
  }
  return revisions;
}

std::string event(Zxid zxid) { return fmt::format("{}:/n", zxid); }

TEST(NodeWatches, ALiveWatchGetsEveryChangeOnce) {
  Harness world;
  world.step(world.watch_of(1, "/n"));
  const auto revisions = write_many(world, 3);
  const auto opened = fmt::format("opened@{}", revisions[0].previous());
  EXPECT_EQ(world.words_of(1),
            (Words{opened, event(revisions[0]), event(revisions[1]), event(revisions[2])}));
}

TEST(NodeWatches, AResumeFromTheRingHasNoGapAndNoRepetition) {
  Harness world;
  const auto revisions = write_many(world, 4);
  auto watch = world.watch_of(1, "/n");
  watch.from = revisions[1];
  world.step(watch);
  const auto applied = world.node().state().applied();
  EXPECT_EQ(world.words_of(1), (Words{fmt::format("opened@{}", revisions[1]), event(revisions[2]),
                                      event(revisions[3]), fmt::format("present@{}", applied)}));
  const auto next = world.put("/n", "x").revision;
  EXPECT_EQ(world.words_of(1).back(), event(next));
}

TEST(NodeWatches, AResumeFromTheStorePagesOverTheBoundaryToThePresent) {
  Harness world(small_ring());
  const auto revisions = write_many(world, 20);
  ASSERT_GT(world.node().history().floor(), revisions[2]);
  auto watch = world.watch_of(1, "/n");
  watch.from = revisions[2];
  world.step(watch);
  EXPECT_TRUE(world.words_of(1).back().starts_with("more@"));
  // The ring moves on while the client takes its time.
  const auto later = write_many(world, 10);
  for (int i = 0; i < 20 && !world.words_of(1).back().starts_with("present@"); ++i) {
    world.step(ResumeWatch{Harness::kConnection, WatchId(1)});
  }
  Words events;
  for (const auto& word : world.words_of(1)) {
    if (word.ends_with(":/n")) events.push_back(word);
  }
  Words want;
  for (std::size_t i = 3; i < revisions.size(); ++i) want.push_back(event(revisions[i]));
  for (const auto zxid : later) want.push_back(event(zxid));
  EXPECT_EQ(events, want);
  EXPECT_TRUE(world.words_of(1).back().starts_with("present@"));
  EXPECT_EQ(world.put("/n", "x").code, Code::ok);
  EXPECT_TRUE(world.words_of(1).back().ends_with(":/n")) << "it is live now";
}

TEST(NodeWatches, APageThatWasTrimmedWhileItWasReadEndsAsCompacted) {
  auto options = small_ring();
  options.retention.changes_max = 8;
  Harness world(options);
  const auto revisions = write_many(world, 7);
  world.answers = false;
  auto watch = world.watch_of(1, "/n");
  watch.from = revisions[0];
  world.step(watch);
  ASSERT_EQ(world.unanswered.size(), 1U) << "the ring does not reach back so far";
  write_many(world, 20);
  world.answers = true;
  world.run();
  EXPECT_EQ(world.words_of(1).back(), "ended:compacted");
  EXPECT_EQ(world.words_of(1).size(), 2U) << "no event after a hole";
  EXPECT_EQ(world.node().watch_count(), 0U);
}

TEST(NodeWatches, TooOldARevisionIsCompactedAndSaysWhatIsTheOldest) {
  auto options = small_ring();
  options.retention.changes_max = 5;
  Harness world(options);
  const auto revisions = write_many(world, 30);
  auto watch = world.watch_of(1, "/n");
  watch.from = revisions[0];
  world.step(watch);
  EXPECT_EQ(world.words_of(1), Words{"ended:compacted"});
  const auto& state = std::get<WatchState>(world.deliveries.back());
  EXPECT_GT(state.oldest, revisions[1]);
  watch.watch = WatchId(2);
  watch.from = state.oldest.previous();
  world.step(watch);
  EXPECT_TRUE(world.words_of(2).front().starts_with("opened@"));
}

TEST(NodeWatches, InitialBringsThePresentStateOnceAndThenTheChanges) {
  Harness world;
  world.put("/a", "1");
  world.put("/a/b", "2");
  world.put("/c", "3");
  auto watch = world.watch_of(1, "/a", watch::Depth::subtree);
  watch.filter.paths = {"/a", "/a/b", "/none"};
  watch.with_initial = true;
  world.step(watch);
  const auto now = world.node().state().applied();
  const auto initial = [now](std::string_view path) {
    return fmt::format("initial {}:{}", now, path);
  };
  EXPECT_EQ(world.words_of(1), (Words{fmt::format("opened@{}", now), initial("/a"), initial("/a/b"),
                                      fmt::format("present@{}", now)}));
  const auto next = world.put("/a/b", "4").revision;
  EXPECT_EQ(world.words_of(1).back(), fmt::format("{}:/a/b", next));
}

TEST(NodeWatches, ARevisionOfTheFutureOrNoPathIsRefused) {
  Harness world;
  auto watch = world.watch_of(1, "/n");
  watch.from = Zxid(1'000);
  world.step(watch);
  EXPECT_EQ(world.words_of(1), Words{"ended:bad-request"});
  auto none = world.watch_of(2, "/n");
  none.filter.paths.clear();
  world.step(none);
  EXPECT_EQ(world.words_of(2), Words{"ended:bad-request"});
  world.step(world.watch_of(3, "relative"));
  EXPECT_EQ(world.words_of(3), Words{"ended:bad-request"});
}

TEST(NodeWatches, WhatACallerMayNotReadIsLeftOut) {
  Harness world;
  world.put("/open", "1");
  Create secret;
  secret.path = "/secret";
  secret.acl = znode::Acl{{znode::Permission::all, "digest", "ann:h"}};
  EXPECT_EQ(world.ask(secret).code, Code::ok);
  world.step(world.watch_of(1, "/", watch::Depth::subtree));
  auto ann = world.watch_of(2, "/", watch::Depth::subtree);
  ann.identities.push_back({"digest", "ann:h"});
  world.step(ann);
  auto write = world.request(
      Txn{{}, {Set{"/secret", Blob("2"), "", {}}, Set{"/open", Blob("2"), "", {}}}, {}});
  write.identities.push_back({"digest", "ann:h"});
  const auto zxid = world.call(write).revision;
  EXPECT_EQ(world.words_of(1).back(), fmt::format("{}:/open", zxid));
  EXPECT_EQ(world.words_of(1).size(), 2U);
  EXPECT_EQ(world.words_of(2).size(), 3U);
  world.step(world.watch_of(3, "/secret"));
  EXPECT_EQ(world.words_of(3), Words{"ended:forbidden"});
}

TEST(NodeWatches, TheEndOfASessionEndsItsStreamsAfterItsLastEvents) {
  Harness world;
  const auto session = world.open_session(1'000);
  Put ephemeral;
  ephemeral.path = "/n";
  ephemeral.mode = znode::Mode::ephemeral;
  auto create = world.request(ephemeral);
  create.session = session;
  world.call(create);
  auto watch = world.watch_of(1, "/n");
  watch.session = session;
  world.step(watch);
  auto foreign = world.watch_of(2, "/n");
  world.step(foreign);
  world.advance(1'100);
  const auto words = world.words_of(1);
  ASSERT_EQ(words.size(), 3U);
  EXPECT_TRUE(words[1].ends_with(":/n"));
  EXPECT_EQ(words[2], "ended:session-expired");
  EXPECT_EQ(world.node().watch_count(), 1U);
  watch.watch = WatchId(3);
  world.step(watch);
  EXPECT_EQ(world.words_of(3), Words{"ended:session-expired"});
}

TEST(NodeWatches, AWatchThatIsDroppedBeforeItOpensNeverOpens) {
  Harness world;
  world.syncs = false;
  world.restart();
  auto watch = world.watch_of(1, "/n");
  world.step(watch);  // Reads wait: there is no leader yet, and then for its first entry.
  world.node().step(Unsubscribe{Harness::kConnection, WatchId(1)});
  world.syncs = true;
  world.advance(200);
  EXPECT_EQ(world.node().watch_count(), 0U);
  EXPECT_EQ(world.node().pending_count(), 0U);
}

TEST(NodeWatches, AnAnswerForAWatchThatIsGoneReachesNoLaterOneOfItsId) {
  Harness world(small_ring());
  const auto revisions = write_many(world, 20);
  world.answers = false;
  auto watch = world.watch_of(1, "/n");
  watch.from = revisions[1];
  world.step(watch);
  ASSERT_EQ(world.unanswered.size(), 1U);
  world.step(Unsubscribe{Harness::kConnection, WatchId(1)});
  world.deliveries.clear();
  watch.from = revisions[18];
  world.step(watch);
  const auto words = world.words_of(1);
  world.answers = true;
  world.run();
  EXPECT_EQ(world.words_of(1), words);
}

TEST(NodeWatches, AStoreThatCannotBeReadEndsTheWatch) {
  Harness world(small_ring());
  const auto revisions = write_many(world, 20);
  world.store.fail_with("the record is damaged");
  auto watch = world.watch_of(1, "/n");
  watch.from = revisions[1];
  world.step(watch);
  EXPECT_EQ(world.words_of(1).back(), "ended:internal");
}

TEST(NodeWatches, AResumeAcrossARestartMissesAndRepeatsNothing) {
  Harness world(small_ring());
  const auto revisions = write_many(world, 12);
  world.restart();
  auto watch = world.watch_of(1, "/n");
  watch.from = revisions[4];
  world.step(watch);
  for (int i = 0; i < 9; ++i) world.step(ResumeWatch{Harness::kConnection, WatchId(1)});
  Words events;
  for (const auto& word : world.words_of(1)) {
    if (word.ends_with(":/n")) events.push_back(word);
  }
  Words want;
  for (std::size_t i = 5; i < revisions.size(); ++i) want.push_back(event(revisions[i]));
  EXPECT_EQ(events, want);
}

TEST(NodeWatches, TooManyWatchesOnAConnectionAreRefused) {
  Harness::Options options;
  options.watches.watches_per_connection_max = 2;
  Harness world(options);
  for (std::uint64_t i = 1; i <= 3; ++i) world.step(world.watch_of(i, "/n"));
  EXPECT_EQ(world.words_of(3), Words{"ended:overloaded"});
  world.step(Disconnected{Harness::kConnection});
  EXPECT_EQ(world.node().watch_count(), 0U);
}

}  // namespace
}  // namespace coord::core
