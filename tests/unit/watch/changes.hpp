// Short ways to write changes and batches in the tests of watches.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "znode/change.hpp"

namespace coord::watch {

inline znode::Change make_change(std::string path,
                                 znode::ChangeKind kind = znode::ChangeKind::changed) {
  znode::Change change;
  change.kind = kind;
  change.path = std::move(path);
  return change;
}

inline znode::SharedBatch make_batch(std::uint64_t zxid, std::vector<znode::Change> changes) {
  auto batch = std::make_shared<znode::ChangeBatch>();
  batch->zxid = Zxid(zxid);
  batch->changes = std::move(changes);
  return batch;
}

// One that changes the values of these paths.
inline znode::SharedBatch batch_at(std::uint64_t zxid, const std::vector<std::string>& paths) {
  std::vector<znode::Change> changes;
  for (const auto& path : paths) changes.push_back(make_change(path));
  return make_batch(zxid, std::move(changes));
}

}  // namespace coord::watch
