// Raft: the consensus core of one member (Ongaro, "Consensus: Bridging Theory and Practice", 2014).
//
// A function of its inputs: propose, read, step, tick, persisted; take_ready() says what the world
// must do now. It reads no clock (tick brings the time), draws from a seeded Prng, and writes
// nothing. A vote or an acknowledgement counts only once what it promises is synced; that includes
// the candidate's vote for itself and the leader's own share of a quorum: a cluster of one elects
// itself after its vote is persisted and commits an entry after its own sync.
//
// raft.cpp dispatches; raft_election, raft_replication, raft_membership hold the parts; the
// arithmetic lives in quorum, progress, log and read_queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coord/base/ids.hpp"
#include "coord/base/prng.hpp"
#include "coord/base/trace.hpp"
#include "election/membership.hpp"
#include "election/message.hpp"
#include "election/ready.hpp"

namespace coord::election {

enum class Role : std::uint8_t { follower, pre_candidate, candidate, leader, observer, standby };

[[nodiscard]] std::string_view word_of(Role role) noexcept;  // "follower", ...

// What the simulator breaks on purpose, to know that it would find it. Never set elsewhere.
enum class Defect : std::uint8_t {
  none,
  counts_earlier_terms,     // Commits entries of earlier terms by their copies.
  cuts_on_append,           // A delayed append cuts what came after it.
  commits_unverified,       // A follower takes over the leader's commit index as it is.
  reads_before_own_commit,  // A new leader answers reads before it knows what is committed.
  takes_earlier_round,      // Answers of one round count for a read that came later.
  counts_the_union,         // One majority of both halves of a joint configuration.
  changes_before_own_commit,
  keeps_spent_lease,          // The lease goes on after the order to take over has left.
  forgets_session_clocks,     // A new leader does not restart the time-outs of sessions.
  keeps_conflicting,          // An append that contradicts the log does not cut it.
  uses_committed_members,     // A configuration counts only once it is committed.
  keeps_cut_members,          // A configuration stays in use after its entry was cut off.
  keeps_log_beyond_snapshot,  // Also when the log contradicts it.
  ignores_late_pre_votes,     // Who asks in an earlier term is not told of the present one.
  expires_without_lease,      // Whoever thinks that it leads ends sessions.
  campaigns_when_removed,     // Also when it knows that it was.
};

struct Options {
  MemberId id;
  std::int64_t heartbeat_ms = 50;
  std::int64_t election_timeout_ms = 300;  // Drawn uniformly from [this, 2 * this).
  std::size_t append_bytes_max = 1 << 20;  // Of one AppendRequest.
  std::size_t append_entries_max = 4096;
  std::size_t inflight_max = 64;  // AppendRequests without an answer, for each follower.
  std::size_t uncommitted_bytes_max = 64 << 20;  // propose() refuses beyond this: overloaded.
  // A member that acknowledged a leader gives nobody a vote or a pre-vote for so long by its own
  // clock. Not above election_timeout_ms; shorter, so that a hint (peer_down) can help early.
  std::int64_t promise_ms = 200;
  // Clocks run within so many percent of true time: a lease lasts promise_ms * (100 - this) / (100
  // + this) from the sending of the round that a quorum acknowledged.
  std::int64_t clock_drift_percent = 10;
  // What compact() leaves for members that lag: bounds of the log in memory before the checkpoint.
  std::size_t log_tail_entries = 150'000;
  std::size_t log_tail_bytes = 64 << 20;
  // A standby that has kept up for so long is promoted.
  std::int64_t standby_stable_ms = 2'000;
  std::size_t standby_lag_max = 1'000;  // Entries that it may be behind and still keep up.
  // An observer is sent what is committed, at most so often unless somebody there waits (hurry()):
  // its disk and processor are then not taken from the voters of one machine, nor its messages from
  // their network. 0: everything at once, as a voter.
  std::int64_t observer_interval_ms = 0;
  // Must differ between two starts of one member: it also makes read requests of an earlier start
  // distinct from those of this one.
  std::uint64_t seed = 1;
  bool pre_vote = true;
  bool check_quorum = true;
  Defect defect = Defect::none;
};

// What recovery read from the disk.
struct Restored {
  HardState hard_state;
  SnapshotMark snapshot;             // The checkpoint: the log starts after it.
  Membership membership;             // As of the snapshot (or the initial one).
  std::vector<SharedEntry> entries;  // Contiguous, from snapshot.index + 1 on (may be empty).
};

struct Replacement {
  MemberId standby;
  MemberId replaces;
};
struct Proposed {
  Term term;
  Index index;
};
enum class ProposeError : std::uint8_t { not_leader, overloaded, transferring };
enum class ChangeError : std::uint8_t {
  not_leader,
  transferring,
  in_progress,  // One change at a time.
  not_ready,    // No entry of this leader's own term is committed yet (thesis, section 4.1; the
                // correction of 2015: raft-dev, "bug in single-server membership changes").
  malformed,    // No voter, a member in two roles, or too many.
};
enum class TransferError : std::uint8_t { not_leader, not_a_voter, in_progress };

class Raft {
 public:
  Raft(Options options, Restored restored, TraceSink& trace);
  ~Raft();

