#include "coord/core/node.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/core/reads.hpp"

namespace coord::core {
namespace {

// Waiting requests are looked through so often for deadlines that have passed.
constexpr std::int64_t kSweepMs = 50;
// A turn that comes so late means that this member stalled: it blames no client for that time.
constexpr std::int64_t kStallMs = 100;
constexpr std::int64_t kStallNoteMs = 300;  // Worth a line in the operator's log.
// How long a watch may wait for being opened.
constexpr std::int64_t kSubscribeTimeoutMs = 10'000;
// A turn makes room for the answers of so many entries beforehand, at most.
constexpr std::size_t kDeliveriesReserved = 1'024;

void wrap(std::vector<election::Message>&& from, std::vector<Message>& to) {
  to.reserve(to.size() + from.size());
  for (auto& message : from) {
    to.push_back(Message{message.from, message.to, std::move(message.body)});
  }
}

}  // namespace

Node::Node(NodeOptions options, NodeState restored, TraceSink& trace)
    : options_(std::move(options)),
      trace_(trace),
      state_(std::move(restored.state)),
      raft_(options_.raft, std::move(restored.log), trace),
      history_(options_.watches, state_.applied()),
      hub_(options_.watches),
      retention_(std::move(restored.retention)),
      checkpointed_(index_of(state_.applied())),
      previous_checkpoint_(checkpointed_),
      spread_(options_.raft.seed) {
  // Distinct from those of every earlier start: entries of that time may still be applied.
  Prng prng(options_.raft.seed);
  last_number_ = prng.next();
  stream_ = prng.next();
  history_.set_stored(state_.applied());
  spread_now_ = spread_.below(options_.checkpoint.spread_percent + 1);
}

std::size_t Node::pending_count() const noexcept {
  auto count = pending_.size() + delayed_writes_.size() + parked_.size() + store_waits_.size() +
               read_batch_.size() + backups_.size() + limbo_.size() + forwards_.size() +
               confirmations_.size();
  for (const auto& group : granted_wait_) count += group.waiting.size();
  return count;
}

template <class Predicate>
void Node::drop_waiting(Predicate is_gone) {
  std::erase_if(read_batch_, is_gone);
  for (auto& group : granted_wait_) std::erase_if(group.waiting, is_gone);
  std::erase_if(parked_, [&](const auto& entry) { return is_gone(entry.second); });
  std::erase_if(backups_, [&](const Backup& backup) { return is_gone(backup.waiting); });
  std::erase_if(confirmations_, [&](const auto& entry) { return is_gone(entry.second); });
}

// ---------------------------------------------------------------- events

void Node::step(Event event) {
  std::visit([this](auto& e) { on(e); }, event);
}

void Node::on(ClientRequest& event) {
  auto& request = event.request;
  if (is_write(request.op)) {
    write(std::move(request));
  } else {
    read(std::move(request));
  }
}

void Node::on(Subscribe& event) {
  if (is_diverged()) {
    return end_watch({event.connection, event.watch}, Code::diverged,
                     "this member's state differs from the others'");
  }
  const auto deadline = now_.mono_ms + kSubscribeTimeoutMs;
  if (event.consistency == Consistency::local) {
    const auto index = index_of(event.min_revision);
    park(index, {std::move(event), deadline});
  } else {
    wait_for_grant({std::move(event), deadline});
  }
}

void Node::on(Unsubscribe& event) {
  if (hub_.unsubscribe(event.connection, event.watch)) {
    forget_watch({event.connection, event.watch});
    return;
  }
  // It may wait to be opened yet: nobody wants it any more then.
  drop_waiting([&event](const Waiting& waiting) {
    const auto* subscribe = std::get_if<Subscribe>(&waiting.what);
    return subscribe != nullptr && subscribe->connection == event.connection &&
           subscribe->watch == event.watch;
  });
}

void Node::on(WatchApplied& event) { applied_watchers_.push_back(event.connection); }

void Node::on(ResumeWatch& event) { page_watch({event.connection, event.watch}); }

void Node::on(Disconnected& event) {
  const auto id = event.connection;
  hub_.drop_connection(id);
  std::erase(applied_watchers_, id);
  std::vector<WatchKey> gone;
  for (auto at = watches_.lower_bound({id, WatchId()}); at != watches_.end(); ++at) {
    if (at->first.first != id) break;
    gone.push_back(at->first);
  }
  for (const auto& key : gone) forget_watch(key);
  pending_.drop_connection(id);
  limbo_.drop_connection(id);
  forwards_.drop_connection(id);
  drop_waits_of(id);
  drop_waiting([id](const Waiting& waiting) {
    return std::visit([id](const auto& w) { return w.connection == id; }, waiting.what);
  });
  std::erase_if(delayed_writes_, [id](const auto& entry) {
    const auto* own = std::get_if<std::pair<Request, std::int64_t>>(&entry);
    return own != nullptr && own->first.connection == id;
  });
  std::erase_if(store_waits_, [id](const auto& entry) {
    return std::visit(Overloaded{[id](const Request& r) { return r.connection == id; },
                                 [id](const WatchKey& key) { return key.first == id; }},
                      entry.second.who);
  });
}

void Node::on(Touched& event) {
  if (state_.sessions().check(event.session.id, event.session.secret) == Code::ok) {
    touch(event.session.id);
  }
}

void Node::on(PeerMessage& event) {
  auto& message = event.message;
  std::visit(
      [&](auto& body) {
        using Body = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<Body, election::Body>) {
          if (holds_back(message)) return;
          const election::Message raft{message.from, message.to, std::move(body)};
          raft_.step(raft);
          note_contact(raft);
        } else if constexpr (std::is_same_v<Body, Forward> ||
                             std::is_same_v<Body, ForwardRefused> ||
                             std::is_same_v<Body, Touches> ||
                             std::is_same_v<Body, TouchesConfirmed> ||
                             std::is_same_v<Body, DigestNote> ||
                             std::is_same_v<Body, SnapshotPull> ||
                             std::is_same_v<Body, SnapshotChunk>) {
          on(message.from, std::move(body));
        } else if constexpr (std::is_same_v<Body, AdminRequest>) {
          on_admin(message.from, body);
        } else if constexpr (std::is_same_v<Body, AdminReply>) {
          on_admin(body);
        } else if constexpr (std::is_same_v<Body, ClusterNote>) {
          on_note(std::move(body));
        }
      },
      message.body);
}

