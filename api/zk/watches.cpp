#include "api/zk/watches.hpp"

#include <absl/hash/hash.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <bit>

#include "coord/base/check.hpp"
#include "znode/path.hpp"

namespace coord::api::zk {
namespace {

constexpr std::uint8_t kOneShot = data_watch | child_watch;

std::size_t bits_of(std::uint8_t kinds) { return static_cast<std::size_t>(std::popcount(kinds)); }

}  // namespace

WatchTable::WatchTable() = default;
WatchTable::~WatchTable() = default;

std::size_t WatchTable::PathHash::operator()(std::string_view path) const noexcept {
  return absl::Hash<absl::string_view>()(absl::string_view(path.data(), path.size()));
}

WatchTable::Place* WatchTable::find(std::string_view path) const {
  const auto at = index_.find(path);
  return at == index_.end() ? nullptr : at->second.get();
}

std::vector<WatchTable::Entry>::iterator WatchTable::entry_of(Place& place, ClientId client) {
  return std::lower_bound(place.entries.begin(), place.entries.end(), client,
                          [](const Entry& entry, ClientId id) { return entry.client < id; });
}

void WatchTable::add(ClientId client, std::string_view path, std::uint8_t kinds) {
  COORD_CHECK(kinds != 0 && kinds <= any_watch, "a watch is of a kind", kinds);
  auto* place = find(path);
  if (place == nullptr) {
    auto fresh = std::make_unique<Place>();
    fresh->path = path;
    place = fresh.get();
    index_.emplace(place->path, std::move(fresh));
  }
  auto at = entry_of(*place, client);
  if (at == place->entries.end() || at->client != client) {
    at = place->entries.insert(at, {client, 0});
    clients_[client].insert(place);
  }
  const auto fresh = static_cast<std::uint8_t>(kinds & ~at->kinds);
  count_ += bits_of(fresh);
  recursive_ += bits_of(fresh & recursive_watch);
  at->kinds |= kinds;
}

std::uint8_t WatchTable::kinds_of(ClientId client, std::string_view path) const {
  auto* place = find(path);
  if (place == nullptr) return 0;
  const auto at = entry_of(*place, client);
  return at == place->entries.end() || at->client != client ? std::uint8_t{0} : at->kinds;
}

std::uint8_t WatchTable::remove(ClientId client, std::string_view path, std::uint8_t kinds) {
  auto* place = find(path);
  if (place == nullptr) return 0;
  const auto at = entry_of(*place, client);
  if (at == place->entries.end() || at->client != client) return 0;
  const auto gone = static_cast<std::uint8_t>(at->kinds & kinds);
  at->kinds = static_cast<std::uint8_t>(at->kinds & ~gone);
  count_ -= bits_of(gone);
  recursive_ -= bits_of(gone & recursive_watch);
  if (at->kinds == 0) {
    place->entries.erase(at);
    forget(*place, client);
    drop_if_empty(*place);
  }
  return gone;
}

void WatchTable::forget(Place& place, ClientId client) {
  const auto of_client = clients_.find(client);
  COORD_CHECK(of_client != clients_.end(), "a watching client is known", client);
  of_client->second.erase(&place);
  if (of_client->second.empty()) clients_.erase(of_client);
}

void WatchTable::drop_if_empty(Place& place) {
  if (!place.entries.empty()) return;
  index_.erase(index_.find(std::string_view(place.path)));
}

void WatchTable::drop(ClientId client) {
  const auto of_client = clients_.find(client);
  if (of_client == clients_.end()) return;
  for (auto* place : of_client->second) {
    const auto at = entry_of(*place, client);
    COORD_CHECK(at != place->entries.end() && at->client == client, "and listed", client);
    count_ -= bits_of(at->kinds);
    recursive_ -= bits_of(at->kinds & recursive_watch);
    place->entries.erase(at);
    drop_if_empty(*place);
  }
  clients_.erase(of_client);
}

// Fires what is registered at `path`, of one of these kinds.
void WatchTable::fire(std::string_view path, std::uint8_t kinds, EventType type,
                      const znode::Change& change, Events& events) {
  auto* place = find(path);
  if (place == nullptr) return;
  bool has_emptied = false;
  for (auto& entry : place->entries) {
    if ((entry.kinds & kinds) == 0) continue;
    if (events.paths.empty() || events.paths.back() != path) events.paths.emplace_back(path);
    const auto gone = static_cast<std::uint8_t>(entry.kinds & kinds & kOneShot);
    events.fired.push_back({entry.client, type, events.paths.size() - 1, gone == 0, &change});
    entry.kinds = static_cast<std::uint8_t>(entry.kinds & ~gone);
    count_ -= bits_of(gone);
    if (entry.kinds == 0) {
      has_emptied = true;
      forget(*place, entry.client);
    }
  }
  if (!has_emptied) return;
  std::erase_if(place->entries, [](const Entry& entry) { return entry.kinds == 0; });
  drop_if_empty(*place);
}

// Recursive watches of these kinds at the path itself and above it, for clients that were not told
// of it already. Who watches the root is not told of /.coord, which it does not see.
void WatchTable::fire_recursive(std::uint8_t kinds, EventType type, const znode::Change& change,
                                Events& events) {
  if (recursive_ == 0) return;
  const std::string_view path = change.path;
  absl::flat_hash_set<ClientId> told;
  for (auto i = first_; i < events.fired.size(); ++i) told.insert(events.fired[i].client);
  for (auto at = path;; at = znode::parent_of(at)) {
    if (at == "/" && znode::is_within(path, znode::kServicePath)) return;
    if (const auto* place = find(at)) {
      for (const auto& entry : place->entries) {
        if ((entry.kinds & kinds) == 0 || !told.insert(entry.client).second) continue;
        if (events.paths.empty() || events.paths.back() != path) events.paths.emplace_back(path);
        events.fired.push_back({entry.client, type, events.paths.size() - 1, true, &change});
      }
    }
    if (at == "/") return;
  }
}

void WatchTable::publish(const znode::ChangeBatch& batch, Events& events) {
  for (const auto& change : batch.changes) {
    if (index_.empty()) return;
    const std::string_view path = change.path;
    first_ = events.fired.size();
    switch (change.kind) {
      case znode::ChangeKind::created:
        fire(path, data_watch | persistent_data_watch, EventType::created, change, events);
        fire_recursive(recursive_data_watch, EventType::created, change, events);
        break;
      case znode::ChangeKind::changed:
        fire(path, data_watch | persistent_data_watch, EventType::changed, change, events);
        fire_recursive(recursive_data_watch, EventType::changed, change, events);
        break;
      case znode::ChangeKind::deleted:
        fire(path, data_watch | child_watch | persistent_watch, EventType::deleted, change, events);
        fire_recursive(recursive_watch, EventType::deleted, change, events);
        break;
      case znode::ChangeKind::acl:
        continue;
    }
    if (change.kind == znode::ChangeKind::changed || path == "/") continue;
    const auto parent = znode::parent_of(path);
    fire(parent, child_watch | persistent_child_watch, EventType::children, change, events);
  }
}

std::size_t WatchTable::path_count() const noexcept { return index_.size(); }
std::size_t WatchTable::client_count() const noexcept { return clients_.size(); }
std::size_t WatchTable::count_of(ClientId client) const {
  const auto at = clients_.find(client);
  return at == clients_.end() ? 0 : at->second.size();
}

void WatchTable::for_each(
    const std::function<void(std::string_view path, ClientId client)>& each) const {
  for (const auto& [path, place] : index_) {
    for (const auto& entry : place->entries) each(path, entry.client);
  }
}

void WatchTable::check_invariants() const {
  std::size_t count = 0;
  std::size_t recursive = 0;
  std::size_t entries = 0;
  for (const auto& [path, place] : index_) {
    COORD_CHECK(place->path == path, "a place lies under its path");
    COORD_CHECK(!place->entries.empty(), "a path has an entry");
    ClientId last = 0;
    for (const auto& entry : place->entries) {
      COORD_CHECK(entry.kinds != 0, "an entry has a kind");
      COORD_CHECK(entries == 0 || last < entry.client || last == 0, "entries are in order");
      last = entry.client;
      count += bits_of(entry.kinds);
      recursive += bits_of(entry.kinds & recursive_watch);
      const auto of_client = clients_.find(entry.client);
      COORD_CHECK(of_client != clients_.end() && of_client->second.contains(place.get()),
                  "a client knows where it watches", entry.client);
      ++entries;
    }
  }
  std::size_t listed = 0;
  for (const auto& [client, places] : clients_) listed += places.size();
  COORD_CHECK(listed == entries, "and nowhere else");
  COORD_CHECK(count == count_ && recursive == recursive_, "kinds are counted");
}

}  // namespace coord::api::zk
