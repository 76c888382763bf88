#include "watch/hub.hpp"

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>
#include <absl/hash/hash.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <array>
#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "coord/base/check.hpp"
#include "znode/path.hpp"

namespace coord::watch {
namespace {

struct Key {
  ConnectionId connection;
  WatchId watch;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// Which changes of one batch a watch wants. While they are the first `prefix` ones, that number
// says it all: a subtree watch over a large transaction costs no list.
struct Wanted {
  std::uint32_t prefix = 0;
  std::vector<std::uint32_t> list;  // Once there is a gap; `prefix` counts no more then.

  void add(std::uint32_t index) {
    if (list.empty()) {
      if (index == prefix) {
        ++prefix;
        return;
      }
      if (index + 1 == prefix) return;  // The same change, by another path of the watch.
      write_prefix();
    } else if (list.back() == index) {
      return;
    }
    list.push_back(index);
  }
  // As Event::wanted has it.
  [[nodiscard]] std::vector<std::uint32_t> take(std::size_t changes) && {
    if (list.empty() && prefix < changes) write_prefix();
    return std::move(list);
  }
  [[nodiscard]] bool empty() const noexcept { return prefix == 0 && list.empty(); }

 private:
  void write_prefix() {
    list.reserve(prefix + 1);
    for (std::uint32_t i = 0; i < prefix; ++i) list.push_back(i);
  }
};

struct Watch {
  Key key;
  Zxid cursor;              // Nothing up to here is given (again).
  std::uint64_t round = 0;  // The last publish() that met this watch ...
  std::size_t hit = 0;      // ... and its place among the hits of that round.
  bool is_live = false;
  Filter filter;  // Its paths sorted, each once.
};

// One list of watches for each watched path, in the order in which events leave.
struct Posting {
  Key key;
  Watch* watch = nullptr;
  friend bool operator<(const Posting& a, const Posting& b) noexcept { return a.key < b.key; }
};
using Postings = absl::btree_set<Posting>;
// Found by std::string_view without a copy: Debian's abseil has a string_view of its own and so
// does that only for its own.
struct PathHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view path) const noexcept {
    return absl::Hash<absl::string_view>()(absl::string_view(path.data(), path.size()));
  }
};
using PathIndex = absl::flat_hash_map<std::string, Postings, PathHash, std::equal_to<>>;

struct Hit {
  Watch* watch = nullptr;
  Wanted wanted;
};

bool has_path(const std::vector<std::string>& sorted, std::string_view path) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), path);
  return at != sorted.end() && *at == path;
}

// Calls `each` for the watched paths that a change at `path` concerns at this depth, until it
// returns true: the path, its parent, or all paths above.
template <class Each>
bool any_watched(std::string_view path, Depth depth, const Each& each) {
  if (each(path)) return true;
  if (depth == Depth::node) return false;
  while (path != "/") {
    path = znode::parent_of(path);
    if (each(path)) return true;
    if (depth == Depth::children) return false;
  }
  return false;
}

// The same as matches(), for sorted paths: it costs the depth of the change, not the paths.
bool matches_sorted(const Filter& filter, const znode::Change& change) {
  if (change.kind == znode::ChangeKind::acl) return false;
  const bool hides = !filter.with_system && znode::is_system(change.path);
  return any_watched(change.path, filter.depth, [&](std::string_view watched) {
    return has_path(filter.paths, watched) && (!hides || znode::is_system(watched));
  });
}

std::size_t bytes_of_change(const znode::Change& change) noexcept {
  return sizeof change + change.path.size() + change.value.size() + change.prev_value.size() +
         change.content_type.size() + change.prev_content_type.size();
}

struct Share {
  Wanted wanted;
  std::size_t bytes = 0;
};
Share share_of(const Filter& filter, const znode::ChangeBatch& batch) {
  Share share;
  for (std::uint32_t i = 0; i < batch.changes.size(); ++i) {
    if (!matches_sorted(filter, batch.changes[i])) continue;
    share.wanted.add(i);
    share.bytes += bytes_of_change(batch.changes[i]);
  }
  return share;
}

void emit(const Watch& watch, const znode::SharedBatch& batch, Wanted wanted,
          std::vector<Event>& out) {
  out.push_back(Event{watch.key.connection, watch.key.watch, batch,
                      std::move(wanted).take(batch->changes.size())});
}

}  // namespace

struct Hub::Impl {
  WatchLimits limits;
  absl::btree_map<Key, std::unique_ptr<Watch>> watches;
  absl::flat_hash_map<ConnectionId, std::size_t> counts;
  std::array<PathIndex, 3> indices;  // By Depth.
  std::size_t postings = 0;          // In all indices.
  std::uint64_t round = 0;
  std::vector<Hit> hits;  // Of the publish() that runs; kept for its memory.

