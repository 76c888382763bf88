// The log under damage and power loss: every byte of a batch cut or flipped, every operation hit.
#include <gtest/gtest.h>

#include <algorithm>

#include "coord/base/prng.hpp"
#include "tests/unit/disk/wal_fixture.hpp"

namespace coord::disk {
namespace {

using election::HardState;

struct Place {
  std::string file;
  std::uint64_t offset;
  std::uint64_t size;
};

// Where the batches of the log stand, in order.
std::vector<Place> places(const sim::SimDisk& disk) {
  std::vector<Place> all;
  const auto names = disk.list().value();
  for (const auto& name : names) {
    const auto sequence = parse_segment_name(name);
    if (!sequence) continue;
    const std::string_view bytes = disk.content(name);
    std::uint64_t at = 0;
    while (at + kFrameBytes <= bytes.size()) {
      const auto frame = parse_frame(bytes.substr(at));
      if (!frame || frame->segment != *sequence) break;
      const auto size = round_up_to_sector(frame->size);
      if (size > bytes.size() - at) break;
      if (batch_checksum(bytes.substr(at, size)) != frame->checksum) break;
      all.push_back(Place{name, at, size});
      at += size;
    }
  }
  return all;
}

TEST(WalDamage, a_log_cut_at_any_byte_of_its_last_batch_loses_that_batch_and_says_so) {
  sim::SimDisk disk;
  write_entries(disk, 3, 700);
  const auto last = places(disk).back();
  for (const bool zeros : {false, true}) {
    for (std::uint64_t kept = 0; kept < last.size; ++kept) {
      sim::SimDisk copy;
      auto bytes = disk.content(last.file).substr(0, last.offset + kept);
      if (zeros) bytes.resize(4096, '\0');
      const bool is_same =
          zeros && bytes == disk.content(last.file) +
                                std::string(4096, '\0').substr(disk.content(last.file).size());
      copy.set_content(last.file, bytes);
      const auto opened = open(copy);
      const auto& tail = opened.recovered.tail;
      if (is_same) {  // What was cut were zeros.
        EXPECT_EQ(indexes(opened.recovered), from_to(1, 3));
        continue;
      }
      ASSERT_EQ(indexes(opened.recovered), from_to(1, 2)) << kept;
      ASSERT_EQ(tail.was_cut, kept > 0) << kept << " zeros " << zeros;
      if (kept == 0) continue;
      EXPECT_EQ(tail.file, last.file);
      EXPECT_EQ(tail.offset, last.offset);
      EXPECT_GT(tail.dropped_bytes, 0U);
      EXPECT_FALSE(tail.reason.empty());
      // The log goes on, and the dropped batch is gone for good.
      put(*opened.wal, batch_of({entry(3, 2, 10)}));
      const auto again = open(copy);
      ASSERT_EQ(indexes(again.recovered), from_to(1, 3));
      EXPECT_EQ(again.recovered.entries.back()->term, Term(2));
      EXPECT_FALSE(again.recovered.tail.was_cut);
    }
  }
}

TEST(WalDamage, a_flipped_byte_in_the_last_batch_drops_it_and_in_any_other_is_named) {
  sim::SimDisk disk;
  write_entries(disk, 12);
  const auto all = places(disk);
  ASSERT_GT(all.size(), 10U);
  for (const auto& place : all) {
    for (std::uint64_t at = 0; at < place.size; ++at) {
      for (const std::uint8_t mask : {std::uint8_t{0x01}, std::uint8_t{0x80}}) {
        sim::SimDisk copy = disk;
        copy.flip(place.file, place.offset + at, mask);
        auto opened = open_wal(copy, kSmall);
        if (place.file == all.back().file && place.offset == all.back().offset) {
          ASSERT_TRUE(opened) << at << opened.error().message;
          EXPECT_EQ(indexes(opened.value().recovered), from_to(1, 11)) << at;
          EXPECT_TRUE(opened.value().recovered.tail.was_cut) << at;
          continue;
        }
        ASSERT_FALSE(opened) << place.file << " " << place.offset << "+" << at;
        EXPECT_EQ(opened.error().failure, Failure::corrupt);
        const auto& message = opened.error().message;
        EXPECT_NE(message.find(place.file), std::string::npos) << message;
        EXPECT_NE(message.find(fmt::format("offset {}", place.offset)), std::string::npos)
            << message;
      }
    }
  }
}

TEST(WalDamage, a_flipped_byte_after_the_log_went_over_recycled_segments_is_found_too) {
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    for (std::uint64_t i = 1; i <= 100; ++i) {
      put(*opened.wal, batch_of({entry(i)}));
      ASSERT_TRUE(opened.wal->recycle(Index(i > 12 ? i - 12 : 0)));
    }
  }
  const auto before = indexes(open(disk).recovered);
  const auto all = places(disk);
  Prng prng(5);
  for (int round = 0; round < 3000; ++round) {
    const auto which = static_cast<std::size_t>(prng.below(all.size()));
    const auto& place = all[which];
    sim::SimDisk copy = disk;
    copy.flip(place.file, place.offset + prng.below(place.size),
              static_cast<std::uint8_t>(1U << prng.below(8)));
    auto opened = open_wal(copy, kSmall);
    if (which + 1 == all.size()) {
      ASSERT_TRUE(opened) << opened.error().message;
      auto expected = before;
      expected.pop_back();
      EXPECT_EQ(indexes(opened.value().recovered), expected);
      EXPECT_TRUE(opened.value().recovered.tail.was_cut);
    } else {
      ASSERT_FALSE(opened) << place.file << " " << place.offset;
      EXPECT_NE(opened.error().message.find(place.file), std::string::npos);
    }
  }
}

TEST(WalDamage, a_missing_segment_is_named) {
  sim::SimDisk disk;
  write_entries(disk, 40);
  const auto names = disk.list().value();
  for (std::size_t i = 1; i + 1 < names.size(); ++i) {
    sim::SimDisk copy = disk;
    ASSERT_TRUE(copy.remove(names[i]));
    const auto opened = open_wal(copy, kSmall);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().failure, Failure::corrupt);
    EXPECT_NE(opened.error().message.find(names[i] + " is missing"), std::string::npos);
  }
}

