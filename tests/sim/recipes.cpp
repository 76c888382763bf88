#include "tests/sim/recipes.hpp"

#include <fmt/format.h>

#include "coord/recipes/barrier.hpp"
#include "coord/recipes/counter.hpp"
#include "coord/recipes/decision.hpp"
#include "coord/recipes/fields.hpp"
#include "coord/recipes/queue_codec.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace barrier = recipes::barrier;
namespace counter = recipes::counter;
namespace decision = recipes::decision;
namespace queue = recipes::queue;
namespace transaction = recipes::transaction;

constexpr int kRecipes = 20;  // Their number in what World::fail() is told.
constexpr std::string_view kQueues = "/.coord/queues";

// The names below a node, in their order.
std::vector<std::string> names_of(const znode::Tree& tree, const std::string& path) {
  std::vector<std::string> names;
  tree.children(path, {}, {}, [&](std::string_view name, const znode::View&) {
    names.emplace_back(name);
    return true;
  });
  return names;
}

}  // namespace

void Recipes::fail(const std::string& what) { world_.fail(kRecipes, what); }

void Recipes::check(const core::StateMachine& state, const core::Command& command,
                    const core::Applied& applied) {
  const auto* step = std::get_if<core::RecipeStep>(&command.op);
  const auto* result = std::get_if<core::RecipeResult>(&applied.outcome.result);
  if (step != nullptr && result != nullptr && !applied.outcome.was_applied_before) {
    check_step(state, *step, result->answer);
  }
  for (const auto& [name, one] : queues_) check_places(state, name, one);
  check_barriers(state);
}

void Recipes::check_step(const core::StateMachine& state, const core::RecipeStep& step,
                         const recipes::Answer& answer) {
  const bool is_told = answer.code == Code::ok || answer.is_done;
  switch (step.kind) {
    case recipes::Kind::queue:
      if (is_told) check_queue(state, step, answer);
      break;
    case recipes::Kind::counter:
      if (is_told) check_counter(answer);
      break;
    case recipes::Kind::decision:
      if (is_told) check_decision(answer.bytes, true);
      break;
    case recipes::Kind::transaction:
      if (!answer.bytes.empty()) check_transaction(answer.bytes);
      break;
    case recipes::Kind::barrier:
    case recipes::Kind::lock:
    case recipes::Kind::election:
    case recipes::Kind::config:
    case recipes::Kind::service:
      break;
  }
}

// ---------------------------------------------------------------- queues

void Recipes::check_queue(const core::StateMachine& state, const core::RecipeStep& step,
                          const recipes::Answer& answer) {
  const auto op = queue::decode_op(step.bytes);
  queue::Taken taken;
  if (const auto* put = std::get_if<queue::Put>(&op)) {
    queues_[put->name].alive.insert(state.applied().value());
  } else if (const auto* take = std::get_if<queue::Take>(&op)) {
    if (decode(answer.bytes, taken)) on_taken(state, take->name, taken);
  } else if (const auto* claim = std::get_if<queue::Claim>(&op)) {
    if (decode(answer.bytes, taken)) on_taken(state, claim->name, taken);
  } else if (const auto* done = std::get_if<queue::Acknowledge>(&op)) {
    auto& one = queues_[done->name];
    if (one.promised[done->item].token != done->lease) {
      return fail(fmt::format("item {} is acknowledged with lease {}", done->item, done->lease));
    }
    if (one.alive.erase(done->item) == 0) {
      return fail(fmt::format("item {} is acknowledged twice", done->item));
    }
    one.promised.erase(done->item);
  } else if (const auto* renew = std::get_if<queue::Renew>(&op)) {
    auto& promised = queues_[renew->name].promised[renew->item];
    if (promised.token != renew->lease) {
      return fail(fmt::format("lease {} of item {} is renewed", renew->lease, renew->item));
    }
    promised.until = state.service_ms() + renew->for_ms;
  }
}

void Recipes::on_taken(const core::StateMachine& state, const std::string& name,
                       const queue::Taken& taken) {
  if (taken.item == 0) return;
  auto& one = queues_[name];
  if (!one.alive.contains(taken.item)) {
    return fail(fmt::format("item {} is given out, and was acknowledged", taken.item));
  }
  const auto before = one.promised.find(taken.item);
  if (before != one.promised.end() && before->second.until > state.service_ms()) {
    return fail(fmt::format("item {} has two holders at {}", taken.item, state.applied()));
  }
  if (before != one.promised.end() && before->second.token >= taken.lease) {
    return fail(fmt::format("lease {} after {}", taken.lease, before->second.token));
  }
  const auto record = state.tree().value_of(
      fmt::format("{}/{}/leased/{}", kQueues, name, recipes::padded(taken.item)));
  one.promised[taken.item] = {taken.lease, recipes::number_of(record.view(), "until")};
}

