#include "coord/recipes/lock_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "coord/recipes/lock_codec.hpp"

namespace coord::recipes::lock {
namespace {

// How much of the look for a way out may be done, in tickets looked at.
constexpr std::size_t kReductionStepsMax = 10 * kGraphTicketsMax;

using Actor = std::pair<SessionId, std::string>;  // A session, under an owner's name.

struct Waiter {
  std::string lock;
  std::string id;
  Mode mode = Mode::exclusive;
  Actor actor;
  std::size_t parent = 0;  // Who waits for this one.
};

bool conflict(Mode a, Mode b) noexcept { return !(a == Mode::shared && b == Mode::shared); }

// ---- the closure of all whom a new waiter waits for

class Search {
 public:
  Search(const znode::Tree& tree, Waiter start) : tree_(tree) {
    waiters_.push_back(std::move(start));
  }

  // Visits them; false if there are too many. Stops at a circle that no semaphore has part in.
  bool run();
  [[nodiscard]] bool has_circle() const noexcept { return end_.has_value(); }
  [[nodiscard]] bool is_sure() const noexcept { return is_sure_; }
  [[nodiscard]] CircleAnswer circle() const;
  // Would the first waiter never get its turn, though everybody else who can goes on and frees
  // what it has? None: it would take too long to tell.
  [[nodiscard]] std::optional<bool> is_stuck() const;
  // Does the actor have another ticket than the one that starts it all?
  [[nodiscard]] bool has_others() const;

 private:
  bool visit(std::size_t index);
  void add_waits_of(const Actor& actor, std::size_t parent);
  void close_at(std::size_t index);

  const znode::Tree& tree_;
  std::vector<Waiter> waiters_;
  std::set<Actor> seen_;
  // Of each lock: up to which ticket all were visited, and all but the shared ones.
  struct UpTo {
    std::string all;
    std::string exclusive;
  };
  std::map<std::string, UpTo, std::less<>> seen_up_to_;
  std::optional<std::size_t> end_;
  bool is_sure_ = false;
  std::size_t steps_ = 0;
};

// Calls `each` with the lock's name, the ticket's id and its node, for every ticket of the session.
void each_ticket_of(const znode::Tree& tree, SessionId session,
                    const std::function<void(std::string_view lock, std::string_view id,
                                             const znode::View& node)>& each) {
  for (const auto& path : tree.ephemerals_of(session)) {
    const auto place = place_of(path);
    if (!place || place->kind != Kind::lock || !mode_of(place->rest)) continue;
    const auto node = tree.get(path);
    if (node) each(place->name, place->rest, *node);
  }
}

bool Search::has_others() const {
  bool has = false;
  const auto& start = waiters_.front();
  each_ticket_of(tree_, start.actor.first,
                 [&](std::string_view lock, std::string_view id, const znode::View& node) {
                   const bool is_start = lock == start.lock && id == start.id;
                   if (!is_start && ticket_of(node).owner == start.actor.second) has = true;
                 });
  return has;
}

void Search::add_waits_of(const Actor& actor, std::size_t parent) {
  steps_ += tree_.ephemeral_count_of(actor.first);
  each_ticket_of(
      tree_, actor.first, [&](std::string_view lock, std::string_view id, const znode::View& node) {
        const auto ticket = ticket_of(node);
        if (ticket.is_held || ticket.owner != actor.second) return;
        waiters_.push_back({std::string(lock), std::string(id), *mode_of(id), actor, parent});
      });
}

// Who waits at `index` waits for the first: is a semaphore on the way?
void Search::close_at(std::size_t index) {
  if (is_sure_) return;
  bool is_sure = true;
  for (auto at = index;; at = waiters_[at].parent) {
    if (waiters_[at].mode == Mode::permits) is_sure = false;
    if (at == 0) break;
  }
  if (end_ && !is_sure) return;
  end_ = index;
  is_sure_ = is_sure;
}

bool Search::visit(std::size_t index) {
  const auto waiter = waiters_[index];  // A copy: the list grows.
  auto& up_to = seen_up_to_[waiter.lock];
  std::vector<Actor> ahead;
  const auto path = path_of(Kind::lock, waiter.lock);
  const bool is_shared = waiter.mode == Mode::shared;
  const auto after = is_shared ? std::max(up_to.all, up_to.exclusive) : up_to.all;
  each_ticket(tree_, path, after, [&](std::string_view id, const znode::View& node) {
    if (id >= waiter.id) return false;
    ++steps_;
    if (conflict(waiter.mode, *mode_of(id))) {
      ahead.emplace_back(node.stat.ephemeral_owner, ticket_of(node).owner);
    }
    return steps_ <= kGraphTicketsMax;
  });
  auto& reached = is_shared ? up_to.exclusive : up_to.all;
  reached = std::max(reached, waiter.id);
  for (const auto& actor : ahead) {
    if (actor == waiters_.front().actor) {
      close_at(index);
    } else if (seen_.insert(actor).second) {
      add_waits_of(actor, index);
    }
  }
  return steps_ <= kGraphTicketsMax;
}

bool Search::run() {
  const auto start = waiters_.front();
  std::size_t next = 0;
  for (; next < waiters_.size() && !is_sure_; ++next) {
    if (!visit(next)) return false;
  }
  if (!end_ || is_sure_) return true;
  // Whether there is a way out depends also on what else the first one waits for.
  add_waits_of(start.actor, 0);
  const auto added = waiters_.begin() + static_cast<std::ptrdiff_t>(next);
  waiters_.erase(std::remove_if(added, waiters_.end(),
                                [&](const Waiter& waiter) {
                                  return waiter.lock == start.lock && waiter.id == start.id;
                                }),
                 waiters_.end());
  for (; next < waiters_.size(); ++next) {
    if (!visit(next)) return false;
  }
  return true;
}

CircleAnswer Search::circle() const {
  CircleAnswer answer;
  for (auto at = *end_;; at = waiters_[at].parent) {
    const auto& waiter = waiters_[at];
    answer.members.push_back({waiter.actor.first, waiter.actor.second, waiter.lock, waiter.id});
    if (at == 0) break;
  }
  std::reverse(answer.members.begin(), answer.members.end());
  return answer;
}

// ---- is there a way out, though there is a circle?

struct QueuedTicket {
  Actor actor;
  std::string id;
  Mode mode = Mode::exclusive;
  std::uint32_t take = 1;
  bool is_held = false;
  bool is_gone = false;
};
struct Queue {
  LockNode lock;
  std::vector<QueuedTicket> tickets;
};

// Those who wait for nothing go on and free what they have; that grants others, and so on.
class Reduction {
 public:
  Reduction(const znode::Tree& tree, const std::vector<Waiter>& waiters);
  // None: too many steps.
  [[nodiscard]] std::optional<bool> is_stuck(const Waiter& waiter);