void Node::on(PeerUp& event) {
  links_[event.member] = event;
  // What was asked on an earlier link may be lost.
  if (event.member == raft_.leader()) confirming_term_ = Term();
  desk_.are_records_due = true;
}

void Node::on(PeerDown& event) {
  links_.erase(event.member);
  // What was under way on the link may be lost: the next write begins a stream without holes.
  if (event.member == stream_leader_) stream_leader_ = MemberId();
  raft_.peer_down(event.member);
}

void Node::on(Persisted& event) {
  persist_synced_ = event.number;
  raft_.persisted(event.number);
}

void Node::on(DiskFull& event) {
  if (event.is_full == is_disk_full_) return;
  is_disk_full_ = event.is_full;
  trace_.trace(Note{event.is_full ? Note::Level::error : Note::Level::info,
                    event.is_full ? "the disk is full: writes are refused until there is room"
                                  : "the disk takes writes again"});
  if (was_leader_) lead_no_more_on_a_full_disk();
}

void Node::on(Checkpointed& event) {
  COORD_CHECK(is_checkpointing_ && event.index == checkpoint_under_way_,
              "the checkpoint that ended is the one under way", event.index);
  is_checkpointing_ = false;
  previous_checkpoint_ = std::exchange(checkpointed_, event.index);
  COORD_CHECK(checkpointed_ <= index_of(state_.applied()), "a checkpoint is of applied entries");
  history_.set_stored(zxid_of(checkpointed_));
  compact_log();
  // LMDB may fall back to its older meta page: the log is kept back to the second last checkpoint.
  recycle_ = previous_checkpoint_;
  take_delayed();
}

