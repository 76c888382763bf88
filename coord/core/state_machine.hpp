// StateMachine: all replicated state, and the one place that changes it.
//
// Owns the tree, the sessions, the retry window, the service time and the ensemble's identity.
// apply() is total: every command that decodes has an outcome; limits are checked before anything
// is allocated; the same entries in the same order give the same state, the same outcomes and the
// same digest on every member. It decides everything that must be decided once: permissions,
// guards, fences, exactly-once. It knows no connection, no clock and no disk.
//
// Invariants between calls: applied() never goes back; every ephemeral's owner is a live session;
// digest() is the sum of record_hash() over all records (records.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/limits.hpp"
#include "coord/base/records.hpp"
#include "coord/core/checkpoint.hpp"
#include "coord/core/command.hpp"
#include "coord/core/members.hpp"
#include "coord/core/outcome.hpp"
#include "coord/recipes/deadlines.hpp"
#include "election/entry.hpp"
#include "election/membership.hpp"
#include "session/registry.hpp"
#include "session/retry.hpp"
#include "znode/tree.hpp"

namespace coord::core {

// What the simulator breaks on purpose, to know that it would find it. Never set elsewhere.
struct StateDefects {
  bool admits_ended_sessions = false;      // A write counts whose session has just ended.
  SessionId orphans_up_to;                 // The ephemerals of these sessions outlive them.
  std::function<void(Command&)> rewrites;  // What is applied is not what the entry says.
};

struct StateLimits {
  TreeLimits tree;
  SessionLimits sessions;
  RetryLimits retry;
  RequestLimits requests;
  StateDefects defects;
};

// What one entry did.
struct Applied {
  struct Ended {
    SessionId id;
    session::EndReason reason = session::EndReason::closed;
    std::size_t ephemerals = 0;  // That went with it.
  };
  Outcome outcome;
  Origin origin;             // Who waits for the outcome.
  znode::SharedBatch batch;  // Null when no node changed.
  std::vector<SessionId> opened;
  std::vector<Ended> ended;
  std::vector<SessionId> moved;      // Attached to another connection.
  bool are_members_changed = false;  // Records or roles.
};

class StateMachine {
 public:
  explicit StateMachine(StateLimits limits);

  // ---- changes
  // Requires: entry.index is applied().next(). A payload that does not decode ends the process: the
  // leader decodes what it proposes, so only damage or a newer version can bring one here.
  Applied apply(const election::LogEntry& entry);
  // Applies a decoded command: what apply() does for EntryKind::command.
  Applied apply(Zxid zxid, Term term, const Command& command);

  // ---- queries
  [[nodiscard]] const znode::Tree& tree() const noexcept { return tree_; }
  [[nodiscard]] const session::Registry& sessions() const noexcept { return sessions_; }
  [[nodiscard]] const session::RetryWindow& retry() const noexcept { return retry_; }
  [[nodiscard]] Zxid applied() const noexcept { return applied_; }
  [[nodiscard]] Term applied_term() const noexcept { return applied_term_; }
  [[nodiscard]] std::int64_t service_ms() const noexcept { return service_ms_; }
  [[nodiscard]] const std::string& cluster() const noexcept { return cluster_; }
  [[nodiscard]] const election::Membership& membership() const noexcept { return membership_; }
  // Of everybody who is or was a member, sorted by id.
  [[nodiscard]] const std::vector<MemberRecord>& members() const noexcept { return members_; }
  [[nodiscard]] const MemberRecord* member(MemberId id) const noexcept;
  [[nodiscard]] const StateLimits& limits() const noexcept { return limits_; }
  [[nodiscard]] std::uint64_t digest() const noexcept;
  // When nodes of recipes have something due.
  [[nodiscard]] const recipes::Deadlines& deadlines() const noexcept { return deadlines_; }

