// The halves of the codec of elections that only coord/recipes needs.
#pragma once

#include <string>
#include <string_view>

#include "coord/recipes/election.hpp"

namespace coord::recipes::election {

// Is it the name of a candidate's node?
[[nodiscard]] bool is_candidate(std::string_view id) noexcept;
inline constexpr std::string_view kLatch = "-latch-";

// Each is false for bytes of another kind, and for what is out of its bounds.
[[nodiscard]] bool decode(std::string_view bytes, Join& op);
[[nodiscard]] bool decode(std::string_view bytes, Post& op);
[[nodiscard]] bool decode(std::string_view bytes, Resign& op);
[[nodiscard]] bool decode(std::string_view bytes, Transfer& op);
[[nodiscard]] bool decode(std::string_view bytes, Show& query);
[[nodiscard]] bool decode(std::string_view bytes, ShowCandidate& query);
[[nodiscard]] bool decode(std::string_view bytes, List& query);

[[nodiscard]] std::string encode(const CandidateAnswer& answer);
[[nodiscard]] std::string encode(const ElectionAnswer& answer);
[[nodiscard]] std::string encode(const ListAnswer& answer);

}  // namespace coord::recipes::election