TEST(WalDamage, an_emptied_segment_is_damage_unless_it_is_the_last) {
  sim::SimDisk disk;
  write_entries(disk, 40);
  const auto names = disk.list().value();
  for (const auto& name : names) {
    sim::SimDisk copy = disk;
    copy.set_content(name, "");
    const auto opened = open_wal(copy, kSmall);
    EXPECT_EQ(opened.has_value(), name == names.back()) << name;
    if (opened) continue;
    EXPECT_NE(opened.error().message.find(name), std::string::npos);
  }
}

TEST(WalDamage, the_beginning_of_a_batch_in_a_segment_that_is_not_the_last_is_damage) {
  sim::SimDisk disk;
  write_entries(disk, 20);
  const auto all = places(disk);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    if (all[i].file == all[i + 1].file || all[i].offset == 0) continue;
    sim::SimDisk copy = disk;
    copy.flip(all[i].file, all[i].offset + 100, 1);  // The last batch of its segment.
    EXPECT_FALSE(open_wal(copy, kSmall)) << all[i].file;
  }
}

TEST(WalDamage, a_batch_forged_inside_a_torn_one_is_not_taken_for_a_later_one) {
  // A client writes into a value what a batch of this segment looks like, except for the salt.
  std::string forged;
  for (int i = 0; i < 600; ++i) {
    std::string batch(512, '\0');
    seal_frame(Frame{.segment = 1, .salt = 0, .generation = 9, .number = 9, .size = 64}, batch);
    forged += batch + "x";
  }
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, batch_of({entry(1)}));
    put(*opened.wal, batch_of({std::make_shared<const election::LogEntry>(election::LogEntry{
                         Term(1), Index(2), election::EntryKind::command, forged})}));
  }
  const auto last = places(disk).back();
  disk.flip(last.file, last.offset + 70, 1);
  const auto opened = open(disk);
  EXPECT_TRUE(opened.recovered.entries.empty() || opened.recovered.tail.was_cut);
}

// A life of the log: what it does, and what must be there after a power loss at any point.
struct Life {
  std::uint64_t synced = 0;    // Entries up to here are durable.
  std::uint64_t appended = 0;  // Entries up to here may be.
  HardState hard_state;        // Of the last synced batch.
  std::uint64_t kept_after = 0;
  WalOptions options = kSmall;
};

