// Reads the worked example of wal_format.md and holds writer and reader against it.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/unit/disk/wal_fixture.hpp"

namespace coord::disk {
namespace {

std::string example() {
  std::ifstream in(std::string(COORD_SOURCE_ROOT) + "/coord/disk/wal_format.md");
  EXPECT_TRUE(in.good());
  std::string bytes(1024, '\0');
  bool is_inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      is_inside = line == "```hex";
      continue;
    }
    if (!is_inside) continue;
    std::istringstream words(line);
    std::string word;
    words >> word;
    auto at = std::stoul(word, nullptr, 16);
    while (words >> word) bytes.at(at++) = static_cast<char>(std::stoul(word, nullptr, 16));
  }
  return bytes;
}

WalBatch example_batch() {
  using election::EntryKind;
  using election::LogEntry;
  return WalBatch{
      election::HardState{Term(2), MemberId(1)},
      {std::make_shared<const LogEntry>(LogEntry{Term(2), Index(1), EntryKind::no_op, ""}),
       std::make_shared<const LogEntry>(LogEntry{Term(2), Index(2), EntryKind::command, "hello"})}};
}

TEST(WalFormat, the_writer_writes_the_example) {
  sim::SimDisk disk;
  {
    auto opened = open(disk);
    put(*opened.wal, example_batch());
  }
  EXPECT_EQ(disk.content("wal-0000000000000001"), example());
}

TEST(WalFormat, the_reader_reads_the_example) {
  sim::SimDisk disk;
  disk.set_content("wal-0000000000000001", example());
  const auto opened = open(disk);
  const auto batch = example_batch();
  EXPECT_EQ(opened.recovered.hard_state, *batch.hard_state);
  ASSERT_EQ(opened.recovered.entries.size(), 2U);
  EXPECT_EQ(*opened.recovered.entries[0], *batch.entries[0]);
  EXPECT_EQ(*opened.recovered.entries[1], *batch.entries[1]);
  EXPECT_FALSE(opened.recovered.tail.was_cut);
}

TEST(WalFormat, names_are_parsed_strictly) {
  EXPECT_EQ(parse_segment_name("wal-00000000000000ff"), 255U);
  EXPECT_EQ(parse_spare_name("spare-0000000000000010"), 16U);
  for (const auto* name : {"wal-", "wal-00000000000000f", "wal-00000000000000fff",
                           "wal-000000000000000g", "wal-0000000000000000", "wal-0000000000000001~",
                           "spare-0000000000000001", "xwal-0000000000000001"}) {
    EXPECT_FALSE(parse_segment_name(name)) << name;
  }
}

}  // namespace
}  // namespace coord::disk
