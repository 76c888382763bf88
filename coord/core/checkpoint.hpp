// Checkpoint: replicated state on its way to the store and back.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/ids.hpp"
#include "coord/base/records.hpp"
#include "znode/change.hpp"

namespace coord::core {

// What one checkpoint writes, all or nothing: the dirty records, the changes since the last one,
// and the mark of where they stand.
struct Checkpoint {
  Index applied;
  Term applied_term;
  std::uint64_t digest = 0;  // Of the whole replicated state at `applied`.
  DirtyMap records;
  // In the order of their zxids. The store makes the records of `changes` and `change_paths` of
  // them (changes.hpp): the watches' history holds them anyway, and the loop need not encode them.
  std::vector<znode::SharedBatch> changes;
  // Changes with a zxid below this leave the tables `changes` and `change_paths`.
  Zxid trim_changes_below;
};

// The mark that a store holds.
struct CheckpointMark {
  Index applied;
  Term applied_term;
  std::uint64_t digest = 0;
};

// Takes records one by one in (table, key) order: what a load reads. Returns what is wrong, or
// nothing; a first error ends the load.
using RecordSink =
    std::function<std::string(Table table, std::string_view key, std::string_view bytes)>;

}  // namespace coord::core
