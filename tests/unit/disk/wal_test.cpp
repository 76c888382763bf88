#include "coord/disk/wal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "coord/disk/posix_disk.hpp"
#include "coord/disk/wal_reader.hpp"
#include "tests/unit/disk/temporary_directory.hpp"
#include "tests/unit/disk/wal_fixture.hpp"

namespace coord::disk {
namespace {

using election::HardState;

TEST(Wal, a_new_log_is_empty_and_stays_so) {
  sim::SimDisk disk;
  for (int round = 0; round < 3; ++round) {
    const auto opened = open(disk);
    EXPECT_TRUE(opened.recovered.entries.empty());
    EXPECT_EQ(opened.recovered.hard_state, HardState{});
    EXPECT_FALSE(opened.recovered.tail.was_cut);
  }
}

TEST(Wal, entries_and_the_hard_state_come_back) {
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, WalBatch{HardState{Term(3), MemberId(7)}, {entry(1, 3), entry(2, 3)}});
    put(*opened.wal, batch_of({entry(3, 3, 0), entry(4, 3, 3000)}));
  }
  const auto opened = open(disk);
  EXPECT_EQ(indexes(opened.recovered), from_to(1, 4));
  EXPECT_EQ(*opened.recovered.entries[3], *entry(4, 3, 3000));
  EXPECT_EQ(*opened.recovered.entries[2], *entry(3, 3, 0));
  EXPECT_EQ(opened.recovered.hard_state, (HardState{Term(3), MemberId(7)}));
}

TEST(Wal, a_batch_replaces_the_log_from_its_first_entry_on) {
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, batch_of({entry(1), entry(2), entry(3), entry(4)}));
    put(*opened.wal, batch_of({entry(3, 2)}));
  }
  const auto opened = open(disk);
  ASSERT_EQ(indexes(opened.recovered), from_to(1, 3));
  EXPECT_EQ(opened.recovered.entries[2]->term, Term(2));
}

TEST(Wal, a_batch_beyond_the_end_begins_the_log_anew) {
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, batch_of({entry(1), entry(2)}));
    put(*opened.wal, batch_of({entry(50), entry(51)}));
  }
  EXPECT_EQ(indexes(open(disk).recovered), from_to(50, 51));
}

TEST(Wal, a_full_segment_is_followed_by_another_that_opens_with_the_hard_state) {
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, WalBatch{HardState{Term(9), MemberId(2)}, {}});
    for (std::uint64_t i = 1; i <= 40; ++i) put(*opened.wal, batch_of({entry(i, 9)}));
    EXPECT_GT(opened.wal->segment_count(), 4U);
    ASSERT_TRUE(opened.wal->recycle(Index(30)));
    while (opened.wal->segment_count() > 2) {
      const auto before = opened.wal->segment_count();
      ASSERT_TRUE(opened.wal->sync());
      ASSERT_TRUE(opened.wal->recycle(Index(30)));
      if (opened.wal->segment_count() == before) break;
    }
  }
  const auto opened = open(disk);
  EXPECT_EQ(opened.recovered.hard_state, (HardState{Term(9), MemberId(2)}));
  ASSERT_FALSE(opened.recovered.entries.empty());
  EXPECT_GT(opened.recovered.entries.front()->index, Index(1));
  EXPECT_LE(opened.recovered.entries.front()->index, Index(31));
  EXPECT_EQ(opened.recovered.entries.back()->index, Index(40));
}

TEST(Wal, a_batch_larger_than_a_segment_gets_one_of_its_own) {
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, batch_of({entry(1)}));
    put(*opened.wal, batch_of({entry(2, 1, 50'000)}));
    put(*opened.wal, batch_of({entry(3)}));
    EXPECT_EQ(opened.wal->segment_count(), 3U);
  }
  EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 3));
}

TEST(Wal, a_batch_beyond_the_bound_is_refused) {
  sim::SimDisk disk;
  auto options = kSmall;
  options.batch_bytes_max = 1000;
  auto opened = open(disk, options);
  const auto appended = opened.wal->append(batch_of({entry(1, 1, 1001)}));
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().failure, Failure::invalid);
}

