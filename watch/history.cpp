#include "watch/history.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"

namespace coord::watch {
namespace {

constexpr std::size_t kTrimmedMax = 256;  // By one trim().
// By one append(): more than it adds, so that it comes to an end under any load.
constexpr std::size_t kTrimmedWithAppend = 4;

}  // namespace

History::History(WatchLimits limits, Zxid floor) : limits_(limits), floor_(floor), stored_(floor) {}

void History::append(znode::SharedBatch batch) {
  COORD_CHECK(batch != nullptr, "a batch is given");
  COORD_CHECK(batch->zxid > last(), "batches come in the order of zxids", batch->zxid);
  Entry entry{std::move(batch), 0};
  entry.bytes = znode::bytes_of(*entry.batch);
  changes_ += entry.batch->changes.size();
  bytes_ += entry.bytes;
  ring_.push_back(std::move(entry));
  trim_up_to(kTrimmedWithAppend);
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

void History::trim() { trim_up_to(kTrimmedMax); }

bool History::may_trim() const noexcept {
  return (changes_ > limits_.history_changes_max || bytes_ > limits_.history_bytes_max) &&
         ring_.front().batch->zxid <= stored_;
}

void History::trim_up_to(std::size_t most) {
  for (std::size_t i = 0; i < most && may_trim(); ++i) {
    const auto& oldest = ring_.front();
    changes_ -= oldest.batch->changes.size();
    bytes_ -= oldest.bytes;
    floor_ = oldest.batch->zxid;
    ring_.pop_front();
  }
  is_trimming_ = may_trim();
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
  COORD_CHECK(is_trimming_ || !may_trim(), "only what is not stored passes the bounds for long");
}

}  // namespace coord::watch
