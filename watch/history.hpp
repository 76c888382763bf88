// History: the recent past, kept so that a watcher can resume.
//
// Owns a bounded ring of batches in the order they were applied. Every member has one, because
// every member applies; so a client may resume at any of them. It does not know who is watching
// (Hub) and never reads the tree. What has left the ring is in the table of changes of the store.
//
// Invariants between calls:
//   - zxids are strictly increasing from front to back, and every change with a zxid > floor() is
//     present: the ring has no holes;
//   - the bounds hold, but batches above the pin (not yet in the store) are never dropped. What the
//     pin lets go leaves a few at a time: a checkpoint has a hundred thousand, and to free them all
//     at once would hold up the loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "coord/base/limits.hpp"
#include "znode/change.hpp"

namespace coord::watch {

class History {
 public:
  // `floor`: the zxid up to which nothing is known here (the checkpoint that was loaded).
  History(WatchLimits limits, Zxid floor);

  // Records one batch, and drops what the bounds no longer hold. Requires: batch->zxid > last().
  void append(znode::SharedBatch batch);
  // Batches with a zxid <= `zxid` are in the store and may be dropped. Never goes back: a smaller
  // one changes nothing.
  void set_stored(Zxid zxid);
  // Drops some of what passes the bounds and may go: once a turn.
  void trim();
  // Everything with a zxid > floor() is here; what is <= floor() may be in the store.
  [[nodiscard]] Zxid floor() const noexcept;
  [[nodiscard]] Zxid last() const noexcept;         // Of the last batch, or floor().
  [[nodiscard]] std::size_t size() const noexcept;  // Batches.
  [[nodiscard]] std::size_t changes() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept;
  // Calls `each` for the batches with a zxid > `from`, in order, until it returns false.
  // Requires: from >= floor(). Finds the start in O(log n).
  void since(Zxid from, const std::function<bool(const znode::SharedBatch&)>& each) const;
  // Drops everything and starts anew at `floor`: after a snapshot was installed.
  void reset(Zxid floor);
  void check_invariants() const;

 private:
  struct Entry {
    znode::SharedBatch batch;
    std::size_t bytes = 0;
  };
  [[nodiscard]] bool may_trim() const noexcept;
  void trim_up_to(std::size_t most);
  WatchLimits limits_;
  std::deque<Entry> ring_;
  std::size_t changes_ = 0;
  std::size_t bytes_ = 0;
  Zxid floor_;
  Zxid stored_;
  bool is_trimming_ = false;  // trim() has more to do.
};

}  // namespace coord::watch
