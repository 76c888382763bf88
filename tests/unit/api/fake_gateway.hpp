// FakeGateway: a tiny member in memory, for tests of the edge.
//
// Answers when pump() is called, never from inside submit(), as the real one does. Knows enough of
// Put, Set, Get, Delete, GetChildren, OpenSession, GetSession and watches; other operations get
// `not_ready`, so that a test that meets one by accident fails loudly.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/gateway.hpp"

namespace coord::api {

class FakeGateway final : public Gateway {
 public:
  struct Node {
    Blob value;
    std::string content_type;
    znode::Stat stat;
  };
  struct Watch {
    ConnectionId connection;
    WatchId watch;
    watch::Filter filter;
  };

  ConnectionId connect(Sink& sink) override {
    const ConnectionId id(++last_connection_);
    sinks_[id.value()] = &sink;
    return id;
  }
  void disconnect(ConnectionId connection) override {
    sinks_.erase(connection.value());
    std::erase_if(watches, [&](const Watch& w) { return w.connection == connection; });
  }
  void submit(core::Request request) override { requests.push_back(std::move(request)); }
  void subscribe(core::Subscribe subscribe) override {
    watches.push_back({subscribe.connection, subscribe.watch, subscribe.filter});
    subscribed.push_back(subscribe);
    core::WatchState state;
    state.connection = subscribe.connection;
    state.watch = subscribe.watch;
    state.revision = subscribe.from.value_or(revision);
    if (subscribe.from && *subscribe.from < oldest) {
      state.kind = core::WatchState::Kind::ended;
      state.code = Code::compacted;
      state.oldest = oldest;
      watches.pop_back();
    }
    deliveries.push_back(state);
  }
  void unsubscribe(core::Unsubscribe unsubscribe) override {
    std::erase_if(watches, [&](const Watch& w) {
      return w.connection == unsubscribe.connection && w.watch == unsubscribe.watch;
    });
  }
  void resume(core::ResumeWatch) override { ++resumed; }
  void watch_applied(ConnectionId connection) override { applied_watcher = connection; }
  void read_backup(ConnectionId connection, std::size_t bytes_max) override {
    backup_asks.emplace_back(connection, bytes_max);
  }
  void give_backup(BackupPiece piece) {
    const auto asked = backup_asks.front().first;
    backup_asks.pop_front();
    const auto sink = sinks_.find(asked.value());
    if (sink == sinks_.end()) return;
    sink->second->deliver_backup(std::move(piece));
    const auto again = sinks_.find(asked.value());
    if (again != sinks_.end()) again->second->flush();
  }
  void touch(const core::SessionCredential& credential) override {
    ++touched;
    touched_session = credential.id;
  }
  Zxid applied() const override { return revision; }
  bool may_read(const std::string&, const Identities&) const override { return true; }
  std::int64_t staleness_ms() const override { return 0; }
  std::int64_t leaderless_ms() const override { return leaderless_for_ms; }
  bool is_ready(std::string& why) const override {
    why = is_serving ? "" : "no leader";
    return is_serving;
  }
  std::string metrics() override { return "coord_applied 1\n"; }
  session::Secret random_secret() override { return session::Secret{1, 2, 3}; }

  // Answers everything that waits (unless held), then flushes, like one turn of the runner.
  void pump() {
    if (!is_held) {
      auto taken = std::move(requests);
      requests.clear();
      for (auto& request : taken) answer(request);
    }
    auto out = std::move(deliveries);
    deliveries.clear();
    std::vector<std::uint64_t> touched_sinks;
    for (auto& delivery : out) {
      const auto id = std::visit([](const auto& one) { return one.connection; }, delivery).value();
      const auto sink = sinks_.find(id);
      if (sink == sinks_.end()) continue;
      sink->second->deliver(std::move(delivery));
      if (touched_sinks.empty() || touched_sinks.back() != id) touched_sinks.push_back(id);
    }
    for (const auto id : touched_sinks) {
      if (const auto sink = sinks_.find(id); sink != sinks_.end()) sink->second->flush();
    }
  }

  void answer(core::Request& request) {
    core::Reply reply;
    reply.connection = request.connection;
    reply.id = request.id;
    reply.consistency = request.consistency;
    const auto* step = std::get_if<core::RecipeStep>(&request.op);
    const auto* query = std::get_if<core::RecipeQuery>(&request.op);
    if (step != nullptr && on_step) {
      on_step(*step, request, reply);
    } else if (query != nullptr && on_query) {
      on_query(*query, reply);
    } else {
      std::visit([&](auto& op) { apply(op, reply); }, request.op);
    }
    if (reply.revision == Zxid()) reply.revision = revision;
    deliveries.push_back(std::move(reply));
  }

