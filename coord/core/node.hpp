// Node: one member as a function. step(Event) changes memory; take_effects() says what the world
// must now do. Nothing in it waits, reads a clock, rolls an unseeded die, opens a file or logs.
//
// It holds the parts and routes between them: Raft (order), StateMachine (truth), History and Hub
// (watches), Expiry (the leader's view of who is alive), Pending (who waits for what). A decision
// on domain data belongs into one of those.
//
// Invariants between calls (invariants.hpp): applied <= committed; checkpointed <= applied; every
// request is answered exactly once, or its connection is gone; a reply to a write comes from
// apply() and from nowhere else.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "coord/base/limits.hpp"
#include "coord/base/trace.hpp"
#include "coord/core/cluster_desk.hpp"
#include "coord/core/effects.hpp"
#include "coord/core/pending.hpp"
#include "coord/core/retention.hpp"
#include "coord/core/snapshot.hpp"
#include "coord/core/state_machine.hpp"
#include "coord/recipes/recipe.hpp"
#include "election/raft.hpp"
#include "session/expiry.hpp"
#include "watch/history.hpp"
#include "watch/hub.hpp"

namespace coord::core {

// When a checkpoint is due: at the first of these bounds. Scattered updates rewrite fewer pages the
// more of them one checkpoint holds; a bulk load fills its pages anyway and must not fill memory.
// It is told by its records: history alone takes no memory that the ring does not take.
struct CheckpointPolicy {
  std::size_t records_max = 200'000;
  std::size_t bytes_max = 40 * kMiB;      // Most of it history, which the ring holds as well.
  std::size_t bulk_bytes_max = 4 * kMiB;  // Of records, within bulk_ms of the last one.
  std::int64_t bulk_ms = 1'000;
  std::int64_t interval_ms = 10'000;
  std::size_t log_bytes_max = 192 * kMiB;  // Of entries since the last one.
  // By how much records_max and bytes_max are drawn lower, each time anew: all members apply the
  // same, and would otherwise all write their checkpoints at the same moment, which no majority
  // hides from the writers.
  std::uint64_t spread_percent = 0;
  // While a checkpoint is under way and the next one has grown to this many times the bounds,
  // writes wait: the store is behind, and memory must not grow.
  std::size_t backlog_factor = 1;
};

struct NodeOptions {
  election::Options raft;
  RequestLimits requests;
  WatchLimits watches;
  CheckpointPolicy checkpoint;
  RetentionPolicy retention;
  SnapshotPolicy snapshots;
  std::string cluster;        // The UUID that a first leader proposes.
  std::uint64_t disk_id = 0;  // Of this member's disk.
  std::string http;           // Where clients reach this member: HOST:PORT.
  std::string zookeeper;      // Empty: it does not serve that protocol.
  // Where the founders listen for each other, as in --members. The records tell of later ones.
  std::vector<std::pair<MemberId, std::string>> members;
};

// What recovery hands to a new Node.
struct NodeState {
  StateMachine state;
  election::Restored log;
  Retention retention;
};

class Node {
 public:
  Node(NodeOptions options, NodeState restored, TraceSink& trace);

  void step(Event event);
  [[nodiscard]] Effects take_effects();
  // True if take_effects() left work that needs no new event.
  [[nodiscard]] bool wants_turn() const noexcept { return wants_turn_; }

  [[nodiscard]] const StateMachine& state() const noexcept { return state_; }
  [[nodiscard]] const election::Raft& raft() const noexcept { return raft_; }
  [[nodiscard]] const watch::History& history() const noexcept { return history_; }
  [[nodiscard]] Index checkpointed() const noexcept { return checkpointed_; }
  // The checkpoint under way should end: soon writes will have to wait for it.
  [[nodiscard]] bool is_store_late() const noexcept;
  [[nodiscard]] std::size_t watch_count() const noexcept { return hub_.size() - internal_watches_; }
  [[nodiscard]] std::size_t pending_count() const noexcept;
  // How old what this member has applied may be: since it last knew that it was up to date.
  [[nodiscard]] std::int64_t staleness_ms() const noexcept;
  // For how long it has known no leader; a time in which the process stood still does not count.
  [[nodiscard]] std::int64_t leaderless_ms() const noexcept;
  [[nodiscard]] Status status() const;
  [[nodiscard]] ClusterView cluster_view() const;
  // Serves this member as it should? `why` is for people when not.
  [[nodiscard]] bool is_ready(std::string& why) const;

