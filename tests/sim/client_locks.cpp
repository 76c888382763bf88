// What a client asks of locks: it takes them, writes under them, forgets and remembers them.
#include <fmt/format.h>

#include <utility>

#include "coord/recipes/lock.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace lock = recipes::lock;

}  // namespace

core::RecipeStep Client::draw_acquire(const std::string& name) {
  lock::Acquire op;
  op.name = name;
  if (name.front() == 'p') {
    op.mode = lock::Mode::permits;
    op.permits = 3;
    op.take = 1 + static_cast<std::uint32_t>(world_.prng().below(3));
  } else if (name.front() == 's' && world_.chance(60)) {
    op.mode = lock::Mode::shared;
  }
  op.wait = world_.chance(50) ? lock::Wait::queue : lock::Wait::none;
  if (world_.chance(20)) op.owner = "other";
  if (world_.chance(10)) op.lock_delay_ms = world_.between(100, 2'000);
  return {recipes::Kind::lock, lock::encode(op), {}};
}

// A write under a lock that this client holds, as far as it knows.
core::Operation Client::draw_fenced(core::Request& request) {
  auto at = held_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(world_.prng().below(held_.size())));
  request.fences.push_back({core::Fence::Kind::lock, at->first, at->second});
  core::Put put;
  put.path = "/f/" + at->first;
  put.value = unique_value();
  put.with_parents = true;
  return put;
}

bool Client::ask_of_locks() {
  if (!world_.plan().with_locks || !session_ || !world_.chance(40)) return false;
  core::Request request;
  request.identities = {{"ip", fmt::format("10.0.0.{}", number_)}};
  request.session = session_;
  const auto name = std::string(std::array{"x1", "x2", "s1", "p1"}[world_.prng().below(4)]);
  const auto dice = world_.prng().below(100);
  if (dice < 35) {
    auto step = draw_acquire(name);
    // One that brings a session of its own, which nobody keeps alive.
    if (world_.chance(15)) {
      request.session.reset();
      core::OwnSession own;
      own.ttl_ms = world_.between(1'000, 3'000);
      for (auto& byte : own.secret) byte = static_cast<std::uint8_t>(world_.prng().below(256));
      step.own_session = std::move(own);
    }
    request.op = std::move(step);
  } else if (dice < 65 && !held_.empty()) {
    request.op = draw_fenced(request);
    if (world_.chance(30)) request.session.reset();
  } else if (dice < 85) {
    lock::Release op;
    op.name = name;
    if (world_.chance(20)) op.owner = "other";
    request.op = core::RecipeStep{recipes::Kind::lock, lock::encode(op), {}};
  } else {
    lock::ShowTicket query;
    query.name = name;
    query.session = session_->id;
    request.op = core::RecipeQuery{recipes::Kind::lock, lock::encode(query)};
    if (world_.chance(50)) request.consistency = core::Consistency::local;
  }
  if (core::is_write(request.op) && world_.chance(50)) {
    request.idempotency_key = fmt::format("k{}", last_token_ + 1);
  }
  ask(std::move(request));
  return true;
}

void Client::on_lock_reply(const core::Request& request, const core::Reply& reply) {
  if (reply.code == Code::fence_stale && !request.fences.empty()) {
    world_.count(Count::fence_stale);
    if (world_.chance(70)) held_.erase(request.fences.front().name);
    return;
  }
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  lock::TicketAnswer answer;
  if (result == nullptr || reply.code != Code::ok) return;
  if (!lock::decode(result->answer.bytes, answer) || !answer.ticket.is_held) return;
  world_.count(Count::lock_held);
  held_[answer.name] = answer.ticket.token;
}

}  // namespace coord::sim