void Node::on(StoreAnswered& event) {
  auto at = store_waits_.find(event.answer.token);
  if (at == store_waits_.end()) return;  // Its connection or its time has gone.
  auto wait = std::move(at->second);
  store_waits_.erase(at);
  std::visit(Overloaded{[&](Request& request) {
                          if (!event.answer.error.empty()) {
                            refuse(request, Code::internal, event.answer.error);
                            return;
                          }
                          if (std::holds_alternative<GetHistory>(request.op)) {
                            finish_history(std::move(request), std::move(event.answer));
                          } else if (std::holds_alternative<GetChanges>(request.op)) {
                            finish_changes(std::move(request), std::move(event.answer));
                          } else {
                            finish_at(std::move(request), std::move(event.answer));
                          }
                        },
                        [&](const WatchKey& key) {
                          auto info = watches_.find(key);
                          if (info == watches_.end()) return;
                          info->second.is_reading_store = false;
                          if (!event.answer.error.empty()) {
                            end_watch(key, Code::internal, event.answer.error);
                            return;
                          }
                          // Trimmed while the store was read: there may be a hole at the front.
                          const auto cursor = hub_.cursor_of(key.first, key.second);
                          if (cursor && cursor->next() < retention_.floor()) {
                            return end_compacted(key);
                          }
                          std::vector<watch::Event> events;
                          hub_.page_stored(key.first, key.second, event.answer.batches,
                                           event.answer.through, events);
                          emit(events);
                          state_of_watch(key, WatchState::Kind::more, event.answer.through);
                        }},
             wait.who);
}

void Node::on(Tick& event) {
  COORD_CHECK(event.mono_ms >= now_.mono_ms, "monotonic time does not go back");
  const auto gap = event.mono_ms - now_.mono_ms;
  const bool is_stall = now_.mono_ms > 0 && gap > kStallMs && !std::exchange(is_renewing_, false);
  if (started_ms_ == 0) started_ms_ = ready_ms_ = led_ms_ = event.mono_ms;
  now_ = event;
  if (is_stall) {
    forgive_stall(gap);
    led_ms_ += gap;
  }
  raft_.tick(event.mono_ms);
  if (raft_.has_lease(event.mono_ms)) {
    fresh_ms_ = event.mono_ms;
  } else if (index_of(state_.applied()) >= contact_committed_) {
    fresh_ms_ = std::max(fresh_ms_, contact_ms_);
  }
  if (std::string why; is_ready(why)) ready_ms_ = event.mono_ms;
  if (raft_.leader()) led_ms_ = event.mono_ms;
  history_.trim();
  tick_streams();
  tick_install();
  tick_repair();
  if (event.mono_ms >= next_sweep_ms_) {
    next_sweep_ms_ = event.mono_ms + kSweepMs;
    expire_waiting();
    if (is_disk_full_) lead_no_more_on_a_full_disk();
  }
}

// What clients sent meanwhile lies unread in the sockets: the time away does not count. After a
// short one nobody expires for as long again, after a long one everybody has a full timeout.
void Node::forgive_stall(std::int64_t gap_ms) {
  hold_expiry_until_ms_ =
      std::max(hold_expiry_until_ms_, now_.mono_ms + std::min(gap_ms, kStallNoteMs));
  if (gap_ms <= kStallNoteMs) return;
  trace_.trace(Note{Note::Level::warn, fmt::format("stalled for {} ms", gap_ms)});
  if (!was_leader_) return;
  renew_sessions();
  is_renewing_ = true;  // With a million of them this takes a while itself.
}

