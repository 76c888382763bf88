// A client's watches: the stream of each is held against the model's list of all changes. The check
// goes on over resumes: resuming equals never having been away.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/sim/checker.hpp"
#include "tests/sim/client.hpp"

namespace coord::sim {
namespace {

constexpr std::size_t kWatchesMax = 3;

std::string shown(const watch::Filter& filter) {
  return fmt::format("{} ({})", filter.paths.front(), static_cast<int>(filter.depth));
}

}  // namespace

void Client::tend_watches() {
  if (!world_.is_closing() && streams_.size() < kWatchesMax && world_.chance(3)) {
    auto& stream = streams_[WatchId(++last_watch_)];
    const auto dice = world_.prng().below(5);
    stream.filter.paths = {dice == 0   ? "/"
                           : dice == 1 ? "/t"
                           : dice == 2 ? "/r"
                           : dice == 3 ? tree_path()
                                       : register_path()};
    if (world_.chance(20)) stream.filter.paths.push_back(tree_path());
    stream.filter.depth = static_cast<watch::Depth>(world_.prng().below(3));
    stream.is_local = world_.chance(20);
    stream.with_initial = world_.chance(30);
    stream.with_session = world_.chance(30);
  }
  for (auto at = streams_.begin(); at != streams_.end(); ++at) {
    if (!at->second.is_open) {
      if (!world_.chance(20) && !world_.is_closing()) continue;
      // A resumed watch is a new one to the member, on a new id.
      const WatchId id(++last_watch_);
      auto stream = std::move(at->second);
      streams_.erase(at);
      auto& fresh = streams_.emplace(id, std::move(stream)).first->second;
      return subscribe(id, fresh);
    }
    if (world_.prng().chance(1, 100) && !world_.is_closing()) {
      to_member(core::Unsubscribe{connection_, at->first});
      at->second.is_open = at->second.is_live = false;
      const WatchId id(++last_watch_);
      auto stream = std::move(at->second);
      streams_.erase(at);
      streams_.emplace(id, std::move(stream));
      return;
    }
  }
}

void Client::subscribe(WatchId id, Stream& stream) {
  core::Subscribe subscribe;
  subscribe.connection = connection_;
  subscribe.watch = id;
  subscribe.filter = stream.filter;
  subscribe.identities = {{"ip", fmt::format("10.0.0.{}", number_)}};
  if (stream.is_local) subscribe.consistency = core::Consistency::local;
  if (stream.has_cursor) {
    world_.count(Count::watch_resumed);
    subscribe.from = stream.cursor;
  } else {
    subscribe.with_initial = stream.with_initial;
  }
  if (stream.with_session && session_ && !world_.is_closing()) {
    subscribe.session = session_;
    world_.checker().on_touch(*member_, session_->id);
  }
  stream.floor = world_.checker().said();
  stream.is_open = true;
  stream.is_live = false;
  to_member(std::move(subscribe));
}

void Client::on_state(const core::WatchState& state) {
  world_.note("watch", state.watch.value(), static_cast<std::uint64_t>(state.kind),
              state.revision.value());
  const auto at = streams_.find(state.watch);
  if (at == streams_.end() || !at->second.is_open) return;  // Let go meanwhile.
  auto& stream = at->second;
  switch (state.kind) {
    case core::WatchState::Kind::opened:
      if (!stream.has_cursor) {
        if (!stream.is_local && state.revision < stream.floor) {
          world_.fail(10, fmt::format("a watch starts at {}, and {} was told before",
                                      state.revision, stream.floor));
        }
        stream.has_cursor = true;
        stream.cursor = state.revision;
        return;
      }
      check_gap(stream, stream.cursor, state.revision);
      return;
    case core::WatchState::Kind::more:
      stream.is_live = false;  // Also one that was, and that its member has to replay for.
      check_gap(stream, stream.cursor, state.revision);
      stream.cursor = std::max(stream.cursor, state.revision);
      world_.after(world_.delay(5'000), [this, id = state.watch, connection = connection_] {
        if (connection == connection_) to_member(core::ResumeWatch{connection_, id});
      });
      return;
    case core::WatchState::Kind::present:
      check_gap(stream, stream.cursor, state.revision);
      stream.cursor = std::max(stream.cursor, state.revision);
      stream.is_live = true;
      return;
    case core::WatchState::Kind::ended:
      break;
  }
  stream.is_open = stream.is_live = false;
  switch (state.code) {
    case Code::compacted:
      world_.count(Count::watch_compacted);
      if (state.oldest <= stream.cursor.next()) {
        world_.fail(10, fmt::format("a watch from {} is compacted, and {} is retained",
                                    stream.cursor, state.oldest));
      }
      stream.has_cursor = false;
      return;
    case Code::session_expired:
    case Code::no_leader:
    case Code::overloaded:
    case Code::behind:
      return;
    default:
      if (stream.is_local && (state.code == Code::bad_request || state.code == Code::not_found)) {
        return;  // A member that has just started may not be there yet.
      }
      world_.fail(10, fmt::format("the watch of {} ends with {}: {}", shown(stream.filter),
                                  state.code, state.detail));
  }
}

void Client::check_gap(const Stream& stream, Zxid from, Zxid to) {
  const auto& model = world_.checker().model();
  for (auto zxid = from.next(); zxid <= to && zxid <= model.applied(); zxid = zxid.next()) {
    if (model.wanted(stream.filter, zxid).empty()) continue;
    return world_.fail(10, fmt::format("the watch of {} was not told of {} (from {} to {})",
                                       shown(stream.filter), zxid, from, to));
  }
}

void Client::on_event(const core::WatchEvent& event) {
  const auto zxid = event.batch->zxid;
  world_.note("event", event.watch.value(), zxid.value(), event.wanted.size());
  world_.count(Count::watch_event);
  const auto at = streams_.find(event.watch);
  if (at == streams_.end() || !at->second.is_open) return;
  auto& stream = at->second;
  if (zxid > world_.checker().model().applied()) {
    return world_.fail(10, fmt::format("the watch of {} is told of {}, which nobody can read yet",
                                       shown(stream.filter), zxid));
  }
  if (event.is_initial) return check_initial(stream, event);
  if (!stream.has_cursor || zxid <= stream.cursor) {
    return world_.fail(10, fmt::format("the watch of {} is told of {} after {}",
                                       shown(stream.filter), zxid, stream.cursor));
  }
  check_gap(stream, stream.cursor, zxid.previous());
  std::vector<znode::Change> got;
  if (event.wanted.empty()) {
    got = event.batch->changes;
  } else {
    for (const auto i : event.wanted) got.push_back(event.batch->changes[i]);
  }
  if (got != world_.checker().model().wanted(stream.filter, zxid)) {
    world_.fail(10, fmt::format("the watch of {} is told other changes of {} than there were",
                                shown(stream.filter), zxid));
  }
  stream.cursor = zxid;
}

// The present state comes first, as what was created.
void Client::check_initial(const Stream& stream, const core::WatchEvent& event) {
  const auto& model = world_.checker().model();
  for (const auto& change : event.batch->changes) {
    const auto node = model.node_at(change.path, event.batch->zxid);
    const bool is_same = node && node->stat == change.stat && node->value == change.value.view() &&
                         node->is_null == change.value.is_null();
    if (!is_same) {
      return world_.fail(10, fmt::format("the watch of {} begins with a wrong {}",
                                         shown(stream.filter), change.path));
    }
  }
}

void Client::check_watches(Zxid told) {
  for (const auto& [id, stream] : streams_) {
    if (!stream.is_open || !stream.is_live) continue;
    check_gap(stream, stream.cursor, told);
  }
}

}  // namespace coord::sim
