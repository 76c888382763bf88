// The halves of the codec of locks that only coord/recipes needs: steps and queries are read, and
// answers written, where they are carried out.
#pragma once

#include <string>
#include <string_view>

#include "coord/recipes/lock.hpp"

namespace coord::recipes::lock {

// Each is false for bytes of another kind, and for what is out of its bounds.
[[nodiscard]] bool decode(std::string_view bytes, Acquire& op);
[[nodiscard]] bool decode(std::string_view bytes, Release& op);
[[nodiscard]] bool decode(std::string_view bytes, Leave& op);
[[nodiscard]] bool decode(std::string_view bytes, Show& query);
[[nodiscard]] bool decode(std::string_view bytes, ShowTicket& query);
[[nodiscard]] bool decode(std::string_view bytes, List& query);
[[nodiscard]] bool decode(std::string_view bytes, Graph& query);

[[nodiscard]] std::string encode(const TicketAnswer& answer);
[[nodiscard]] std::string encode(const LockAnswer& answer);
[[nodiscard]] std::string encode(const ListAnswer& answer);
[[nodiscard]] std::string encode(const GraphAnswer& answer);
[[nodiscard]] std::string encode(const CircleAnswer& answer);

}  // namespace coord::recipes::lock
