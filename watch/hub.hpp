// Hub: who is watching what.
//
// A watch is live (publish() hands it every matching change at once) or it is catching up: it has a
// cursor, and page() moves that cursor on, from History or from batches that the caller read in
// the store, a bounded page at a time, until it has reached the present and becomes live. A
// live watch never misses a batch, and a cursor moves over every batch exactly once: no gap and no
// repetition. The hub never reads the tree and owns no connection.
//
// Invariants between calls: every index entry belongs to a watch; a live watch is in the index, one
// that catches up is not. A watch is never given a batch with a zxid <= its cursor: a resume point
// that this member has not yet reached brings no old batches again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "coord/base/code.hpp"
#include "coord/base/ids.hpp"
#include "coord/base/limits.hpp"
#include "watch/filter.hpp"
#include "watch/history.hpp"

namespace coord::watch {

// One watch's share of one batch: the indices, in order, of the changes that it wants.
struct Event {
  ConnectionId connection;
  WatchId watch;
  znode::SharedBatch batch;
  std::vector<std::uint32_t> wanted;  // Empty means: all changes of the batch.
};

class Hub {
 public:
  // The most changes that one page() looks at, matching or not, so that it never stalls the loop.
  static constexpr std::size_t kPageChangesMax = 10'000;

  explicit Hub(WatchLimits limits);
  ~Hub();

  // Adds a watch that is catching up from `from` (exclusive), or live from now on if `from` is none
  // or not below `last` (the last applied zxid). overloaded when the connection has too many
  // watches, too_large when it has too many paths. Requires: the id is new on that connection.
  [[nodiscard]] Code subscribe(ConnectionId connection, WatchId watch, Filter filter,
                               std::optional<Zxid> from, Zxid last);
  // False if there was none.
  bool unsubscribe(ConnectionId connection, WatchId watch);
  std::size_t drop_connection(ConnectionId connection);
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t count_of(ConnectionId connection) const noexcept;

  // One applied batch, for all live watches: appended to `out` in the order of (connection, watch).
  // A batch goes to each watch at most once, however many of its paths match.
  void publish(const znode::SharedBatch& batch, std::vector<Event>& out);

  // Null when the watch is live or unknown, else where it stands: everything <= cursor was given.
  [[nodiscard]] std::optional<Zxid> cursor_of(ConnectionId connection, WatchId watch) const;
  // Moves a watch that catches up over `history` from its cursor by at most
  // limits.replay_page_bytes of matching changes (but one batch at least: a batch is never split)
  // and kPageChangesMax changes looked at. Requires: the watch exists, cursor >= history.floor().
  // Returns true when it reached history.last() and is live now, or was live.
  bool page(ConnectionId connection, WatchId watch, const History& history,
            std::vector<Event>& out);
  // Makes every live watch catch up from `zxid`: what came after it was not published. A resume
  // point beyond it stays.
  void fall_behind(Zxid zxid);
  // The same over batches that the caller read in the store, whole and in order. `through`: the
  // zxid up to which the store was read. Never becomes live by itself. Batches up to the cursor are
  // skipped. Requires: the watch exists and catches up.
  void page_stored(ConnectionId connection, WatchId watch,
                   std::span<const znode::SharedBatch> batches, Zxid through,
                   std::vector<Event>& out);
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::watch
