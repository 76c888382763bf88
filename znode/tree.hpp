// Tree: the hierarchical namespace, in memory.
//
// Owns nodes with their stats, values, ACLs and quotas, the index of ephemerals (session to nodes),
// and the deadlines of containers and ttl nodes. It knows no sessions (only their ids), no watches,
// no consensus: core calls it with what a committed entry says. Every mutation happens between
// begin() and commit() or rollback(); a transaction is all or nothing. commit() gives the changes
// in order, and has put every touched record into the DirtyMap and into the digest.
//
// Memory: one allocation for a node (stat, name, value up to kInlineValueMax), ordered per
// directory; a leaf with a 12-byte name and a 100-byte value takes at most 230 bytes, index
// included.
//
// Invariants between calls (check_invariants() walks them all):
//   - no transaction is open;
//   - an ephemeral has no children and is in the index of its owner, and nothing else is there;
//   - num_children, quota usage and digest() equal what a walk finds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/blob.hpp"
#include "coord/base/code.hpp"
#include "coord/base/identity.hpp"
#include "coord/base/limits.hpp"
#include "coord/base/records.hpp"
#include "znode/acl.hpp"
#include "znode/change.hpp"
#include "znode/path.hpp"
#include "znode/restored.hpp"
#include "znode/stat.hpp"

namespace coord::znode {

// What a committed entry says about itself.
struct Stamp {
  Zxid zxid;
  std::int64_t service_ms = 0;  // Replicated time: for deadlines.
  std::int64_t wall_ms = 0;     // Shown as ctime and mtime.
  SessionId session;            // Who acts; none if no session was named.
  bool is_service = false;      // The service itself (recipes): may write under /.coord.
  bool is_import = false;       // Brings nodes from elsewhere: may write in closed subtrees.
};

// The outcome of one mutation. `detail` is for people, empty when ok.
struct Outcome {
  Code code = Code::ok;
  std::string detail;
  std::string path;  // Of the node concerned (with its suffix when sequential).
  Stat stat;         // Afterwards (of a deleted node: the last). On bad_version and node_exists the
                     // present one, for the answer's ETag and owner.
};

// Guards of a write. All that are set must hold. A guard on a missing node gives
// precondition_no_node; one that does not match gives bad_version.
struct Guard {
  std::optional<Zxid> mzxid;
  std::optional<std::int32_t> version;
  [[nodiscard]] bool is_set() const noexcept { return mzxid || version; }
};

struct CreateOptions {
  Mode mode = Mode::persistent;
  bool is_sequential = false;  // A ten-digit suffix from the parent's count of children created.
  bool with_parents = false;   // Missing parents are made: persistent, null data, parent's ACL.
  std::int64_t ttl_ms = 0;     // > 0 exactly for Mode::ttl.
  std::optional<Acl> acl;      // Resolved already; none: open_acl().
  std::string content_type;
};

struct Quota {
  std::optional<std::uint64_t> nodes_max;  // Nodes of the subtree, its top included.
  std::optional<std::uint64_t> bytes_max;  // Bytes of their values.
  friend bool operator==(const Quota&, const Quota&) = default;
};
struct QuotaUsage {
  Quota quota;
  std::uint64_t nodes = 0;
  std::uint64_t bytes = 0;
};

// A node as readers see it. Views are valid until the next mutation.
struct View {
  NodeId id;
  Stat stat;
  std::string_view value;
  bool is_null = false;
  std::string_view content_type;
};

class Tree {
 public:
  static constexpr std::size_t kInlineValueMax = 512;

  // An empty tree: the root, /.coord and /zookeeper with its config and quota exist (persistent,
  // zxid 0, empty data).
  explicit Tree(TreeLimits limits);
  ~Tree();
  Tree(Tree&&) noexcept;
  Tree& operator=(Tree&&) noexcept;

