// Queues: no item is lost, none is out under two leases, who is done with it holds the lease, what
// was not done comes back when the lease is over and not before, first come first served.
#include <fmt/format.h>

#include <algorithm>

#include "coord/base/overloaded.hpp"
#include "coord/recipes/fields.hpp"
#include "coord/recipes/queue_codec.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace queue = recipes::queue;
using recipes::number_of;
using recipes::padded;

enum class Place : std::uint8_t { nowhere, ready, leased, dead };

struct Item {
  std::string value;
  Place place = Place::nowhere;
  bool is_elsewhere = false;  // Too.
  std::int64_t deliveries = 0;
  // Of a lease.
  std::int64_t token = 0;
  std::int64_t until = 0;
  std::int64_t ticket = 0;  // For whom it is kept, as long as that has not claimed it.
};
struct Taker {
  SessionId session;
  std::int64_t lease_ms = 0;
  std::string item;
};
struct Queue {
  std::int64_t deliveries_max = 0;
  std::map<std::string, Item> items;
  std::map<std::string, Taker> takers;
  [[nodiscard]] std::string first(Place place) const {
    for (const auto& [id, item] : items) {
      if (item.place == place) return id;
    }
    return {};
  }
  [[nodiscard]] std::string first_waiting() const {
    for (const auto& [id, taker] : takers) {
      if (taker.item.empty()) return id;
    }
    return {};
  }
};

void place(Item& item, Place where, const RecipeNode& node) {
  item.is_elsewhere = item.place != Place::nowhere;
  item.place = where;
  item.deliveries = number_of(node.value, "deliveries");
  item.token = number_of(node.value, "lease");
  item.until = number_of(node.value, "until");
  item.ticket = number_of(node.value, "ticket");
}

Queue read_queue(const RecipeNodes& nodes) {
  Queue one;
  for (const auto& [name, node] : nodes) {
    const auto slash = name.find('/');
    if (name.empty()) one.deliveries_max = number_of(node.value, "max_deliveries");
    if (slash == std::string::npos) continue;
    const auto part = name.substr(0, slash);
    const auto id = name.substr(slash + 1);
    if (part == "takers") {
      one.takers[id] = {node.owner, number_of(node.value, "lease_ms"),
                        std::string(recipes::field_of(node.value, "item"))};
      continue;
    }
    auto& item = one.items[id];
    if (part == "items") item.value = node.value;
    if (part == "ready") place(item, Place::ready, node);
    if (part == "leased") place(item, Place::leased, node);
    if (part == "dead") place(item, Place::dead, node);
  }
  return one;
}

// What the entry did to this queue by its act.
struct Acted {
  queue::Op op;
  template <class Op>
  [[nodiscard]] const Op* as() const {
    return std::get_if<Op>(&op);
  }
  template <class Op>
  [[nodiscard]] const Op* on(const std::string& item) const {
    const auto* one = std::get_if<Op>(&op);
    return one != nullptr && padded(one->item) == item ? one : nullptr;
  }
};

Acted acted(const RecipeEntry& entry, const std::string& name) {
  if (!entry.act || entry.act->kind != recipes::Kind::queue || !entry.act->is_ok()) return {};
  auto op = queue::decode_op(entry.act->bytes);
  const bool is_here = std::visit(Overloaded{[&](const auto& one) { return one.name == name; },
                                             [](std::monostate) { return false; }},
                                  op);
  return is_here ? Acted{std::move(op)} : Acted{};
}

// One entry and what it made of a queue.
struct Turn {
  const RecipeEntry& entry;
  const Acted act;
  const Queue& before;
  const Queue& now;
  [[nodiscard]] std::int64_t token() const { return static_cast<std::int64_t>(entry.zxid.value()); }
  // How long the lease of a ticket that waited is; it is there before the entry.
  [[nodiscard]] std::int64_t lease_ms_of(std::int64_t ticket) const {
    const auto at = before.takers.find(padded(static_cast<std::uint64_t>(ticket)));
    return at == before.takers.end() ? 0 : at->second.lease_ms;
  }
};

class QueueJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    auto now = read_queue(nodes);
    const Turn turn{entry, acted(entry, name), queues_[name], now};
    for (const auto& [id, item] : now.items) {
      const auto was = turn.before.items.find(id);
      auto wrong = was == turn.before.items.end() ? check_new(turn, id, item)
                                                  : check_moved(turn, id, was->second, item);
      if (!wrong.empty()) return wrong;
    }
    for (const auto& [id, item] : turn.before.items) {
      if (now.items.contains(id) || is_done(turn.act, id, item)) continue;
      return fmt::format("item {} of {} is lost", id, name);
    }
    if (auto wrong = check_takers(turn); !wrong.empty()) return wrong;
    if (auto wrong = check_order(turn); !wrong.empty()) return wrong;
    queues_[name] = std::move(now);
    return {};
  }

  std::string answered(const RecipeEntry& entry) override {
    const auto op = queue::decode_op(entry.act->bytes);
    const auto& answer = *entry.act->answer;
    if (const auto* done = std::get_if<queue::Acknowledge>(&op)) {
      return check_refused(entry, *done);
    }
    queue::Taken taken;
    const auto* take = std::get_if<queue::Take>(&op);
    if (take == nullptr || !entry.act->is_ok() || !queue::decode(answer.bytes, taken)) return {};
    if (taken.item != 0) return {};  // What it was given is judged with the changes, and as told.
    const bool is_kept_back = !queues_[take->name].first(Place::ready).empty();
    return is_kept_back ? fmt::format("an item of {} is kept back", take->name) : std::string();
  }

  std::string told(const RecipeTold& told) override {
    queue::Taken taken;
    queue::PutDone put;
    const auto op = queue::decode_op(told.bytes);
    const bool takes =
        std::holds_alternative<queue::Take>(op) || std::holds_alternative<queue::Claim>(op);
    if (!told.is_step || !told.is_ok()) return {};
    if (takes && queue::decode(told.answer->bytes, taken) && taken.item != 0) {
      return check_taken(told, taken);
    }
    const bool is_put =
        std::holds_alternative<queue::Put>(op) && queue::decode(told.answer->bytes, put);
    if (!is_put || values_.contains(put.item)) return {};
    return fmt::format("item {} is told to be there, and is not", put.item);
  }

  std::string overdue(std::int64_t service_ms) const override {
    for (const auto& [name, one] : queues_) {
      for (const auto& [id, item] : one.items) {
        if (item.place != Place::leased || item.until >= service_ms) continue;
        return fmt::format("item {} of {} is not given back", id, name);
      }
    }
    return {};
  }

  std::string at_end() const override {
    for (const auto& [name, one] : queues_) {
      if (!one.takers.empty()) return fmt::format("somebody waits at {} for ever", name);
    }
    return overdue(INT64_MAX);
  }

 private:
  std::string check_new(const Turn& turn, const std::string& id, const Item& item) {
    const auto* put = turn.act.as<queue::Put>();
    if (put == nullptr || id != padded(turn.entry.zxid.value()) || item.value != put->value) {
      return fmt::format("item {} was never put", id);
    }
    values_[turn.entry.zxid.value()] = item.value;
    Item fresh;
    fresh.place = Place::ready;
    if (item.place == Place::leased) return check_given(turn, id, fresh, item);
    return check_place(id, item, Place::ready);
  }

  static std::string check_place(const std::string& id, const Item& item, Place want) {
    if (item.place == want && !item.is_elsewhere) return {};
    return fmt::format("item {} is in the wrong place", id);
  }

  std::string check_moved(const Turn& turn, const std::string& id, const Item& was,
                          const Item& item) {
    if (item.is_elsewhere || item.place == Place::nowhere) {
      return fmt::format("item {} is in several places, or in none", id);
    }
    if (item.value != was.value) return fmt::format("item {} changes its value", id);
    // A dead one that is revived begins anew, whatever happens to it then.
    const auto* revives = turn.act.on<queue::Renew>(id);
    if (was.place == Place::dead && revives != nullptr && revives->lease == 0) {
      Item fresh = was;
      fresh.place = Place::ready;
      fresh.deliveries = 0;
      return item.place == Place::leased ? check_given(turn, id, fresh, item)
                                         : check_place(id, item, Place::ready);
    }
    const bool is_held = was.place == Place::leased;
    if (is_held && item.place == Place::leased && item.token == was.token) {
      return check_kept(turn, id, was, item);
    }
    if (is_held && !is_over(turn, id, was)) {
      return fmt::format("item {} is taken from its holder {} ms early", id,
                         was.until - turn.entry.service_ms);
    }
    if (item.place == Place::leased) return check_given(turn, id, was, item);
    if (!is_held) return check_place(id, item, was.place);
    count(Count::given_back);
    const auto most = turn.now.deliveries_max;
    if (item.deliveries != was.deliveries) return fmt::format("item {} forgets deliveries", id);
    const bool is_dead = most > 0 && was.deliveries >= most;
    return check_place(id, item, is_dead ? Place::dead : Place::ready);
  }

  static std::string check_kept(const Turn& turn, const std::string& id, const Item& was,
                                const Item& item) {
    const auto* renew = turn.act.on<queue::Renew>(id);
    const bool is_renewed = renew != nullptr &&
                            static_cast<std::int64_t>(renew->lease) == was.token &&
                            item.until == turn.entry.service_ms + renew->for_ms;
    const bool is_same = item.ticket == was.ticket && item.deliveries == was.deliveries;
    if (is_same && (is_renewed || item.until == was.until)) return {};
    return fmt::format("the lease of item {} changes by itself", id);
  }

  // May it leave its holder?
  static bool is_over(const Turn& turn, const std::string& id, const Item& was) {
    if (turn.entry.service_ms >= was.until) return true;
    if (was.ticket != 0) {
      return !turn.now.takers.contains(padded(static_cast<std::uint64_t>(was.ticket)));
    }
    const auto* renew = turn.act.on<queue::Renew>(id);
    return renew != nullptr && renew->for_ms == 0 &&
           static_cast<std::int64_t>(renew->lease) == was.token;
  }

  // Under a new lease: of who takes it now, of who claims what was kept for it, or kept for
  // somebody who waits.
  std::string check_given(const Turn& turn, const std::string& id, const Item& was,
                          const Item& item) {
    const auto* take = turn.act.as<queue::Take>();
    const auto* claim = turn.act.as<queue::Claim>();
    const bool is_claimed = claim != nullptr && was.ticket != 0 &&
                            static_cast<std::int64_t>(claim->ticket) == was.ticket;
    const bool is_kept = item.ticket != 0;
    const bool is_taken = take != nullptr && was.place == Place::ready;
    if (item.token != turn.token()) return fmt::format("item {} has an old lease", id);
    if (was.place == Place::dead) return fmt::format("item {} is dead, and given", id);
    if (!is_kept && !is_claimed && !is_taken) return fmt::format("item {} is given to nobody", id);
    if (item.deliveries != was.deliveries + (is_kept ? 0 : 1)) {
      return fmt::format("the deliveries of item {} are counted wrongly", id);
    }
    const auto lease_ms = is_kept      ? turn.lease_ms_of(item.ticket)
                          : is_claimed ? turn.lease_ms_of(was.ticket)
                                       : take->lease_ms;
    if (item.until != turn.entry.service_ms + lease_ms) {
      return fmt::format("the lease of item {} is of another length", id);
    }
    if (is_kept) return {};
    count(item.deliveries > 1 ? Count::redelivered : Count::delivered);
    deliveries_[turn.entry.zxid.value()] = {id, {}};
    return {};
  }

  // Was it thrown away by who may?
  static bool is_done(const Acted& act, const std::string& id, const Item& item) {
    const auto* removed = act.as<queue::Remove>();
    if (removed != nullptr && removed->with_items) return true;
    const auto* ack = act.on<queue::Acknowledge>(id);
    if (ack == nullptr) return false;
    if (ack->lease == 0) return item.place == Place::dead;
    return item.place == Place::leased && item.ticket == 0 &&
           item.token == static_cast<std::int64_t>(ack->lease);
  }

  static std::string check_takers(const Turn& turn) {
    for (const auto& [id, taker] : turn.now.takers) {
      if (!turn.entry.is_live(taker.session)) return fmt::format("taker {} has no session", id);
    }
    const auto* claim = turn.act.as<queue::Claim>();
    const auto* withdraw = turn.act.as<queue::Withdraw>();
    for (const auto& [id, taker] : turn.before.takers) {
      if (turn.now.takers.contains(id) || !turn.entry.is_live(taker.session)) continue;
      const auto item = turn.before.items.find(taker.item);
      const bool is_late =
          item != turn.before.items.end() && item->second.until <= turn.entry.service_ms;
      const bool is_own = (claim != nullptr && padded(claim->ticket) == id) ||
                          (withdraw != nullptr && padded(withdraw->ticket) == id);
      if (!is_late && !is_own) return fmt::format("taker {} is forgotten", id);
    }
    return {};
  }

  // First come, first served: items and takers.
  static std::string check_order(const Turn& turn) {
    const auto ready = turn.now.first(Place::ready);
    const auto waiting = turn.now.first_waiting();
    if (!ready.empty() && !waiting.empty()) {
      return fmt::format("{} waits while {} is there", waiting, ready);
    }
    for (const auto& [id, item] : turn.now.items) {
      const auto was = turn.before.items.find(id);
      const bool was_kept = was != turn.before.items.end() && was->second.ticket != 0;
      const bool is_new = item.place == Place::leased && item.token == turn.token();
      if (is_new && !was_kept && !ready.empty() && ready < id) {
        return fmt::format("{} is given before {}", id, ready);
      }
    }
    for (const auto& [id, taker] : turn.now.takers) {
      const auto was = turn.before.takers.find(id);
      const bool had_none = was != turn.before.takers.end() && was->second.item.empty();
      if (had_none && !taker.item.empty() && !waiting.empty() && waiting < id) {
        return fmt::format("taker {} comes before {}", id, waiting);
      }
    }
    return {};
  }

  std::string check_refused(const RecipeEntry& entry, const queue::Acknowledge& op) {
    const auto& items = queues_[op.name].items;
    const auto at = items.find(padded(op.item));
    const bool is_there = at != items.end();
    if (entry.act->is_ok()) {
      return is_there ? fmt::format("item {} is done, and stays", op.item) : std::string();
    }
    const bool is_holder = is_there && at->second.place == Place::leased &&
                           at->second.ticket == 0 && op.lease != 0 &&
                           at->second.token == static_cast<std::int64_t>(op.lease);
    return is_holder ? fmt::format("the holder of item {} is refused", op.item) : std::string();
  }

  std::string check_taken(const RecipeTold& told, const queue::Taken& taken) {
    const auto at = deliveries_.find(taken.lease);
    const auto value = values_.find(taken.item);
    const bool is_known = at != deliveries_.end() && at->second.first == padded(taken.item) &&
                          taken.lease <= told.revision.value() && value != values_.end() &&
                          value->second == taken.value;
    if (!is_known) return fmt::format("item {} is told with lease {}", taken.item, taken.lease);
    auto& client = at->second.second;
    if (client && *client != told.client) {
      return fmt::format("clients {} and {} are given item {} with lease {}", *client, told.client,
                         taken.item, taken.lease);
    }
    client = told.client;
    return {};
  }

  std::map<std::string, Queue> queues_;
  std::map<std::uint64_t, std::string> values_;  // Of every item that was ever put.
  // By lease: the item, and the client that was told of it.
  std::map<std::uint64_t, std::pair<std::string, std::optional<std::uint64_t>>> deliveries_;
};

}  // namespace

std::unique_ptr<RecipeJudge> make_queue_judge() { return std::make_unique<QueueJudge>(); }

}  // namespace coord::sim
