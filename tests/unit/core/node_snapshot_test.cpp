// Two or three Nodes with real snapshots between them, over the simulator's store.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "coord/core/invariants.hpp"
#include "coord/core/turn.hpp"
#include "tests/sim/model_store.hpp"

namespace coord::core {
namespace {

constexpr std::size_t kMembers = 3;

// A member: a Node, its log, its store, and what the test holds up.
class Place final : public Ports, public TraceSink {
 public:
  Place(MemberId id, NodeOptions options) : id_(id), options_(std::move(options)) {
    options_.raft.id = id;
    options_.raft.seed = id.value();
  }

  bool is_up() const { return node_ != nullptr; }
  Node& node() { return *node_; }
  std::deque<Message> out;
  std::vector<Delivery> deliveries;
  std::function<void(Message&)> spoil;  // What goes out.
  bool adopts = true;                   // An exchange is reported.
  std::size_t snapshot_bytes = 0;       // Read for others.
  sim::ModelStore store;
  [[nodiscard]] MemberId id() const { return id_; }

  void start(const Tick& now) {
    StateLoader loader(options_limits_);
    const auto mark = store.mark().value();
    if (mark) {
      ASSERT_TRUE(store.load([&](Table table, std::string_view key, std::string_view bytes) {
        return loader.take(table, key, bytes);
      }));
      ASSERT_EQ(loader.done(*mark), "");
    }
    auto loaded = std::move(loader).loaded();
    election::Membership everybody;
    for (std::uint64_t i = 1; i <= kMembers; ++i) everybody.voters.emplace_back(i);
    if (!mark) loaded->state.set_membership(everybody);
    election::Restored log;
    log.hard_state = hard_state_;
    if (mark) log.snapshot = {mark->applied, mark->applied_term};
    log.membership = loaded->state.membership();
    for (const auto& entry : log_) {
      if (entry->index > log.snapshot.index) log.entries.push_back(entry);
    }
    ++options_.raft.seed;
    node_ = std::make_unique<Node>(
        options_, NodeState{std::move(loaded->state), std::move(log), loaded->retention}, *this);
    now_ = now;
  }
  void stop() {
    node_.reset();
    inbox_.clear();
    out.clear();
    sources_.clear();
    sink_.reset();
  }
  void receive(Event event) { inbox_.push_back(std::move(event)); }
  bool turn(const Tick& now) {
    now_ = now;
    const auto before = Invariants::snapshot_of(*node_);
    const bool is_more = run_turn(inbox_, *node_, now, *this);
    for (const auto& problem : Invariants::check_basic(*node_)) ADD_FAILURE() << problem;
    for (const auto& problem : Invariants::check_delta(before, *node_)) ADD_FAILURE() << problem;
    return is_more || !inbox_.empty();
  }

  void send(std::vector<Message> messages) override {
    for (auto& message : messages) {
      if (spoil) spoil(message);
      out.push_back(std::move(message));
    }
  }
  void persist(election::Persist persist, std::vector<Message> after) override {
    if (persist.hard_state) hard_state_ = *persist.hard_state;
    for (const auto& entry : persist.entries) {
      while (!log_.empty() && log_.back()->index >= entry->index) log_.pop_back();
      if (!log_.empty() && log_.back()->index.next() != entry->index) log_.clear();
      log_.push_back(entry);
    }
    send(std::move(after));
    receive(Persisted{persist.number});
  }
  void send_after_persist(std::vector<Message> messages) override { send(std::move(messages)); }
  void deliver(std::vector<Delivery> more) override {
    std::move(more.begin(), more.end(), std::back_inserter(deliveries));
  }
  void checkpoint(Checkpoint checkpoint) override {
    ASSERT_TRUE(store.commit(checkpoint));
    receive(Checkpointed{checkpoint.applied});
  }
  void read_store(StoreRead read) override {
    StoreReader reader;
    reader.scan = [this](Table table, std::string_view from, std::string_view to,
                         const std::function<bool(std::string_view, std::string_view)>& each) {
      const auto result = store.scan(table, from, to, each);
      return result ? std::string() : result.error().message;
    };
    receive(StoreAnswered{answer(read, reader)});
  }
  void recycle(Index) override {}
  void read_snapshot(SnapshotRead read) override {
    if (read.bytes_max == 0) {
      sources_.erase(read.stream);
      return;
    }
    auto& source = sources_[read.stream];
    if (!source) source = store.snapshot().value();
    SnapshotWasRead found;
    found.stream = read.stream;
    found.mark = {source->mark().applied, source->mark().applied_term};
    found.bytes = source->read(read.bytes_max).value();
    found.is_last = source->has_ended();
    snapshot_bytes += found.bytes.size();
    receive(std::move(found));
  }
  void write_snapshot(SnapshotWrite write) override {
    SnapshotWritten done{write.install, write.kind, {}, nullptr};
    switch (write.kind) {
      case SnapshotWrite::Kind::begin:
        sink_ = store.receive().value();
        break;
      case SnapshotWrite::Kind::append:
        if (const auto result = sink_->append(write.bytes); !result) {
          done.error = result.error().message;
        }
        break;
      case SnapshotWrite::Kind::finish:
        finish(done);
        break;
      case SnapshotWrite::Kind::adopt:
        // What Raft hears in between must not pass the snapshot: see the held messages.
        ASSERT_TRUE(store.adopt(std::move(sink_)));
        if (!adopts) return;
        break;
      case SnapshotWrite::Kind::drop:
        sink_.reset();
        return;
    }
    receive(std::move(done));
  }
  void trace(const TraceEvent&) override {}

