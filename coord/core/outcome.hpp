// Outcome: what apply() says of one command. The same on every member.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "coord/base/code.hpp"
#include "coord/core/request.hpp"

namespace coord::core {

struct Outcome {
  Code code = Code::ok;
  std::string detail;
  std::string path;
  Zxid revision;
  std::optional<znode::Stat> present;
  std::optional<session::EndReason> end_reason;
  bool was_applied_before = false;
  ResultValue result;  // monostate, Written, TxnResult, SessionOpened or RecipeResult.
};

// Of what an operation was refused for, at this path.
[[nodiscard]] Outcome refusal(Code code, std::string path, std::string detail);

// The form that the retry window keeps. was_applied_before is not part of it.
[[nodiscard]] std::string encode(const Outcome& outcome);
// False when the bytes are malformed.
[[nodiscard]] bool decode(std::string_view bytes, Outcome& outcome);

// Makes the Reply to a request out of it.
[[nodiscard]] Reply reply_of(ConnectionId connection, RequestId id, Outcome&& outcome);

}  // namespace coord::core
