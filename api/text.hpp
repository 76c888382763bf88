// text: the small pure pieces of HTTP's and the API's syntax.
//
// Percent-decoding, queries, durations, entity tags, base64, times, numbers. Nothing here knows a
// route or allocates more than its result. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/base/ids.hpp"

namespace coord::api {

[[nodiscard]] bool iequals(std::string_view a, std::string_view b) noexcept;
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;
// Is `word` an element of the comma-separated list, without regard to case?
[[nodiscard]] bool list_has(std::string_view list, std::string_view word) noexcept;

// Appends the decoded text; false on a "%" without two hexadecimal digits. "+" becomes a space only
// with `plus_is_space` (queries, never paths).
[[nodiscard]] bool percent_decode(std::string_view text, bool plus_is_space, std::string& out);
// Appends a path as it stands in a URL: everything but unreserved characters and "/" is encoded.
void append_percent_encoded(std::string& out, std::string_view path);

using QueryParameter = std::pair<std::string, std::string>;
// Splits "a=1&b=2" and decodes it once. False on malformed percent-encoding.
[[nodiscard]] bool parse_query(std::string_view query, std::vector<QueryParameter>& out);

// Whole text, digits only, no sign.
[[nodiscard]] std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept;
// Whole text, with an optional sign.
[[nodiscard]] std::optional<std::int64_t> parse_i64(std::string_view text) noexcept;
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text) noexcept;
// "250ms", "30s", "2m", "1h"; "0" alone is allowed. Milliseconds; none if malformed or above ten
// years.
[[nodiscard]] std::optional<std::int64_t> parse_duration_ms(std::string_view text) noexcept;
// `"42"`, `42` and `W/"42"`.
[[nodiscard]] std::optional<std::uint64_t> parse_etag(std::string_view text) noexcept;

void append_number(std::string& out, std::uint64_t value);
void append_signed(std::string& out, std::int64_t value);
// "2026-11-21T19:58:02.123Z" of milliseconds since the epoch.
void append_rfc3339(std::string& out, std::int64_t wall_ms);
// "Sat, 21 Nov 2026 19:58:02 GMT" of seconds since the epoch.
void append_http_date(std::string& out, std::int64_t wall_seconds);

void append_base64(std::string& out, std::string_view bytes);
[[nodiscard]] std::string base64(std::string_view bytes);
// Strict: the alphabet and the padding must be right.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
void append_hex(std::string& out, std::uint64_t value);

// A page's cursor: opaque to clients, base64url of the last name of the page.
[[nodiscard]] std::string encode_cursor(std::string_view last);
// None if it is not one of ours.
[[nodiscard]] std::optional<std::string> decode_cursor(std::string_view text);

// The known name that is nearest to `name`, or empty when none is near.
[[nodiscard]] std::string_view nearest(std::string_view name,
                                       std::span<const std::string_view> known);

}  // namespace coord::api