  // One transaction of several changes, to every watch that wants one of its paths.
  void publish(std::vector<znode::Change> changes) {
    auto batch = std::make_shared<znode::ChangeBatch>();
    batch->zxid = revision;
    batch->changes = std::move(changes);
    for (const auto& one : watches) {
      core::WatchEvent event{one.connection, one.watch, batch, {}, false};
      for (std::uint32_t i = 0; i < batch->changes.size(); ++i) {
        for (const auto& path : one.filter.paths) {
          const auto& changed = batch->changes[i].path;
          const bool is_child = one.filter.depth != watch::Depth::node &&
                                changed.starts_with(path == "/" ? path : path + "/");
          if (changed == path || is_child) event.wanted.push_back(i);
        }
      }
      if (!event.wanted.empty()) deliveries.push_back(event);
    }
  }

  std::map<std::string, Node> nodes;
  std::vector<Watch> watches;
  std::vector<core::Subscribe> subscribed;
  std::vector<core::Request> requests;
  std::vector<core::Delivery> deliveries;
  std::deque<std::pair<ConnectionId, std::size_t>> backup_asks;
  Zxid revision{10};
  Zxid oldest;
  bool is_serving = true;
  std::int64_t leaderless_for_ms = 0;
  bool is_held = false;  // Requests stay without an answer.
  int resumed = 0;
  int touched = 0;
  SessionId touched_session;
  ConnectionId applied_watcher;
  std::int64_t session_ttl_ms = 10'000;
  // Answers of recipes; without them not_ready.
  std::function<void(const core::RecipeStep&, const core::Request&, core::Reply&)> on_step;
  std::function<void(const core::RecipeQuery&, core::Reply&)> on_query;
  std::function<void()> before_set;  // Called once, before the next Set: another writer.

 private:
  template <class Op>
  void apply(Op&, core::Reply& reply) {
    reply.code = Code::not_ready;
  }
  void apply(core::Put& put, core::Reply& reply) {
    write(put.path, put.value, put.content_type, reply);
  }
  void apply(core::Set& set, core::Reply& reply) {
    if (before_set) std::exchange(before_set, nullptr)();
    const auto at = nodes.find(set.path);
    if (at == nodes.end()) {
      reply.code = Code::no_node;
    } else if (set.guard.mzxid && *set.guard.mzxid != at->second.stat.mzxid) {
      reply.code = Code::bad_version;
      reply.present = at->second.stat;
    } else {
      write(set.path, set.value, set.content_type, reply);
    }
  }
  void write(const std::string& path, const Blob& value, const std::string& type,
             core::Reply& reply) {
    revision = revision.next();
    const bool is_new = !nodes.contains(path);
    auto& node = nodes[path];
    znode::Change change;
    change.kind = is_new ? znode::ChangeKind::created : znode::ChangeKind::changed;
    change.path = path;
    change.prev_value = node.value;
    node.value = change.value = value;
    node.content_type = type;
    node.stat.mzxid = revision;
    if (is_new) node.stat.czxid = revision;
    node.stat.version += is_new ? 0 : 1;
    node.stat.data_length = static_cast<std::uint32_t>(value.size());
    change.stat = node.stat;
    publish({change});
    reply.result = core::Written{path, node.stat, is_new, {}};
  }
  void apply(core::Get& get, core::Reply& reply) {
    const auto at = nodes.find(get.path);
    if (at == nodes.end()) {
      reply.code = Code::no_node;
      reply.path = get.path;
      return;
    }
    reply.result = core::NodeValue{at->second.stat, at->second.value, at->second.content_type};
  }
  void apply(core::Delete& erase, core::Reply& reply) {
    const auto at = nodes.find(erase.path);
    if (at == nodes.end()) {
      reply.code = Code::no_node;
      return;
    }
    revision = revision.next();
    znode::Change change;
    change.kind = znode::ChangeKind::deleted;
    change.path = erase.path;
    change.stat = at->second.stat;
    nodes.erase(at);
    publish({change});
    reply.result = core::Written{erase.path, change.stat, false, {}};
  }
  void apply(core::GetChildren& get, core::Reply& reply) {
    core::ChildList list;
    const auto prefix = get.path == "/" ? get.path : get.path + "/";
    for (const auto& [path, node] : nodes) {
      if (!path.starts_with(prefix) || path.substr(prefix.size()) <= get.after) continue;
      if (list.children.size() == get.limit) {
        list.is_last = false;
        break;
      }
      list.children.push_back({path.substr(prefix.size()), {node.stat, node.value, {}}});
    }
    reply.result = std::move(list);
  }
  void apply(core::OpenSession& open, core::Reply& reply) {
    revision = revision.next();
    reply.result = core::SessionOpened{SessionId(revision.value()), open.secret, open.ttl_ms};
  }
  void apply(core::GetSession& get, core::Reply& reply) {
    core::SessionView view;
    view.id = get.id;
    view.ttl_ms = session_ttl_ms;
    reply.result = view;
  }
  void apply(core::PrepareBackup&, core::Reply&) {}
  void apply(core::GetStatus&, core::Reply& reply) { reply.result = core::Status{}; }

  std::uint64_t last_connection_ = 0;
  std::map<std::uint64_t, Sink*> sinks_;
};

}  // namespace coord::api
