// The past: history, changes and values as they were, over the ring, the store and their boundary.
#include <gtest/gtest.h>

#include "harness.hpp"

namespace coord::core {
namespace {

// Twenty values of /n, each with its revision; the ring holds only the last few.
class Past {
 public:
  explicit Past(std::uint64_t changes_max = 1'000'000) : world(options(changes_max)) {
    for (int i = 0; i < 20; ++i) write();
  }
  void write() {
    const auto value = fmt::format("{}", values.size());
    values.emplace_back(world.put("/n", value).revision, value);
    world.advance(120);
  }
  Reply at(Zxid revision, std::string path = "/n") {
    Get get;
    get.path = std::move(path);
    get.at = revision;
    return world.ask(get);
  }
  Harness world;
  std::vector<std::pair<Zxid, std::string>> values;

 private:
  static Harness::Options options(std::uint64_t changes_max) {
    Harness::Options options;
    options.watches.history_changes_max = 4;
    options.checkpoint.interval_ms = 100;
    options.retention.changes_max = changes_max;
    return options;
  }
};

TEST(NodePast, TheValueAtEveryRevisionIsTheOneOfThen) {
  Past past;
  ASSERT_GT(past.world.node().history().floor(), past.values[3].first);
  ASSERT_LT(past.world.node().history().floor(), past.values[19].first);
  for (const auto& [revision, value] : past.values) {
    const auto reply = past.at(revision);
    ASSERT_EQ(reply.code, Code::ok) << revision.value();
    EXPECT_EQ(std::get<NodeValue>(reply.result).value, Blob(value)) << revision.value();
    EXPECT_EQ(std::get<NodeValue>(reply.result).stat.mzxid, revision);
    EXPECT_EQ(reply.revision, revision);
  }
  EXPECT_EQ(past.at(past.values[0].first.previous()).code, Code::no_node);
  EXPECT_EQ(past.at(past.values[5].first, "/none").code, Code::no_node);
  EXPECT_EQ(past.at(Zxid(100'000)).code, Code::not_found);
  EXPECT_EQ(past.world.ask(Delete{"/n", false, {}}).code, Code::ok);
  EXPECT_EQ(std::get<NodeValue>(past.at(past.values[19].first).result).value, Blob("19"));
  EXPECT_EQ(past.at(past.world.node().state().applied()).code, Code::no_node);
}

TEST(NodePast, AChangeOfTheAclAloneHidesNoValue) {
  Past past;
  const auto before = past.values.back().first;
  EXPECT_EQ(past.world.ask(SetAcl{"/n", znode::open_acl(), {}}).code, Code::ok);
  EXPECT_EQ(std::get<NodeValue>(past.at(before).result).value, Blob("19"));
  for (int i = 0; i < 10; ++i) past.write();  // Both are only in the store by now.
  EXPECT_EQ(std::get<NodeValue>(past.at(before).result).value, Blob("19"));
}

TEST(NodePast, WhatIsTrimmedIsCompactedAlsoWhenThatHappensDuringTheRead) {
  Past past(8);
  EXPECT_EQ(past.at(past.values[0].first).code, Code::compacted);
  EXPECT_GT(past.at(past.values[0].first).oldest, past.values[0].first);
  const auto floor = past.at(past.values[0].first).oldest;
  auto& world = past.world;
  world.answers = false;
  Get get{"/n"};
  get.at = floor;
  const auto at = world.send(world.request(get));
  const auto changes = world.send(world.request(GetChanges{floor, 100, false}));
  ASSERT_EQ(world.unanswered.size(), 2U);
  for (int i = 0; i < 20; ++i) past.write();
  world.answers = true;
  world.run();
  EXPECT_EQ(world.reply_of(at)->code, Code::compacted);
  EXPECT_EQ(world.reply_of(changes)->code, Code::compacted);
}

TEST(NodePast, TheRingMayMoveOnWhileTheStoreIsRead) {
  Past past;
  auto& world = past.world;
  world.answers = false;
  Get get{"/n"};
  get.at = world.node().history().floor().previous();
  const auto at = world.send(world.request(get));
  const auto history = world.send(world.request(GetHistory{"/n", 1'000, {}}));
  const auto changes = world.send(world.request(GetChanges{Zxid(), 1'000, false}));
  EXPECT_FALSE(world.reply_of(history));
  const auto old = std::move(world.unanswered);
  world.unanswered.clear();
  for (int i = 0; i < 10; ++i) past.write();
  for (const auto& read : old) world.step(StoreAnswered{answer(read, world.store.reader())});
  world.answers = true;
  world.run();
  EXPECT_EQ(world.reply_of(at)->code, Code::ok);
  const auto list = std::get<HistoryList>(world.reply_of(history)->result);
  ASSERT_EQ(list.entries.size(), past.values.size());
  for (std::size_t i = 0; i < list.entries.size(); ++i) {
    EXPECT_EQ(list.entries[i].zxid, past.values[past.values.size() - 1 - i].first);
  }
  const auto feed = std::get<HistoryList>(world.reply_of(changes)->result);
  ASSERT_GE(feed.entries.size(), 10U);
  for (std::size_t i = 0; i < feed.entries.size(); ++i) {
    EXPECT_EQ(feed.entries[i].zxid, past.values[i].first) << "no gap, no repetition";
  }
  EXPECT_TRUE(!feed.is_last || feed.entries.size() == past.values.size());
}

TEST(NodePast, PagesOfHistoryAndChangesJoinWithoutGapOrRepetition) {
  for (const std::size_t limit : {1U, 3U, 7U, 100U}) {
    Past past;
    std::vector<Zxid> down;
    for (GetHistory ask{"/n", limit, {}};;) {
      const auto list = std::get<HistoryList>(past.world.ask(ask).result);
      for (const auto& entry : list.entries) down.push_back(entry.zxid);
      if (list.is_last) break;
      ASSERT_FALSE(list.entries.empty());
      ask.before = list.entries.back().zxid;
    }
    std::vector<Zxid> up;
    for (GetChanges ask{Zxid(), limit, false};;) {
      const auto list = std::get<HistoryList>(past.world.ask(ask).result);
      for (const auto& entry : list.entries) up.push_back(entry.zxid);
      if (list.is_last) break;
      ASSERT_FALSE(list.entries.empty());
      ask.from = list.entries.back().zxid;
    }
    std::vector<Zxid> want;
    for (const auto& [zxid, value] : past.values) want.push_back(zxid);
    EXPECT_EQ(up, want) << limit;
    std::reverse(down.begin(), down.end());
    EXPECT_EQ(down, want) << limit;
  }
}

TEST(NodePast, HistoryOutlivesItsNodeAndIsGuarded) {
  Past past;
  auto& world = past.world;
  EXPECT_EQ(world.ask(GetHistory{"/none", 10, {}}).code, Code::no_node);
  EXPECT_EQ(world.ask(Delete{"/n", false, {}}).code, Code::ok);
  const auto list = std::get<HistoryList>(world.ask(GetHistory{"/n", 1, {}}).result);
  EXPECT_EQ(list.entries.front().change.kind, znode::ChangeKind::deleted);
  Create secret;
  secret.path = "/s";
  secret.value = Blob("secret");
  secret.acl = znode::Acl{{znode::Permission::all, "digest", "ann:h"}};
  const auto revision = world.ask(secret).revision;
  EXPECT_EQ(world.ask(GetHistory{"/s", 10, {}}).code, Code::forbidden);
  EXPECT_EQ(past.at(revision, "/s").code, Code::forbidden);
  const auto feed =
      std::get<HistoryList>(world.ask(GetChanges{revision.previous(), 10, false}).result);
  EXPECT_TRUE(feed.entries.empty());
}

TEST(NodePast, AFailingStoreIsAnErrorAndASlowOneATimeOut) {
  Past past;
  past.world.store.fail_with("the record is damaged");
  EXPECT_EQ(past.at(past.values[2].first).code, Code::internal);
  past.world.store.fail_with("");
  past.world.answers = false;
  auto request = past.world.request(GetHistory{"/n", 10, {}});
  request.timeout_ms = 500;
  const auto id = past.world.send(request);
  past.world.advance(700);
  EXPECT_EQ(past.world.reply_of(id)->code, Code::overloaded);
  past.world.answers = true;
  past.world.run();
  EXPECT_FALSE(past.world.reply_of(id)) << "answered twice";
}

}  // namespace
}  // namespace coord::core
