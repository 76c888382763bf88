// The hub against the plainest model: every watch, live or not, must have been given exactly the
// matching part of what was applied after its resume point.
#include <gtest/gtest.h>

#include <map>

#include "coord/base/prng.hpp"
#include "tests/unit/watch/changes.hpp"
#include "watch/hub.hpp"

namespace coord::watch {
namespace {

using Key = std::pair<std::uint64_t, std::uint64_t>;
// The zxid and the indices of the wanted changes.
using Given = std::vector<std::pair<Zxid, std::vector<std::uint32_t>>>;

struct Watched {
  Filter filter;
  Zxid from;
  Given given;
};

class World {
 public:
  World(std::uint64_t seed, WatchLimits limits)
      : prng_(seed), limits_(limits), hub_(limits), history_(limits, Zxid(0)) {}

  void step() {
    const auto dice = prng_.below(100);
    if (dice < 40) {
      publish();
    } else if (dice < 60) {
      subscribe();
    } else if (dice < 68) {
      unsubscribe();
    } else if (dice < 70) {
      drop();
    } else if (dice < 75) {
      stored_ = prng_.between(stored_, last_);
      history_.set_stored(Zxid(stored_));
    } else {
      page();
    }
    hub_.check_invariants();
    history_.check_invariants();
    EXPECT_EQ(hub_.size(), watches_.size());
  }

  // Every watch reaches the present, and then has all that it should have.
  void finish() {
    for (auto& [key, watched] : watches_) {
      while (hub_.cursor_of(connection(key), WatchId(key.second))) page_one(key);
    }
    publish();
    for (const auto& [key, watched] : watches_) {
      EXPECT_EQ(watched.given, expected(watched, Zxid(last_))) << key.first << "." << key.second;
      events_ += watched.given.size();
    }
  }
  [[nodiscard]] std::size_t events() const { return events_; }
  [[nodiscard]] std::size_t stored_pages() const { return stored_pages_; }

 private:
  static ConnectionId connection(const Key& key) { return ConnectionId(key.first); }

  std::string any_path() {
    static constexpr const char* kNames[] = {"a", "b", "ab", ".coord", "zookeeper"};
    std::string path;
    for (auto depth = prng_.below(4); depth > 0; --depth) {
      path += std::string("/") + kNames[prng_.below(5)];
    }
    return path.empty() ? "/" : path;
  }

  Given expected(const Watched& watched, Zxid through) const {
    Given want;
    for (const auto& batch : applied_) {
      if (batch->zxid <= watched.from || batch->zxid > through) continue;
      std::vector<std::uint32_t> indices;
      for (std::uint32_t i = 0; i < batch->changes.size(); ++i) {
        if (matches(watched.filter, batch->changes[i])) indices.push_back(i);
      }
      if (!indices.empty()) want.emplace_back(batch->zxid, indices);
    }
    return want;
  }

  void take(const std::vector<Event>& events) {
    for (const auto& event : events) {
      const auto at = watches_.find({event.connection.value(), event.watch.value()});
      ASSERT_NE(at, watches_.end());
      auto wanted = event.wanted;
      ASSERT_LT(wanted.size(), event.batch->changes.size()) << "all of them is said by none";
      if (wanted.empty()) {
        for (std::uint32_t i = 0; i < event.batch->changes.size(); ++i) wanted.push_back(i);
      }
      at->second.given.emplace_back(event.batch->zxid, wanted);
    }
  }

  void publish() {
    last_ += prng_.between(1, 3);
    std::vector<znode::Change> changes;
    for (auto count = prng_.between(1, 5); count > 0; --count) {
      changes.push_back(
          make_change(any_path(), static_cast<znode::ChangeKind>(prng_.between(1, 4))));
    }
    const auto batch = make_batch(last_, std::move(changes));
    applied_.push_back(batch);
    history_.append(batch);
    std::vector<Event> events;
    hub_.publish(batch, events);
    for (std::size_t i = 1; i < events.size(); ++i) {
      EXPECT_LT(std::pair(events[i - 1].connection, events[i - 1].watch),
                std::pair(events[i].connection, events[i].watch));
    }
    take(events);
  }

  void subscribe() {
    const Key key{prng_.between(1, 4), ++last_watch_};
    Watched watched;
    for (auto count = prng_.between(1, 3); count > 0; --count) {
      watched.filter.paths.push_back(any_path());
    }
    watched.filter.depth = static_cast<Depth>(prng_.below(3));
    watched.filter.with_system = prng_.chance(1, 4);
    std::optional<Zxid> from;
    // Some are older than the history, some not yet reached.
    if (prng_.chance(3, 4)) from = Zxid(prng_.between(0, last_ + 3));
    watched.from = from.value_or(Zxid(last_));
    ASSERT_EQ(
        hub_.subscribe(connection(key), WatchId(key.second), watched.filter, from, Zxid(last_)),
        Code::ok);
    watches_.emplace(key, std::move(watched));
  }