 private:
  friend class Invariants;
  using WatchKey = std::pair<ConnectionId, WatchId>;
  // A read or a subscription that waits: for a read grant, or for an index.
  struct Waiting {
    std::variant<Request, Subscribe> what;
    std::int64_t deadline_ms = 0;
    SessionId renews = {};  // What the leader is asked to confirm, or about.
  };
  struct WaitingGroup {
    ReadId read;
    std::vector<Waiting> waiting;
  };
  struct StoreWait {
    std::variant<Request, WatchKey> who;
    std::int64_t deadline_ms = 0;
  };
  struct WatchInfo {
    Identities identities;
    std::optional<SessionCredential> session;
    bool is_reading_store = false;
    bool is_internal = false;
  };

  // node.cpp: events in, effects out.
  void on(ClientRequest& event);
  void on(Subscribe& event);
  void on(Unsubscribe& event);
  void on(ResumeWatch& event);
  void on(Disconnected& event);
  void on(Touched& event);
  void on(PeerMessage& event);
  void on(PeerUp& event);
  void on(PeerDown& event);
  void on(StepDown& event);  // node_links.cpp
  void on(Persisted& event);
  void on(DiskFull& event);
  void on(Checkpointed& event);
  void on(StoreAnswered& event);
  void on(SnapshotWasRead& event);
  void on(SnapshotWritten& event);
  void on(Tick& event);
  void on(WatchApplied& event);
  void tell_applied(const Applied& applied, Zxid revision);
  void apply(const election::SharedEntry& entry);
  void forgive_stall(std::int64_t gap_ms);
  void maybe_checkpoint();
  void expire_waiting();
  template <class Predicate>
  void drop_waiting(Predicate is_gone);
  void give_up_late(std::vector<Waiting>& waiting);

  // node_leadership.cpp: a leader's term begins and ends; what time alone makes due.
  void follow_role();
  void begin_leadership();
  void end_leadership();
  void renew_sessions();
  void propose_due();

  // node_requests.cpp: writes, sessions, reads.
  // The request alone; its session is checked where it is known best.
  [[nodiscard]] bool is_admitted(const Request& request, Reply& reply) const;
  [[nodiscard]] bool holds_session(const Request& request, Reply& reply) const;
  [[nodiscard]] Code check_session(const SessionCredential& session, Reply& reply) const;
  void write(Request&& request);
  // As an entry's payload: false when it cannot be one, and `reply` says why.
  bool encode_write(Request&& request, const Origin& origin, std::string& payload, Reply& reply);
  // False when Raft refused it: the caller tries again later.
  bool propose(WriteOp op);
  std::variant<election::Proposed, election::ProposeError> propose_payload(std::string payload);
  void read(Request&& request);
  void wait_for_grant(Waiting waiting);
  void park(Index index, Waiting waiting);
  void give_up(const std::variant<Request, Subscribe>& what, Code code, std::string detail);
  void serve_waiting(Waiting&& waiting);
  void serve_read(Request&& request);
  void serve_sessions(const Request& request, Reply& reply) const;
  void keepalive(Request&& request);
  [[nodiscard]] SessionView view_of(const session::Session& session, bool is_brief) const;
  [[nodiscard]] Reply reply_to(const Request& request) const;
  void refuse(const Request& request, Code code, std::string detail);
  void refuse_diverged(const Request& request);
  void deliver(Reply reply) { deliveries_.emplace_back(std::move(reply)); }
  void touch(SessionId id);
  [[nodiscard]] std::int64_t service_now() const noexcept;
  [[nodiscard]] bool is_bulk() const noexcept;
  [[nodiscard]] bool is_backlogged() const noexcept;

