// Restored: a node as another service had it.
#pragma once

#include <cstdint>

#include "znode/acl.hpp"
#include "znode/stat.hpp"

namespace coord::znode {

// What restore() gives a node beside its value: all that another service says of it but the zxids.
struct Restored {
  Mode mode = Mode::persistent;  // Never ephemeral: its session is not here.
  std::int64_t ttl_ms = 0;       // > 0 exactly for Mode::ttl; it runs anew from here.
  Acl acl;
  std::int32_t version = 0;
  std::int32_t aversion = 0;
  std::uint64_t created = 0;  // Children ever created: what sequential names count.
  std::int64_t ctime_ms = 0;
  std::int64_t mtime_ms = 0;
  friend bool operator==(const Restored&, const Restored&) = default;
};

}  // namespace coord::znode
