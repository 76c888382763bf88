// WatchTable: the watches of one member's ZooKeeper clients.
//
// One-shot watches are cheap here: a mask of kinds for each (path, client). The edge feeds it every
// applied batch, in order, ahead of the replies that show it, and adds a watch when the reply to
// its read comes in that same order: so registration and read are one event. It knows no sockets.
// Pure; single-threaded.
//
// Invariants: an entry has a kind at least; a path has an entry at least; a client's set of paths
// is exactly those where it has an entry.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/zk/protocol.hpp"
#include "znode/change.hpp"

namespace coord::api::zk {

using ClientId = std::uint64_t;

enum WatchKind : std::uint8_t {
  no_watch = 0,
  data_watch = 1,
  child_watch = 2,
  // A watch that stays hears of data and of children, and each half can be removed by itself.
  persistent_data_watch = 4,
  persistent_child_watch = 8,
  recursive_data_watch = 16,
  recursive_child_watch = 32,

  persistent_watch = persistent_data_watch | persistent_child_watch,
  recursive_watch = recursive_data_watch | recursive_child_watch,
  any_data_watch = data_watch | persistent_data_watch | recursive_data_watch,
  any_child_watch = child_watch | persistent_child_watch | recursive_child_watch,
  any_watch = any_data_watch | any_child_watch,
};

class WatchTable {
 public:
  struct Fired {
    ClientId client = 0;
    EventType type = EventType::changed;
    std::size_t path = 0;  // Index into Events::paths.
    // Only a watch that stays heard of it: it is for who may read what changed, as in ZooKeeper
    // since 3.8.4 (CVE-2024-23944). Of `children` that is the node with that path, else `change`.
    bool is_guarded = false;
    const znode::Change* change = nullptr;  // Of the batch.
  };
  // Of one batch, in the order in which each client gets them.
  struct Events {
    std::vector<std::string> paths;
    std::vector<Fired> fired;
  };

  WatchTable();
  ~WatchTable();

  // Adds kinds; those that are there stay.
  void add(ClientId client, std::string_view path, std::uint8_t kinds);
  [[nodiscard]] std::uint8_t kinds_of(ClientId client, std::string_view path) const;
  // Removes kinds. Gives those that were there.
  std::uint8_t remove(ClientId client, std::string_view path, std::uint8_t kinds);
  void drop(ClientId client);
  // What the batch fires; one-shot watches go with it. Each client gets one event at most for a
  // path and a type of one change, of however many kinds it watches.
  void publish(const znode::ChangeBatch& batch, Events& events);

  [[nodiscard]] std::size_t size() const noexcept { return count_; }  // Kinds of all entries.
  [[nodiscard]] std::size_t path_count() const noexcept;
  [[nodiscard]] std::size_t client_count() const noexcept;
  [[nodiscard]] std::size_t count_of(ClientId client) const;  // Paths.
  // In no order.
  void for_each(const std::function<void(std::string_view path, ClientId client)>& each) const;
  void check_invariants() const;

 private:
  struct Entry {
    ClientId client = 0;
    std::uint8_t kinds = 0;
  };
  struct Place {
    std::string path;
    std::vector<Entry> entries;  // Sorted by client.
  };
  struct PathHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view path) const noexcept;
  };
  using Index = absl::flat_hash_map<std::string, std::unique_ptr<Place>, PathHash, std::equal_to<>>;

  [[nodiscard]] Place* find(std::string_view path) const;
  static std::vector<Entry>::iterator entry_of(Place& place, ClientId client);
  void fire(std::string_view at, std::uint8_t kinds, EventType type, const znode::Change& change,
            Events& events);
  void fire_recursive(std::uint8_t kinds, EventType type, const znode::Change& change,
                      Events& events);
  void drop_if_empty(Place& place);
  void forget(Place& place, ClientId client);

  Index index_;
  absl::flat_hash_map<ClientId, absl::flat_hash_set<Place*>> clients_;
  std::size_t count_ = 0;
  std::size_t recursive_ = 0;  // Kinds of recursive_watch.
  std::size_t first_ = 0;      // In Events::fired: of the event that is being fired.
};

}  // namespace coord::api::zk
