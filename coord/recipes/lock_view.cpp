// What is shown of locks.
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

Answer no_lock(std::string_view name) {
  return refusal(Code::not_found, fmt::format("nobody holds or wants a lock {}", name));
}

bool may_read(const Look& look, const std::string& path) {
  return look.tree.check_access(path, znode::Permission::read, look.identities) == Code::ok;
}

// What is left of a lock-delay, in service time.
std::int64_t delay_left(const Look& look, const std::string& path) {
  const auto node = look.tree.get(ticket_path(path, kDelayName));
  if (!node) return 0;
  const auto until = static_cast<std::int64_t>(RecordReader(node->value).number("until_ms"));
  return std::max<std::int64_t>(0, until - look.service_ms);
}

// Without holders and queue.
LockAnswer outline(const Look& look, std::string_view name, const std::string& path,
                   const LockNode& lock) {
  LockAnswer shown_lock;
  shown_lock.name = name;
  shown_lock.token = lock.token;
  shown_lock.permits = lock.permits;
  shown_lock.delay_ms = delay_left(look, path);
  return shown_lock;
}

Answer show(const Show& query, const Look& look) {
  const auto path = path_of(Kind::lock, query.name);
  const auto node = look.tree.get(path);
  if (!node) return no_lock(query.name);
  if (!may_read(look, path)) return refusal(Code::forbidden, "reading is not allowed");
  const auto lock = lock_of(*node);
  auto shown_lock = outline(look, query.name, path, lock);
  Answer answer;
  answer.etag = std::max(node->stat.mzxid, node->stat.pzxid);
  each_ticket(look.tree, path, {}, [&](std::string_view id, const znode::View& ticket) {
    const bool is_holder = id <= lock.granted;
    auto& count = is_holder ? shown_lock.holder_count : shown_lock.waiter_count;
    auto& list = is_holder ? shown_lock.holders : shown_lock.queue;
    answer.etag = std::max(answer.etag, ticket.stat.mzxid);
    if (++count > kShownMax) return true;
    list.push_back(shown(id, ticket));
    if (!is_holder) list.back().position = count;
    return true;
  });
  answer.bytes = encode(shown_lock);
  return answer;
}

// It never comes back: nobody waits for it.
Answer no_ticket(std::string detail) {
  auto answer = refusal(Code::not_found, std::move(detail));
  answer.is_final = true;
  return answer;
}

Answer show_ticket(const ShowTicket& query, const Look& look) {
  const auto path = path_of(Kind::lock, query.name);
  auto id = query.ticket;
  if (id.empty()) {
    id = find_ticket(look.tree, path, query.session, query.owner).value_or("");
    if (id.empty()) {
      return no_ticket(fmt::format("this session has no ticket of lock {}", query.name));
    }
  }
  const auto node = look.tree.get(ticket_path(path, id));
  if (!node) {
    return no_ticket(fmt::format("lock {} has no ticket {} (any more)", query.name, id));
  }
  if (!may_read(look, path)) return refusal(Code::forbidden, "reading is not allowed");
  const auto lock = lock_of(*look.tree.get(path));
  TicketAnswer shown_ticket;
  shown_ticket.name = query.name;
  shown_ticket.permits = lock.permits;
  shown_ticket.ticket = shown(id, *node);
  shown_ticket.is_own_session = ticket_of(*node).is_own_session;
  shown_ticket.ticket.position = position_of(look.tree, path, lock, id);
  shown_ticket.holder_count =
      list_holders(look.tree, path, lock, kRefusalShownMax, shown_ticket.holders);
  Answer answer;
  answer.bytes = encode(shown_ticket);
  answer.etag = node->stat.mzxid;
  answer.watch = ticket_path(path, id);
  if (!shown_ticket.ticket.is_held && query.wait != Wait::none) {
    set_waiting(answer, {query.name, id, query.session, query.owner, query.wait});
  }
  return answer;
}

Answer list(const List& query, const Look& look) {
  ListAnswer listed;
  Answer answer;
  const auto top = fmt::format("{}/{}", kRoot, directory_of(Kind::lock));
  look.tree.children(top, query.after, {}, [&](std::string_view name, const znode::View& node) {
    if (listed.locks.size() == query.limit) {
      listed.is_last = false;
      return false;
    }
    const auto path = path_of(Kind::lock, name);
    if (!may_read(look, path)) return true;
    const auto lock = lock_of(node);
    auto shown_lock = outline(look, name, path, lock);
    shown_lock.holder_count =
        list_holders(look.tree, path, lock, kRefusalShownMax, shown_lock.holders);
    std::uint64_t others = shown_lock.holder_count;
    for (const auto other : {kDelayName, kTokenName}) {
      if (look.tree.get(ticket_path(path, other))) ++others;
    }
    shown_lock.waiter_count = node.stat.num_children - others;
    answer.etag = std::max({answer.etag, node.stat.mzxid, node.stat.pzxid});
    listed.locks.push_back(std::move(shown_lock));
    return true;
  });
  const auto node = look.tree.get(top);
  if (node) answer.etag = std::max(answer.etag, node->stat.pzxid);
  answer.bytes = encode(listed);
  return answer;
}

}  // namespace

bool is_query(std::string_view bytes) {
  Show show_query;
  ShowTicket ticket_query;
  List list_query;
  Graph graph_query;
  return decode(bytes, show_query) || decode(bytes, ticket_query) || decode(bytes, list_query) ||
         decode(bytes, graph_query);
}

Answer view(std::string_view bytes, const Look& look) {
  if (Show query; decode(bytes, query)) return show(query, look);
  if (ShowTicket query; decode(bytes, query)) return show_ticket(query, look);
  if (List query; decode(bytes, query)) return list(query, look);
  Graph query;
  COORD_CHECK(decode(bytes, query), "a query decoded where it was asked");
  return show_graph(query, look);
}

}  // namespace coord::recipes::lock
