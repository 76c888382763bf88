// AclTable: every distinct ACL once, with a count of the nodes that have it.
//
// Slot 0 is open_acl(), which has id 0 and is not stored. An ACL's id comes from the counter of
// node ids, so that it is replicated and never used again; slots are local and are used again.
// Records (Table::acls) follow at commit(): an ACL that nothing refers to any more is erased then.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/ids.hpp"
#include "coord/base/records.hpp"
#include "znode/acl.hpp"

namespace coord::znode {

class AclTable {
 public:
  static constexpr std::uint32_t kOpen = 0;
  using RecordVisitor = std::function<void(Table, std::string_view key, std::string bytes)>;

  AclTable();

  // The slot of an ACL. One that is new takes its id from the counter.
  [[nodiscard]] std::uint32_t intern(const Acl& acl, NodeId& next_id);
  void add_reference(std::uint32_t slot);
  void drop_reference(std::uint32_t slot);

  [[nodiscard]] const Acl& acl(std::uint32_t slot) const { return slots_[slot].acl; }
  [[nodiscard]] std::uint64_t id(std::uint32_t slot) const { return slots_[slot].id; }
  [[nodiscard]] std::uint64_t references(std::uint32_t slot) const {
    return slots_[slot].references;
  }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }
  [[nodiscard]] bool may_world_read(std::uint32_t slot) const { return slots_[slot].is_readable; }

  // Puts what the transaction touched; returns what that adds to the digest.
  [[nodiscard]] std::uint64_t commit(DirtyMap& dirty);
  // Forgets what the transaction interned, once the references are as they were.
  void rollback();

  // Loading: nodes name ids first, then come the records, then load_done() says what is missing.
  [[nodiscard]] std::uint32_t slot_to_load(std::uint64_t id);
  [[nodiscard]] std::string load(std::uint64_t id, std::string_view bytes);
  [[nodiscard]] std::string load_done();
  void for_each_record(const RecordVisitor& visit) const;

 private:
  struct Slot {
    Acl acl;
    std::uint64_t id = 0;
    std::uint64_t references = 0;
    bool is_used = false;
    bool is_stored = false;   // There is a record of it.
    bool is_touched = false;  // Listed in touched_.
    bool is_readable = false;
  };
  std::uint32_t take_slot();
  void free_slot(std::uint32_t slot);
  void fill(std::uint32_t slot, Acl acl, std::string text);
  void touch(std::uint32_t slot);

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> touched_;
  absl::btree_map<std::string, std::uint32_t, std::less<>> by_text_;  // Encoded ACL to slot.
  absl::flat_hash_map<std::uint64_t, std::uint32_t> loading_;
};

}  // namespace coord::znode