// False once the power is gone.
bool live(sim::SimDisk& disk, Life& life, std::uint64_t until, std::uint64_t seed) {
  Prng prng(seed);
  auto opened = open_wal(disk, life.options);
  if (!opened) return false;
  auto& wal = *opened.value().wal;
  const auto& entries = opened.value().recovered.entries;
  auto next = entries.empty() ? life.kept_after + 1 : entries.back()->index.value() + 1;
  life.synced = next - 1;
  while (next <= until) {
    WalBatch batch;
    const auto count = prng.between(1, 4);
    for (std::uint64_t i = 0; i < count; ++i) {
      batch.entries.push_back(entry(next++, 1, static_cast<std::size_t>(prng.below(700))));
    }
    if (prng.chance(1, 3)) batch.hard_state = HardState{Term(next), MemberId(1)};
    life.appended = next - 1;
    if (!wal.append(batch)) return false;
    // While the disk thread syncs, the loop may recycle up to the checkpoint.
    if (prng.chance(1, 2) && !wal.recycle(Index(life.kept_after))) return false;
    if (!wal.sync()) return false;
    life.synced = life.appended;
    if (batch.hard_state) life.hard_state = *batch.hard_state;
    if (next > 2 && prng.chance(1, 2)) {
      life.kept_after = next - 1 - prng.below(2);
      if (!wal.recycle(Index(life.kept_after))) return false;
    }
    if (prng.chance(1, 2) && !wal.prepare()) return false;
  }
  return true;
}

void check_after(const WalRecovered& recovered, const Life& life, std::uint64_t at) {
  ASSERT_GE(recovered.hard_state.term, life.hard_state.term) << at;
  const auto& entries = recovered.entries;
  if (life.synced <= life.kept_after && entries.empty()) return;
  ASSERT_FALSE(entries.empty()) << at;
  EXPECT_LE(entries.front()->index.value(), life.kept_after + 1) << at;
  EXPECT_GE(entries.back()->index.value(), life.synced) << at;
  EXPECT_LE(entries.back()->index.value(), std::max(life.appended, life.synced)) << at;
  for (std::size_t i = 1; i < entries.size(); ++i) {
    ASSERT_EQ(entries[i]->index, entries[i - 1]->index.next()) << at;
  }
}

void lose_power_at_any_operation(const WalOptions& options) {
  std::uint64_t operations = 0;
  {
    sim::SimDisk disk;
    Life life;
    life.options = options;
    ASSERT_TRUE(live(disk, life, 150, 1));
    operations = disk.operations();
  }
  ASSERT_GT(operations, 100U);
  for (std::uint64_t at = 1; at <= operations; ++at) {
    for (std::uint64_t chance = 0; chance < 12; ++chance) {
      sim::SimDisk disk;
      Prng prng(at * 1000 + chance);
      Life life;
      life.options = options;
      disk.crash_at(at);
      ASSERT_FALSE(live(disk, life, 150, 1));
      // Twice more: the second life begins on what the first one left, and is hit as well.
      for (int round = 0; round < 3; ++round) {
        disk.crash(prng, sim::CrashOdds{.kept_percent = chance % 4 * 33, .torn_percent = 20});
        auto opened = open_wal(disk, options);
        ASSERT_TRUE(opened) << "operation " << at << " chance " << chance << " round " << round
                            << ": " << opened.error().message;
        check_after(opened.value().recovered, life, at);
        if (::testing::Test::HasFatalFailure()) return;
        life.synced = opened.value().recovered.entries.empty()
                          ? life.kept_after
                          : opened.value().recovered.entries.back()->index.value();
        life.appended = life.synced;
        opened.value().wal.reset();
        disk.crash_at(disk.operations() + 1 + prng.below(30));
        (void)live(disk, life, life.synced + 30, prng.next());
      }
    }
  }
}

TEST(WalCrash, after_a_power_loss_at_any_operation_every_synced_entry_is_there) {
  lose_power_at_any_operation(kSmall);
}

TEST(WalCrash, and_where_zeros_are_written_ahead) {
  auto options = kSmall;
  options.ahead_bytes = 2048;
  lose_power_at_any_operation(options);
}

}  // namespace
}  // namespace coord::disk
