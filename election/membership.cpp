#include "election/membership.hpp"

#include <algorithm>

#include "coord/base/codec.hpp"

namespace coord::election {
namespace {

constexpr std::uint8_t kMembershipVersion = 1;

bool holds(const std::vector<MemberId>& list, MemberId id) noexcept {
  return std::binary_search(list.begin(), list.end(), id);
}

bool is_strictly_sorted(const std::vector<MemberId>& list) noexcept {
  MemberId last;
  for (const auto id : list) {
    if (!(last < id)) return false;
    last = id;
  }
  return true;
}

bool are_disjoint(const std::vector<MemberId>& a, const std::vector<MemberId>& b) noexcept {
  return std::none_of(a.begin(), a.end(), [&](MemberId id) { return holds(b, id); });
}

void write(Writer& out, const std::vector<MemberId>& list) {
  out.varint(list.size());
  for (const auto id : list) out.id(id);
}

std::vector<MemberId> read(Reader& in) {
  std::vector<MemberId> list;
  const auto count = in.count();
  if (count > kMembersMax) in.fail();
  for (std::size_t i = 0; i < count && in.ok(); ++i) list.push_back(in.id<MemberId>());
  return list;
}

}  // namespace

bool Membership::is_voter(MemberId id) const noexcept {
  return holds(voters, id) || holds(outgoing, id);
}

bool Membership::contains(MemberId id) const noexcept {
  return is_voter(id) || holds(observers, id) || holds(standbys, id);
}

bool Membership::is_sole_voter(MemberId id) const noexcept {
  return outgoing.empty() && voters.size() == 1 && voters.front() == id;
}

bool Membership::is_well_formed() const noexcept {
  return voters.size() + outgoing.size() + observers.size() + standbys.size() <= kMembersMax &&
         is_strictly_sorted(voters) && is_strictly_sorted(outgoing) &&
         is_strictly_sorted(observers) && is_strictly_sorted(standbys) &&
         are_disjoint(voters, observers) && are_disjoint(voters, standbys) &&
         are_disjoint(observers, standbys);
}

std::vector<MemberId> Membership::everybody() const {
  std::vector<MemberId> all = voters;
  for (const auto* list : {&outgoing, &observers, &standbys}) {
    all.insert(all.end(), list->begin(), list->end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::string encode(const Membership& membership) {
  std::string bytes;
  Writer out(bytes);
  out.u8(kMembershipVersion);
  write(out, membership.voters);
  write(out, membership.outgoing);
  write(out, membership.observers);
  write(out, membership.standbys);
  return bytes;
}

bool decode(std::string_view bytes, Membership& membership) {
  Reader in(bytes);
  if (in.u8() != kMembershipVersion) return false;
  membership.voters = read(in);
  membership.outgoing = read(in);
  membership.observers = read(in);
  membership.standbys = read(in);
  return in.done() && membership.is_well_formed();
}

}  // namespace coord::election
