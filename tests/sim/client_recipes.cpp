#include "tests/sim/client_recipes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/recipes/barrier.hpp"
#include "coord/recipes/config.hpp"
#include "coord/recipes/election_codec.hpp"
#include "coord/recipes/lock.hpp"
#include "coord/recipes/queue_codec.hpp"
#include "coord/recipes/service.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace barrier = recipes::barrier;
namespace config = recipes::config;
namespace counter = recipes::counter;
namespace decision = recipes::decision;
namespace election = recipes::election;
namespace lock = recipes::lock;
namespace queue = recipes::queue;
namespace service = recipes::service;
namespace transaction = recipes::transaction;
using recipes::Kind;

constexpr std::size_t kRememberedMax = 6;
// So long everybody talks about the same decision.
constexpr std::int64_t kDecisionUs = 3'000'000;
constexpr std::int64_t kHuge = INT64_MAX / 2;

template <class Op>
core::Operation step_of(Kind kind, const Op& op) {
  return core::RecipeStep{kind, encode(op), {}};
}
template <class Query>
core::Operation query_of(Kind kind, const Query& query) {
  return core::RecipeQuery{kind, encode(query)};
}

template <class T>
void remember(std::vector<T>& list, T one) {
  if (list.size() == kRememberedMax) list.erase(list.begin());
  list.push_back(std::move(one));
}

}  // namespace

const std::vector<RecipeUser::Recipe>& RecipeUser::table() {
  static const std::vector<Recipe> kTable{
      {24, &RecipeUser::draw_lock},    {14, &RecipeUser::draw_fenced},
      {12, &RecipeUser::draw_wait},    {10, &RecipeUser::draw_election},
      {8, &RecipeUser::draw_barrier},  {5, &RecipeUser::draw_counter},
      {8, &RecipeUser::draw_queue},    {6, &RecipeUser::draw_lease},
      {5, &RecipeUser::draw_decision}, {10, &RecipeUser::draw_transaction},
      {10, &RecipeUser::draw_service}, {4, &RecipeUser::draw_config},
  };
  return kTable;
}

core::Request RecipeUser::draw(const core::SessionCredential& session) {
  core::Request request;
  request.identities = {{"ip", fmt::format("10.0.0.{}", number_)}};
  request.session = session;
  std::uint64_t sum = 0;
  for (const auto& recipe : table()) sum += recipe.weight;
  auto dice = world_.prng().below(sum);
  for (const auto& recipe : table()) {
    if (dice < recipe.weight) {
      request.op = (this->*recipe.draw)(request);
      break;
    }
    dice -= recipe.weight;
  }
  const bool is_query = std::holds_alternative<core::RecipeQuery>(request.op);
  if (is_query && world_.chance(30)) request.consistency = core::Consistency::local;
  return request;
}

template <class Op>
std::string RecipeUser::noted(Kind kind, const Op& op) {
  world_.checker().recipes()->note_asked(kind, op);
  return encode(op);
}

void RecipeUser::bring_session(core::Request& request, core::RecipeStep& step,
                               std::int64_t ttl_ms) {
  request.session.reset();
  core::OwnSession own;
  own.ttl_ms = ttl_ms;
  for (auto& byte : own.secret) byte = static_cast<std::uint8_t>(world_.prng().below(256));
  step.own_session = std::move(own);
}

std::string RecipeUser::one_of(const std::vector<std::string>& names) {
  return names[world_.prng().below(names.size())];
}

std::string RecipeUser::unique_value() { return fmt::format("{}-{}", number_, ++last_value_); }

// ---------------------------------------------------------------- locks

