#include "coord/core/invariants.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace coord::core {

class Invariants::Findings {
 public:
  template <class... Values>
  void expect(bool is_true, std::string_view what, const Values&... values) {
    if (is_true) return;
    std::string text(what);
    ((text += fmt::format(" {}", values)), ...);
    texts_.push_back(std::move(text));
  }
  [[nodiscard]] std::vector<std::string> take() { return std::move(texts_); }

 private:
  std::vector<std::string> texts_;
};

Invariants::Snapshot Invariants::snapshot_of(const Node& node) {
  Snapshot snapshot;
  snapshot.term = node.raft_.term();
  snapshot.leader = node.raft_.leader();
  snapshot.committed = node.raft_.committed();
  snapshot.applied = index_of(node.state_.applied());
  snapshot.checkpointed = node.checkpointed_;
  snapshot.history_floor = node.history_.floor();
  snapshot.retention_floor = node.retention_.floor();
  snapshot.installs = node.installs_;
  snapshot.service_ms = node.state_.service_ms();
  snapshot.mono_ms = node.now_.mono_ms;
  snapshot.digest = node.state_.digest();
  return snapshot;
}

void Invariants::check_order(const Node& node, Findings& findings) {
  const auto applied = index_of(node.state_.applied());
  findings.expect(node.raft_.committed() <= node.raft_.last_index(), "committed <= last",
                  node.raft_.committed(), node.raft_.last_index());
  findings.expect(applied <= node.raft_.committed(), "applied <= committed", applied,
                  node.raft_.committed());
  findings.expect(node.checkpointed_ <= applied, "checkpointed <= applied", node.checkpointed_,
                  applied);
  findings.expect(node.previous_checkpoint_ <= node.checkpointed_,
                  "the checkpoint before is not later", node.previous_checkpoint_);
  findings.expect(node.checkpoint_under_way_ <= applied, "a checkpoint is of applied entries",
                  node.checkpoint_under_way_, applied);
  findings.expect(!node.is_checkpointing_ || node.checkpoint_under_way_ >= node.checkpointed_,
                  "the checkpoint under way is not older than the last",
                  node.checkpoint_under_way_);
  findings.expect(node.history_.last() <= node.state_.applied() || node.history_.size() == 0,
                  "the ring holds what was applied", node.history_.last());
  findings.expect(index_of(node.history_.floor()) <= node.checkpointed_,
                  "what left the ring is in the store", node.history_.floor());
  findings.expect(node.retention_.floor() <= node.state_.applied().next(),
                  "what is trimmed was applied", node.retention_.floor());
}

void Invariants::check_sessions(const Node& node, Findings& findings) {
  const auto& sessions = node.state_.sessions();
  node.state_.tree().walk("/", SIZE_MAX, {}, true,
                          [&](std::string_view path, const znode::View& view) {
                            const auto owner = view.stat.ephemeral_owner;
                            findings.expect(!owner || sessions.find(owner) != nullptr,
                                            "the owner of an ephemeral is live", path, owner);
                            return true;
                          });
  std::size_t known = 0;
  sessions.list(SessionId(), [&](const session::Session& session) {
    const bool has_deadline = node.expiry_.remaining_ms(session.id, node.now_.mono_ms).has_value();
    if (has_deadline) ++known;
    findings.expect(has_deadline != node.expiring_.contains(session.id) || !node.was_leader_,
                    "on a leader a live session has a deadline, or its end is under way",
                    session.id);
    return true;
  });
  findings.expect(known == node.expiry_.size(), "deadlines are of live sessions", known,
                  node.expiry_.size());
  findings.expect(node.was_leader_ || (node.expiry_.size() == 0 && node.expiring_.empty()),
                  "only a leader keeps deadlines", node.expiry_.size());
  // An unordered walk: nothing but the order of the findings depends on it.
  for (const auto& [id, index] : node.expiring_) {
    findings.expect(sessions.find(id) != nullptr, "what is to expire is live", id);
    findings.expect(index > index_of(node.state_.applied()), "an expiry is not applied yet", id,
                    index);
  }
}

