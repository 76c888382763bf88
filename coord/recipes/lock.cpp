// What the steps of locks do, and what follows in the entry that frees one.
#include "coord/recipes/lock.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/recipes/lock_codec.hpp"
#include "coord/recipes/lock_graph.hpp"
#include "coord/recipes/lock_nodes.hpp"
#include "coord/recipes/record.hpp"

namespace coord::recipes::lock {
namespace {

// How often it is looked whether the zxids have caught up with the tokens.
constexpr std::int64_t kTokenLookMs = 60'000;

std::string lock_path(std::string_view name) { return path_of(Kind::lock, name); }

void write(Step& step, const std::string& path, const std::string& text) {
  const auto done = step.tree.set(path, Blob(text), "application/json", {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service sets its own nodes", path, done.detail);
}

void erase(Step& step, const std::string& path) {
  const auto done = step.tree.erase(path, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service removes its own nodes", path, done.detail);
}

// ---- the children that stand for time

std::optional<std::int64_t> until_of(const znode::Tree& tree, const std::string& path) {
  const auto node = tree.get(path);
  if (!node) return std::nullopt;
  return static_cast<std::int64_t>(RecordReader(node->value).number("until_ms"));
}

void keep_until(Step& step, const std::string& path, std::int64_t until_ms) {
  RecordWriter out;
  const auto text = out.number("until_ms", static_cast<std::uint64_t>(until_ms)).finish();
  if (step.tree.get(path)) return write(step, path, text);
  znode::CreateOptions options;
  options.content_type = "application/json";
  const auto done = step.tree.create(path, Blob(text), options, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service makes its own nodes", path, done.detail);
}

// Does a lock-delay run? One that has run out is taken away.
bool is_delayed(Step& step, const std::string& path) {
  const auto delay = ticket_path(path, kDelayName);
  const auto until = until_of(step.tree, delay);
  if (!until) return false;
  if (*until > step.service_ms) return true;
  erase(step, delay);
  return false;
}

// The node must not go, and with it the highest token, before the zxids are beyond that.
void guard_token(Step& step, const std::string& path, const LockNode& lock) {
  const auto guard = ticket_path(path, kTokenName);
  const bool is_there = step.tree.get(guard).has_value();
  const bool is_ahead = lock.token > step.zxid.value();
  if (is_ahead && !is_there) keep_until(step, guard, step.service_ms + kTokenLookMs);
  if (!is_ahead && is_there) erase(step, guard);
}

// ---- settling

// A holder that has asked for a lock-delay and is gone without a release: the delay begins.
void notice_lost(Step& step, const std::string& path, LockNode& lock, const Holding& holding) {
  if (lock.delay_ms == 0) return;
  if (holding.count < lock.holders) {
    const auto delay = ticket_path(path, kDelayName);
    const auto until = step.service_ms + lock.delay_ms;
    keep_until(step, delay, std::max(until, until_of(step.tree, delay).value_or(0)));
  }
  lock.holders = holding.count;
  if (holding.count == 0) lock.delay_ms = 0;
}

struct Grant {
  std::string id;
  TicketNode ticket;
};

// Those of the queue whose turn has come, in its order.
std::vector<Grant> next_of(const Step& step, const std::string& path, const LockNode& lock,
                           Holding holding) {
  std::vector<Grant> grants;
  each_ticket(step.tree, path, lock.granted, [&](std::string_view id, const znode::View& node) {
    const auto mode = mode_of(id).value_or(Mode::exclusive);
    auto ticket = ticket_of(node);
    if (!is_compatible(holding, lock, mode, ticket.take)) return false;
    if (holding.count == 0) holding.mode = mode;
    ++holding.count;
    holding.taken += ticket.take;
    grants.push_back({std::string(id), std::move(ticket)});
    return true;
  });
  return grants;
}

// Gives a ticket the next token.
void make_holder(const Step& step, LockNode& lock, std::string_view id, TicketNode& ticket) {
  lock.token = std::max(step.zxid.value(), lock.token + 1);
  lock.granted = id;
  lock.delay_ms = std::max(lock.delay_ms, ticket.lock_delay_ms);
  ticket.is_held = true;
  ticket.token = lock.token;
  ticket.held_ms = step.wall_ms;
}

void settle_path(Step& step, const std::string& path) {
  const auto node = step.tree.get(path);
  if (!node) return;
  auto lock = lock_of(*node);
  const auto before = lock;
  const auto holding = holding_of(step.tree, path, lock, lock.delay_ms > 0);
  notice_lost(step, path, lock, holding);
  if (!is_delayed(step, path)) {
    for (auto& grant : next_of(step, path, lock, holding)) {
      make_holder(step, lock, grant.id, grant.ticket);
      write(step, ticket_path(path, grant.id), text_of(grant.ticket));
    }
  }
  if (lock.delay_ms > 0) lock.holders = holding_of(step.tree, path, lock, true).count;
  guard_token(step, path, lock);
  if (lock != before) write(step, path, text_of(lock));
}

// ---- answers

Answer held_by_others(const znode::Tree& tree, std::string_view name, const std::string& path,
                      const LockNode& lock) {
  TicketAnswer shown;
  shown.name = name;
  shown.permits = lock.permits;
  shown.holder_count = list_holders(tree, path, lock, kRefusalShownMax, shown.holders);
  Answer answer;
  answer.code = Code::lock_held;
  if (shown.holders.empty()) {
    answer.detail =
        fmt::format("lock {} is not free yet: a lock-delay runs, or others come first", name);
  } else {
    const auto& first = shown.holders.front();
    answer.detail = fmt::format(
        "lock {} is held by session {} with token {}{}", name, first.session, first.token,
        shown.holder_count > 1 ? fmt::format(", and by {} more", shown.holder_count - 1)
                               : std::string());
  }
  answer.bytes = encode(shown);
  return answer;
}

Answer ticket_answer(const znode::Tree& tree, std::string_view name, const std::string& path,
                     std::string_view id) {
  const auto lock = lock_of(*tree.get(path));
  TicketAnswer shown_answer;
  shown_answer.name = name;
  shown_answer.permits = lock.permits;
  const auto node = *tree.get(ticket_path(path, id));
  shown_answer.ticket = shown(id, node);
  shown_answer.is_own_session = ticket_of(node).is_own_session;
  shown_answer.ticket.position = position_of(tree, path, lock, id);
  shown_answer.holder_count =
      list_holders(tree, path, lock, kRefusalShownMax, shown_answer.holders);
  Answer answer;
  answer.bytes = encode(shown_answer);
  return answer;
}

// ---- acquire

Answer waiting_answer(const Step& step, const Acquire& op, const std::string& path,
                      std::string_view id) {
  auto answer = ticket_answer(step.tree, op.name, path, id);
  set_waiting(answer, {op.name, std::string(id), step.session, op.owner, op.wait});
  return answer;
}

// The session asks for what it has, or waits for, already.
Answer again(Step& step, const Acquire& op, const std::string& path, const std::string& id) {
  const auto node = step.tree.get(ticket_path(path, id));
  auto ticket = ticket_of(*node);
  const auto mode = mode_of(id).value_or(Mode::exclusive);
  const auto lock = lock_of(*step.tree.get(path));
  if (mode == Mode::permits && (op.mode != mode || op.permits != lock.permits)) {
    return refusal(Code::permits_mismatch,
                   fmt::format("{} is a semaphore of {} permits", op.name, lock.permits));
  }
  if (op.take != ticket.take) {
    return refusal(Code::permits_mismatch,
                   fmt::format("this session and owner take {} permits of {} already, not {}",
                               ticket.take, op.name, op.take));
  }
  if (op.mode == Mode::permits && mode != Mode::permits) {
    return refusal(Code::permits_mismatch, fmt::format("{} is no semaphore", op.name));
  }
  const bool is_stronger = mode == Mode::shared && op.mode == Mode::exclusive;
  if (!ticket.is_held || is_stronger) {
    if (op.wait == Wait::none) return held_by_others(step.tree, op.name, path, lock);
    // Who holds it shared would wait for itself.
    if (ticket.is_held) return self_deadlock(step.session, op.owner, op.name, id);
    if (mode == Mode::shared && is_stronger) {
      return refusal(Code::invalid, "this session and owner wait for the lock in another mode");
    }
    return waiting_answer(step, op, path, id);
  }
  if (ticket.count >= kCountMax) {
    return refusal(Code::too_large, fmt::format("a lock is held at most {} times", kCountMax));
  }
  ++ticket.count;
  write(step, ticket_path(path, id), text_of(ticket));
  return ticket_answer(step.tree, op.name, path, id);
}

// Makes the lock's node, or makes it what this first ticket says; or says what is against it.
Answer prepare(Step& step, const Acquire& op, const std::string& path) {
  const auto node = step.tree.get(path);
  LockNode lock;
  if (!node) {
    lock.permits = op.permits;
    znode::CreateOptions options;
    options.mode = znode::Mode::container;
    options.with_parents = true;
    options.content_type = "application/json";
    const auto made = step.tree.create(path, Blob(text_of(lock)), options, service_identities());
    return made.code == Code::ok ? Answer() : refusal(made);
  }
  if (step.tree.check_access(path, znode::Permission::create, step.identities) != Code::ok) {
    return refusal(Code::forbidden, fmt::format("the ACL of {} does not grant CREATE", path));
  }
  if (node->stat.num_children >= kTicketsMax) {
    return refusal(Code::overloaded,
                   fmt::format("{} tickets wait for lock {} already", kTicketsMax, op.name));
  }
  lock = lock_of(*node);
  if (lock.permits == op.permits) return {};
  bool is_used = false;
  each_ticket(step.tree, path, {}, [&](std::string_view, const znode::View&) {
    is_used = true;
    return false;
  });
  if (is_used) {
    return refusal(
        Code::permits_mismatch,
        lock.permits > 0
            ? fmt::format("{} is a semaphore of {} permits as long as it is in use", op.name,
                          lock.permits)
            : fmt::format("{} is a lock and no semaphore as long as it is in use", op.name));
  }
  lock.permits = op.permits;
  write(step, path, text_of(lock));
  return {};
}

// A lock-delay that has run out, and was not found due yet: those who waited for it come first, and
// now. Left to the end of the entry, that could grant the new ticket too, whose answer says by then
// that it waits; and nothing would wake it.
void end_delay(Step& step, const std::string& path) {
  const bool was_delayed = step.tree.get(ticket_path(path, kDelayName)).has_value();
  if (was_delayed && !is_delayed(step, path)) settle_path(step, path);
}

// Is there anybody whose turn is before that of a new ticket?
bool is_free_for(Step& step, const Acquire& op, const std::string& path, const LockNode& lock) {
  if (is_delayed(step, path)) return false;
  bool is_queued = false;
  each_ticket(step.tree, path, lock.granted, [&](std::string_view, const znode::View&) {
    is_queued = true;
    return false;
  });
  if (is_queued) return false;
  return is_compatible(holding_of(step.tree, path, lock, false), lock, op.mode, op.take);
}

Answer acquire(const Acquire& op, Step& step) {
  if (!step.session) {
    return refusal(Code::session_required, "a lock is held by a session");
  }
  const auto path = lock_path(op.name);
  if (!step.brings_session) {
    if (const auto mine = find_ticket(step.tree, path, step.session, op.owner)) {
      return again(step, op, path, *mine);
    }
  }
  if (auto no = prepare(step, op, path); no.code != Code::ok) return no;
  // A try is refused while others come first: what is rolled back must not be told.
  if (op.wait != Wait::none) end_delay(step, path);
  auto lock = lock_of(*step.tree.get(path));
  TicketNode ticket;
  ticket.take = op.take;
  ticket.owner = op.owner;
  ticket.data = op.data;
  ticket.lock_delay_ms = op.lock_delay_ms;
  ticket.since_ms = step.wall_ms;
  ticket.is_own_session = step.brings_session;
  const bool is_free = is_free_for(step, op, path, lock);
  if (!is_free && op.wait == Wait::none) return held_by_others(step.tree, op.name, path, lock);
  if (is_free) make_holder(step, lock, {}, ticket);
  znode::CreateOptions options;
  options.mode = znode::Mode::ephemeral;
  options.is_sequential = true;
  options.content_type = "application/json";
  const auto made = step.tree.create(ticket_path(path, ticket_stem(step.zxid, op.mode)),
                                     Blob(text_of(ticket)), options, service_identities());
  if (made.code != Code::ok) return refusal(made);
  const auto id = made.path.substr(path.size() + 1);
  if (is_free) {
    lock.granted = id;
    if (lock.delay_ms > 0) lock.holders = holding_of(step.tree, path, lock, true).count;
    write(step, path, text_of(lock));
    return ticket_answer(step.tree, op.name, path, id);
  }
  if (auto circle = find_circle(step, op.name, id); circle.code != Code::ok) return circle;
  return waiting_answer(step, op, path, id);
}

// ---- release and leave

// Takes the ticket away by its owner's wish; whoever is next has it once this is settled.
void give_back(Step& step, const std::string& path, const std::string& id, bool is_break,
               Answer& answer) {
  const auto node = step.tree.get(ticket_path(path, id));
  const auto ticket = ticket_of(*node);
  const bool is_mine = node->stat.ephemeral_owner == step.session;
  auto lock = lock_of(*step.tree.get(path));
  if (ticket.is_held && lock.delay_ms > 0 && !is_break) {
    --lock.holders;  // Not lost: no delay.
    write(step, path, text_of(lock));
  }
  erase(step, ticket_path(path, id));
  answer.ends_session = ticket.is_own_session && is_mine && !step.brings_session &&
                        step.tree.ephemeral_count_of(step.session) == 0;
}

Answer release(const Release& op, Step& step) {
  const auto path = lock_path(op.name);
  auto id = op.ticket;
  if (id.empty()) {
    if (!step.session || step.brings_session) {
      return refusal(Code::session_required,
                     "\"mine\" is the ticket of the session in "
                     "Coord-Session");
    }
    id = find_ticket(step.tree, path, step.session, op.owner).value_or("");
  }
  const auto node = id.empty() ? std::nullopt : step.tree.get(ticket_path(path, id));
  if (!node) {
    return refusal(Code::not_found,
                   op.ticket.empty()
                       ? fmt::format("this session has no ticket of lock {}{}", op.name,
                                     op.owner.empty() ? "" : " under this owner's name")
                       : fmt::format("lock {} has no ticket {} (any more)", op.name, op.ticket));
  }
  const bool is_mine = step.session && node->stat.ephemeral_owner == step.session;
  if (op.is_break && !is_operator(step.identities)) {
    return refusal(Code::forbidden, "to break a lock takes an operator's right");
  }
  if (!is_mine && !op.is_break) {
    return refusal(Code::not_owner,
                   fmt::format("ticket {} is session {}'s", id, node->stat.ephemeral_owner));
  }
  Answer answer;
  auto ticket = ticket_of(*node);
  if (ticket.count > 1 && !op.is_break) {
    --ticket.count;
    write(step, ticket_path(path, id), text_of(ticket));
    return answer;
  }
  give_back(step, path, id, op.is_break, answer);
  return answer;
}

Answer leave(const Leave& op, Step& step) {
  const auto path = lock_path(op.name);
  const auto node = step.tree.get(ticket_path(path, op.ticket));
  if (!node) {
    return refusal(Code::not_found,
                   fmt::format("ticket {} of lock {} was taken away", op.ticket, op.name));
  }
  if (node->stat.ephemeral_owner != step.session) {
    return refusal(Code::not_owner, "another session's ticket");
  }
  if (ticket_of(*node).is_held) {
    return ticket_answer(step.tree, op.name, path, op.ticket);
  }
  Answer gone;
  give_back(step, path, op.ticket, false, gone);
  auto answer = held_by_others(step.tree, op.name, path, lock_of(*step.tree.get(path)));
  answer.is_done = true;
  answer.ends_session = gone.ends_session;
  return answer;
}

}  // namespace

bool is_step(std::string_view bytes) {
  Acquire acquire_op;
  Release release_op;
  Leave leave_op;
  return decode(bytes, acquire_op) || decode(bytes, release_op) || decode(bytes, leave_op);
}

Answer run(std::string_view bytes, Step& step) {
  if (Acquire op; decode(bytes, op)) return acquire(op, step);
  if (Release op; decode(bytes, op)) return release(op, step);
  Leave op;
  COORD_CHECK(decode(bytes, op), "a step decoded where it was proposed");
  return leave(op, step);
}

void settle(Step& step, std::string_view name) { settle_path(step, lock_path(name)); }

std::optional<std::int64_t> deadline(const Look& look, const Place& place) {
  if (place.rest != kDelayName && place.rest != kTokenName) return std::nullopt;
  return until_of(look.tree, ticket_path(lock_path(place.name), place.rest));
}

// Granting is left to settle(), which follows the change.
void due(Step& step, const Place& place) {
  const auto path = lock_path(place.name);
  if (place.rest == kDelayName) {
    static_cast<void>(is_delayed(step, path));
    return;
  }
  const auto guard = ticket_path(path, kTokenName);
  const auto until = until_of(step.tree, guard);
  if (place.rest != kTokenName || !until || *until > step.service_ms) return;
  if (lock_of(*step.tree.get(path)).token > step.zxid.value()) {
    keep_until(step, guard, step.service_ms + kTokenLookMs);
  } else {
    erase(step, guard);
  }
}

bool holds(const Look& look, std::string_view name, std::uint64_t token) {
  const auto path = lock_path(name);
  const auto node = look.tree.get(path);
  if (!node || token == 0) return false;
  const auto lock = lock_of(*node);
  if (token > lock.token) return false;
  bool is_held = false;
  each_ticket(look.tree, path, {}, [&](std::string_view id, const znode::View& ticket) {
    if (id > lock.granted) return false;
    is_held = ticket_of(ticket).token == token;
    return !is_held;
  });
  return is_held;
}

}  // namespace coord::recipes::lock
