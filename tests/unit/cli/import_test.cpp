// What an import reads: nodes as lines, Jute, addresses, snapshot files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "cli/import_node.hpp"
#include "cli/jute.hpp"
#include "cli/text.hpp"
#include "cli/zookeeper_client.hpp"
#include "cli/zookeeper_snapshot.hpp"

namespace coord::cli {
namespace {

TEST(Jute, ComesBackAlikeAndNeverReadsBeyondItsEnd) {
  const auto bytes =
      JuteWriter().number(-3).large(INT64_MIN).boolean(true).bytes("x\0y").number(-1).text();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    JuteReader in(std::string_view(bytes).substr(0, cut));
    const auto number = in.number();
    const auto large = in.large();
    const auto boolean = in.boolean();
    const auto text = in.string();
    const auto null = in.buffer();
    ASSERT_EQ(in.is_ok(), cut == bytes.size()) << cut;
    if (!in.is_ok()) continue;
    EXPECT_EQ(number, -3);
    EXPECT_EQ(large, INT64_MIN);
    EXPECT_TRUE(boolean);
    EXPECT_EQ(text, "x");
    EXPECT_FALSE(null);
    EXPECT_TRUE(in.is_at_end());
  }
  const std::string too_many(JuteWriter().number(1000).text());
  JuteReader list(too_many);
  EXPECT_EQ(list.count(4), 0U);
  EXPECT_FALSE(list.is_ok());
}

TEST(ImportNode, IsToldApartByAllThatClientsSee) {
  ImportNode node;
  node.path = "/a";
  node.data = "v";
  node.acl = {{31, "world", "anyone"}};
  const auto hash = hash_of(node);
  node.created = 7;
  EXPECT_EQ(hash_of(node), hash);
  const auto differs = [&](auto change) {
    auto other = node;
    change(other);
    EXPECT_NE(hash_of(other), hash);
  };
  differs([](ImportNode& n) { n.path = "/b"; });
  differs([](ImportNode& n) { n.data.reset(); });
  differs([](ImportNode& n) { n.data = ""; });
  differs([](ImportNode& n) { n.acl[0].permissions = 1; });
  differs([](ImportNode& n) { n.mode = ImportMode::container; });
  differs([](ImportNode& n) { n.version = 1; });
  differs([](ImportNode& n) { n.aversion = 1; });
  differs([](ImportNode& n) { n.ctime_ms = 1; });
  differs([](ImportNode& n) { n.mtime_ms = 1; });
}

TEST(ImportNode, CountsCreationsAsZooKeeperDoes) {
  EXPECT_EQ(created_of(-1, 1), 0U);  // The root of a fresh one.
  EXPECT_EQ(created_of(0, 0), 0U);
  EXPECT_EQ(created_of(3, 1), 2U);  // Two made, one of them gone.
}

TEST(ImportNode, IsReadFromALineOfAWalk) {
  const auto walked = walked_of(Json::parse(
      R"({"path":"/a","value":"AAE=","encoding":"base64","acl":[{"scheme":"world","id":"anyone",)"
      R"("permissions":["read","admin"]}],"stat":{"czxid":5,"mzxid":6,"pzxid":7,)"
      R"("ctime":"2026-11-21T19:58:02.123Z","mtime":"1970-01-01T00:00:00.001Z","version":2,)"
      R"("cversion":3,"aversion":1,"num_children":1,"mode":"ttl","ttl_ms":9}})"));
  ASSERT_TRUE(walked);
  EXPECT_EQ(walked->node.data, std::string("\0\1", 2));
  EXPECT_EQ(walked->node.acl[0].permissions, 17U);
  EXPECT_EQ(walked->node.ctime_ms, 1'795'291'082'123);
  EXPECT_EQ(walked->node.mtime_ms, 1);
  EXPECT_EQ(walked->node.created, 2U);
  EXPECT_EQ(walked->node.mode, ImportMode::ttl);
  EXPECT_EQ(walked->czxid, 5U);
  EXPECT_FALSE(walked_of(Json::parse(R"({"path":"/a"})")));
  EXPECT_FALSE(walked_of(Json()));
}

TEST(ParseTime, TakesOneForm) {
  EXPECT_EQ(parse_time_ms("1970-01-02T00:00:00.000Z"), 86'400'000);
  EXPECT_EQ(parse_time_ms("1969-12-31T23:59:59.999Z"), -1);
  EXPECT_FALSE(parse_time_ms("1970-01-02T00:00:00Z"));
  EXPECT_FALSE(parse_time_ms("1970-01-02 00:00:00.000Z"));
  EXPECT_FALSE(parse_time_ms(""));
}

TEST(ParseServers, TakesHostsWithAndWithoutPorts) {
  const auto servers = parse_servers("a:1,b,[::1]:3,::1");
  ASSERT_TRUE(servers);
  EXPECT_EQ(servers.value(),
            (std::vector<Endpoint>{{"a", "1"}, {"b", "2181"}, {"::1", "3"}, {"::1", "2181"}}));
  for (const char* wrong : {"", "a:", ":1", "a:x", "a,,b", "a/b", "a b"}) {
    EXPECT_FALSE(parse_servers(wrong)) << wrong;
  }
}

// ---- snapshots

std::uint32_t adler(std::string_view bytes) {
  std::uint32_t low = 1;
  std::uint32_t high = 0;
  for (const char c : bytes) {
    low = (low + static_cast<std::uint8_t>(c)) % 65521;
    high = (high + low) % 65521;
  }
  return high << 16 | low;
}

void put_node(JuteWriter& out, std::string_view path, std::int64_t acl, std::int64_t owner,
              std::int32_t created) {
  out.bytes(path).bytes("data of it").large(acl).large(1).large(2).large(1000).large(2000);
  out.number(3).number(created).number(1).large(owner).large(3);
}

std::string snapshot() {
  JuteWriter out;
  out.number(0x5a4b534e).number(2).large(-1);
  out.number(1).large(0x1234).number(4000);  // A session.
  out.number(1).large(1).number(1).number(31).bytes("digest").bytes("ann:h");
  put_node(out, "", -1, 0, 5);
  put_node(out, "/zookeeper", -1, 0, 0);
  put_node(out, "/a", 1, 0, 2);
  put_node(out, "/a/mine", -1, 0x1234, 0);
  put_node(out, "/a/box", -1, INT64_MIN, 1);
  put_node(out, "/ab", -1, static_cast<std::int64_t>(0xff00000000000000U | 60'000U), 0);
  out.bytes("/");
  auto bytes = out.text();
  bytes += JuteWriter().large(adler(bytes)).bytes("/").text();
  return bytes;
}

class SnapshotFile : public ::testing::Test {
 protected:
  void SetUp() override {
    const int fd = ::mkstemp(name_.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
  }
  void TearDown() override { ::unlink(name_.c_str()); }
  void write(std::string_view bytes) {
    auto* file = std::fopen(name_.c_str(), "wb");
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
  }
  Outcome<void> read(const std::string& top) {
    nodes_.clear();
    SnapshotSource source(name_, top);
    auto done = source.walk([&](ImportNode&& node) -> Outcome<void> {
      nodes_.push_back(std::move(node));
      return success();
    });
    ephemerals_ = source.ephemerals();
    return done;
  }
  std::string name_ = "/tmp/coord-snapshot-XXXXXX";
  std::vector<ImportNode> nodes_;
  std::size_t ephemerals_ = 0;
};

TEST_F(SnapshotFile, GivesNodesWithTheirKindsAndLeavesOutEphemerals) {
  write(snapshot());
  ASSERT_TRUE(read("/"));
  ASSERT_EQ(nodes_.size(), 4U);
  EXPECT_EQ(ephemerals_, 1U);
  EXPECT_EQ(nodes_[0].path, "/");
  EXPECT_EQ(nodes_[0].created, 5U);
  EXPECT_EQ(nodes_[1].path, "/a");
  EXPECT_EQ(nodes_[1].acl[0].id, "ann:h");
  EXPECT_EQ(nodes_[1].version, 3);
  EXPECT_EQ(nodes_[1].aversion, 1);
  EXPECT_EQ(nodes_[1].ctime_ms, 1000);
  EXPECT_EQ(nodes_[1].mtime_ms, 2000);
  EXPECT_EQ(nodes_[2].mode, ImportMode::container);
  EXPECT_EQ(nodes_[3].mode, ImportMode::ttl);
  EXPECT_EQ(nodes_[3].ttl_ms, 60'000);
  ASSERT_TRUE(read("/a"));
  EXPECT_EQ(nodes_.size(), 2U);
  EXPECT_EQ(read("/none").error().exit, Exit::not_found);
  const auto kinds = kinds_in(name_);
  ASSERT_TRUE(kinds);
  EXPECT_EQ(kinds.value().size(), 2U);
}

TEST_F(SnapshotFile, IsRefusedWhereverItIsCutOrChanged) {
  const auto whole = snapshot();
  for (std::size_t cut = 0; cut < whole.size() - 5; ++cut) {
    write(std::string_view(whole).substr(0, cut));
    ASSERT_FALSE(read("/")) << cut;
  }
  for (std::size_t at = 0; at < whole.size() - 5; ++at) {
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    write(changed);
    ASSERT_FALSE(read("/")) << at;
  }
}

}  // namespace
}  // namespace coord::cli
