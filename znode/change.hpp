// Change: what one committed transaction did to one node.
//
// Emitted by the tree, consumed by watches, by the table of changes (history) and by the API.
// Every member emits the same ones. Encoded with encode()/decode() for the table of changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/blob.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/ids.hpp"
#include "znode/acl.hpp"
#include "znode/stat.hpp"

namespace coord::znode {

enum class ChangeKind : std::uint8_t { created = 1, changed = 2, deleted = 3, acl = 4 };

struct Change {
  ChangeKind kind = ChangeKind::changed;
  std::string path;
  Blob value;                // The value afterwards; null for deleted and acl.
  std::string content_type;  // Of `value`.
  Blob prev_value;           // The value before; null for created and acl.
  std::string prev_content_type;
  Stat stat;          // Afterwards; of a deleted node: the last it had.
  Stat prev_stat;     // Before; of a created node: all zero.
  SessionId session;  // Who did it; none if no session was named.
  Acl acl;            // Of the node (of a deleted one: its last), empty if anyone may read.
  friend bool operator==(const Change&, const Change&) = default;
};

// All changes of one transaction, in the order in which they were made. Never empty when shared.
// A transaction may change a path more than once.
struct ChangeBatch {
  Zxid zxid;
  std::int64_t wall_ms = 0;
  std::vector<Change> changes;
};

using SharedBatch = std::shared_ptr<const ChangeBatch>;

// The memory that a batch takes, about.
[[nodiscard]] std::size_t bytes_of(const ChangeBatch& batch) noexcept;

void encode(const Stat& stat, Writer& out);
[[nodiscard]] Stat decode_stat(Reader& in);
void encode(const Change& change, Writer& out);
// A malformed change fails the reader.
[[nodiscard]] Change decode_change(Reader& in);

}  // namespace coord::znode
