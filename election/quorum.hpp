// Quorum: what a majority, or the two majorities of a joint configuration, agree on.
//
// Pure arithmetic over a Membership (thesis, sections 3.6.2 and 4.3). Learners never count.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "coord/base/check.hpp"
#include "election/membership.hpp"

namespace coord::election {

// The largest value that a majority of `voters` has reached. Nobody is no constraint: the maximum.
// `value_of(MemberId)` gives a T.
template <class T, class ValueOf>
[[nodiscard]] T majority_value(const std::vector<MemberId>& voters, ValueOf&& value_of) {
  if (voters.empty()) return std::numeric_limits<T>::max();
  COORD_CHECK(voters.size() <= kMembersMax, "members are bounded", voters.size());
  std::array<T, kMembersMax> values;
  std::size_t count = 0;
  for (const auto id : voters) values[count++] = value_of(id);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(values.begin(), middle, values.begin() + static_cast<std::ptrdiff_t>(count),
                   std::greater<T>());
  return *middle;
}

// The largest value that a quorum has reached: under a joint configuration a majority of each half
// (section 4.3: "agreement requires majorities from both the old and new configurations").
template <class T, class ValueOf>
[[nodiscard]] T quorum_value(const Membership& membership, ValueOf&& value_of) {
  if (membership.voters.empty()) return std::numeric_limits<T>::lowest();
  return std::min(majority_value<T>(membership.voters, value_of),
                  majority_value<T>(membership.outgoing, value_of));
}

enum class VoteResult : std::uint8_t { pending, won, lost };
enum class Ballot : std::uint8_t { none, granted, refused };

// `ballot_of(MemberId)` gives a Ballot.
template <class BallotOf>
[[nodiscard]] VoteResult majority_vote(const std::vector<MemberId>& voters, BallotOf&& ballot_of) {
  if (voters.empty()) return VoteResult::won;
  std::size_t granted = 0;
  std::size_t refused = 0;
  for (const auto id : voters) {
    const Ballot ballot = ballot_of(id);
    if (ballot == Ballot::granted) ++granted;
    if (ballot == Ballot::refused) ++refused;
  }
  const auto majority = voters.size() / 2 + 1;
  if (granted >= majority) return VoteResult::won;
  return voters.size() - refused < majority ? VoteResult::lost : VoteResult::pending;
}

template <class BallotOf>
[[nodiscard]] VoteResult quorum_vote(const Membership& membership, BallotOf&& ballot_of) {
  if (membership.voters.empty()) return VoteResult::lost;
  const auto incoming = majority_vote(membership.voters, ballot_of);
  const auto outgoing = majority_vote(membership.outgoing, ballot_of);
  if (incoming == VoteResult::lost || outgoing == VoteResult::lost) return VoteResult::lost;
  if (incoming == VoteResult::won && outgoing == VoteResult::won) return VoteResult::won;
  return VoteResult::pending;
}

}  // namespace coord::election
