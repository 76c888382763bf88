// The inside of queues: what their bytes decode to, and how answers are written.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "coord/recipes/queue.hpp"

namespace coord::recipes::queue {

// monostate: malformed.
using Op =
    std::variant<std::monostate, Put, Take, Claim, Withdraw, Acknowledge, Renew, Configure, Remove>;
using Query = std::variant<std::monostate, Get, Items, ListQuery>;

[[nodiscard]] Op decode_op(std::string_view bytes);
[[nodiscard]] Query decode_query(std::string_view bytes);
[[nodiscard]] std::string encode(const PutDone& answer);
[[nodiscard]] std::string encode(const Taken& answer);
[[nodiscard]] std::string encode(const Counts& answer);
[[nodiscard]] std::string encode(const Item& answer);

}  // namespace coord::recipes::queue