void Node::expire_waiting() {
  for (auto* waiters : {&limbo_, &forwards_}) {
    for (const auto& waiter : waiters->expire(now_.mono_ms)) {
      answer(waiter, Code::outcome_unknown,
             "the write was not confirmed in time; it may still take effect");
    }
  }
  for (const auto& waiter : pending_.expire(now_.mono_ms)) {
    answer(waiter, Code::outcome_unknown,
           "the write was not confirmed in time; it may still take effect");
  }
  const auto late = [this](std::int64_t deadline) { return deadline <= now_.mono_ms; };
  std::erase_if(delayed_writes_, [&](const auto& entry) {
    const auto* own = std::get_if<std::pair<Request, std::int64_t>>(&entry);
    if (own == nullptr || !late(own->second)) return false;
    refuse(own->first, Code::overloaded, "the store is behind; the write was not tried");
    return true;
  });
  give_up_late(read_batch_);
  for (auto& group : granted_wait_) give_up_late(group.waiting);
  std::erase_if(parked_, [&](auto& entry) {
    if (!late(entry.second.deadline_ms)) return false;
    give_up(
        std::move(entry.second.what), Code::behind,
        fmt::format("this member has applied {} and not yet {}", state_.applied(), entry.first));
    return true;
  });
  std::erase_if(confirmations_, [&](auto& entry) {
    if (!late(entry.second.deadline_ms)) return false;
    give_up(entry.second.what, Code::no_leader, "no leader confirmed the renewal in time");
    return true;
  });
  std::erase_if(store_waits_, [&](auto& entry) {
    auto* request = std::get_if<Request>(&entry.second.who);
    if (request == nullptr || !late(entry.second.deadline_ms)) return false;
    refuse(*request, Code::overloaded, "the store did not answer in time");
    return true;
  });
}

void Node::give_up_late(std::vector<Waiting>& waiting) {
  std::erase_if(waiting, [this](const Waiting& one) {
    if (one.deadline_ms > now_.mono_ms) return false;
    give_up(one.what, Code::no_leader, "no leader confirmed the read in time");
    return true;
  });
}

// ---------------------------------------------------------------- effects

Effects Node::take_effects() {
  wants_turn_ = false;
  follow_role();
  propose_due();
  step_cluster();
  if (!read_batch_.empty()) {
    last_read_ = last_read_.next();
    granted_wait_.push_back({last_read_, std::exchange(read_batch_, {})});
    raft_.read(last_read_);
  }
  auto ready = raft_.take_ready();
  // An answer and an event for each, at once: a delivery is large to move.
  deliveries_.reserve(deliveries_.size() + std::min(ready.committed.size(), kDeliveriesReserved) *
                                               (1 + applied_watchers_.size()));
  for (const auto& entry : ready.committed) apply(entry);
  if (!delayed_writes_.empty()) take_delayed();
  for (const auto& grant : ready.read_grants) {
    const auto group = std::find_if(granted_wait_.begin(), granted_wait_.end(),
                                    [&](const auto& g) { return g.read == grant.read; });
    COORD_CHECK(group != granted_wait_.end(), "a grant answers a read", grant.read);
    auto waiting = std::move(group->waiting);
    granted_wait_.erase(group);
    for (auto& one : waiting) {
      if (grant.granted) {
        park(grant.index, std::move(one));
      } else {
        give_up(one.what, Code::no_leader, "there is no leader to ask");
      }
    }
  }
  follow_role();
  send_touches();
  send_digest();
  if (ready.persist) persist_issued_ = ready.persist->number;
  if (ready.install) begin_install(*ready.install);
  maybe_adopt();
  read_wanted();
  maybe_checkpoint();
  if (!backups_.empty()) serve_backups();

  Effects effects;
  effects.messages = std::exchange(messages_, {});
  wrap(std::move(ready.messages), effects.messages);
  effects.persist = std::move(ready.persist);
  wrap(std::move(ready.messages_after_persist), effects.messages_after_persist);
  effects.deliveries = std::exchange(deliveries_, {});
  effects.store_reads = std::exchange(store_reads_, {});
  effects.recycle = std::exchange(recycle_, std::nullopt);
  effects.snapshot_reads = std::exchange(snapshot_reads_, {});
  effects.snapshot_writes = std::exchange(snapshot_writes_, {});
  if ((checkpoint_under_way_ > checkpointed_ || std::exchange(is_second_due_, false)) &&
      !is_checkpointing_) {
    is_checkpointing_ = true;
    last_checkpoint_ms_ = now_.mono_ms;
    spread_now_ = spread_.below(options_.checkpoint.spread_percent + 1);
    log_bytes_ = 0;
    effects.checkpoint = state_.take_checkpoint();
    retention_.close_step(options_.retention);
    effects.checkpoint->trim_changes_below = retention_.floor();
    effects.checkpoint->records.put(Table::meta, Retention::kKey, retention_.encode());
  }
  return effects;
}

