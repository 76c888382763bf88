// Limits: the named bounds of everything that grows, with defaults and ceilings.
//
// Exceeding one is an error that the client sees (too-large, overloaded, quota), never growth.
// Replicated limits (those of apply) are part of the configuration that all members share; a
// simulator draws tiny ones from its seed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace coord {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;

// Bounds that apply() enforces.
struct TreeLimits {
  std::size_t value_bytes_max = kMiB;           // One node's value.
  std::size_t path_bytes_max = 4 * kKiB;        // A whole path.
  std::size_t name_bytes_max = 2 * kKiB - 1;    // One segment.
  std::size_t depth_max = 128;                  // Segments of a path.
  std::size_t acl_entries_max = 64;             // Entries of one ACL.
  std::size_t content_type_bytes_max = 255;     // A value's content type.
  std::size_t delete_tree_nodes_max = 100'000;  // Nodes that one recursive delete may remove.
  std::int64_t container_grace_ms = 10'000;     // An empty container stays so long.
};

struct SessionLimits {
  std::size_t sessions_max = 1'000'000;
  std::int64_t ttl_ms_min = 1'000;
  std::int64_t ttl_ms_max = 24LL * 3600 * 1000;
  std::int64_t ttl_ms_default = 15'000;
  std::size_t name_bytes_max = 255;
  std::size_t ended_max = 100'000;  // Sessions whose end is remembered with its reason.
};

struct RetryLimits {
  std::size_t key_bytes_max = 255;
  std::int64_t age_ms = 600'000;        // An entry younger than this stays ...
  std::size_t entries_kept = 100'000;   // ... and so do the last so many ...
  std::size_t entries_max = 1'000'000;  // ... but never more than this.
};

struct WatchLimits {
  std::size_t history_changes_max = 65'536;  // The ring in memory, by count ...
  std::size_t history_bytes_max = 4 * kMiB;  // ... and by bytes.
  std::size_t watches_per_connection_max = 100'000;
  std::size_t paths_per_watch_max = 1'000;
  std::size_t replay_page_bytes = 256 * kKiB;  // What one step of a replay hands out.
};

struct RequestLimits {
  std::size_t txn_ops_max = 1'000;
  std::size_t list_limit_default = 1'000;
  std::size_t list_limit_max = 10'000;
  std::size_t pending_max = 100'000;  // Requests of one member that wait for an outcome.
  std::size_t identities_max = 16;
  std::size_t fences_max = 16;
};

}  // namespace coord
