// The codec of commands: what is in the log must come back alike, for ever.
#include "coord/core/command.hpp"

#include <gtest/gtest.h>

#include "commands.hpp"
#include "coord/recipes/counter.hpp"

namespace coord::core {
namespace {

const Fence kFence{Fence::Kind::election, "boss", 58};
const WriteGuard kGuard{Zxid(40), -3};

std::vector<WriteOp> every_operation() {
  const Create create{"/a/", Blob("v"), "text/plain", znode::Mode::ephemeral,
                      true,  0,         true,         znode::Acl{{31, "auth", ""}}};
  Txn txn;
  txn.compare.push_back({"/a", true, Zxid(4), -1, Blob("x"), std::nullopt});
  txn.compare.push_back({"", {}, {}, {}, {}, kFence});
  txn.then = {TxnGet{"/a"}, TxnChildren{"/a", 7}, Check{"/a", kGuard}, create};
  txn.otherwise = {Set{"/a", Blob(), "t", kGuard}, Delete{"/a", true, kGuard}};
  OpenSession open{15'000, "name", "10.0.0.1:4", {}};
  open.secret.fill(0xab);
  return {
      Put{"/a", Blob(""), "text/html", znode::Mode::ttl, 60'000, true, true, kGuard},
      Put{"/a", Blob(), "", {}, 0, false, false, {}},
      create,
      Create{"/a", Blob(std::string(70'000, 'v')), "", znode::Mode::container, false, 0, false, {}},
      Set{"/a", Blob("v"), "t", kGuard},
      Add{"/a", INT64_MIN, kGuard},
      Add{"/a", INT64_MAX, {}},
      Delete{"/a", true, kGuard},
      SetAcl{"/a", {{1, "world", "anyone"}, {31, "digest", "a:b"}}, 7},
      SetAcl{"/a", {}, {}},
      SetQuota{"/a", UINT64_MAX, {}},
      SetQuota{"/a", {}, 0},
      txn,
      Txn{},
      open,
      CloseSession{SessionId(9), session::EndReason::killed},
      AttachSession{SessionId(9), "10.0.0.1"},
      AttachSession{SessionId(9), "10.0.0.1", 20'000},
      ExpireSessions{{SessionId(1), SessionId(UINT64_MAX)}},
      Reap{{"/a", "/b/c"}},
      Bootstrap{"6b0c-uuid",
                {{MemberId(1), 77, "a:1", "a:2", "a:3", {}, false},
                 {MemberId(2), UINT64_MAX, "", "", "", MemberId(1), true}},
                {{MemberId(1)}, {}, {MemberId(2)}, {}}},
      SetMember{{MemberId(4), 9, "d:1", "d:2", "", MemberId(2), false}},
      RecipeStep{recipes::Kind::counter, encode(recipes::counter::Add{"hits", -4}),
                 OwnSession{9'000, "own", "10.0.0.1:5", {}}},
      RecipesDue{{"/.coord/queues/q", "/.coord/barriers/b"}},
      BeginImport{"/a", "zk:2181/a"},
      ImportNodes{
          "/a",
          {{"/a",
            false,
            Blob("v"),
            {znode::Mode::ttl, 9, {{31, "digest", "a:b"}}, -1, 7, 1U << 30U, -5, 1LL << 50}},
           {"/a/b", false, Blob(), {}},
           {"/a/c", true, Blob(), {}}}},
      FinishImport{"/a"},
  };
}

Command command_of(WriteOp op) {
  Command command;
  command.service_ms = 123;
  command.wall_ms = -5;
  command.session = SessionId(300);
  command.attachment = Zxid(301);
  command.identities = {{"ip", "::1"}, {"digest", "ann:h"}};
  command.idempotency_key = "key";
  command.request_hash = 0x1234567890abcdef;
  command.fences = {kFence, {Fence::Kind::lock, "jobs", 0}};
  command.op = std::move(op);
  return command;
}

TEST(Command, ComesBackAlikeForEveryOperation) {
  std::vector<bool> seen(std::variant_size_v<WriteOp>);
  for (auto& op : every_operation()) {
    seen[op.index()] = true;
    const auto command = command_of(op);
    Command back;
    ASSERT_EQ(decode(encode(command), back), DecodeError::none) << op.index();
    EXPECT_EQ(back, command) << op.index();
    EXPECT_EQ(encode(back), encode(command)) << op.index();
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), std::ssize(seen));
}

TEST(Command, EveryCutFailsAndSoDoesAByteTooMany) {
  for (const auto& op : every_operation()) {
    const auto bytes = encode(command_of(op));
    const auto step = bytes.size() > 1'000 ? 997U : 1U;
    Command back;
    for (std::size_t cut = 0; cut < bytes.size(); cut += step) {
      EXPECT_EQ(decode(std::string_view(bytes).substr(0, cut), back), DecodeError::malformed)
          << op.index() << " cut at " << cut;
    }
    EXPECT_EQ(decode(bytes + '\0', back), DecodeError::malformed) << op.index();
  }
}

TEST(Command, AnUnknownVersionIsToldApartFromDamage) {
  auto bytes = encode(command_of(Delete{"/a", false, {}}));
  Command back;
  bytes[0] = static_cast<char>(kCommandVersion + 1);
  EXPECT_EQ(decode(bytes, back), DecodeError::unknown_version);
  bytes[0] = 0;
  EXPECT_EQ(decode(bytes, back), DecodeError::unknown_version);
  EXPECT_EQ(decode("", back), DecodeError::malformed);
}

TEST(Command, TheLeastVersionThatHoldsItIsWritten) {
  auto command = command_of(AttachSession{SessionId(9), "a", 0});
  EXPECT_EQ(encode(command)[0], 2);
  command.attachment = Zxid();
  EXPECT_EQ(encode(command)[0], 1);
  std::get<AttachSession>(command.op).ttl_ms = 4'000;
  EXPECT_EQ(encode(command)[0], 3);
  Command back;
  ASSERT_EQ(decode(encode(command), back), DecodeError::none);
  EXPECT_EQ(back, command);
  // Nothing else has that version.
  auto other = encode(command_of(Delete{"/a", false, {}}));
  other[0] = 3;
  EXPECT_EQ(decode(other + '\2', back), DecodeError::malformed);
}

// What decodes has one form: decoding and encoding again changes nothing in meaning.
void expect_stable(std::string_view bytes) {
  Command command;
  if (decode(bytes, command) != DecodeError::none) return;
  Command again;
  ASSERT_EQ(decode(encode(command), again), DecodeError::none);
  EXPECT_EQ(again, command);
}

TEST(Command, DamagedBytesNeverCrashAndWhatDecodesIsStable) {
  Prng prng(7);
  for (const auto& op : every_operation()) {
    const auto whole = encode(command_of(op));
    if (whole.size() > 1'000) continue;
    for (int round = 0; round < 400; ++round) {
      auto bytes = whole;
      for (auto n = 1 + prng.below(3); n > 0; --n) {
        bytes[static_cast<std::size_t>(prng.below(bytes.size()))] = static_cast<char>(prng.next());
      }
      expect_stable(bytes);
    }
  }
}

TEST(Command, RandomBytesNeverCrash) {
  Prng prng(8);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(1, static_cast<char>(kCommandVersion));
    for (auto n = prng.below(60); n > 0; --n) bytes += static_cast<char>(prng.next());
    expect_stable(bytes);
  }
}

TEST(Command, RandomCommandsComeBackAlike) {
  CommandSource source(9);
  for (int round = 0; round < 5'000; ++round) {
    const auto command = source.next({SessionId(3), SessionId(900)}, 50);
    Command back;
    ASSERT_EQ(decode(encode(command), back), DecodeError::none);
    // Without a key there is no hash to compare.
    EXPECT_EQ(back, command);
  }
}

TEST(Command, AForgedCountAllocatesNothing) {
  // An ExpireSessions that promises 2^60 sessions and brings none.
  std::string bytes;
  Writer out(bytes);
  out.u8(1);
  for (int i = 0; i < 4; ++i) out.u8(0);
  out.bytes("");
  out.varint(0);
  out.u8(10);
  out.varint(1ULL << 60);
  Command back;
  EXPECT_EQ(decode(bytes, back), DecodeError::malformed);
}

TEST(Command, OnlyOperationsThatChangeSomethingAreWrites) {
  EXPECT_TRUE(is_write(Put{}));
  EXPECT_TRUE(is_write(Txn{}));
  EXPECT_TRUE(is_write(OpenSession{}));
  EXPECT_TRUE(is_write(CloseSession{}));
  EXPECT_FALSE(is_write(Keepalive{}));
  EXPECT_FALSE(is_write(Get{}));
  EXPECT_FALSE(is_write(GetStatus{}));
  EXPECT_EQ(write_op_of(Delete{"/a", true, kGuard}), WriteOp(Delete{"/a", true, kGuard}));
}

}  // namespace
}  // namespace coord::core