 private:
  bool grant(Queue& queue);
  bool free_those_who_run();

  std::map<std::string, Queue, std::less<>> queues_;
  std::map<Actor, std::size_t> waits_;  // For how many tickets each still waits.
  std::size_t steps_ = 0;
};

Reduction::Reduction(const znode::Tree& tree, const std::vector<Waiter>& waiters) {
  std::map<std::string, std::string, std::less<>> last;
  for (const auto& waiter : waiters) {
    ++waits_[waiter.actor];
    auto& id = last[waiter.lock];
    id = std::max(id, waiter.id);
  }
  for (const auto& [name, newest] : last) {
    const std::string_view id = newest;
    const auto path = path_of(Kind::lock, name);
    auto& queue = queues_[name];
    queue.lock = lock_of(*tree.get(path));
    each_ticket(tree, path, {}, [&](std::string_view ticket, const znode::View& node) {
      const auto value = ticket_of(node);
      queue.tickets.push_back({{node.stat.ephemeral_owner, value.owner},
                               std::string(ticket),
                               *mode_of(ticket),
                               value.take,
                               value.is_held,
                               false});
      return ticket < id;
    });
  }
}

bool Reduction::grant(Queue& queue) {
  bool has_changed = false;
  Holding holding;
  for (auto& ticket : queue.tickets) {
    ++steps_;
    if (ticket.is_gone) continue;
    if (!ticket.is_held) {
      if (!is_compatible(holding, queue.lock, ticket.mode, ticket.take)) break;
      ticket.is_held = has_changed = true;
      --waits_[ticket.actor];
    }
    if (holding.count == 0) holding.mode = ticket.mode;
    ++holding.count;
    holding.taken += ticket.take;
  }
  return has_changed;
}

bool Reduction::free_those_who_run() {
  bool has_changed = false;
  for (auto& [name, queue] : queues_) {
    for (auto& ticket : queue.tickets) {
      ++steps_;
      if (ticket.is_gone || !ticket.is_held || waits_[ticket.actor] > 0) continue;
      ticket.is_gone = has_changed = true;
    }
  }
  return has_changed;
}

std::optional<bool> Reduction::is_stuck(const Waiter& waiter) {
  bool has_changed = true;
  while (has_changed) {
    has_changed = free_those_who_run();
    for (auto& [name, queue] : queues_) has_changed = grant(queue) || has_changed;
    if (steps_ > kReductionStepsMax) return std::nullopt;
  }
  for (const auto& ticket : queues_[waiter.lock].tickets) {
    if (ticket.id == waiter.id) return !ticket.is_held;
  }
  return false;
}

std::optional<bool> Search::is_stuck() const {
  return Reduction(tree_, waiters_).is_stuck(waiters_.front());
}

Answer deadlock(const CircleAnswer& circle) {
  Answer answer;
  answer.code = Code::deadlock;
  std::string text = "waiting would close a circle:";
  const std::size_t most = 8;
  for (std::size_t i = 0; i < circle.members.size() && i < most; ++i) {
    const auto& member = circle.members[i];
    fmt::format_to(std::back_inserter(text), "{} session {}{} waits for {}", i == 0 ? "" : ",",
                   member.session, member.owner.empty() ? "" : fmt::format(" ({})", member.owner),
                   member.lock);
  }
  if (circle.members.size() > most) text += ", and so on";
  answer.detail = text;
  answer.bytes = encode(circle);
  return answer;
}

}  // namespace

Answer find_circle(const Step& step, std::string_view name, std::string_view ticket) {
  if (step.brings_session || step.tree.ephemeral_count_of(step.session) < 2) return {};
  const auto path = ticket_path(path_of(Kind::lock, name), ticket);
  const auto owner = ticket_of(*step.tree.get(path)).owner;
  Search search(step.tree, {std::string(name),
                            std::string(ticket),
                            mode_of(ticket).value_or(Mode::exclusive),
                            {step.session, owner},
                            0});
  if (!search.has_others()) return {};
  const auto too_large = [] {
    return refusal(Code::overloaded, "too many tickets would have to be searched for a deadlock");
  };
  if (!search.run()) return too_large();
  if (!search.has_circle()) return {};
  if (!search.is_sure()) {
    const auto stuck = search.is_stuck();
    if (!stuck) return too_large();
    if (!*stuck) return {};
  }
  return deadlock(search.circle());
}

Answer self_deadlock(SessionId session, std::string_view owner, std::string_view name,
                     std::string_view ticket) {
  CircleAnswer circle;
  circle.members.push_back({session, std::string(owner), std::string(name), std::string(ticket)});
  auto answer = deadlock(circle);
  answer.detail = fmt::format(
      "this session and owner hold {} shared: they would wait for "
      "themselves to have it exclusively",
      name);
  return answer;
}

std::uint64_t position_of(const znode::Tree& tree, std::string_view lock_path, const LockNode& lock,
                          std::string_view id) {
  if (id <= lock.granted) return 0;
  bool is_last = true;
  each_ticket(tree, lock_path, id, [&](std::string_view, const znode::View&) {
    is_last = false;
    return false;
  });
  if (is_last) {
    std::uint64_t others = holding_of(tree, lock_path, lock, true).count;
    for (const auto name : {kDelayName, kTokenName}) {
      if (tree.get(ticket_path(lock_path, name))) ++others;
    }
    return tree.get(lock_path)->stat.num_children - others;
  }
  std::uint64_t position = 0;
  each_ticket(tree, lock_path, lock.granted, [&](std::string_view one, const znode::View&) {
    ++position;
    return one < id;
  });
  return position;
}

void set_waiting(Answer& answer, const ShowTicket& query) {
  answer.is_waiting = true;
  answer.watch = ticket_path(path_of(Kind::lock, query.name), query.ticket);
  answer.poll = encode(query);
  if (query.wait != Wait::wait) return;
  answer.give_up = encode(Leave{query.name, query.ticket});
}

namespace {

// Those who wait for one lock, at most `most`.
void add_edges(const znode::Tree& tree, std::string_view name, std::size_t most,
               std::vector<WaitEdge>& edges) {
  const auto path = path_of(Kind::lock, name);
  const auto node = tree.get(path);
  if (!node) return;
  const auto lock = lock_of(*node);
  std::vector<Ticket> holders;
  static_cast<void>(list_holders(tree, path, lock, kRefusalShownMax, holders));
  std::optional<Ticket> before;
  std::uint64_t position = 0;
  each_ticket(tree, path, lock.granted, [&](std::string_view id, const znode::View& ticket) {
    if (edges.size() >= most) return false;
    WaitEdge edge;
    edge.lock = name;
    edge.ticket = shown(id, ticket);
    edge.ticket.position = ++position;
    for (const auto& holder : holders) {
      if (conflict(edge.ticket.mode, holder.mode)) edge.waits_for.push_back(holder);
    }
    if (before) edge.waits_for.push_back(*before);
    before = edge.ticket;
    edges.push_back(std::move(edge));
    return true;
  });
}

}  // namespace

Answer show_graph(const Graph& query, const Look& look) {
  GraphAnswer graph;
  const auto top = fmt::format("{}/{}", kRoot, directory_of(Kind::lock));
  std::size_t visited = 0;
  std::vector<std::string> names;
  look.tree.children(top, query.after, {}, [&](std::string_view name, const znode::View& node) {
    graph.is_last = ++visited <= kListMax;
    if (node.stat.num_children > 1) names.emplace_back(name);
    return graph.is_last;
  });
  Answer answer;
  for (const auto& name : names) {
    if (graph.edges.size() >= query.limit) {
      graph.is_last = false;
      break;
    }
    const auto path = path_of(Kind::lock, name);
    if (look.tree.check_access(path, znode::Permission::read, look.identities) != Code::ok)
      continue;
    add_edges(look.tree, name, query.limit, graph.edges);
  }
  answer.bytes = encode(graph);
  return answer;
}

}  // namespace coord::recipes::lock
