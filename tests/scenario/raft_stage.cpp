#include "scenario/raft_stage.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace coord::scenario {

using namespace election;  // NOLINT: the stage is about nothing else.

namespace {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

// "1,2,3"
std::vector<MemberId> ids_of(const std::string& text) {
  std::vector<MemberId> ids;
  std::istringstream in(text);
  for (std::string one; std::getline(in, one, ',');) ids.emplace_back(std::stoull(one));
  return ids;
}

std::string text_of(const std::vector<MemberId>& ids) {
  return fmt::format("{}", fmt::join(ids, ","));
}

std::string text_of(const Membership& m) {
  std::string text = "voters " + text_of(m.voters);
  if (m.is_joint()) text += " and " + text_of(m.outgoing);
  if (!m.observers.empty()) text += ", observers " + text_of(m.observers);
  if (!m.standbys.empty()) text += ", standbys " + text_of(m.standbys);
  return text;
}

std::string_view word_of(ProposeError error) {
  switch (error) {
    case ProposeError::not_leader:
      return "not the leader";
    case ProposeError::overloaded:
      return "overloaded";
    case ProposeError::transferring:
      return "transferring";
  }
  return "unknown";
}

std::string_view word_of(ChangeError error) {
  switch (error) {
    case ChangeError::not_leader:
      return "not the leader";
    case ChangeError::transferring:
      return "transferring";
    case ChangeError::in_progress:
      return "another change is in progress";
    case ChangeError::not_ready:
      return "nothing of the own term is committed yet";
    case ChangeError::malformed:
      return "malformed";
  }
  return "unknown";
}

}  // namespace

std::string RaftStage::run(const std::string& line) {
  out_.clear();
  std::istringstream in(line);
  std::string verb;
  in >> verb;
  const auto number = [&] {
    std::uint64_t value = 0;
    if (!(in >> value)) throw std::runtime_error("a number is missing: " + line);
    return value;
  };
  const auto member = [&] { return MemberId(number()); };
  if (verb == "nodes") {
    nodes(in);
  } else if (verb == "tick") {
    tick(static_cast<std::int64_t>(number()));
  } else if (verb == "campaign") {
    campaign(member());
  } else if (verb == "propose") {
    const auto id = member();
    std::string payload;
    in >> payload;
    propose(id, payload);
  } else if (verb == "read") {
    const auto id = member();
    actor(id).raft->read(ReadId(number()));
  } else if (verb == "hold-disk") {
    actor(member()).is_disk_held = true;
  } else if (verb == "release-disk") {
    actor(member()).is_disk_held = false;
  } else if (verb == "crash") {
    crash(member());
  } else if (verb == "start") {
    start(member());
  } else if (verb == "peer-down") {
    const auto id = member();
    actor(id).raft->peer_down(member());
  } else if (verb == "change") {
    const auto id = member();
    change(id, in);
  } else if (verb == "transfer") {
    const auto id = member();
    transfer(id, member());
  } else if (verb == "checkpoint") {
    checkpoint(member());
  } else if (verb == "partition") {
    partition(in);
  } else if (verb == "heal") {
    cut_.clear();
  } else if (verb == "status") {
    status();
  } else {
    throw std::runtime_error("unknown verb: " + verb);
  }
  settle();
  return std::exchange(out_, {});
}

RaftStage::Actor& RaftStage::actor(MemberId id) {
  const auto at = actors_.find(id);
  if (at == actors_.end()) throw std::runtime_error(fmt::format("no node {}", id));
  return at->second;
}

// nodes 3 [spares 1]: spares run with nothing and wait to be added.
void RaftStage::nodes(std::istringstream& in) {
  std::size_t voters = 0;
  std::size_t spares = 0;
  std::string word;
  in >> voters;
  if (in >> word) in >> spares;
  Membership initial;
  for (std::size_t i = 1; i <= voters; ++i) initial.voters.emplace_back(i);
  for (std::size_t i = 1; i <= voters + spares; ++i) {
    if (i <= voters) actors_[MemberId(i)].disk.membership = initial;
    start(MemberId(i));
  }
}