TEST(Wal, recycled_segments_are_written_again_and_their_old_batches_are_not_read) {
  sim::SimDisk disk;
  auto opened = open(disk);
  for (std::uint64_t i = 1; i <= 500; ++i) {
    put(*opened.wal, batch_of({entry(i)}));
    ASSERT_TRUE(opened.wal->recycle(Index(i > 10 ? i - 10 : 0)));
  }
  EXPECT_LE(opened.wal->segment_count(), 4U);
  opened.wal.reset();
  const auto names = disk.list().value();
  EXPECT_LE(names.size(), 5U);
  const auto again = open(disk);
  EXPECT_LE(again.recovered.entries.front()->index, Index(491));
  EXPECT_EQ(again.recovered.entries.back()->index, Index(500));
  EXPECT_FALSE(again.recovered.tail.was_cut) << again.recovered.tail.reason;
}

TEST(Wal, prepare_writes_a_spare_in_pieces_and_then_has_nothing_to_do) {
  sim::SimDisk disk;
  auto options = kSmall;
  options.segment_bytes = 1 << 20;
  auto opened = open(disk, options);
  int pieces = 1;
  while (opened.wal->prepare().value()) ++pieces;
  EXPECT_EQ(pieces, 4);
  EXPECT_FALSE(opened.wal->prepare().value());
  EXPECT_EQ(disk.content(spare_name(1)).size(), 1U << 20);
  // The next segment is the spare, renamed.
  put(*opened.wal, batch_of({entry(1, 1, 900'000)}));
  put(*opened.wal, batch_of({entry(2, 1, 900'000)}));
  EXPECT_EQ(disk.list().value(), (std::vector{segment_name(1), segment_name(2)}));
  EXPECT_EQ(disk.content(segment_name(2)).size(), 1U << 20);
}

TEST(Wal, what_gathers_in_a_batch_is_contiguous) {
  using election::HardState;
  const auto indexes_of = [](const WalBatch& batch) {
    return indexes(WalRecovered{.hard_state = {}, .entries = batch.entries, .tail = {}});
  };
  WalBatch batch;
  batch.add(batch_of({entry(4), entry(5)}));
  batch.add(batch_of({entry(6)}));
  EXPECT_EQ(indexes_of(batch), from_to(4, 6));
  batch.add(WalBatch{HardState{Term(2), MemberId(1)}, {}});
  EXPECT_EQ(indexes_of(batch), from_to(4, 6));
  batch.add(batch_of({entry(5, 2)}));
  EXPECT_EQ(indexes_of(batch), from_to(4, 5));
  EXPECT_EQ(batch.entries.back()->term, Term(2));
  EXPECT_EQ(batch.hard_state->term, Term(2));
  // A snapshot at 8 was installed before these came.
  batch.add(batch_of({entry(9, 2), entry(10, 2)}));
  EXPECT_EQ(indexes_of(batch), from_to(9, 10));
  batch.add(batch_of({entry(3, 3)}));
  EXPECT_EQ(indexes_of(batch), from_to(3, 3));
}

TEST(Wal, zeros_are_written_ahead_of_the_log_and_then_the_spare) {
  sim::SimDisk disk;
  auto options = kSmall;
  options.segment_bytes = 2 << 20;
  options.ahead_bytes = 300'000;
  auto opened = open(disk, options);
  const auto size = [&](const std::string& name) { return disk.content(name).size(); };
  constexpr std::size_t kPiece = 256 * 1024;
  EXPECT_EQ(size(segment_name(1)), 2 * kPiece) << "from the first batch on";
  // A batch stays within what was written ahead, so that the file does not become longer.
  put(*opened.wal, batch_of({entry(1, 1, 250'000)}));
  EXPECT_EQ(size(segment_name(1)), 2 * kPiece);
  EXPECT_TRUE(opened.wal->prepare().value());
  EXPECT_EQ(size(segment_name(1)), 3 * kPiece);
  EXPECT_EQ(disk.list().value(), std::vector{segment_name(1)});
  while (opened.wal->prepare().value()) {
  }
  EXPECT_EQ(size(segment_name(1)), 3 * kPiece);
  EXPECT_EQ(size(spare_name(1)), options.segment_bytes);
  // Synced: the zeros are there after a power loss too.
  Prng prng(1);
  disk.crash(prng, sim::CrashOdds{.kept_percent = 0});
  EXPECT_EQ(size(segment_name(1)), 3 * kPiece);
  opened.wal.reset();
  auto again = open(disk, options);
  EXPECT_EQ(indexes(again.recovered), from_to(1, 1));
  EXPECT_FALSE(again.recovered.tail.was_cut) << again.recovered.tail.reason;
  // Never beyond the end of the segment.
  for (std::uint64_t i = 2; i <= 8; ++i) put(*again.wal, batch_of({entry(i, 1, 250'000)}));
  while (again.wal->prepare().value()) {
  }
  EXPECT_EQ(size(segment_name(1)), options.segment_bytes);
}

TEST(Wal, a_log_is_made_on_a_disk_without_room_for_zeros_ahead) {
  sim::SimDisk disk;
  auto options = kSmall;
  options.segment_bytes = 1 << 20;
  options.ahead_bytes = 512 * 1024;
  disk.faults.capacity_bytes = 100 * 1024;
  auto opened = open(disk, options);
  put(*opened.wal, batch_of({entry(1)}));
  const auto refused = opened.wal->prepare();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().failure, Failure::disk_full);
  put(*opened.wal, batch_of({entry(2)}));
  disk.faults.capacity_bytes.reset();
  EXPECT_TRUE(opened.wal->prepare().value());
  opened.wal.reset();
  EXPECT_EQ(indexes(open(disk, options).recovered), from_to(1, 2));
}

TEST(Wal, half_a_spare_is_finished_after_a_restart) {
  sim::SimDisk disk;
  auto options = kSmall;
  options.segment_bytes = 1 << 20;
  {
    auto opened = open(disk, options);
    EXPECT_TRUE(opened.wal->prepare().value());
  }
  auto opened = open(disk, options);
  int pieces = 1;
  while (opened.wal->prepare().value()) ++pieces;
  EXPECT_EQ(pieces, 3);
}

TEST(Wal, bytes_after_counts_from_the_segment_that_holds_the_next_entry) {
  sim::SimDisk disk;
  auto opened = open(disk);
  for (std::uint64_t i = 1; i <= 20; ++i) put(*opened.wal, batch_of({entry(i)}));
  EXPECT_EQ(opened.wal->bytes_after(Index(0)), 21U * 512);
  EXPECT_EQ(opened.wal->bytes_after(Index(20)), 0U);
  const auto half = opened.wal->bytes_after(Index(10));
  EXPECT_GT(half, 10U * 512 - 1);
  EXPECT_LT(half, 21U * 512);
}

TEST(Wal, a_full_disk_counts_for_nothing_and_the_same_append_works_later) {
  for (std::uint64_t room = 0; room <= 40 * 512; room += 512) {
    sim::SimDisk disk;
    auto opened = open(disk);
    put(*opened.wal, batch_of({entry(1)}));
    disk.faults.capacity_bytes = disk.bytes_used() + room;
    std::uint64_t refused = 0;
    for (std::uint64_t i = 2; i <= 60; ++i) {
      const auto batch = batch_of({entry(i, 1, 100 + 37 * (i % 40))});
      auto appended = opened.wal->append(batch);
      if (!appended) {
        ASSERT_EQ(appended.error().failure, Failure::disk_full);
        ++refused;
        disk.faults.capacity_bytes.reset();
        // Another batch, of another size, in its place.
        appended = opened.wal->append(batch_of({entry(i, 1, 7)}));
        ASSERT_TRUE(appended) << appended.error().message;
      }
      ASSERT_TRUE(opened.wal->sync());
    }
    EXPECT_EQ(refused, 1U) << room;
    opened.wal.reset();
    const auto again = open(disk);
    EXPECT_EQ(indexes(again.recovered), from_to(1, 60)) << room;
    EXPECT_FALSE(again.recovered.tail.was_cut) << again.recovered.tail.reason;
  }
}

TEST(Wal, on_a_full_disk_spares_make_room_for_the_log) {
  sim::SimDisk disk;
  auto opened = open(disk);
  put(*opened.wal, batch_of({entry(1, 1, 3000)}));
  while (opened.wal->prepare().value()) {
  }
  ASSERT_EQ(disk.list().value().size(), 2U);
  disk.faults.capacity_bytes = disk.bytes_used();
  // More than a segment: no spare can hold it.
  put(*opened.wal, batch_of({entry(2, 1, 3500)}));
  EXPECT_EQ(disk.list().value().size(), 2U) << "the spare is gone";
  const auto more = opened.wal->append(batch_of({entry(3, 1, 3500)}));
  ASSERT_FALSE(more) << "there is no spare left";
  EXPECT_EQ(more.error().failure, Failure::disk_full);
  opened.wal.reset();
  EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 2));
}

TEST(Wal, spares_that_a_crash_brings_back_are_let_go_again) {
  sim::SimDisk disk;
  write_entries(disk, 2);
  disk.set_content(spare_name(8), std::string(kSmall.segment_bytes, '\0'));
  disk.set_content(spare_name(9), std::string(kSmall.segment_bytes, '\0'));
  disk.set_content(spare_name(10), std::string(600, '\0'));
  const auto opened = open(disk);
  EXPECT_EQ(indexes(opened.recovered), from_to(1, 2));
  EXPECT_EQ(disk.list().value().size(), 1U + kSmall.spare_segments);
}

// The beginning of a batch that did not fit, at the very end of a full disk.
TEST(Wal, a_log_with_a_torn_tail_opens_on_a_full_disk) {
  for (const std::size_t torn : {1U, 40U, 100U, 511U, 512U, 700U}) {
    sim::SimDisk disk;
    write_entries(disk, 3);
    const auto name = segment_name(1);
    auto bytes = disk.content(name);
    write_entries(disk, 1, 900);
    auto longer = disk.content(name);
    ASSERT_GT(longer.size(), bytes.size() + torn);
    longer.resize(bytes.size() + torn);
    disk.set_content(name, longer);
    disk.faults.capacity_bytes = disk.bytes_used();
    EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 3)) << torn;
    const auto again = open(disk);
    EXPECT_EQ(indexes(again.recovered), from_to(1, 3)) << torn;
    EXPECT_FALSE(again.recovered.tail.was_cut) << torn << ": " << again.recovered.tail.reason;
  }
}

TEST(Wal, after_a_larger_batch_failed_a_segment_may_end_and_the_log_reads_well) {
  sim::SimDisk disk;
  auto opened = open(disk);
  put(*opened.wal, batch_of({entry(1, 1, 1400)}));
  disk.faults.capacity_bytes = disk.bytes_used() + 512;
  ASSERT_FALSE(opened.wal->append(batch_of({entry(2, 1, 1000)})));
  disk.faults.capacity_bytes.reset();
  put(*opened.wal, batch_of({entry(2, 1, 3000)}));
  EXPECT_EQ(opened.wal->segment_count(), 2U);
  opened.wal.reset();
  EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 2));
}

TEST(Wal, after_a_failed_sync_it_refuses_everything) {
  sim::SimDisk disk;
  auto opened = open(disk);
  ASSERT_TRUE(opened.wal->append(batch_of({entry(1)})));
  disk.faults.sync_fails = true;
  ASSERT_FALSE(opened.wal->sync());
  disk.faults.sync_fails = false;
  EXPECT_FALSE(opened.wal->sync());
  EXPECT_FALSE(opened.wal->append(batch_of({entry(1)})));
  EXPECT_FALSE(opened.wal->recycle(Index(1)));
  EXPECT_FALSE(opened.wal->prepare());
}

TEST(Wal, after_a_failed_write_it_refuses_everything) {
  sim::SimDisk disk;
  auto opened = open(disk);
  disk.faults.write_fails = true;
  ASSERT_FALSE(opened.wal->append(batch_of({entry(1)})));
  disk.faults.write_fails = false;
  EXPECT_FALSE(opened.wal->append(batch_of({entry(1)})));
  EXPECT_FALSE(opened.wal->sync());
}

TEST(Wal, a_failed_read_or_write_while_opening_is_an_error) {
  sim::SimDisk disk;
  write_entries(disk, 3);
  disk.faults.read_fails = true;
  EXPECT_FALSE(open_wal(disk, kSmall));
  disk.faults.read_fails = false;
  disk.faults.sync_fails = true;
  EXPECT_FALSE(open_wal(disk, kSmall));
  disk.faults.sync_fails = false;
  EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 3));
}

TEST(Wal, a_batch_read_from_a_page_that_never_reached_the_disk_is_written_again) {
  // A failed sync leaves the page clean in memory; a restart of the process then reads it.
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, batch_of({entry(1)}));
    ASSERT_TRUE(opened.wal->append(batch_of({entry(2)})));
    disk.faults.sync_fails = true;
    ASSERT_FALSE(opened.wal->sync());
    disk.faults.sync_fails = false;
    disk.forget_unsynced(segment_name(1));
  }
  EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 2));
  Prng prng(1);
  disk.crash(prng, sim::CrashOdds{.kept_percent = 0});
  EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 2));
}

TEST(Wal, the_loop_recycles_and_prepares_while_the_disk_thread_syncs) {
  const TemporaryDirectory directory;
  auto disk = open_posix_disk(directory.path()).value();
  {
    auto opened = open(*disk);
    auto& wal = *opened.wal;
    for (std::uint64_t i = 1; i <= 200; ++i) {
      ASSERT_TRUE(wal.append(batch_of({entry(i, 1, 300)})));
      bool has_synced = false;
      std::thread syncing([&] { has_synced = wal.sync().has_value(); });
      EXPECT_TRUE(wal.recycle(Index(i > 20 ? i - 20 : 0)));
      EXPECT_TRUE(wal.prepare());
      EXPECT_GT(wal.segment_count(), 0U);
      syncing.join();
      ASSERT_TRUE(has_synced);
    }
    EXPECT_LT(wal.segment_count(), 10U);
  }
  const auto again = open(*disk);
  EXPECT_EQ(again.recovered.entries.back()->index, Index(200));
  EXPECT_LE(again.recovered.entries.front()->index, Index(181));
}

// Each batch was synced before the next segment began: the last one, which does not follow then, is
// no torn tail.
TEST(Wal, the_lost_end_of_a_segment_is_damage) {
  sim::SimDisk whole;
  write_entries(whole, 10, 700);
  const auto scan = read_wal(whole);
  ASSERT_TRUE(scan);
  const auto& segments = scan.value().segments;
  ASSERT_GE(segments.size(), 3U);
  const auto& before = segments[segments.size() - 2];
  const auto name = segment_name(before.sequence);
  for (auto at = kSectorBytes; at < before.used; at += kSectorBytes) {
    const auto disk = whole.clone();
    auto bytes = disk->content(name);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(), '\0');
    disk->set_content(name, std::move(bytes));
    const auto opened = open_wal(*disk, kSmall);
    ASSERT_FALSE(opened) << "without what follows offset " << at;
    EXPECT_EQ(opened.error().failure, Failure::corrupt);
    EXPECT_NE(opened.error().message.find(name), std::string::npos) << opened.error().message;
  }
}

TEST(Wal, odd_segment_sizes_are_refused) {
  sim::SimDisk disk;
  for (const std::uint64_t bytes : {0, 512, 1000, 4097}) {
    EXPECT_FALSE(open_wal(disk, WalOptions{.segment_bytes = bytes})) << bytes;
  }
}

TEST(Wal, files_of_other_names_are_left_alone) {
  sim::SimDisk disk;
  disk.set_content("wal-1.tmp", "x");
  disk.set_content("notes", "y");
  write_entries(disk, 2);
  EXPECT_EQ(indexes(open(disk).recovered), from_to(1, 2));
  EXPECT_EQ(disk.content("wal-1.tmp"), "x");
  EXPECT_EQ(disk.content("notes"), "y");
}

}  // namespace
}  // namespace coord::disk
