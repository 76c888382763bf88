// The nodes of locks: how they are named, what their values say, who holds and who waits.
//
// Inside coord/recipes only: the steps, the views and the graph of waits are made of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "coord/recipes/lock.hpp"

namespace coord::recipes::lock {

inline constexpr std::string_view kDelayName = "delay";
inline constexpr std::string_view kTokenName = "token";

// The value of the lock's own node.
struct LockNode {
  std::uint64_t token = 0;    // The highest ever given.
  std::string granted;        // Every ticket up to this one holds the lock, every later one waits.
  std::uint32_t permits = 0;  // Zero: no semaphore.
  // While a holder has asked for a lock-delay: the longest, and how many hold the lock, so that one
  // that goes without a release is noticed.
  std::int64_t delay_ms = 0;
  std::uint64_t holders = 0;
  friend bool operator==(const LockNode&, const LockNode&) = default;
};

// The value of a ticket.
struct TicketNode {
  bool is_held = false;
  std::uint64_t token = 0;
  std::uint32_t count = 1;
  std::uint32_t take = 1;
  std::string owner;
  std::string data;
  std::int64_t lock_delay_ms = 0;
  std::int64_t since_ms = 0;
  std::int64_t held_ms = 0;
  bool is_own_session = false;  // Its session was brought by the request, for it alone.
};

[[nodiscard]] std::string text_of(const LockNode& lock);
[[nodiscard]] std::string text_of(const TicketNode& ticket);
[[nodiscard]] LockNode lock_of(const znode::View& node);
[[nodiscard]] TicketNode ticket_of(const znode::View& node);

// "0000000000000039-lock-": what the sequence is put behind.
[[nodiscard]] std::string ticket_stem(Zxid zxid, Mode mode);
// None for a name that is no ticket's.
[[nodiscard]] std::optional<Mode> mode_of(std::string_view ticket) noexcept;
[[nodiscard]] std::string ticket_path(std::string_view lock_path, std::string_view ticket);
// What a ticket is to those who ask. Its position is left to the caller.
[[nodiscard]] Ticket shown(std::string_view id, const znode::View& node);

// The tickets of a lock after one (empty: from the first), in the order of the queue.
using EachTicket = std::function<bool(std::string_view id, const znode::View& node)>;
void each_ticket(const znode::Tree& tree, std::string_view lock_path, std::string_view after,
                 const EachTicket& each);
// The ticket that the session has on the lock under this owner's name, or none.
[[nodiscard]] std::optional<std::string> find_ticket(const znode::Tree& tree,
                                                     std::string_view lock_path, SessionId session,
                                                     std::string_view owner);

// Who holds a lock. `count` and `taken` are whole only for semaphores and with `all`.
struct Holding {
  std::uint64_t count = 0;
  std::uint64_t taken = 0;
  Mode mode = Mode::exclusive;
};
[[nodiscard]] Holding holding_of(const znode::Tree& tree, std::string_view lock_path,
                                 const LockNode& lock, bool all);
// May the next of the queue have the lock, beside those who hold it?
[[nodiscard]] bool is_compatible(const Holding& holding, const LockNode& lock, Mode mode,
                                 std::uint32_t take) noexcept;
// The first holders, and how many there are.
[[nodiscard]] std::uint64_t list_holders(const znode::Tree& tree, std::string_view lock_path,
                                         const LockNode& lock, std::size_t most,
                                         std::vector<Ticket>& holders);

}  // namespace coord::recipes::lock
