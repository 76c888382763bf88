// Stat: what is known of a node, with ZooKeeper's fields and meaning.
#pragma once

#include <cstdint>

#include "coord/base/ids.hpp"

namespace coord::znode {

enum class Mode : std::uint8_t {
  persistent = 0,
  ephemeral = 1,  // Goes with its session.
  container = 2,  // Goes some time after its last child; one that never had a child stays.
  ttl = 3,        // Goes when it was not changed for its ttl and has no children.
};

struct Stat {
  Zxid czxid;                 // Of the creation.
  Zxid mzxid;                 // Of the last change of the value.
  Zxid pzxid;                 // Of the last child created or deleted; czxid at first.
  std::int64_t ctime_ms = 0;  // Wall time, Unix epoch.
  std::int64_t mtime_ms = 0;
  std::int32_t version = 0;   // Changes of the value.
  std::int32_t cversion = 0;  // Children created plus children deleted.
  std::int32_t aversion = 0;  // Changes of the ACL.
  SessionId ephemeral_owner;  // None unless ephemeral.
  std::uint32_t data_length = 0;
  std::uint32_t num_children = 0;
  Mode mode = Mode::persistent;
  std::int64_t ttl_ms = 0;  // Zero unless mode is ttl.
  friend bool operator==(const Stat&, const Stat&) = default;
};

}  // namespace coord::znode
