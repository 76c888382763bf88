#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "api/zk/jute.hpp"
#include "api/zk/ops.hpp"
#include "api/zk/protocol.hpp"

namespace coord::api::zk {
namespace {

using std::string_literals::operator""s;

std::string connect_frame(bool with_read_only) {
  std::string frame;
  JuteWriter out(frame);
  out.i32(0);
  out.i64(7);
  out.i32(10'000);
  out.i64(0x1122334455667788);
  out.bytes("0123456789abcdef");
  if (with_read_only) out.boolean(true);
  return frame;
}

TEST(Jute, WritesBigEndianAndReadsItBack) {
  std::string bytes;
  JuteWriter out(bytes);
  out.i32(-2);
  out.i64(0x0102030405060708);
  out.boolean(true);
  out.bytes("ab");
  out.null();
  EXPECT_EQ(bytes, "\xff\xff\xff\xfe\1\2\3\4\5\6\7\10\1\0\0\0\2ab\xff\xff\xff\xff"s);
  JuteReader in(bytes);
  EXPECT_EQ(in.i32(), -2);
  EXPECT_EQ(in.i64(), 0x0102030405060708);
  EXPECT_TRUE(in.boolean());
  EXPECT_EQ(in.text(), "ab");
  EXPECT_FALSE(in.buffer().has_value());
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0U);
}

TEST(Jute, AReadPastTheEndFailsEverythingBehindIt) {
  const auto whole = connect_frame(true);
  for (std::size_t size = 0; size < whole.size() - 1; ++size) {
    ConnectRequest request;
    EXPECT_FALSE(decode(std::string_view(whole).substr(0, size), request) && size < 44) << size;
  }
  const auto bytes = "\0\0\0\5ab"s;
  JuteReader in(bytes);
  EXPECT_EQ(in.text(), "");
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.i64(), 0);
}

TEST(Jute, ACountThatTheRestCannotHoldFails) {
  struct Case {
    std::string bytes;
    std::size_t count;
    bool ok;
  };
  for (const auto& one : {Case{"\0\0\0\2abcdefgh"s, 2, true}, Case{"\0\0\0\3abcdefgh"s, 0, false},
                          Case{"\x7f\xff\xff\xff"s, 0, false}, Case{"\xff\xff\xff\xff"s, 0, true},
                          Case{"\xff\xff\xff\xfe"s, 0, false}}) {
    JuteReader in(one.bytes);
    EXPECT_EQ(in.count(4), one.count);
    EXPECT_EQ(in.ok(), one.ok);
  }
}

TEST(Protocol, AConnectRequestHas44BytesAndMayHaveOneMore) {
  ConnectRequest request;
  ASSERT_TRUE(decode(connect_frame(false), request));
  EXPECT_FALSE(request.has_read_only);
  EXPECT_EQ(request.last_seen, Zxid(7));
  EXPECT_EQ(request.timeout_ms, 10'000);
  EXPECT_EQ(request.session, SessionId(0x1122334455667788));
  EXPECT_EQ(request.password[15], 'f');
  ASSERT_TRUE(decode(connect_frame(true), request));
  EXPECT_TRUE(request.has_read_only && request.is_read_only);
  std::string answer;
  put_connected(answer, request, SessionId(9), 4'000, request.password);
  EXPECT_EQ(answer.size(), 4U + 37U);
  answer.clear();
  request.has_read_only = false;
  put_refused(answer, request);
  EXPECT_EQ(answer.size(), 4U + 36U);
  EXPECT_EQ(answer.substr(4, 16), std::string(16, '\0'));
}

TEST(Protocol, AReplysHeaderIsFilledInAtItsEnd) {
  std::string out = "before";
  const auto begin = begin_reply(out, 5, ErrorCode::no_node);
  end_reply(out, begin, Zxid(258));
  EXPECT_EQ(out, "before\0\0\0\x10\0\0\0\5\0\0\0\0\0\0\1\2\xff\xff\xff\x9b"s);
  out.clear();
  put_event(out, EventType::children, "/a");
  JuteReader in(out);
  EXPECT_EQ(in.i32(), static_cast<std::int32_t>(out.size()) - 4);
  EXPECT_EQ(in.i32(), -1);
  EXPECT_EQ(in.i64(), -1);
  EXPECT_EQ(in.i32(), 0);
  EXPECT_EQ(in.i32(), 4);
  EXPECT_EQ(in.i32(), 3);
  EXPECT_EQ(in.text(), "/a");
}

TEST(Protocol, EveryOperationButThoseOfIdentityHasAName) {
  const std::vector<std::pair<OpCode, std::string_view>> cases = {
      {OpCode::create, "CREA"},
      {OpCode::create2, "CREA"},
      {OpCode::create_ttl, "CREA"},
      {OpCode::create_container, "CREA"},
      {OpCode::erase, "DELE"},
      {OpCode::exists, "EXIS"},
      {OpCode::get_data, "GETD"},
      {OpCode::set_data, "SETD"},
      {OpCode::get_acl, "GETA"},
      {OpCode::set_acl, "SETA"},
      {OpCode::get_children, "GETC"},
      {OpCode::get_children2, "GETC"},
      {OpCode::sync, "SYNC"},
      {OpCode::ping, "PING"},
      {OpCode::check, "CHEC"},
      {OpCode::multi, "MULT"},
      {OpCode::multi_read, "MLTR"},
      {OpCode::get_ephemerals, "GETE"},
      {OpCode::who_am_i, "HOMI"},
      {OpCode::get_all_children_number, "GETACN"},
      {OpCode::add_watch, "ADDW"},
      {OpCode::check_watches, "CHKW"},
      {OpCode::set_watches, "SETW"},
      {OpCode::set_watches2, "STW2"},
      {OpCode::remove_watches, "REMW"},
      {OpCode::close_session, "CLOS"},
      {OpCode::auth, ""},
      {OpCode::sasl, ""}};
  for (const auto& [op, name] : cases) EXPECT_EQ(name_of(op), name);
}

TEST(Protocol, AStatTakes68Bytes) {
  std::string out;
  JuteWriter to(out);
  put_stat(to, znode::Stat{});
  EXPECT_EQ(out.size(), kStatBytes);
}

// ---------------------------------------------------------------- ops

std::string create_body(std::int32_t flags, const std::string& path = "/a") {
  std::string body;
  JuteWriter out(body);
  out.bytes(path);
  out.bytes("v");
  out.i32(1);
  out.i32(31);
  out.bytes("world");
  out.bytes("anyone");
  out.i32(flags);
  return body;
}

Call planned(OpCode op, std::string_view body) {
  Call call;
  call.op = op;
  plan_call(body, {SessionId(5), {}, Zxid(5)}, call);
  return call;
}

TEST(Ops, FlagsSayWhatIsCreated) {
  struct Case {
    std::int32_t flags;
    znode::Mode mode;
    bool is_sequential;
  };
  for (const auto& one :
       {Case{0, znode::Mode::persistent, false}, Case{1, znode::Mode::ephemeral, false},
        Case{2, znode::Mode::persistent, true}, Case{3, znode::Mode::ephemeral, true},
        Case{4, znode::Mode::container, false}}) {
    const auto call = planned(OpCode::create, create_body(one.flags));
    ASSERT_EQ(call.turn, Call::Turn::write) << one.flags;
    const auto& create = std::get<core::Create>(call.held.op);
    EXPECT_EQ(create.mode, one.mode);
    EXPECT_EQ(create.is_sequential, one.is_sequential);
    EXPECT_FALSE(create.acl.has_value()) << "the open ACL is nothing to send";
  }
  for (const auto flags : {5, 7, -1}) {
    const auto call = planned(OpCode::create, create_body(flags));
    EXPECT_EQ(call.turn, Call::Turn::at_once);
    EXPECT_EQ(call.error, ErrorCode::bad_arguments);
  }
}

TEST(Ops, WhatIsCutShortOrUnknownIsAnsweredAtOnce) {
  const auto body = create_body(0);
  for (std::size_t size = 0; size < body.size(); ++size) {
    const auto call = planned(OpCode::create, std::string_view(body).substr(0, size));
    EXPECT_EQ(call.turn, Call::Turn::at_once) << size;
    EXPECT_EQ(call.error, ErrorCode::marshalling) << size;
  }
  const auto unknown = planned(static_cast<OpCode>(999), {});
  EXPECT_EQ(unknown.error, ErrorCode::unimplemented);
  EXPECT_TRUE(unknown.is_last);
}

TEST(Ops, AContainerIsMadeByItsOperationWhateverTheFlags) {
  for (const auto flags : {0, 1, 2, 3, 4}) {
    const auto call = planned(OpCode::create_container, create_body(flags));
    ASSERT_EQ(call.turn, Call::Turn::write) << flags;
    const auto& create = std::get<core::Create>(call.held.op);
    EXPECT_EQ(create.mode, znode::Mode::container) << flags;
    EXPECT_EQ(create.is_sequential, (flags & 2) != 0) << flags;
  }
}

std::string part_of(OpCode op, std::string_view body) {
  std::string bytes;
  JuteWriter out(bytes);
  out.i32(static_cast<std::int32_t>(op));
  out.boolean(false);
  out.i32(-1);
  return bytes.append(body);
}

std::string multi_of(OpCode op, std::string_view body) {
  return part_of(op, body) + "\xff\xff\xff\xff\1\xff\xff\xff\xff"s;
}

TEST(Ops, InAMultiTheFlagsSayWhatIsMade) {
  for (const auto op : {OpCode::create, OpCode::create2, OpCode::create_container}) {
    for (const auto& [flags, mode, shown] :
         {std::tuple(0, znode::Mode::persistent, OpCode::create),
          std::tuple(1, znode::Mode::ephemeral, OpCode::create),
          std::tuple(4, znode::Mode::container, OpCode::create_container)}) {
      const auto call = planned(OpCode::multi, multi_of(op, create_body(flags)));
      ASSERT_EQ(call.parts.size(), 1U);
      EXPECT_EQ(call.parts[0].op, shown) << flags;
      const auto& txn = std::get<core::Txn>(call.held.op);
      EXPECT_EQ(std::get<core::Create>(txn.then[0]).mode, mode) << flags;
    }
  }
}

TEST(Ops, APathThatIsNullIsMalformed) {
  const auto null = "\xff\xff\xff\xff"s;
  for (const auto op :
       {OpCode::create, OpCode::create2, OpCode::create_container, OpCode::create_ttl,
        OpCode::erase, OpCode::exists, OpCode::get_data, OpCode::get_acl, OpCode::get_children,
        OpCode::get_children2, OpCode::check_watches, OpCode::remove_watches,
        OpCode::get_all_children_number}) {
    auto body = create_body(0, "");
    body.replace(0, 4, null);
    if (op == OpCode::check_watches || op == OpCode::remove_watches) body = null + "\0\0\0\3"s;
    EXPECT_EQ(planned(op, body + "\0\0\0\0\0\0\0\1"s).error, ErrorCode::marshalling)
        << static_cast<int>(op);
  }
  for (const auto op : {OpCode::erase, OpCode::check, OpCode::set_data}) {
    const auto body = multi_of(op, null + null + null);
    EXPECT_EQ(planned(OpCode::multi, body).error, ErrorCode::marshalling);
  }
  // A list of watches, or a path in one.
  const auto none = "\0\0\0\0"s;
  const auto since = none + none;
  EXPECT_EQ(planned(OpCode::set_watches, since + none + none + none).error, ErrorCode::ok);
  EXPECT_EQ(planned(OpCode::set_watches, since + none + none + null).error, ErrorCode::marshalling);
  EXPECT_EQ(planned(OpCode::set_watches, since + "\0\0\0\1"s + null + none + none).error,
            ErrorCode::marshalling);
}

TEST(Ops, KindsOfWatchesThatAreNoneAreMalformed) {
  const auto body = [](std::int32_t kind) {
    std::string bytes;
    JuteWriter out(bytes);
    out.bytes("/a");
    out.i32(kind);
    return bytes;
  };
  for (const auto kind : {-1, 0, 4, 9}) {
    EXPECT_EQ(planned(OpCode::check_watches, body(kind)).error, ErrorCode::marshalling) << kind;
    EXPECT_EQ(planned(OpCode::remove_watches, body(kind)).error, ErrorCode::marshalling) << kind;
  }
  for (const auto mode : {-1, 2}) {
    EXPECT_EQ(planned(OpCode::add_watch, body(mode)).error, ErrorCode::marshalling) << mode;
  }
  EXPECT_EQ(planned(OpCode::add_watch, body(1)).watch.kinds, recursive_watch);
  EXPECT_EQ(planned(OpCode::remove_watches, body(1)).watch.kinds, any_child_watch);
}

TEST(Ops, AFailedMultiSaysEachCodeTwice) {
  Call call;
  call.op = OpCode::multi;
  call.xid = 3;
  call.parts = {{OpCode::create, false}, {OpCode::erase, false}, {OpCode::create, false}};
  core::Reply reply;
  reply.code = Code::no_node;
  core::TxnResult result;
  result.failed_op = 1;
  reply.result = result;
  std::string out;
  std::size_t begin = 0;
  ASSERT_TRUE(answer_call(call, reply, out, begin));
  JuteReader in(std::string_view(out).substr(kReplyHead));
  for (const auto code : {0, -101, -2}) {
    EXPECT_EQ(in.i32(), -1);
    EXPECT_FALSE(in.boolean());
    EXPECT_EQ(in.i32(), code);
    EXPECT_EQ(in.i32(), code);
  }
  EXPECT_EQ(in.i32(), -1);
  EXPECT_TRUE(in.boolean());
}

TEST(Ops, WhatIsNotKnownClosesTheConnection) {
  Call call;
  call.op = OpCode::set_data;
  for (const auto code : {Code::outcome_unknown, Code::no_leader, Code::behind}) {
    core::Reply reply;
    reply.code = code;
    std::string out;
    std::size_t begin = 0;
    EXPECT_FALSE(answer_call(call, reply, out, begin));
    EXPECT_EQ(out, "");
  }
}

TEST(Ops, TheRootHidesTheServicesOwnNodes) {
  const auto call = planned(OpCode::get_children2, "\0\0\0\1/\0"s);
  core::Reply reply;
  znode::Stat stat;
  stat.num_children = 3;
  reply.result = core::NameList{{".coord", "a", "zookeeper"}, stat};
  std::string out;
  std::size_t begin = 0;
  ASSERT_TRUE(answer_call(call, reply, out, begin));
  JuteReader in(std::string_view(out).substr(kReplyHead));
  EXPECT_EQ(in.i32(), 2);
  EXPECT_EQ(in.text(), "a");
  EXPECT_EQ(in.text(), "zookeeper");
  EXPECT_EQ(in.remaining(), kStatBytes);
}

}  // namespace
}  // namespace coord::api::zk
