#include "election/quorum.hpp"

#include <gtest/gtest.h>

#include <map>

#include "unit/election/make.hpp"

namespace coord::election {
namespace {

using Values = std::map<std::uint64_t, std::uint64_t>;

std::uint64_t committed(const Membership& membership, const Values& values) {
  return quorum_value<std::uint64_t>(membership, [&](MemberId id) {
    const auto at = values.find(id.value());
    return at == values.end() ? 0 : at->second;
  });
}

TEST(Quorum, CommitsWhatAMajorityHas) {
  const struct {
    std::string name;
    std::vector<MemberId> voters;
    Values values;
    std::uint64_t want;
  } cases[] = {
      {"one voter is its own majority", ids({1}), {{1, 12}}, 12},
      {"one that has nothing", ids({1}), {}, 0},
      {"two need both", ids({1, 2}), {{1, 12}, {2, 5}}, 5},
      {"three: the middle one", ids({1, 2, 3}), {{1, 12}, {2, 5}, {3, 6}}, 6},
      {"three: one is silent", ids({1, 2, 3}), {{1, 12}, {2, 5}}, 5},
      {"three: two are silent", ids({1, 2, 3}), {{1, 12}}, 0},
      {"four need three", ids({1, 2, 3, 4}), {{1, 9}, {2, 8}, {3, 7}, {4, 6}}, 7},
      {"five need three", ids({1, 2, 3, 4, 5}), {{1, 9}, {2, 9}, {3, 7}, {4, 1}, {5, 1}}, 7},
      {"who does not vote does not count", ids({1, 2, 3}), {{1, 1}, {7, 99}, {8, 99}}, 0},
  };
  for (const auto& c : cases) {
    Membership membership;
    membership.voters = c.voters;
    EXPECT_EQ(committed(membership, c.values), c.want) << c.name;
  }
}

TEST(Quorum, CommitsInAJointConfigurationWhatBothMajoritiesHave) {
  const struct {
    std::string name;
    std::vector<MemberId> voters, outgoing;
    Values values;
    std::uint64_t want;
  } cases[] = {
      {"disjoint halves", ids({1}), ids({2}), {{1, 100}, {2, 90}}, 90},
      {"one half is silent", ids({1, 2}), ids({3}), {{1, 100}, {2, 100}}, 0},
      {"a majority of the union is not enough",
       ids({1, 2, 3}),
       ids({3, 4, 5}),
       {{1, 9}, {2, 9}, {3, 9}, {4, 1}, {5, 1}},
       1},
      {"both have it", ids({1, 2, 3}), ids({1, 2, 3, 4, 5}), {{1, 9}, {2, 9}, {4, 8}}, 8},
  };
  for (const auto& c : cases) {
    Membership membership;
    membership.voters = c.voters;
    membership.outgoing = c.outgoing;
    EXPECT_EQ(committed(membership, c.values), c.want) << c.name;
  }
}

TEST(Quorum, NobodyAgreesOnNothing) {
  EXPECT_EQ(committed(Membership{}, {}), 0U);
  EXPECT_EQ(quorum_vote(Membership{}, [](MemberId) { return Ballot::granted; }), VoteResult::lost);
}

TEST(Quorum, CountsVotes) {
  const auto n = Ballot::none;
  const auto y = Ballot::granted;
  const auto x = Ballot::refused;
  const struct {
    std::string name;
    std::vector<MemberId> voters, outgoing;
    std::vector<Ballot> ballots;  // Of the members 1, 2, ...
    VoteResult want;
  } cases[] = {
      {"one grants", ids({1}), {}, {y}, VoteResult::won},
      {"one is silent", ids({1}), {}, {n}, VoteResult::pending},
      {"half of two", ids({1, 2}), {}, {y, n}, VoteResult::pending},
      {"half of two refuse", ids({1, 2}), {}, {y, x}, VoteResult::lost},
      {"two of three", ids({1, 2, 3}), {}, {y, x, y}, VoteResult::won},
      {"one of three refuses", ids({1, 2, 3}), {}, {y, x, n}, VoteResult::pending},
      {"two of three refuse", ids({1, 2, 3}), {}, {y, x, x}, VoteResult::lost},
      {"two of four", ids({1, 2, 3, 4}), {}, {y, y, n, n}, VoteResult::pending},
      {"two of four refuse", ids({1, 2, 3, 4}), {}, {y, y, x, x}, VoteResult::lost},
      {"joint: only one half", ids({1, 2, 3}), ids({4}), {y, y, y, n}, VoteResult::pending},
      {"joint: one half refuses", ids({1, 2, 3}), ids({4}), {y, y, y, x}, VoteResult::lost},
      {"joint: both", ids({1, 2, 3}), ids({3, 4, 5}), {y, n, y, y, x}, VoteResult::won},
  };
  for (const auto& c : cases) {
    Membership membership;
    membership.voters = c.voters;
    membership.outgoing = c.outgoing;
    EXPECT_EQ(quorum_vote(membership, [&](MemberId id) { return c.ballots[id.value() - 1]; }),
              c.want)
        << c.name;
  }
}

}  // namespace
}  // namespace coord::election
