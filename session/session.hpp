// Session: what the replicated state knows of one client's session.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "coord/base/ids.hpp"

namespace coord::session {

using Secret = std::array<std::uint8_t, 16>;  // Also ZooKeeper's session password. Never logged.

enum class EndReason : std::uint8_t { closed = 1, expired = 2, killed = 3 };

[[nodiscard]] std::string_view word_of(EndReason reason) noexcept;  // "closed", ...

struct Session {
  SessionId id;
  Secret secret{};
  std::int64_t ttl_ms = 0;
  std::string name;            // What the client calls itself; may be empty.
  std::string address;         // Where it was opened from.
  std::int64_t opened_ms = 0;  // Wall time, shown only.
  Zxid attached;  // The entry that gave it to its present connection: at first the one that opened.
  friend bool operator==(const Session&, const Session&) = default;
};

// "<id>.<secret>": the decimal id and 32 hexadecimal digits.
[[nodiscard]] std::string token_of(SessionId id, const Secret& secret);
// Compares in a time that does not depend on the bytes, so that a guesser learns nothing from it.
[[nodiscard]] bool is_same_secret(const Secret& a, const Secret& b) noexcept;
// False when the text is not such a token: the id is canonical (no sign, no leading zero, not 0).
// Does not say whether the session exists.
[[nodiscard]] bool parse_token(std::string_view text, SessionId& id, Secret& secret);

}  // namespace coord::session
