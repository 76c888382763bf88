#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "coord/base/codec.hpp"
#include "coord/base/prng.hpp"
#include "coord/core/changes.hpp"
#include "coord/disk/page_check.hpp"
#include "coord/disk/state_store.hpp"
#include "coord/disk/synced_mark.hpp"
#include "tests/unit/disk/temporary_directory.hpp"

namespace coord::disk {
namespace {

std::string key_of(std::uint64_t n) {
  std::string key;
  append_big_endian(key, n);
  return key;
}

using State = std::map<std::pair<Table, std::string>, std::string>;

std::uint64_t digest_of(const State& state) {
  std::uint64_t digest = 0;
  for (const auto& [key, bytes] : state) {
    if (is_in_digest(key.first)) digest += record_hash(key.first, key.second, bytes);
  }
  return digest;
}

// Puts random records into several tables, some of them larger than a page, and erases some.
core::Checkpoint change(State& state, Prng& prng, std::uint64_t number, std::size_t count) {
  core::Checkpoint checkpoint{.applied = Index(number), .applied_term = Term(1)};
  const Table tables[] = {Table::meta, Table::nodes, Table::sessions, Table::members};
  for (std::size_t i = 0; i < count; ++i) {
    const auto table = tables[prng.below(4)];
    const auto key = key_of(prng.below(3000));
    if (prng.chance(1, 5)) {
      checkpoint.records.erase(table, key);
      state.erase({table, key});
      continue;
    }
    const auto size = prng.chance(1, 50) ? prng.below(20'000) : prng.below(300);
    const std::string bytes(static_cast<std::size_t>(size), static_cast<char>(prng.next()));
    checkpoint.records.put(table, key, bytes);
    state[{table, key}] = bytes;
  }
  for (std::uint32_t ordinal = 0; ordinal < 20; ++ordinal) {
    auto key = key_of(number);
    key += std::string("\0\0\0", 3) + static_cast<char>(ordinal);
    checkpoint.records.put(Table::changes, key, key_of(7) + "change");
    checkpoint.records.put(Table::change_paths, core::change_path_key_of(key, key_of(7)), "");
  }
  checkpoint.digest = digest_of(state);
  return checkpoint;
}

State loaded(const StateStore& store) {
  State state;
  const auto result = store.load([&](Table table, std::string_view key, std::string_view bytes) {
    state[{table, std::string(key)}] = bytes;
    return std::string();
  });
  EXPECT_TRUE(result) << result.error().message;
  return state;
}

TEST(LmdbStore, random_commits_are_loaded_after_a_restart_with_and_without_a_writable_map) {
  for (const bool write_map : {true, false}) {
    const TemporaryDirectory directory;
    const StoreOptions options{.map_bytes = 1 << 20, .write_map = write_map};
    Prng prng(3);
    State state;
    for (std::uint64_t round = 1; round <= 6; ++round) {
      auto store = open_lmdb_store(directory.path(), options).value();
      for (std::uint64_t i = 0; i < 4; ++i) {
        const auto committed = store->commit(change(state, prng, round * 10 + i, 600));
        ASSERT_TRUE(committed) << committed.error().message;
      }
      EXPECT_EQ(loaded(*store), state);
      store.reset();
      store = open_lmdb_store(directory.path(), options).value();
      EXPECT_EQ(loaded(*store), state);
      EXPECT_EQ(store->mark().value()->applied, Index(round * 10 + 3));
    }
  }
}

TEST(LmdbStore, a_file_left_by_a_crash_while_it_was_made_is_made_anew) {
  for (const std::size_t size : {0U, 1U, 4096U, 8192U, 1U << 20}) {
    const TemporaryDirectory directory;
    ASSERT_TRUE(SyncedMark(directory.path() + "/synced").settle(directory.path() + "/data.mdb"));
    std::ofstream(directory.path() + "/data.mdb") << std::string(size, '\0');
    auto store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 20});
    ASSERT_TRUE(store) << size << ": " << store.error().message;
    EXPECT_FALSE(store.value()->mark().value());
  }
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A loss of power while a commit is written back may leave its meta page without the pages that it
// leads to: the mark of what is synced says so.
TEST(LmdbStore, a_commit_that_was_not_synced_is_discarded_and_the_one_before_stands) {
  const TemporaryDirectory directory;
  const auto data = directory.path() + "/data.mdb";
  const auto mark = directory.path() + "/synced";
  Prng prng(5);
  State state;
  auto store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 22}).value();
  ASSERT_TRUE(store->commit(change(state, prng, 1, 500)));
  const State synced = state;
  const auto data_before = bytes_of(data);
  const auto mark_before = bytes_of(mark);
  ASSERT_TRUE(store->commit(change(state, prng, 2, 500)));
  store.reset();
  const auto metas = bytes_of(data).substr(0, 8192);
  ASSERT_NE(metas, data_before.substr(0, 8192));
  const auto last = bytes_of(mark);
  for (const bool is_torn : {true, false}) {
    std::ofstream(mark, std::ios::binary) << mark_before;
    if (is_torn) std::ofstream(data, std::ios::binary) << metas << data_before.substr(8192);
    store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 22}).value();
    EXPECT_EQ(loaded(*store), synced);
    EXPECT_EQ(store->mark().value()->applied, Index(1));
    State next = synced;
    ASSERT_TRUE(store->commit(change(next, prng, 3, 500)));
    store.reset();
    store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 22}).value();
    EXPECT_EQ(loaded(*store), next);
    store.reset();
    std::ofstream(data, std::ios::binary) << data_before;
    std::ofstream(mark, std::ios::binary) << mark_before;
    store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 22}).value();
    ASSERT_TRUE(store->commit(change(next = synced, prng, 4, 500)));
    store.reset();  // The second time round the commit is whole, only the mark is older.
  }
  // Synced, but not there: that is damage, and no crash.
  std::ofstream(data, std::ios::binary) << data_before;
  std::ofstream(mark, std::ios::binary) << last;
  const auto gone = open_lmdb_store(directory.path(), {.map_bytes = 1 << 22});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().failure, Failure::corrupt) << gone.error().message;
  std::ofstream(mark, std::ios::binary) << "what is this";
  const auto odd = open_lmdb_store(directory.path(), {.map_bytes = 1 << 22});
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().failure, Failure::corrupt) << odd.error().message;
}

