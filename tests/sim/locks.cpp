#include "tests/sim/locks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "coord/recipes/recipe.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace lock = recipes::lock;

constexpr int kLocks = 19;  // Their number in what World::fail() is told.

bool fits(lock::Mode mode, std::uint64_t take, bool is_any, bool is_shared, std::uint64_t taken,
          std::uint32_t permits) {
  if (mode == lock::Mode::permits) return taken + take <= permits;
  return !is_any || (is_shared && mode == lock::Mode::shared);
}

}  // namespace

Locks::Locks(World& world, const core::StateLimits& limits) : world_(world), state_(limits) {}

bool Locks::holds(const std::vector<core::Fence>& fences) const {
  return std::all_of(fences.begin(), fences.end(), [this](const core::Fence& fence) {
    const auto at = locks_.find(fence.name);
    if (fence.kind != core::Fence::Kind::lock || at == locks_.end()) return false;
    return std::any_of(at->second.tickets.begin(), at->second.tickets.end(),
                       [&](const auto& t) { return t.is_held && t.token == fence.token; });
  });
}

const core::Applied& Locks::apply(const election::LogEntry& entry) {
  applied_ = state_.apply(entry);
  auto now = read();
  for (const auto& [name, one] : now) check(name, one);
  check_no_circle(now);
  locks_ = std::move(now);
  return applied_;
}

// The views of the service, read anew after each entry.
std::map<std::string, Locks::Lock> Locks::read() const {
  const recipes::Look look{state_.tree(), state_.sessions(), state_.applied(), state_.service_ms(),
                           recipes::service_identities()};
  std::map<std::string, Lock> all;
  state_.tree().children("/.coord/locks", {}, {}, [&](std::string_view name, const znode::View&) {
    lock::LockAnswer shown;
    const auto answer =
        recipes::view(recipes::Kind::lock, lock::encode(lock::Show{std::string(name)}), look);
    COORD_CHECK(lock::decode(answer.bytes, shown), "a lock that is there is shown", name);
    auto& one = all[std::string(name)];
    one.permits = shown.permits;
    one.is_delayed = state_.tree().get(fmt::format("/.coord/locks/{}/delay", name)).has_value();
    one.tickets = std::move(shown.holders);
    one.tickets.insert(one.tickets.end(), shown.queue.begin(), shown.queue.end());
    return true;
  });
  return all;
}

void Locks::check(const std::string& name, const Lock& one) {
  bool is_any = false;
  bool is_shared = true;
  std::uint64_t taken = 0;
  bool has_waiter = false;
  std::string before;
  for (const auto& ticket : one.tickets) {
    if (ticket.id <= before) return world_.fail(kLocks, fmt::format("{} is out of order", name));
    before = ticket.id;
    if (state_.sessions().find(ticket.session) == nullptr) {
      return world_.fail(kLocks, fmt::format("{} is left of session {}", name, ticket.session));
    }
    const bool may = fits(ticket.mode, ticket.take, is_any, is_shared, taken, one.permits);
    if (!ticket.is_held) {
      if (!has_waiter && may && !one.is_delayed) {
        return world_.fail(kLocks, fmt::format("{} forgets {} of session {} at {}", name, ticket.id,
                                               ticket.session, state_.applied()));
      }
      has_waiter = true;
      continue;
    }
    if (has_waiter) return world_.fail(kLocks, fmt::format("{} is given out of turn", name));
    if (!may) return world_.fail(kLocks, fmt::format("{} has too many holders", name));
    is_any = true;
    is_shared = ticket.mode == lock::Mode::shared;
    taken += ticket.take;
  }
  check_tokens(name, one);
}

void Locks::check_tokens(const std::string& name, const Lock& one) {
  std::set<std::uint64_t> tokens;
  for (const auto& ticket : one.tickets) {
    if (!ticket.is_held) continue;
    if (!tokens.insert(ticket.token).second) {
      return world_.fail(kLocks, fmt::format("two hold {} with token {}", name, ticket.token));
    }
    const auto [at, is_new] = known_.try_emplace(name + "/" + ticket.id, ticket.token);
    auto& highest = highest_[name];
    if (is_new && ticket.token <= highest) {
      return world_.fail(kLocks,
                         fmt::format("token {} of {} after {}", ticket.token, name, highest));
    }
    if (at->second != ticket.token) {
      return world_.fail(kLocks, fmt::format("ticket {} has another token", ticket.id));
    }
    highest = std::max(highest, ticket.token);
  }
}

void Locks::on_fenced_write(const core::Fence& fence) {
  const auto at = locks_.find(fence.name);
  if (at == locks_.end() || at->second.tickets.empty()) return;
  if (at->second.tickets.front().mode != lock::Mode::exclusive) return;
  auto& last = written_[fence.name];
  if (fence.token < last) {
    world_.fail(kLocks, fmt::format("a write with token {} of {} after one with {}", fence.token,
                                    fence.name, last));
  }
  last = fence.token;
}

bool Locks::grant_next(Lock& one) {
  bool has_changed = false;
  bool is_any = false;
  bool is_shared = true;
  std::uint64_t taken = 0;
  for (auto& ticket : one.tickets) {
    if (!ticket.is_held) {
      if (!fits(ticket.mode, ticket.take, is_any, is_shared, taken, one.permits)) break;
      ticket.is_held = has_changed = true;
    }
    is_any = true;
    is_shared = ticket.mode == lock::Mode::shared;
    taken += ticket.take;
  }
  return has_changed;
}

// Whoever waits for nothing lets go, again and again: then nobody is left.
void Locks::check_no_circle(std::map<std::string, Lock> locks) const {
  bool has_changed = true;
  while (has_changed) {
    has_changed = false;
    std::set<Actor> waiting;
    for (auto& [name, one] : locks) {
      has_changed = grant_next(one) || has_changed;
      for (const auto& ticket : one.tickets) {
        if (!ticket.is_held) waiting.emplace(ticket.session, ticket.owner);
      }
    }
    for (auto& [name, one] : locks) {
      const auto gone = std::erase_if(one.tickets, [&](const auto& ticket) {
        return !waiting.contains({ticket.session, ticket.owner});
      });
      has_changed = has_changed || gone > 0;
    }
  }
  for (const auto& [name, one] : locks) {
    if (one.tickets.empty()) continue;
    return world_.fail(kLocks, fmt::format("a deadlock at {} over {}", state_.applied(), name));
  }
}

void Locks::check_free() const {
  for (const auto& [name, one] : locks_) {
    if (one.tickets.empty()) continue;
    return world_.fail(kLocks, fmt::format("{} is never free again", name));
  }
}

}  // namespace coord::sim
