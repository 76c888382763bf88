// Witness: sees the logs of all members at once, and what they say to each other.
//
// It keeps the committed entries of the whole cluster, and two images of each member's log: what is
// synced and what was handed out to be written. Each commit is counted again from the synced
// images, each message is held against them. Invariants 1 to 7 of the project's list.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "coord/core/node.hpp"
#include "tests/sim/image.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {

class Witness {
 public:
  explicit Witness(World& world);

  // Entry i at [i - 1]; whoever reported it first.
  [[nodiscard]] const std::vector<election::SharedEntry>& committed() const { return committed_; }
  // The latest committed ensemble.
  [[nodiscard]] const election::Membership& membership() const { return membership_; }
  // That is surely on the member's disk.
  [[nodiscard]] Term term_of(MemberId id) const;

  // ---- from members
  void on_start(const Member& member, const core::NodeState& state);
  void on_end(const Member& member);
  void on_persist(const Member& member, const election::Persist& persist);
  // The disk has it, and the next crash decides.
  void on_written(const Member& member, const disk::WalBatch& batch);
  void on_synced(const Member& member);
  void on_send(const Member& member, const core::Message& message);
  // The store has the snapshot; the Node will hear of it.
  void on_adopted(const Member& member, election::SnapshotMark mark,
                  const election::Membership& membership);
  void after_turn(const Member& member);
  // Entries that this member is the first to report committed.
  void note_commits(const Member& member);
  // What a start finds must be what was synced, with what was under way or without it.
  void check_recovered(const Member& member, const election::Restored& log);
  // Surely on the member's disk, whatever happens now.
  [[nodiscard]] bool is_synced(const Member& member, const election::LogEntry& entry) const;

 private:
  struct Seen {
    Term previous_term;
    std::uint64_t hash = 0;
  };
  struct Log {
    Image synced;
    Image mirror;
    std::optional<disk::WalBatch> under_way;
    std::map<Index, election::Membership> configurations;  // In the mirror, and the one before it.
    bool led = false;                                      // After the last turn.
    Index unchecked;  // From here on its commits of this turn are not counted yet.
    // The latest configuration after the last turn, and where it stands.
    std::pair<Index, election::Membership> before;
    Term term;
    Index committed;
    std::optional<std::pair<election::SnapshotMark, election::Membership>> adopted;
  };
  [[nodiscard]] bool is_same(const Image& image, const election::Restored& log) const;
  [[nodiscard]] bool is_quorum(const election::Membership& membership, Index index,
                               Term term) const;
  // Raft stands at the snapshot now: so does the mirror.
  void take_over_adopted(const Member& member);
  // What the committed entries up to there say of the ensemble; none: nothing yet.
  [[nodiscard]] std::optional<election::Membership> configuration_at(Index index) const;
  [[nodiscard]] election::Membership checked_configuration(
      const Member& member, Index index, const election::Membership& membership) const;
  void check_change(const Member& member, const election::LogEntry& entry);
  void check_quorums(const Member& member, Log& log);
  void check_vote(const Member& member, Term term, MemberId candidate);
  void check_may_ask(const Member& member);
  void check_leader(const Member& member, const Log& log);
  void check_configurations(const Member& member, const Log& log);
  void check_leases(const Member& member);

  World& world_;
  std::vector<election::SharedEntry> committed_;
  election::Membership membership_;
  std::map<Index, election::Membership> configurations_;  // The committed ones.
  std::map<Term, Index> committed_in_;  // The highest index by the term of who reported it.
  std::map<Term, MemberId> leaders_;
  std::map<std::pair<MemberId, Term>, MemberId> votes_;
  std::map<std::pair<Index, Term>, Seen> seen_;
  std::map<MemberId, Log> logs_;
};

}  // namespace coord::sim