void RaftStage::start(MemberId id) {
  auto& a = actors_[id];
  a.applied = a.disk.snapshot.index;
  a.applied_term = a.disk.snapshot.term;
  a.membership = a.disk.membership;
  a.is_disk_held = false;
  Options options;
  options.id = id;
  options.seed = id.value() + 1000 * ++a.starts;
  options.log_tail_entries = 0;
  a.raft = std::make_unique<Raft>(options, a.disk, *this);
  a.raft->tick(a.now);
}

void RaftStage::crash(MemberId id) {
  actor(id).raft.reset();
  actor(id).disk_queue.clear();
}

void RaftStage::tick(std::int64_t ms) {
  constexpr std::int64_t kStep = 10;
  for (std::int64_t passed = 0; passed < ms; passed += kStep) {
    for (auto& [id, a] : actors_) {
      a.now += kStep;
      if (a.raft) a.raft->tick(a.now);
    }
    settle();
  }
}

// Only this member's time passes, until it asks for votes; those of the others as far as their
// promises need to run out.
void RaftStage::campaign(MemberId id) {
  for (auto& [other, a] : actors_) {
    a.now += 250;
    if (other != id && a.raft && a.raft->role() != Role::leader) a.raft->tick(a.now);
  }
  auto& a = actor(id);
  for (int i = 0; i < 1000 && a.raft->role() == Role::follower; ++i) a.raft->tick(a.now += 10);
}

void RaftStage::propose(MemberId id, const std::string& payload) {
  const auto result = actor(id).raft->propose(EntryKind::command, payload);
  if (const auto* error = std::get_if<ProposeError>(&result)) {
    say(fmt::format("{}: refused, {}", id, word_of(*error)));
  }
}

void RaftStage::change(MemberId id, std::istringstream& in) {
  Membership target;
  for (std::string word; in >> word;) {
    const auto equals = word.find('=');
    const auto list = ids_of(word.substr(equals + 1));
    const auto role = word.substr(0, equals);
    (role == "voters"      ? target.voters
     : role == "observers" ? target.observers
                           : target.standbys) = list;
  }
  const auto result = actor(id).raft->change(target);
  if (const auto* error = std::get_if<ChangeError>(&result)) {
    say(fmt::format("{}: refused, {}", id, word_of(*error)));
  }
}

void RaftStage::transfer(MemberId id, MemberId to) {
  if (actor(id).raft->transfer(to)) say(fmt::format("{}: refused", id));
}

void RaftStage::checkpoint(MemberId id) {
  auto& a = actor(id);
  a.disk.snapshot = {a.applied, a.applied_term};
  a.disk.membership = a.membership;
  std::erase_if(a.disk.entries, [&](const auto& e) { return e->index <= a.applied; });
  a.raft->compact(a.applied);
  say(fmt::format("{}: checkpoint at {}, log from {}", id, a.applied, a.raft->first_index()));
}

// partition 1 | 2 3: nothing passes between the groups.
void RaftStage::partition(std::istringstream& in) {
  std::map<MemberId, int> group;
  int current = 0;
  for (std::string word; in >> word;) {
    if (word == "|") {
      ++current;
    } else {
      group[MemberId(std::stoull(word))] = current;
    }
  }
  cut_.clear();
  for (const auto& [a, group_a] : group) {
    for (const auto& [b, group_b] : group) {
      if (group_a != group_b) cut_.insert({a, b});
    }
  }
}

void RaftStage::status() {
  for (const auto& [id, a] : actors_) {
    if (!a.raft) {
      say(fmt::format("{}: down", id));
      continue;
    }
    say(fmt::format("{}: {}, term {}, leader {}, committed {} of {}, {}{}", id,
                    election::word_of(a.raft->role()), a.raft->term(), a.raft->leader(),
                    a.raft->committed(), a.raft->last_index(), text_of(a.raft->membership()),
                    a.raft->has_lease(a.now) ? ", has the lease" : ""));
  }
}