  // ---- inputs
  // The member's monotonic time, never going back. Call it at least every heartbeat_ms / 2, and
  // once before anything else. In a turn it comes first, read after the turn's messages arrived:
  // promises are counted from it.
  void tick(std::int64_t now_ms);
  void step(const Message& message);
  // Appends to the log of the leader; the outcome comes with Ready::committed, or never.
  [[nodiscard]] std::variant<Proposed, ProposeError> propose(EntryKind kind, std::string payload);
  // A linearizable read (thesis, section 6.4): answered by exactly one ReadGrant with this id. A
  // follower asks the leader.
  void read(ReadId read);
  // Everything up to Persist `number` is synced.
  void persisted(std::uint64_t number);
  // Entries up to `index` are in the checkpoint: those that no follower needs may be forgotten.
  // Requires: they were handed out as committed.
  void compact(Index index);
  // Changes who is in the ensemble, by joint consensus (thesis, section 4.3). `target` is not
  // joint; the joint configuration is left by itself. Returns where the change stands in the log.
  [[nodiscard]] std::variant<Proposed, ChangeError> change(Membership target);
  // Whom the promotion of a standby lets go, in the same joint change. What was told before is
  // forgotten; who is not in the ensemble (any more) is passed over.
  void set_replacements(std::vector<Replacement> replacements);
  // Somebody at `peer` waits for `index`: an observer is sent what is up to there without a pause.
  // What a member's read was granted needs no such hint. Nothing happens unless this one leads.
  void hurry(MemberId peer, Index index);
  // Hands leadership to a voter (section 3.10): proposals are refused until it took over or the
  // election time-out has passed. None: it was accepted (also when it leads already).
  [[nodiscard]] std::optional<TransferError> transfer(MemberId to);
  // A hint, never needed: the connection to a peer broke. If it was the leader, an election starts
  // after a short random delay, and never before this member's promise has run out.
  void peer_down(MemberId peer);
  // The snapshot that Ready::install asked for (or a later one of the same ensemble) is in place,
  // durably, and the state machine stands there. Requires: wants_snapshot(mark).
  void snapshot_installed(SnapshotMark mark, const Membership& membership);
  void snapshot_failed();
  // The state machine was put back to `mark`, which it had passed, and the checkpoint stands there:
  // what is committed after it is handed out once more. Requires: a follower, `mark` lies between
  // its checkpoint and what was handed out.
  void hand_out_again(SnapshotMark mark);

  // ---- output: all that has gathered since the last call.
  [[nodiscard]] Ready take_ready();

  // ---- queries
  [[nodiscard]] Role role() const noexcept;
  [[nodiscard]] Term term() const noexcept;
  [[nodiscard]] MemberId leader() const noexcept;  // None while it is not known.
  [[nodiscard]] Index last_index() const noexcept;
  [[nodiscard]] Index committed() const noexcept;
  [[nodiscard]] Index first_index() const noexcept;  // Of the log in memory.
  [[nodiscard]] const Membership& membership() const noexcept;
  // May this leader confirm touches, expire sessions and serve lease reads at `now_ms`? True only
  // within the lease that a quorum's promises give, counted from sending, less the drift bound, and
  // once an entry of the own term is committed. A cluster of one: while it is the leader.
  [[nodiscard]] bool has_lease(std::int64_t now_ms) const noexcept;
  // Would this snapshot move the member forward? Ask before it is put in place: entries may have
  // come in the meantime.
  [[nodiscard]] bool wants_snapshot(SnapshotMark mark) const noexcept;
  // What the leader knows of the others, in the order of their ids; empty at the others.
  struct Peer {
    MemberId id;
    Index match;
    bool is_active = false;  // Heard within two election time-outs.
    bool needs_snapshot = false;
    std::int64_t heard_ms = -1;  // Ago; -1: never since this member leads.
  };
  [[nodiscard]] std::vector<Peer> peers() const;
  // When tick() is wanted next.
  [[nodiscard]] std::int64_t next_deadline_ms() const noexcept;
  // When an observer may be sent what waits for it. None: nothing does.
  [[nodiscard]] std::optional<std::int64_t> observers_due_ms() const noexcept;
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::election
