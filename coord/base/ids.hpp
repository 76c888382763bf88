// Strong integer types: ids and counters that cannot be mixed up.
//
// Owns no state. A raw integer is reached only through value(), which belongs in codecs and in
// printing. Thread rule: values.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>

namespace coord {

template <class Tag>
class Strong {
 public:
  constexpr Strong() noexcept = default;
  constexpr explicit Strong(std::uint64_t value) noexcept : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
  [[nodiscard]] constexpr Strong next() const noexcept { return Strong(value_ + 1); }
  [[nodiscard]] constexpr Strong previous() const noexcept { return Strong(value_ - 1); }
  // True for every value but zero. Zero means "none" for every id of this project.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return value_ != 0; }

  friend constexpr auto operator<=>(Strong, Strong) noexcept = default;
  template <class H>
  friend H AbslHashValue(H h, Strong s) {
    return H::combine(std::move(h), s.value_);
  }

 private:
  std::uint64_t value_ = 0;
};

// A member of the ensemble. Chosen by the operator, never used again after a removal.
using MemberId = Strong<struct MemberIdTag>;
// A Raft term (Ongaro's thesis, section 3.3).
using Term = Strong<struct TermTag>;
// The place of an entry in the Raft log, from 1. Zero: before the first.
using Index = Strong<struct IndexTag>;
// The revision of a committed transaction: the Raft index of its entry, one number and not two.
using Zxid = Strong<struct ZxidTag>;
// A session; its value is the zxid of the entry that opened it.
using SessionId = Strong<struct SessionIdTag>;
// A node of the tree, from a replicated counter; never used again. The root is 1.
using NodeId = Strong<struct NodeIdTag>;
// A client's connection to this member. Local, never replicated.
using ConnectionId = Strong<struct ConnectionIdTag>;
// One request of one connection. Local, never replicated.
using RequestId = Strong<struct RequestIdTag>;
// One watch of one connection. Local, never replicated.
using WatchId = Strong<struct WatchIdTag>;
// One pending linearizable read inside a member's Raft.
using ReadId = Strong<struct ReadIdTag>;

[[nodiscard]] constexpr Zxid zxid_of(Index index) noexcept { return Zxid(index.value()); }
[[nodiscard]] constexpr Index index_of(Zxid zxid) noexcept { return Index(zxid.value()); }

}  // namespace coord

template <class Tag>
struct fmt::formatter<coord::Strong<Tag>> : fmt::formatter<std::uint64_t> {
  template <class Context>
  auto format(coord::Strong<Tag> s, Context& context) const {
    return fmt::formatter<std::uint64_t>::format(s.value(), context);
  }
};
