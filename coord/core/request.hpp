// Request and Reply: what an edge (HTTP, ZooKeeper's protocol, the shell) asks of the pure world,
// and what it gets back. Validated values, no text of any protocol.
//
// Every Request gets exactly one Reply with its id, on its connection, unless the connection was
// dropped. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coord/base/blob.hpp"
#include "coord/base/code.hpp"
#include "coord/base/identity.hpp"
#include "coord/base/ids.hpp"
#include "coord/recipes/answer.hpp"
#include "session/session.hpp"
#include "watch/filter.hpp"
#include "znode/acl.hpp"
#include "znode/change.hpp"
#include "znode/restored.hpp"
#include "znode/stat.hpp"

namespace coord::core {

enum class Consistency : std::uint8_t { linearizable, leader, local };

// "jobs=57" (a lock) or "election:boss=58": checked in apply().
struct Fence {
  enum class Kind : std::uint8_t { lock = 1, election = 2 };
  Kind kind = Kind::lock;
  std::string name;
  std::uint64_t token = 0;
  friend bool operator==(const Fence&, const Fence&) = default;
};

// Guards of a write (If-Match, version=). Both, if both are set.
struct WriteGuard {
  std::optional<Zxid> mzxid;
  std::optional<std::int32_t> version;
  friend bool operator==(const WriteGuard&, const WriteGuard&) = default;
};

// ---- writes: each becomes one log entry

// PUT: set, or create when missing. If the node exists and `mode` was given and differs, or it is
// an ephemeral of another session: node_exists. A guarded one never creates.
struct Put {
  std::string path;
  Blob value;
  std::string content_type;
  std::optional<znode::Mode> mode;
  std::int64_t ttl_ms = 0;  // > 0: creates a ttl node.
  bool with_parents = false;
  bool create_only = false;  // If-None-Match: *. node there: precondition_exists.
  WriteGuard guard;
  friend bool operator==(const Put&, const Put&) = default;
};
struct Create {
  std::string path;  // Sequential: the suffix is added to it, and "/a/" is allowed (name: digits).
  Blob value;
  std::string content_type;
  znode::Mode mode = znode::Mode::persistent;
  bool is_sequential = false;
  std::int64_t ttl_ms = 0;
  bool with_parents = false;
  std::optional<znode::Acl> acl;
  friend bool operator==(const Create&, const Create&) = default;
};
// ZooKeeper's setData: no_node when missing. The transaction op `set`.
struct Set {
  std::string path;
  Blob value;
  std::string content_type;
  WriteGuard guard;
  friend bool operator==(const Set&, const Set&) = default;
};
// Adds to a signed 64-bit decimal. invalid: not a number, or overflow. Never creates.
struct Add {
  std::string path;
  std::int64_t delta = 0;
  WriteGuard guard;
  friend bool operator==(const Add&, const Add&) = default;
};
struct Delete {
  std::string path;
  bool is_recursive = false;
  WriteGuard guard;
  friend bool operator==(const Delete&, const Delete&) = default;
};
// Only inside a transaction: exists, and the guard holds.
struct Check {
  std::string path;
  WriteGuard guard;
  friend bool operator==(const Check&, const Check&) = default;
};
struct SetAcl {
  std::string path;
  znode::Acl acl;  // May still hold "auth" entries: apply() resolves them.
  std::optional<std::int32_t> aversion;
  friend bool operator==(const SetAcl&, const SetAcl&) = default;
};
// Neither bound set: removes the quota.
struct SetQuota {
  std::string path;
  std::optional<std::uint64_t> nodes_max;
  std::optional<std::uint64_t> bytes_max;
  friend bool operator==(const SetQuota&, const SetQuota&) = default;
};
// ---- imports, by an operator: a subtree that is brought from another service is written by
// nobody else from BeginImport to FinishImport. A node under /.coord/imports says so.

// Closes a subtree. Again for the same subtree and source: fine, it goes on.
struct BeginImport {
  std::string path;
  std::string source;  // Where it comes from, in words; at most kImportSourceMax bytes.
  friend bool operator==(const BeginImport&, const BeginImport&) = default;
};
inline constexpr std::size_t kImportSourceMax = 1024;
// One node: what it was elsewhere, or that it is not there any more.
struct ImportedNode {
  std::string path;
  bool is_deleted = false;  // Then nothing else counts; one that is not here is fine.
  Blob value;
  znode::Restored as;
  friend bool operator==(const ImportedNode&, const ImportedNode&) = default;
};
// All or nothing, in their order: parents first, deleted children first. not_found when the subtree
// `path` is not closed for an import.
struct ImportNodes {
  std::string path;
  std::vector<ImportedNode> nodes;
  friend bool operator==(const ImportNodes&, const ImportNodes&) = default;
};
struct FinishImport {
  std::string path;
  friend bool operator==(const FinishImport&, const FinishImport&) = default;
};

// Inside a transaction only.
struct TxnGet {
  std::string path;
  friend bool operator==(const TxnGet&, const TxnGet&) = default;
};
struct TxnChildren {
  std::string path;
  std::uint32_t limit = 1000;
  friend bool operator==(const TxnChildren&, const TxnChildren&) = default;
};

using TxnOp = std::variant<TxnGet, TxnChildren, Check, Create, Set, Delete>;

// One comparison: all that are set must hold. A missing node: only `exists == false` holds.
struct Compare {
  std::string path;  // Empty for a fence.
  std::optional<bool> exists;
  std::optional<Zxid> mzxid;
  std::optional<std::int32_t> version;
  std::optional<Blob> value;
  std::optional<Fence> fence;
  friend bool operator==(const Compare&, const Compare&) = default;
};

// All comparisons hold: `then`, else `otherwise`. All or nothing, one revision. too_large when what
// its gets and children bring exceeds kTxnResultBytesMax: the retry window may have to keep it.
inline constexpr std::size_t kTxnResultBytesMax = std::size_t{16} << 20;
struct Txn {
  std::vector<Compare> compare;
  std::vector<TxnOp> then;
  std::vector<TxnOp> otherwise;
  friend bool operator==(const Txn&, const Txn&) = default;
};

struct OpenSession {
  std::int64_t ttl_ms = 0;
  std::string name;
  std::string address;
  session::Secret secret{};  // Random bytes from the edge: chance is data.
  friend bool operator==(const OpenSession&, const OpenSession&) = default;
};
// By its owner (the Request's session is the same one: closed) or by an operator (killed).
struct CloseSession {
  SessionId id;
  session::EndReason reason = session::EndReason::closed;
  friend bool operator==(const CloseSession&, const CloseSession&) = default;
};
// A session's own connection is another one from now on: what still comes over an earlier one (its
// SessionCredential::attachment is older) is refused as session_moved. Answered with SessionOpened;
// the attachment is the reply's revision. The Request carries the credential.
struct AttachSession {
  SessionId id;
  std::string address;
  std::int64_t ttl_ms = 0;  // From now on; 0: as it was.
  friend bool operator==(const AttachSession&, const AttachSession&) = default;
};

// A session that a request brings along: opened with it, for it alone, and not at all when it is
// refused. Ignored when the request names a session.
struct OwnSession {
  std::int64_t ttl_ms = 0;
  std::string name;
  std::string address;
  session::Secret secret{};
  friend bool operator==(const OwnSession&, const OwnSession&) = default;
};
// One step of a recipe (coord/recipes). `bytes` are understood by the recipe alone.
struct RecipeStep {
  recipes::Kind kind = recipes::Kind::lock;
  std::string bytes;
  std::optional<OwnSession> own_session;
  friend bool operator==(const RecipeStep&, const RecipeStep&) = default;
};

// ---- no log entry

// Renews, answered once the leader has confirmed it. The Request carries the credential; `id` must
// be the same, unless an operator asks. With Consistency::local no quorum is asked first that this
// member knows of the session's end: for one whose connection hears of that anyway.
struct Keepalive {
  SessionId id;
};

// ---- reads

struct Get {
  std::string path;
  bool with_value = true;
  std::optional<Zxid> at;  // As it was then; compacted, or not_found for a future revision.
};
struct GetChildren {
  std::string path;
  std::string prefix;
  std::string after;  // The last name of the page before.
  std::size_t limit = 1000;
  bool with_stat = false;
  bool with_values = false;
  bool with_system = false;
};
// The names of all children at once, however many.
struct GetNames {
  std::string path;
};
// Several reads at one revision. One that fails does not stop the others.
struct ReadMany {
  std::vector<std::variant<Get, GetNames>> reads;
};
// The paths of a session's ephemerals, sorted.
struct GetEphemerals {
  SessionId id;
  std::string prefix;
};
// How many nodes are below a node, /.coord left out. Walks the subtree.
struct CountNodes {
  std::string path;
};
struct Walk {
  std::string path;
  std::size_t depth = SIZE_MAX;
  std::string after;      // The last path of the page before.
  std::size_t limit = 0;  // 0: all, or too_large beyond kWalkNodesMax.
  bool with_values = false;
  bool with_acls = false;
  bool with_system = false;
};
inline constexpr std::size_t kWalkNodesMax = 100'000;

struct GetHistory {
  std::string path;
  std::size_t limit = 1000;
  Zxid before;  // None: from the newest on. Newest first.
};
struct GetChanges {
  Zxid from;  // Exclusive.
  std::size_t limit = 1000;
  bool with_system = false;
};
// Takes READ or ADMIN; without ADMIN the hash of a digest shows as "x", as in ZooKeeper.
struct GetAcl {
  std::string path;
};
struct GetQuota {
  std::string path;
};
struct GetSession {
  SessionId id;
  bool with_remaining = true;  // At a follower the leader is asked, unless the read is local.
};
struct ListSessions {
  SessionId after;
  std::size_t limit = 1000;
  bool with_nodes = false;  // With their ephemerals.
};
// A view of a recipe's state.
struct RecipeQuery {
  recipes::Kind kind = recipes::Kind::lock;
  std::string bytes;
};
// Prolongs what a recipe keeps for a while, without a log entry: what `bytes` name is looked up,
// the session that it hangs on is renewed, and the answer comes once the leader has confirmed that.
struct RecipeRenew {
  recipes::Kind kind = recipes::Kind::service;
  std::string bytes;
};
struct GetStatus {};
// What this member knows of the cluster: the leader what it sees, the others what it told last.
struct GetCluster {};
// Answered once everything up to the read's revision is in the store: a backup of the store has it
// then. For operators.
struct PrepareBackup {};

// ---- who is in the ensemble: asked of any member by an operator, done by the leader

enum class MemberRole : std::uint8_t { voter = 1, observer = 2, standby = 3 };
// A member that starts empty. A standby is promoted by itself once it has caught up; with
// `replaces` that promotion lets the other one go.
struct AddMember {
  MemberId id;
  std::string peer;  // HOST:PORT.
  MemberRole role = MemberRole::standby;
  MemberId replaces;  // None: nobody.
  bool is_dry_run = false;
  friend bool operator==(const AddMember&, const AddMember&) = default;
};
struct ChangeMember {
  MemberId id;
  MemberRole role = MemberRole::voter;
  bool is_dry_run = false;
  friend bool operator==(const ChangeMember&, const ChangeMember&) = default;
};
struct RemoveMember {
  MemberId id;
  bool is_dry_run = false;
  friend bool operator==(const RemoveMember&, const RemoveMember&) = default;
};
// None: to the voter that has most of the log. Answered once that one leads.
struct TransferLeader {
  MemberId to;
  friend bool operator==(const TransferLeader&, const TransferLeader&) = default;
};
// Rebuilds a member from a snapshot of the leader, whatever state it has: its log, term and vote
// stay. Asked of that member itself; answered once it has begun.
struct RepairMember {
  MemberId id;
  friend bool operator==(const RepairMember&, const RepairMember&) = default;
};
using MembershipOp =
    std::variant<AddMember, ChangeMember, RemoveMember, TransferLeader, RepairMember>;

using Operation =
    std::variant<Put, Create, Set, Add, Delete, SetAcl, SetQuota, Txn, OpenSession, CloseSession,
                 RecipeStep, Keepalive, Get, GetChildren, Walk, GetHistory, GetChanges, GetAcl,
                 GetQuota, GetSession, ListSessions, RecipeQuery, RecipeRenew, GetStatus,
                 GetCluster, PrepareBackup, AddMember, ChangeMember, RemoveMember, TransferLeader,
                 RepairMember, BeginImport, ImportNodes, FinishImport, AttachSession, GetNames,
                 ReadMany, GetEphemerals, CountNodes>;

struct SessionCredential {
  SessionId id;
  session::Secret secret{};
  Zxid attachment;  // Of an AttachSession or OpenSession: writes count only while it is the last.
};

struct Request {
  ConnectionId connection;
  RequestId id;           // Unique among the connection's requests that are not answered yet.
  Identities identities;  // Includes ("ip", address); ("super", "") for an operator.
  std::optional<SessionCredential> session;
  std::string idempotency_key;     // Empty: none.
  std::uint64_t request_hash = 0;  // Of method, path, query and body; with a key only.
  std::vector<Fence> fences;
  Consistency consistency = Consistency::linearizable;
  std::optional<std::int64_t> max_staleness_ms;  // For local reads.
  Zxid min_revision;                             // For local reads: waits until applied.
  std::int64_t timeout_ms = 10'000;
  // False: what is wrong with a path is found where it is used, as ZooKeeper does (/a//b is a
  // missing parent), and not at the door.
  bool checks_paths = true;
  Operation op;
};

[[nodiscard]] bool is_write(const Operation& op) noexcept;

// ---- results

struct Written {  // Put, Create, Set, Add, Delete, SetAcl
  std::string path;
  znode::Stat stat;  // Of a deleted node: the last it had.
  bool created = false;
  std::optional<std::int64_t> number;  // Add: the new number.
};
struct NodeValue {
  znode::Stat stat;
  Blob value;
  std::string content_type;
};
struct ChildEntry {
  std::string name;
  NodeValue node;  // As much as was asked for.
};
struct ChildList {
  std::vector<ChildEntry> children;
  bool is_last = true;  // No page after this one.
  znode::Stat stat;     // Of the parent.
};
struct NameList {
  std::vector<std::string> names;  // In byte order.
  znode::Stat stat;                // Of the parent.
};
struct ManyRead {
  struct One {
    Code code = Code::ok;
    std::variant<NodeValue, NameList> result;
  };
  std::vector<One> results;  // As many as were asked for.
};
struct PathList {
  std::vector<std::string> paths;
};
struct NodeCount {
  std::uint64_t count = 0;
};
struct WalkEntry {
  std::string path;
  NodeValue node;
  znode::Acl acl;  // Empty when it was not asked for, or may not be read.
};
struct WalkList {
  std::vector<WalkEntry> nodes;
  bool is_last = true;
};
struct HistoryEntry {
  Zxid zxid;
  std::int64_t wall_ms = 0;
  znode::Change change;
};
struct HistoryList {  // GetHistory: newest first. GetChanges: oldest first, whole revisions.
  std::vector<HistoryEntry> entries;
  bool is_last = true;
  Zxid oldest;  // The oldest revision that is retained.
};
struct AclView {
  znode::Acl acl;
  znode::Stat stat;
};
struct QuotaView {
  std::optional<std::uint64_t> nodes_max;
  std::optional<std::uint64_t> bytes_max;
  std::uint64_t nodes = 0;
  std::uint64_t bytes = 0;
};
struct TxnOpResult {
  std::uint8_t op = 0;  // TxnOp::index().
  Code code = Code::ok;
  std::string path;
  znode::Stat stat;
  Blob value;                         // get
  std::string content_type;           // get
  std::vector<std::string> children;  // children
};
struct TxnResult {
  bool succeeded = false;
  std::vector<TxnOpResult> results;
  std::optional<std::uint32_t> failed_op;  // Set on failure: its index in the branch.
};
struct SessionOpened {
  SessionId id;
  session::Secret secret{};
  std::int64_t ttl_ms = 0;
};
struct RecipeResult {
  recipes::Answer answer;
  std::optional<SessionOpened> opened;  // The session that the request brought.
  std::int64_t session_ttl_ms = 0;      // Of the acting session; 0: there is none.
};
struct KeepaliveResult {
  std::int64_t remaining_ms = 0;
};
struct SessionView {
  SessionId id;
  std::string name;
  std::string address;
  std::int64_t ttl_ms = 0;
  std::optional<std::int64_t> remaining_ms;  // Known by the leader only; see GetSession.
  std::int64_t opened_ms = 0;
  // Sorted. At most 1,000 are listed, and in a list of sessions none of one that has above 100;
  // `ephemeral_count` counts all.
  std::vector<std::string> ephemerals;
  std::size_t ephemeral_count = 0;
  std::size_t watch_count = 0;  // Of this member.
};
struct SessionList {
  std::vector<SessionView> sessions;
  bool is_last = true;
};
// Bytes of the entries that a leader proposed.
struct ProposalSizes {
  std::uint64_t count = 0;
  std::uint64_t last = 0;
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};
// What only a leader knows. Its own place is not counted.
struct Leading {
  std::size_t learners = 0;         // Members that it hears, of which so many ...
  std::size_t voters_ready = 0;     // ... vote and keep up, ...
  std::size_t observers_ready = 0;  // ... or do not vote and keep up.
  std::int64_t since_ms = 0;        // It has led for so long.
  ProposalSizes proposals;
};
struct Status {
  MemberId member;
  std::string cluster;  // UUID.
  std::string role;     // "leader", "follower", ...
  MemberId leader;
  Term term;
  Index last;
  Index committed;
  Index applied;
  Index checkpointed;
  std::uint64_t digest = 0;  // At `applied`.
  std::size_t nodes = 0;
  std::size_t ephemerals = 0;
  std::uint64_t value_bytes = 0;
  std::size_t sessions = 0;
  std::size_t watches = 0;
  std::size_t connections = 0;
  bool is_alone = false;  // The only member.
  std::size_t voters = 0;
  bool is_ready = false;
  std::int64_t unready_ms = 0;  // It has not been ready for so long.
  std::int64_t uptime_ms = 0;
  std::optional<Leading> leading;  // Of a leader.
};
// What GET /v1/cluster shows of one member.
struct MemberView {
  MemberId id;
  std::string role;   // "voter", "observer", "standby", "leaving".
  std::string state;  // "leader", "ready", "behind", "down", "unknown".
  std::string peer;
  std::string http;
  std::string zookeeper;
  MemberId replaces;
  Index applied;  // What it has synced, as far as the leader knows; of itself what it applied.
  std::uint64_t lag = 0;
  std::int64_t heard_ms = -1;  // Ago; -1: not known, or never.
};
struct ClusterView {
  std::string cluster;  // UUID.
  Term term;
  MemberId leader;
  std::vector<MemberView> members;  // Sorted by id.
  std::size_t voters = 0;
  std::size_t quorum = 0;
  std::size_t failures_tolerated = 0;  // Beyond those who are down.
  std::int64_t age_ms = 0;             // Of what the leader told; -1: it told nothing yet.
  std::vector<std::string> warnings;
};
// What the ensemble is (or would be) after a change.
struct ClusterPlan {
  std::size_t voters = 0;
  std::size_t quorum = 0;
  std::size_t failures_tolerated = 0;
  std::vector<std::string> warnings;
  friend bool operator==(const ClusterPlan&, const ClusterPlan&) = default;
};

using ResultValue = std::variant<std::monostate, Written, NodeValue, ChildList, WalkList,
                                 HistoryList, AclView, QuotaView, TxnResult, SessionOpened,
                                 KeepaliveResult, SessionView, SessionList, Status, RecipeResult,
                                 ClusterView, ClusterPlan, NameList, ManyRead, PathList, NodeCount>;

struct Reply {
  ConnectionId connection;
  RequestId id;
  Code code = Code::ok;
  std::string detail;  // For people; empty when ok.
  std::string path;    // The node concerned, on errors.
  Zxid revision;       // Of a write its own, of a read the one it was served at.
  Consistency consistency = Consistency::linearizable;
  std::int64_t staleness_ms = 0;       // Of a local read.
  std::optional<znode::Stat> present;  // On failed guards: the present stat (ETag, owner).
  Zxid oldest;                         // With compacted.
  std::optional<session::EndReason> end_reason;  // With session_expired, when it is known.
  MemberId leader;                               // With no_leader and the like, when it is known.
  std::string leader_http;                       // Where clients reach it, when that is known.
  bool was_applied_before = false;  // The answer of an earlier request with the same key.
  ResultValue result;  // monostate unless ok (but a failed Txn has its TxnResult, a refused
                       // RecipeStep its RecipeResult).
};

// ---- watches

struct Subscribe {
  ConnectionId connection;
  WatchId watch;
  watch::Filter filter;
  std::optional<Zxid> from;   // Exclusive; none: from now on.
  bool with_initial = false;  // The present state first, as `created` changes of one batch.
  Identities identities;
  std::optional<SessionCredential> session;
  // Linearizable: the stream starts at a revision not older than any answer sent before.
  Consistency consistency = Consistency::linearizable;
  Zxid min_revision;         // Local: it starts when this member has applied so much.
  bool is_internal = false;  // Of the member itself: not counted among those of clients.
};
struct Unsubscribe {
  ConnectionId connection;
  WatchId watch;
};
// Asks for the next page of a watch that catches up (see WatchState::more).
struct ResumeWatch {
  ConnectionId connection;
  WatchId watch;
};

// What a watch brings. A batch comes whole in one WatchEvent: the stream's id stands on its end.
struct WatchEvent {
  ConnectionId connection;
  WatchId watch;
  znode::SharedBatch batch;
  std::vector<std::uint32_t> wanted;  // Indices into batch->changes; empty: all of them.
  bool is_initial = false;            // Present state, not a change.
};
struct WatchState {
  enum class Kind : std::uint8_t {
    opened,   // First of all: the stream goes on from `revision`.
    more,     // A page was given and there is more: send ResumeWatch when there is room.
    present,  // The replay has reached `revision` and the watch is live (also after `initial`).
    ended,    // With `code`: compacted (`oldest` says), session_expired, forbidden, ...
  };
  ConnectionId connection;
  WatchId watch;
  Kind kind = Kind::opened;
  Zxid revision;
  Code code = Code::ok;
  std::string detail;
  Zxid oldest;
  std::optional<session::EndReason> end_reason;  // With session_expired, when it is known.
};

// Asks for an AppliedEvent of every entry, until the connection goes: for an edge that keeps the
// watches of its clients itself.
struct WatchApplied {
  ConnectionId connection;
};
// What one entry did, before any reply that shows it. Entries that did nothing of this kind bring
// none.
struct AppliedEvent {
  ConnectionId connection;
  Zxid revision;
  znode::SharedBatch batch;  // Null: no node changed.
  std::vector<SessionId> ended;
  std::vector<SessionId> moved;  // Attached anew.
  // This member took over a later state: what happened up to `revision` is not told.
  bool is_gap = false;
};

// Everything that goes to clients leaves in one ordered vector of these: order is data too.
using Delivery = std::variant<Reply, WatchEvent, WatchState, AppliedEvent>;

}  // namespace coord::core
