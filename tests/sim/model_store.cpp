#include "tests/sim/model_store.hpp"

#include "coord/base/codec.hpp"
#include "coord/core/changes.hpp"

namespace coord::sim {
namespace {

constexpr std::size_t kTrimmedChangesMax = 50'000;

}  // namespace

Result<std::optional<core::CheckpointMark>> ModelStore::mark() const { return mark_; }

Result<void> ModelStore::load(const core::RecordSink& sink) const {
  std::uint64_t digest = 0;
  for (const auto& [key, bytes] : records_) {
    if (key.first == Table::changes || key.first == Table::change_paths) continue;
    if (is_in_digest(key.first)) digest += record_hash(key.first, key.second, bytes);
    if (auto wrong = sink(key.first, key.second, bytes); !wrong.empty()) {
      return error(Failure::corrupt, "{}", wrong);
    }
  }
  if (digest != (mark_ ? mark_->digest : 0)) {
    return error(Failure::corrupt, "the digest differs from the mark's");
  }
  return success();
}

void ModelStore::set(const Key& key, const std::optional<std::string>& bytes) {
  const auto at = records_.find(key);
  before_.try_emplace(key, at == records_.end() ? std::nullopt : std::optional(at->second));
  if (bytes) {
    records_.insert_or_assign(key, *bytes);
  } else if (at != records_.end()) {
    records_.erase(at);
  }
}

void ModelStore::set_changes(const std::vector<znode::SharedBatch>& batches) {
  for (const auto& batch : batches) {
    for (std::size_t i = 0; i < batch->changes.size(); ++i) {
      const auto key = core::change_key(batch->zxid, static_cast<std::uint32_t>(i));
      const auto bytes = core::encode_stored(*batch, i);
      set(Key(Table::changes, key), bytes);
      set(Key(Table::change_paths, core::change_path_key_of(key, bytes)), std::string());
    }
  }
}

void ModelStore::trim(Zxid below) {
  for (std::size_t trimmed = 0; trimmed < kTrimmedChangesMax; ++trimmed) {
    const auto at = records_.lower_bound(Key(Table::changes, ""));
    if (at == records_.end() || at->first.first != Table::changes) return;
    const Key key = at->first;
    if (read_big_endian(key.second) >= below.value()) return;
    const auto path = core::change_path_key_of(key.second, at->second);
    set(Key(Table::change_paths, path), std::nullopt);
    set(key, std::nullopt);
  }
}

Result<void> ModelStore::commit(const core::Checkpoint& checkpoint) {
  if (faults.commit_fails) return error(Failure::io, "commit failed");
  if (faults.is_full) return error(Failure::disk_full, "no space left");
  for (const auto& [key, bytes] : checkpoint.records.records()) {
    if (key.table == Table::changes && bytes &&
        (key.key.size() != core::kChangeKeyBytes || bytes->size() < core::kPathHashBytes)) {
      return error(Failure::invalid, "a change has a key of 12 bytes and begins with a hash");
    }
  }
  before_.clear();
  mark_before_ = mark_;
  for (const auto& [key, bytes] : checkpoint.records.records()) {
    set(Key(key.table, key.key), bytes ? std::optional<std::string>(*bytes) : std::nullopt);
  }
  set_changes(checkpoint.changes);
  trim(checkpoint.trim_changes_below);
  mark_ = core::CheckpointMark{checkpoint.applied, checkpoint.applied_term, checkpoint.digest};
  can_fall_back_ = true;
  is_unsynced_ = false;
  return success();
}

// Of what is there, so that a mutant is not found by the digest of the load alone.
void ModelStore::set_digest() {
  std::uint64_t digest = 0;
  for (const auto& [key, bytes] : records_) {
    if (is_in_digest(key.first)) digest += record_hash(key.first, key.second, bytes);
  }
  if (mark_) mark_->digest = digest;
}

void ModelStore::commit_data(const core::Checkpoint& checkpoint) {
  for (const auto& [key, bytes] : checkpoint.records.records()) {
    set(Key(key.table, key.key), bytes ? std::optional<std::string>(*bytes) : std::nullopt);
  }
  set_changes(checkpoint.changes);
  set_digest();
  can_fall_back_ = false;
}

Result<void> ModelStore::commit_mutated(const core::Checkpoint& checkpoint, Mutant mutant) {
  core::Checkpoint changed;
  changed.applied = checkpoint.applied;
  changed.applied_term = checkpoint.applied_term;
  changed.digest = checkpoint.digest;
  changed.trim_changes_below = checkpoint.trim_changes_below;
  changed.changes = checkpoint.changes;
  bool has_ended = false;
  for (const auto& [key, bytes] : checkpoint.records.records()) {
    has_ended = has_ended || (key.table == Table::ended && bytes);
  }
  for (const auto& [key, bytes] : checkpoint.records.records()) {
    if (mutant == Mutant::window_not_stored && key.table == Table::retry) continue;
    if (mutant == Mutant::ephemerals_stay && has_ended && key.table == Table::nodes && !bytes) {
      continue;
    }
    if (bytes) {
      changed.records.put(key.table, key.key, *bytes);
    } else {
      changed.records.erase(key.table, key.key);
    }
  }
  auto result = commit(changed);
  if (result && (mutant == Mutant::window_not_stored || mutant == Mutant::ephemerals_stay)) {
    set_digest();
    can_fall_back_ = false;
  }
  return result;
}

Result<void> ModelStore::scan(
    Table table, std::string_view from, std::string_view to,
    const std::function<bool(std::string_view key, std::string_view bytes)>& each) const {
  auto at = from.empty() ? records_.lower_bound(Key(table, ""))
                         : records_.upper_bound(Key(table, std::string(from)));
  for (; at != records_.end() && at->first.first == table; ++at) {
    if (!to.empty() && at->first.second > to) break;
    if (!each(at->first.second, at->second)) break;
  }
  return success();
}

Result<std::optional<std::string>> ModelStore::get(Table table, std::string_view key) const {
  const auto at = records_.find(Key(table, std::string(key)));
  if (at == records_.end()) return std::optional<std::string>();
  return std::optional<std::string>(at->second);
}

Result<std::optional<Zxid>> ModelStore::oldest_change() const {
  const auto at = records_.lower_bound(Key(Table::changes, ""));
  if (at == records_.end() || at->first.first != Table::changes) return std::optional<Zxid>();
  return std::optional<Zxid>(Zxid(read_big_endian(at->first.second)));
}

bool ModelStore::damage(Prng& prng) {
  std::vector<Key> keys;
  for (const auto& [key, bytes] : records_) {
    if (is_in_digest(key.first) && !bytes.empty()) keys.push_back(key);
  }
  if (!mark_ || keys.empty()) return false;
  const auto& key = keys[static_cast<std::size_t>(prng.below(keys.size()))];
  if (prng.chance(1, 3)) return records_.erase(key) > 0;
  auto& bytes = records_[key];
  auto& byte = bytes[static_cast<std::size_t>(prng.below(bytes.size()))];
  byte = static_cast<char>(static_cast<std::uint8_t>(byte) ^ 1U << prng.below(8));
  return true;
}

std::uint64_t ModelStore::bytes_used() const {
  std::uint64_t bytes = 0;
  for (const auto& [key, value] : records_) bytes += key.second.size() + value.size();
  return bytes;
}

void ModelStore::crash(Prng& prng, const core::Checkpoint* under_way, const StoreCrashOdds& odds) {
  if (under_way != nullptr && prng.chance(odds.under_way_kept_percent, 100)) {
    faults = StoreFaults{};
    if (!commit(*under_way)) return;
  }
  if (can_fall_back_ && prng.chance(odds.fallback_percent, 100)) {
    for (const auto& [key, bytes] : before_) {
      if (bytes) {
        records_.insert_or_assign(key, *bytes);
      } else {
        records_.erase(key);
      }
    }
    mark_ = mark_before_;
  }
  if (std::exchange(is_unsynced_, false) && prng.chance(odds.unsynced_lost_percent, 100)) {
    lose_half();
  }
  // One step back at most: the page before was overwritten by the commit after it.
  can_fall_back_ = false;
  faults = StoreFaults{};
}

}  // namespace coord::sim
