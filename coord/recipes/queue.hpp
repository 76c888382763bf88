// Queue: work handed out first come, first served, and again if it is not acknowledged in time.
//
// Nodes under /.coord/queues/NAME, whose value is a record (bytes, max_deliveries):
//   items/ITEM    the value as it was put; ITEM is the zxid of the entry that put it, padded
//   ready/ITEM    a record (deliveries): nobody has it
//   leased/ITEM   a record (lease, until, deliveries; ticket while nobody has claimed it)
//   dead/ITEM     a record (deliveries): delivered too often
//   takers/TICKET an ephemeral record (lease_ms, own; item and lease once it has one)
//
// Invariants between entries: each item is in exactly one of ready, leased and dead; there is a
// ready item or a waiting taker, never both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "coord/recipes/listing.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::recipes::queue {

inline constexpr std::size_t kItemsMax = 100'000;
inline constexpr std::int64_t kBytesMax = 64LL << 20;
inline constexpr std::size_t kTakersMax = 10'000;
inline constexpr std::int64_t kLeaseMsMin = 100;
inline constexpr std::int64_t kLeaseMsMax = 24LL * 3600 * 1000;
inline constexpr std::int64_t kLeaseMsDefault = 30'000;
inline constexpr std::uint32_t kDeliveriesMax = 1'000'000;

// ---- steps

struct Put {
  std::string name;
  std::string value;
  std::string content_type;
};
// The first item that is ready, under a lease. None: with `waits` a ticket that stands in line.
struct Take {
  std::string name;
  std::int64_t lease_ms = kLeaseMsDefault;
  bool waits = false;
};
// Of a ticket that waited: its item, if it has one by now. Gone: nothing came.
struct Claim {
  std::string name;
  std::uint64_t ticket = 0;
  bool own = false;  // The acting session was made for the ticket and ends with it.
};
// Leaves the line; what the ticket was given goes back.
struct Withdraw {
  std::string name;
  std::uint64_t ticket = 0;
  bool own = false;
};
// Done with it. Without a lease (0): a dead item is thrown away.
struct Acknowledge {
  std::string name;
  std::uint64_t item = 0;
  std::uint64_t lease = 0;
};
// The lease ends `for_ms` from now; with 0 the item is given back at once. Without a lease: a dead
// item is ready again.
struct Renew {
  std::string name;
  std::uint64_t item = 0;
  std::uint64_t lease = 0;
  std::int64_t for_ms = 0;
};
// After so many deliveries that were not acknowledged an item is dead; 0: never.
struct Configure {
  std::string name;
  std::uint32_t max_deliveries = 0;
};
struct Remove {
  std::string name;
  bool with_items = false;
};

// ---- queries

struct Get {
  std::string name;
};
// The entries hold an Item each.
struct Items {
  std::string name;
  ListQuery list;
  bool with_values = false;
};

// ---- answers

struct PutDone {
  std::uint64_t item = 0;
};
struct Taken {
  std::uint64_t item = 0;  // 0: nothing was there.
  std::uint64_t lease = 0;
  std::uint32_t deliveries = 0;
  std::string value;
  std::string content_type;
};
struct Counts {
  std::uint64_t ready = 0;
  std::uint64_t leased = 0;
  std::uint64_t dead = 0;
  std::uint64_t waiting = 0;
  std::int64_t bytes = 0;
  std::uint32_t max_deliveries = 0;
};
enum class ItemState : std::uint8_t { ready = 1, leased = 2, dead = 3 };
struct Item {
  ItemState state = ItemState::ready;
  std::uint32_t deliveries = 0;
  std::int64_t put_ms = 0;   // Wall time.
  std::int64_t left_ms = 0;  // Of a lease, in service time.
  std::uint64_t size = 0;
  std::string value;
};

[[nodiscard]] std::string encode(const Put& op);
[[nodiscard]] std::string encode(const Take& op);
[[nodiscard]] std::string encode(const Claim& op);
[[nodiscard]] std::string encode(const Withdraw& op);
[[nodiscard]] std::string encode(const Acknowledge& op);
[[nodiscard]] std::string encode(const Renew& op);
[[nodiscard]] std::string encode(const Configure& op);
[[nodiscard]] std::string encode(const Remove& op);
[[nodiscard]] std::string encode(const Get& query);
[[nodiscard]] std::string encode(const Items& query);
// The entries hold Counts each.
[[nodiscard]] std::string encode(const ListQuery& query);
[[nodiscard]] bool decode(std::string_view bytes, PutDone& answer);
[[nodiscard]] bool decode(std::string_view bytes, Taken& answer);
[[nodiscard]] bool decode(std::string_view bytes, Counts& answer);
[[nodiscard]] bool decode(std::string_view bytes, Item& answer);

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);
// What a ticket that has gone was given goes back; ready items go to waiting takers.
void settle(Step& step, std::string_view name);
[[nodiscard]] std::optional<std::int64_t> deadline(const Look& look, const Place& place);
void due(Step& step, const Place& place);

}  // namespace coord::recipes::queue
