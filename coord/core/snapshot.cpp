#include "coord/core/snapshot.hpp"

#include <utility>

namespace coord::core {

std::string StateLoader::take(Table table, std::string_view key, std::string_view bytes) {
  if (table == Table::meta && key == Retention::kKey) {
    return loaded_->retention.decode(bytes) ? "" : "the retention record is malformed";
  }
  return loaded_->state.load(table, key, bytes);
}

std::string StateLoader::done(const CheckpointMark& mark) {
  loaded_->mark = mark;
  return loaded_->state.load_done(mark);
}

}  // namespace coord::core