  // node_forward.cpp: what a follower asks of the leader, and the leader's part in it.
  struct Stream {  // Of one follower's forwarded writes, in this term.
    std::uint64_t id = 0;
    std::uint64_t next = 1;  // The position that is due.
    bool is_broken = false;  // Nothing more of it is taken.
    std::vector<std::uint64_t> earlier;
  };
  struct DelayedForward {
    MemberId from;
    Forward forward;
  };
  void forward(Request&& request, std::int64_t deadline_ms);
  void begin_stream();
  void on(MemberId from, Forward&& message);
  void on(MemberId from, ForwardRefused&& message);
  void on(MemberId from, Touches&& message);
  void on(MemberId from, TouchesConfirmed&& message);
  void take_forward(MemberId from, Forward&& message);
  // Its session is in the log and not applied here yet: a leader applies what it has synced, and
  // its followers may be ahead of that.
  [[nodiscard]] bool is_early(const Forward& message) const;
  void take_delayed();
  void refuse_forward(MemberId to, const Forward& message, bool ends_stream, Code code,
                      std::string detail);
  void confirm(Request&& request, SessionId session, bool is_urgent);
  [[nodiscard]] static Touches::Confirm confirm_of(std::uint64_t token, const Waiting& waiting);
  void send_touches();
  void give_up_confirmations();
  void note_contact(const election::Message& message);
  void resolve_limbo(const election::LogEntry& entry, Applied& applied);
  void answer(const Waiter& waiter, Code code, std::string detail);
  template <class Body>
  void send(MemberId to, Body body) {
    messages_.push_back(Message{options_.raft.id, to, std::move(body)});
  }

  // node_renewals.cpp: what recipes keep for a while, renewed without a log entry.
  void begin_renewal(Request&& request, std::int64_t deadline_ms);
  void renew(Request&& request);
  [[nodiscard]] recipes::Renewal renewal_of(const Request& request) const;
  [[nodiscard]] Reply renewed(const Request& request) const;
  [[nodiscard]] SessionId renewed_by(const RecipeStep* step, SessionId session) const;

  // node_digest.cpp: do all members have the same state?
  void sample_digest();
  void hand_over();
  void lead_no_more_on_a_full_disk();
  [[nodiscard]] std::vector<WatchKey> keys_of_watches() const;
  void send_digest();
  void on(MemberId from, DigestNote&& message);
  [[nodiscard]] bool is_diverged() const noexcept { return diverged_at_ != Index(); }

  // node_past.cpp: history, changes, values as they were.
  void serve_history(Request&& request);
  void serve_changes(Request&& request);
  void serve_at(Request&& request);
  void finish_history(Request&& request, StoreAnswer&& found);
  void finish_changes(Request&& request, StoreAnswer&& found);
  void finish_at(Request&& request, StoreAnswer&& found);
  void ask_store(StoreQuestion question, std::variant<Request, WatchKey> who,
                 std::int64_t deadline_ms);

  // node_watches.cpp
  void open_watch(Subscribe&& subscribe);
  void send_initial(const Subscribe& subscribe);
  void page_watch(WatchKey key);
  void emit(std::vector<watch::Event>& events);
  void end_watch(WatchKey key, Code code, std::string detail,
                 std::optional<session::EndReason> reason = std::nullopt);
  void end_compacted(WatchKey key);
  void end_watches_of(SessionId session);
  void state_of_watch(WatchKey key, WatchState::Kind kind, Zxid revision);
  void forget_watch(WatchKey key);

