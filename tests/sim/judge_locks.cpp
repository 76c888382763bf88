// Locks: never two holders of an exclusive one, permits never exceeded, tokens only grow and nobody
// has another's, first come first served, nobody waits whose turn it is, nobody waits in a circle,
// and who is told of a circle would have closed one.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "coord/recipes/lock_codec.hpp"
#include "coord/recipes/lock_nodes.hpp"
#include "coord/recipes/record.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace lock = recipes::lock;

using Actor = std::pair<SessionId, std::string>;

struct Ticket {
  std::string id;
  lock::Mode mode = lock::Mode::exclusive;
  SessionId session;
  std::string owner;
  std::uint64_t take = 1;
  bool is_held = false;
  std::uint64_t token = 0;
};
struct Lock {
  std::uint32_t permits = 0;
  std::optional<std::int64_t> delayed_until;  // A lock-delay runs.
  std::vector<Ticket> tickets;                // In the order of the queue.
};
using Locks = std::map<std::string, Lock>;

Lock read_lock(const RecipeNodes& nodes) {
  Lock one;
  for (const auto& [name, node] : nodes) {
    znode::View view;
    view.value = node.value;
    if (name.empty()) {
      one.permits = lock::lock_of(view).permits;
      continue;
    }
    if (name == lock::kDelayName) {
      const recipes::RecordReader in(node.value);
      one.delayed_until = static_cast<std::int64_t>(in.number("until_ms"));
    }
    const auto mode = lock::mode_of(name);
    if (!mode) continue;
    const auto ticket = lock::ticket_of(view);
    one.tickets.push_back(
        {name, *mode, node.owner, ticket.owner, ticket.take, ticket.is_held, ticket.token});
  }
  return one;
}

// Those who hold a lock, taken one after the other.
struct Holding {
  bool is_any = false;
  bool is_shared = true;
  std::uint64_t taken = 0;
  [[nodiscard]] bool has_room(const Ticket& ticket, std::uint32_t permits) const {
    if (ticket.mode == lock::Mode::permits) return taken + ticket.take <= permits;
    return !is_any || (is_shared && ticket.mode == lock::Mode::shared);
  }
  void add(const Ticket& ticket) {
    is_any = true;
    is_shared = ticket.mode == lock::Mode::shared;
    taken += ticket.take;
  }
};

bool grant_next(Lock& one) {
  bool has_changed = false;
  Holding holding;
  for (auto& ticket : one.tickets) {
    if (!ticket.is_held) {
      if (!holding.has_room(ticket, one.permits)) break;
      ticket.is_held = has_changed = true;
    }
    holding.add(ticket);
  }
  return has_changed;
}

// Whoever waits for nothing lets go, again and again: a lock at which somebody is left then.
std::string find_circle(Locks locks) {
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
    if (!one.tickets.empty()) return name;
  }
  return {};
}

class LockJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    auto now = read_lock(nodes);
    if (auto wrong = check_order(entry, name, now); !wrong.empty()) return wrong;
    if (auto wrong = check_tokens(entry, name, now); !wrong.empty()) return wrong;
    locks_[name] = std::move(now);
    const auto at = find_circle(locks_);
    return at.empty() ? std::string() : fmt::format("a deadlock over {}", at);
  }

  std::string answered(const RecipeEntry& entry) override {
    lock::Acquire op;
    if (entry.act->answer->code != Code::deadlock || !lock::decode(entry.act->bytes, op)) return {};
    count(Count::deadlock);
    auto locks = locks_;
    auto& one = locks[op.name];
    if (one.tickets.empty()) one.permits = op.permits;
    one.tickets.push_back({"~", op.mode, entry.act->session, op.owner, op.take, false, 0});
    if (!find_circle(std::move(locks)).empty()) return {};
    return fmt::format("a deadlock is told that would be none, over {}", op.name);
  }

  std::string told(const RecipeTold& told) override {
    lock::TicketAnswer answer;
    lock::LockAnswer shown;
    if (lock::decode(told.answer->bytes, answer)) {
      if (told.is_ok()) answer.holders.push_back(answer.ticket);
      return check_told(told, answer.name, answer.holders);
    }
    if (lock::decode(told.answer->bytes, shown)) return check_told(told, shown.name, shown.holders);
    return {};
  }

  std::string overdue(std::int64_t service_ms) const override {
    for (const auto& [name, one] : locks_) {
      if (one.delayed_until && *one.delayed_until < service_ms) {
        return fmt::format("the lock-delay of {} does not end", name);
      }
    }
    return {};
  }

  std::string at_end() const override {
    for (const auto& [name, one] : locks_) {
      if (!one.tickets.empty()) return fmt::format("{} is never free again", name);
    }
    return {};
  }

  bool holds(const std::string& name, std::uint64_t token) const override {
    const auto at = locks_.find(name);
    if (at == locks_.end()) return false;
    return std::any_of(at->second.tickets.begin(), at->second.tickets.end(),
                       [&](const auto& t) { return t.is_held && t.token == token; });
  }

  std::string fenced_write(const std::string& name, std::uint64_t token) override {
    const auto at = locks_.find(name);
    if (at == locks_.end() || at->second.tickets.empty()) return {};
    if (at->second.tickets.front().mode != lock::Mode::exclusive) return {};
    const auto last = std::exchange(written_[name], token);
    if (token >= last) return {};
    return fmt::format("a write with token {} of {} after one with {}", token, name, last);
  }

 private:
  struct Grant {
    std::uint64_t token = 0;
    Span span;
  };

  static std::string check_order(const RecipeEntry& entry, const std::string& name,
                                 const Lock& one) {
    Holding holding;
    bool has_waiter = false;
    for (const auto& ticket : one.tickets) {
      if (!entry.is_live(ticket.session)) {
        return fmt::format("{} is left of session {}", name, ticket.session);
      }
      const bool may = holding.has_room(ticket, one.permits);
      if (!ticket.is_held) {
        if (!has_waiter && may && !one.delayed_until) {
          return fmt::format("{} forgets {} of session {}", name, ticket.id, ticket.session);
        }
        has_waiter = true;
        continue;
      }
      if (has_waiter) return fmt::format("{} is given out of turn", name);
      if (!may) return fmt::format("{} has too many holders", name);
      holding.add(ticket);
    }
    return {};
  }

  std::string check_tokens(const RecipeEntry& entry, const std::string& name, const Lock& one) {
    std::set<std::uint64_t> tokens;
    auto& highest = highest_[name];
    for (const auto& ticket : one.tickets) {
      if (!ticket.is_held) continue;
      if (!tokens.insert(ticket.token).second) {
        return fmt::format("two hold {} with token {}", name, ticket.token);
      }
      const auto [at, is_new] =
          grants_.try_emplace(name + "/" + ticket.id, Grant{ticket.token, {entry.zxid, {}}});
      if (is_new && ticket.token <= highest) {
        return fmt::format("token {} of {} after {}", ticket.token, name, highest);
      }
      if (at->second.token != ticket.token) {
        return fmt::format("ticket {} has another token", ticket.id);
      }
      highest = std::max(highest, ticket.token);
    }
    for (const auto& ticket : locks_[name].tickets) {
      if (!ticket.is_held || tokens.contains(ticket.token)) continue;
      grants_.at(name + "/" + ticket.id).span.until = entry.zxid;
    }
    return {};
  }

  std::string check_told(const RecipeTold& told, const std::string& name,
                         const std::vector<lock::Ticket>& holders) const {
    for (const auto& ticket : holders) {
      if (!ticket.is_held) continue;
      const auto at = grants_.find(name + "/" + ticket.id);
      if (at == grants_.end() || at->second.token != ticket.token ||
          !at->second.span.covers(told.revision)) {
        return fmt::format("{} is told to be held by {} with token {} at {}", name, ticket.id,
                           ticket.token, told.revision);
      }
    }
    return {};
  }

  Locks locks_;
  std::map<std::string, std::uint64_t> highest_;  // Also of locks whose nodes have gone.
  std::map<std::string, std::uint64_t> written_;  // The token of the last fenced write.
  std::map<std::string, Grant> grants_;           // Of each ticket that ever held.
};

}  // namespace

std::unique_ptr<RecipeJudge> make_lock_judge() { return std::make_unique<LockJudge>(); }

}  // namespace coord::sim