// Neither a full disk nor a limit of the process is at hand everywhere; a bound on the size of
// files is, and makes the allocation fail in the same place (with EFBIG).
TEST(LmdbStore, a_commit_that_finds_no_room_changes_nothing_and_works_later) {
  const TemporaryDirectory directory;
  Prng prng(4);
  State state;
  auto store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 20}).value();
  ASSERT_TRUE(store->commit(change(state, prng, 1, 500)));
  const State before = state;
  const auto large = change(state, prng, 2, 20'000);
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit bound = old;
  bound.rlim_cur = 2 << 20;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &bound), 0);
  const auto refused = store->commit(large);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(loaded(*store), before);
  const auto committed = store->commit(large);
  ASSERT_TRUE(committed) << committed.error().message;
  EXPECT_EQ(loaded(*store), state);
}

TEST(LmdbStore, changes_below_the_bound_leave_both_tables) {
  const TemporaryDirectory directory;
  auto store = open_lmdb_store(directory.path(), {}).value();
  Prng prng(5);
  State state;
  for (std::uint64_t n = 1; n <= 10; ++n) ASSERT_TRUE(store->commit(change(state, prng, n, 10)));
  EXPECT_EQ(store->oldest_change().value(), Zxid(1));
  auto trim = change(state, prng, 11, 10);
  trim.trim_changes_below = Zxid(8);
  ASSERT_TRUE(store->commit(trim));
  EXPECT_EQ(store->oldest_change().value(), Zxid(8));
  std::size_t paths = 0;
  ASSERT_TRUE(store->scan(Table::change_paths, {}, {}, [&](std::string_view, std::string_view) {
    ++paths;
    return true;
  }));
  EXPECT_EQ(paths, 4U * 20);
}