void Node::maybe_checkpoint() {
  if (is_checkpointing_) return;
  // The store is about to be another one.
  if (is_install_whole() || (is_repairing_ && install_)) return;
  if (index_of(state_.applied()) <= checkpointed_) {
    // A full log may hold up every entry that the next checkpoint would be of. One more of the same
    // lets go of what the log keeps for the case that the store falls back behind the last one.
    is_second_due_ = is_disk_full_ && previous_checkpoint_ < checkpointed_;
    return;
  }
  const auto& policy = options_.checkpoint;
  const auto records = state_.dirty_records();
  const auto bytes = state_.dirty_bytes();
  const auto since_ms = now_.mono_ms - last_checkpoint_ms_;
  const auto lowered = [this](std::size_t bound) { return bound - bound / 100 * spread_now_; };
  const bool is_due = is_bulk() || records >= lowered(policy.records_max) ||
                      bytes >= lowered(policy.bytes_max) || log_bytes_ >= policy.log_bytes_max ||
                      since_ms >= policy.interval_ms;
  const bool is_wanted =
      wanted_checkpoint_ > checkpointed_ && index_of(state_.applied()) >= wanted_checkpoint_;
  // An interval alone does not make an idle member write: no-ops leave nothing dirty.
  if (is_wanted || (is_due && records > 0)) checkpoint_under_way_ = index_of(state_.applied());
}

bool Node::is_bulk() const noexcept {
  const auto& policy = options_.checkpoint;
  return now_.mono_ms - last_checkpoint_ms_ < policy.bulk_ms &&
         state_.dirty().bytes() >= policy.bulk_bytes_max;
}

bool Node::is_store_late() const noexcept {
  const auto& policy = options_.checkpoint;
  const auto bytes = state_.dirty_bytes();
  return is_checkpointing_ && (is_bulk() || bytes >= policy.bytes_max / 4 * 3 ||
                               state_.dirty_records() >= policy.records_max / 4 * 3);
}

bool Node::is_backlogged() const noexcept {
  const auto& policy = options_.checkpoint;
  return is_checkpointing_ &&
         (state_.dirty_records() >= policy.records_max * policy.backlog_factor ||
          state_.dirty_bytes() >= policy.bytes_max * policy.backlog_factor);
}

void Node::apply(const election::SharedEntry& entry) {
  auto applied = state_.apply(*entry);
  log_bytes_ += entry->payload.size();
  applied_bytes_ += entry->payload.size();
  if (state_.service_ms() > service_base_ms_ + (now_.mono_ms - mono_base_ms_)) {
    // Entries of an earlier leader come after leadership began: service time goes on from them.
    service_base_ms_ = state_.service_ms();
    mono_base_ms_ = now_.mono_ms;
  }
  for (const auto id : applied.opened) {
    const auto* session = state_.sessions().find(id);
    COORD_CHECK(session != nullptr, "an opened session is there", id);
    if (was_leader_) expiry_.touch(id, session->ttl_ms, now_.mono_ms);
    trace_.trace(coord::SessionOpened{id, session->ttl_ms});
  }
  if (applied.batch) {
    retention_.add(applied.batch->zxid, applied.batch->changes.size(),
                   znode::bytes_of(*applied.batch));
    history_.append(applied.batch);
    std::vector<watch::Event> events;
    hub_.publish(applied.batch, events);
    emit(events);
  }
  if (was_leader_) {
    for (const auto id : applied.moved) {
      // Its ttl may be shorter than before: a touch alone would leave the deadline where it is.
      expiry_.remove(id);
      touch(id);
    }
  }
  for (const auto& [id, reason, ephemerals] : applied.ended) {
    expiry_.remove(id);
    expiring_.erase(id);
    end_watches_of(id);
    trace_.trace(SessionEnded{id, session::word_of(reason), ephemerals});
  }
  if (was_leader_) {
    const auto* result = std::get_if<RecipeResult>(&applied.outcome.result);
    if (result != nullptr && result->answer.renews) touch(result->answer.renews);
  }
  if (!applied_watchers_.empty()) tell_applied(applied, zxid_of(entry->index));
  note_members(entry->index, applied);
  if (const auto waiter = pending_.take(entry->index)) {
    deliver(reply_of(waiter->connection, waiter->request, std::move(applied.outcome)));
  } else {
    resolve_limbo(*entry, applied);
  }
  sample_digest();
  while (!parked_.empty() && parked_.begin()->first <= entry->index) {
    auto parked = std::move(parked_.begin()->second);
    parked_.erase(parked_.begin());
    serve_waiting(std::move(parked));
  }
}

