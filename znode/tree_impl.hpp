// Tree::Impl: the state of a tree, and the steps that its parts share.
//
// tree.cpp reads; tree_write.cpp has the mutations; tree_journal.cpp the steps that they are made
// of, and how those end or are undone; tree_quota.cpp quotas and deadlines; tree_record.cpp the
// records; tree_restore.cpp what is imported; tree_check.cpp the invariants.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "znode/acl_table.hpp"
#include "znode/node.hpp"
#include "znode/tree.hpp"

namespace coord::znode {

struct Tree::Impl {
  // One step of the open transaction, with what it takes to undo it.
  struct Step {
    enum class Kind : std::uint8_t { created, replaced, erased, quota };
    Kind kind;
    Node* node;           // Created, erased, or the one that is there now.
    Node* old = nullptr;  // Replaced: the one that was there.
    // Of the parent (created, erased) or of the node itself (replaced), as they were.
    std::uint64_t created = 0;
    Zxid pzxid;
    std::int64_t touched_ms = 0;
    Mode mode = Mode::persistent;  // Replaced, as those that follow.
    std::int64_t ttl_ms = 0;
    bool had_extension = false;
  };
  struct QuotaRecord {
    NodeId id;
    std::optional<Quota> quota;
  };
  // How far a path leads.
  struct Descent {
    Node* deepest;
    std::string_view rest;  // What is not there: "b/c" of "/a/b/c" when only "/a" is there.
  };

  explicit Impl(const TreeLimits& tree_limits);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // ---- reads: tree.cpp
  [[nodiscard]] const Node* find(std::string_view path) const;
  [[nodiscard]] Node* find(std::string_view path) {
    return const_cast<Node*>(std::as_const(*this).find(path));
  }
  [[nodiscard]] Descent descend(std::string_view path);
  [[nodiscard]] bool may(const Node& node, std::uint8_t wanted, const Identities& who) const;

  // ---- mutations: tree_write.cpp
  [[nodiscard]] Outcome create(std::string_view path, const Blob& value, CreateOptions& options,
                               const Identities& who);
  [[nodiscard]] Outcome set(std::string_view path, const Blob& value, std::string_view content_type,
                            const Guard& guard, const Identities& who);
  [[nodiscard]] Outcome erase(std::string_view path, const Guard& guard, const Identities& who);
  [[nodiscard]] Outcome erase_tree(std::string_view path, const Guard& guard,
                                   const Identities& who);
  [[nodiscard]] Outcome check(std::string_view path, const Guard& guard,
                              const Identities& who) const;
  [[nodiscard]] Outcome set_acl(std::string_view path, const Acl& acl,
                                std::optional<std::int32_t> aversion, const Identities& who);
  [[nodiscard]] Outcome missing(std::string_view path, bool is_guarded) const;
  // Of what is the service's own, and of what is closed.
  [[nodiscard]] Outcome refuse_service(std::string_view path) const;
  [[nodiscard]] Outcome refuse_create(std::string_view path, const Blob& value,
                                      const CreateOptions& options, const Identities& who) const;
  [[nodiscard]] Outcome refuse_erase(std::string_view path, const Node* node, const Guard& guard,
                                     const Identities& who) const;
  [[nodiscard]] Outcome refuse_value(std::string_view path, const Blob& value,
                                     std::string_view content_type) const;
  // The node and all below it, children first; none if they are more than limits allow.
  [[nodiscard]] std::optional<std::vector<Node*>> subtree_of(Node* top) const;

  // ---- imports: tree_restore.cpp
  [[nodiscard]] Outcome restore(std::string_view path, const Blob& value, const Restored& as);
  [[nodiscard]] Outcome refuse_restore(std::string_view path, const Blob& value,
                                       const Restored& as) const;
  [[nodiscard]] Outcome restore_there(std::string_view path, Node* node, const Blob& value,
                                      const Restored& as);
  [[nodiscard]] bool is_closed(std::string_view path) const;
  [[nodiscard]] bool has_closed_below(std::string_view path) const;
  // Gives a container or ttl node its time once more.
  void postpone(Node* node);

