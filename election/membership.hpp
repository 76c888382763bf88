// Membership: who is in the ensemble, in which role. Joint consensus (thesis, section 4.3).
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/ids.hpp"

namespace coord::election {

// Of all roles together. Bounds what a message can make us allocate and the arithmetic of quorums.
inline constexpr std::size_t kMembersMax = 64;

// Sorted, without doubles. `outgoing` is not empty exactly while the configuration is joint.
struct Membership {
  std::vector<MemberId> voters;
  std::vector<MemberId> outgoing;   // The old voters of a joint configuration (C_old).
  std::vector<MemberId> observers;  // Learners that stay.
  std::vector<MemberId> standbys;   // Learners that become voters once they have caught up.
  friend bool operator==(const Membership&, const Membership&) = default;

  [[nodiscard]] bool is_joint() const noexcept { return !outgoing.empty(); }
  [[nodiscard]] bool is_voter(MemberId id) const noexcept;  // In either half.
  [[nodiscard]] bool contains(MemberId id) const noexcept;  // In any role.
  // The only voter, so that its own share is a quorum.
  [[nodiscard]] bool is_sole_voter(MemberId id) const noexcept;
  // Every list sorted, without doubles and none; nobody in two roles, except that a voter of the
  // old half may already be in its next role; not more than kMembersMax.
  [[nodiscard]] bool is_well_formed() const noexcept;
  // Everybody, in any role, sorted and without doubles.
  [[nodiscard]] std::vector<MemberId> everybody() const;
};

[[nodiscard]] std::string encode(const Membership& membership);
// False when the bytes are malformed.
[[nodiscard]] bool decode(std::string_view bytes, Membership& membership);

}  // namespace coord::election
