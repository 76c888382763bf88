// What is broken on purpose in the simulated shell, at its edges: a mutant that can be told by what
// comes in or goes out, to the disk or to a client, needs no branch in the code that ships.
#include <algorithm>
#include <array>
#include <utility>

#include "coord/base/checksum.hpp"
#include "coord/base/overloaded.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/member.hpp"

namespace coord::sim {
namespace {

constexpr std::int64_t kDeafUs = 50'000;

// As if it went over the operations by their place in a hash table.
void shuffle(core::Command& command) {
  if (auto* txn = std::get_if<core::Txn>(&command.op))
    std::reverse(txn->then.begin(), txn->then.end());
}

void mix_in(core::Command& command, std::uint64_t address) {
  if (auto* open = std::get_if<core::OpenSession>(&command.op)) {
    open->secret.front() ^= static_cast<std::uint8_t>(address);
  }
}

}  // namespace

// ---------------------------------------------------------------- what comes in

bool Member::mutate(core::Event& event) {
  if (auto* asked = std::get_if<core::ClientRequest>(&event)) return mutate_request(asked->request);
  if (auto* subscribe = std::get_if<core::Subscribe>(&event)) mutate_watch(*subscribe);
  auto* peer = std::get_if<core::PeerMessage>(&event);
  auto* body = peer == nullptr ? nullptr : std::get_if<election::Body>(&peer->message.body);
  if (body == nullptr) return true;
  auto* vote = std::get_if<election::VoteRequest>(body);
  if (vote != nullptr && world_.mutant() == Mutant::vote_without_log) vote->last_term = vote->term;
  if (auto* reply = std::get_if<election::AppendReply>(body)) mutate_reply(peer->message, *reply);
  return true;
}

bool Member::mutate_request(core::Request& request) {
  const bool is_leader = node_->raft().role() == election::Role::leader;
  if (world_.mutant() == Mutant::read_without_index && is_leader) {
    request.consistency = core::Consistency::local;
  }
  if (world_.mutant() != Mutant::evicted_made_up || request.idempotency_key.empty()) return true;
  const auto& checker = world_.checker();
  const bool is_evicted = core::is_write(request.op) && checker.runs_of(request.request_hash) > 0 &&
                          !checker.model().remembers(request.request_hash);
  if (!is_evicted) return true;
  core::Reply reply;
  reply.connection = request.connection;
  reply.id = request.id;
  reply.revision = node_->state().applied();
  reply.was_applied_before = true;
  reply.result = core::Written();
  to_listener(request.connection, std::move(reply));
  return false;
}

void Member::mutate_watch(core::Subscribe& subscribe) {
  auto& watched = broken_.watched[{subscribe.connection, subscribe.watch}];
  watched.filter = subscribe.filter;
  if (!subscribe.from) {
    if (world_.mutant() == Mutant::watch_after_read) watched.deaf_until_us = world_.now() + kDeafUs;
    return;
  }
  if (world_.mutant() == Mutant::resume_inclusive && *subscribe.from) {
    subscribe.from = subscribe.from->previous();
  }
  if (world_.mutant() == Mutant::resume_without_between) subscribe.from.reset();
}

void Member::mutate_reply(const core::Message& message, election::AppendReply& reply) {
  const auto term = node_->raft().term();
  switch (world_.mutant()) {
    case Mutant::lease_from_reply:
      reply.sent_at_ms = mono_ms();
      return;
    case Mutant::late_acknowledgement:
      reply.term = std::max(reply.term, term);
      return;
    case Mutant::lease_by_wall_clock:
      if (reply.term == term) broken_.replies.insert_or_assign(message.from, message);
      return;
    default:
      return;
  }
}

// By the wall clock, what was sent before it went back was sent later by so much.
void Member::shift_leases(std::int64_t by_ms) {
  if (!node_ || by_ms >= 0) return;
  for (auto& [peer, message] : broken_.replies) {
    auto again = message;
    auto& reply = std::get<election::AppendReply>(std::get<election::Body>(again.body));
    if (reply.term != node_->raft().term()) continue;
    reply.sent_at_ms -= by_ms;
    inbox_.push_back(core::PeerMessage{std::move(again)});
  }
  schedule_turn();
}

// ---------------------------------------------------------------- the disk

void Member::mutate(disk::WalBatch& batch) const {
  if (world_.mutant() == Mutant::vote_not_stored && batch.hard_state) {
    batch.hard_state->vote = MemberId();
  }
}

// Both count as told before they are synced.
bool Member::is_told_early() const {
  const auto& raft = node_->raft();
  const bool is_alone = raft.membership().is_sole_voter(id_);
  if (world_.mutant() == Mutant::alone_before_sync) return is_alone;
  return world_.mutant() == Mutant::leader_counts_unsynced && !is_alone &&
         raft.role() == election::Role::leader;
}

// The vote first, beside the term that is there; the new term comes with the rest.
Result<void> Member::write_vote_alone(const disk::WalBatch& batch) {
  if (world_.mutant() != Mutant::vote_apart_from_term || !batch.hard_state) return success();
  const auto stored = std::exchange(broken_.stored, *batch.hard_state);
  if (!batch.hard_state->vote || batch.hard_state->term == stored.term) return success();
  disk::WalBatch alone;
  alone.hard_state = election::HardState{stored.term, batch.hard_state->vote};
  COORD_TRY(wal_->append(alone));
  return wal_->sync();
}

// What a mutant does wrong for as long as it runs.
void Member::mutate_disks() {
  disk_->faults.forgets_directory = world_.mutant() == Mutant::directory_not_synced;
  store_.faults.adopts_part = world_.mutant() == Mutant::part_of_snapshot && world_.chance(50);
  store_.faults.adopts_unsynced = world_.mutant() == Mutant::snapshot_not_synced;
}

// ---------------------------------------------------------------- the state

void Member::mutate(core::StateLimits& limits) {
  const std::array<std::uint64_t, 3> words{world_.plan().addresses, id_.value(), process_};
  const auto address = checksum({reinterpret_cast<const char*>(words.data()), sizeof words});
  auto& defects = limits.defects;
  switch (world_.mutant()) {
    case Mutant::state_by_hash_order:
      if (address % 2 == 1) defects.rewrites = shuffle;
      return;
    case Mutant::state_by_time_of_day:
      defects.rewrites = [this](core::Command& command) { command.wall_ms = clock().wall_ms; };
      return;
    case Mutant::state_by_pointer:
      defects.rewrites = [address](core::Command& command) { mix_in(command, address); };
      return;
    case Mutant::owner_in_snapshot:
      if (const auto mark = store_.mark(); mark && mark.value()) {
        defects.orphans_up_to = SessionId(mark.value()->applied.value());
      }
      return;
    default:
      return;
  }
}

void Member::mutate(core::NodeState& started) {
  broken_.stored = started.log.hard_state;
  if (world_.mutant() == Mutant::configuration_not_restored) {
    started.log.membership = world_.plan().founders();
  }
  const auto mark = store_.mark();
  if (world_.mutant() != Mutant::expire_without_entry || !mark || !mark.value()) return;
  const auto down_ms = (world_.now() - broken_.ended_us) * world_.plan().rate_of(id_) / 1'000'000;
  core::ExpireSessions expire;
  started.state.sessions().list(SessionId(), [&](const session::Session& session) {
    if (session.ttl_ms < down_ms) expire.sessions.push_back(session.id);
    return true;
  });
  if (expire.sessions.empty()) return;
  // The state once more, to which the sessions' end belongs as if the last entry had said so.
  core::StateMachine state(world_.plan().limits);
  const auto& at = *mark.value();
  (void)store_.load([&state](Table table, std::string_view key, std::string_view bytes) {
    return state.load(table, key, bytes);
  });
  (void)state.load_done({at.applied.previous(), at.applied_term, at.digest});
  core::Command command;
  command.op = std::move(expire);
  (void)state.apply(zxid_of(at.applied), at.applied_term, command);
  started.state = std::move(state);
}

// ---------------------------------------------------------------- what goes out to clients

// The changes of an entry that is only being appended.
void Member::tell_ahead(const election::Persist& persist) {
  const auto& model = world_.checker().model();
  const bool is_leader = node_->raft().role() == election::Role::leader;
  const auto applied = node_->state().applied();
  if (!is_leader || persist.entries.empty() || !world_.chance(20)) return;
  const auto& entry = *persist.entries.front();
  if (entry.index != index_of(applied).next() || applied != model.applied() ||
      applied != broken_.delivered) {
    return;
  }
  auto ahead = model;
  auto batch = std::make_shared<znode::ChangeBatch>();
  batch->zxid = zxid_of(entry.index);
  batch->changes = ahead.apply(entry).changes;
  for (auto& [who, watched] : broken_.watched) {
    auto changes = ahead.wanted(watched.filter, batch->zxid);
    if (!watched.is_live || changes.empty()) continue;
    auto own = std::make_shared<znode::ChangeBatch>(*batch);
    own->changes = std::move(changes);
    watched.told.insert(batch->zxid);
    to_listener(who.first, core::WatchEvent{who.first, who.second, std::move(own), {}, false});
  }
}

void Member::deliver_mutated(ConnectionId connection, core::Delivery delivery) {
  if (const auto* state = std::get_if<core::WatchState>(&delivery)) {
    auto& watched = broken_.watched[{connection, state->watch}];
    if (state->kind == core::WatchState::Kind::present) watched.is_live = true;
    if (state->kind == core::WatchState::Kind::ended) watched.is_live = false;
  }
  const auto* event = std::get_if<core::WatchEvent>(&delivery);
  if (event == nullptr || event->is_initial) return to_listener(connection, std::move(delivery));
  auto& watched = broken_.watched[{connection, event->watch}];
  if (world_.now() < watched.deaf_until_us || watched.told.contains(event->batch->zxid)) return;
  const bool splits = world_.mutant() == Mutant::batch_in_two_parts && event->wanted.empty() &&
                      event->batch->changes.size() > 1;
  if (!splits) return to_listener(connection, std::move(delivery));
  auto first = *event;
  first.wanted = {0};
  auto second = *event;
  for (std::uint32_t i = 1; i < event->batch->changes.size(); ++i) second.wanted.push_back(i);
  to_listener(connection, std::move(first));
  to_listener(connection, std::move(second));
}

}  // namespace coord::sim
