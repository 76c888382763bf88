#include "session/session.hpp"

#include <charconv>
#include <cstddef>

namespace coord::session {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

// The value of a hexadecimal digit in either case, or -1.
int value_of(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool parse_secret(std::string_view text, Secret& secret) noexcept {
  if (text.size() != 2 * secret.size()) return false;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const int high = value_of(text[2 * i]);
    const int low = value_of(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    secret[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

bool parse_id(std::string_view text, SessionId& id) noexcept {
  if (text.empty() || text.front() == '0') return false;
  std::uint64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return false;
  id = SessionId(value);
  return true;
}

}  // namespace

std::string_view word_of(EndReason reason) noexcept {
  switch (reason) {
    case EndReason::closed:
      return "closed";
    case EndReason::expired:
      return "expired";
    case EndReason::killed:
      return "killed";
  }
  return "unknown";
}

bool is_same_secret(const Secret& a, const Secret& b) noexcept {
  // The volatile keeps the compiler from leaving the loop at the first difference.
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

std::string token_of(SessionId id, const Secret& secret) {
  std::string token = std::to_string(id.value());
  token.reserve(token.size() + 1 + 2 * secret.size());
  token.push_back('.');
  for (const auto byte : secret) {
    token.push_back(kDigits[byte >> 4]);
    token.push_back(kDigits[byte & 0xf]);
  }
  return token;
}

bool parse_token(std::string_view text, SessionId& id, Secret& secret) {
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return false;
  SessionId parsed_id;
  Secret parsed_secret{};
  if (!parse_id(text.substr(0, dot), parsed_id)) return false;
  if (!parse_secret(text.substr(dot + 1), parsed_secret)) return false;
  id = parsed_id;
  secret = parsed_secret;
  return true;
}

}  // namespace coord::session