  [[nodiscard]] std::map<Key, Watched>::iterator any_watch() {
    return std::next(watches_.begin(), static_cast<std::ptrdiff_t>(prng_.below(watches_.size())));
  }

  void unsubscribe() {
    if (watches_.empty()) return;
    const auto at = any_watch();
    EXPECT_TRUE(hub_.unsubscribe(connection(at->first), WatchId(at->first.second)));
    watches_.erase(at);
  }

  void drop() {
    const auto connection = prng_.between(1, 4);
    const auto dropped =
        std::erase_if(watches_, [&](const auto& one) { return one.first.first == connection; });
    EXPECT_EQ(hub_.drop_connection(ConnectionId(connection)), dropped);
    EXPECT_EQ(hub_.count_of(ConnectionId(connection)), 0U);
  }

  void page() {
    if (!watches_.empty()) page_one(any_watch()->first);
  }

  // One page of a watch, from the store while the history does not reach back to its cursor.
  void page_one(const Key& key) {
    const auto cursor = hub_.cursor_of(connection(key), WatchId(key.second));
    if (!cursor) return;
    std::vector<Event> events;
    if (*cursor < history_.floor()) {
      // The store is read by a few batches at once, and may have gone on past the floor.
      const auto through = Zxid(prng_.between(cursor->value() + 1, stored_));
      std::vector<znode::SharedBatch> batches;
      for (const auto& batch : applied_) {
        if (batch->zxid > *cursor && batch->zxid <= through) batches.push_back(batch);
      }
      hub_.page_stored(connection(key), WatchId(key.second), batches, through, events);
      ++stored_pages_;
      take(events);
      return;
    }
    const bool is_live = hub_.page(connection(key), WatchId(key.second), history_, events);
    take(events);
    const auto now = hub_.cursor_of(connection(key), WatchId(key.second));
    EXPECT_EQ(is_live, !now.has_value());
    const auto& watched = watches_.at(key);
    EXPECT_EQ(watched.given, expected(watched, now.value_or(Zxid(last_))));
  }

  Prng prng_;
  WatchLimits limits_;
  Hub hub_;
  History history_;
  std::map<Key, Watched> watches_;
  std::vector<znode::SharedBatch> applied_;
  std::uint64_t last_ = 0;
  std::uint64_t stored_ = 0;
  std::uint64_t last_watch_ = 0;
  std::size_t events_ = 0;
  std::size_t stored_pages_ = 0;
};

TEST(HubModel, NoWatchHasAGapOrARepetition) {
  std::size_t events = 0;
  std::size_t stored_pages = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    WatchLimits limits;
    limits.history_changes_max = 1 + seed % 40;
    limits.replay_page_bytes = seed % 5 * kKiB;
    World world(seed, limits);
    for (int step = 0; step < 400; ++step) {
      world.step();
      if (HasFatalFailure()) return;
    }
    world.finish();
    events += world.events();
    stored_pages += world.stored_pages();
  }
  EXPECT_GT(events, 10'000U);
  EXPECT_GT(stored_pages, 1'000U);
}

TEST(HubModel, AResumeFromAnyZxidGivesExactlyTheSuffix) {
  Prng prng(1);
  WatchLimits limits;
  limits.replay_page_bytes = 2 * kKiB;
  History history(limits, Zxid(0));
  std::vector<znode::SharedBatch> all;
  for (std::uint64_t zxid = 2; zxid <= 120; zxid += prng.between(1, 3)) {
    all.push_back(batch_at(zxid, {prng.chance(1, 2) ? "/a/x" : "/b", "/a"}));
    history.append(all.back());
  }
  const auto last = history.last();
  for (std::uint64_t from = 0; from <= last.value() + 1; ++from) {
    Hub hub(limits);
    std::vector<Event> events;
    ASSERT_EQ(
        hub.subscribe(ConnectionId(1), WatchId(1), {{"/a"}, Depth::subtree}, Zxid(from), last),
        Code::ok);
    while (!hub.page(ConnectionId(1), WatchId(1), history, events)) {
      ASSERT_TRUE(hub.cursor_of(ConnectionId(1), WatchId(1)).has_value());
    }
    std::vector<Zxid> given;
    for (const auto& event : events) given.push_back(event.batch->zxid);
    std::vector<Zxid> want;
    for (const auto& batch : all) {
      if (batch->zxid > Zxid(from)) want.push_back(batch->zxid);
    }
    ASSERT_EQ(given, want) << from;
  }
}

}  // namespace
}  // namespace coord::watch
