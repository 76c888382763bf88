// What every Disk promises: one suite on the real one and on the simulated one.
#include <gtest/gtest.h>

#include <memory>

#include "coord/disk/posix_disk.hpp"
#include "coord/disk/wal.hpp"
#include "tests/sim/sim_disk.hpp"
#include "tests/unit/disk/temporary_directory.hpp"

namespace coord::disk {
namespace {

class DiskContract : public ::testing::TestWithParam<bool> {
 protected:
  DiskContract() {
    if (GetParam()) {
      disk_ = open_posix_disk(directory_.path()).value();
    } else {
      disk_ = std::make_unique<sim::SimDisk>();
    }
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Disk> disk_;
};

std::string read(const File& file, std::uint64_t offset, std::size_t size) {
  std::string out = "what was there before";
  const auto result = file.read_at(offset, size, out);
  EXPECT_TRUE(result) << result.error().message;
  return out;
}

TEST_P(DiskContract, a_missing_file_is_not_found_and_is_made_when_asked) {
  const auto missing = disk_->open("a", false);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().failure, Failure::not_found);
  EXPECT_TRUE(disk_->list().value().empty());
  auto file = disk_->open("a", true).value();
  EXPECT_EQ(file->size().value(), 0U);
  EXPECT_TRUE(disk_->open("a", false));
  EXPECT_EQ(disk_->list().value(), std::vector<std::string>{"a"});
}

TEST_P(DiskContract, bytes_are_read_as_written_and_reads_end_at_the_end) {
  auto file = disk_->open("a", true).value();
  ASSERT_TRUE(file->write_at(0, "hello world"));
  ASSERT_TRUE(file->write_at(6, "there"));
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(read(*file, 0, 100), "hello there");
  EXPECT_EQ(read(*file, 6, 3), "the");
  EXPECT_EQ(read(*file, 11, 5), "");
  EXPECT_EQ(read(*file, 1000, 5), "");
  EXPECT_EQ(file->size().value(), 11U);
}

TEST_P(DiskContract, a_write_beyond_the_end_leaves_zeros_between) {
  auto file = disk_->open("a", true).value();
  ASSERT_TRUE(file->write_at(1000, "x"));
  EXPECT_EQ(file->size().value(), 1001U);
  EXPECT_EQ(read(*file, 998, 10), std::string("\0\0x", 3));
}

TEST_P(DiskContract, two_openings_of_a_name_are_one_file) {
  auto one = disk_->open("a", true).value();
  auto two = disk_->open("a", false).value();
  ASSERT_TRUE(one->write_at(0, "seen"));
  EXPECT_EQ(read(*two, 0, 10), "seen");
}

TEST_P(DiskContract, an_open_file_follows_its_renaming_and_replaces_another) {
  auto file = disk_->open("a", true).value();
  ASSERT_TRUE(file->write_at(0, "first"));
  ASSERT_TRUE(disk_->open("b", true).value()->write_at(0, "other"));
  ASSERT_TRUE(disk_->rename("a", "b"));
  EXPECT_EQ(disk_->list().value(), std::vector<std::string>{"b"});
  ASSERT_TRUE(file->write_at(5, "!"));
  EXPECT_EQ(read(*disk_->open("b", false).value(), 0, 10), "first!");
  EXPECT_EQ(disk_->rename("a", "c").error().failure, Failure::not_found);
}

TEST_P(DiskContract, a_removed_file_is_gone_and_the_list_is_sorted) {
  for (const auto* name : {"c", "a", "b"}) ASSERT_TRUE(disk_->open(name, true));
  EXPECT_EQ(disk_->list().value(), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(disk_->remove("b"));
  ASSERT_TRUE(disk_->sync_directory());
  EXPECT_EQ(disk_->list().value(), (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(disk_->remove("b").error().failure, Failure::not_found);
}

TEST_P(DiskContract, a_log_lives_on_it) {
  const WalOptions options{.segment_bytes = 4096};
  for (std::uint64_t round = 0; round < 5; ++round) {
    auto opened = open_wal(*disk_, options);
    ASSERT_TRUE(opened) << opened.error().message;
    const auto& entries = opened.value().recovered.entries;
    ASSERT_EQ(entries.empty() ? 0 : entries.back()->index.value(), round * 20);
    auto& wal = *opened.value().wal;
    for (std::uint64_t i = round * 20 + 1; i <= round * 20 + 20; ++i) {
      auto entry = std::make_shared<const election::LogEntry>(election::LogEntry{
          Term(1), Index(i), election::EntryKind::command, std::string(300, 'x')});
      ASSERT_TRUE(wal.append(WalBatch{std::nullopt, {std::move(entry)}}));
      ASSERT_TRUE(wal.sync());
      ASSERT_TRUE(wal.recycle(Index(i > 30 ? i - 30 : 0)));
      ASSERT_TRUE(wal.prepare());
    }
  }
  EXPECT_LT(disk_->list().value().size(), 10U);
}

INSTANTIATE_TEST_SUITE_P(Disks, DiskContract, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "posix" : "simulated"; });

}  // namespace
}  // namespace coord::disk