  [[nodiscard]] Watch* find(ConnectionId connection, WatchId watch) const {
    const auto at = watches.find(Key{connection, watch});
    return at == watches.end() ? nullptr : at->second.get();
  }
  [[nodiscard]] PathIndex& index_of(const Watch& watch) {
    return indices[static_cast<std::size_t>(watch.filter.depth)];
  }

  void make_live(Watch& watch) {
    COORD_CHECK(!watch.is_live, "a watch becomes live once", watch.key.watch);
    auto& index = index_of(watch);
    for (const auto& path : watch.filter.paths) {
      const auto is_new = index[path].insert(Posting{watch.key, &watch}).second;
      COORD_CHECK(is_new, "a watch is in the index once", watch.key.watch);
    }
    postings += watch.filter.paths.size();
    watch.is_live = true;
  }
  void take_from_index(const Watch& watch) {
    if (!watch.is_live) return;
    auto& index = index_of(watch);
    for (const auto& path : watch.filter.paths) {
      const auto at = index.find(path);
      COORD_CHECK(at != index.end(), "a live watch is in the index", watch.key.watch);
      const auto erased = at->second.erase(Posting{watch.key, nullptr});
      COORD_CHECK(erased == 1, "a live watch is in the index", watch.key.watch);
      if (at->second.empty()) index.erase(at);
    }
    postings -= watch.filter.paths.size();
  }

  void publish_change(const znode::ChangeBatch& batch, std::uint32_t i);
  void add_hits(const Postings& list, bool hides, Zxid zxid, std::uint32_t i);
};

void Hub::Impl::publish_change(const znode::ChangeBatch& batch, std::uint32_t i) {
  const auto& change = batch.changes[i];
  if (change.kind == znode::ChangeKind::acl) return;
  const bool is_system = znode::is_system(change.path);
  for (const auto depth : {Depth::node, Depth::children, Depth::subtree}) {
    const auto& index = indices[static_cast<std::size_t>(depth)];
    if (index.empty()) continue;
    any_watched(change.path, depth, [&](std::string_view watched) {
      if (const auto at = index.find(watched); at != index.end()) {
        add_hits(at->second, is_system && !znode::is_system(watched), batch.zxid, i);
      }
      return false;
    });
  }
}

// `hides`: only watches that want system nodes are meant.
void Hub::Impl::add_hits(const Postings& list, bool hides, Zxid zxid, std::uint32_t i) {
  for (const auto& posting : list) {
    auto& watch = *posting.watch;
    if (zxid <= watch.cursor) continue;
    if (hides && !watch.filter.with_system) continue;
    if (watch.round != round) {
      watch.round = round;
      watch.hit = hits.size();
      hits.push_back(Hit{&watch, {}});
    }
    hits[watch.hit].wanted.add(i);
  }
}

Hub::Hub(WatchLimits limits) : impl_(std::make_unique<Impl>()) { impl_->limits = limits; }
Hub::~Hub() = default;

Code Hub::subscribe(ConnectionId connection, WatchId watch, Filter filter, std::optional<Zxid> from,
                    Zxid last) {
  COORD_CHECK(!filter.paths.empty(), "a watch has a path", watch);
  if (count_of(connection) >= impl_->limits.watches_per_connection_max) return Code::overloaded;
  if (filter.paths.size() > impl_->limits.paths_per_watch_max) return Code::too_large;
  auto one = std::make_unique<Watch>();
  one->key = Key{connection, watch};
  one->cursor = from.value_or(last);
  one->filter = std::move(filter);
  auto& paths = one->filter.paths;
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  auto& added = *one;
  const auto is_new = impl_->watches.try_emplace(added.key, std::move(one)).second;
  COORD_CHECK(is_new, "the id of a watch is new on its connection", connection, watch);
  ++impl_->counts[connection];
  if (added.cursor >= last) impl_->make_live(added);
  return Code::ok;
}

bool Hub::unsubscribe(ConnectionId connection, WatchId watch) {
  const auto at = impl_->watches.find(Key{connection, watch});
  if (at == impl_->watches.end()) return false;
  impl_->take_from_index(*at->second);
  impl_->watches.erase(at);
  const auto count = impl_->counts.find(connection);
  COORD_CHECK(count != impl_->counts.end(), "the watches of a connection are counted", connection);
  if (--count->second == 0) impl_->counts.erase(count);
  return true;
}

