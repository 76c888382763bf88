// Lock: exclusive and shared locks and semaphores, first come, first served.
//
// The node /.coord/locks/NAME (a container: it goes when nobody has needed it for a while) holds
// the highest token ever given, the last ticket that has been granted and a semaphore's permits.
// Its children are tickets, ephemerals of the sessions that ask:
//
//   0000000000000039-lock-0000000007     exclusive     (the entry that made it, in hex, in front:
//   000000000000003a__READ__0000000008   shared         byte order is the order of the queue)
//   000000000000003b-lease-0000000009    of a semaphore
//
// The digits at the end are ZooKeeper's sequence, by which its own recipes order theirs. Those who
// hold the lock are always the first of the queue: a ticket is granted after all before it, so one
// name (`granted`) tells who holds and who waits, and settling looks at those alone whose turn
// may have come. A grant's token is the zxid of the entry that frees the lock; should that entry
// grant several, each gets the next number, so that no two holders share one.
//
// Two more children stand for time: `delay` while a lock-delay runs, `token` while tokens have run
// ahead of the zxids (it keeps the node).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/recipes/recipe.hpp"

namespace coord::recipes::lock {

inline constexpr std::size_t kOwnerBytesMax = 255;
inline constexpr std::size_t kDataBytesMax = 4096;
inline constexpr std::uint32_t kPermitsMax = 10'000;
inline constexpr std::int64_t kLockDelayMsMax = 3'600'000;
inline constexpr std::size_t kTicketsMax = 100'000;  // Of one lock.
inline constexpr std::uint32_t kCountMax = 1'000'000;
inline constexpr std::size_t kShownMax = 1'000;           // Tickets in one answer, of each kind.
inline constexpr std::size_t kRefusalShownMax = 20;       // Holders in a refusal.
inline constexpr std::size_t kGraphTicketsMax = 100'000;  // That one look for a circle visits.
inline constexpr std::size_t kListMax = 10'000;

enum class Mode : std::uint8_t { exclusive = 1, shared = 2, permits = 3 };
// none: the lock at once or not at all. wait: a place in the queue as long as the request is open.
// queue: a place that outlives the request.
enum class Wait : std::uint8_t { none = 0, wait = 1, queue = 2 };

// ---- steps

struct Acquire {
  std::string name;
  Mode mode = Mode::exclusive;
  std::uint32_t permits = 0;  // Above zero exactly for Mode::permits.
  std::uint32_t take = 1;
  Wait wait = Wait::none;
  std::string owner;  // Tells apart those who share a session.
  std::int64_t lock_delay_ms = 0;
  std::string data;  // For people.
};
// Releases (lowers the count of) a ticket, or leaves the queue. Without a ticket: the session's,
// with this owner.
struct Release {
  std::string name;
  std::string ticket;
  std::string owner;
  bool is_break = false;  // Takes an operator's right: whoever holds it.
};
// What a request does that waits no longer: leaves the queue, unless the lock has come meanwhile.
struct Leave {
  std::string name;
  std::string ticket;
};

// ---- queries

struct Show {
  std::string name;
};
struct ShowTicket {
  std::string name;
  std::string ticket;  // Empty: the session's, with this owner.
  SessionId session;
  std::string owner;
  Wait wait = Wait::none;  // Of the request that polls.
};
struct List {
  std::string after;
  std::uint32_t limit = 1000;
};
struct Graph {
  std::string after;  // The last lock of the page before.
  std::uint32_t limit = 1000;
};

[[nodiscard]] std::string encode(const Acquire& op);
[[nodiscard]] std::string encode(const Release& op);
[[nodiscard]] std::string encode(const Leave& op);
[[nodiscard]] std::string encode(const Show& query);
[[nodiscard]] std::string encode(const ShowTicket& query);
[[nodiscard]] std::string encode(const List& query);
[[nodiscard]] std::string encode(const Graph& query);

// ---- what answers hold

struct Ticket {
  std::string id;
  SessionId session;
  std::string owner;
  Mode mode = Mode::exclusive;
  bool is_held = false;
  std::uint64_t token = 0;  // Zero while it waits.
  std::uint32_t count = 1;
  std::uint32_t take = 1;
  std::uint64_t position = 0;  // 0: held; 1: the next.
  std::int64_t since_ms = 0;   // Wall time: of the asking.
  std::int64_t held_ms = 0;    // Wall time: of the grant.
  std::string data;
};
// Of acquire, leave, show-ticket, and of the refusal lock-held (then `ticket` is empty).
struct TicketAnswer {
  std::string name;
  Ticket ticket;
  std::uint32_t permits = 0;
  std::uint64_t holder_count = 0;
  std::vector<Ticket> holders;
  bool is_own_session = false;  // The ticket's session was brought by it, for it alone.
};
struct LockAnswer {
  std::string name;
  std::uint64_t token = 0;  // The highest ever given.
  std::uint32_t permits = 0;
  std::int64_t delay_ms = 0;  // Of service time: as long as a lock-delay still runs.
  std::uint64_t holder_count = 0;
  std::uint64_t waiter_count = 0;
  std::vector<Ticket> holders;
  std::vector<Ticket> queue;
};
struct ListAnswer {
  std::vector<LockAnswer> locks;  // Without their queues.
  bool is_last = true;
};
// One who waits, and for whom.
struct WaitEdge {
  std::string lock;
  Ticket ticket;
  std::vector<Ticket> waits_for;
};
struct GraphAnswer {
  std::vector<WaitEdge> edges;
  bool is_last = true;
};
// Each of the circle waits for `lock`, which the next one has, or stands before it in the queue of;
// the last waits for the first.
struct CircleAnswer {
  struct Member {
    SessionId session;
    std::string owner;
    std::string lock;
    std::string ticket;
  };
  std::vector<Member> members;
};

// Each is false for bytes of another kind of answer.
[[nodiscard]] bool decode(std::string_view bytes, TicketAnswer& answer);
[[nodiscard]] bool decode(std::string_view bytes, LockAnswer& answer);
[[nodiscard]] bool decode(std::string_view bytes, ListAnswer& answer);
[[nodiscard]] bool decode(std::string_view bytes, GraphAnswer& answer);
[[nodiscard]] bool decode(std::string_view bytes, CircleAnswer& answer);

// ---- what the table of recipes calls

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);
void settle(Step& step, std::string_view name);
[[nodiscard]] std::optional<std::int64_t> deadline(const Look& look, const Place& place);
void due(Step& step, const Place& place);
[[nodiscard]] bool holds(const Look& look, std::string_view name, std::uint64_t token);

}  // namespace coord::recipes::lock
