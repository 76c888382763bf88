#include "coord/core/outcome.hpp"

#include <gtest/gtest.h>

#include "coord/base/prng.hpp"

namespace coord::core {
namespace {

znode::Stat stat_of(std::uint64_t seed) {
  znode::Stat stat;
  stat.czxid = Zxid(seed);
  stat.mzxid = Zxid(seed + 1);
  stat.pzxid = Zxid(UINT64_MAX);
  stat.ctime_ms = -1;
  stat.mtime_ms = 1'700'000'000'000;
  stat.version = INT32_MIN;
  stat.cversion = INT32_MAX;
  stat.aversion = -1;
  stat.ephemeral_owner = SessionId(9);
  stat.data_length = UINT32_MAX;
  stat.num_children = 3;
  stat.mode = znode::Mode::ttl;
  stat.ttl_ms = 60'000;
  return stat;
}

std::vector<Outcome> every_outcome() {
  std::vector<Outcome> all(5);
  all[0].revision = Zxid(7);
  all[1].code = Code::bad_version;
  all[1].detail = "why";
  all[1].path = "/a";
  all[1].present = stat_of(4);
  all[1].end_reason = session::EndReason::killed;
  all[2].result = Written{"/a", stat_of(5), true, -17};
  TxnResult txn;
  txn.failed_op = 1;
  txn.results.push_back({0, Code::ok, "/a", stat_of(6), Blob("v"), "text/plain", {"x", "y"}});
  txn.results.push_back({3, Code::no_node, "/b", {}, Blob(), "", {}});
  all[3].result = txn;
  SessionOpened opened{SessionId(12), {}, 15'000};
  opened.secret.fill(0xfe);
  all[4].result = opened;
  return all;
}

void expect_alike(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(encode(a), encode(b));
  EXPECT_EQ(a.code, b.code);
  EXPECT_EQ(a.detail, b.detail);
  EXPECT_EQ(a.path, b.path);
  EXPECT_EQ(a.revision, b.revision);
  EXPECT_EQ(a.present, b.present);
  EXPECT_EQ(a.end_reason, b.end_reason);
  ASSERT_EQ(a.result.index(), b.result.index());
}

TEST(Outcome, ComesBackAlike) {
  for (const auto& outcome : every_outcome()) {
    Outcome back;
    ASSERT_TRUE(decode(encode(outcome), back));
    expect_alike(back, outcome);
  }
  Outcome back;
  ASSERT_TRUE(decode(encode(every_outcome()[3]), back));
  const auto& txn = std::get<TxnResult>(back.result);
  EXPECT_EQ(txn.failed_op, 1U);
  ASSERT_EQ(txn.results.size(), 2U);
  EXPECT_EQ(txn.results[0].stat, stat_of(6));
  EXPECT_EQ(txn.results[0].value, Blob("v"));
  EXPECT_EQ(txn.results[0].children, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(txn.results[1].value.is_null());
}

TEST(Outcome, EveryCutFails) {
  for (const auto& outcome : every_outcome()) {
    const auto bytes = encode(outcome);
    Outcome back;
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(decode(std::string_view(bytes).substr(0, cut), back)) << cut;
    }
  }
}

TEST(Outcome, DamagedBytesNeverCrash) {
  Prng prng(3);
  int decoded = 0;
  for (const auto& outcome : every_outcome()) {
    for (int round = 0; round < 2'000; ++round) {
      auto bytes = encode(outcome);
      bytes[static_cast<std::size_t>(prng.below(bytes.size()))] = static_cast<char>(prng.next());
      Outcome back;
      Outcome again;
      if (!decode(bytes, back)) continue;
      ++decoded;
      ASSERT_TRUE(decode(encode(back), again));
      expect_alike(again, back);
    }
  }
  EXPECT_GT(decoded, 100);
}

TEST(Outcome, AReplyCarriesAllOfIt) {
  auto outcome = every_outcome()[1];
  outcome.was_applied_before = true;
  outcome.revision = Zxid(8);
  const auto reply = reply_of(ConnectionId(1), RequestId(2), std::move(outcome));
  EXPECT_EQ(reply.connection, ConnectionId(1));
  EXPECT_EQ(reply.id, RequestId(2));
  EXPECT_EQ(reply.code, Code::bad_version);
  EXPECT_EQ(reply.revision, Zxid(8));
  EXPECT_EQ(reply.present, stat_of(4));
  EXPECT_EQ(reply.end_reason, session::EndReason::killed);
  EXPECT_TRUE(reply.was_applied_before);
}

}  // namespace
}  // namespace coord::core
