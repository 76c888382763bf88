#include "coord/recipes/queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/recipes/fields.hpp"
#include "coord/recipes/queue_codec.hpp"

namespace coord::recipes::queue {
namespace {

constexpr std::string_view kItems = "items";
constexpr std::string_view kReady = "ready";
constexpr std::string_view kLeased = "leased";
constexpr std::string_view kDead = "dead";
constexpr std::string_view kTakers = "takers";

// The nodes of one queue, in an open transaction.
class Nodes {
 public:
  Nodes(Step& step, std::string_view name) : step_(step), top_(path_of(Kind::queue, name)) {}

  [[nodiscard]] std::string directory(std::string_view part) const {
    return fmt::format("{}/{}", top_, part);
  }
  [[nodiscard]] std::string path(std::string_view part, std::string_view id) const {
    return fmt::format("{}/{}/{}", top_, part, id);
  }
  [[nodiscard]] bool has(std::string_view part, std::string_view id) const {
    return step_.tree.get(path(part, id)).has_value();
  }
  // The record's text, empty if there is none.
  [[nodiscard]] std::string record(std::string_view part, std::string_view id) const {
    const auto node = step_.tree.get(path(part, id));
    return node ? std::string(node->value) : std::string();
  }
  [[nodiscard]] std::string first(std::string_view part) const {
    return first_child(step_.tree, directory(part));
  }
  [[nodiscard]] std::size_t count(std::string_view part) const {
    return child_count(step_.tree, directory(part));
  }
  [[nodiscard]] bool exists() const { return step_.tree.get(top_).has_value(); }
  [[nodiscard]] std::int64_t number(std::string_view field) const {
    const auto node = step_.tree.get(top_);
    return node ? number_of(node->value, field) : 0;
  }
  void set_numbers(std::int64_t bytes, std::int64_t max_deliveries) {
    Record record;
    record.number("bytes", bytes).number("max_deliveries", max_deliveries);
    put(top_, record.blob());
  }
  void add_bytes(std::int64_t delta) {
    set_numbers(number("bytes") + delta, number("max_deliveries"));
  }
  znode::Outcome create(std::string_view part, std::string_view id, const Blob& value,
                        znode::CreateOptions options = {}) {
    options.with_parents = true;
    return step_.tree.create(path(part, id), value, std::move(options), service_identities());
  }
  void write(std::string_view part, std::string_view id, const Record& record) {
    put(path(part, id), record.blob());
  }
  void erase(std::string_view part, std::string_view id) {
    const auto done = step_.tree.erase(path(part, id), {}, service_identities());
    COORD_CHECK(done.code == Code::ok, "a node of a queue that is there goes", id);
  }

 private:
  void put(const std::string& path, const Blob& value) {
    znode::CreateOptions options;
    options.with_parents = true;
    const auto done = step_.tree.get(path)
                          ? step_.tree.set(path, value, {}, {}, service_identities())
                          : step_.tree.create(path, value, options, service_identities());
    COORD_CHECK(done.code == Code::ok, "the service writes its records", path, done.detail);
  }

