#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "coord/base/codec.hpp"
#include "coord/disk/state_store.hpp"

namespace coord::disk {
namespace {

class Directory {
 public:
  Directory() {
    std::string pattern = "/var/tmp/coord-store-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string key_of(std::uint64_t n) {
  std::string key;
  append_big_endian(key, n);
  return key;
}

TEST(LmdbStore, what_was_committed_is_loaded_after_a_restart) {
  const Directory directory;
  std::uint64_t digest = 0;
  {
    auto store = open_lmdb_store(directory.path(), {}).value();
    EXPECT_FALSE(store->mark().value());
    core::Checkpoint checkpoint{.applied = Index(9), .applied_term = Term(2)};
    for (std::uint64_t i = 0; i < 1000; ++i) {
      checkpoint.records.put(Table::nodes, key_of(i), "value" + std::to_string(i));
      digest += record_hash(Table::nodes, key_of(i), "value" + std::to_string(i));
    }
    checkpoint.digest = digest;
    const auto committed = store->commit(checkpoint);
    ASSERT_TRUE(committed) << committed.error().message;
  }
  auto store = open_lmdb_store(directory.path(), {}).value();
  const auto mark = store->mark().value();
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->applied, Index(9));
  EXPECT_EQ(mark->digest, digest);
  std::uint64_t seen = 0;
  const auto loaded = store->load([&](Table table, std::string_view key, std::string_view bytes) {
    EXPECT_EQ(table, Table::nodes);
    EXPECT_EQ(key, key_of(seen));
    EXPECT_EQ(bytes, "value" + std::to_string(seen));
    ++seen;
    return std::string();
  });
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(seen, 1000U);
}

}  // namespace
}  // namespace coord::disk