core::Operation RecipeUser::draw_acquire(core::Request& request, const std::string& name) {
  lock::Acquire op;
  op.name = name;
  if (name.front() == 'p') {
    op.mode = lock::Mode::permits;
    op.permits = 3;
    op.take = 1 + static_cast<std::uint32_t>(world_.prng().below(3));
  } else if (name.front() == 's' && world_.chance(60)) {
    op.mode = lock::Mode::shared;
  }
  op.wait = world_.chance(60)   ? lock::Wait::queue
            : world_.chance(50) ? lock::Wait::wait
                                : lock::Wait::none;
  if (world_.chance(20)) op.owner = "other";
  if (world_.chance(10)) op.lock_delay_ms = world_.between(100, 2'000);
  core::RecipeStep step{Kind::lock, lock::encode(op), {}};
  if (world_.chance(15)) bring_session(request, step, world_.between(1'000, 3'000));
  return step;
}

core::Operation RecipeUser::draw_lock(core::Request& request) {
  const auto name = one_of({"x1", "x2", "x3", "s1", "p1"});
  const auto dice = world_.prng().below(100);
  if (dice < 60) return draw_acquire(request, name);
  if (dice < 85) {
    lock::Release op;
    op.name = name;
    if (world_.chance(20)) op.owner = "other";
    return step_of(Kind::lock, op);
  }
  if (dice < 93) return query_of(Kind::lock, lock::Show{name});
  lock::ShowTicket query;
  query.name = name;
  query.session = request.session->id;
  return query_of(Kind::lock, query);
}

// A write under what this client holds, as far as it knows.
core::Operation RecipeUser::draw_fenced(core::Request& request) {
  if (fences_.empty()) return draw_lock(request);
  auto at = fences_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(world_.prng().below(fences_.size())));
  const auto& [kind, name] = at->first;
  request.fences.push_back({kind, name, at->second});
  if (world_.chance(30)) request.session.reset();
  core::Put put;
  put.path = "/f/" + name;
  put.value = Blob(unique_value());
  put.with_parents = true;
  return put;
}

// ---------------------------------------------------------------- what waits

core::Operation RecipeUser::draw_wait(core::Request& request) {
  if (waits_.empty()) return draw_lock(request);
  const auto at = waits_.begin() + static_cast<std::ptrdiff_t>(world_.prng().below(waits_.size()));
  const auto wait = *at;
  request.session = wait.session;
  waits_.erase(at);
  if (!wait.give_up.empty() && world_.chance(30)) {
    return core::RecipeStep{wait.kind, wait.give_up, {}};
  }
  if (wait.poll_is_step) return core::RecipeStep{wait.kind, wait.poll, {}};
  // A step that waits is asked again as long as it does, a view brings no new wait.
  if (world_.chance(50)) waits_.push_back(wait);
  return core::RecipeQuery{wait.kind, wait.poll};
}

// ---------------------------------------------------------------- elections and barriers

core::Operation RecipeUser::draw_election(core::Request& request) {
  const auto name = one_of({"e1", "e2"});
  const auto dice = world_.prng().below(100);
  if (dice < 45) {
    election::Join op;
    op.name = name;
    op.value = unique_value();
    op.priority = static_cast<std::uint32_t>(world_.prng().below(3));
    op.waits = world_.chance(40);
    core::RecipeStep step{Kind::election, election::encode(op), {}};
    if (world_.chance(20)) bring_session(request, step, world_.between(1'000, 3'000));
    return step;
  }
  if (dice < 60) return step_of(Kind::election, election::Resign{name, {}, false});
  if (dice < 70) return step_of(Kind::election, election::Post{name, {}, unique_value()});
  // Whom this client saw standing there; it may be itself.
  const auto other = candidates_.find(name);
  if (dice < 85 && other != candidates_.end()) {
    return step_of(Kind::election, election::Transfer{name, other->second});
  }
  return query_of(Kind::election, election::Show{name});
}

core::Operation RecipeUser::draw_barrier(core::Request& request) {
  const bool is_large = world_.chance(40);
  const std::string name = is_large ? "b3" : "b2";
  const auto dice = world_.prng().below(100);
  if (dice < 55) {
    const std::uint32_t count = is_large ? 3 : 2;
    const barrier::Enter op{name, world_.chance(5) ? 1 : count};
    core::RecipeStep step{Kind::barrier, barrier::encode(op), {}};
    if (world_.chance(20)) bring_session(request, step, world_.between(1'000, 3'000));
    return step;
  }
  if (dice < 85) return step_of(Kind::barrier, barrier::Leave{name, 0, world_.chance(60)});
  return query_of(Kind::barrier, barrier::GetTicket{name, 0, request.session->id});
}

// ---------------------------------------------------------------- counters and decisions

core::Operation RecipeUser::draw_counter(core::Request& request) {
  if (world_.chance(50)) request.session.reset();
  const auto name = one_of({"ids", "ids", "sum", "huge"});
  if (world_.chance(20)) {
    return core::RecipeQuery{Kind::counter, noted(Kind::counter, counter::Get{name})};
  }
  auto delta = world_.between(1, 100);
  if (name == "sum") delta = world_.between(-9, 9);
  if (name == "huge") delta = world_.chance(50) ? kHuge : -kHuge;
  return core::RecipeStep{Kind::counter, noted(Kind::counter, counter::Add{name, delta}), {}};
}

