// Invariants: what is always true of a Node, and what may never go back.
//
// A friend that looks inside and changes nothing. Problems come back as text, all of them and not
// only the first, so that a test or the simulator prints them beside its seed; what the parts check
// of themselves (trees, buckets, rings) aborts at once. It walks everything: for tests and for the
// simulator, after every step, never for a server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coord/core/node.hpp"

namespace coord::core {

class Invariants {
 public:
  // What one step is compared with.
  struct Snapshot {
    Term term;
    MemberId leader;
    Index committed;
    Index applied;
    Index checkpointed;
    Zxid history_floor;
    Zxid retention_floor;
    std::uint64_t installs = 0;
    std::int64_t service_ms = 0;
    std::int64_t mono_ms = 0;
    std::uint64_t digest = 0;
  };

  // Requires of all three: the effects of the last step were taken.
  [[nodiscard]] static Snapshot snapshot_of(const Node& node);
  [[nodiscard]] static std::vector<std::string> check_basic(const Node& node);
  [[nodiscard]] static std::vector<std::string> check_delta(const Snapshot& previous,
                                                            const Node& node);

 private:
  class Findings;
  static void check_order(const Node& node, Findings& findings);
  static void check_sessions(const Node& node, Findings& findings);
  static void check_watches(const Node& node, Findings& findings);
  static void check_waiting(const Node& node, Findings& findings);
};

}  // namespace coord::core
