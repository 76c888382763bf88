// Harness: a Node of a cluster of one, whose world is this test.
//
// Effects are collected; a sync, a checkpoint and an answer of the store happen at once, or when
// the test says so. Time is the test's. After every turn all invariants are held.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coord/core/changes.hpp"
#include "coord/core/invariants.hpp"
#include "coord/core/turn.hpp"

namespace coord::core {

inline Put put_of(std::string path, std::string_view value) {
  Put op;
  op.path = std::move(path);
  op.value = Blob(value);
  return op;
}

// StateStore as a map, with what core asks of it.
class FakeStore {
 public:
  void commit(const Checkpoint& checkpoint) {
    for (const auto& [key, bytes] : checkpoint.records.records()) {
      if (bytes) {
        records_[{key.table, std::string(key.key)}] = *bytes;
      } else {
        records_.erase({key.table, std::string(key.key)});
      }
    }
    for (const auto& batch : checkpoint.changes) add(*batch);
    while (true) {
      const auto oldest = records_.lower_bound({Table::changes, ""});
      if (oldest == records_.end() || oldest->first.first != Table::changes) break;
      const auto& key = oldest->first.second;
      if (Zxid(read_big_endian(key)) >= checkpoint.trim_changes_below) break;
      records_.erase({Table::change_paths, change_path_key_of(key, oldest->second)});
      records_.erase(oldest);
    }
    mark_ = CheckpointMark{checkpoint.applied, checkpoint.applied_term, checkpoint.digest};
  }
  void add(const znode::ChangeBatch& batch) {
    for (std::uint32_t i = 0; i < batch.changes.size(); ++i) {
      put(Table::changes, change_key(batch.zxid, i), encode_stored(batch, i));
      put(Table::change_paths, change_path_key(path_hash(batch.changes[i].path), batch.zxid, i),
          "");
    }
  }
  void put(Table table, std::string key, std::string bytes) {
    records_[{table, std::move(key)}] = std::move(bytes);
  }
  [[nodiscard]] StoreReader reader() const {
    StoreReader reader;
    reader.scan = [this](Table table, std::string_view from, std::string_view to,
                         const std::function<bool(std::string_view, std::string_view)>& each) {
      auto at = records_.upper_bound({table, std::string(from)});
      for (; at != records_.end() && at->first.first == table; ++at) {
        if (!to.empty() && at->first.second > to) break;
        if (!each(at->first.second, at->second)) break;
      }
      return error_;
    };
    reader.get = [this](Table table, std::string_view key, std::optional<std::string>& bytes) {
      const auto at = records_.find({table, std::string(key)});
      if (at != records_.end()) bytes = at->second;
      return error_;
    };
    return reader;
  }
  [[nodiscard]] const auto& records() const { return records_; }
  [[nodiscard]] const std::optional<CheckpointMark>& mark() const { return mark_; }
  void fail_with(std::string error) { error_ = std::move(error); }

 private:
  std::map<std::pair<Table, std::string>, std::string> records_;
  std::optional<CheckpointMark> mark_;
  std::string error_;
};

class Harness final : public Ports, public TraceSink {
 public:
  static constexpr ConnectionId kConnection{1};
  struct Options {
    StateLimits limits;
    WatchLimits watches;
    CheckpointPolicy checkpoint;
    RetentionPolicy retention;
    std::size_t uncommitted_bytes_max = 64 << 20;
  };

  explicit Harness(Options options) : options_(options) {
    start();
    run();
  }
  Harness() : Harness(Options()) {}

  // ---- the world, when the test holds it up
  bool syncs = true;        // Persists are acknowledged at once.
  bool checkpoints = true;  // Checkpoints are written at once.
  bool answers = true;      // The store answers at once.
  std::deque<election::Persist> unsynced;
  std::optional<Checkpoint> unwritten;
  std::deque<StoreRead> unanswered;
  FakeStore store;
  std::vector<Delivery> deliveries;
  std::vector<TraceEvent> traces;
  std::optional<Index> recycled;

  Node& node() { return *node_; }
  [[nodiscard]] std::int64_t now_ms() const { return now_.mono_ms; }