  // ---- checkpoint
  [[nodiscard]] const DirtyMap& dirty() const noexcept { return dirty_; }
  // What the next checkpoint writes: so many records, which take about so much memory.
  [[nodiscard]] std::size_t dirty_records() const noexcept {
    return dirty_.size() + kRecordsOfChange * unstored_changes_;
  }
  [[nodiscard]] std::size_t dirty_bytes() const noexcept {
    return dirty_.bytes() + unstored_bytes_;
  }
  // Hands out what changed since the last call and starts an empty map: O(1).
  [[nodiscard]] Checkpoint take_checkpoint();
  // The first membership, before anything is loaded or applied.
  void set_membership(election::Membership membership);
  // One record of any table but changes and change_paths. Returns what is wrong, or nothing.
  [[nodiscard]] std::string load(Table table, std::string_view key, std::string_view bytes);
  // After the last record. Checks the digest against the mark's.
  [[nodiscard]] std::string load_done(const CheckpointMark& mark);

  void check_invariants() const;

 private:
  static constexpr std::size_t kRecordsOfChange = 2;  // Itself, and in the index of the paths.

  void run(Zxid zxid, const Command& command, Applied& applied);
  [[nodiscard]] bool is_admitted(const Command& command, Outcome& outcome) const;
  [[nodiscard]] bool holds_fences(const Command& command, Outcome& outcome) const;
  [[nodiscard]] bool holds(const Fence& fence) const;
  void run_recipe(Zxid zxid, const Command& command, const RecipeStep& op, Applied& applied);
  void settle_recipes(Zxid zxid, const Command& command);
  void note_deadlines(const znode::ChangeBatch& batch);
  void load_deadlines();
  void put_member_record(std::string_view key, std::string bytes);
  void bootstrap(const Bootstrap& op);
  Outcome set_member(const SetMember& op);
  void put_member(MemberRecord record);
  void enter_membership(election::Membership membership);
  std::string load_member(std::string_view key, std::string_view bytes);
  znode::SharedBatch commit_tree(Zxid zxid, std::int64_t wall_ms);

  // One for each operation: the outcome of it inside an open transaction of the tree.
  Outcome perform(const Command& command, const Put& op);
  Outcome put(const Command& command, const Put& op);
  Outcome perform(const Command& command, const Create& op);
  Outcome perform(const Command& command, const Set& op);
  Outcome perform(const Command& command, const Add& op);
  Outcome perform(const Command& command, const Delete& op);
  Outcome perform(const Command& command, const SetAcl& op);
  Outcome perform(const Command& command, const SetQuota& op);
  Outcome perform(const Command& command, const Txn& op);
  Outcome perform(const Command& command, const BeginImport& op);
  Outcome perform(const Command& command, const ImportNodes& op);
  Outcome perform(const Command& command, const FinishImport& op);
  // The node that says that a subtree is closed, or empty.
  [[nodiscard]] std::string import_into(std::string_view path) const;
  void refresh_closed();
  // quota_nodes.cpp: ZooKeeper's quotas are nodes below /zookeeper/quota.
  void follow_quota_node(std::string_view path, const Identities& identities);
  // Those that a deletion takes away.
  [[nodiscard]] std::vector<std::string> quota_nodes_of(const Delete& op) const;
  [[nodiscard]] bool holds(const Command& command, const Compare& compare, Outcome& refusal) const;
  TxnOpResult perform_op(const Command& command, const TxnOp& op, std::string& detail);
  [[nodiscard]] std::string refusal_to_open(Code code) const;
  Outcome open_session(Zxid zxid, const Command& command, const OpenSession& op, Applied& applied);
  Outcome attach_session(Zxid zxid, const AttachSession& op, Applied& applied);
  Outcome close_session(const Command& command, const CloseSession& op, Applied& applied);
  bool end_session(SessionId id, session::EndReason reason, Applied& applied);

  StateLimits limits_;
  znode::Tree tree_;
  session::Registry sessions_;
  session::RetryWindow retry_;
  recipes::Deadlines deadlines_;
  DirtyMap dirty_;
  std::vector<znode::SharedBatch> unstored_;  // Since the last checkpoint.
  std::size_t unstored_changes_ = 0;
  std::size_t unstored_bytes_ = 0;
  Zxid applied_;
  Term applied_term_;
  std::int64_t service_ms_ = 0;
  std::string cluster_;
  election::Membership membership_;
  std::vector<MemberRecord> members_;                                // Sorted by id.
  std::uint64_t member_digest_ = 0;                                  // Of Table::members.
  std::vector<std::pair<std::string, std::string>> member_records_;  // Sorted by key; few.
};

}  // namespace coord::core
