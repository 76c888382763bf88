// Reads: how a read is answered from the replicated state in memory.
//
// Pure functions over a const StateMachine. What memory alone cannot answer (history beyond the
// ring) says so, and Node asks the store.
#pragma once

#include <optional>
#include <string>

#include "coord/core/request.hpp"
#include "coord/core/state_machine.hpp"

namespace coord::core {

// Answers Get (without `at`), GetChildren, GetNames, ReadMany, CountNodes, Walk, GetAcl and
// GetQuota into `reply` (code, detail, path, result). Requires: the operation is one of these.
void serve(const Request& request, const StateMachine& state, Reply& reply);

// quota_nodes.cpp: what a node "zookeeper_stats" below /zookeeper/quota says, if the path is one
// and its target has a quota. It is not what was written there.
[[nodiscard]] std::optional<std::string> quota_stats(const znode::Tree& tree,
                                                     std::string_view path);

// Is the caller allowed to know what a change says?
[[nodiscard]] bool may_see(const znode::Change& change, const Identities& identities);

// The path (or the first of the paths) that an operation names, to be checked at the door; empty
// when it names none. `is_prefix`: a sequential prefix, which may end in a slash.
struct NamedPath {
  std::string_view path;
  bool is_prefix = false;
};
// Every path that the operation names. Valid as long as the operation.
[[nodiscard]] std::vector<NamedPath> paths_of(const Operation& op);

}  // namespace coord::core
