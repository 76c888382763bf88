// What the links ask of the member: who it is, whom it knows, where messages go.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "coord/core/identity.hpp"
#include "coord/server/config.hpp"
#include "coord/server/peer_link.hpp"
#include "coord/server/runner.hpp"

namespace coord::server {

// True when it holds no term, no entry and no checkpoint: a disk that promised nothing.
[[nodiscard]] bool is_empty(const core::Node& node);

// `http`: where this member serves. `leave` ends the process: an empty member was started with
// --members, and there is a cluster already that does not know it.
[[nodiscard]] PeerLinks::Hooks peer_hooks(const Config& config, const Endpoint& http,
                                          std::uint64_t disk_id, Runner& runner,
                                          std::function<void()> leave);

[[nodiscard]] core::VoteGate vote_gate(const Config& config, const core::Node& node);

}  // namespace coord::server