void Invariants::check_watches(const Node& node, Findings& findings) {
  std::map<ConnectionId, std::size_t> of_connection;
  std::map<Node::WatchKey, std::size_t> asked;
  for (const auto& [token, wait] : node.store_waits_) {
    findings.expect(token <= node.last_token_, "a token was given", token);
    if (const auto* key = std::get_if<Node::WatchKey>(&wait.who)) ++asked[*key];
  }
  std::size_t with_session = 0;
  for (const auto& [key, info] : node.watches_) {
    ++of_connection[key.first];
    const auto questions = asked.contains(key) ? asked[key] : 0;
    findings.expect(questions == (info.is_reading_store ? 1U : 0U),
                    "a watch asks the store one question at a time", key.second, questions);
    asked.erase(key);
    if (!info.session) continue;
    ++with_session;
    const auto id = info.session->id;
    findings.expect(node.state_.sessions().find(id) != nullptr, "a watch's session is live", id);
    const auto listed = node.watches_of_session_.find(id);
    findings.expect(listed != node.watches_of_session_.end() &&
                        std::count(listed->second.begin(), listed->second.end(), key) == 1,
                    "a session lists its watch once", id, key.second);
  }
  findings.expect(asked.empty(), "the store is asked for watches that exist", asked.size());
  std::size_t listed = 0;
  for (const auto& [id, keys] : node.watches_of_session_) {
    findings.expect(!keys.empty(), "no session lists no watches", id);
    listed += keys.size();
  }
  findings.expect(listed == with_session, "sessions list watches that exist", listed);
  findings.expect(node.hub_.size() == node.watches_.size(), "the hub knows the same watches",
                  node.hub_.size(), node.watches_.size());
  for (const auto& [connection, count] : of_connection) {
    findings.expect(node.hub_.count_of(connection) == count,
                    "the hub knows the same watches of a connection", connection, count);
  }
}

void Invariants::check_waiting(const Node& node, Findings& findings) {
  findings.expect(
      node.parked_.empty() || node.parked_.begin()->first > index_of(node.state_.applied()),
      "what can be served does not wait");
  const auto* first = node.delayed_writes_.empty()
                          ? nullptr
                          : std::get_if<Node::DelayedForward>(&node.delayed_writes_.front());
  const bool is_early = first != nullptr && node.is_early(first->forward);
  findings.expect(node.delayed_writes_.empty() || node.is_checkpointing_ || is_early,
                  "writes wait only for a checkpoint or for their session",
                  node.delayed_writes_.size());
  findings.expect(
      node.pending_.size() + node.delayed_writes_.size() <= node.options_.requests.pending_max,
      "the bound of pending writes", node.pending_.size());
  ReadId before;
  for (const auto& group : node.granted_wait_) {
    findings.expect(group.read > before, "reads are numbered in order", group.read);
    before = group.read;
  }
  findings.expect(before <= node.last_read_, "a read was numbered", before);
  findings.expect(node.read_batch_.empty(), "reads were handed to Raft", node.read_batch_.size());
  findings.expect(node.deliveries_.empty(), "deliveries were taken", node.deliveries_.size());
}

std::vector<std::string> Invariants::check_basic(const Node& node) {
  node.raft_.check_invariants();
  node.state_.check_invariants();
  node.history_.check_invariants();
  node.hub_.check_invariants();
  node.expiry_.check_invariants();
  Findings findings;
  check_order(node, findings);
  check_sessions(node, findings);
  check_watches(node, findings);
  check_waiting(node, findings);
  return findings.take();
}

std::vector<std::string> Invariants::check_delta(const Snapshot& previous, const Node& node) {
  const auto now = snapshot_of(node);
  Findings findings;
  findings.expect(now.term >= previous.term, "the term falls", previous.term, now.term);
  findings.expect(now.committed >= previous.committed, "committed falls", previous.committed,
                  now.committed);
  // A repaired member goes on from a snapshot before what it had applied.
  const bool is_other_state = now.installs > previous.installs;
  findings.expect(now.applied >= previous.applied || is_other_state, "applied falls",
                  previous.applied, now.applied);
  findings.expect(now.checkpointed >= previous.checkpointed, "checkpointed falls",
                  previous.checkpointed, now.checkpointed);
  findings.expect(now.history_floor >= previous.history_floor, "the ring's floor falls",
                  previous.history_floor, now.history_floor);
  // Every member trims by its own checkpoints: another one's snapshot may reach further back.
  findings.expect(now.retention_floor >= previous.retention_floor || is_other_state,
                  "the retained floor falls", previous.retention_floor, now.retention_floor);
  findings.expect(now.service_ms >= previous.service_ms || is_other_state, "service time falls",
                  previous.service_ms, now.service_ms);
  findings.expect(now.mono_ms >= previous.mono_ms, "monotonic time falls", previous.mono_ms,
                  now.mono_ms);
  findings.expect(now.applied > previous.applied || now.digest == previous.digest || is_other_state,
                  "the state changes without an entry", now.applied);
  findings.expect(
      now.term > previous.term || !previous.leader || !now.leader || now.leader == previous.leader,
      "a term has two leaders", previous.leader, now.leader);
  return findings.take();
}

}  // namespace coord::core