  // node_cluster.cpp: records of the members, what is told of them, and their changes.
  [[nodiscard]] MemberRecord known_of(MemberId id) const;
  [[nodiscard]] Bootstrap bootstrap_of_all() const;
  void propose_records();
  [[nodiscard]] ClusterNote note_of_all() const;
  void tell_cluster();
  void on_note(ClusterNote&& note);
  [[nodiscard]] std::vector<MemberHealth> health_of(const ClusterNote& note) const;
  [[nodiscard]] MemberView view_of_member(MemberId id, const ClusterNote& note,
                                          const std::vector<MemberHealth>* health,
                                          std::int64_t age_ms) const;
  void change_members(Request&& request);
  void on_admin(MemberId from, const AdminRequest& ask);
  void on_admin(const AdminReply& reply);
  void look_after_waits();
  void drop_waits_of(ConnectionId connection);
  void answer_repair(const ClusterDesk::Asker& asker, const RepairMember& op);
  void judge(ClusterDesk::Asker asker, MembershipOp op, std::int64_t deadline_ms);
  void hand_over(const ClusterDesk::Asker& asker, MemberId to);
  void propose_change();
  void finish_change(Code code, std::string detail);
  void answer(const ClusterDesk::Asker& asker, Code code, std::string detail,
              const ClusterPlan& view);
  void step_cluster();
  void note_members(Index index, const Applied& applied);
  void tell_replacements();
  // node_snapshot.cpp: sending and installing snapshots.
  [[nodiscard]] OutStream* snapshot_stream(std::uint64_t id);
  void on(MemberId from, SnapshotPull&& pull);
  [[nodiscard]] OutStream* open_stream(MemberId to, election::SnapshotMark asked);
  [[nodiscard]] bool has_place_for_stream();
  void refuse_pull(MemberId to);
  void send_chunk(const OutStream& stream);
  void end_stream(std::uint64_t id);
  void compact_log();
  void tick_streams();
  void read_wanted();
  void begin_install(election::SnapshotMark announced);
  void write_snapshot(SnapshotWrite::Kind kind, std::string bytes = {});
  void pull();
  void fail_install(std::string_view why);
  void on(MemberId from, SnapshotChunk&& chunk);
  [[nodiscard]] bool is_install_whole() const noexcept;
  void tick_install();
  void maybe_adopt();
  [[nodiscard]] bool holds_back(const Message& message);
  void installed();
  void catch_up_watches(Zxid before);
  // node_backup.cpp
  struct Backup {
    Index index;  // The store has to come so far.
    Waiting waiting;
  };
  void want_checkpoint(Index at_least);
  void prepare_backup(Request&& request);
  void serve_backups();
  // node_repair.cpp
  void declare_diverged(Index at);
  [[nodiscard]] Code begin_repair(std::string& detail);
  void tick_repair();
  [[nodiscard]] bool make_snapshot_for(const election::SnapshotMark& asked);
  [[nodiscard]] bool is_adoptable(const election::SnapshotMark& mark) const;
  void take_over(const election::SnapshotMark& mark);

  NodeOptions options_;
  TraceSink& trace_;
  StateMachine state_;
  election::Raft raft_;
  watch::History history_;
  watch::Hub hub_;
  session::Expiry expiry_;
  Pending pending_;
  Retention retention_;
  Tick now_;

  std::vector<Message> messages_;  // Of Node's own; Raft's come with its Ready.
  std::map<MemberId, PeerUp> links_;
  std::vector<Delivery> deliveries_;
  std::vector<ConnectionId> applied_watchers_;  // Of WatchApplied.
  std::vector<Waiting> read_batch_;             // Share the next read id.
  std::deque<WaitingGroup> granted_wait_;
  std::multimap<Index, Waiting> parked_;  // Until applied.
  std::map<std::uint64_t, StoreWait> store_waits_;
  std::vector<StoreRead> store_reads_;
  // While the store is behind, in the order in which they came.
  std::deque<std::variant<std::pair<Request, std::int64_t>, DelayedForward>> delayed_writes_;
  absl::btree_map<WatchKey, WatchInfo> watches_;
  std::size_t internal_watches_ = 0;
  absl::flat_hash_map<SessionId, std::vector<WatchKey>> watches_of_session_;
  absl::flat_hash_map<SessionId, Index> expiring_;  // Proposed to end, not applied yet.

