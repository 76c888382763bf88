// Node's watches: opening, replaying, delivering, ending.
#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/core/node.hpp"
#include "coord/core/reads.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

constexpr std::size_t kStoreBatchesPerPage = 10'000;
// What the present state of one watch may bring at most.
constexpr std::size_t kInitialNodesMax = kWalkNodesMax;

std::size_t depth_of(watch::Depth depth) {
  switch (depth) {
    case watch::Depth::node:
      return 0;
    case watch::Depth::children:
      return 1;
    case watch::Depth::subtree:
      break;
  }
  return SIZE_MAX;
}

}  // namespace

void Node::state_of_watch(WatchKey key, WatchState::Kind kind, Zxid revision) {
  WatchState state;
  state.connection = key.first;
  state.watch = key.second;
  state.kind = kind;
  state.revision = revision;
  deliveries_.emplace_back(std::move(state));
}

void Node::end_watch(WatchKey key, Code code, std::string detail,
                     std::optional<session::EndReason> reason) {
  hub_.unsubscribe(key.first, key.second);
  forget_watch(key);
  WatchState state;
  state.connection = key.first;
  state.watch = key.second;
  state.kind = WatchState::Kind::ended;
  state.revision = state_.applied();
  state.code = code;
  state.detail = std::move(detail);
  state.oldest = retention_.floor();
  state.end_reason = reason;
  deliveries_.emplace_back(std::move(state));
}

void Node::end_compacted(WatchKey key) {
  end_watch(key, Code::compacted,
            fmt::format("changes before revision {} are gone", retention_.floor()));
}

void Node::forget_watch(WatchKey key) {
  const auto info = watches_.find(key);
  if (info == watches_.end()) return;
  if (info->second.is_reading_store) {
    // A later watch may have the same id: the answer must not reach it.
    std::erase_if(store_waits_, [&key](const auto& entry) {
      const auto* watch = std::get_if<WatchKey>(&entry.second.who);
      return watch != nullptr && *watch == key;
    });
  }
  if (info->second.session) {
    const auto of_session = watches_of_session_.find(info->second.session->id);
    COORD_CHECK(of_session != watches_of_session_.end(), "a session's watch is listed");
    std::erase(of_session->second, key);
    if (of_session->second.empty()) watches_of_session_.erase(of_session);
  }
  if (info->second.is_internal) --internal_watches_;
  watches_.erase(info);
}

std::vector<Node::WatchKey> Node::keys_of_watches() const {
  std::vector<WatchKey> keys;
  for (const auto& [key, info] : watches_) keys.push_back(key);
  return keys;
}

void Node::end_watches_of(SessionId session) {
  const auto found = watches_of_session_.find(session);
  if (found == watches_of_session_.end()) return;
  auto keys = found->second;
  std::sort(keys.begin(), keys.end());
  for (const auto& key : keys) {
    end_watch(key, Code::session_expired, fmt::format("session {} has ended", session),
              state_.sessions().end_of(session));
  }
}

void Node::open_watch(Subscribe&& subscribe) {
  const WatchKey key{subscribe.connection, subscribe.watch};
  if (subscribe.filter.paths.empty()) {
    return end_watch(key, Code::bad_request, "a watch names at least one path");
  }
  for (const auto& path : subscribe.filter.paths) {
    if (auto error = znode::path_error(path, state_.limits().tree); !error.empty()) {
      return end_watch(key, Code::bad_request, std::move(error));
    }
    if (state_.tree().check_access(path, znode::Permission::read, subscribe.identities) ==
        Code::forbidden) {
      return end_watch(key, Code::forbidden, fmt::format("reading {} is not allowed", path));
    }
  }
  if (subscribe.session) {
    Reply reply;
    const auto code = check_session(*subscribe.session, reply);
    if (code != Code::ok) return end_watch(key, code, std::move(reply.detail), reply.end_reason);
    touch(subscribe.session->id);
  }
  const auto applied = state_.applied();
  auto from = subscribe.with_initial ? std::nullopt : subscribe.from;
  if (from && *from > applied) {
    // It may exist elsewhere: a local watch knows only what this member has applied.
    const bool may_exist = subscribe.consistency == Consistency::local;
    return end_watch(
        key, may_exist ? Code::behind : Code::bad_request,
        may_exist
            ? fmt::format("this member has applied {} and not yet revision {}", applied, *from)
            : fmt::format("revision {} does not exist yet; the present is {}", *from, applied));
  }
  if (from && from->next() < retention_.floor()) {
    return end_compacted(key);
  }
  const auto code = hub_.subscribe(key.first, key.second, subscribe.filter, from, applied);
  if (code != Code::ok) {
    return end_watch(key, code, "too many watches on one connection, or paths in one watch");
  }
  watches_[key] = WatchInfo{subscribe.identities, subscribe.session, false, subscribe.is_internal};
  if (subscribe.is_internal) ++internal_watches_;
  if (subscribe.session) watches_of_session_[subscribe.session->id].push_back(key);
  state_of_watch(key, WatchState::Kind::opened, from.value_or(applied));
  if (subscribe.with_initial) return send_initial(subscribe);
  if (hub_.cursor_of(key.first, key.second)) {
    page_watch(key);
  } else if (from) {
    state_of_watch(key, WatchState::Kind::present, applied);
  }
}

