#include "election/message.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "coord/base/prng.hpp"
#include "unit/election/make.hpp"

namespace coord::election {
namespace {

Membership some_membership() {
  Membership m;
  m.voters = ids({1, 2, 300});
  m.outgoing = ids({1, 4});
  m.observers = ids({5});
  m.standbys = ids({7});
  return m;
}

std::vector<Message> one_of_each() {
  AppendRequest append{Term(9), Index(100), Term(8), Index(101), {}, 77, -5};
  append.entries = {entry(101, 8, "payload"), entry(102, 9, std::string(1000, 'x'))};
  auto change = std::make_shared<LogEntry>();
  *change = {Term(9), Index(103), EntryKind::membership, encode(some_membership())};
  append.entries.push_back(change);
  const std::vector<Body> bodies = {
      VoteRequest{true, Term(3), Index(1000), Term(2), false},
      VoteRequest{false, Term(3), Index(1000), Term(2), true},
      VoteReply{true, Term(4), true},
      append,
      AppendRequest{Term(1), Index(), Term(), Index(), {}, 1, 1},
      AppendReply{Term(5), true, Index(9), Index(8), Term(7), 6, -123456789},
      SnapshotRequest{Term(9), {Index(1'000'000), Term(8)}, some_membership()},
      SnapshotReply{Term(9), true, Index(1'000'000)},
      TimeoutNow{Term(6)},
      ReadIndexRequest{Term(2), ReadId(UINT64_MAX)},
      ReadIndexReply{Term(2), ReadId(3), true, Index(44)},
  };
  std::vector<Message> messages;
  for (const auto& body : bodies) messages.push_back({MemberId(1), MemberId(2), body});
  return messages;
}

TEST(Message, WhatIsEncodedIsDecoded) {
  std::vector<bool> kinds(std::variant_size_v<Body>);
  for (const auto& message : one_of_each()) {
    const auto bytes = encode(message);
    Message back;
    ASSERT_TRUE(decode(bytes, back)) << message.body.index();
    EXPECT_EQ(back.from, message.from);
    EXPECT_EQ(back.to, message.to);
    EXPECT_EQ(back.body.index(), message.body.index());
    // Everything that the wire form tells came back.
    EXPECT_EQ(encode(back), bytes);
    kinds[message.body.index()] = true;
  }
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), false), 0);
}

TEST(Message, EntriesComeBackAsTheyWere) {
  const auto message = one_of_each()[3];
  const auto& sent = std::get<AppendRequest>(message.body);
  Message back;
  ASSERT_TRUE(decode(encode(message), back));
  const auto& received = std::get<AppendRequest>(back.body);
  ASSERT_EQ(received.entries.size(), sent.entries.size());
  for (std::size_t i = 0; i < sent.entries.size(); ++i) {
    EXPECT_EQ(*received.entries[i], *sent.entries[i]) << i;
  }
  EXPECT_EQ(received.sent_at_ms, -5);
}

TEST(Message, EveryCutFails) {
  for (const auto& message : one_of_each()) {
    const auto bytes = encode(message);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      Message back;
      EXPECT_FALSE(decode(std::string_view(bytes).substr(0, cut), back))
          << message.body.index() << " cut at " << cut;
    }
    Message back;
    EXPECT_FALSE(decode(bytes + "x", back)) << message.body.index();
  }
}

TEST(Message, DamagedAndRandomBytesNeverCrash) {
  Prng prng(1);
  const auto messages = one_of_each();
  std::size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = encode(messages[prng.below(messages.size())]);
    const auto flips = 1 + prng.below(4);
    for (std::uint64_t k = 0; k < flips; ++k) {
      bytes[prng.below(bytes.size())] = static_cast<char>(prng.next());
    }
    Message back;
    if (!decode(bytes, back)) {
      ++refused;
      continue;
    }
    Message again;  // What was accepted is well formed.
    EXPECT_TRUE(decode(encode(back), again));
  }
  EXPECT_GT(refused, 1000U);
}

TEST(Message, RefusesEntriesThatNoLeaderSends) {
  const struct {
    std::string name;
    AppendRequest given;
  } cases[] = {
      {"a term above the leader's", {Term(2), Index(1), Term(1), Index(), entries(2, {3}), 0, 0}},
      {"terms that fall", {Term(3), Index(1), Term(1), Index(), entries(2, {3, 2}), 0, 0}},
      {"a term below that before it", {Term(3), Index(1), Term(2), Index(), entries(2, {1}), 0, 0}},
      {"a commit beyond the entries", {Term(3), Index(1), Term(2), Index(9), {}, 0, 0}},
      {"an index without room", {Term(3), Index(UINT64_MAX), Term(2), Index(), {}, 0, 0}},
      {"a term without room", {Term(UINT64_MAX), Index(1), Term(2), Index(), {}, 0, 0}},
  };
  for (const auto& c : cases) {
    Message back;
    EXPECT_FALSE(decode(encode(Message{MemberId(1), MemberId(2), c.given}), back)) << c.name;
  }
}

TEST(Membership, RefusesWhatIsNotWellFormed) {
  const struct {
    std::string name;
    Membership given;
    bool want;
  } cases[] = {
      {"empty, as of one that joins", {}, true},
      {"one of each", {ids({1}), ids({2}), ids({3}), ids({4})}, true},
      {"an old voter that becomes an observer", {ids({1}), ids({1, 2}), ids({2}), {}}, true},
      {"unsorted", {ids({2, 1}), {}, {}, {}}, false},
      {"double", {ids({1, 1}), {}, {}, {}}, false},
      {"none", {ids({0}), {}, {}, {}}, false},
      {"voter and observer", {ids({1}), {}, ids({1}), {}}, false},
      {"observer and standby", {ids({1}), {}, ids({2}), ids({2})}, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.given.is_well_formed(), c.want) << c.name;
    Membership back;
    EXPECT_EQ(decode(encode(c.given), back), c.want) << c.name;
    if (c.want) {
      EXPECT_EQ(back, c.given) << c.name;
    }
  }
}

TEST(Membership, TellsRolesApart) {
  const auto m = some_membership();
  EXPECT_TRUE(m.is_voter(MemberId(2)));
  EXPECT_TRUE(m.is_voter(MemberId(4)));
  EXPECT_FALSE(m.is_voter(MemberId(5)));
  EXPECT_TRUE(m.contains(MemberId(7)));
  EXPECT_FALSE(m.contains(MemberId(8)));
  EXPECT_EQ(m.everybody(), ids({1, 2, 4, 5, 7, 300}));
  EXPECT_FALSE(m.is_sole_voter(MemberId(1)));
  EXPECT_TRUE((Membership{ids({1}), {}, ids({2}), {}}).is_sole_voter(MemberId(1)));
}

}  // namespace
}  // namespace coord::election
