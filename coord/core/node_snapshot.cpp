// Node's snapshots: serving them to members that lag too far, and installing one.
//
// A receiver pulls piece by piece, so a slow one is never flooded, and asks for the same piece
// again while the link is broken. It keeps its state until the new one is whole, checked and
// loaded; then the shell exchanges the stores, and here the states. The order that makes a crash
// harmless at every step is in coord/disk/README.md ("An exchange").
#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/core/node.hpp"

namespace coord::core {
namespace {

// So many pulls without an answer, and another leader's offer is taken.
constexpr std::int64_t kSilentRetries = 3;
// So many retries long a stream is kept without a pull while others wait for its place.
constexpr std::int64_t kIdleRetries = 5;

election::SnapshotMark mark_of(const CheckpointMark& mark) {
  return {mark.applied, mark.applied_term};
}

}  // namespace

// ---------------------------------------------------------------- the sender

OutStream* Node::snapshot_stream(std::uint64_t id) {
  const auto at = std::find_if(snapshot_streams_.begin(), snapshot_streams_.end(),
                               [id](const OutStream& stream) { return stream.id == id; });
  return at == snapshot_streams_.end() ? nullptr : &*at;
}

void Node::on(MemberId from, SnapshotPull&& pull) {
  auto* stream = snapshot_stream(pull.stream);
  if (pull.stream == 0) {
    const auto same = std::find_if(snapshot_streams_.begin(), snapshot_streams_.end(),
                                   [from](const OutStream& s) { return s.to == from; });
    if (same != snapshot_streams_.end()) {
      // Asked again before the first piece arrived; or that member begins anew.
      if (same->offset == 0 && pull.mark == same->asked) {
        stream = &*same;
      } else {
        end_stream(same->id);
      }
    }
    if (stream == nullptr) stream = open_stream(from, pull.mark);
    if (stream == nullptr) return;  // As many as may be at one time: it asks again.
  }
  if (stream == nullptr || stream->to != from || pull.offset < stream->offset ||
      pull.offset > stream->offset + stream->bytes.size()) {
    return refuse_pull(from);
  }
  stream->pulled_ms = now_.mono_ms;
  if (pull.offset == stream->offset && !stream->bytes.empty()) return send_chunk(*stream);
  if (pull.offset != stream->offset + stream->bytes.size()) return refuse_pull(from);
  if (!stream->is_last) stream->is_wanted = true;
}

OutStream* Node::open_stream(MemberId to, election::SnapshotMark asked) {
  if (!has_place_for_stream()) return nullptr;
  // What is wrong here must not go anywhere.
  if (is_diverged()) {
    refuse_pull(to);
    return nullptr;
  }
  if (!checkpointed_ || checkpointed_ < asked.index) {
    if (!make_snapshot_for(asked)) refuse_pull(to);
    return nullptr;
  }
  // Ids differ between two starts: a receiver must not go on with what another process began.
  if (last_snapshot_stream_ == 0)
    last_snapshot_stream_ = checksum("snapshot stream", options_.raft.seed) >> 1;
  OutStream stream;
  stream.id = ++last_snapshot_stream_;
  stream.to = to;
  stream.asked = asked;
  stream.hold = checkpointed_;
  stream.pulled_ms = now_.mono_ms;
  stream.bytes_before = applied_bytes_;
  snapshot_streams_.push_back(std::move(stream));
  trace_.trace(Note{Note::Level::info, fmt::format("sends a snapshot to {}", to)});
  return &snapshot_streams_.back();
}

// Ends the stream that nobody has pulled for the longest time, if it takes the last place: its
// member is gone, or has what it wanted from another one.
bool Node::has_place_for_stream() {
  const auto is_open = [](const OutStream& stream) { return !stream.is_last; };
  const auto open = std::count_if(snapshot_streams_.begin(), snapshot_streams_.end(), is_open);
  if (static_cast<std::size_t>(open) < options_.snapshots.streams_max) return true;
  const auto before = [&](const OutStream& a, const OutStream& b) {
    return std::pair(a.is_last, a.pulled_ms) < std::pair(b.is_last, b.pulled_ms);
  };
  const auto stalest = std::min_element(snapshot_streams_.begin(), snapshot_streams_.end(), before);
  const auto idle_ms = kIdleRetries * options_.snapshots.retry_ms;
  if (stalest == snapshot_streams_.end() || stalest->pulled_ms + idle_ms > now_.mono_ms) {
    return false;
  }
  end_stream(stalest->id);
  return true;
}

void Node::refuse_pull(MemberId to) {
  messages_.push_back({options_.raft.id, to, SnapshotChunk{}});
}

void Node::send_chunk(const OutStream& stream) {
  SnapshotChunk chunk;
  chunk.stream = stream.id;
  chunk.mark = stream.mark;
  chunk.offset = stream.offset;
  chunk.bytes = stream.bytes;
  chunk.is_last = stream.is_last;
  messages_.push_back({options_.raft.id, stream.to, std::move(chunk)});
}

void Node::on(SnapshotWasRead& event) {
  auto* stream = snapshot_stream(event.stream);
  if (stream == nullptr) return;
  stream->is_reading = false;
  if (!event.error.empty()) {
    trace_.trace(Note{Note::Level::error, fmt::format("the snapshot for {} cannot be read: {}",
                                                      stream->to, event.error)});
    refuse_pull(stream->to);
    return end_stream(event.stream);
  }
  stream->mark = event.mark;
  stream->hold = event.mark.index;
  stream->offset += stream->bytes.size();
  stream->bytes = std::move(event.bytes);
  stream->is_last = event.is_last;
  send_chunk(*stream);
}

void Node::end_stream(std::uint64_t id) {
  std::erase_if(snapshot_streams_, [id](const OutStream& stream) { return stream.id == id; });
  snapshot_reads_.push_back({id, 0});
  compact_log();
}

// Keeps the log after the mark of a snapshot that is on its way: without it the member that
// installs it would need the next one at once.
void Node::compact_log() {
  auto until = checkpointed_;
  for (const auto& stream : snapshot_streams_) until = std::min(until, stream.hold);
  raft_.compact(until);
}

void Node::tick_streams() {
  const auto& policy = options_.snapshots;
  const auto chunk = static_cast<std::int64_t>(policy.chunk_bytes);
  if (snapshot_budget_ms_ > 0) {
    const auto passed = std::min<std::int64_t>(now_.mono_ms - snapshot_budget_ms_, 100);
    snapshot_budget_ += passed * static_cast<std::int64_t>(policy.bytes_per_second) / 1'000;
  }
  snapshot_budget_ms_ = now_.mono_ms;
  // What is not used does not gather: a burst would be as bad as no bound.
  const auto burst = static_cast<std::int64_t>(policy.bytes_per_second) / 20;
  snapshot_budget_ = std::min(snapshot_budget_, std::max(chunk, burst));
  const auto peers =
      snapshot_streams_.empty() ? std::vector<election::Raft::Peer>() : raft_.peers();
  std::vector<std::uint64_t> over;
  for (const auto& stream : snapshot_streams_) {
    const auto peer =
        std::find_if(peers.begin(), peers.end(), [&](const auto& p) { return p.id == stream.to; });
    // After the last piece the log is still held, until the member has followed to where it would
    // be cut otherwise: one that only stands at the mark would need the next snapshot at once.
    const auto needed = std::max(stream.mark.index, checkpointed_);
    const bool is_done = stream.is_last && (peer == peers.end() || peer->match >= needed);
    if (is_done || stream.pulled_ms + policy.idle_ms <= now_.mono_ms ||
        applied_bytes_ - stream.bytes_before > policy.held_log_bytes_max) {
      over.push_back(stream.id);
    }
  }
  for (const auto id : over) end_stream(id);
}

void Node::read_wanted() {
  const auto chunk = options_.snapshots.chunk_bytes;
  for (auto& stream : snapshot_streams_) {
    if (!stream.is_wanted || stream.is_reading || snapshot_budget_ <= 0) continue;
    stream.is_wanted = false;
    stream.is_reading = true;
    snapshot_budget_ -= static_cast<std::int64_t>(chunk);
    snapshot_reads_.push_back({stream.id, chunk});
  }
}

// ---------------------------------------------------------------- the receiver

void Node::begin_install(election::SnapshotMark announced) {
  const auto from = raft_.leader();
  if (install_) {
    // What has just begun is not begun anew for each checkpoint that the leader takes meanwhile:
    // the sender holds the log of what it sends only once it was asked.
    if (install_->from == from && install_->stream == 0) {
      if (install_->stage == Install::Stage::beginning) install_->announced = announced;
      return;
    }
    // What is under way serves as well if it is not older and its sender can be reached. One that
    // leads no more and is silent may be cut off in one direction.
    const bool is_heard =
        install_->heard_ms + kSilentRetries * options_.snapshots.retry_ms > now_.mono_ms ||
        install_->stage != Install::Stage::pulling;
    const bool is_reached = install_->from == from || (links_.contains(install_->from) && is_heard);
    if (install_->mark.index >= announced.index && is_reached) return;
    COORD_CHECK(install_->stage != Install::Stage::adopting, "Raft hears nothing meanwhile");
    write_snapshot(SnapshotWrite::Kind::drop);
  }
  install_.emplace();
  install_->id = ++last_install_;
  install_->from = from;
  install_->announced = announced;
  install_->heard_ms = now_.mono_ms;
  trace_.trace(Note{Note::Level::info, fmt::format("installs a snapshot of {}, at {} or later",
                                                   from, announced.index)});
  write_snapshot(SnapshotWrite::Kind::begin);
}

void Node::write_snapshot(SnapshotWrite::Kind kind, std::string bytes) {
  snapshot_writes_.push_back({install_->id, kind, std::move(bytes)});
}

void Node::pull() {
  install_->stage = Install::Stage::pulling;
  install_->asked_ms = now_.mono_ms;
  messages_.push_back({options_.raft.id, install_->from,
                       SnapshotPull{install_->announced, install_->offset, install_->stream}});
}

void Node::fail_install(std::string_view why) {
  trace_.trace(Note{Note::Level::warn,
                    fmt::format("the snapshot of {} is given up: {}", install_->from, why)});
  write_snapshot(SnapshotWrite::Kind::drop);
  const bool was_announced = install_->announced.term != Term();
  install_.reset();
  if (was_announced) raft_.snapshot_failed();
}

void Node::on(MemberId from, SnapshotChunk&& chunk) {
  if (!install_ || install_->stage != Install::Stage::pulling || from != install_->from) return;
  if (chunk.stream == 0) return fail_install("the sender has it no more");
  if (install_->stream == 0) {
    if (chunk.mark.index < install_->announced.index) return;
    install_->stream = chunk.stream;
    install_->mark = chunk.mark;
  }
  // A piece that was asked for twice comes twice.
  if (chunk.stream != install_->stream || chunk.offset != install_->offset) return;
  install_->heard_ms = now_.mono_ms;
  install_->offset += chunk.bytes.size();
  install_->is_last = chunk.is_last;
  install_->stage = Install::Stage::writing;
  write_snapshot(SnapshotWrite::Kind::append, std::move(chunk.bytes));
}

void Node::on(SnapshotWritten& event) {
  if (!install_ || event.install != install_->id) return;
  if (!event.error.empty()) {
    COORD_CHECK(install_->stage != Install::Stage::adopting, "an exchange does not fail");
    return fail_install(event.error);
  }
  install_->heard_ms = now_.mono_ms;
  switch (event.kind) {
    case SnapshotWrite::Kind::begin:
      return pull();
    case SnapshotWrite::Kind::append:
      if (!install_->is_last) return pull();
      install_->stage = Install::Stage::finishing;
      return write_snapshot(SnapshotWrite::Kind::finish);
    case SnapshotWrite::Kind::finish:
      COORD_CHECK(event.loaded != nullptr, "a whole snapshot was loaded");
      if (mark_of(event.loaded->mark) != install_->mark) {
        return fail_install("its mark is another one than was told");
      }
      install_->loaded = std::move(event.loaded);
      install_->stage = Install::Stage::whole;
      return;
    case SnapshotWrite::Kind::adopt:
      return installed();
    case SnapshotWrite::Kind::drop:
      return;
  }
}

bool Node::is_install_whole() const noexcept {
  return install_ && install_->stage >= Install::Stage::whole;
}

void Node::tick_install() {
  if (!install_ || install_->stage != Install::Stage::pulling) return;
  // One that leads no more may be cut off in one direction, and Raft told of the leader's snapshot
  // only once: then the leader must be asked instead.
  const bool is_leader = install_->from == raft_.leader() || !raft_.leader();
  const auto patience_ms =
      is_leader ? options_.snapshots.idle_ms : kSilentRetries * options_.snapshots.retry_ms;
  if (install_->heard_ms + patience_ms <= now_.mono_ms) {
    fail_install("the sender is silent");
  } else if (install_->asked_ms + options_.snapshots.retry_ms <= now_.mono_ms) {
    pull();
  }
}

// Once all is whole: exchanges the stores, if that still moves this member forward. The log on the
// disk must know the snapshot's term by then, or it would look older than the store after a crash.
void Node::maybe_adopt() {
  if (!install_ || install_->stage != Install::Stage::whole) return;
  if (is_repairing_ && raft_.role() == election::Role::leader) return;  // It hands over.
  const bool is_between = install_->mark.index <= raft_.committed() &&
                          install_->mark.index > index_of(state_.applied());
  if (is_repairing_ && is_between) return;  // Soon it is applied.
  if (!is_adoptable(install_->mark)) {
    return fail_install("the log has come as far meanwhile");
  }
  if (raft_.term() < install_->mark.term) return;
  if (!install_->after_persist) install_->after_persist = persist_issued_;
  if (persist_synced_ < *install_->after_persist || is_checkpointing_) return;
  install_->stage = Install::Stage::adopting;
  write_snapshot(SnapshotWrite::Kind::adopt);
}

// Nothing that Raft hears may move it past the snapshot while the stores are exchanged.
bool Node::holds_back(const Message& message) {
  if (!install_ || install_->stage != Install::Stage::adopting) return false;
  held_messages_.push_back(message);
  return true;
}

void Node::installed() {
  auto loaded = std::move(install_->loaded);
  install_.reset();
  const auto before = state_.applied();
  state_ = std::move(loaded->state);
  retention_ = std::move(loaded->retention);
  const auto mark = mark_of(loaded->mark);
  history_.reset(state_.applied());
  history_.set_stored(state_.applied());
  checkpointed_ = previous_checkpoint_ = checkpoint_under_way_ = mark.index;
  last_checkpoint_ms_ = now_.mono_ms;
  log_bytes_ = 0;
  recycle_ = mark.index;
  reap_index_ = Index();
  ++installs_;
  take_over(mark);
  trace_.trace(Note{Note::Level::info, fmt::format("the snapshot at {} of term {} is installed",
                                                   mark.index, mark.term)});
  // Entries that the snapshot covers are never seen here one by one.
  for (auto* waiters : {&limbo_, &forwards_}) {
    for (const auto& waiter : waiters->take_before(mark.term.next())) {
      answer(waiter, Code::outcome_unknown,
             "this member took over a later state; the write may have taken effect");
    }
  }
  samples_.clear();
  last_sample_ = Index();
  catch_up_watches(before);
  while (!parked_.empty() && parked_.begin()->first <= mark.index) {
    auto parked = std::move(parked_.begin()->second);
    parked_.erase(parked_.begin());
    serve_waiting(std::move(parked));
  }
  for (auto& message : std::exchange(held_messages_, {})) {
    PeerMessage event{std::move(message)};
    on(event);
  }
}

// What lies between the old and the new state comes from the table of changes, which is part of a
// snapshot.
void Node::catch_up_watches(Zxid before) {
  std::vector<SessionId> ended;
  for (const auto& [key, info] : watches_) {
    if (info.session && state_.sessions().find(info.session->id) == nullptr) {
      ended.push_back(info.session->id);
    }
  }
  for (const auto id : ended) end_watches_of(id);
  for (const auto connection : applied_watchers_) {
    deliveries_.emplace_back(AppliedEvent{connection, state_.applied(), nullptr, {}, {}, true});
  }
  hub_.fall_behind(before);
  std::vector<WatchKey> keys;
  for (const auto& [key, info] : watches_) keys.push_back(key);
  for (const auto& key : keys) {
    const auto cursor = hub_.cursor_of(key.first, key.second);
    if (!cursor) continue;
    if (cursor->next() < retention_.floor()) {
      end_compacted(key);
    } else {
      state_of_watch(key, WatchState::Kind::more, *cursor);
    }
  }
}

}  // namespace coord::core