 private:
  void finish(SnapshotWritten& done) {
    const auto mark = sink_->finish();
    if (!mark) {
      done.error = mark.error().message;
      return;
    }
    StateLoader loader(options_limits_);
    ASSERT_TRUE(sink_->store().load([&](Table table, std::string_view key, std::string_view bytes) {
      return loader.take(table, key, bytes);
    }));
    ASSERT_EQ(loader.done(mark.value()), "");
    done.loaded = std::move(loader).loaded();
  }

  MemberId id_;
  NodeOptions options_;
  StateLimits options_limits_;
  Tick now_;
  Inbox inbox_;
  std::unique_ptr<Node> node_;
  election::HardState hard_state_;
  std::vector<election::SharedEntry> log_;
  std::map<std::uint64_t, std::unique_ptr<disk::SnapshotSource>> sources_;
  std::unique_ptr<disk::SnapshotSink> sink_;
};

class NodeSnapshot : public ::testing::Test {
 protected:
  explicit NodeSnapshot(std::uint64_t bytes_per_second = 64 << 20) {
    NodeOptions options;
    options.snapshots.bytes_per_second = bytes_per_second;
    options.cluster = "6b0c";
    options.raft.log_tail_entries = 0;
    options.checkpoint.interval_ms = 100;
    options.snapshots.chunk_bytes = 700;
    options.snapshots.streams_max = 1;
    for (std::uint64_t i = 1; i <= kMembers; ++i) {
      places_.push_back(std::make_unique<Place>(MemberId(i), options));
      place(i).start(now_);
    }
  }
  Place& place(std::uint64_t id) { return *places_[id - 1]; }
  Place& leader() {
    for (auto& one : places_) {
      if (one->is_up() && one->node().raft().role() == election::Role::leader) return *one;
    }
    ADD_FAILURE() << "there is no leader";
    return place(1);
  }
  Place& follower(std::size_t which) {
    for (auto& one : places_) {
      if (one->is_up() && one->node().raft().role() != election::Role::leader && which-- == 0) {
        return *one;
      }
    }
    ADD_FAILURE() << "there is no such follower";
    return place(1);
  }
  void run_for(std::int64_t ms) {
    for (const auto end = now_.mono_ms + ms; now_.mono_ms < end;) {
      now_.mono_ms += 10;
      now_.wall_ms += 10;
      settle();
    }
  }
  void settle() {
    for (int round = 0; round < 40; ++round) {
      bool is_more = false;
      for (auto& one : places_) {
        if (one->is_up()) is_more = one->turn(now_) || is_more;
      }
      for (auto& one : places_) {
        while (!one->out.empty()) {
          auto message = std::move(one->out.front());
          one->out.pop_front();
          auto& to = place(message.to.value());
          if (!to.is_up() || message.to == cut_ || message.from == cut_) continue;
          // Over the wire, as the members would.
          Message read;
          ASSERT_TRUE(decode(encode(message), read));
          to.receive(PeerMessage{std::move(read)});
          is_more = true;
        }
      }
      if (!is_more) return;
    }
  }
  void put(const std::string& path, const std::string& value) {
    Request request;
    request.connection = ConnectionId(1);
    request.id = RequestId(++last_request_);
    request.identities = {{"ip", "127.0.0.1"}};
    Put op;
    op.path = path;
    op.value = Blob(value);
    request.op = std::move(op);
    leader().receive(ClientRequest{std::move(request)});
    settle();
  }
  // Stops a follower and writes so much that the log no longer reaches back to it.
  Place& leave_one_behind() {
    run_for(1'500);
    put("/early", "1");
    run_for(300);
    auto& away = follower(0);
    away.stop();
    for (int i = 0; i < 40; ++i) put("/n" + std::to_string(i), std::string(100, 'v'));
    return away;
  }
  void forget_log() {
    // The leader keeps what a member of the ensemble lacks up to its tail, which is empty here.
    run_for(300);
    put("/late", "2");
    run_for(300);
  }
  bool is_equal(Place& a, Place& b) {
    return a.node().state().applied() == b.node().state().applied() &&
           a.node().state().digest() == b.node().state().digest();
  }

  Tick now_{1'000, 1'700'000'000'000};
  MemberId cut_;  // Nothing reaches it, nothing leaves it.
  std::uint64_t last_request_ = 0;
  std::vector<std::unique_ptr<Place>> places_;
};

TEST_F(NodeSnapshot, a_member_that_was_away_for_too_long_installs_a_snapshot) {
  auto& away = leave_one_behind();
  forget_log();
  away.start(now_);
  ASSERT_LT(away.node().state().applied().value(),
            leader().node().raft().first_index().previous().value());
  run_for(3'000);
  EXPECT_GT(leader().snapshot_bytes, 4'000U);
  EXPECT_TRUE(is_equal(away, leader()));
  EXPECT_EQ(away.store.mark().value()->applied, away.node().checkpointed());
  put("/after", "3");
  run_for(500);
  EXPECT_TRUE(is_equal(away, leader()));
  EXPECT_TRUE(away.node().state().tree().get("/after"));
  // And what is durable there starts again.
  away.stop();
  away.start(now_);
  run_for(1'000);
  EXPECT_TRUE(is_equal(away, leader()));
}

TEST_F(NodeSnapshot, a_damaged_piece_is_refused_and_the_snapshot_is_fetched_anew) {
  auto& away = leave_one_behind();
  forget_log();
  int spoilt = 0;
  leader().spoil = [&spoilt](Message& message) {
    auto* chunk = std::get_if<SnapshotChunk>(&message.body);
    if (chunk == nullptr || chunk->offset == 0 || spoilt > 0) return;
    ++spoilt;
    auto& byte = chunk->bytes[chunk->bytes.size() / 2];
    byte = static_cast<char>(byte ^ 1);
  };
  away.start(now_);
  run_for(5'000);
  EXPECT_EQ(spoilt, 1);
  EXPECT_TRUE(is_equal(away, leader()));
}

// Late and twice, the first pull of a member that has what it wanted takes the only place.
TEST_F(NodeSnapshot, who_waits_gets_the_place_of_a_stream_that_nobody_pulls) {
  auto& away = leave_one_behind();
  forget_log();
  const auto mark = leader().store.mark().value();
  const election::SnapshotMark asked{mark->applied, mark->applied_term};
  leader().receive(PeerMessage{{follower(0).id(), leader().id(), SnapshotPull{asked, 0, 0}}});
  settle();
  ASSERT_GT(leader().snapshot_bytes, 0U);
  away.start(now_);
  run_for(3'000);
  ASSERT_FALSE(is_equal(away, leader())) << "there was a place";
  run_for(6'000);
  EXPECT_TRUE(is_equal(away, leader()));
}

// Seven kilobytes a second: a transfer can be watched.
class NodeSnapshotSlow : public NodeSnapshot {
 protected:
  NodeSnapshotSlow() : NodeSnapshot(7'000) {}
};

TEST_F(NodeSnapshotSlow, a_transfer_keeps_to_its_rate_and_goes_on_after_a_broken_link) {
  auto& away = leave_one_behind();
  forget_log();
  const auto before = away.store.mark();
  away.start(now_);
  run_for(500);
  const auto read = leader().snapshot_bytes;
  EXPECT_GT(read, 700U);
  EXPECT_LT(read, 7'000U);
  cut_ = away.id();
  run_for(5'000);
  EXPECT_LE(leader().snapshot_bytes, read + 700);
  // What came so far changes nothing.
  ASSERT_EQ(away.store.mark().value().has_value(), before.value().has_value());
  const auto size = leader().store.snapshot().value()->read(1 << 20).value().size();
  cut_ = MemberId();
  run_for(6'000);
  EXPECT_TRUE(is_equal(away, leader()));
  EXPECT_LE(leader().snapshot_bytes, size + 1'400) << "it began anew";
}

TEST_F(NodeSnapshotSlow, a_member_that_ends_in_the_middle_has_its_old_state_and_begins_anew) {
  auto& away = leave_one_behind();
  forget_log();
  away.start(now_);
  run_for(500);
  const auto applied = away.node().state().applied();
  away.stop();
  away.start(now_);
  EXPECT_EQ(away.node().state().applied(), applied);
  run_for(8'000);
  EXPECT_TRUE(is_equal(away, leader()));
}

TEST_F(NodeSnapshotSlow, the_log_after_a_snapshot_stays_while_it_is_on_its_way) {
  auto& away = leave_one_behind();
  forget_log();
  away.start(now_);
  run_for(300);
  const auto first = leader().node().raft().first_index();
  const auto applied = away.node().state().applied();
  for (int i = 0; i < 5; ++i) {
    put("/during" + std::to_string(i), "x");
    run_for(100);
  }
  ASSERT_EQ(away.node().state().applied(), applied) << "the transfer is over already";
  EXPECT_GT(leader().node().checkpointed(), first) << "nothing wanted to leave the log";
  EXPECT_EQ(leader().node().raft().first_index(), first);
  run_for(6'000);
  EXPECT_TRUE(is_equal(away, leader()));
  put("/late", "y");
  run_for(500);
  EXPECT_GT(leader().node().raft().first_index(), first);
}

TEST_F(NodeSnapshot, a_watch_misses_nothing_of_what_a_snapshot_skips) {
  run_for(1'500);
  put("/early", "1");
  run_for(300);
  auto& away = follower(0);
  Subscribe subscribe;
  subscribe.connection = ConnectionId(9);
  subscribe.watch = WatchId(4);
  subscribe.filter.paths = {"/"};
  subscribe.filter.depth = watch::Depth::subtree;
  subscribe.identities = {{"ip", "127.0.0.1"}};
  subscribe.consistency = Consistency::local;
  away.receive(std::move(subscribe));
  run_for(100);
  cut_ = away.id();
  for (int i = 0; i < 40; ++i) put("/n" + std::to_string(i), std::string(100, 'v'));
  forget_log();
  cut_ = MemberId();
  run_for(3'000);
  ASSERT_GT(leader().snapshot_bytes, 0U);
  put("/after", "3");
  run_for(500);
  std::vector<std::string> paths;
  // The client asks for more as long as there is more.
  for (int round = 0; round < 50 && (paths.empty() || paths.back() != "/after"); ++round) {
    for (const auto& delivery : std::exchange(away.deliveries, {})) {
      if (const auto* event = std::get_if<WatchEvent>(&delivery)) {
        for (const auto& change : event->batch->changes) paths.push_back(change.path);
      }
      const auto* state = std::get_if<WatchState>(&delivery);
      if (state != nullptr && state->kind == WatchState::Kind::more) {
        away.receive(ResumeWatch{ConnectionId(9), WatchId(4)});
      }
    }
    run_for(50);
  }
  std::vector<std::string> want;
  for (int i = 0; i < 40; ++i) want.push_back("/n" + std::to_string(i));
  want.insert(want.end(), {"/late", "/after"});
  EXPECT_EQ(paths, want);
}

// A member that differs from the others, as they see it.
class NodeRepair : public NodeSnapshotSlow {
 protected:
  void begin() {
    run_for(1'500);
    for (int i = 0; i < 40; ++i) put("/n" + std::to_string(i), std::string(100, 'v'));
    run_for(300);
    for (auto& one : places_) {
      for (auto& other : places_) {
        if (one != other) one->receive(PeerUp{other->id(), 1, {}, {}, {}});
      }
    }
    settle();
  }
  // The others' digests differ from its own.
  void make_diverge(Place& bad) {
    bool has_lied = false;
    for (int i = 0; i < 200 && !is_diverged(bad); ++i) {
      put("/more" + std::to_string(i), "x");
      for (auto& other : places_) {
        if (other->id() == bad.id()) continue;
        other->spoil = [&](Message& message) {
          auto* note = std::get_if<DigestNote>(&message.body);
          if (note == nullptr || message.to != bad.id()) return;
          note->digest ^= 1;
          has_lied = true;
        };
      }
      run_for(200);
    }
    for (auto& other : places_) other->spoil = nullptr;
    ASSERT_TRUE(has_lied);
    ASSERT_TRUE(is_diverged(bad));
  }
  bool is_diverged(Place& one) {
    std::string why;
    return !one.node().is_ready(why) && why.find("cluster repair") != std::string::npos;
  }
  Code repair(Place& asked, MemberId id, bool is_operator = true) {
    Request request;
    request.connection = ConnectionId(3);
    request.id = RequestId(++last_request_);
    request.identities = {{"ip", "127.0.0.1"}};
    if (is_operator) request.identities.push_back({"super", ""});
    request.op = RepairMember{id};
    const auto number = request.id;
    asked.deliveries.clear();
    asked.receive(ClientRequest{std::move(request)});
    settle();
    for (const auto& delivery : asked.deliveries) {
      const auto* reply = std::get_if<Reply>(&delivery);
      if (reply != nullptr && reply->id == number) return reply->code;
    }
    return Code::internal;
  }
};

TEST_F(NodeRepair, an_idle_member_is_rebuilt_and_serves_again_with_the_others_state) {
  begin();
  auto& bad = follower(0);
  make_diverge(bad);
  run_for(2'000);
  const auto last = leader().node().raft().last_index();
  EXPECT_EQ(repair(follower(1), bad.id(), false), Code::forbidden);
  EXPECT_EQ(repair(follower(1), MemberId(9)), Code::not_found);
  run_for(2'000);
  EXPECT_TRUE(is_diverged(bad)) << "nobody has asked for it";
  EXPECT_EQ(repair(follower(1), bad.id()), Code::ok);
  run_for(15'000);
  EXPECT_FALSE(is_diverged(bad));
  EXPECT_TRUE(is_equal(bad, leader()));
  EXPECT_EQ(leader().node().raft().last_index(), last.next()) << "one empty entry, no more";
  bad.stop();
  bad.start(now_);
  run_for(1'000);
  EXPECT_TRUE(is_equal(bad, leader())) << "what is durable there";
}

TEST_F(NodeRepair, writes_go_on_with_its_vote_while_it_is_rebuilt) {
  begin();
  auto& bad = follower(0);
  make_diverge(bad);
  auto& other = follower(1);
  other.stop();  // The one that is rebuilt makes the quorum.
  EXPECT_EQ(repair(bad, bad.id()), Code::ok);
  for (int i = 0; i < 100 && is_diverged(bad); ++i) {
    put("/during" + std::to_string(i), "x");
    run_for(200);
    if (i == 5) {
      EXPECT_TRUE(is_diverged(bad)) << "too fast to see anything";
    }
  }
  run_for(500);
  EXPECT_FALSE(is_diverged(bad));
  EXPECT_TRUE(leader().node().state().tree().get("/during5"));
  EXPECT_TRUE(is_equal(bad, leader()));
  other.start(now_);
  run_for(10'000);
  EXPECT_TRUE(is_equal(other, leader()));
}

TEST_F(NodeRepair, a_leader_that_differs_hands_over_and_is_rebuilt) {
  begin();
  auto& bad = leader();
  make_diverge(bad);
  EXPECT_EQ(repair(bad, bad.id()), Code::ok);
  run_for(20'000);
  EXPECT_NE(leader().id(), bad.id());
  EXPECT_FALSE(is_diverged(bad));
  EXPECT_TRUE(is_equal(bad, leader()));
}

TEST_F(NodeRepair, a_member_that_differs_sends_nobody_its_state) {
  begin();
  auto& bad = follower(0);
  make_diverge(bad);
  bad.receive(PeerMessage{{follower(1).id(), bad.id(), SnapshotPull{}}});
  settle();
  EXPECT_EQ(bad.snapshot_bytes, 0U);
}

}  // namespace
}  // namespace coord::core