TEST(LmdbStore, reads_go_on_beside_commits_that_make_the_map_grow) {
  const TemporaryDirectory directory;
  auto store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 20}).value();
  core::Checkpoint first{.applied = Index(1), .applied_term = Term(1)};
  first.records.put(Table::nodes, "fixed", "value");
  ASSERT_TRUE(store->commit(first));
  std::atomic<bool> is_over{false};
  std::uint64_t reads = 0;
  std::uint64_t wrong = 0;
  std::thread reader([&] {
    do {
      const auto got = store->get(Table::nodes, "fixed");
      wrong += got && got.value() == "value" ? 0 : 1;
      wrong += store->oldest_change() ? 0 : 1;
      ++reads;
    } while (!is_over);
  });
  State state;
  Prng prng(8);
  for (std::uint64_t n = 2; n <= 8; ++n) EXPECT_TRUE(store->commit(change(state, prng, n, 3000)));
  is_over = true;
  reader.join();
  EXPECT_GT(reads, 0U);
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(store->bytes_used(), 2U << 20);
}

enum class Outcome : int { same = 10, older = 11, refused = 12, wrong = 13 };

// Opens and loads in a child: what LMDB does with damage must not end the test.
int open_in_child(const std::string& path, const State& newest, const State& older) {
  const auto child = ::fork();
  if (child == 0) {
    auto store = open_lmdb_store(path, {.map_bytes = 1 << 20});
    if (!store) ::_exit(static_cast<int>(Outcome::refused));
    const auto mark = store.value()->mark();
    State state;
    const auto result =
        store.value()->load([&](Table table, std::string_view key, std::string_view bytes) {
          state[{table, std::string(key)}] = bytes;
          return std::string();
        });
    if (!mark || !result) ::_exit(static_cast<int>(Outcome::refused));
    Prng prng(9);  // It must also be possible to go on.
    State next = state;
    if (!store.value()->commit(change(next, prng, 99, 500)) || loaded(*store.value()) != next) {
      ::_exit(static_cast<int>(Outcome::wrong));
    }
    const auto outcome = state == newest  ? Outcome::same
                         : state == older ? Outcome::older
                                          : Outcome::wrong;
    ::_exit(static_cast<int>(outcome));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(LmdbStore, a_flipped_bit_anywhere_is_found_or_harms_nothing) {
  const TemporaryDirectory directory;
  const auto path = directory.path() + "/data.mdb";
  State state;
  State older;
  std::uint64_t used = 0;
  {
    auto store = open_lmdb_store(directory.path(), {.map_bytes = 1 << 20}).value();
    Prng prng(6);
    for (std::uint64_t n = 1; n <= 8; ++n) {
      older = state;
      ASSERT_TRUE(store->commit(change(state, prng, n, 400)));
    }
    used = store->bytes_used();
  }
  const auto good = bytes_of(path);
  const auto mark = bytes_of(directory.path() + "/synced");
  Prng prng(7);
  std::map<int, int> outcomes;
  for (int round = 0; round < 150; ++round) {
    // A third of the flips in the head of a page or its pointers, where the structure is.
    auto offset = prng.below(used);
    if (round % 3 == 0) offset = offset / 4096 * 4096 + prng.below(64);
    if (round % 10 == 0) offset = prng.below(2) * 4096 + prng.below(152);
    const auto mask = static_cast<char>(1U << prng.below(8));
    auto bad = good;
    bad[static_cast<std::size_t>(offset)] ^= mask;
    std::filesystem::remove_all(directory.path() + "/lock.mdb");
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bad;
    std::ofstream(directory.path() + "/synced", std::ios::binary | std::ios::trunc) << mark;
    const auto outcome = open_in_child(directory.path(), state, older);
    ++outcomes[outcome];
    EXPECT_TRUE(outcome == static_cast<int>(Outcome::same) ||
                outcome == static_cast<int>(Outcome::older) ||
                outcome == static_cast<int>(Outcome::refused))
        << "offset " << offset << " mask " << static_cast<int>(mask) << ": " << outcome;
  }
  EXPECT_GT(outcomes[static_cast<int>(Outcome::refused)], 25);
  EXPECT_GT(outcomes[static_cast<int>(Outcome::same)], 10);
  for (const auto& [outcome, count] : outcomes) {
    RecordProperty("outcome_" + std::to_string(outcome), count);
  }
}

}  // namespace
}  // namespace coord::disk