core::Operation RecipeUser::draw_decision(core::Request& request) {
  if (world_.chance(50)) request.session.reset();
  const auto age = static_cast<std::int64_t>(world_.prng().below(3));
  const auto name = fmt::format("d{}", std::max<std::int64_t>(0, world_.now() / kDecisionUs - age));
  if (world_.chance(40)) {
    return core::RecipeQuery{Kind::decision, noted(Kind::decision, decision::Get{name})};
  }
  decision::Propose op{name, unique_value(), {}, {}};
  if (world_.chance(30)) op.proposer = fmt::format("p{}", number_);
  return core::RecipeStep{Kind::decision, noted(Kind::decision, op), {}};
}

// ---------------------------------------------------------------- queues

core::Operation RecipeUser::draw_take(core::Request& request, const std::string& name) {
  queue::Take op;
  op.name = name;
  op.lease_ms = world_.between(queue::kLeaseMsMin, 2'500);
  op.waits = world_.chance(50);
  core::RecipeStep step{Kind::queue, queue::encode(op), {}};
  if (world_.chance(25)) bring_session(request, step, world_.between(1'000, 3'000));
  return step;
}

core::Operation RecipeUser::draw_queue(core::Request& request) {
  const auto name = one_of({"q1", "q2"});
  const auto dice = world_.prng().below(100);
  if (dice < 40) return step_of(Kind::queue, queue::Put{name, unique_value(), {}});
  if (dice < 90) return draw_take(request, name);
  if (dice < 95) return step_of(Kind::queue, queue::Configure{"q2", 2});
  return query_of(Kind::queue, queue::Get{name});
}

core::Operation RecipeUser::draw_lease(core::Request& request) {
  if (taken_.empty()) return draw_queue(request);
  const auto at = world_.prng().below(taken_.size());
  const auto taken = taken_[at];
  const auto lease = world_.chance(95) ? taken.lease : 0;
  if (world_.chance(60)) {
    if (world_.chance(80)) taken_.erase(taken_.begin() + static_cast<std::ptrdiff_t>(at));
    return step_of(Kind::queue, queue::Acknowledge{taken.queue, taken.item, lease});
  }
  const auto for_ms = world_.chance(40) ? 0 : world_.between(queue::kLeaseMsMin, 2'500);
  return step_of(Kind::queue, queue::Renew{taken.queue, taken.item, lease, for_ms});
}

// ---------------------------------------------------------------- transactions and services

core::Operation RecipeUser::draw_transaction(core::Request& request) {
  if (world_.chance(70)) request.session.reset();
  const auto& known = world_.checker().recipes()->transactions();
  const auto dice = world_.prng().below(100);
  if (known.empty() || dice < 20) {
    transaction::Begin op;
    op.timeout_ms = world_.between(300, 3'000);
    for (auto left = 1 + world_.prng().below(3); left > 0; --left) {
      op.participants.push_back(fmt::format("p{}", left));
    }
    return core::RecipeStep{Kind::transaction, noted(Kind::transaction, op), {}};
  }
  const auto id = known[world_.prng().below(known.size())];
  if (dice < 75) {
    const transaction::Vote op{id, fmt::format("p{}", 1 + world_.prng().below(3)),
                               world_.chance(90)};
    return core::RecipeStep{Kind::transaction, noted(Kind::transaction, op), {}};
  }
  if (dice < 79) {
    return core::RecipeStep{
        Kind::transaction, noted(Kind::transaction, transaction::Abort{id}), {}};
  }
  return core::RecipeQuery{Kind::transaction, noted(Kind::transaction, transaction::Get{id})};
}

core::Operation RecipeUser::draw_registration(core::Request& request) {
  service::Register op;
  op.service = one_of({"web", "db"});
  op.instance = one_of({"i1", "i2", "i3"});
  op.record.address = "10.0.0.1";
  op.record.port = static_cast<std::uint32_t>(world_.between(1, 3));
  op.takes_over = world_.chance(10);
  if (world_.chance(30)) return step_of(Kind::service, op);
  // Two lengths, so that it is often the same that is registered again.
  op.record.ttl_ms = world_.chance(50) ? 1'000 : 2'500;
  core::RecipeStep step{Kind::service, service::encode(op), {}};
  bring_session(request, step, op.record.ttl_ms);
  if (world_.chance(15)) return core::RecipeRenew{Kind::service, step.bytes};
  return step;
}

core::Operation RecipeUser::draw_service(core::Request& request) {
  const auto name = one_of({"web", "db"});
  const auto instance = one_of({"i1", "i2", "i3"});
  const auto dice = world_.prng().below(100);
  if (dice < 30) return draw_registration(request);
  if (dice < 65) {
    if (world_.chance(70)) request.session.reset();
    return core::RecipeRenew{Kind::service, service::encode(service::Heartbeat{name, instance})};
  }
  if (dice < 72) return step_of(Kind::service, service::Deregister{name, instance, false});
  service::List query;
  query.service = name;
  return query_of(Kind::service, query);
}

core::Operation RecipeUser::draw_config(core::Request& request) {
  if (world_.chance(50)) request.session.reset();
  const auto dice = world_.prng().below(100);
  config::Query query;
  query.name = "c1";
  if (dice < 40) return query_of(Kind::config, query);
  config::Step op;
  op.name = "c1";
  op.act = dice < 85   ? config::Act::publish
           : dice < 97 ? config::Act::roll_back
                       : config::Act::erase;
  if (op.act == config::Act::publish) op.value = Blob(unique_value());
  if (op.act == config::Act::roll_back) op.to = 1 + world_.prng().below(release_ + 1);
  if (world_.chance(30)) op.if_release = release_;
  if (world_.chance(10)) op.if_absent = true;
  return step_of(Kind::config, op);
}

// ---------------------------------------------------------------- answers

void RecipeUser::on_reply(const core::Request& request, const core::Reply& reply) {
  if (reply.code == Code::fence_stale && !request.fences.empty()) {
    world_.count(Count::fence_stale);
    const auto& fence = request.fences.front();
    if (world_.chance(70)) fences_.erase({fence.kind, fence.name});
    return;
  }
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  const auto ask = recipe_ask(request.op);
  if (result == nullptr || !ask || reply.code != Code::ok) return;
  const auto& answer = result->answer;
  if (answer.is_waiting && ask->is_step) {
    auto session = request.session;
    if (result->opened) session = {{result->opened->id, result->opened->secret, Zxid()}};
    remember(waits_, {ask->kind, answer.poll, answer.poll_is_step, answer.give_up, session});
  }
  if (ask->kind == Kind::lock) learn_lock(answer);
  if (ask->kind == Kind::election) learn_election(answer);
  config::Items items;
  if (ask->kind == Kind::config && config::decode(answer.bytes, items) && !items.items.empty()) {
    release_ = items.items.front().release;
  }
  if (ask->kind == Kind::queue && ask->is_step) learn_item(ask->bytes, answer);
}

void RecipeUser::learn_lock(const recipes::Answer& answer) {
  lock::TicketAnswer ticket;
  if (!lock::decode(answer.bytes, ticket) || !ticket.ticket.is_held) return;
  world_.count(Count::lock_held);
  fences_[{core::Fence::Kind::lock, ticket.name}] = ticket.ticket.token;
}

void RecipeUser::learn_election(const recipes::Answer& answer) {
  election::CandidateAnswer one;
  election::ElectionAnswer all;
  if (election::decode(answer.bytes, one) && one.candidate.is_leader) {
    fences_[{core::Fence::Kind::election, one.name}] = one.candidate.epoch;
  }
  if (election::decode(answer.bytes, all) && !all.candidates.empty()) {
    candidates_[all.name] = all.candidates.back().id;
  }
}

void RecipeUser::learn_item(std::string_view bytes, const recipes::Answer& answer) {
  queue::Taken taken;
  const auto op = queue::decode_op(bytes);
  const auto* take = std::get_if<queue::Take>(&op);
  const auto* claim = std::get_if<queue::Claim>(&op);
  if ((take == nullptr && claim == nullptr) || !queue::decode(answer.bytes, taken)) return;
  if (taken.item == 0) return;
  remember(taken_, {take != nullptr ? take->name : claim->name, taken.item, taken.lease});
}

}  // namespace coord::sim