  // ---- reads (const, no allocation but for results)
  [[nodiscard]] std::optional<View> get(std::string_view path) const;
  // A copy of the value that outlives mutations; shared, not copied, above kInlineValueMax.
  [[nodiscard]] Blob value_of(std::string_view path) const;
  [[nodiscard]] const Acl* acl_of(std::string_view path) const;  // Null if there is no such node.
  // ok, no_node or forbidden. `path` may miss only for Permission::read-like checks on itself.
  [[nodiscard]] Code check_access(std::string_view path, std::uint8_t wanted,
                                  const Identities& identities) const;
  // Calls `each` for the children with a name > `after` that start with `prefix`, in byte order,
  // until it returns false. Costs O(log n + children visited). False if there is no such node.
  bool children(std::string_view path, std::string_view after, std::string_view prefix,
                const std::function<bool(std::string_view name, const View&)>& each) const;
  // Depth-first, parents first, children in byte order, `depth` levels below the top (0: the top
  // alone), from the first path > `after` in that order (empty: from the start) until `each`
  // returns false. System nodes below the top are left out unless `with_system`.
  bool walk(std::string_view top, std::size_t depth, std::string_view after, bool with_system,
            const std::function<bool(std::string_view path, const View&)>& each) const;
  [[nodiscard]] std::vector<std::string> ephemerals_of(SessionId session) const;  // Sorted.
  [[nodiscard]] std::size_t ephemeral_count() const noexcept;
  [[nodiscard]] std::size_t ephemeral_count_of(SessionId session) const noexcept;
  [[nodiscard]] std::optional<QuotaUsage> quota_of(std::string_view path) const;  // Set right here.
  [[nodiscard]] std::size_t node_count() const noexcept;
  [[nodiscard]] std::uint64_t value_bytes() const noexcept;
  [[nodiscard]] std::uint64_t descendants_of(std::string_view path) const;  // Walks; for admins.
  [[nodiscard]] std::uint64_t digest() const noexcept;  // Sum over records, see records.hpp.
  // Paths of containers and ttl nodes whose deadline has passed, at most `most`, soonest first.
  [[nodiscard]] std::vector<std::string> due(std::int64_t service_ms, std::size_t most) const;
  // The soonest deadline, or none.
  [[nodiscard]] std::optional<std::int64_t> next_deadline() const;

  // ---- mutations: between begin() and commit() / rollback()
  void begin(const Stamp& stamp);
  [[nodiscard]] Outcome create(std::string_view path, const Blob& value, CreateOptions options,
                               const Identities& identities);
  [[nodiscard]] Outcome set(std::string_view path, const Blob& value, std::string_view content_type,
                            const Guard& guard, const Identities& identities);
  // Without children only; not_empty otherwise.
  [[nodiscard]] Outcome erase(std::string_view path, const Guard& guard,
                              const Identities& identities);
  // The node and all below it, children first. Checks permissions at every level. too_large when
  // there are more than limits.delete_tree_nodes_max.
  [[nodiscard]] Outcome erase_tree(std::string_view path, const Guard& guard,
                                   const Identities& identities);
  // Exists, readable, and the guard holds. Without a guard: exists.
  [[nodiscard]] Outcome check(std::string_view path, const Guard& guard,
                              const Identities& identities) const;
  [[nodiscard]] Outcome set_acl(std::string_view path, const Acl& acl,
                                std::optional<std::int32_t> aversion, const Identities& identities);
  // Sets or (with none) removes the quota of an existing node; one without limits only measures.
  // Exceeded already: allowed, and then only what does not grow the subtree is accepted.
  [[nodiscard]] Outcome set_quota(std::string_view path, const std::optional<Quota>& quota,
                                  const Identities& identities);
  // Makes a node what another service says of it, or creates it so; its parent must be there. The
  // zxids become this transaction's: czxid too, unless the node is there with that ctime. Children
  // that are there already count at least. Asks no permissions; refuses what is the service's own.
  [[nodiscard]] Outcome restore(std::string_view path, const Blob& value, const Restored& as);
  // All ephemerals of a session, in path order; no permissions asked. Returns how many.
  std::size_t erase_ephemerals(SessionId session);
  // Removes the node if it is a container or ttl node that is due and empty now; else does nothing.
  // In a closed subtree it only gets its time once more.
  bool reap(std::string_view path);

  // Ends the transaction and gives its changes in order (may be empty).
  [[nodiscard]] std::vector<Change> commit(DirtyMap& dirty);
  // Undoes everything since begin(): nodes, stats, counters, quotas, digest.
  void rollback();
  [[nodiscard]] bool is_open() const noexcept;
  // From here on the open transaction acts as the service itself (see Stamp::is_service).
  void act_as_service() noexcept;
  // What the open transaction has changed so far, in order. Valid until the next mutation.
  [[nodiscard]] std::span<const Change> pending_changes() const noexcept;

  // Subtrees that only transactions with `is_import` may write: core says which, it is no state of
  // the tree. What is the service's own stays open, and ephemerals go with their session.
  void set_closed(std::vector<std::string> tops);

  // ---- checkpoint
  // Loads one record of Table::nodes, acls or quotas; nodes in key order. Call load_done() once
  // after all. Errors name the record.
  [[nodiscard]] std::string load(Table table, std::string_view key, std::string_view bytes);
  [[nodiscard]] std::string load_done();
  // The counter of the ids of nodes and ACLs: stored by core in Table::meta, restored before
  // load().
  [[nodiscard]] NodeId next_node_id() const noexcept;
  void set_next_node_id(NodeId id) noexcept;
  // Puts every record (an initial checkpoint of a fresh tree, and a check in tests).
  void put_all(DirtyMap& dirty) const;

  // Walks everything and aborts on a broken invariant. For tests and the simulator.
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::znode