  // A new process on what is durable.
  void restart() {
    inbox_.clear();
    unsynced.clear();
    unwritten.reset();
    unanswered.clear();
    deliveries.clear();
    start();
    run();
  }
  void sync_one() {
    ASSERT_FALSE(unsynced.empty());
    auto persist = std::move(unsynced.front());
    unsynced.pop_front();
    if (persist.hard_state) hard_state_ = *persist.hard_state;
    for (const auto& entry : persist.entries) {
      while (!log_.empty() && log_.back()->index >= entry->index) log_.pop_back();
      log_.push_back(entry);
    }
    inbox_.emplace_back(Persisted{persist.number});
  }
  void write_checkpoint() {
    ASSERT_TRUE(unwritten);
    const auto checkpoint = std::exchange(unwritten, std::nullopt);
    store.commit(*checkpoint);
    inbox_.emplace_back(Checkpointed{checkpoint->applied});
  }
  void answer_one() {
    ASSERT_FALSE(unanswered.empty());
    const auto read = unanswered.front();
    unanswered.pop_front();
    inbox_.emplace_back(StoreAnswered{core::answer(read, store.reader())});
  }
  // Takes turns until nothing more happens by itself.
  void run() {
    for (bool is_more = true; is_more;) {
      is_more = turn();
      while (syncs && !unsynced.empty()) sync_one();
      if (checkpoints && unwritten) write_checkpoint();
      while (answers && !unanswered.empty()) answer_one();
      is_more = is_more || !inbox_.empty();
    }
  }
  bool turn() {
    const auto before = Invariants::snapshot_of(*node_);
    const bool is_more = run_turn(inbox_, *node_, now_, *this);
    for (const auto& problem : Invariants::check_basic(*node_)) ADD_FAILURE() << problem;
    for (const auto& problem : Invariants::check_delta(before, *node_)) ADD_FAILURE() << problem;
    return is_more;
  }
  void advance(std::int64_t ms, std::int64_t step = 20) {
    for (const auto end = now_.mono_ms + ms; now_.mono_ms < end;) {
      const auto by = std::min(step, end - now_.mono_ms);
      now_.mono_ms += by;
      now_.wall_ms += by;
      run();
    }
  }
  void step(Event event) {
    inbox_.push_back(std::move(event));
    run();
  }

  // ---- requests
  template <class Op>
  Request request(Op op) {
    Request request;
    request.connection = kConnection;
    request.id = RequestId(++last_request_);
    request.identities = {{"ip", "127.0.0.1"}};
    request.op = std::move(op);
    return request;
  }
  RequestId send(Request request) {
    const auto id = request.id;
    step(ClientRequest{std::move(request)});
    return id;
  }
  // The reply, if it came; it is taken out. There is never a second one.
  std::optional<Reply> reply_of(RequestId id) {
    std::optional<Reply> found;
    for (auto at = deliveries.begin(); at != deliveries.end();) {
      auto* reply = std::get_if<Reply>(&*at);
      if (reply == nullptr || reply->id != id) {
        ++at;
        continue;
      }
      EXPECT_FALSE(found) << "a request is answered twice";
      found = std::move(*reply);
      at = deliveries.erase(at);
    }
    return found;
  }
  Reply call(Request request) {
    auto reply = reply_of(send(std::move(request)));
    if (!reply) ADD_FAILURE() << "no reply came";
    return reply.value_or(Reply());
  }
  template <class Op>
  Reply ask(Op op) {
    return call(request(std::move(op)));
  }
  Reply put(const std::string& path, std::string_view value) {
    Put op;
    op.path = path;
    op.value = Blob(value);
    return ask(std::move(op));
  }
  SessionCredential open_session(std::int64_t ttl_ms) {
    OpenSession op;
    op.ttl_ms = ttl_ms;
    op.secret.fill(static_cast<std::uint8_t>(++last_request_));
    const auto secret = op.secret;
    const auto reply = ask(std::move(op));
    EXPECT_EQ(reply.code, Code::ok);
    return {std::get<SessionOpened>(reply.result).id, secret};
  }
  Reply keepalive(const SessionCredential& session) {
    auto one = request(Keepalive{session.id});
    one.session = session;
    return call(std::move(one));
  }
  bool is_live(SessionId id) { return node_->state().sessions().find(id) != nullptr; }