std::size_t Hub::drop_connection(ConnectionId connection) {
  const auto begin = impl_->watches.lower_bound(Key{connection, WatchId()});
  const auto end = impl_->watches.lower_bound(Key{connection.next(), WatchId()});
  std::size_t dropped = 0;
  for (auto at = begin; at != end; ++at, ++dropped) impl_->take_from_index(*at->second);
  impl_->watches.erase(begin, end);
  impl_->counts.erase(connection);
  return dropped;
}

std::size_t Hub::size() const noexcept { return impl_->watches.size(); }

std::size_t Hub::count_of(ConnectionId connection) const noexcept {
  const auto at = impl_->counts.find(connection);
  return at == impl_->counts.end() ? 0 : at->second;
}

void Hub::publish(const znode::SharedBatch& batch, std::vector<Event>& out) {
  COORD_CHECK(batch != nullptr, "a batch is given");
  if (impl_->postings == 0) return;
  ++impl_->round;
  auto& hits = impl_->hits;
  for (std::uint32_t i = 0; i < batch->changes.size(); ++i) impl_->publish_change(*batch, i);
  const auto by_key = [](const Hit& a, const Hit& b) { return a.watch->key < b.watch->key; };
  // One list alone is in order already.
  if (!std::is_sorted(hits.begin(), hits.end(), by_key)) {
    std::sort(hits.begin(), hits.end(), by_key);
  }
  for (auto& hit : hits) emit(*hit.watch, batch, std::move(hit.wanted), out);
  hits.clear();
}

std::optional<Zxid> Hub::cursor_of(ConnectionId connection, WatchId watch) const {
  const auto* one = impl_->find(connection, watch);
  if (one == nullptr || one->is_live) return std::nullopt;
  return one->cursor;
}

bool Hub::page(ConnectionId connection, WatchId watch, const History& history,
               std::vector<Event>& out) {
  auto* const one = impl_->find(connection, watch);
  COORD_CHECK(one != nullptr, "a watch that is paged exists", connection, watch);
  if (one->is_live) return true;
  std::size_t bytes = 0;
  std::size_t seen = 0;
  bool is_whole = true;
  history.since(one->cursor, [&](const znode::SharedBatch& batch) {
    is_whole = seen < kPageChangesMax;
    if (!is_whole) return false;
    auto share = share_of(one->filter, *batch);
    is_whole = bytes == 0 || bytes + share.bytes <= impl_->limits.replay_page_bytes;
    if (!is_whole) return false;
    seen += batch->changes.size();
    bytes += share.bytes;
    if (!share.wanted.empty()) emit(*one, batch, std::move(share.wanted), out);
    one->cursor = batch->zxid;
    return true;
  });
  if (is_whole) impl_->make_live(*one);
  return is_whole;
}

void Hub::fall_behind(Zxid zxid) {
  for (auto& [key, watch] : impl_->watches) {
    if (!watch->is_live) continue;
    impl_->take_from_index(*watch);
    watch->is_live = false;
    watch->cursor = std::max(watch->cursor, zxid);
  }
}

void Hub::page_stored(ConnectionId connection, WatchId watch,
                      std::span<const znode::SharedBatch> batches, Zxid through,
                      std::vector<Event>& out) {
  auto* const one = impl_->find(connection, watch);
  COORD_CHECK(one != nullptr, "a watch that is paged exists", connection, watch);
  COORD_CHECK(!one->is_live, "a watch that is paged catches up", connection, watch);
  for (const auto& batch : batches) {
    COORD_CHECK(batch->zxid <= through, "the store was read so far", batch->zxid, through);
    if (batch->zxid <= one->cursor) continue;
    auto share = share_of(one->filter, *batch);
    if (!share.wanted.empty()) emit(*one, batch, std::move(share.wanted), out);
    one->cursor = batch->zxid;
  }
  one->cursor = std::max(one->cursor, through);
}

void Hub::check_invariants() const {
  std::size_t postings = 0;
  std::size_t of_connection = 0;
  ConnectionId connection;
  for (const auto& [key, watch] : impl_->watches) {
    COORD_CHECK(watch->key == key, "a watch lies under its key", key.watch);
    of_connection = key.connection == connection ? of_connection + 1 : 1;
    connection = key.connection;
    COORD_CHECK(of_connection <= count_of(connection), "watches are counted", connection);
    const auto& index = impl_->index_of(*watch);
    for (const auto& path : watch->filter.paths) {
      const auto at = index.find(path);
      const bool is_there = at != index.end() && at->second.contains(Posting{key, nullptr});
      COORD_CHECK(is_there == watch->is_live, "exactly live watches are in the index", key.watch);
    }
    if (watch->is_live) postings += watch->filter.paths.size();
  }
  COORD_CHECK(postings == impl_->postings, "every index entry belongs to a watch");
}

}  // namespace coord::watch
