// A member's snapshots: the real reader and writer, over the model of the store, later in time.
#include <utility>

#include "tests/sim/member.hpp"
#include "tests/sim/witness.hpp"

namespace coord::sim {
namespace {

constexpr std::int64_t kRetryUs = 200'000;

}  // namespace

void Member::read_snapshot(core::SnapshotRead read) {
  if (doom_) return;
  post(world_.delay(world_.calm_mean(world_.plan().store_us / 4, 500)), [this, read] {
    if (!snapshot_reader_) snapshot_reader_.emplace(store_);
    auto found = snapshot_reader_->read(read);
    if (!found) return;
    post(world_.between(1, 500),
         [this, found = std::move(*found)]() mutable { receive(std::move(found)); });
  });
}

// One after the other, as the store thread takes them.
void Member::write_snapshot(core::SnapshotWrite write) {
  if (doom_) return;
  snapshot_writes_.push_back(std::move(write));
  if (snapshot_writes_.size() == 1) {
    post(world_.delay(world_.calm_mean(world_.plan().store_us / 4, 500)), [this] { write_next(); });
  }
}

void Member::write_next() {
  if (!snapshot_writer_) snapshot_writer_.emplace(store_, own_plan().limits);
  auto done = snapshot_writer_->write(snapshot_writes_.front());
  if (!done) {
    if (done.error().failure != Failure::disk_full) return doom(done.error());
    return post(kRetryUs, [this] { write_next(); });
  }
  const auto kind = snapshot_writes_.front().kind;
  if (done.value() && done.value()->loaded) loaded_ = done.value()->loaded;
  if (kind == core::SnapshotWrite::Kind::adopt && loaded_) {
    world_.count(Count::snapshot_installed);
    world_.witness().on_adopted(*this, {loaded_->mark.applied, loaded_->mark.applied_term},
                                loaded_->state.membership());
    if (world_.is_stormy() && world_.plan().has(Fault::install_crash) && world_.chance(30)) {
      post(world_.between(1'000, 300'000), [this] {
        if (!world_.is_stormy()) return;
        world_.count(Count::install_crash);
        end(End::power);
      });
    }
  }
  snapshot_writes_.pop_front();
  if (!snapshot_writes_.empty()) {
    post(world_.delay(world_.calm_mean(world_.plan().store_us / 4, 500)), [this] { write_next(); });
  }
  if (!done.value()) return;
  // Reported a moment later: a crash may come between.
  post(world_.between(1, 2'000),
       [this, written = std::move(*done.value())]() mutable { receive(std::move(written)); });
}

}  // namespace coord::sim
