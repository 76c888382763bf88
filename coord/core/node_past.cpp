// Node's reads of the past: history, changes and values as they were, over ring and store.
#include <algorithm>
#include <utility>

#include "coord/core/node.hpp"
#include "coord/core/reads.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

// What one question to the store brings at most.
constexpr std::size_t kStorePageBytes = 1 * kMiB;

bool is_listed(const znode::Change& change, bool with_system) {
  return change.kind != znode::ChangeKind::acl && (with_system || !znode::is_system(change.path));
}

}  // namespace

void Node::ask_store(StoreQuestion question, std::variant<Request, WatchKey> who,
                     std::int64_t deadline_ms) {
  ++last_token_;
  store_reads_.push_back({last_token_, std::move(question)});
  store_waits_.emplace(last_token_, StoreWait{std::move(who), deadline_ms});
}

void Node::serve_history(Request&& request) {
  const auto deadline = now_.mono_ms + request.timeout_ms;
  const auto& op = std::get<GetHistory>(request.op);
  // The permission is the present node's; the past of a deleted node is guarded change by change.
  if (state_.tree().check_access(op.path, znode::Permission::read, request.identities) ==
      Code::forbidden) {
    return refuse(request, Code::forbidden, "reading is not allowed");
  }
  ReadHistory question{op.path, op.before, history_.floor(),
                       std::clamp<std::size_t>(op.limit, 1, options_.requests.list_limit_max)};
  ask_store(std::move(question), std::move(request), deadline);
}

void Node::finish_history(Request&& request, StoreAnswer&& found) {
  const auto& op = std::get<GetHistory>(request.op);
  const auto limit = std::clamp<std::size_t>(op.limit, 1, options_.requests.list_limit_max);
  // The ring moved on while the store was read: what lies between is in the store by now.
  if (found.through < history_.floor()) return serve_history(std::move(request));
  std::vector<HistoryEntry> entries;
  history_.since(history_.floor(), [&](const znode::SharedBatch& batch) {
    if (op.before && batch->zxid >= op.before) return false;
    for (const auto& change : batch->changes) {
      if (change.path == op.path) entries.push_back({batch->zxid, batch->wall_ms, change});
    }
    return true;
  });
  std::reverse(entries.begin(), entries.end());
  std::move(found.entries.begin(), found.entries.end(), std::back_inserter(entries));
  HistoryList list;
  list.is_last = found.is_last;
  if (entries.size() > limit) {
    auto end = limit;
    while (end < entries.size() && entries[end].zxid == entries[limit - 1].zxid) ++end;
    if (end < entries.size()) list.is_last = false;
    entries.resize(end);
  }
  std::erase_if(entries, [&](const auto& e) { return !may_see(e.change, request.identities); });
  list.entries = std::move(entries);
  list.oldest = retention_.floor();
  auto reply = reply_to(request);
  if (list.entries.empty() && list.is_last && !op.before && !state_.tree().get(op.path)) {
    reply.code = Code::no_node;
    reply.path = op.path;
    reply.detail = "there is no such node, and none in what is retained";
  } else {
    reply.result = std::move(list);
  }
  deliver(std::move(reply));
}

void Node::serve_changes(Request&& request) {
  const auto& op = std::get<GetChanges>(request.op);
  if (op.from.next() < retention_.floor()) {
    auto reply = reply_to(request);
    reply.code = Code::compacted;
    reply.oldest = retention_.floor();
    reply.detail = fmt::format("changes before revision {} are gone", retention_.floor());
    deliver(std::move(reply));
    return;
  }
  if (op.from < history_.floor()) {
    const auto deadline = now_.mono_ms + request.timeout_ms;
    ReadChanges question{op.from, history_.floor(), kStorePageBytes, op.limit};
    ask_store(std::move(question), std::move(request), deadline);
    return;
  }
  StoreAnswer none;
  none.through = op.from;
  finish_changes(std::move(request), std::move(none));
}

