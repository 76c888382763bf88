// Who waits for whom over all locks: the look for a circle before a request may wait, and places in
// queues.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "coord/recipes/lock_nodes.hpp"

namespace coord::recipes::lock {

// The ticket has just joined the queue: is there a circle now? ok, deadlock with the circle, or
// overloaded when the look would visit more than kGraphTicketsMax tickets.
//
// Who waits is a session under an owner's name. It waits for every ticket before its own that does
// not go with it. A circle of exclusive and shared locks is a deadlock; where a semaphore has part
// in it, it is one only if nobody who could still go on would free enough.
[[nodiscard]] Answer find_circle(const Step& step, std::string_view name, std::string_view ticket);
// Who holds a lock shared and waits for it exclusively waits for itself.
[[nodiscard]] Answer self_deadlock(SessionId session, std::string_view owner, std::string_view name,
                                   std::string_view ticket);
// 0: held; 1: the next.
[[nodiscard]] std::uint64_t position_of(const znode::Tree& tree, std::string_view lock_path,
                                        const LockNode& lock, std::string_view id);
// Makes the answer one of a request that waits for this ticket.
void set_waiting(Answer& answer, const ShowTicket& query);
// A page of who waits for whom.
[[nodiscard]] Answer show_graph(const Graph& query, const Look& look);

}  // namespace coord::recipes::lock
