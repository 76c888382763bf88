// Raft::Impl: the state of one member and the parts that work on it. Internal to election/.
//
// raft.cpp dispatches and builds Ready; raft_election: terms, votes, promises, transfer;
// raft_replication: appends, commit, snapshots, compaction; raft_membership: configurations and
// standbys; raft_read: read index, both ends, and the lease.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "election/log.hpp"
#include "election/progress.hpp"
#include "election/quorum.hpp"
#include "election/raft.hpp"
#include "election/read_queue.hpp"
#include "election/unsynced.hpp"

namespace coord::election {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

struct Raft::Impl {
  Impl(Options options, Restored restored, TraceSink& trace);

  // ---- raft.cpp
  void tick(std::int64_t now_ms);
  void step(const Message& message);
  [[nodiscard]] std::variant<Proposed, ProposeError> propose(EntryKind kind, std::string payload);
  void persisted(std::uint64_t number);
  [[nodiscard]] Ready take_ready();
  void persist_what_is_new();
  void hand_out_committed();
  [[nodiscard]] Role role() const noexcept;
  void check_invariants() const;
  template <class Body>
  void send(MemberId to, Body body) {
    ready.messages.push_back(Message{options.id, to, std::move(body)});
  }
  template <class Body>
  void send_after_persist(MemberId to, Body body) {
    ready.messages_after_persist.push_back(Message{options.id, to, std::move(body)});
  }
  void note(Note::Level level, std::string text);

  // ---- raft_election.cpp
  [[nodiscard]] bool may_lead() const noexcept;
  [[nodiscard]] bool may_campaign() const noexcept;
  [[nodiscard]] bool is_promised() const noexcept;
  void draw_election_deadline();
  void tick_election();
  void enter_term(HardState entered);
  void settle_term(Term term, MemberId new_leader);
  void become_follower(Term term, MemberId new_leader, std::string_view why);
  void follow(MemberId new_leader);
  void pre_campaign();
  void campaign(bool is_transfer);
  void count_votes();
  void become_leader();
  void on(MemberId from, const VoteRequest& request);
  void on(MemberId from, const VoteReply& reply);
  void on(MemberId from, const TimeoutNow& request);
  void peer_down(MemberId peer);
  [[nodiscard]] std::optional<TransferError> transfer(MemberId to);
  void maybe_finish_transfer();
  void tick_transfer();
  void tick_quorum();

  // ---- raft_replication.cpp
  Proposed append_own(EntryKind kind, std::string payload);
  void on(MemberId from, const AppendRequest& request);
  [[nodiscard]] bool hear_leader(MemberId from, Term term);
  [[nodiscard]] bool is_hard_state_synced() const noexcept;
  void accept_entries(const AppendRequest& request);
  void cut_log(Index from);
  void refuse(MemberId from, const AppendRequest& request);
  void acknowledge(MemberId from, const AppendRequest& request);
  void on(MemberId from, const AppendReply& reply);
  void on(MemberId from, const SnapshotRequest& request);
  void on(MemberId from, const SnapshotReply& reply);
  Progress* heard(MemberId from, Term term, Index match);
  void advanced(Progress& progress, Index match);
  void tick_heartbeat();
  [[nodiscard]] Index tellable(Index last) const noexcept;
  void send_heartbeat(MemberId to, Progress& progress, Index prev);
  void send_appends();
  void send_appends_to(MemberId to, Progress& progress, Index last);
  void send_entries(MemberId to, Progress& progress, Term prev_term, Index last);
  [[nodiscard]] bool is_spared(MemberId to, const Progress& progress) const noexcept;
  [[nodiscard]] std::optional<std::int64_t> observers_due_ms() const noexcept;
  void hurry(MemberId peer, Index index);
  void send_snapshot(MemberId to, Progress& progress);
  void maybe_commit();
  void commit_to(Index index);
  void compact(Index index);
  void forget_some();
  void snapshot_installed(SnapshotMark mark, const Membership& membership);
  void snapshot_failed();
  void hand_out_again(SnapshotMark mark);
  [[nodiscard]] bool wants_snapshot(SnapshotMark mark) const noexcept;

