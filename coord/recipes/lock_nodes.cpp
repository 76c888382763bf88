#include "coord/recipes/lock_nodes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/recipes/record.hpp"

namespace coord::recipes::lock {
namespace {

constexpr std::size_t kStampDigits = 16;
constexpr std::size_t kSequenceDigits = 10;
constexpr std::string_view kExclusive = "-lock-";
constexpr std::string_view kShared = "__READ__";
constexpr std::string_view kLease = "-lease-";

std::string_view kind_of(Mode mode) noexcept {
  switch (mode) {
    case Mode::exclusive:
      return kExclusive;
    case Mode::shared:
      return kShared;
    case Mode::permits:
      return kLease;
  }
  return {};
}

std::uint32_t small(std::uint64_t v) noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(v, UINT32_MAX));
}

}  // namespace

std::string text_of(const LockNode& lock) {
  RecordWriter out;
  out.number("token", lock.token).text("granted", lock.granted);
  out.number_if("permits", lock.permits);
  out.number_if("delay_ms", static_cast<std::uint64_t>(lock.delay_ms));
  out.number_if("holders", lock.holders);
  return out.finish();
}

std::string text_of(const TicketNode& ticket) {
  RecordWriter out;
  out.text("state", ticket.is_held ? "held" : "queued");
  out.number_if("token", ticket.token).number("count", ticket.count).number("take", ticket.take);
  out.text_if("owner", ticket.owner).text_if("data", ticket.data);
  out.number_if("lock_delay_ms", static_cast<std::uint64_t>(ticket.lock_delay_ms));
  out.number("since_ms", static_cast<std::uint64_t>(ticket.since_ms));
  out.number_if("held_ms", static_cast<std::uint64_t>(ticket.held_ms));
  out.number_if("own_session", ticket.is_own_session ? 1 : 0);
  return out.finish();
}

LockNode lock_of(const znode::View& node) {
  const RecordReader in(node.value);
  LockNode lock;
  lock.token = in.number("token");
  lock.granted = in.text("granted");
  lock.permits = small(in.number("permits"));
  lock.delay_ms = static_cast<std::int64_t>(in.number("delay_ms"));
  lock.holders = in.number("holders");
  return lock;
}

TicketNode ticket_of(const znode::View& node) {
  const RecordReader in(node.value);
  TicketNode ticket;
  ticket.is_held = in.text("state") == "held";
  ticket.token = in.number("token");
  ticket.count = small(in.number("count"));
  ticket.take = small(in.number("take"));
  ticket.owner = in.text("owner");
  ticket.data = in.text("data");
  ticket.lock_delay_ms = static_cast<std::int64_t>(in.number("lock_delay_ms"));
  ticket.since_ms = static_cast<std::int64_t>(in.number("since_ms"));
  ticket.held_ms = static_cast<std::int64_t>(in.number("held_ms"));
  ticket.is_own_session = in.number("own_session") != 0;
  return ticket;
}

std::string ticket_stem(Zxid zxid, Mode mode) {
  return fmt::format("{:016x}{}", zxid.value(), kind_of(mode));
}

std::optional<Mode> mode_of(std::string_view ticket) noexcept {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (ticket.size() < kStampDigits + kSequenceDigits) return std::nullopt;
  if (!std::all_of(ticket.begin(), ticket.begin() + kStampDigits, is_hex)) return std::nullopt;
  const auto rest = ticket.substr(kStampDigits);
  for (const auto mode : {Mode::exclusive, Mode::shared, Mode::permits}) {
    const auto kind = kind_of(mode);
    if (!rest.starts_with(kind)) continue;
    const auto sequence = rest.substr(kind.size());
    const bool is_number =
        std::all_of(sequence.begin(), sequence.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (sequence.size() >= kSequenceDigits && is_number) return mode;
  }
  return std::nullopt;
}

std::string ticket_path(std::string_view lock_path, std::string_view ticket) {
  return fmt::format("{}/{}", lock_path, ticket);
}

Ticket shown(std::string_view id, const znode::View& node) {
  auto value = ticket_of(node);
  Ticket ticket;
  ticket.id = id;
  ticket.session = node.stat.ephemeral_owner;
  ticket.owner = std::move(value.owner);
  ticket.mode = mode_of(id).value_or(Mode::exclusive);
  ticket.is_held = value.is_held;
  ticket.token = value.token;
  ticket.count = value.count;
  ticket.take = value.take;
  ticket.since_ms = value.since_ms;
  ticket.held_ms = value.held_ms;
  ticket.data = std::move(value.data);
  return ticket;
}

void each_ticket(const znode::Tree& tree, std::string_view lock_path, std::string_view after,
                 const EachTicket& each) {
  tree.children(lock_path, after, {}, [&](std::string_view name, const znode::View& node) {
    if (!mode_of(name)) return true;
    return each(name, node);
  });
}

// Looks through the queue or through what the session has, whichever is shorter.
std::optional<std::string> find_ticket(const znode::Tree& tree, std::string_view lock_path,
                                       SessionId session, std::string_view owner) {
  const auto node = tree.get(lock_path);
  const auto owned = tree.ephemeral_count_of(session);
  if (!node || owned == 0) return std::nullopt;
  std::optional<std::string> found;
  if (node->stat.num_children <= owned) {
    each_ticket(tree, lock_path, {}, [&](std::string_view id, const znode::View& ticket) {
      if (ticket.stat.ephemeral_owner == session && ticket_of(ticket).owner == owner) found = id;
      return !found;
    });
    return found;
  }
  for (const auto& path : tree.ephemerals_of(session)) {
    if (!path.starts_with(lock_path) || path.size() <= lock_path.size() + 1) continue;
    if (path[lock_path.size()] != '/') continue;
    const auto id = std::string_view(path).substr(lock_path.size() + 1);
    if (!mode_of(id)) continue;
    const auto ticket = tree.get(path);
    if (ticket && ticket_of(*ticket).owner == owner) return std::string(id);
  }
  return std::nullopt;
}

Holding holding_of(const znode::Tree& tree, std::string_view lock_path, const LockNode& lock,
                   bool all) {
  Holding holding;
  const bool is_whole = all || lock.permits > 0;
  each_ticket(tree, lock_path, {}, [&](std::string_view id, const znode::View& node) {
    if (id > lock.granted) return false;
    if (holding.count == 0) holding.mode = mode_of(id).value_or(Mode::exclusive);
    ++holding.count;
    if (lock.permits > 0) holding.taken += ticket_of(node).take;
    return is_whole;
  });
  return holding;
}

bool is_compatible(const Holding& holding, const LockNode& lock, Mode mode,
                   std::uint32_t take) noexcept {
  if (mode == Mode::permits) return holding.taken + take <= lock.permits;
  if (holding.count == 0) return true;
  return mode == Mode::shared && holding.mode == Mode::shared;
}

std::uint64_t list_holders(const znode::Tree& tree, std::string_view lock_path,
                           const LockNode& lock, std::size_t most, std::vector<Ticket>& holders) {
  std::uint64_t count = 0;
  each_ticket(tree, lock_path, {}, [&](std::string_view id, const znode::View& node) {
    if (id > lock.granted) return false;
    if (++count <= most) holders.push_back(shown(id, node));
    return true;
  });
  return count;
}

}  // namespace coord::recipes::lock