  // Following and being followed.
  Limbo limbo_;               // Own writes of a leadership that was lost.
  Limbo forwards_;            // Writes handed to the leader.
  std::uint64_t stream_ = 0;  // Of forwards_; see Forward.
  std::uint64_t stream_position_ = 0;
  std::uint64_t last_number_ = 0;
  MemberId stream_leader_;
  Term stream_term_;
  std::map<MemberId, Stream> streams_;              // Of the followers, while this member leads.
  std::map<std::uint64_t, Waiting> confirmations_;  // What only the leader can answer.
  std::uint64_t last_confirmation_ = 0;
  std::vector<Touches::Confirm> unsent_confirmations_;
  bool is_confirming_at_once_ = false;  // One of them does not wait for the next batch.
  absl::btree_set<SessionId> unsent_touches_;
  std::int64_t touches_sent_ms_ = 0;
  Term confirming_term_;
  std::int64_t confirming_ms_ = 0;  // When all of them were asked about last.
  Index contact_committed_;         // What the leader said last, and when.
  std::int64_t contact_ms_ = 0;

  // Comparing digests.
  struct Samples {
    std::uint64_t own = 0;
    std::map<MemberId, std::uint64_t> others;
  };
  std::map<Index, Samples> samples_;
  Index last_sample_;
  std::int64_t digest_sent_ms_ = 0;
  Index diverged_at_;

  ClusterDesk desk_;
  // Snapshots.
  std::vector<OutStream> snapshot_streams_;
  std::vector<SnapshotRead> snapshot_reads_;
  std::vector<SnapshotWrite> snapshot_writes_;
  std::optional<Install> install_;
  std::vector<Message> held_messages_;  // For Raft, while the stores are exchanged.
  std::uint64_t last_snapshot_stream_ = 0;
  std::uint64_t last_install_ = 0;
  std::uint64_t installs_ = 0;  // That were brought to their end.
  std::int64_t snapshot_budget_ = 0;
  std::int64_t snapshot_budget_ms_ = 0;  // When it was filled last.
  std::uint64_t applied_bytes_ = 0;      // Of payloads, since the start.
  std::uint64_t persist_issued_ = 0;
  std::uint64_t persist_synced_ = 0;
  std::vector<Backup> backups_;
  Index wanted_checkpoint_;  // One at this index or later is wanted at once.
  bool is_repairing_ = false;
  std::int64_t repair_again_ms_ = 0;

  std::optional<Index> recycle_;
  Index checkpointed_;
  Index previous_checkpoint_;
  bool is_checkpointing_ = false;
  Index checkpoint_under_way_;
  bool is_second_due_ = false;  // A checkpoint of what the last one was of.
  std::int64_t last_checkpoint_ms_ = 0;
  Prng spread_;
  std::size_t spread_now_ = 0;  // CheckpointPolicy::spread_percent as drawn for the next one.
  std::size_t log_bytes_ = 0;   // Of payloads applied since the last checkpoint.
  Index reap_index_;            // The last Reap that was proposed.
  ReadId last_read_;
  std::uint64_t last_token_ = 0;
  bool was_leader_ = false;
  Term led_term_;                  // The last one that this member led in ...
  std::int64_t led_since_ms_ = 0;  // ... and when that began.
  ProposalSizes proposals_;        // Since then.
  bool is_disk_full_ = false;
  std::int64_t full_hand_over_ms_ = 0;  // Not again before then.
  bool wants_turn_ = false;
  std::int64_t started_ms_ = 0;
  std::int64_t service_base_ms_ = 0;  // A service time and the monotonic time that it stands for.
  std::int64_t mono_base_ms_ = 0;
  std::int64_t hold_expiry_until_ms_ = 0;
  bool is_renewing_ = false;   // The next gap between two ticks is of its own making.
  std::int64_t fresh_ms_ = 0;  // When this member last knew that it was up to date.
  std::int64_t ready_ms_ = 0;  // When it was ready last; before that, when it began.
  std::int64_t led_ms_ = 0;    // When it knew a leader last; before that, when it began.
  std::int64_t next_sweep_ms_ = 0;
};

}  // namespace coord::core
