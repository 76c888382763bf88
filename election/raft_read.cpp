// Linearizable reads (thesis, section 6.4) and the lease (section 6.4.1).

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "election/raft_impl.hpp"

namespace coord::election {

bool Raft::Impl::has_own_commit() const noexcept {
  return state == State::leader && committed >= term_start;
}

// A quorum promised to elect nobody else until promise_ms after it had the request; that is later
// than promise_ms after the sending. Our clock may be slow and theirs fast.
bool Raft::Impl::has_lease(std::int64_t now_ms) const noexcept {
  const bool is_spent = is_lease_spent && options.defect != Defect::keeps_spent_lease;
  if (!has_own_commit() || is_spent) return false;
  const auto sent_at = quorum_value<std::int64_t>(membership(), [&](MemberId id) {
    if (id == options.id) return now_ms;
    const auto at = members.find(id);
    return at == members.end() ? Progress::kNever : at->second.acknowledged_sent_at;
  });
  const auto length = options.promise_ms * (100 - options.clock_drift_percent) /
                      (100 + options.clock_drift_percent);
  return now_ms < sent_at + length;
}

void Raft::Impl::read(ReadId id) {
  if (state == State::leader) {
    reads.add({MemberId(), id});
  } else if (leader) {
    reads_to_forward.push_back(id);
  } else {
    ready.read_grants.push_back(ReadGrant{id, false, Index()});
  }
}

void Raft::Impl::on(MemberId from, const ReadIndexRequest& request) {
  settle_term(request.term, MemberId());
  if (state == State::leader) {
    reads.add({from, request.read});
  } else {
    send(from, ReadIndexReply{hard_state.term, request.read, false, Index()});
  }
}

// What a leader granted stays true whatever the term is now: it was confirmed after the read began.
void Raft::Impl::on(MemberId, const ReadIndexReply& reply) {
  settle_term(reply.term, MemberId());
  const auto at = std::find_if(forwarded.begin(), forwarded.end(),
                               [&](const ForwardedReads& f) { return f.id == reply.read; });
  if (at == forwarded.end()) return;
  for (const auto id : at->reads) {
    ready.read_grants.push_back(ReadGrant{id, reply.granted, reply.index});
  }
  forwarded.erase(at);
}

// All reads that gathered since the last call share one round; it starts after all of them came.
void Raft::Impl::start_reads() {
  const bool may_read = has_own_commit() || options.defect == Defect::reads_before_own_commit;
  if (reads.has_waiting() && may_read) {
    ++round;
    reads.start(round, committed);
    for (auto& [id, progress] : members) {
      // What is surely there makes an answer that need not wait for the member's disk.
      if (membership().is_voter(id)) send_heartbeat(id, progress, progress.match());
    }
  }
  confirm_reads();
}

void Raft::Impl::confirm_reads() {
  if (reads.empty()) return;
  const auto confirmed = quorum_value<std::uint64_t>(membership(), [&](MemberId id) {
    if (id == options.id) return round;
    const auto at = members.find(id);
    return at == members.end() ? 0 : at->second.acknowledged_round;
  });
  const bool is_early = options.defect == Defect::takes_earlier_round && confirmed > 0;
  reads.confirm(is_early ? confirmed + 1 : confirmed,
                [&](const ReadQueue::Asker& asker, Index index) {
                  if (asker.from) {
                    hurry(asker.from, index);
                    send(asker.from, ReadIndexReply{hard_state.term, asker.read, true, index});
                  } else {
                    ready.read_grants.push_back(ReadGrant{asker.read, true, index});
                  }
                });
}

void Raft::Impl::forward_reads() {
  if (reads_to_forward.empty()) return;
  if (!leader) {
    fail_forwarded_reads();
    return;
  }
  const ReadId id(next_forwarded_id++);
  forwarded.push_back({id, std::exchange(reads_to_forward, {}), now, now});
  send(leader, ReadIndexRequest{hard_state.term, id});
}

// A request or its answer may be lost. A repeated one may be answered twice: both are true.
void Raft::Impl::tick_forwarded_reads() {
  std::erase_if(forwarded, [&](const ForwardedReads& f) {
    if (f.asked_at + 2 * options.election_timeout_ms > now) return false;
    for (const auto id : f.reads) ready.read_grants.push_back(ReadGrant{id, false, Index()});
    return true;
  });
  for (auto& f : forwarded) {
    if (f.sent_at + 2 * options.heartbeat_ms > now) continue;
    f.sent_at = now;
    send(leader, ReadIndexRequest{hard_state.term, f.id});
  }
}

void Raft::Impl::fail_reads() {
  reads.clear([&](const ReadQueue::Asker& asker) {
    if (asker.from) {
      send(asker.from, ReadIndexReply{hard_state.term, asker.read, false, Index()});
    } else {
      ready.read_grants.push_back(ReadGrant{asker.read, false, Index()});
    }
  });
}

void Raft::Impl::fail_forwarded_reads() {
  for (const auto& f : std::exchange(forwarded, {})) {
    for (const auto id : f.reads) ready.read_grants.push_back(ReadGrant{id, false, Index()});
  }
  for (const auto id : std::exchange(reads_to_forward, {})) {
    ready.read_grants.push_back(ReadGrant{id, false, Index()});
  }
}

}  // namespace coord::election