void Node::tell_applied(const Applied& applied, Zxid revision) {
  if (!applied.batch && applied.ended.empty() && applied.moved.empty()) return;
  AppliedEvent event;
  event.revision = revision;
  event.batch = applied.batch;
  for (const auto& one : applied.ended) event.ended.push_back(one.id);
  event.moved = applied.moved;
  for (const auto connection : applied_watchers_) {
    event.connection = connection;
    deliveries_.emplace_back(event);
  }
}

// ---------------------------------------------------------------- queries

Status Node::status() const {
  Status status;
  status.member = options_.raft.id;
  status.cluster = state_.cluster();
  status.role = election::word_of(raft_.role());
  status.leader = raft_.leader();
  status.term = raft_.term();
  status.last = raft_.last_index();
  status.committed = raft_.committed();
  status.applied = index_of(state_.applied());
  status.checkpointed = checkpointed_;
  status.digest = state_.digest();
  status.nodes = state_.tree().node_count();
  status.ephemerals = state_.tree().ephemeral_count();
  status.value_bytes = state_.tree().value_bytes();
  status.sessions = state_.sessions().size();
  status.watches = watch_count();
  status.uptime_ms = now_.mono_ms - started_ms_;
  status.is_alone = raft_.membership().everybody().size() == 1;
  status.voters = raft_.membership().voters.size();
  if (was_leader_) {
    Leading leading;
    for (const auto& member : cluster_view().members) {
      const bool is_ready = member.state == "ready";
      if (is_ready || member.state == "behind") ++leading.learners;
      if (is_ready) ++(member.role == "voter" ? leading.voters_ready : leading.observers_ready);
    }
    leading.since_ms = now_.mono_ms - led_since_ms_;
    leading.proposals = proposals_;
    status.leading = leading;
  }
  std::string why;
  status.is_ready = is_ready(why);
  if (!status.is_ready) status.unready_ms = now_.mono_ms - ready_ms_;
  return status;
}

std::int64_t Node::leaderless_ms() const noexcept {
  return raft_.leader() ? 0 : now_.mono_ms - led_ms_;
}

bool Node::is_ready(std::string& why) const {
  if (!raft_.leader()) {
    why = "there is no leader";
    return false;
  }
  if (state_.cluster().empty()) {
    why = "the cluster has no identity yet";
    return false;
  }
  // What the log held at the start is committed with the first entry of the new term.
  if (was_leader_ && state_.applied_term() != raft_.term()) {
    why = "the entries of earlier terms are not applied yet";
    return false;
  }
  if (raft_.committed() > index_of(state_.applied())) {
    why = "committed entries are not applied yet";
    return false;
  }
  if (is_diverged()) {
    why =
        fmt::format("its state differs from the others' at revision {}: coordctl cluster repair {}",
                    diverged_at_, options_.raft.id);
    return false;
  }
  if (is_disk_full_) {
    why = "the disk is full";
    return false;
  }
  return true;
}

}  // namespace coord::core
