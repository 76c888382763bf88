// Witness: sees everything at once and says what no member may ever do.
//
// The numbers are those of SIMULATION.md's list of invariants. A violation is thrown.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "raft_sim/member.hpp"

namespace coord::raft_sim {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Witness {
 public:
  using Members = std::map<MemberId, Member>;

  // The highest index that any member ever took for committed.
  [[nodiscard]] Index committed() const { return Index(committed_.size()); }
  [[nodiscard]] std::uint64_t chain_at(Index index) const;

  // Before anything leaves: durable before said (5), one vote a term (1).
  void on_send(const Member& member, const Message& message);
  // Entries on their way to the disk: equal index and term, equal entry and equal prefix (2).
  void on_persist(const Member& member, const Persist& persist);
  // An entry is applied: one for each index, over all members and incarnations (4).
  void on_applied(const Member& member, const SharedEntry& entry);
  void on_snapshot(const Member& member, SnapshotMark mark, std::uint64_t chain) const;
  // A read is answered (11).
  void on_grant(Member& member, const ReadGrant& grant) const;
  // After every step of a member: elections (1, 3), commits (6), configurations (7), leases.
  void after_step(const Members& members, const Member& member, std::int64_t t);

  std::uint64_t elections = 0;
  std::uint64_t granted_reads = 0;
  std::uint64_t memberships = 0;

 private:
  struct Committed {
    Term term;
    std::uint64_t hash;
    std::uint64_t chain;  // Of everything up to here.
    bool is_membership;
  };
  struct Seen {
    Term previous_term;
    std::uint64_t hash;
  };
  struct Said {
    Term term;
    Index committed;
    std::uint64_t incarnation = 0;
  };
  void check_leader(const Member& member);
  void check_commits(const Members& members, const Member& member);
  void check_configurations(const Member& member) const;
  void check_leases(const Members& members, std::int64_t t) const;

  std::vector<Committed> committed_;
  std::map<Term, Index> committed_in_;  // The highest index by the term in which it was committed.
  std::map<Term, MemberId> leaders_;
  std::map<std::pair<MemberId, Term>, MemberId> votes_;
  std::map<std::pair<Index, Term>, Seen> seen_;
  std::map<MemberId, Said> said_;
  std::map<MemberId, Membership> membership_before_;
};

}  // namespace coord::raft_sim