  // ---- steps: tree_journal.cpp
  struct NewNode {
    std::string_view name;
    Value value;
    std::string_view content_type;
    std::uint32_t acl = AclTable::kOpen;
    Mode mode = Mode::persistent;
    std::int64_t ttl_ms = 0;
    const Restored* restored = nullptr;  // Not new: this is how it was elsewhere.
  };
  Node* add_node(Node* parent, std::string_view path, const NewNode& parts, const Blob& value);
  void erase_node(Node* node, std::string_view path);
  // Puts `fresh` where `node` is; counts nothing but sizes.
  void replace_node(Node* node, Node* fresh);
  void begin(const Stamp& new_stamp);
  [[nodiscard]] std::vector<Change> commit(DirtyMap& dirty);
  void rollback();

  void link(Node* node);
  void unlink(Node* node);
  void swap_in(Node* old, Node* fresh);
  void undo(Step& step);
  void touch(Node* node);
  void flush(Node* node, DirtyMap& dirty);
  [[nodiscard]] Extension* extend(Node* node);
  void drop_idle_extension(Node* node);
  [[nodiscard]] Change change_of(ChangeKind kind, std::string_view path, const Node& node) const;
  static void free_with_extension(Node* node) noexcept;
  void add_ephemeral(Extension* extension);
  void remove_ephemeral(Extension* extension);

  // ---- quotas and deadlines: tree_quota.cpp
  [[nodiscard]] Outcome set_quota(std::string_view path, const std::optional<Quota>& quota,
                                  const Identities& who);
  // ok, or Code::quota when so much more at and below `node` breaks a quota.
  [[nodiscard]] Outcome refuse_growth(std::string_view path, const Node* node, std::uint64_t nodes,
                                      std::uint64_t bytes) const;
  // Counts what came to (or, negative, left) the subtree of `node`.
  void account(Node* node, std::int64_t nodes, std::int64_t bytes);
  void measure(Extension& extension) const;
  void refresh_deadline(Extension* extension);

  // ---- records: tree_record.cpp
  void encode_node(const Node& node, std::string& out) const;
  [[nodiscard]] std::uint64_t hash_of(const Node& node);
  [[nodiscard]] std::string load_node(std::string_view key, std::string_view bytes);
  [[nodiscard]] std::string load_quota(NodeId id, std::string_view bytes);
  [[nodiscard]] std::string load(Table table, std::string_view key, std::string_view bytes);
  [[nodiscard]] std::string fill_directories();
  [[nodiscard]] std::string load_done();
  [[nodiscard]] Node* loaded(NodeId id) const;
  void for_each_record(const AclTable::RecordVisitor& visit) const;
  void clear();

  void check_invariants() const;

  TreeLimits limits;
  Node* root = nullptr;
  NodeId next_node_id{1};
  std::size_t node_count = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t digest = 0;
  std::size_t quota_count = 0;
  AclTable acls;
  absl::btree_map<SessionId, std::vector<Extension*>> ephemerals;
  std::size_t ephemeral_count = 0;  // In all lists.
  absl::btree_map<std::pair<std::int64_t, NodeId>, Extension*> deadlines;
  std::vector<std::string> closed;

  // The open transaction. The vectors keep their memory from one to the next.
  bool is_open = false;
  Stamp stamp;
  std::vector<Step> steps;
  std::vector<Change> changes;
  std::vector<QuotaRecord> quota_records;
  std::vector<std::unique_ptr<QuotaUsage>> quotas_before;
  std::uint64_t digest_before = 0;
  NodeId next_node_id_before;
  std::string scratch;

  // Only while records are loaded: nodes in order of their ids.
  bool is_loading = false;
  std::vector<std::pair<NodeId, Node*>> loaded_nodes;
  std::vector<std::vector<Node*>> loaded_children;  // By Extension::place of their parents.
};

[[nodiscard]] std::string key_of(NodeId id);
[[nodiscard]] std::string encode_quota(const Quota& quota);

// A refusal.
[[nodiscard]] Outcome refused(Code code, std::string_view path, std::string detail);
// Does the guard hold? bad_version with the present stat if not.
[[nodiscard]] Outcome check_guard(std::string_view path, const Node& node, const Guard& guard);

}  // namespace coord::znode
