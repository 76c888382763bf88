// Cluster: several Nodes in one world that is this test.
//
// Messages are carried at once and through their wire form, what is persisted is durable at once,
// checkpoints and answers of the store come at once. Only time is the test's: advance(). A test may
// cut links (silently), break them (both ends are told), stop members and start them again on what
// was durable. After every turn all invariants of every member are held.
//
//   Cluster world(3);                      // A leader leads and everybody follows.
//   world.cut(world.leader(), 2);          // Silence between the two, in both directions.
//   world.advance(1'000);
//   auto reply = world.ask(3, GetStatus{});
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness.hpp"

namespace coord::core {

class Cluster {
 public:
  struct Options {
    std::size_t voters = 3;
    std::size_t observers = 0;
    StateLimits limits;
    WatchLimits watches;
    CheckpointPolicy checkpoint;
    RetentionPolicy retention;
    // The last word on a member's options before it starts.
    std::function<void(std::uint64_t id, NodeOptions&)> adjust;
  };
  // One that is stopped keeps what is durable.
  class Member final : public Ports, public TraceSink {
   public:
    std::vector<Delivery> deliveries;
    std::vector<TraceEvent> traces;
    std::vector<Index> recycled;
    FakeStore store;
    election::HardState hard_state;
    std::vector<election::SharedEntry> log;
    std::unique_ptr<Node> node;  // Null while it is stopped.
    bool joins = false;
    bool is_disk_slow = false;          // Then nothing is synced before sync().
    std::optional<Persisted> unsynced;  // The last of it.

    // core::Ports
    void send(std::vector<Message> messages) override {
      for (auto& message : messages) world_->carry(message);
    }
    void persist(election::Persist persist, std::vector<Message> after) override {
      if (persist.hard_state) hard_state = *persist.hard_state;
      for (const auto& entry : persist.entries) {
        while (!log.empty() && log.back()->index >= entry->index) log.pop_back();
        log.push_back(entry);
      }
      if (is_disk_slow) {
        unsynced = Persisted{persist.number};
      } else {
        inbox_.emplace_back(Persisted{persist.number});
      }
      send(std::move(after));
    }
    void send_after_persist(std::vector<Message> messages) override { send(std::move(messages)); }
    void deliver(std::vector<Delivery> more) override {
      std::move(more.begin(), more.end(), std::back_inserter(deliveries));
    }
    void checkpoint(Checkpoint checkpoint) override {
      store.commit(checkpoint);
      inbox_.emplace_back(Checkpointed{checkpoint.applied});
    }
    void read_store(StoreRead read) override {
      inbox_.emplace_back(StoreAnswered{answer(read, store.reader())});
    }
    void recycle(Index up_to) override { recycled.push_back(up_to); }
    void read_snapshot(SnapshotRead /*read*/) override { ADD_FAILURE() << "no snapshots here"; }
    void write_snapshot(SnapshotWrite /*write*/) override { ADD_FAILURE() << "no snapshots here"; }
    // coord::TraceSink
    void trace(const TraceEvent& event) override { traces.push_back(event); }

   private:
    friend class Cluster;
    Cluster* world_ = nullptr;
    Inbox inbox_;
    bool wants_turn_ = false;
  };

