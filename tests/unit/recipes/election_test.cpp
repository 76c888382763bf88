#include "coord/recipes/election.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <tuple>

#include "recipe_harness.hpp"

namespace coord::recipes::election {
namespace {

struct Elections : Bench {
  Answer join(SessionId session, const std::string& value, std::uint32_t priority = 0,
              bool waits = false) {
    return Bench::run(Kind::election, encode(Join{"boss", value, priority, waits}), session);
  }
  Answer resign(SessionId session, const std::string& candidate = "", bool is_break = false) {
    return Bench::run(Kind::election, encode(Resign{"boss", candidate, is_break}), session);
  }
  ElectionAnswer show() {
    ElectionAnswer shown;
    EXPECT_TRUE(decode(view(Kind::election, encode(Show{"boss"})).bytes, shown));
    return shown;
  }
  bool holds(std::uint64_t epoch) { return recipes::holds(look(), Kind::election, "boss", epoch); }
  static Candidate candidate_of(const Answer& answer) {
    CandidateAnswer shown;
    EXPECT_TRUE(decode(answer.bytes, shown)) << answer.detail;
    return shown.candidate;
  }
};

TEST(Election, TheFirstLeadsWithTheZxidOfItsEntryAsEpoch) {
  Elections elections;
  const auto a = elections.open();
  const auto first = Elections::candidate_of(elections.join(a, "a"));
  EXPECT_TRUE(first.is_leader);
  EXPECT_EQ(first.epoch, elections.zxid().value());
  EXPECT_TRUE(elections.holds(first.epoch));
  const auto b = elections.open();
  const auto second = Elections::candidate_of(elections.join(b, "b"));
  EXPECT_FALSE(second.is_leader);
  EXPECT_EQ(second.position, 1U);
  elections.end(a);
  EXPECT_FALSE(elections.holds(first.epoch));
  EXPECT_EQ(elections.show().leader.value, "b");
  EXPECT_EQ(elections.show().epoch, elections.zxid().value());
}

TEST(Election, PriorityDecidesWhoIsNextAndPutsNobodyDown) {
  Elections elections;
  const auto a = elections.open();
  elections.join(a, "a");
  elections.join(elections.open(), "b", 1);
  elections.join(elections.open(), "c", 7);
  elections.join(elections.open(), "d", 7);
  EXPECT_EQ(elections.show().leader.value, "a");
  EXPECT_EQ(elections.resign(a).code, Code::ok);
  EXPECT_EQ(elections.show().leader.value, "c");
}

TEST(Election, ALeaderHandsOver) {
  Elections elections;
  const auto a = elections.open();
  const auto b = elections.open();
  const auto first = Elections::candidate_of(elections.join(a, "a"));
  const auto second = Elections::candidate_of(elections.join(b, "b"));
  const auto transfer = [&](SessionId by, const std::string& to) {
    return elections.run(Kind::election, encode(Transfer{"boss", to}), by).code;
  };
  EXPECT_EQ(transfer(b, second.id), Code::not_owner);
  EXPECT_EQ(transfer(a, "00000000000000ff-latch-0000000000"), Code::not_found);
  EXPECT_EQ(transfer(a, second.id), Code::ok);
  EXPECT_EQ(elections.show().leader.value, "b");
  EXPECT_GT(elections.show().epoch, first.epoch);
  EXPECT_FALSE(elections.holds(first.epoch));
  EXPECT_EQ(elections.show().candidate_count, 2U) << "the old leader stays as a candidate";
  elections.end(b);
  EXPECT_EQ(elections.show().leader.value, "a");
}

TEST(Election, ASessionStandsOnceAndOnlyItsOwnerChangesIt) {
  Elections elections;
  const auto a = elections.open();
  const auto b = elections.open();
  const auto first = Elections::candidate_of(elections.join(a, "a"));
  EXPECT_EQ(Elections::candidate_of(elections.join(a, "again")).id, first.id);
  const auto post = [&](SessionId by, const std::string& id) {
    return elections.run(Kind::election, encode(Post{"boss", id, "new"}), by).code;
  };
  EXPECT_EQ(post(b, first.id), Code::not_owner);
  EXPECT_EQ(post(b, ""), Code::not_found);
  EXPECT_EQ(post({}, ""), Code::session_required);
  EXPECT_EQ(post(a, ""), Code::ok);
  EXPECT_EQ(elections.show().leader.value, "new");
  EXPECT_TRUE(elections.holds(first.epoch)) << "to post is no election";
  EXPECT_EQ(elections.resign(b, first.id).code, Code::not_owner);
  EXPECT_EQ(elections.resign(b, first.id, true).code, Code::forbidden);
  elections.identities.push_back({"super", ""});
  EXPECT_EQ(elections.resign({}, first.id, true).code, Code::ok);
  EXPECT_TRUE(elections.show().leader.id.empty());
}

TEST(Election, AnOwnSessionGoesWithItsCandidate) {
  Elections elections;
  SessionId own;
  elections.run_with_own(Kind::election, encode(Join{"boss", "a", 0, false}), own);
  ASSERT_TRUE(own);
  EXPECT_EQ(elections.resign(own).code, Code::ok);
  EXPECT_FALSE(elections.is_live(own));
}

TEST(Election, WhoWaitsIsToldWhatToWatch) {
  Elections elections;
  const auto a = elections.open();
  const auto b = elections.open();
  elections.join(a, "a");
  const auto waiting = elections.join(b, "b", 0, true);
  ASSERT_TRUE(waiting.is_waiting);
  EXPECT_TRUE(elections.view(Kind::election, waiting.poll).is_waiting);
  elections.end(a);
  EXPECT_FALSE(elections.view(Kind::election, waiting.poll).is_waiting);
  EXPECT_TRUE(waiting.give_up.empty()) << "who waits no longer stands on";
}

// Random comings and goings: one leader whenever anybody stands, epochs grow, nobody is put down.
RC_GTEST_PROP(ElectionProperty, OneLeaderAndEpochsThatGrow, ()) {
  const auto word = rc::gen::inRange<std::uint32_t>(0, 1U << 16);
  const auto words = *rc::gen::container<std::vector<std::tuple<std::uint32_t, std::uint32_t>>>(
      rc::gen::tuple(word, word));
  Elections elections;
  std::vector<SessionId> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(elections.open());
  std::string leader;
  std::uint64_t epoch = 0;
  bool has_begun = false;
  for (const auto& [what, who] : words) {
    auto& session = sessions[who % sessions.size()];
    bool is_handed_over = false;
    if (what % 4 == 0) {
      elections.end(session);
      session = elections.open();
    } else if (what % 4 == 1) {
      static_cast<void>(elections.resign(session));
    } else if (what % 16 == 2 && has_begun && !elections.show().candidates.empty()) {
      const auto candidates = elections.show().candidates;
      const auto to = candidates[who / 8 % candidates.size()].id;
      is_handed_over =
          elections.run(Kind::election, encode(Transfer{"boss", to}), session).code == Code::ok;
    } else {
      RC_ASSERT(elections.join(session, "v", who / 8 % 3).code == Code::ok);
      has_begun = true;
    }
    if (!has_begun) continue;
    const auto shown = elections.show();
    RC_ASSERT(shown.leader.id.empty() == shown.candidates.empty());
    RC_ASSERT(shown.epoch >= epoch);
    std::size_t leaders = 0;
    bool is_still_there = false;
    for (const auto& candidate : shown.candidates) {
      leaders += candidate.is_leader ? 1 : 0;
      is_still_there = is_still_there || candidate.id == leader;
    }
    RC_ASSERT(leaders == (shown.candidates.empty() ? 0U : 1U));
    if (shown.leader.id != leader && !shown.leader.id.empty()) {
      RC_ASSERT(shown.epoch > epoch);
      RC_ASSERT(!is_still_there || is_handed_over);
      for (const auto& candidate : shown.candidates) {
        RC_ASSERT(is_handed_over || candidate.priority <= shown.leader.priority);
      }
    }
    RC_ASSERT(shown.leader.id.empty() || elections.holds(shown.epoch));
    leader = shown.leader.id;
    epoch = shown.epoch;
  }
}

}  // namespace
}  // namespace coord::recipes::election