  // ---- raft_membership.cpp
  [[nodiscard]] const Membership& membership() const noexcept {
    const auto* latest = &configurations.back();
    if (options.defect == Defect::uses_committed_members) {
      while (latest != configurations.data() && latest->index > committed) --latest;
    }
    return latest->value;
  }
  [[nodiscard]] Membership membership_at(Index index) const;
  void note_membership(const LogEntry& entry);
  void cut_memberships(Index last);
  void forget_memberships();
  [[nodiscard]] std::variant<Proposed, ChangeError> change(Membership target);
  Proposed append_membership(const Membership& target);
  void track_members();
  void settle_membership();
  void tick_standbys();
  [[nodiscard]] Membership promoted(MemberId standby) const;
  void leave_leadership();

  // ---- raft_read.cpp
  void read(ReadId id);
  void on(MemberId from, const ReadIndexRequest& request);
  void on(MemberId from, const ReadIndexReply& reply);
  void start_reads();
  void confirm_reads();
  void forward_reads();
  void tick_forwarded_reads();
  void fail_reads();
  void fail_forwarded_reads();
  [[nodiscard]] bool has_own_commit() const noexcept;
  [[nodiscard]] bool has_lease(std::int64_t now_ms) const noexcept;

  enum class State : std::uint8_t { follower, pre_candidate, candidate, leader };
  struct Configuration {
    Index index;  // Of its entry; of the first one: at or before the log's mark.
    Membership value;
  };
  struct ForwardedReads {
    ReadId id;  // On the wire: one for all of them.
    std::vector<ReadId> reads;
    std::int64_t asked_at;
    std::int64_t sent_at;
  };

  const Options options;
  TraceSink& trace;
  Prng prng;

  // ---- what is, or is about to be, on the disk
  Log log;
  Unsynced unsynced;
  HardState hard_state;
  bool is_hard_state_new = false;
  Index handed_to_disk;  // Entries after it have not been in a Persist yet.
  SnapshotMark checkpoint;
  Index forget_until;  // What compact() lets go, a few entries a turn.

  // ---- everybody
  State state = State::follower;
  MemberId leader;
  Index committed;
  Index verified;    // In this term, the leader's log and ours agree up to here. >= committed.
  Index handed_out;  // As Ready::committed.
  std::vector<Configuration> configurations;  // The last one is in force (section 4.1: a member
                                              // uses the latest one in its log).
  bool has_started = false;                   // After the first tick.
  bool must_wait = false;                     // An earlier start may have given a promise.
  std::int64_t now = 0;
  std::int64_t election_deadline = 0;
  std::int64_t promised_until = 0;  // No vote, no pre-vote, no campaign before.
  bool is_leader_lost = false;      // A hint said so; nothing heard from it since.
  int hasty_campaigns = 0;          // Since that hint.
  std::optional<SnapshotMark> installing;
  MemberId installing_from;
  std::vector<ReadId> reads_to_forward;
  std::vector<ForwardedReads> forwarded;
  std::uint64_t next_forwarded_id;

  // ---- candidates
  std::map<MemberId, Ballot> ballots;

  // ---- the leader
  std::map<MemberId, Progress> members;  // Everybody but itself.
  Index term_start;                      // Its no-op.
  std::uint64_t round = 0;
  std::int64_t heartbeat_deadline = 0;
  std::int64_t lead_since = 0;
  std::size_t uncommitted_bytes = 0;
  bool is_membership_open = false;  // A change may be under way: see settle_membership().
  ReadQueue reads;
  std::vector<Replacement> replacements;
  MemberId transferee;
  std::int64_t transfer_deadline = 0;
  bool is_lease_spent = false;  // TimeoutNow left: promises made to this term bind nobody any more.

  Ready ready;
};

}  // namespace coord::election