  // ---- watches
  Subscribe watch_of(std::uint64_t id, std::string path, watch::Depth depth = watch::Depth::node) {
    Subscribe subscribe;
    subscribe.connection = kConnection;
    subscribe.watch = WatchId(id);
    subscribe.filter.paths = {std::move(path)};
    subscribe.filter.depth = depth;
    subscribe.identities = {{"ip", "127.0.0.1"}};
    return subscribe;
  }
  // What came for a watch, as words: "opened@3", "4:/a" for each wanted change, "present@7", ...
  std::vector<std::string> words_of(std::uint64_t watch) {
    std::vector<std::string> words;
    for (const auto& delivery : deliveries) {
      if (const auto* event = std::get_if<WatchEvent>(&delivery)) {
        if (event->watch == WatchId(watch)) add_words(*event, words);
      } else if (const auto* state = std::get_if<WatchState>(&delivery)) {
        if (state->watch == WatchId(watch)) words.push_back(word_of(*state));
      }
    }
    return words;
  }

  // core::Ports
  void send(std::vector<core::Message>) override { FAIL() << "nobody to write to"; }
  void persist(election::Persist persist, std::vector<core::Message>) override {
    unsynced.push_back(std::move(persist));
  }
  void send_after_persist(std::vector<core::Message>) override { FAIL() << "nobody"; }
  void deliver(std::vector<Delivery> more) override {
    std::move(more.begin(), more.end(), std::back_inserter(deliveries));
  }
  void checkpoint(Checkpoint checkpoint) override {
    EXPECT_FALSE(unwritten) << "one checkpoint is under way at a time";
    unwritten = std::move(checkpoint);
  }
  void read_store(StoreRead read) override { unanswered.push_back(std::move(read)); }
  void recycle(Index up_to) override { recycled = up_to; }
  void read_snapshot(SnapshotRead) override { FAIL() << "nobody pulls"; }
  void write_snapshot(SnapshotWrite) override { FAIL() << "nobody to install from"; }
  void trace(const TraceEvent& event) override { traces.push_back(event); }

 private:
  static void add_words(const WatchEvent& event, std::vector<std::string>& words) {
    auto wanted = event.wanted;
    if (wanted.empty()) {
      for (std::uint32_t i = 0; i < event.batch->changes.size(); ++i) wanted.push_back(i);
    }
    for (const auto i : wanted) {
      words.push_back(fmt::format("{}{}:{}", event.is_initial ? "initial " : "", event.batch->zxid,
                                  event.batch->changes[i].path));
    }
  }
  static std::string word_of(const WatchState& state) {
    switch (state.kind) {
      case WatchState::Kind::opened:
        return fmt::format("opened@{}", state.revision);
      case WatchState::Kind::more:
        return fmt::format("more@{}", state.revision);
      case WatchState::Kind::present:
        return fmt::format("present@{}", state.revision);
      case WatchState::Kind::ended:
        break;
    }
    return fmt::format("ended:{}", state.code);
  }
  void start() {
    StateMachine state(options_.limits);
    Retention retention;
    const auto& mark = store.mark();
    if (mark) {
      for (const auto& [key, bytes] : store.records()) {
        if (key.first == Table::meta && key.second == Retention::kKey) {
          EXPECT_TRUE(retention.decode(bytes));
          continue;
        }
        EXPECT_EQ(state.load(key.first, key.second, bytes), "");
      }
      EXPECT_EQ(state.load_done(*mark), "");
    } else {
      election::Membership alone;
      alone.voters = {MemberId(1)};
      state.set_membership(std::move(alone));
    }
    election::Restored log;
    log.hard_state = hard_state_;
    if (mark) log.snapshot = {mark->applied, mark->applied_term};
    log.membership = state.membership();
    for (const auto& entry : log_) {
      if (entry->index > log.snapshot.index) log.entries.push_back(entry);
    }
    NodeOptions options;
    options.raft.id = MemberId(1);
    options.raft.uncommitted_bytes_max = options_.uncommitted_bytes_max;
    options.requests = options_.limits.requests;
    options.watches = options_.watches;
    options.checkpoint = options_.checkpoint;
    options.retention = options_.retention;
    options.cluster = "6b0c";
    options.disk_id = 7;
    node_ = std::make_unique<Node>(
        options, NodeState{std::move(state), std::move(log), std::move(retention)}, *this);
    // A process starts at another time than the one before ended.
    now_.mono_ms += 1'000;
  }

  Options options_;
  Tick now_{1'000, 1'700'000'000'000};
  Inbox inbox_;
  std::unique_ptr<Node> node_;
  election::HardState hard_state_;
  std::vector<election::SharedEntry> log_;
  std::uint64_t last_request_ = 0;
};

}  // namespace coord::core
