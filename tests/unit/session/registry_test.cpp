#include "session/registry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "coord/base/codec.hpp"
#include "coord/base/prng.hpp"

namespace coord::session {
namespace {

Session make_session(std::uint64_t id, std::int64_t ttl_ms = 5'000) {
  Session session;
  session.id = SessionId(id);
  session.secret.fill(static_cast<std::uint8_t>(id));
  session.ttl_ms = ttl_ms;
  session.name = "name-" + std::to_string(id);
  session.address = "10.0.0.1";
  session.opened_ms = 1'700'000'000'000;
  return session;
}

// The records that exist after all that `dirty` notes, in key order.
using Stored = std::map<std::pair<Table, std::string>, std::string>;
void apply_to(Stored& stored, const DirtyMap& dirty) {
  for (const auto& [key, bytes] : dirty.records()) {
    if (bytes) {
      stored[{key.table, std::string(key.key)}] = *bytes;
    } else {
      stored.erase({key.table, std::string(key.key)});
    }
  }
}
Stored stored_of(const Registry& registry) {
  DirtyMap dirty;
  registry.put_all(dirty);
  Stored stored;
  apply_to(stored, dirty);
  return stored;
}
std::uint64_t digest_of(const Stored& stored) {
  std::uint64_t sum = 0;
  for (const auto& [key, bytes] : stored) sum += record_hash(key.first, key.second, bytes);
  return sum;
}
Registry loaded_from(const Stored& stored, SessionLimits limits) {
  Registry registry(limits);
  for (const auto& [key, bytes] : stored) {
    EXPECT_EQ(registry.load(key.first, key.second, bytes), "");
  }
  return registry;
}
std::string key_of(std::uint64_t id) {
  std::string key;
  append_big_endian(key, id);
  return key;
}

TEST(Registry, OpensWithinTheBounds) {
  SessionLimits limits;
  limits.sessions_max = 2;
  limits.ttl_ms_min = 1'000;
  limits.ttl_ms_max = 9'000;
  limits.name_bytes_max = 6;
  Registry registry(limits);
  DirtyMap dirty;
  auto long_name = make_session(9);
  long_name.name = "1234567";
  EXPECT_EQ(registry.open(make_session(9, 999), dirty), Code::invalid);
  EXPECT_EQ(registry.open(make_session(9, 9'001), dirty), Code::invalid);
  EXPECT_EQ(registry.open(long_name, dirty), Code::invalid);
  EXPECT_TRUE(dirty.empty());
  EXPECT_EQ(registry.open(make_session(1, 1'000), dirty), Code::ok);
  EXPECT_EQ(registry.open(make_session(2, 9'000), dirty), Code::ok);
  EXPECT_EQ(registry.open(make_session(3), dirty), Code::overloaded);
  EXPECT_EQ(registry.size(), 2U);
  EXPECT_EQ(dirty.size(), 2U);
  EXPECT_TRUE(registry.end(SessionId(1), EndReason::closed, dirty));
  EXPECT_EQ(registry.open(make_session(3), dirty), Code::ok);
}

TEST(Registry, ChecksTheSecretAndTellsHowASessionStands) {
  Registry registry(SessionLimits{});
  DirtyMap dirty;
  ASSERT_EQ(registry.open(make_session(5), dirty), Code::ok);
  ASSERT_EQ(registry.open(make_session(6), dirty), Code::ok);
  ASSERT_TRUE(registry.end(SessionId(6), EndReason::expired, dirty));
  EXPECT_EQ(registry.check(SessionId(5), make_session(5).secret), Code::ok);
  EXPECT_EQ(registry.check(SessionId(5), make_session(6).secret), Code::bad_session_secret);
  EXPECT_EQ(registry.check(SessionId(6), make_session(6).secret), Code::session_expired);
  EXPECT_EQ(registry.check(SessionId(7), make_session(7).secret), Code::not_found);
  EXPECT_EQ(registry.end_of(SessionId(6)), EndReason::expired);
  EXPECT_EQ(registry.end_of(SessionId(5)), std::nullopt);
  ASSERT_NE(registry.find(SessionId(5)), nullptr);
  auto opened = make_session(5);
  opened.attached = Zxid(5);  // By the entry that opened it.
  EXPECT_EQ(*registry.find(SessionId(5)), opened);
  EXPECT_EQ(registry.find(SessionId(6)), nullptr);
}

TEST(Registry, EndsASessionOnce) {
  Registry registry(SessionLimits{});
  DirtyMap dirty;
  ASSERT_EQ(registry.open(make_session(5), dirty), Code::ok);
  EXPECT_TRUE(registry.end(SessionId(5), EndReason::closed, dirty));
  const auto digest = registry.digest();
  dirty.clear();
  EXPECT_FALSE(registry.end(SessionId(5), EndReason::killed, dirty));
  EXPECT_FALSE(registry.end(SessionId(99), EndReason::killed, dirty));
  EXPECT_EQ(registry.end_of(SessionId(5)), EndReason::closed);
  EXPECT_EQ(registry.digest(), digest);
  EXPECT_TRUE(dirty.empty());
}

TEST(Registry, ForgetsTheOldestEndAndNotTheSmallestId) {
  SessionLimits limits;
  limits.ended_max = 2;
  Registry registry(limits);
  DirtyMap dirty;
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ASSERT_EQ(registry.open(make_session(id), dirty), Code::ok);
  }
  for (const std::uint64_t id : {3U, 1U, 2U}) {
    ASSERT_TRUE(registry.end(SessionId(id), EndReason::closed, dirty));
    registry.check_invariants();
  }
  EXPECT_EQ(registry.end_of(SessionId(3)), std::nullopt);
  EXPECT_EQ(registry.end_of(SessionId(1)), EndReason::closed);
  EXPECT_EQ(registry.end_of(SessionId(2)), EndReason::closed);
}

TEST(Registry, TheOrderOfTheEndsSurvivesALoad) {
  SessionLimits limits;
  limits.ended_max = 2;
  Registry registry(limits);
  DirtyMap dirty;
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ASSERT_EQ(registry.open(make_session(id), dirty), Code::ok);
  }
  ASSERT_TRUE(registry.end(SessionId(2), EndReason::closed, dirty));
  ASSERT_TRUE(registry.end(SessionId(1), EndReason::closed, dirty));
  auto loaded = loaded_from(stored_of(registry), limits);
  ASSERT_TRUE(loaded.end(SessionId(3), EndReason::closed, dirty));
  EXPECT_EQ(loaded.end_of(SessionId(2)), std::nullopt);
  EXPECT_EQ(loaded.end_of(SessionId(1)), EndReason::closed);
}

TEST(Registry, ALoadUnderASmallerBoundIsTrimmedByTheNextEnd) {
  Registry registry(SessionLimits{});
  DirtyMap dirty;
  for (std::uint64_t id = 1; id <= 6; ++id) {
    ASSERT_EQ(registry.open(make_session(id), dirty), Code::ok);
    if (id == 6) break;
    ASSERT_TRUE(registry.end(SessionId(id), EndReason::closed, dirty));
  }
  SessionLimits small;
  small.ended_max = 2;
  auto loaded = loaded_from(stored_of(registry), small);
  loaded.check_invariants();
  ASSERT_TRUE(loaded.end(SessionId(6), EndReason::closed, dirty));
  loaded.check_invariants();
  EXPECT_EQ(loaded.end_of(SessionId(4)), std::nullopt);
  EXPECT_EQ(loaded.end_of(SessionId(5)), EndReason::closed);
}

TEST(Registry, ListsByIdFromAfterTheCursor) {
  Registry registry(SessionLimits{});
  DirtyMap dirty;
  for (const std::uint64_t id : {30U, 10U, 20U}) {
    ASSERT_EQ(registry.open(make_session(id), dirty), Code::ok);
  }
  const auto list = [&](std::uint64_t after, std::size_t most) {
    std::vector<std::uint64_t> ids;
    registry.list(SessionId(after), [&](const Session& session) {
      ids.push_back(session.id.value());
      return ids.size() < most;
    });
    return ids;
  };
  EXPECT_EQ(list(0, 10), (std::vector<std::uint64_t>{10, 20, 30}));
  EXPECT_EQ(list(10, 10), (std::vector<std::uint64_t>{20, 30}));
  EXPECT_EQ(list(0, 2), (std::vector<std::uint64_t>{10, 20}));
  EXPECT_EQ(list(30, 10), std::vector<std::uint64_t>());
}

TEST(Registry, AMoveChangesTheAddressAndTheAttachment) {
  Registry registry(SessionLimits{});
  DirtyMap dirty;
  ASSERT_EQ(registry.open(make_session(5), dirty), Code::ok);
  dirty.clear();
  EXPECT_EQ(registry.find(SessionId(5))->attached, Zxid(5));
  EXPECT_EQ(registry.attach(SessionId(5), Zxid(9), "10.0.0.2", 0, dirty), Code::ok);
  EXPECT_EQ(dirty.size(), 1U);
  auto want = make_session(5);
  want.address = "10.0.0.2";
  want.attached = Zxid(9);
  EXPECT_EQ(*registry.find(SessionId(5)), want);
  EXPECT_EQ(registry.attach(SessionId(6), Zxid(10), "x", 0, dirty), Code::session_expired);
  registry.check_invariants();
}

TEST(Registry, AMoveMayChangeTheTtlWithinItsBounds) {
  const SessionLimits limits;
  Registry registry(limits);
  DirtyMap dirty;
  ASSERT_EQ(registry.open(make_session(5), dirty), Code::ok);
  const auto opened = *registry.find(SessionId(5));
  dirty.clear();
  for (const auto ttl_ms : {limits.ttl_ms_min - 1, limits.ttl_ms_max + 1, std::int64_t{-1}}) {
    EXPECT_EQ(registry.attach(SessionId(5), Zxid(9), "x", ttl_ms, dirty), Code::invalid);
  }
  EXPECT_EQ(*registry.find(SessionId(5)), opened);
  EXPECT_EQ(dirty.size(), 0U);
  EXPECT_EQ(registry.attach(SessionId(5), Zxid(9), "x", limits.ttl_ms_max, dirty), Code::ok);
  EXPECT_EQ(registry.find(SessionId(5))->ttl_ms, limits.ttl_ms_max);
  registry.check_invariants();
  EXPECT_EQ(loaded_from(stored_of(registry), limits).find(SessionId(5))->ttl_ms, limits.ttl_ms_max);
}

TEST(Registry, AMalformedRecordIsNamed) {
  Registry registry(SessionLimits{});
  DirtyMap dirty;
  ASSERT_EQ(registry.open(make_session(5), dirty), Code::ok);
  ASSERT_EQ(registry.open(make_session(6), dirty), Code::ok);
  ASSERT_TRUE(registry.end(SessionId(6), EndReason::killed, dirty));
  const auto stored = stored_of(registry);
  const auto live = stored.at({Table::sessions, key_of(5)});
  const auto ended = stored.at({Table::ended, key_of(6)});
  for (const auto& [table, bytes] :
       {std::pair(Table::sessions, live), std::pair(Table::ended, ended)}) {
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_NE(Registry({}).load(table, key_of(5), bytes.substr(0, cut)), "") << cut;
    }
    EXPECT_NE(Registry({}).load(table, key_of(5), bytes + "x"), "");
    EXPECT_NE(Registry({}).load(table, "short", bytes), "");
    EXPECT_NE(Registry({}).load(table, key_of(0), bytes), "");
    auto other_format = bytes;
    other_format[0] = 2;
    EXPECT_NE(Registry({}).load(table, key_of(5), other_format), "");
  }
  EXPECT_NE(Registry({}).load(Table::nodes, key_of(5), live), "");
  auto no_reason = ended;
  no_reason[1] = 9;
  EXPECT_NE(Registry({}).load(Table::ended, key_of(5), no_reason), "");
  EXPECT_NE(registry.load(Table::sessions, key_of(6), live), "");
  EXPECT_NE(registry.load(Table::ended, key_of(7), ended), "");
  registry.check_invariants();
}

TEST(Registry, RandomStepsKeepDigestRecordsAndLoadsEqual) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    SessionLimits limits;
    limits.sessions_max = 20;
    limits.ended_max = static_cast<std::size_t>(prng.below(8));
    Registry registry(limits);
    Stored stored;
    for (std::uint64_t step = 1; step <= 400; ++step) {
      DirtyMap dirty;
      const SessionId any(prng.between(1, step));
      if (prng.chance(1, 3)) {
        (void)registry.open(make_session(step), dirty);
      } else if (prng.chance(1, 2)) {
        registry.end(any, static_cast<EndReason>(prng.between(1, 3)), dirty);
      } else {
        const auto ttl_ms = prng.chance(1, 2) ? 0 : static_cast<std::int64_t>(prng.below(9'000));
        (void)registry.attach(any, Zxid(step + 1), std::to_string(prng.below(3)), ttl_ms, dirty);
      }
      apply_to(stored, dirty);
      ASSERT_EQ(registry.digest(), digest_of(stored));
      if (step % 50 != 0) continue;
      registry.check_invariants();
      ASSERT_EQ(stored_of(registry), stored);
      // From here on a loaded one does all that the old one would have done.
      registry = loaded_from(stored, limits);
    }
    EXPECT_FALSE(stored.empty());
  }
}

}  // namespace
}  // namespace coord::session
