// Text: the small conversions between what people type and what the API takes. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coord::cli {

// "/app/web" + "../db" -> "/app/db". An absolute path ignores `from`; "." and ".." are resolved,
// doubled and trailing slashes go; ".." of the root is the root.
[[nodiscard]] std::string resolve_path(std::string_view from, std::string_view path);
// "/a/b" -> "/a", "/a" -> "/", "/" -> "/".
[[nodiscard]] std::string parent_path(std::string_view path);
// "/a/b" -> "b", "/" -> "".
[[nodiscard]] std::string base_name(std::string_view path);

// Of ASCII letters.
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

// Percent-encodes all but unreserved characters; `keep_slash` leaves "/" for paths.
[[nodiscard]] std::string percent_encoded(std::string_view text, bool keep_slash);

[[nodiscard]] std::string base64_encoded(std::string_view bytes);
// None if `text` is not base64.
[[nodiscard]] std::optional<std::string> base64_decoded(std::string_view text);

// "250ms", "30s", "5m", "2h", "1d"; "1.5s" too. None for anything else and for overflow.
[[nodiscard]] std::optional<std::int64_t> parse_duration_ms(std::string_view text);
// The shortest exact form of it: 1500 -> "1500ms", 30000 -> "30s".
[[nodiscard]] std::string format_duration_ms(std::int64_t ms);
// A duration for people, one or two units: "0.8s", "4m12s", "3h2m".
[[nodiscard]] std::string rough_duration(std::int64_t ms);

// Milliseconds since the epoch as "2026-11-21T19:58:02Z".
[[nodiscard]] std::string format_time(std::int64_t ms);

// "2026-11-21T19:58:02.123Z" as milliseconds since the epoch; none for anything else.
[[nodiscard]] std::optional<std::int64_t> parse_time_ms(std::string_view text);

// Words of a command line: blanks separate; '...' takes everything, "..." knows \" and \\, and a
// backslash outside of quotes takes the next character. `#` at the start of a word ends the line.
struct Words {
  std::vector<std::string> words;
  bool is_open = false;  // A quote was never closed, or the line ends in a backslash.
};
[[nodiscard]] Words split_words(std::string_view line);
// The word so that split_words gives it back: quoted only if it has to be.
[[nodiscard]] std::string quoted(std::string_view word);

// Control characters and bytes that are not UTF-8 as \n, \t, \x1b, so that a value cannot drive
// the terminal.
[[nodiscard]] std::string escaped(std::string_view text);
// Columns that the text takes: code points, which is right for everything but wide scripts.
[[nodiscard]] std::size_t width_of(std::string_view text) noexcept;
// At most `columns` wide; "..." stands for what was cut.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t columns);

}  // namespace coord::cli