// Until nothing moves any more.
void RaftStage::settle() {
  for (bool moves = true; moves;) {
    moves = false;
    for (auto& [id, a] : actors_) {
      if (!a.raft) continue;
      while (drain(id, a)) moves = true;
      if (!a.is_disk_held && sync_one(id, a)) moves = true;
    }
    if (wire_.empty()) continue;
    moves = true;
    const auto message = std::move(wire_.front());
    wire_.pop_front();
    const auto to = actors_.find(message.to);
    if (to != actors_.end() && to->second.raft) to->second.raft->step(message);
  }
}

bool RaftStage::drain(MemberId id, Actor& a) {
  auto ready = a.raft->take_ready();
  if (ready.empty()) return false;
  carry_out(id, a, std::move(ready));
  a.raft->check_invariants();
  return true;
}

void RaftStage::carry_out(MemberId id, Actor& a, Ready ready) {
  send(ready.messages);
  if (ready.persist || !a.disk_queue.empty()) {
    a.disk_queue.push_back({std::move(ready.persist), std::move(ready.messages_after_persist)});
  } else {
    send(ready.messages_after_persist);
  }
  for (const auto& entry : ready.committed) apply(id, a, *entry);
  for (const auto& grant : ready.read_grants) {
    say(grant.granted ? fmt::format("{}: read {} at {}", id, grant.read, grant.index)
                      : fmt::format("{}: read {} refused", id, grant.read));
  }
  if (ready.install) install(id, a, *ready.install);
}

bool RaftStage::sync_one(MemberId, Actor& a) {
  if (a.disk_queue.empty()) return false;
  const auto work = std::move(a.disk_queue.front());
  a.disk_queue.pop_front();
  if (work.persist) {
    if (work.persist->hard_state) a.disk.hard_state = *work.persist->hard_state;
    for (const auto& entry : work.persist->entries) {
      std::erase_if(a.disk.entries, [&](const auto& e) { return e->index >= entry->index; });
      a.disk.entries.push_back(entry);
    }
  }
  send(work.messages);
  if (work.persist) a.raft->persisted(work.persist->number);
  return true;
}

void RaftStage::apply(MemberId id, Actor& a, const LogEntry& entry) {
  a.applied = entry.index;
  a.applied_term = entry.term;
  switch (entry.kind) {
    case EntryKind::command:
      say(fmt::format("{}: applies {} {}", id, entry.index, entry.payload));
      break;
    case EntryKind::no_op:
      break;
    case EntryKind::membership:
      (void)decode(entry.payload, a.membership);
      say(fmt::format("{}: applies {} {}", id, entry.index, text_of(a.membership)));
      break;
  }
}

// The snapshot is there at once, if the leader is.
void RaftStage::install(MemberId id, Actor& a, SnapshotMark mark) {
  const auto& source = actor(a.raft->leader());
  if (!source.raft || !a.raft->wants_snapshot(source.disk.snapshot)) {
    a.raft->snapshot_failed();
    return;
  }
  say(fmt::format("{}: installs the snapshot {}", id, mark.index));
  a.disk.snapshot = source.disk.snapshot;
  a.disk.membership = source.disk.membership;
  a.disk.entries.clear();
  a.applied = a.disk.snapshot.index;
  a.applied_term = a.disk.snapshot.term;
  a.membership = a.disk.membership;
  a.raft->snapshot_installed(a.disk.snapshot, a.disk.membership);
}

void RaftStage::send(const std::vector<Message>& messages) {
  for (const auto& message : messages) {
    if (!cut_.contains({message.from, message.to})) wire_.push_back(message);
  }
}

void RaftStage::trace(const TraceEvent& event) {
  std::visit(
      overloaded{
          [&](const BecameLeader& e) { say(fmt::format("{}: leads, term {}", e.member, e.term)); },
          [&](const BecameFollower& e) {
            say(e.leader ? fmt::format("{}: follows {}, term {}", e.member, e.leader, e.term)
                         : fmt::format("{}: follows nobody, term {}: {}", e.member, e.term, e.why));
          },
          [&](const BecameCandidate& e) {
            say(fmt::format("{}: {}, term {}", e.member, e.pre_vote ? "pre-campaigns" : "campaigns",
                            e.term));
          },
          [&](const Note& e) { say(e.text); },
          [&](const auto&) {},
      },
      event);
}

}  // namespace coord::scenario
