// Random sequences of lock operations against a model that knows only lists.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "coord/recipes/lock.hpp"
#include "recipe_harness.hpp"

namespace coord::recipes::lock {
namespace {

struct ModelTicket {
  SessionId session;
  std::string owner;
  Mode mode = Mode::exclusive;
  std::uint32_t take = 1;
  std::uint32_t count = 1;
  bool is_held = false;
  std::uint64_t token = 0;
};

struct ModelLock {
  std::uint32_t permits = 0;
  std::vector<ModelTicket> tickets;

  // Gives the lock to those at the front who may have it. Returns how many got it.
  int settle() {
    int granted = 0;
    std::uint32_t taken = 0;
    bool is_exclusive = false;
    bool is_any = false;
    for (auto& ticket : tickets) {
      const bool fits = ticket.mode == Mode::permits
                            ? taken + ticket.take <= permits
                            : !is_any || (!is_exclusive && ticket.mode == Mode::shared);
      if (!ticket.is_held && !fits) break;
      if (!ticket.is_held) ++granted;
      ticket.is_held = is_any = true;
      taken += ticket.take;
      is_exclusive = ticket.mode == Mode::exclusive;
    }
    return granted;
  }
};

using Model = std::map<std::string, ModelLock>;

// Would the last ticket of `name` ever get its turn, if everybody who waits for nothing lets go?
bool is_stuck(Model model, const std::string& name) {
  const auto wanted = model[name].tickets.back();
  const auto same = [](const ModelTicket& a, const ModelTicket& b) {
    return a.session == b.session && a.owner == b.owner;
  };
  while (true) {
    bool has_changed = false;
    for (auto& [one, lock] : model) has_changed = lock.settle() > 0 || has_changed;
    for (const auto& ticket : model[name].tickets) {
      if (same(ticket, wanted) && ticket.is_held) return false;
    }
    for (auto& [one, lock] : model) {
      std::erase_if(lock.tickets, [&](const ModelTicket& ticket) {
        bool waits = false;
        for (const auto& [other, others] : model) {
          for (const auto& t : others.tickets) waits = waits || (same(t, ticket) && !t.is_held);
        }
        has_changed = has_changed || !waits;
        return !waits;
      });
    }
    if (!has_changed) return true;
  }
}

struct World : Bench {
  Model model;
  std::vector<SessionId> sessions;
  std::map<std::string, std::uint64_t> highest;

  void acquire(SessionId session, const std::string& name, Mode mode, std::uint32_t take, Wait wait,
               const std::string& owner) {
    Acquire op;
    op.name = name;
    op.mode = mode;
    op.permits = mode == Mode::permits ? 3 : 0;
    op.take = mode == Mode::permits ? take : 1;
    op.wait = wait;
    op.owner = owner;
    const auto answer = Bench::run(Kind::lock, encode(op), session);
    auto& lock = model[name];
    for (auto& ticket : lock.tickets) {
      if (ticket.session != session || ticket.owner != owner) continue;
      if (answer.code == Code::ok && ticket.is_held) ++ticket.count;
      RC_ASSERT(answer.code == Code::ok || answer.code == Code::lock_held ||
                answer.code == Code::permits_mismatch || answer.code == Code::deadlock ||
                answer.code == Code::invalid);
      return;
    }
    if (!lock.tickets.empty() && lock.permits != op.permits) {
      RC_ASSERT(answer.code == Code::permits_mismatch);
      return;
    }
    auto after = model;
    after[name].permits = op.permits;
    after[name].tickets.push_back({session, owner, mode, op.take, 1, false, 0});
    after[name].settle();
    const bool is_held = after[name].tickets.back().is_held;
    if (!is_held && wait == Wait::none) {
      RC_ASSERT(answer.code == Code::lock_held);
      return;
    }
    if (!is_held && is_stuck(after, name)) {
      RC_ASSERT(answer.code == Code::deadlock);
      return;
    }
    RC_ASSERT(answer.code == Code::ok);
    RC_ASSERT(answer.is_waiting == !is_held);
    model = std::move(after);
  }