  Step& step_;
  std::string top_;
};

struct Lease {
  std::int64_t token = 0;
  std::int64_t until = 0;
  std::int64_t deliveries = 0;
  std::int64_t ticket = 0;  // Nobody has claimed it yet.
};

Lease lease_of(std::string_view record) {
  return {number_of(record, "lease"), number_of(record, "until"), number_of(record, "deliveries"),
          number_of(record, "ticket")};
}

Record record_of(const Lease& lease) {
  Record record;
  record.number("lease", lease.token)
      .number("until", lease.until)
      .number("deliveries", lease.deliveries);
  if (lease.ticket != 0) record.number("ticket", lease.ticket);
  return record;
}

Record deliveries_record(std::int64_t deliveries) {
  Record record;
  record.number("deliveries", deliveries);
  return record;
}

std::int64_t token_of(const Step& step) { return static_cast<std::int64_t>(step.zxid.value()); }

Answer taken(const Step& step, std::string_view name, std::string_view item, const Lease& lease) {
  const auto path = fmt::format("{}/{}/{}", path_of(Kind::queue, name), kItems, item);
  const auto node = step.tree.get(path);
  COORD_CHECK(node.has_value(), "an item that is leased is there", path);
  Taken taken;
  taken.item = unpadded(item).value_or(0);
  taken.lease = static_cast<std::uint64_t>(lease.token);
  taken.deliveries = static_cast<std::uint32_t>(lease.deliveries);
  taken.value = node->value;
  taken.content_type = node->content_type;
  Answer answer;
  answer.bytes = encode(taken);
  return answer;
}

Answer nothing() {
  Answer answer;
  answer.bytes = encode(Taken());
  return answer;
}

Answer no_item(std::uint64_t item) {
  return refusal(Code::not_found, fmt::format("there is no item {}: it was acknowledged, "
                                              "or never put",
                                              item));
}

Answer no_queue(std::string_view name) {
  return refusal(Code::not_found, fmt::format("there is no queue {}", name));
}

// The item is nobody's: ready again, or dead when it was delivered too often.
void release(Nodes& nodes, const std::string& item, std::int64_t deliveries) {
  const auto most = nodes.number("max_deliveries");
  const bool is_dead = most > 0 && deliveries >= most;
  nodes.erase(kLeased, item);
  nodes.write(is_dead ? kDead : kReady, item, deliveries_record(deliveries));
}

// ---- steps

Answer put(const Put& op, Step& step) {
  Nodes nodes(step, op.name);
  if (nodes.count(kItems) >= kItemsMax) {
    return refusal(Code::quota, fmt::format("a queue holds at most {} items", kItemsMax));
  }
  const auto bytes = static_cast<std::int64_t>(op.value.size());
  if (nodes.number("bytes") + bytes > kBytesMax) {
    return refusal(Code::quota, fmt::format("a queue holds at most {} bytes", kBytesMax));
  }
  const auto item = padded(step.zxid.value());
  znode::CreateOptions options;
  options.content_type = op.content_type;
  const auto done = nodes.create(kItems, item, Blob(op.value), std::move(options));
  if (done.code != Code::ok) return refusal(done);
  nodes.write(kReady, item, deliveries_record(0));
  nodes.add_bytes(bytes);
  Answer answer;
  answer.bytes = encode(PutDone{step.zxid.value()});
  return answer;
}

Answer wait_on(const std::string& name, std::uint64_t ticket, bool own) {
  Answer answer = nothing();
  answer.is_waiting = true;
  answer.watch = fmt::format("{}/{}/{}", path_of(Kind::queue, name), kTakers, padded(ticket));
  answer.poll = encode(Claim{name, ticket, own});
  answer.poll_is_step = true;
  answer.give_up = encode(Withdraw{name, ticket, own});
  return answer;
}

Answer take(const Take& op, Step& step) {
  Nodes nodes(step, op.name);
  const auto item = nodes.first(kReady);
  if (!item.empty()) {
    const auto deliveries = number_of(nodes.record(kReady, item), "deliveries") + 1;
    const Lease lease{token_of(step), step.service_ms + op.lease_ms, deliveries, 0};
    nodes.erase(kReady, item);
    nodes.write(kLeased, item, record_of(lease));
    auto answer = taken(step, op.name, item, lease);
    answer.ends_session = step.brings_session;
    return answer;
  }
  if (!op.waits) {
    auto answer = nothing();
    answer.ends_session = step.brings_session;
    return answer;
  }
  if (!step.session) return refusal(Code::session_required, "to wait in line takes a session");
  if (nodes.count(kTakers) >= kTakersMax) {
    return refusal(Code::overloaded, fmt::format("{} wait on this queue already", kTakersMax));
  }
  if (!nodes.exists()) nodes.set_numbers(0, 0);
  Record record;
  record.number("lease_ms", op.lease_ms).number("own", step.brings_session ? 1 : 0);
  znode::CreateOptions options;
  options.mode = znode::Mode::ephemeral;
  const auto ticket = step.zxid.value();
  const auto done = nodes.create(kTakers, padded(ticket), record.blob(), std::move(options));
  if (done.code != Code::ok) return refusal(done);
  return wait_on(op.name, ticket, step.brings_session);
}

// Is the ticket there, and the acting session's?
bool is_mine(const Step& step, std::string_view path) {
  const auto node = step.tree.get(path);
  return node && node->stat.ephemeral_owner == step.session;
}

Answer claim(const Claim& op, Step& step) {
  Nodes nodes(step, op.name);
  const auto ticket = padded(op.ticket);
  if (!is_mine(step, nodes.path(kTakers, ticket))) {
    auto answer = nothing();
    answer.ends_session = op.own;
    return answer;
  }
  const auto record = nodes.record(kTakers, ticket);
  const std::string item(field_of(record, "item"));
  if (item.empty()) return wait_on(op.name, op.ticket, op.own);
  auto lease = lease_of(nodes.record(kLeased, item));
  COORD_CHECK(lease.ticket == static_cast<std::int64_t>(op.ticket),
              "a ticket's item is leased for it", item);
  // A token and a time of its own: what the grant promised is this taker's from now on.
  lease = {token_of(step), step.service_ms + number_of(record, "lease_ms"), lease.deliveries + 1,
           0};
  nodes.write(kLeased, item, record_of(lease));
  nodes.erase(kTakers, ticket);
  auto answer = taken(step, op.name, item, lease);
  answer.ends_session = op.own;
  return answer;
}

Answer withdraw(const Withdraw& op, Step& step) {
  Nodes nodes(step, op.name);
  const auto ticket = padded(op.ticket);
  if (is_mine(step, nodes.path(kTakers, ticket))) nodes.erase(kTakers, ticket);
  auto answer = nothing();
  answer.ends_session = op.own;
  return answer;
}

// What keeps the holder of `lease` from acting on the item; nothing does if the code is ok.
Answer check_lease(const Nodes& nodes, std::uint64_t item, std::uint64_t token) {
  const auto id = padded(item);
  if (!nodes.has(kItems, id)) return no_item(item);
  if (token == 0) {
    if (nodes.has(kDead, id)) return {};
    return refusal(
        Code::conflict,
        fmt::format("item {} is not dead: this takes the lease it was taken with", item));
  }
  if (nodes.has(kReady, id)) {
    return refusal(Code::conflict,
                   fmt::format("item {} is not leased any more: it is ready again", item));
  }
  if (nodes.has(kDead, id)) {
    return refusal(Code::conflict,
                   fmt::format("item {} is not leased any more: it was delivered too often", item));
  }
  const auto lease = lease_of(nodes.record(kLeased, id));
  if (lease.ticket == 0 && lease.token == static_cast<std::int64_t>(token)) return {};
  return refusal(Code::conflict, fmt::format("item {} is leased to another taker", item));
}

Answer acknowledge(const Acknowledge& op, Step& step) {
  Nodes nodes(step, op.name);
  if (auto wrong = check_lease(nodes, op.item, op.lease); wrong.code != Code::ok) return wrong;
  const auto item = padded(op.item);
  const auto node = step.tree.get(nodes.path(kItems, item));
  const auto bytes = static_cast<std::int64_t>(node->value.size());
  nodes.erase(op.lease == 0 ? kDead : kLeased, item);
  nodes.erase(kItems, item);
  nodes.add_bytes(-bytes);
  return {};
}

Answer renew(const Renew& op, Step& step) {
  Nodes nodes(step, op.name);
  if (auto wrong = check_lease(nodes, op.item, op.lease); wrong.code != Code::ok) return wrong;
  const auto item = padded(op.item);
  if (op.lease == 0) {
    nodes.erase(kDead, item);
    nodes.write(kReady, item, deliveries_record(0));
    return {};
  }
  auto lease = lease_of(nodes.record(kLeased, item));
  if (op.for_ms == 0) {
    release(nodes, item, lease.deliveries);
    return {};
  }
  lease.until = step.service_ms + op.for_ms;
  nodes.write(kLeased, item, record_of(lease));
  return {};
}

Answer configure(const Configure& op, Step& step) {
  Nodes nodes(step, op.name);
  nodes.set_numbers(nodes.number("bytes"), op.max_deliveries);
  return {};
}

Answer remove(const Remove& op, Step& step) {
  Nodes nodes(step, op.name);
  if (!nodes.exists()) return no_queue(op.name);
  if (!op.with_items && nodes.count(kItems) > 0) {
    return refusal(Code::not_empty, fmt::format("the queue holds {} items: take them, or say "
                                                "recursive=true",
                                                nodes.count(kItems)));
  }
  const auto done = step.tree.erase_tree(path_of(Kind::queue, op.name), {}, service_identities());
  return done.code == Code::ok ? Answer() : refusal(done);
}

// ---- settling

// The tickets that this entry removed and that had an item: their items go back.
void take_back(Step& step, std::string_view name) {
  struct Gone {
    std::string item;
    std::int64_t ticket = 0;
  };
  std::vector<Gone> gone;
  const auto takers = fmt::format("{}/{}/", path_of(Kind::queue, name), kTakers);
  for (const auto& change : step.tree.pending_changes()) {
    if (change.kind != znode::ChangeKind::deleted || !change.path.starts_with(takers)) continue;
    const auto item = field_of(change.prev_value.view(), "item");
    const auto ticket = unpadded(std::string_view(change.path).substr(takers.size()));
    if (item.empty() || !ticket) continue;
    gone.push_back({std::string(item), static_cast<std::int64_t>(*ticket)});
  }
  Nodes nodes(step, name);
  for (const auto& [item, ticket] : gone) {
    const auto lease = lease_of(nodes.record(kLeased, item));
    if (lease.ticket == ticket) release(nodes, item, lease.deliveries);
  }
}

// The tickets in line that have nothing yet, at most `most` of them, first come first.
std::vector<std::string> waiting(const Step& step, const std::string& takers, std::size_t most) {
  std::vector<std::string> all;
  step.tree.children(takers, {}, {}, [&](std::string_view name, const znode::View& node) {
    if (field_of(node.value, "item").empty()) all.emplace_back(name);
    return all.size() < most;
  });
  return all;
}

void hand_out(Step& step, std::string_view name) {
  Nodes nodes(step, name);
  const auto ready = nodes.count(kReady);
  if (ready == 0 || nodes.count(kTakers) == 0) return;
  for (const auto& ticket : waiting(step, nodes.directory(kTakers), ready)) {
    const auto item = nodes.first(kReady);
    const auto record = nodes.record(kTakers, ticket);
    const auto lease_ms = number_of(record, "lease_ms");
    const Lease lease{token_of(step), step.service_ms + lease_ms,
                      number_of(nodes.record(kReady, item), "deliveries"),
                      static_cast<std::int64_t>(unpadded(ticket).value_or(0))};
    nodes.erase(kReady, item);
    nodes.write(kLeased, item, record_of(lease));
    Record granted;
    granted.number("lease_ms", lease_ms).number("own", number_of(record, "own"));
    granted.text("item", item);
    nodes.write(kTakers, ticket, granted);
  }
}

// ---- views

bool is_readable(const Look& look, const std::string& path) {
  return look.tree.check_access(path, znode::Permission::read, look.identities) == Code::ok;
}

Counts counts_of(const Look& look, std::string_view name) {
  const auto top = path_of(Kind::queue, name);
  const auto count = [&](std::string_view part) {
    return child_count(look.tree, fmt::format("{}/{}", top, part));
  };
  const auto node = look.tree.get(top);
  const auto record = node ? node->value : std::string_view();
  return {count(kReady),
          count(kLeased),
          count(kDead),
          count(kTakers),
          number_of(record, "bytes"),
          static_cast<std::uint32_t>(number_of(record, "max_deliveries"))};
}

Answer get(const Get& query, const Look& look) {
  const auto top = path_of(Kind::queue, query.name);
  const auto node = look.tree.get(top);
  if (!node) return no_queue(query.name);
  if (!is_readable(look, top)) return refusal(Code::forbidden, "reading is not allowed");
  Answer answer;
  answer.bytes = encode(counts_of(look, query.name));
  answer.etag = node->stat.mzxid;
  for (const auto part : {kReady, kLeased, kDead, kTakers}) {
    const auto directory = look.tree.get(fmt::format("{}/{}", top, part));
    if (directory) answer.etag = std::max(answer.etag, directory->stat.pzxid);
  }
  return answer;
}

Item item_of(const Look& look, const std::string& top, std::string_view id, const znode::View& node,
             bool with_value) {
  Item item;
  item.put_ms = node.stat.ctime_ms;
  item.size = node.value.size();
  if (with_value) item.value = node.value;
  const auto record_in = [&](std::string_view part) {
    const auto found = look.tree.get(fmt::format("{}/{}/{}", top, part, id));
    return found ? std::optional(std::string(found->value)) : std::nullopt;
  };
  if (const auto leased = record_in(kLeased)) {
    const auto lease = lease_of(*leased);
    item.state = ItemState::leased;
    item.deliveries = static_cast<std::uint32_t>(lease.deliveries);
    item.left_ms = std::max<std::int64_t>(0, lease.until - look.service_ms);
  } else if (const auto dead = record_in(kDead)) {
    item.state = ItemState::dead;
    item.deliveries = static_cast<std::uint32_t>(number_of(*dead, "deliveries"));
  } else if (const auto ready = record_in(kReady)) {
    item.deliveries = static_cast<std::uint32_t>(number_of(*ready, "deliveries"));
  }
  return item;
}

Answer items(const Items& query, const Look& look) {
  const auto top = path_of(Kind::queue, query.name);
  if (!look.tree.get(top)) return no_queue(query.name);
  if (!is_readable(look, top)) return refusal(Code::forbidden, "reading is not allowed");
  return list_children(fmt::format("{}/{}", top, kItems), query.list, look,
                       [&](std::string_view id, const znode::View& node) {
                         return encode(item_of(look, top, id, node, query.with_values));
                       });
}

}  // namespace

bool is_step(std::string_view bytes) { return decode_op(bytes).index() != 0; }
bool is_query(std::string_view bytes) { return decode_query(bytes).index() != 0; }

Answer run(std::string_view bytes, Step& step) {
  return std::visit(Overloaded{[&](const Put& op) { return put(op, step); },
                               [&](const Take& op) { return take(op, step); },
                               [&](const Claim& op) { return claim(op, step); },
                               [&](const Withdraw& op) { return withdraw(op, step); },
                               [&](const Acknowledge& op) { return acknowledge(op, step); },
                               [&](const Renew& op) { return renew(op, step); },
                               [&](const Configure& op) { return configure(op, step); },
                               [&](const Remove& op) { return remove(op, step); },
                               [](std::monostate) { return Answer(); }},
                    decode_op(bytes));
}

Answer view(std::string_view bytes, const Look& look) {
  return std::visit(Overloaded{[&](const Get& query) { return get(query, look); },
                               [&](const Items& query) { return items(query, look); },
                               [&](const ListQuery& query) {
                                 return list_recipe(Kind::queue, query, look,
                                                    [&](std::string_view name, const znode::View&) {
                                                      return encode(counts_of(look, name));
                                                    });
                               },
                               [](std::monostate) { return Answer(); }},
                    decode_query(bytes));
}

void settle(Step& step, std::string_view name) {
  if (!step.tree.get(path_of(Kind::queue, name))) return;
  take_back(step, name);
  hand_out(step, name);
}

std::optional<std::int64_t> deadline(const Look& look, const Place& place) {
  if (!place.rest.starts_with(kLeased) || place.rest.size() <= kLeased.size()) return std::nullopt;
  const auto node =
      look.tree.get(fmt::format("{}/{}", path_of(Kind::queue, place.name), place.rest));
  if (!node) return std::nullopt;
  return lease_of(node->value).until;
}

void due(Step& step, const Place& place) {
  const auto until = deadline(step.look(), place);
  if (!until || *until > step.service_ms) return;
  Nodes nodes(step, place.name);
  const std::string item(place.rest.substr(kLeased.size() + 1));
  const auto lease = lease_of(nodes.record(kLeased, item));
  release(nodes, item, lease.deliveries);
  if (lease.ticket == 0) return;
  // Who was given it has not claimed it: it does not hold up the others.
  const auto ticket = padded(static_cast<std::uint64_t>(lease.ticket));
  if (nodes.has(kTakers, ticket)) nodes.erase(kTakers, ticket);
}

}  // namespace coord::recipes::queue
