// Ready: what one step of Raft asks of the world.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "coord/base/ids.hpp"
#include "election/entry.hpp"
#include "election/membership.hpp"
#include "election/message.hpp"

namespace coord::election {

// To be written and synced as one. Numbered: Raft::persisted(number) reports it done, in order.
// Entries are contiguous and replace whatever the log on disk holds from their first index on.
struct Persist {
  std::uint64_t number = 0;
  std::optional<HardState> hard_state;
  std::vector<SharedEntry> entries;
};

struct ReadGrant {
  ReadId read;
  bool granted = false;  // False: not the leader any more, or no leader; try again.
  Index index;           // Serve the read once this is applied.
};

struct Ready {
  std::optional<Persist> persist;
  std::vector<Message> messages;  // Leave at once.
  std::vector<Message>
      messages_after_persist;          // Leave when `persist` (or, without one, every
                                       // earlier persist) is synced: votes, acknowledgements.
  std::vector<SharedEntry> committed;  // To be applied, in order, each exactly once.
  std::vector<ReadGrant> read_grants;
  std::optional<SnapshotMark> install;  // A snapshot to fetch: see SnapshotRequest.
  [[nodiscard]] bool empty() const noexcept {
    return !persist && messages.empty() && messages_after_persist.empty() && committed.empty() &&
           read_grants.empty() && !install;
  }
};

}  // namespace coord::election