void Node::send_initial(const Subscribe& subscribe) {
  const WatchKey key{subscribe.connection, subscribe.watch};
  auto batch = std::make_shared<znode::ChangeBatch>();
  batch->zxid = state_.applied();
  batch->wall_ms = now_.wall_ms;
  bool is_whole = true;
  for (const auto& path : subscribe.filter.paths) {
    state_.tree().walk(path, depth_of(subscribe.filter.depth), {}, subscribe.filter.with_system,
                       [&](std::string_view at, const znode::View& view) {
                         is_whole = batch->changes.size() < kInitialNodesMax;
                         if (!is_whole) return false;
                         std::string name(at);
                         if (state_.tree().check_access(name, znode::Permission::read,
                                                        subscribe.identities) != Code::ok) {
                           return true;
                         }
                         auto& change = batch->changes.emplace_back();
                         change.kind = znode::ChangeKind::created;
                         change.path = std::move(name);
                         if (!view.is_null) change.value = Blob(view.value);
                         change.content_type = view.content_type;
                         change.stat = view.stat;
                         return true;
                       });
  }
  if (subscribe.filter.paths.size() > 1) {
    // One path may lie below another: a node is told once.
    auto& changes = batch->changes;
    std::stable_sort(changes.begin(), changes.end(),
                     [](const auto& a, const auto& b) { return a.path < b.path; });
    const auto end = std::unique(changes.begin(), changes.end(),
                                 [](const auto& a, const auto& b) { return a.path == b.path; });
    changes.erase(end, changes.end());
  }
  if (!is_whole) {
    return end_watch(key, Code::too_large,
                     fmt::format("the present state has more than {} nodes: watch a smaller "
                                 "subtree, or without initial",
                                 kInitialNodesMax));
  }
  if (!batch->changes.empty()) {
    deliveries_.emplace_back(WatchEvent{key.first, key.second, std::move(batch), {}, true});
  }
  state_of_watch(key, WatchState::Kind::present, state_.applied());
}

void Node::page_watch(WatchKey key) {
  const auto info = watches_.find(key);
  if (info == watches_.end() || info->second.is_reading_store) return;
  const auto cursor = hub_.cursor_of(key.first, key.second);
  if (!cursor) return;  // Live already.
  if (*cursor < history_.floor()) {
    if (cursor->next() < retention_.floor()) {
      return end_compacted(key);
    }
    info->second.is_reading_store = true;
    ReadChanges question{*cursor, history_.floor(), options_.watches.replay_page_bytes,
                         kStoreBatchesPerPage};
    return ask_store(std::move(question), key, INT64_MAX);
  }
  std::vector<watch::Event> events;
  const bool is_live = hub_.page(key.first, key.second, history_, events);
  emit(events);
  if (is_live) {
    state_of_watch(key, WatchState::Kind::present, state_.applied());
  } else {
    state_of_watch(key, WatchState::Kind::more, *hub_.cursor_of(key.first, key.second));
  }
}

void Node::emit(std::vector<watch::Event>& events) {
  for (auto& event : events) {
    auto& changes = event.batch->changes;
    const bool is_open = std::all_of(changes.begin(), changes.end(),
                                     [](const auto& change) { return change.acl.empty(); });
    if (!is_open) {
      const auto info = watches_.find(WatchKey{event.connection, event.watch});
      COORD_CHECK(info != watches_.end(), "an event is for a watch", event.watch);
      if (event.wanted.empty()) {
        for (std::uint32_t i = 0; i < changes.size(); ++i) event.wanted.push_back(i);
      }
      std::erase_if(event.wanted,
                    [&](auto i) { return !may_see(changes[i], info->second.identities); });
      if (event.wanted.empty()) continue;
    }
    deliveries_.emplace_back(
        WatchEvent{event.connection, event.watch, event.batch, std::move(event.wanted), false});
  }
}

}  // namespace coord::core