void Recipes::check_places(const core::StateMachine& state, const std::string& name,
                           const Queue& one) {
  const auto& tree = state.tree();
  const auto top = fmt::format("{}/{}", kQueues, name);
  const auto count = [&](std::string_view part) {
    return recipes::child_count(tree, fmt::format("{}/{}", top, part));
  };
  if (count("items") != one.alive.size()) {
    return fail(
        fmt::format("{} items of {} at {}", count("items"), one.alive.size(), state.applied()));
  }
  if (count("ready") + count("leased") + count("dead") != one.alive.size()) {
    return fail(fmt::format("an item of {} has no place at {}", name, state.applied()));
  }
  if (count("ready") == 0) return;
  for (const auto& ticket : names_of(tree, top + "/takers")) {
    const auto record = tree.value_of(fmt::format("{}/takers/{}", top, ticket));
    if (recipes::field_of(record.view(), "item").empty()) {
      return fail(fmt::format("{} waits in vain at {}", ticket, state.applied()));
    }
  }
}

// ---------------------------------------------------------------- barriers

void Recipes::check_barriers(const core::StateMachine& state) {
  const recipes::Look look{state.tree(), state.sessions(), state.applied(), state.service_ms(),
                           recipes::service_identities()};
  for (const auto& name : names_of(state.tree(), "/.coord/barriers")) {
    barrier::View view;
    const auto answer = recipes::view(recipes::Kind::barrier, encode(barrier::Get{name}), look);
    if (!decode(answer.bytes, view)) return fail("a barrier is not shown");
    std::uint32_t waiting = 0;
    bool is_on = false;
    std::map<std::uint64_t, std::uint32_t> begun;
    for (const auto& one : view.participants) {
      waiting += one.state == barrier::State::waiting ? 1U : 0U;
      is_on |= one.state == barrier::State::released;
      if (one.round == state.applied().value()) ++begun[one.round];
      if (one.round != 0) rounds_[one.round].insert(one.ticket);
      if (rounds_[one.round].size() > view.count && one.round != 0) {
        return fail(fmt::format("round {} of {} is too large", one.round, name));
      }
    }
    for (const auto& [round, size] : begun) {
      if (size != view.count) return fail(fmt::format("round {} is of {}", round, size));
    }
    if (!is_on && waiting >= view.count) {
      return fail(fmt::format("{} wait in vain at {}", waiting, state.applied()));
    }
  }
}

// ---------------------------------------------------------------- counters, decisions, votes

void Recipes::check_counter(const recipes::Answer& answer) {
  counter::Value value;
  if (!decode(answer.bytes, value)) return fail("a counter does not tell its value");
  if (value.before != counted_) {
    return fail(fmt::format("the counter goes on from {}, it was {}", value.before, counted_));
  }
  counted_ = value.after;
}

void Recipes::check_decision(const std::string& bytes, bool is_write) {
  decision::Decided decided;
  if (!decode(bytes, decided)) return fail("a decision does not tell its value");
  if (!is_decided_ && is_write) {
    is_decided_ = true;
    decided_ = decided.value;
  }
  if (!is_decided_ || decided.value != decided_) {
    fail(fmt::format("{} was decided, and {} is told", decided_, decided.value));
  }
}

void Recipes::check_transaction(const std::string& bytes) {
  transaction::View view;
  if (!decode(bytes, view)) return fail("a transaction does not tell its state");
  auto& known = transactions_[view.id];
  if (view.state == transaction::State::preparing) return;
  const bool was_told = known.told != transaction::State::preparing;
  if (was_told && known.told != view.state) {
    return fail(fmt::format("transaction {} has two outcomes", view.id));
  }
  known.told = view.state;
  if (view.state != transaction::State::committed) return;
  for (const auto& vote : view.votes) {
    if (vote.ballot == transaction::Ballot::yes) continue;
    return fail(fmt::format("transaction {} is committed without {}", view.id, vote.participant));
  }
}

void Recipes::check_reply(const core::Request& request, const core::Reply& reply) {
  const auto* query = std::get_if<core::RecipeQuery>(&request.op);
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  if (query == nullptr || result == nullptr || reply.code != Code::ok) return;
  if (query->kind == recipes::Kind::decision) check_decision(result->answer.bytes, false);
  if (query->kind == recipes::Kind::transaction) check_transaction(result->answer.bytes);
}

}  // namespace coord::sim
