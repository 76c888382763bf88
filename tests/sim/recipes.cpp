#include "tests/sim/recipes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/recipes/service_codec.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

constexpr int kRecipes = 19;  // Their number in what World::fail() is told.
constexpr std::size_t kTransactionsMax = 4;
// The copy has no store: what it would write there is thrown away, now and then.
constexpr std::uint64_t kForgetEvery = 256;

}  // namespace

std::optional<RecipeAsk> recipe_ask(const core::Operation& op) {
  if (const auto* step = std::get_if<core::RecipeStep>(&op)) {
    return RecipeAsk{step->kind, step->bytes, true};
  }
  if (const auto* query = std::get_if<core::RecipeQuery>(&op)) {
    return RecipeAsk{query->kind, query->bytes, false};
  }
  return std::nullopt;
}

Recipes::Recipes(World& world, const core::StateLimits& limits) : world_(world), state_(limits) {
  for (std::uint8_t kind = 1; kind <= recipes::kKindLast; ++kind) {
    const auto one = static_cast<recipes::Kind>(kind);
    judges_.emplace(one, make_judge(one));
  }
}

RecipeJudge& Recipes::judge_of(recipes::Kind kind) const { return *judges_.at(kind); }

recipes::Kind Recipes::kind_of(const core::Fence& fence) {
  return fence.kind == core::Fence::Kind::lock ? recipes::Kind::lock : recipes::Kind::election;
}

void Recipes::fail(recipes::Kind kind, const std::string& wrong) const {
  if (wrong.empty()) return;
  world_.fail(kRecipes,
              fmt::format("{} at {}: {}", recipes::directory_of(kind), state_.applied(), wrong));
}

// ---------------------------------------------------------------- entries

bool Recipes::holds(const std::vector<core::Fence>& fences) const {
  return std::all_of(fences.begin(), fences.end(), [this](const core::Fence& fence) {
    return judge_of(kind_of(fence)).holds(fence.name, fence.token);
  });
}

void Recipes::on_fenced_write(const core::Fence& fence) {
  const auto kind = kind_of(fence);
  fail(kind, judge_of(kind).fenced_write(fence.name, fence.token));
}

const core::Applied& Recipes::apply(const election::LogEntry& entry, const core::Command* command) {
  applied_ = state_.apply(entry);
  if (state_.applied().value() % kForgetEvery == 0) static_cast<void>(state_.take_checkpoint());
  if (command == nullptr) return applied_;
  RecipeEntry one;
  one.zxid = state_.applied();
  one.service_ms = state_.service_ms();
  one.is_live = [this](SessionId id) { return state_.sessions().find(id) != nullptr; };
  const auto* step = std::get_if<core::RecipeStep>(&command->op);
  const auto* result = std::get_if<core::RecipeResult>(&applied_.outcome.result);
  if (step != nullptr && result != nullptr && !applied_.outcome.was_applied_before) {
    const bool brings = !command->session && step->own_session;
    one.act = {step->kind, step->bytes, brings ? SessionId(one.zxid.value()) : command->session,
               &result->answer};
  }
  judge(one);
  return applied_;
}

Recipes::Touched Recipes::touched() const {
  Touched touched;
  if (applied_.batch == nullptr) return touched;
  for (const auto& change : applied_.batch->changes) {
    const auto place = recipes::place_of(change.path);
    if (place) touched.emplace(place->kind, place->name);
  }
  return touched;
}

void Recipes::judge(const RecipeEntry& entry) {
  for (const auto& [kind, name] : touched()) {
    fail(kind, judge_of(kind).change(entry, name, read_recipe(state_.tree(), kind, name)));
  }
  check_woken();
  if (entry.act) {
    fail(entry.act->kind, judge_of(entry.act->kind).answered(entry));
    note_waiting(*entry.act);
  }
  for (const auto& [kind, judge] : judges_) {
    for (const auto what : judge->take_counts()) world_.count(what);
  }
}

recipes::Look Recipes::look() const {
  return {state_.tree(), state_.sessions(), state_.applied(), state_.service_ms(),
          recipes::service_identities()};
}

// A request that waits watches a node: then that must change when the waiting is over.
void Recipes::note_waiting(const RecipeAct& act) {
  const auto& answer = *act.answer;
  if (!answer.is_waiting) return;
  if (!state_.tree().get(answer.watch)) {
    return fail(act.kind, fmt::format("one waits for {}, which is not there", answer.watch));
  }
  if (!answer.poll_is_step && !recipes::view(act.kind, answer.poll, look()).is_waiting) {
    return fail(act.kind, fmt::format("one is told to wait for {}, and has it", answer.watch));
  }
  waits_[answer.watch] = {act.kind, answer.poll_is_step ? std::string() : answer.poll};
}

void Recipes::check_woken() {
  if (applied_.batch == nullptr) return;
  const auto kinds = touched();
  const auto& changes = applied_.batch->changes;
  for (auto at = waits_.begin(); at != waits_.end();) {
    const auto& [watch, wait] = *at++;
    const auto place = recipes::place_of(watch);
    if (!kinds.contains({place->kind, std::string(place->name)})) continue;
    const bool is_woken = std::any_of(changes.begin(), changes.end(),
                                      [&](const auto& change) { return change.path == watch; });
    const bool is_step = wait.poll.empty();
    if (is_step ? !is_woken : recipes::view(wait.kind, wait.poll, look()).is_waiting) continue;
    if (!is_woken) fail(wait.kind, fmt::format("who waits for {} is not woken", watch));
    world_.count(Count::woken);
    waits_.erase(std::prev(at));
  }
}

SessionId Recipes::session_of(const core::RecipeRenew& renew) const {
  recipes::service::Heartbeat beat;
  recipes::service::Register again;
  if (recipes::service::decode(renew.bytes, again)) {
    beat = {again.service, again.instance};
  } else if (!recipes::service::decode(renew.bytes, beat)) {
    return {};
  }
  const auto top = recipes::path_of(recipes::Kind::service, beat.service);
  const auto node = state_.tree().get(fmt::format("{}/{}", top, beat.instance));
  return node ? node->stat.ephemeral_owner : SessionId();
}

// ---------------------------------------------------------------- clients

void Recipes::note_asked(recipes::Kind kind, const RecipeOp& op) { judge_of(kind).note_asked(op); }

void Recipes::check_told(std::uint64_t client, const core::Request& request,
                         const core::Reply& reply) {
  const auto* result = std::get_if<core::RecipeResult>(&reply.result);
  const auto ask = recipe_ask(request.op);
  if (result == nullptr || !ask) return;
  const auto kind = ask->kind;
  const RecipeTold told{client, ask->is_step, ask->bytes, reply.revision, &result->answer};
  fail(kind, judge_of(kind).told(told));
  recipes::transaction::View view;
  const bool is_begun =
      kind == recipes::Kind::transaction &&
      recipes::transaction::decode(told.answer->bytes, view) &&
      std::find(transactions_.begin(), transactions_.end(), view.id) == transactions_.end();
  if (!is_begun) return;
  if (transactions_.size() == kTransactionsMax) transactions_.erase(transactions_.begin());
  transactions_.push_back(view.id);
}

// ---------------------------------------------------------------- quiet points

void Recipes::check_overdue(std::int64_t late_ms_max) const {
  for (const auto& [kind, judge] : judges_) {
    fail(kind, judge->overdue(state_.service_ms() - late_ms_max));
  }
}

void Recipes::check_end() const {
  for (const auto& [kind, judge] : judges_) fail(kind, judge->at_end());
}

}  // namespace coord::sim
