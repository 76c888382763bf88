// The inside of barriers: what their bytes decode to, and how answers are written.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "coord/recipes/barrier.hpp"

namespace coord::recipes::barrier {

// monostate: malformed.
using Op = std::variant<std::monostate, Enter, GiveUp, Leave, Left>;
using Query = std::variant<std::monostate, Get, GetTicket, ListQuery>;

[[nodiscard]] Op decode_op(std::string_view bytes);
[[nodiscard]] Query decode_query(std::string_view bytes);
[[nodiscard]] std::string encode(const Entered& answer);
[[nodiscard]] std::string encode(const View& answer);
[[nodiscard]] std::string encode(const Summary& answer);

}  // namespace coord::recipes::barrier
