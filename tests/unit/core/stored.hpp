// What a state machine has handed out to be stored, as a map.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "coord/base/records.hpp"

namespace coord::core {

using Store = std::map<std::pair<Table, std::string>, std::string>;

inline void commit(const DirtyMap::Records& records, Store& store) {
  for (const auto& [key, bytes] : records) {
    if (bytes) {
      store[{key.table, std::string(key.key)}] = *bytes;
    } else {
      store.erase({key.table, std::string(key.key)});
    }
  }
}

}  // namespace coord::core
