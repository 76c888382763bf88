#include "coord/server/offline.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "coord/disk/posix_disk.hpp"
#include "coord/disk/recovery.hpp"
#include "coord/disk/wal.hpp"
#include "coord/server/data.hpp"
#include "coord/server/log.hpp"
#include "coord/server/snapshots.hpp"

namespace coord::server {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::uint64_t kProgressBytes = 256 << 20;  // A line each.

// A data directory whose log was replayed into its store.
struct Settled {
  std::unique_ptr<disk::Disk> wal_disk;
  std::unique_ptr<disk::Wal> wal;
  std::unique_ptr<disk::StateStore> store;
  election::HardState hard_state;
  Index last;
};

Result<void> write_term(disk::Wal& wal, Term term) {
  disk::WalBatch batch;
  batch.hard_state = election::HardState{term, MemberId()};
  COORD_TRY(wal.append(batch));
  return wal.sync();
}

// Applies what the log holds beyond the checkpoint and commits it: one state, in the store.
Result<Settled> settle(const Config& config) {
  Settled settled;
  COORD_TRY(settled.wal_disk, disk::open_posix_disk(config.data + "/wal"));
  COORD_TRY(auto opened, open_data(config, *settled.wal_disk));
  settled.wal = std::move(opened.wal);
  settled.store = std::move(opened.store);
  auto& state = opened.state.state;
  auto& retention = opened.state.retention;
  settled.hard_state = opened.state.log.hard_state;
  for (const auto& entry : opened.state.log.entries) {
    const auto applied = state.apply(*entry);
    if (!applied.batch) continue;
    retention.add(applied.batch->zxid, applied.batch->changes.size(),
                  znode::bytes_of(*applied.batch));
  }
  settled.last = index_of(state.applied());
  if (!settled.last) {
    return error(Failure::invalid, "{} holds no data of a member", config.data);
  }
  if (opened.state.log.entries.empty()) return settled;
  auto checkpoint = state.take_checkpoint();
  retention.close_step(config.retention);
  checkpoint.trim_changes_below = retention.floor();
  checkpoint.records.put(Table::meta, core::Retention::kKey, retention.encode());
  COORD_TRY(settled.store->commit(checkpoint));
  return settled;
}

// Turns the state in a store into that of a cluster of one. The first leader gives it an identity:
// it finds none.
Result<void> make_alone(disk::StateStore& store, const Config& config, Term term) {
  COORD_TRY(const auto mark, store.mark());
  core::Checkpoint checkpoint;
  checkpoint.applied = Index(mark->applied.value() + kIndexJump);
  checkpoint.applied_term = term;
  checkpoint.digest = mark->digest;
  COORD_TRY(store.scan(Table::members, {}, {}, [&](std::string_view key, std::string_view bytes) {
    checkpoint.digest -= record_hash(Table::members, key, bytes);
    checkpoint.records.erase(Table::members, key);
    return true;
  }));
  core::StateMachine alone(config.limits);
  election::Membership membership;
  membership.voters = {config.id};
  alone.set_membership(std::move(membership));
  const auto first = alone.take_checkpoint();
  for (const auto& [key, bytes] : first.records.records()) {
    if (key.table != Table::members || !bytes) continue;
    checkpoint.digest += record_hash(key.table, key.key, *bytes);
    checkpoint.records.put(key.table, key.key, *bytes);
  }
  return store.commit(checkpoint);
}

// Fills the empty directory of `config` from the bytes of a backup.
Result<void> fill(const Config& config, const std::string& file) {
  const auto path = std::filesystem::absolute(file);
  COORD_TRY(auto from_disk, disk::open_posix_disk(path.parent_path().string()));
  COORD_TRY(const auto from, from_disk->open(path.filename().string(), false));
  COORD_TRY(const auto size, from->size());
  COORD_TRY(auto store, disk::open_lmdb_store(config.data + "/state", {}));
  COORD_TRY(auto sink, store->receive());
  std::string piece;
  for (std::uint64_t at = 0; at < size; at += piece.size()) {
    COORD_TRY(from->read_at(at, kPieceBytes, piece));
    COORD_TRY(sink->append(piece));
    if (at / kProgressBytes != (at + piece.size()) / kProgressBytes) {
      spdlog::info("event=restoring bytes={} of={}", at + piece.size(), size);
    }
  }
  COORD_TRY(const auto mark, sink->finish());
  COORD_TRY(const auto loaded, load_state(sink->store(), config.limits));
  COORD_TRY(store->adopt(std::move(sink)));
  COORD_TRY(auto wal_disk, disk::open_posix_disk(config.data + "/wal"));
  disk::WalOptions options;
  options.segment_bytes = config.wal_segment_bytes;
  options.salt = random_number();
  COORD_TRY(auto wal, disk::open_wal(*wal_disk, options));
  COORD_TRY(write_term(*wal.wal, mark.applied_term.next()));
  COORD_TRY(make_alone(*store, config, mark.applied_term.next()));
  spdlog::info("event=restored file={} revision={} nodes={} sessions={} next_revision={}", file,
               mark.applied, loaded->state.tree().node_count(), loaded->state.sessions().size(),
               mark.applied.value() + kIndexJump + 1);
  return success();
}

}  // namespace

