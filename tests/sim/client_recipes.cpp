// What a client asks of queues, barriers, decisions, transactions and counters.
#include <fmt/format.h>

#include <utility>

#include "coord/recipes/barrier.hpp"
#include "coord/recipes/counter.hpp"
#include "coord/recipes/decision.hpp"
#include "coord/recipes/queue_codec.hpp"
#include "coord/recipes/transaction.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace barrier = recipes::barrier;
namespace counter = recipes::counter;
namespace decision = recipes::decision;
namespace queue = recipes::queue;
namespace transaction = recipes::transaction;

constexpr std::size_t kBegunMax = 20;
const std::vector<std::string> kParticipants{"a", "b", "c"};

core::RecipeStep step_of(recipes::Kind kind, std::string bytes) {
  return {kind, std::move(bytes), {}};
}

}  // namespace

core::Operation Client::draw_queue() {
  const auto kind = recipes::Kind::queue;
  const auto dice = world_.prng().below(100);
  if (dice < 35) return step_of(kind, encode(queue::Put{"q", unique_value().str(), ""}));
  if (dice < 60 || work_.empty()) {
    const auto lease_ms = world_.between(queue::kLeaseMsMin, 2'000);
    return step_of(kind, encode(queue::Take{"q", lease_ms, session_ && world_.chance(40)}));
  }
  auto at = work_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(world_.prng().below(work_.size())));
  const auto [item, lease] = *at;
  if (dice < 70) {
    return step_of(kind, encode(queue::Renew{"q", item, lease, world_.between(0, 1'000)}));
  }
  work_.erase(at);
  return step_of(kind, encode(queue::Acknowledge{"q", item, lease}));
}

core::Operation Client::draw_transaction() {
  const auto kind = recipes::Kind::transaction;
  if (begun_.empty() || world_.chance(10)) {
    return step_of(kind, encode(transaction::Begin{kParticipants, world_.between(200, 5'000)}));
  }
  const auto id = begun_[static_cast<std::size_t>(world_.prng().below(begun_.size()))];
  if (world_.chance(30)) return core::RecipeQuery{kind, encode(transaction::Get{id})};
  if (world_.chance(5)) return step_of(kind, encode(transaction::Abort{id}));
  const auto& who = kParticipants[static_cast<std::size_t>(world_.prng().below(3))];
  return step_of(kind, encode(transaction::Vote{id, who, !world_.chance(10)}));
}

core::Operation Client::draw_barrier() {
  const auto kind = recipes::Kind::barrier;
  if (world_.chance(60)) return step_of(kind, encode(barrier::Enter{"b", 2}));
  return step_of(kind, encode(barrier::Leave{"b", 0, world_.chance(70)}));
}

bool Client::ask_of_recipes() {
  if (!world_.plan().with_locks || !world_.chance(40)) return false;
  core::Request request;
  request.identities = {{"ip", fmt::format("10.0.0.{}", number_)}};
  if (session_ && world_.chance(80)) request.session = session_;
  const auto dice = world_.prng().below(100);
  if (!turn_.empty() && dice < 30) {  // Of a take that waits: has its turn come?
    request.op = step_of(recipes::Kind::queue, world_.chance(90) ? turn_.poll : turn_.give_up);
    request.session = turn_.session;
    turn_ = {};
  } else if (dice < 60) {
    request.op = draw_queue();
  } else if (dice < 75) {
    request.op = draw_transaction();
  } else if (dice < 85 && request.session) {
    request.op = draw_barrier();
  } else if (dice < 92) {
    request.op = step_of(recipes::Kind::counter, encode(counter::Add{"c", world_.between(-5, 9)}));
  } else if (world_.chance(50)) {
    request.op = step_of(recipes::Kind::decision,
                         encode(decision::Propose{"d", unique_value().str(), "", ""}));
  } else {
    request.op = core::RecipeQuery{recipes::Kind::decision, encode(decision::Get{"d"})};
    if (world_.chance(50)) request.consistency = core::Consistency::local;
  }
  if (core::is_write(request.op) && world_.chance(50)) {
    request.idempotency_key = fmt::format("k{}", last_token_ + 1);
  }
  ask(std::move(request));
  return true;
}

void Client::on_recipe_reply(const core::Request& request, const core::Reply& reply) {
  world_.checker().check_recipe_reply(request, reply);
  const auto* step = std::get_if<core::RecipeStep>(&request.op);
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  if (step == nullptr || result == nullptr || reply.code != Code::ok) return;
  const auto& answer = result->answer;
  if (step->kind == recipes::Kind::transaction) {
    transaction::View view;
    const bool is_new = decode(answer.bytes, view) && view.id == reply.revision.value();
    if (is_new && begun_.size() < kBegunMax) begun_.push_back(view.id);
    if (is_new && begun_.size() == kBegunMax) begun_.erase(begun_.begin());
    return;
  }
  if (step->kind != recipes::Kind::queue) return;
  queue::Taken taken;
  const auto op = queue::decode_op(step->bytes);
  const bool is_take =
      std::holds_alternative<queue::Take>(op) || std::holds_alternative<queue::Claim>(op);
  if (!is_take || !decode(answer.bytes, taken)) return;
  if (answer.is_waiting && request.session) {
    turn_ = {answer.poll, answer.give_up, *request.session};
  }
  if (taken.item == 0) return;
  world_.count(Count::item_taken);
  work_[taken.item] = taken.lease;
}

}  // namespace coord::sim
