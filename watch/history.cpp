#include "watch/history.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"

namespace coord::watch {

History::History(WatchLimits limits, Zxid floor) : limits_(limits), floor_(floor), stored_(floor) {}

void History::append(znode::SharedBatch batch) {
  COORD_CHECK(batch != nullptr, "a batch is given");
  COORD_CHECK(batch->zxid > last(), "batches come in the order of zxids", batch->zxid);
  Entry entry{std::move(batch), 0};
  entry.bytes = znode::bytes_of(*entry.batch);
  changes_ += entry.batch->changes.size();
  bytes_ += entry.bytes;
  ring_.push_back(std::move(entry));
  trim();
}

void History::set_stored(Zxid zxid) {
  stored_ = std::max(stored_, zxid);
  trim();
}

Zxid History::floor() const noexcept { return floor_; }

Zxid History::last() const noexcept { return ring_.empty() ? floor_ : ring_.back().batch->zxid; }

std::size_t History::size() const noexcept { return ring_.size(); }
std::size_t History::changes() const noexcept { return changes_; }
std::size_t History::bytes() const noexcept { return bytes_; }

void History::since(Zxid from, const std::function<bool(const znode::SharedBatch&)>& each) const {
  COORD_CHECK(from >= floor_, "what is asked for is here", from, floor_);
  auto at = std::upper_bound(ring_.begin(), ring_.end(), from, [](Zxid zxid, const Entry& entry) {
    return zxid < entry.batch->zxid;
  });
  for (; at != ring_.end(); ++at) {
    if (!each(at->batch)) return;
  }
}

void History::reset(Zxid floor) {
  ring_.clear();
  changes_ = 0;
  bytes_ = 0;
  floor_ = floor;
  stored_ = floor;
}

void History::trim() {
  while (changes_ > limits_.history_changes_max || bytes_ > limits_.history_bytes_max) {
    const auto& oldest = ring_.front();
    if (oldest.batch->zxid > stored_) return;
    changes_ -= oldest.batch->changes.size();
    bytes_ -= oldest.bytes;
    floor_ = oldest.batch->zxid;
    ring_.pop_front();
  }
}

void History::check_invariants() const {
  std::size_t changes = 0;
  std::size_t bytes = 0;
  Zxid before = floor_;
  for (const auto& entry : ring_) {
    COORD_CHECK(entry.batch->zxid > before, "zxids rise from the floor on", before);
    before = entry.batch->zxid;
    changes += entry.batch->changes.size();
    bytes += entry.bytes;
  }
  COORD_CHECK(changes == changes_, "the changes are counted");
  COORD_CHECK(bytes == bytes_, "the bytes are counted");
  const bool is_full = changes > limits_.history_changes_max || bytes > limits_.history_bytes_max;
  const bool is_pinned = !ring_.empty() && ring_.front().batch->zxid > stored_;
  COORD_CHECK(!is_full || is_pinned, "only what is not stored passes the bounds");
}

}  // namespace coord::watch