Result<void> back_up(const Config& config, const std::string& file) {
  COORD_TRY(const auto lock, DataLock::take(config.data));
  COORD_TRY(const auto settled, settle(config));
  COORD_TRY(const auto source, settled.store->snapshot());
  const auto path = std::filesystem::absolute(file);
  COORD_TRY(auto to_disk, disk::open_posix_disk(path.parent_path().string()));
  const auto name = path.filename().string();
  const auto unfinished = name + ".part";
  COORD_TRY(const auto to, to_disk->open(unfinished, true));
  std::uint64_t size = 0;
  while (!source->has_ended()) {
    COORD_TRY(const auto piece, source->read(kPieceBytes));
    COORD_TRY(to->write_at(size, piece));
    size += piece.size();
  }
  COORD_TRY(to->sync());
  COORD_TRY(to_disk->rename(unfinished, name));
  COORD_TRY(to_disk->sync_directory());
  spdlog::info("event=backed-up file={} revision={} bytes={}", file, source->mark().applied, size);
  return success();
}

Result<void> restore(const Config& config, const std::string& file) {
  std::error_code code;
  const std::filesystem::path target(config.data);
  if (std::filesystem::exists(target, code) && !std::filesystem::is_empty(target, code)) {
    return error(Failure::invalid, "{} is not empty: a backup is restored into an empty directory",
                 config.data);
  }
  auto making = config;
  making.data = target.lexically_normal().string();
  while (making.data.size() > 1 && making.data.back() == '/') making.data.pop_back();
  const auto final_name = making.data;
  making.data += ".restoring";
  std::filesystem::remove_all(making.data, code);
  if (code) return error(Failure::io, "remove {}: {}", making.data, code.message());
  COORD_TRY(disk::make_directories(making.data));
  if (auto filled = fill(making, file); !filled) {
    std::filesystem::remove_all(making.data, code);
    return std::move(filled).error();
  }
  COORD_TRY(disk::sync_directory(making.data));
  // Replaces an empty directory, and nothing else.
  std::filesystem::rename(making.data, final_name, code);
  if (code) return error(Failure::io, "rename {}: {}", making.data, code.message());
  const auto parent = std::filesystem::absolute(final_name).parent_path().string();
  return disk::sync_directory(parent);
}

Result<void> force_new_cluster(const Config& config) {
  COORD_TRY(const auto lock, DataLock::take(config.data));
  COORD_TRY(auto settled, settle(config));
  const auto term = settled.hard_state.term.next();
  COORD_TRY(write_term(*settled.wal, term));
  COORD_TRY(make_alone(*settled.store, config, term));
  spdlog::warn(
      "event=forced-new-cluster id={} revision={} next_revision={} gives_up=\"what the lost "
      "members "
      "acknowledged and this one never received; the old cluster's identity and members\"",
      config.id, settled.last, settled.last.value() + kIndexJump + 1);
  spdlog::warn(
      "no member of the old cluster may be started again on its data: empty it and let it join");
  return success();
}

}  // namespace coord::server