void Node::finish_changes(Request&& request, StoreAnswer&& found) {
  const auto& op = std::get<GetChanges>(request.op);
  // Trimmed while the store was read: what it found may have a hole at its front.
  if (op.from.next() < retention_.floor()) return serve_changes(std::move(request));
  const auto limit = std::clamp<std::size_t>(op.limit, 1, options_.requests.list_limit_max);
  HistoryList list;
  // Whole revisions: a page may pass its limit by the rest of one transaction.
  const auto add = [&](const znode::SharedBatch& batch) {
    if (list.entries.size() >= limit) {
      list.is_last = false;
      return false;
    }
    for (const auto& change : batch->changes) {
      if (!is_listed(change, op.with_system) || !may_see(change, request.identities)) continue;
      list.entries.push_back({batch->zxid, batch->wall_ms, change});
    }
    return true;
  };
  bool has_room = true;
  for (const auto& batch : found.batches) {
    has_room = add(batch);
    if (!has_room) break;
  }
  if (has_room && found.through >= history_.floor()) {
    history_.since(found.through, add);
  } else if (has_room) {
    // The store had more than one page, or the ring moved on meanwhile.
    list.is_last = false;
    if (list.entries.empty()) {
      std::get<GetChanges>(request.op).from = found.through;
      return serve_changes(std::move(request));
    }
  }
  list.oldest = retention_.floor();
  auto reply = reply_to(request);
  reply.result = std::move(list);
  deliver(std::move(reply));
}

void Node::serve_at(Request&& request) {
  const auto at = *std::get<Get>(request.op).at;
  auto reply = reply_to(request);
  if (at > state_.applied() && request.consistency == Consistency::local) {
    reply.code = Code::behind;
    reply.detail =
        fmt::format("this member has applied {} and not yet revision {}", state_.applied(), at);
  } else if (at > state_.applied()) {
    reply.code = Code::not_found;
    reply.detail = fmt::format("revision {} does not exist yet", at);
  } else if (at.next() < retention_.floor()) {
    reply.code = Code::compacted;
    reply.oldest = retention_.floor();
    reply.detail = fmt::format("what was before revision {} is gone", retention_.floor());
  } else if (at < history_.floor()) {
    const auto deadline = now_.mono_ms + request.timeout_ms;
    ReadFirstAfter question{std::get<Get>(request.op).path, at, history_.floor()};
    return ask_store(std::move(question), std::move(request), deadline);
  } else {
    StoreAnswer none;
    none.through = history_.floor();
    return finish_at(std::move(request), std::move(none));
  }
  deliver(std::move(reply));
}

// The first change after `at` holds what was there before it; without one, the present is the past.
void Node::finish_at(Request&& request, StoreAnswer&& found) {
  const auto op = std::get<Get>(request.op);
  // The ring moved on while the store was read, or what it should have found was trimmed.
  const bool is_short = found.entries.empty() && found.through < history_.floor();
  if (is_short || op.at->next() < retention_.floor()) return serve_at(std::move(request));
  std::optional<znode::Change> next;
  if (!found.entries.empty()) {
    next = std::move(found.entries.front().change);
  } else {
    history_.since(std::max(*op.at, history_.floor()), [&](const znode::SharedBatch& batch) {
      for (const auto& change : batch->changes) {
        if (change.path == op.path && change.kind != znode::ChangeKind::acl) {
          next = change;
          return false;
        }
      }
      return true;
    });
  }
  auto reply = reply_to(request);
  if (!next) {
    serve(request, state_, reply);
  } else if (next->kind == znode::ChangeKind::created) {
    reply.code = Code::no_node;
    reply.path = op.path;
    reply.detail = fmt::format("there was no such node at revision {}", *op.at);
  } else if (!may_see(*next, request.identities)) {
    reply.code = Code::forbidden;
    reply.path = op.path;
    reply.detail = "reading is not allowed";
  } else {
    NodeValue node;
    node.stat = next->prev_stat;
    if (op.with_value) {
      node.value = next->prev_value;
      node.content_type = next->prev_content_type;
    }
    reply.result = std::move(node);
  }
  reply.revision = *op.at;
  deliver(std::move(reply));
}

}  // namespace coord::core
