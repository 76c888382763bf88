#include "tests/sim/checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coord/base/checksum.hpp"
#include "coord/base/overloaded.hpp"
#include "tests/sim/witness.hpp"

namespace coord::sim {
namespace {

constexpr std::int64_t kFullCheckUs = 1'000'000;
// How late a session may end: after its time-out, by the clock of a member that runs undisturbed.
constexpr std::int64_t kLateMs = 2'000;
// How long an election may take, and touches over a follower, when the faults are over.
constexpr std::int64_t kElectionUs = 5'000'000;
constexpr std::int64_t kRoundingMs = 2;
// One in so many deliveries reads the whole durable image.
constexpr std::uint64_t kImageOneIn = 150;
constexpr std::size_t kSpareFilesMax = 2;

Zxid revision_of(const core::Delivery& delivery) {
  return std::visit(Overloaded{[](const core::Reply& reply) { return reply.revision; },
                               [](const core::WatchEvent& event) { return event.batch->zxid; },
                               [](const core::WatchState& state) { return state.revision; },
                               [](const core::AppliedEvent& event) { return event.revision; }},
                    delivery);
}

}  // namespace

Checker::Checker(World& world) : world_(world), model_(world.plan().limits) {
  if (!world.plan().with_recipes) return;
  recipes_ = std::make_unique<Recipes>(world, world.plan().limits);
  model_.follow(*recipes_);
}

// ---------------------------------------------------------------- the canonical history

void Checker::on_start(Member& member, const core::NodeState& state) {
  check_digest(state.state, 15);
  if (world_.has_trace()) world_.trace(fmt::format("member {} starts", member.id()));
}

void Checker::replay(core::NodeState state) {
  auto& machine = state.state;
  const auto& canonical = world_.witness().committed();
  check_digest(machine);
  for (const auto& entry : state.log.entries) {
    const auto at = entry->index.value();
    if (at > model_.applied().value() || *entry != *canonical[at - 1]) break;
    machine.apply(*entry);
    check_digest(machine);
    if (world_.has_failed()) return;
  }
  check_state(machine);
}

std::string Checker::recovered_state(const Member& member, core::NodeState state) {
  world_.witness().check_recovered(member, state.log);
  if (world_.has_failed()) return {};
  const auto& canonical = world_.witness().committed();
  for (const auto& entry : state.log.entries) {
    const auto at = entry->index.value();
    if (at > canonical.size() || *entry != *canonical[at - 1]) break;
    // Of what was under way, each crash decides anew.
    if (!world_.witness().is_synced(member, *entry)) break;
    state.state.apply(*entry);
  }
  return fmt::format("{:016x} at {}", state.state.digest(), state.state.applied());
}

void Checker::on_persist(const Member& member, const election::Persist& persist) {
  for (const auto& entry : persist.entries) check_expired(member, *entry);
}

// Takes over what the member has applied: it is the first to apply an entry, or it agrees.
void Checker::advance(const Member& member) {
  world_.witness().note_commits(member);
  const auto& canonical = world_.witness().committed();
  const auto applied = member.node().state().applied();
  while (model_.applied() < applied && !world_.has_failed()) {
    const Index next(model_.applied().value() + 1);
    if (next.value() > canonical.size()) {
      return world_.fail(4, fmt::format("entry {} is applied, and nobody committed it", next));
    }
    const auto& entry = model_.apply(*canonical[next.value() - 1]);
    for (const auto id : entry.expired) {
      world_.count(Count::session_expired);
      promises_.erase(id);
    }
    if (std::holds_alternative<core::SessionOpened>(entry.outcome.result)) {
      touched_us_[SessionId(next.value())] = world_.now();
    }
    if (const auto* step = std::get_if<core::RecipeResult>(&entry.outcome.result)) {
      if (step->opened) touched_us_[step->opened->id] = world_.now();
      if (step->answer.renews) touched_us_[step->answer.renews] = world_.now();
    }
    if (entry.token == 0) continue;
    const auto token = tokens_.find(entry.token);
    if (token == tokens_.end()) {
      return world_.fail(4, fmt::format("entry {} is of a request that nobody sent", next));
    }
    ++token->second.entries;
    if (entry.outcome.was_applied_before) {
      world_.count(Count::answered_before);
    } else {
      ++token->second.runs;
    }
  }
}

// Who joined knows the ensemble only from the entry that made the cluster on.
void Checker::check_digest(const core::StateMachine& state, int invariant) {
  if (!state.cluster().empty()) check_digest(state.applied(), state.digest(), invariant);
}

void Checker::check_digest(Zxid zxid, std::uint64_t digest, int invariant) {
  const auto [at, is_new] = digests_.try_emplace(zxid, digest);
  if (!is_new && at->second != digest) {
    world_.fail(invariant, fmt::format("the digest at {} is {:016x}, and was {:016x}", zxid, digest,
                                       at->second));
  }
}

void Checker::after_turn(Member& member) {
  world_.witness().after_turn(member);
  advance(member);
  if (world_.has_failed()) return;
  const auto& node = member.node();
  const auto& state = node.state();
  if (index_of(state.applied()) > node.raft().committed()) {
    return world_.fail(4, "applied is beyond committed");
  }
  if (node.checkpointed() > index_of(state.applied())) {
    return world_.fail(4, "the checkpoint is beyond applied");
  }
  node.raft().check_invariants();
  check_digest(state);
  world_.note("turn", member.id().value(), state.applied().value(), state.digest());
  if (world_.now() < next_full_check_us_) return;
  next_full_check_us_ = world_.now() + kFullCheckUs;
  state.check_invariants();
  node.history().check_invariants();
  check_state(state);
  check_late(member);
}

void Checker::on_deliver(Member& member, const std::vector<core::Delivery>& deliveries) {
  advance(member);
  for (const auto& delivery : deliveries) {
    said_ = std::max(said_, revision_of(delivery));
  }
  if (said_ > model_.applied()) {
    return world_.fail(11,
                       fmt::format("revision {} is told, {} is applied", said_, model_.applied()));
  }
  if (world_.prng().chance(1, kImageOneIn)) check_durable(member);
}

void Checker::check_durable(Member& member) {
  world_.count(Count::durable_image_read);
  const auto image = member.disk().durable_copy();
  const auto started = start_from(*image, member.store(), world_.plan(), world_.plan().wal,
                                  member.first_membership());
  if (!started) {
    return world_.fail(5, "the durable image does not start: " + started.error().message);
  }
  world_.witness().check_recovered(member, started.value().state.log);
}

void Checker::on_checkpoint(const Member& member, const core::Checkpoint& checkpoint) {
  advance(member);
  if (checkpoint.applied > index_of(member.node().state().applied())) {
    return world_.fail(4, "a checkpoint is of what was not applied");
  }
  if (member.node().state().cluster().empty()) return;
  check_digest(zxid_of(checkpoint.applied), checkpoint.digest);
}

void Checker::on_recycled(const Member& member, const disk::Wal& wal) {
  const auto names = const_cast<Member&>(member).disk().list();
  if (!names) return;
  const auto most = wal.segment_count() + world_.plan().wal.spare_segments + kSpareFilesMax;
  if (names.value().size() > most) {
    world_.fail(16, fmt::format("{} files for a log of {} segments", names.value().size(),
                                wal.segment_count()));
  }
}

// ---------------------------------------------------------------- the state

void Checker::check_state(const core::StateMachine& state) {
  if (state.applied() != model_.applied()) return;
  const auto& tree = state.tree();
  std::size_t seen = 0;
  tree.walk("/", SIZE_MAX, {}, true, [&](std::string_view path, const znode::View& view) {
    const auto owner = view.stat.ephemeral_owner;
    if (owner && state.sessions().find(owner) == nullptr) {
      world_.fail(9, fmt::format("{} is left of session {}", path, owner));
    }
    // What recipes did has its own judges; the model has the top of it only.
    if (recipes_ != nullptr && path.starts_with("/.coord")) {
      if (path == "/.coord") ++seen;
      return !world_.has_failed();
    }
    ++seen;
    const auto at = model_.nodes().find(std::string(path));
    const bool is_same = at != model_.nodes().end() && at->second.value == view.value &&
                         at->second.is_null == view.is_null && at->second.stat == view.stat &&
                         at->second.content_type == view.content_type;
    if (!is_same) {
      world_.fail(8, fmt::format("{} at {} is not what the entries say", path, state.applied()));
    }
    return !world_.has_failed();
  });
  if (world_.has_failed()) return;
  if (seen != model_.nodes().size()) {
    return world_.fail(8, fmt::format("{} nodes instead of {} at {}", seen, model_.nodes().size(),
                                      state.applied()));
  }
  std::size_t live = 0;
  state.sessions().list(SessionId(), [&](const session::Session& session) {
    ++live;
    return model_.sessions().contains(session.id);
  });
  if (live != model_.sessions().size()) {
    world_.fail(9, fmt::format("{} sessions instead of {} at {}", live, model_.sessions().size(),
                               state.applied()));
  }
}

// ---------------------------------------------------------------- sessions

void Checker::on_touch(const Member& member, SessionId session) {
  if (member.is_up()) touched_us_[session] = world_.now();
}

void Checker::on_promise(SessionId session, std::int64_t asked_us, std::int64_t ttl_ms) {
  if (!model_.sessions().contains(session)) return;
  auto& promise = promises_[session];
  promise.since_us = std::max(promise.since_us, asked_us);
  promise.ttl_ms = ttl_ms;
}

void Checker::on_renewed(SessionId session, std::int64_t asked_us) {
  const auto at = model_.sessions().find(session);
  if (at != model_.sessions().end()) on_promise(session, asked_us, at->second.ttl_ms);
}

// A leader counts by its own clock, from the moment at which the keepalive came, which is not
// before it was asked.
void Checker::check_expired(const Member& member, const election::LogEntry& entry) {
  if (entry.kind != election::EntryKind::command) return;
  if (member.node().raft().role() != election::Role::leader) return;
  core::Command command;
  if (core::decode(entry.payload, command) != core::DecodeError::none) return;
  const auto* expire = std::get_if<core::ExpireSessions>(&command.op);
  if (expire == nullptr) return;
  for (const auto id : expire->sessions) {
    const auto promise = promises_.find(id);
    if (promise == promises_.end()) continue;
    const auto passed_us = world_.now() - promise->second.since_us;
    const auto passed_ms = passed_us * world_.plan().rate_of(member.id()) / 1'000'000 + kRoundingMs;
    if (passed_ms >= promise->second.ttl_ms) continue;
    world_.fail(
        9, fmt::format("session {} expires {} ms early", id, promise->second.ttl_ms - passed_ms));
  }
}

// Sessions that nobody keeps alive end in time. A member alone is watched all the time; of several,
// what they do when no fault is left.
void Checker::check_late(const Member& member) {
  const auto& plan = world_.plan();
  const bool is_alone = plan.members == 1 && plan.observers == 0 && !plan.has(Fault::membership);
  if (!is_alone && world_.now() < world_.calm_us()) return;
  const auto rate = world_.plan().rate_of(member.id());
  const auto calm_us =
      is_alone ? world_.now() - (member.mono_ms() - member.calm_since_ms()) * 1'000'000 / rate
               : world_.calm_us() + kElectionUs;
  const bool is_quiet = world_.now() >= world_.calm_us() + kElectionUs;
  if (recipes_ != nullptr && is_quiet) recipes_->check_overdue(kLateMs);
  for (const auto& [id, session] : model_.sessions()) {
    const auto touched = touched_us_.find(id);
    const auto since =
        std::max(calm_us, touched == touched_us_.end() ? INT64_MIN : touched->second);
    const auto passed_ms = (world_.now() - since) / 1'000 * rate / 1'000;
    const auto slack_ms = is_alone ? kLateMs : kLateMs + session.ttl_ms / 4;
    if (passed_ms > session.ttl_ms + slack_ms) {
      world_.fail(9, fmt::format("session {} with a ttl of {} ms lives {} ms after its last touch",
                                 id, session.ttl_ms, passed_ms));
    }
  }
}

void Checker::check_sessions_gone() {
  if (recipes_ != nullptr) recipes_->check_end();
  if (!model_.sessions().empty()) {
    world_.fail(9, fmt::format("session {} never expired", model_.sessions().begin()->first));
  }
}

// ---------------------------------------------------------------- requests

void Checker::on_sent(std::uint64_t token, bool has_key) {
  ++tokens_[token].sent;
  tokens_[token].has_key = has_key;
}

void Checker::on_refused(std::uint64_t token) { ++tokens_[token].refused; }

std::uint64_t Checker::runs_of(std::uint64_t token) const {
  const auto at = tokens_.find(token);
  return at == tokens_.end() ? 0 : at->second.runs;
}

void Checker::check_tokens() {
  for (const auto& [name, token] : tokens_) {
    if (token.entries > token.sent - token.refused) {
      world_.fail(13, fmt::format("a request was sent {} times, refused {} times, and is in the "
                                  "log {} times",
                                  token.sent, token.refused, token.entries));
    }
  }
}

}  // namespace coord::sim
