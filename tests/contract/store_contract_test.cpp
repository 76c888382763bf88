// What every StateStore promises: one suite on LMDB and on the model.
#include <gtest/gtest.h>

#include <memory>

#include "coord/base/codec.hpp"
#include "coord/core/changes.hpp"
#include "coord/disk/state_store.hpp"
#include "tests/sim/model_store.hpp"
#include "tests/unit/disk/temporary_directory.hpp"

namespace coord::disk {
namespace {

std::string key_of(std::uint64_t n) {
  std::string key;
  append_big_endian(key, n);
  return key;
}
std::string change_key(std::uint64_t zxid, std::uint8_t ordinal) {
  return key_of(zxid) + std::string(3, '\0') + static_cast<char>(ordinal);
}

class StoreContract : public ::testing::TestWithParam<bool> {
 protected:
  StoreContract() {
    if (GetParam()) {
      store_ = open_lmdb_store(directory_.path(), {.map_bytes = 1 << 20}).value();
    } else {
      store_ = std::make_unique<sim::ModelStore>();
    }
  }
  // Commits `checkpoint` with its digest set from what `records` holds afterwards.
  void commit(core::Checkpoint checkpoint) {
    for (const auto& [key, bytes] : checkpoint.records.records()) {
      if (!is_in_digest(key.table)) continue;
      const auto old = store_->get(key.table, key.key).value();
      if (old) digest_ -= record_hash(key.table, key.key, *old);
      if (bytes) digest_ += record_hash(key.table, key.key, *bytes);
    }
    checkpoint.digest = digest_;
    const auto committed = store_->commit(checkpoint);
    ASSERT_TRUE(committed) << committed.error().message;
  }
  [[nodiscard]] std::vector<std::string> keys(Table table, std::string_view from,
                                              std::string_view to) const {
    std::vector<std::string> all;
    const auto scanned = store_->scan(table, from, to, [&](std::string_view key, auto) {
      all.emplace_back(key);
      return true;
    });
    EXPECT_TRUE(scanned);
    return all;
  }
  TemporaryDirectory directory_;
  std::unique_ptr<StateStore> store_;
  std::uint64_t digest_ = 0;
};

TEST_P(StoreContract, a_new_store_is_empty) {
  EXPECT_FALSE(store_->mark().value());
  EXPECT_FALSE(store_->oldest_change().value());
  EXPECT_FALSE(store_->get(Table::nodes, "x").value());
  std::size_t seen = 0;
  EXPECT_TRUE(store_->load([&](Table, std::string_view, std::string_view) {
    ++seen;
    return std::string();
  }));
  EXPECT_EQ(seen, 0U);
}

TEST_P(StoreContract, a_commit_sets_mark_and_records_and_erases) {
  core::Checkpoint first{.applied = Index(5), .applied_term = Term(2)};
  first.records.put(Table::nodes, "a", "1");
  first.records.put(Table::nodes, "b", "");
  first.records.put(Table::meta, "m", std::string(70'000, 'm'));
  commit(std::move(first));
  EXPECT_EQ(store_->mark().value()->applied, Index(5));
  EXPECT_EQ(store_->mark().value()->applied_term, Term(2));
  EXPECT_EQ(store_->get(Table::nodes, "a").value(), "1");
  EXPECT_EQ(store_->get(Table::nodes, "b").value(), "");
  EXPECT_EQ(store_->get(Table::meta, "m").value()->size(), 70'000U);
  EXPECT_FALSE(store_->get(Table::acls, "a").value());
  core::Checkpoint second{.applied = Index(6), .applied_term = Term(2)};
  second.records.put(Table::nodes, "a", "other and longer");
  second.records.erase(Table::nodes, "b");
  second.records.erase(Table::nodes, "never there");
  commit(std::move(second));
  EXPECT_EQ(store_->get(Table::nodes, "a").value(), "other and longer");
  EXPECT_FALSE(store_->get(Table::nodes, "b").value());
  EXPECT_GT(store_->bytes_used(), 0U);
}

TEST_P(StoreContract, a_load_hands_out_tables_and_keys_in_order_without_the_history) {
  core::Checkpoint checkpoint{.applied = Index(1), .applied_term = Term(1)};
  for (std::uint64_t i = 300; i > 0; --i) {
    checkpoint.records.put(Table::sessions, key_of(i), "s");
    checkpoint.records.put(Table::nodes, key_of(i), "n");
    checkpoint.records.put(Table::meta, key_of(i), "m");
    checkpoint.records.put(Table::changes, change_key(i, 0), key_of(1) + "c");
    checkpoint.records.put(Table::change_paths, key_of(1) + change_key(i, 0), "");
  }
  commit(std::move(checkpoint));
  std::vector<std::pair<Table, std::string>> seen;
  ASSERT_TRUE(store_->load([&](Table table, std::string_view key, std::string_view) {
    seen.emplace_back(table, key);
    return std::string();
  }));
  EXPECT_EQ(seen.size(), 900U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST_P(StoreContract, a_load_ends_with_what_the_sink_says) {
  core::Checkpoint checkpoint{.applied = Index(1), .applied_term = Term(1)};
  checkpoint.records.put(Table::nodes, "a", "1");
  checkpoint.records.put(Table::nodes, "b", "2");
  commit(std::move(checkpoint));
  std::size_t seen = 0;
  const auto result = store_->load([&](Table, std::string_view, std::string_view) {
    ++seen;
    return std::string("a strange record");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(seen, 1U);
  EXPECT_NE(result.error().message.find("a strange record"), std::string::npos);
}

TEST_P(StoreContract, a_digest_that_differs_is_found_by_the_load) {
  core::Checkpoint checkpoint{.applied = Index(1), .applied_term = Term(1), .digest = 12345};
  checkpoint.records.put(Table::nodes, "a", "1");
  ASSERT_TRUE(store_->commit(checkpoint));
  const auto result =
      store_->load([](Table, std::string_view, std::string_view) { return std::string(); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().failure, Failure::corrupt);
}

TEST_P(StoreContract, a_scan_excludes_its_start_and_includes_its_end) {
  core::Checkpoint checkpoint{.applied = Index(1), .applied_term = Term(1)};
  for (const auto* key : {"b", "d", "f"}) checkpoint.records.put(Table::retry, key, "v");
  checkpoint.records.put(Table::ended, "a", "v");
  checkpoint.records.put(Table::changes, change_key(1, 0), key_of(1));
  commit(std::move(checkpoint));
  using Keys = std::vector<std::string>;
  const struct {
    std::string from, to;
    Keys want;
  } cases[] = {
      {"", "", {"b", "d", "f"}},
      {"b", "", {"d", "f"}},
      {"a", "", {"b", "d", "f"}},
      {"b", "d", {"d"}},
      {"b", "e", {"d"}},
      {"", "b", {"b"}},
      {"f", "", {}},
      {"g", "", {}},
      {"", "a", {}},
      {"c", "c", {}},
      {"c", "f", {"d", "f"}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(keys(Table::retry, c.from, c.to), c.want) << c.from << " to " << c.to;
  }
  std::size_t seen = 0;
  ASSERT_TRUE(store_->scan(Table::retry, {}, {}, [&](auto, auto) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2U);
}

TEST_P(StoreContract, trimming_takes_changes_and_their_paths_together) {
  core::Checkpoint checkpoint{.applied = Index(9), .applied_term = Term(1)};
  for (std::uint64_t zxid = 1; zxid <= 9; ++zxid) {
    for (std::uint8_t ordinal = 0; ordinal < 3; ++ordinal) {
      checkpoint.records.put(Table::changes, change_key(zxid, ordinal), key_of(zxid % 2) + "c");
      checkpoint.records.put(Table::change_paths,
                             core::change_path_key_of(change_key(zxid, ordinal), key_of(zxid % 2)),
                             "");
    }
  }
  commit(std::move(checkpoint));
  EXPECT_EQ(store_->oldest_change().value(), Zxid(1));
  core::Checkpoint next{.applied = Index(10), .applied_term = Term(1)};
  next.trim_changes_below = Zxid(7);
  commit(std::move(next));
  EXPECT_EQ(store_->oldest_change().value(), Zxid(7));
  EXPECT_EQ(keys(Table::changes, {}, {}).size(), 9U);
  EXPECT_EQ(keys(Table::change_paths, {}, {}).size(), 9U);
  core::Checkpoint last{.applied = Index(11), .applied_term = Term(1)};
  last.trim_changes_below = Zxid(100);
  commit(std::move(last));
  EXPECT_FALSE(store_->oldest_change().value());
  EXPECT_TRUE(keys(Table::change_paths, {}, {}).empty());
}

TEST_P(StoreContract, changes_become_records_of_both_tables_and_leave_them) {
  const auto batch_of = [](std::uint64_t zxid) {
    auto batch = std::make_shared<znode::ChangeBatch>();
    batch->zxid = Zxid(zxid);
    batch->changes.resize(2);
    batch->changes[0].path = "/b";
    batch->changes[1].path = "/a";
    return batch;
  };
  core::Checkpoint first{.applied = Index(2), .applied_term = Term(1)};
  first.changes = {batch_of(1), batch_of(2)};
  commit(std::move(first));
  core::Checkpoint second{.applied = Index(70'000), .applied_term = Term(1)};
  second.changes = {batch_of(3), batch_of(70'000)};
  commit(std::move(second));
  const std::uint64_t zxids[] = {1, 2, 3, 70'000};
  std::vector<std::string> changes;
  std::vector<std::string> paths;
  for (const auto zxid : zxids) {
    for (std::uint8_t ordinal = 0; ordinal < 2; ++ordinal) {
      changes.push_back(change_key(zxid, ordinal));
      const auto bytes = core::encode_stored(*batch_of(zxid), ordinal);
      EXPECT_EQ(store_->get(Table::changes, changes.back()).value(), bytes);
      paths.push_back(core::change_path_key_of(changes.back(), bytes));
    }
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_EQ(keys(Table::changes, {}, {}), changes);
  EXPECT_EQ(keys(Table::change_paths, {}, {}), paths);
  core::Checkpoint trim{.applied = Index(70'001), .applied_term = Term(1)};
  trim.trim_changes_below = Zxid(70'000);
  commit(std::move(trim));
  EXPECT_EQ(keys(Table::changes, {}, {}).size(), 2U);
  EXPECT_EQ(keys(Table::change_paths, {}, {}).size(), 2U);
}

TEST_P(StoreContract, at_most_50_000_changes_leave_with_one_commit) {
  core::Checkpoint checkpoint{.applied = Index(1), .applied_term = Term(1)};
  for (std::uint64_t zxid = 1; zxid <= 50'010; ++zxid) {
    checkpoint.records.put(Table::changes, change_key(zxid, 0), key_of(1));
  }
  commit(std::move(checkpoint));
  for (const std::uint64_t oldest : {50'001U, 50'011U}) {
    core::Checkpoint trim{.applied = Index(oldest), .applied_term = Term(1)};
    trim.trim_changes_below = Zxid(60'000);
    commit(std::move(trim));
    const auto found = store_->oldest_change().value();
    EXPECT_EQ(found ? found->value() : 50'011U, oldest);
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "lmdb" : "model"; });

// What only the model can be asked.
TEST(ModelStore, a_crash_keeps_all_of_a_commit_or_nothing_and_may_fall_back_by_one) {
  std::size_t fell_back = 0;
  std::size_t kept = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    sim::ModelStore store;
    core::Checkpoint checkpoints[3];
    std::uint64_t digest = 0;
    for (std::uint64_t i = 0; i < 3; ++i) {
      checkpoints[i].applied = Index(i + 1);
      checkpoints[i].records.put(Table::nodes, key_of(i), "v");
      digest += record_hash(Table::nodes, key_of(i), "v");
      checkpoints[i].digest = digest;
    }
    ASSERT_TRUE(store.commit(checkpoints[0]));
    ASSERT_TRUE(store.commit(checkpoints[1]));
    Prng prng(seed);
    store.crash(prng, &checkpoints[2], {.under_way_kept_percent = 50, .fallback_percent = 20});
    const auto applied = store.mark().value()->applied.value();
    fell_back += applied == 1 ? 1 : 0;
    kept += applied == 3 ? 1 : 0;
    ASSERT_TRUE(
        store.load([](Table, std::string_view, std::string_view) { return std::string(); }));
  }
  EXPECT_GT(fell_back, 10U);
  EXPECT_GT(kept, 50U);
}

TEST(ModelStore, a_full_disk_changes_nothing) {
  sim::ModelStore store;
  core::Checkpoint checkpoint{.applied = Index(1), .applied_term = Term(1)};
  checkpoint.records.put(Table::meta, "a", "1");
  store.faults.is_full = true;
  EXPECT_EQ(store.commit(checkpoint).error().failure, Failure::disk_full);
  EXPECT_FALSE(store.mark().value());
  store.faults.is_full = false;
  EXPECT_TRUE(store.commit(checkpoint));
}

}  // namespace
}  // namespace coord::disk
