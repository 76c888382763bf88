// LogEntry and HardState: what Raft asks the disk to keep.
//
// Immutable once made and shared by log, WAL and peers. The payload is opaque here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "coord/base/ids.hpp"

namespace coord::election {

enum class EntryKind : std::uint8_t {
  command = 1,     // Payload: an encoded core::Command.
  no_op = 2,       // A new leader's first entry (thesis, section 6.4).
  membership = 3,  // Payload: an encoded Membership (thesis, chapter 4).
};

struct LogEntry {
  Term term;
  Index index;
  EntryKind kind = EntryKind::command;
  std::string payload;
  friend bool operator==(const LogEntry&, const LogEntry&) = default;
};

using SharedEntry = std::shared_ptr<const LogEntry>;

// Persisted together in one record, so that no crash can come between (pitfall: hashicorp/raft
// 661).
struct HardState {
  Term term;
  MemberId vote;  // None: no vote in this term.
  friend bool operator==(const HardState&, const HardState&) = default;
};

// The last entry that a snapshot (the checkpoint) covers.
struct SnapshotMark {
  Index index;
  Term term;
  friend bool operator==(const SnapshotMark&, const SnapshotMark&) = default;
};

}  // namespace coord::election
