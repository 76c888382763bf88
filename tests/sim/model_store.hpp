// ModelStore: a StateStore in memory with the transaction semantics of the real one.
//
// A commit is there whole or not at all. A crash decides over the commit that was under way, and
// may bring back the state before the last commit, as LMDB does when its newer meta page is lost.
// Single-threaded.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "coord/base/prng.hpp"
#include "coord/disk/state_store.hpp"
#include "tests/sim/plan.hpp"

namespace coord::sim {

struct StoreFaults {
  bool is_full = false;       // commit() answers disk_full and changes nothing.
  bool commit_fails = false;  // EIO: the caller ends the process.
  // The next adopt() takes a part for the whole, and the power goes (a mutant).
  bool adopts_part = false;
  bool adopts_unsynced = false;  // What adopt() took over may be lost with the power (a mutant).
};

struct StoreCrashOdds {
  std::uint64_t under_way_kept_percent = 50;
  std::uint64_t fallback_percent = 5;
  std::uint64_t unsynced_lost_percent = 50;  // Of a store that was adopted before it was synced.
};

class ModelStore final : public disk::StateStore {
 public:
  StoreFaults faults;

  [[nodiscard]] Result<std::optional<core::CheckpointMark>> mark() const override;
  [[nodiscard]] Result<void> load(const core::RecordSink& sink) const override;
  [[nodiscard]] Result<void> commit(const core::Checkpoint& checkpoint) override;
  [[nodiscard]] Result<void> scan(
      Table table, std::string_view from, std::string_view to,
      const std::function<bool(std::string_view key, std::string_view bytes)>& each) const override;
  [[nodiscard]] Result<std::optional<std::string>> get(Table table,
                                                       std::string_view key) const override;
  [[nodiscard]] Result<std::optional<Zxid>> oldest_change() const override;
  [[nodiscard]] std::uint64_t bytes_used() const override;
  [[nodiscard]] Result<std::unique_ptr<disk::SnapshotSource>> snapshot() const override;
  [[nodiscard]] Result<std::unique_ptr<disk::SnapshotSink>> receive() override;
  // All at once: there is no moment in which a crash could come between.
  [[nodiscard]] Result<void> adopt(std::unique_ptr<disk::SnapshotSink> sink) override;

  // Broken on purpose, for the simulator's mutants.
  [[nodiscard]] Result<void> commit_mutated(const core::Checkpoint& checkpoint, Mutant mutant);
  // The records without the applied index.
  void commit_data(const core::Checkpoint& checkpoint);
  void set_changes(const std::vector<znode::SharedBatch>& batches);

  // Flips a bit of what the digest covers, or forgets a record. False: nothing is there.
  bool damage(Prng& prng);

  // `under_way`: the checkpoint whose commit had begun and was not reported, or null.
  void crash(Prng& prng, const core::Checkpoint* under_way, const StoreCrashOdds& odds);

 private:
  friend class ModelSource;
  friend class ModelSink;
  using Key = std::pair<Table, std::string>;
  void set(const Key& key, const std::optional<std::string>& bytes);
  void trim(Zxid below);
  void set_digest();
  void lose_half();

  std::map<Key, std::string> records_;
  std::optional<core::CheckpointMark> mark_;
  // What the last commit changed, to undo it.
  std::map<Key, std::optional<std::string>> before_;
  std::optional<core::CheckpointMark> mark_before_;
  bool can_fall_back_ = false;
  bool is_unsynced_ = false;
};

}  // namespace coord::sim