  void release(SessionId session, const std::string& name, const std::string& owner) {
    const auto answer = Bench::run(Kind::lock, encode(Release{name, "", owner, false}), session);
    auto& tickets = model[name].tickets;
    const auto mine = std::find_if(tickets.begin(), tickets.end(), [&](const auto& t) {
      return t.session == session && t.owner == owner;
    });
    if (mine == tickets.end()) {
      RC_ASSERT(answer.code == Code::not_found);
      return;
    }
    RC_ASSERT(answer.code == Code::ok);
    if (mine->count > 1) {
      --mine->count;
      return;
    }
    tickets.erase(mine);
    model[name].settle();
  }

  void end_session(std::size_t at) {
    end(sessions[at]);
    for (auto& [name, lock] : model) {
      std::erase_if(lock.tickets, [&](const auto& t) { return t.session == sessions[at]; });
      lock.settle();
    }
    sessions[at] = open();
  }

  // The lock's nodes are what the model says: the same holders, the same queue in the same order.
  void compare() {
    for (auto& [name, lock] : model) {
      const auto answer = view(Kind::lock, encode(Show{name}));
      LockAnswer shown;
      if (answer.code == Code::not_found) {
        RC_ASSERT(lock.tickets.empty());
        continue;
      }
      RC_ASSERT(decode(answer.bytes, shown));
      auto all = shown.holders;
      all.insert(all.end(), shown.queue.begin(), shown.queue.end());
      RC_ASSERT(all.size() == lock.tickets.size());
      std::set<std::uint64_t> tokens;
      for (std::size_t i = 0; i < all.size(); ++i) {
        auto& ticket = lock.tickets[i];
        RC_ASSERT(all[i].session == ticket.session);
        RC_ASSERT(all[i].owner == ticket.owner);
        RC_ASSERT(all[i].mode == ticket.mode);
        RC_ASSERT(all[i].is_held == ticket.is_held);
        RC_ASSERT(all[i].count == ticket.count);
        if (!ticket.is_held) continue;
        RC_ASSERT(holds(look(), Kind::lock, name, all[i].token));
        RC_ASSERT(tokens.insert(all[i].token).second);
        if (ticket.token == 0) {  // New: higher than all before.
          RC_ASSERT(all[i].token > highest[name]);
          highest[name] = all[i].token;
          ticket.token = all[i].token;
        }
        RC_ASSERT(all[i].token == ticket.token);
      }
      RC_ASSERT(shown.token == highest[name]);
    }
  }
};

// Three words decide an operation.
void act(World& world, std::uint32_t what, std::uint32_t who, std::uint32_t how) {
  const auto at = who % world.sessions.size();
  const auto session = world.sessions[at];
  const std::string name = std::array{"a", "b", "c"}[(who / 8) % 3];
  const std::string owner = (who / 32) % 4 == 0 ? "x" : "";
  if (what % 16 == 0) return world.end_session(at);
  if (what % 16 < 6) return world.release(session, name, owner);
  const auto mode = name == "c" ? Mode::permits : how % 3 == 0 ? Mode::shared : Mode::exclusive;
  const auto wait = std::array{Wait::none, Wait::wait, Wait::queue, Wait::queue}[(how / 4) % 4];
  world.acquire(session, name, mode, 1 + how % 3, wait, owner);
}

RC_GTEST_PROP(LockProperty, RandomOperationsDoWhatAListOfTicketsDoes, ()) {
  const auto word = rc::gen::inRange<std::uint32_t>(0, 1U << 16);
  const auto words =
      *rc::gen::container<std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>>>(
          rc::gen::tuple(word, word, word));
  World world;
  for (int i = 0; i < 5; ++i) world.sessions.push_back(world.open());
  for (const auto& [what, who, how] : words) {
    act(world, what, who, how);
    world.compare();
  }
}

// Longer runs than the ones that shrink well.
TEST(LockProperty, ALongRunKeepsOrderPermitsAndTokens) {
  rc::check([] {
    World world;
    for (int i = 0; i < 7; ++i) world.sessions.push_back(world.open());
    for (int i = 0; i < 300; ++i) {
      const auto word = rc::gen::inRange<std::uint32_t>(0, 1U << 16);
      const auto what = *word;
      const auto who = *word;
      act(world, what, who, *word);
      world.compare();
    }
  });
}

}  // namespace
}  // namespace coord::recipes::lock