  explicit Cluster(Options options) : options_(std::move(options)) {
    for (std::uint64_t id = 1; id <= options_.voters + options_.observers; ++id) {
      auto& list = id <= options_.voters ? first_.voters : first_.observers;
      list.emplace_back(id);
      add(id);
    }
    for (auto& [id, member] : members_) start(id);
    EXPECT_TRUE(advance_until([this] { return is_settled(); })) << "a leader is found";
  }
  explicit Cluster(std::size_t voters) : Cluster(with_voters(voters)) {}
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // ---- members
  Node& node(std::uint64_t id) { return *members_.at(id).node; }
  Member& member(std::uint64_t id) { return members_.at(id); }
  [[nodiscard]] bool is_up(std::uint64_t id) const { return members_.at(id).node != nullptr; }
  [[nodiscard]] std::vector<std::uint64_t> ids() const {
    std::vector<std::uint64_t> all;
    for (const auto& [id, member] : members_) all.push_back(id);
    return all;
  }
  // The member that leads in the highest term; 0: none does.
  [[nodiscard]] std::uint64_t leader() const {
    std::uint64_t found = 0;
    Term best;
    for (const auto& [id, member] : members_) {
      if (!member.node || member.node->raft().role() != election::Role::leader) continue;
      if (found != 0 && member.node->raft().term() <= best) continue;
      found = id;
      best = member.node->raft().term();
    }
    return found;
  }
  // Some member that is up and does not lead.
  [[nodiscard]] std::uint64_t follower() const {
    const auto leading = leader();
    for (const auto& [id, member] : members_) {
      if (id != leading && member.node && first_.is_voter(MemberId(id))) return id;
    }
    return 0;
  }
  // One leader, and everybody who is up has applied all that is committed and knows the cluster.
  [[nodiscard]] bool is_settled() const {
    const auto leading = leader();
    if (leading == 0) return false;
    const auto& head = *members_.at(leading).node;
    for (const auto& [id, member] : members_) {
      if (!member.node || !head.raft().membership().contains(MemberId(id))) continue;
      const auto& node = *member.node;
      if (node.raft().leader() != MemberId(leading)) return false;
      if (node.state().applied() != head.state().applied()) return false;
      if (node.state().cluster().empty()) return false;
    }
    return head.state().applied_term() == head.raft().term();
  }
  // A machine without data. `joins`: it is no founder and begins with an empty ensemble.
  void add(std::uint64_t id, bool joins = false) {
    members_[id].world_ = this;
    members_[id].joins = joins;
  }
  void start(std::uint64_t id) {
    auto& member = members_.at(id);
    member.node = std::make_unique<Node>(options_of(id), recovered(member), member);
    ++starts_;
    for (auto& [other, peer] : members_) {
      if (other == id || !peer.node || is_cut(id, other)) continue;
      member.inbox_.emplace_back(up_of(other));
      peer.inbox_.emplace_back(up_of(id));
    }
    run();
  }
  // Like kill -9: the others see their connections close.
  void stop(std::uint64_t id) {
    auto& member = members_.at(id);
    member.node.reset();
    member.inbox_.clear();
    member.deliveries.clear();
    for (auto& [other, peer] : members_) {
      if (peer.node && !is_cut(id, other)) peer.inbox_.emplace_back(PeerDown{MemberId(id)});
    }
    run();
  }

  // ---- links
  // Nothing gets through between the two any more, and nobody is told.
  void cut(std::uint64_t a, std::uint64_t b) { cut_.insert(std::minmax(a, b)); }
  void isolate(std::uint64_t id) {
    for (const auto other : ids()) {
      if (other != id) cut(id, other);
    }
  }
  // As cut(), and both see the link break.
  void break_link(std::uint64_t a, std::uint64_t b) {
    cut(a, b);
    step(a, PeerDown{MemberId(b)});
    step(b, PeerDown{MemberId(a)});
  }
  void heal(std::uint64_t a, std::uint64_t b) {
    if (cut_.erase(std::minmax(a, b)) == 0 || !is_up(a) || !is_up(b)) return;
    members_.at(a).inbox_.emplace_back(up_of(b));
    members_.at(b).inbox_.emplace_back(up_of(a));
    run();
  }
  void heal() {
    for (const auto& [a, b] : std::exchange(cut_, {})) {
      cut_.insert({a, b});
      heal(a, b);
    }
  }
  [[nodiscard]] bool is_cut(std::uint64_t a, std::uint64_t b) const {
    return cut_.contains(std::minmax(a, b));
  }
  // Messages that it says true of are lost.
  std::function<bool(const Message&)> drops;

  // ---- time and turns
  void step(std::uint64_t id, Event event) {
    if (!is_up(id)) return;
    members_.at(id).inbox_.push_back(std::move(event));
    run();
  }
  // Takes turns until nothing more happens by itself.
  void run() {
    for (bool is_more = true; is_more;) {
      is_more = false;
      for (auto& [id, member] : members_) {
        if (!member.node) continue;
        while (!member.inbox_.empty() || member.wants_turn_) {
          turn(member);
          is_more = true;
        }
      }
    }
  }
  void advance(std::int64_t ms, std::int64_t step = 10) {
    for (const auto end = now_.mono_ms + ms; now_.mono_ms < end;) {
      const auto by = std::min(step, end - now_.mono_ms);
      now_.mono_ms += by;
      now_.wall_ms += by;
      for (auto& [id, member] : members_) {
        if (member.node) turn(member);
      }
      run();
    }
  }
  // False if it did not become true in time.
  bool advance_until(const std::function<bool()>& is_true, std::int64_t ms = 20'000) {
    for (const auto end = now_.mono_ms + ms; now_.mono_ms < end; advance(10)) {
      if (is_true()) return true;
    }
    return is_true();
  }
  void settle() {
    EXPECT_TRUE(advance_until([this] { return is_settled(); })) << "the members settle";
  }
  [[nodiscard]] std::int64_t now_ms() const { return now_.mono_ms; }

