// Snapshots of the real store: the stream, its damage, and the exchange with its crashes.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "coord/base/codec.hpp"
#include "coord/core/changes.hpp"
#include "coord/disk/exchange.hpp"
#include "coord/disk/snapshot_stream.hpp"
#include "coord/disk/state_store.hpp"
#include "tests/unit/disk/temporary_directory.hpp"

namespace coord::disk {
namespace {

namespace fs = std::filesystem;
using State = std::map<std::pair<Table, std::string>, std::string>;

std::string node_key_of(std::uint64_t n) {
  std::string key;
  append_big_endian(key, n);
  return key;
}

// A store in DIR/state with `count` nodes, and changes, at index `applied`.
std::unique_ptr<StateStore> filled(const std::string& directory, std::uint64_t applied,
                                   std::uint64_t count) {
  auto store = open_lmdb_store(directory + "/state", {.map_bytes = 1 << 20}).value();
  core::Checkpoint checkpoint{.applied = Index(applied), .applied_term = Term(2)};
  for (std::uint64_t i = 1; i <= count; ++i) {
    const auto bytes = std::string(i % 300, 'x') + node_key_of(applied);
    checkpoint.records.put(Table::nodes, node_key_of(i), bytes);
    checkpoint.digest += record_hash(Table::nodes, node_key_of(i), bytes);
    const auto change = node_key_of(i) + std::string(4, '\0');
    checkpoint.records.put(Table::changes, change, node_key_of(7) + "change");
    checkpoint.records.put(Table::change_paths, core::change_path_key_of(change, node_key_of(7)),
                           "");
  }
  checkpoint.records.put(Table::meta, "big", std::string(700'000, 'b'));
  EXPECT_TRUE(store->commit(checkpoint));
  return store;
}

State content(const StateStore& store) {
  State state;
  for (std::size_t i = 0; i < kTables; ++i) {
    const auto table = static_cast<Table>(i);
    EXPECT_TRUE(store.scan(table, {}, {}, [&](std::string_view key, std::string_view bytes) {
      state[{table, std::string(key)}] = bytes;
      return true;
    }));
  }
  return state;
}

std::string stream_of(const StateStore& store, std::size_t piece) {
  auto source = store.snapshot().value();
  std::string all;
  while (!source->has_ended()) {
    auto bytes = source->read(piece).value();
    EXPECT_LE(bytes.size(), piece);
    EXPECT_FALSE(bytes.empty());
    all += bytes;
  }
  EXPECT_EQ(source->read(piece).value(), "");
  return all;
}

Result<core::CheckpointMark> receive(SnapshotSink& sink, std::string_view bytes,
                                     std::size_t piece) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    COORD_TRY(sink.append(bytes.substr(0, piece)));
  }
  return sink.finish();
}

TEST(Snapshot, a_store_arrives_whole_in_pieces_of_any_size) {
  TemporaryDirectory from;
  const auto store = filled(from.path(), 9, 3'000);
  const auto bytes = stream_of(*store, 4'096);
  EXPECT_EQ(bytes, stream_of(*store, 100'000));
  for (const std::size_t piece : {1'000U, 65'536U, 100'000'000U}) {
    TemporaryDirectory to;
    auto other = filled(to.path(), 3, 10);
    const auto before = content(*other);
    auto sink = other->receive().value();
    const auto mark = receive(*sink, bytes, piece);
    ASSERT_TRUE(mark) << mark.error().message;
    EXPECT_EQ(mark.value().applied, Index(9));
    // The old state is the one in use until the exchange, and a source of it goes on after that.
    EXPECT_EQ(content(*other), before);
    auto old = other->snapshot().value();
    ASSERT_TRUE(other->adopt(std::move(sink)));
    EXPECT_EQ(content(*other), content(*store));
    EXPECT_EQ(old->mark().applied, Index(3));
    EXPECT_TRUE(old->read(1 << 20));
    old.reset();
    // It is a store like any other: it takes commits that make it grow, and starts again.
    core::Checkpoint more{.applied = Index(10), .applied_term = Term(2)};
    more.digest = store->mark().value()->digest;
    more.records.put(Table::meta, "more", std::string(5'000'000, 'm'));
    ASSERT_TRUE(other->commit(more));
    const auto want = content(*other);
    other.reset();
    other = open_lmdb_store(to.path() + "/state", {.map_bytes = 1 << 20}).value();
    EXPECT_EQ(other->mark().value()->applied, Index(10));
    EXPECT_EQ(content(*other), want);
    EXPECT_FALSE(fs::exists(to.path() + "/state.new"));
  }
}

TEST(Snapshot, a_source_is_of_one_moment_while_commits_make_the_store_grow) {
  TemporaryDirectory directory;
  const auto store = filled(directory.path(), 9, 2'000);
  const auto want = stream_of(*store, 100'000);
  auto source = store->snapshot().value();
  std::string got;
  for (std::uint64_t i = 10; !source->has_ended(); ++i) {
    got += source->read(20'000).value();
    core::Checkpoint more{.applied = Index(i), .applied_term = Term(2)};
    more.records.put(Table::meta, "big", std::string(400'000, static_cast<char>(i)));
    more.records.put(Table::nodes, node_key_of(i), "changed");
    ASSERT_TRUE(store->commit(more));
  }
  EXPECT_EQ(got, want);
}

TEST(Snapshot, a_stream_that_is_cut_or_changed_anywhere_is_refused) {
  TemporaryDirectory directory;
  const auto bytes = stream_of(*filled(directory.path(), 9, 20), 4'096);
  const auto take = [](std::string_view in) {
    SnapshotDecoder decoder;
    auto taken =
        decoder.append(in, [](Table, std::string_view, std::string_view) { return std::string(); });
    return taken ? decoder.finish() : taken;
  };
  ASSERT_TRUE(take(bytes));
  // Every cut of the head and the first and last records; the big value in steps.
  for (std::size_t cut = 0; cut < bytes.size();
       cut += cut < 100 || cut + 3'000 > bytes.size() ? 1 : 997) {
    const auto result = take(std::string_view(bytes).substr(0, cut));
    ASSERT_FALSE(result) << cut;
    EXPECT_EQ(result.error().failure, Failure::corrupt);
  }
  for (std::size_t at = 0; at < bytes.size();
       at += at < 100 || at + 3'000 > bytes.size() ? 1 : 997) {
    auto changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    EXPECT_FALSE(take(changed)) << at;
  }
  EXPECT_FALSE(take(bytes + "x"));
  // A record that is left out whole.
  SnapshotEncoder encoder;
  std::string head;
  std::string one;
  encoder.begin({Index(1), Term(1), 0}, head);
  encoder.record(Table::meta, "a", "1", one);
  std::string end;
  encoder.end(end);
  EXPECT_TRUE(take(head + one + end));
  EXPECT_FALSE(take(head + end));
  EXPECT_FALSE(take(head + one + one + end));
}

TEST(Snapshot, a_sink_that_is_given_up_leaves_nothing) {
  TemporaryDirectory directory;
  auto store = filled(directory.path(), 9, 20);
  const auto bytes = stream_of(*store, 4'096);
  auto sink = store->receive().value();
  ASSERT_TRUE(sink->append(std::string_view(bytes).substr(0, 5'000)));
  EXPECT_TRUE(fs::exists(directory.path() + "/state.new"));
  EXPECT_FALSE(sink->finish());
  sink.reset();
  EXPECT_FALSE(fs::exists(directory.path() + "/state.new"));
}

// What a crash may leave of an exchange: which of the two is found at the start.
struct Crash {
  std::string name;
  std::string state, fresh, old;  // "1": the old store, "2": the new one, "": nothing there.
  std::uint64_t want;
};

TEST(Snapshot, after_a_crash_anywhere_in_an_exchange_there_is_one_whole_store) {
  const Crash crashes[] = {
      {"while it is received", "1", "half", "", 1},
      {"before the exchange", "1", "2", "", 1},
      {"after the exchange", "2", "1", "", 2},
      {"while the old one is removed", "2", "half", "", 2},
      {"two renamings, before the first", "1", "2", "", 1},
      {"between the two", "", "2", "1", 2},
      {"after the second", "2", "", "1", 2},
      {"two renamings, while the old one is removed", "2", "", "half", 2},
  };
  for (const auto& c : crashes) {
    TemporaryDirectory directory;
    const auto place = [&](const std::string& what, const std::string& to) {
      if (what.empty()) return;
      if (what == "half") {
        fs::create_directories(directory.path() + to);
        return;
      }
      TemporaryDirectory made;
      filled(made.path(), what == "1" ? 1 : 2, 50);
      fs::copy(made.path() + "/state", directory.path() + to, fs::copy_options::recursive);
    };
    place(c.state, "/state");
    place(c.fresh, "/state.new");
    place(c.old, "/state.old");
    const auto store = open_lmdb_store(directory.path() + "/state", {.map_bytes = 1 << 20});
    ASSERT_TRUE(store) << c.name << ": " << store.error().message;
    EXPECT_EQ(store.value()->mark().value()->applied, Index(c.want)) << c.name;
    EXPECT_FALSE(fs::exists(directory.path() + "/state.new")) << c.name;
    EXPECT_FALSE(fs::exists(directory.path() + "/state.old")) << c.name;
  }
}

}  // namespace
}  // namespace coord::disk
