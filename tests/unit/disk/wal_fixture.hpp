// Helpers of the tests of the write-ahead log: entries, batches, and a log on a SimDisk.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coord/disk/wal.hpp"
#include "coord/disk/wal_frame.hpp"
#include "tests/sim/sim_disk.hpp"

namespace coord::disk {

inline constexpr WalOptions kSmall{.segment_bytes = 4096, .spare_segments = 1, .salt = 0x5a17};

inline election::SharedEntry entry(std::uint64_t index, std::uint64_t term = 1,
                                   std::size_t bytes = 100) {
  const auto fill = static_cast<char>('a' + index % 26);
  return std::make_shared<const election::LogEntry>(election::LogEntry{
      Term(term), Index(index), election::EntryKind::command, std::string(bytes, fill)});
}

inline WalBatch batch_of(std::vector<election::SharedEntry> entries) {
  return WalBatch{std::nullopt, std::move(entries)};
}

// Appends and syncs; fails the test if either does.
inline void put(Wal& wal, const WalBatch& batch) {
  auto appended = wal.append(batch);
  ASSERT_TRUE(appended) << appended.error().message;
  auto synced = wal.sync();
  ASSERT_TRUE(synced) << synced.error().message;
}

inline OpenedWal open(Disk& disk, const WalOptions& options = kSmall) {
  auto opened = open_wal(disk, options);
  EXPECT_TRUE(opened) << opened.error().message;
  return std::move(opened).value();
}

// One entry a batch, from 1 to `last`.
inline void write_entries(Disk& disk, std::uint64_t last, std::size_t bytes = 100,
                          const WalOptions& options = kSmall) {
  auto opened = open(disk, options);
  for (std::uint64_t i = 1; i <= last; ++i) put(*opened.wal, batch_of({entry(i, 1, bytes)}));
}

inline std::vector<std::uint64_t> indexes(const WalRecovered& recovered) {
  std::vector<std::uint64_t> all;
  for (const auto& e : recovered.entries) all.push_back(e->index.value());
  return all;
}

inline std::vector<std::uint64_t> from_to(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> all;
  for (auto i = first; i <= last; ++i) all.push_back(i);
  return all;
}

}  // namespace coord::disk