  // ---- requests
  template <class Op>
  Request request(Op op) {
    Request request;
    request.connection = Harness::kConnection;
    request.id = RequestId(++last_request_);
    request.identities = {{"ip", "127.0.0.1"}};
    request.op = std::move(op);
    return request;
  }
  RequestId send(std::uint64_t id, Request request) {
    const auto number = request.id;
    step(id, ClientRequest{std::move(request)});
    return number;
  }
  // The reply, if it came to a client of member `id`; it is taken out. Never a second one.
  std::optional<Reply> reply_of(std::uint64_t id, RequestId request) {
    std::optional<Reply> found;
    auto& deliveries = members_.at(id).deliveries;
    for (auto at = deliveries.begin(); at != deliveries.end();) {
      auto* reply = std::get_if<Reply>(&*at);
      if (reply == nullptr || reply->id != request) {
        ++at;
        continue;
      }
      EXPECT_FALSE(found) << "a request is answered twice";
      found = std::move(*reply);
      at = deliveries.erase(at);
    }
    return found;
  }
  // Lets time pass until the reply comes.
  Reply call(std::uint64_t id, Request request) {
    const auto number = send(id, std::move(request));
    std::optional<Reply> reply;
    advance_until([&] { return (reply = reply_of(id, number)).has_value(); });
    if (!reply) ADD_FAILURE() << "no reply came";
    return reply.value_or(Reply());
  }
  template <class Op>
  Reply ask(std::uint64_t id, Op op) {
    return call(id, request(std::move(op)));
  }
  // With an operator's right.
  template <class Op>
  Reply operate(std::uint64_t id, Op op) {
    auto one = request(std::move(op));
    one.identities.push_back({"super", ""});
    return call(id, std::move(one));
  }
  Reply put(std::uint64_t id, const std::string& path, std::string_view value) {
    Put op;
    op.path = path;
    op.value = Blob(value);
    return ask(id, std::move(op));
  }

 private:
  static Options with_voters(std::size_t voters) {
    Options options;
    options.voters = voters;
    return options;
  }
  static PeerUp up_of(std::uint64_t id) {
    return {MemberId(id), 100 + id, fmt::format("h{}:7070", id), "", "test"};
  }
  void turn(Member& member) {
    const auto before = Invariants::snapshot_of(*member.node);
    member.wants_turn_ = run_turn(member.inbox_, *member.node, now_, member);
    for (const auto& problem : Invariants::check_basic(*member.node)) ADD_FAILURE() << problem;
    for (const auto& problem : Invariants::check_delta(before, *member.node)) {
      ADD_FAILURE() << problem;
    }
  }
  void carry(const Message& message) {
    const auto to = members_.find(message.to.value());
    if (to == members_.end() || !to->second.node) return;
    if (is_cut(message.from.value(), message.to.value())) return;
    if (drops && drops(message)) return;
    Message carried;
    ASSERT_TRUE(decode(encode(message), carried)) << "a message survives the wire";
    to->second.inbox_.emplace_back(PeerMessage{std::move(carried)});
  }
  NodeState recovered(const Member& member) const {
    StateMachine state(options_.limits);
    Retention retention;
    const auto& mark = member.store.mark();
    if (mark) {
      for (const auto& [key, bytes] : member.store.records()) {
        if (key.first == Table::meta && key.second == Retention::kKey) {
          EXPECT_TRUE(retention.decode(bytes));
        } else {
          EXPECT_EQ(state.load(key.first, key.second, bytes), "");
        }
      }
      EXPECT_EQ(state.load_done(*mark), "");
    } else {
      state.set_membership(member.joins ? election::Membership() : first_);
    }
    election::Restored log;
    log.hard_state = member.hard_state;
    if (mark) log.snapshot = {mark->applied, mark->applied_term};
    log.membership = state.membership();
    for (const auto& entry : member.log) {
      if (entry->index > log.snapshot.index) log.entries.push_back(entry);
    }
    return {std::move(state), std::move(log), std::move(retention)};
  }
  NodeOptions options_of(std::uint64_t id) const {
    NodeOptions options;
    options.raft.id = MemberId(id);
    options.raft.seed = 1'000 * (starts_ + 1) + id;
    options.requests = options_.limits.requests;
    options.watches = options_.watches;
    options.checkpoint = options_.checkpoint;
    options.retention = options_.retention;
    options.cluster = "6b0c";
    options.disk_id = up_of(id).disk_id;
    if (options_.adjust) options_.adjust(id, options);
    return options;
  }

  Options options_;
  election::Membership first_;
  Tick now_{1'000, 1'700'000'000'000};
  std::map<std::uint64_t, Member> members_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> cut_;
  std::uint64_t last_request_ = 0;
  std::uint64_t starts_ = 0;
};

}  // namespace coord::core
