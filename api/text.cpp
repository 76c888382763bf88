#include "api/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace coord::api {
namespace {

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::int64_t kDurationMax = 10LL * 366 * 24 * 3600 * 1000;

constexpr int hex_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool is_unreserved(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~' || c == '/';
}

constexpr std::array<std::int8_t, 256> base64_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (int i = 0; i < 64; ++i) {
    values[static_cast<unsigned char>(kBase64[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kBase64Values = base64_values();

template <class T>
std::optional<T> parse_whole(std::string_view text) noexcept {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

void append_padded(std::string& out, int value, int width) {
  char digits[10];
  for (int i = width - 1; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out.append(digits, static_cast<std::size_t>(width));
}

struct Civil {
  int year, month, day, hour, minute, second, weekday;
};

// Days since the epoch to a civil date, after Howard Hinnant's "chrono-compatible low-level date
// algorithms": no locale and no system call.
Civil civil_of(std::int64_t seconds) noexcept {
  std::int64_t days = seconds / 86400;
  std::int64_t rest = seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  const std::int64_t z = days + 719468;
  const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const std::int64_t doe = z - era * 146097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  const auto day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  const auto month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  const auto year = static_cast<int>(yoe + era * 400 + (month <= 2 ? 1 : 0));
  const auto weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  return {year,
          month,
          day,
          static_cast<int>(rest / 3600),
          static_cast<int>(rest / 60 % 60),
          static_cast<int>(rest % 60),
          weekday};
}

void append_clock(std::string& out, const Civil& c) {
  append_padded(out, c.hour, 2);
  out += ':';
  append_padded(out, c.minute, 2);
  out += ':';
  append_padded(out, c.second, 2);
}

}  // namespace

bool iequals(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool list_has(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (iequals(trim(list.substr(0, comma)), word)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

bool percent_decode(std::string_view text, bool plus_is_space, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return false;
      const int high = hex_of(text[i + 1]);
      const int low = hex_of(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += c == '+' && plus_is_space ? ' ' : c;
    }
  }
  return true;
}

void append_percent_encoded(std::string& out, std::string_view path) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : path) {
    if (is_unreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

bool parse_query(std::string_view query, std::vector<QueryParameter>& out) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    if (!pair.empty()) {
      const auto equals = pair.find('=');
      auto& parameter = out.emplace_back();
      if (!percent_decode(pair.substr(0, equals), true, parameter.first)) return false;
      if (equals != std::string_view::npos &&
          !percent_decode(pair.substr(equals + 1), true, parameter.second)) {
        return false;
      }
    }
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return true;
}

std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept {
  return parse_whole<std::uint64_t>(text);
}

std::optional<std::int64_t> parse_i64(std::string_view text) noexcept {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return parse_whole<std::int64_t>(text);
}

std::optional<bool> parse_bool(std::string_view text) noexcept {
  if (text == "true" || text == "1" || text.empty()) return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

std::optional<std::int64_t> parse_duration_ms(std::string_view text) noexcept {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_u64(text.substr(0, digits));
  const auto unit = text.substr(digits);
  if (!number || *number > static_cast<std::uint64_t>(kDurationMax)) return std::nullopt;
  std::int64_t factor = 0;
  if (unit == "ms") {
    factor = 1;
  } else if (unit == "s") {
    factor = 1000;
  } else if (unit == "m") {
    factor = 60'000;
  } else if (unit == "h") {
    factor = 3'600'000;
  } else if (unit.empty() && *number == 0) {
    factor = 1;
  } else {
    return std::nullopt;
  }
  const auto count = static_cast<std::int64_t>(*number);
  if (count > kDurationMax / factor) return std::nullopt;
  return count * factor;
}

std::optional<std::uint64_t> parse_etag(std::string_view text) noexcept {
  text = trim(text);
  if (text.starts_with("W/")) {
    text.remove_prefix(2);
    if (text.size() < 2 || text.front() != '"') return std::nullopt;
  }
  if (!text.empty() && text.front() == '"') {
    if (text.size() < 3 || text.back() != '"') return std::nullopt;
    text = text.substr(1, text.size() - 2);
  }
  return parse_u64(text);
}

void append_number(std::string& out, std::uint64_t value) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, static_cast<std::size_t>(end - digits));
}

void append_signed(std::string& out, std::int64_t value) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, static_cast<std::size_t>(end - digits));
}

void append_rfc3339(std::string& out, std::int64_t wall_ms) {
  const std::int64_t seconds = wall_ms >= 0 ? wall_ms / 1000 : (wall_ms - 999) / 1000;
  const Civil c = civil_of(seconds);
  append_padded(out, c.year, 4);
  out += '-';
  append_padded(out, c.month, 2);
  out += '-';
  append_padded(out, c.day, 2);
  out += 'T';
  append_clock(out, c);
  out += '.';
  append_padded(out, static_cast<int>(wall_ms - seconds * 1000), 3);
  out += 'Z';
}

void append_http_date(std::string& out, std::int64_t wall_seconds) {
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const Civil c = civil_of(wall_seconds);
  out += kDays.substr(static_cast<std::size_t>(c.weekday) * 3, 3);
  out += ", ";
  append_padded(out, c.day, 2);
  out += ' ';
  out += kMonths.substr(static_cast<std::size_t>(c.month - 1) * 3, 3);
  out += ' ';
  append_padded(out, c.year, 4);
  out += ' ';
  append_clock(out, c);
  out += " GMT";
}

void append_base64(std::string& out, std::string_view bytes) {
  const auto at = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
  };
  std::size_t i = 0;
  for (; i + 2 < bytes.size(); i += 3) {
    const unsigned v = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    const char four[] = {kBase64[v >> 18], kBase64[v >> 12 & 63], kBase64[v >> 6 & 63],
                         kBase64[v & 63]};
    out.append(four, 4);
  }
  if (i < bytes.size()) {
    const bool two = i + 1 < bytes.size();
    const unsigned v = at(i) << 16 | (two ? at(i + 1) << 8 : 0);
    out += kBase64[v >> 18];
    out += kBase64[v >> 12 & 63];
    out += two ? kBase64[v >> 6 & 63] : '=';
    out += '=';
  }
}

std::string base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  append_base64(out, bytes);
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool is_last = i + 4 == text.size();
    const std::size_t missing = is_last ? padding : 0;
    unsigned v = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      int six = 0;
      if (j < 4 - missing) six = kBase64Values[static_cast<unsigned char>(text[i + j])];
      if (six < 0) return std::nullopt;
      v = v << 6 | static_cast<unsigned>(six);
    }
    // Bits that the padding cuts off must be zero, so that each value has one spelling.
    if ((missing == 1 && (v & 0xff) != 0) || (missing == 2 && (v & 0xffff) != 0)) {
      return std::nullopt;
    }
    out += static_cast<char>(v >> 16);
    if (missing < 2) out += static_cast<char>(v >> 8 & 0xff);
    if (missing < 1) out += static_cast<char>(v & 0xff);
  }
  return out;
}

void append_hex(std::string& out, std::uint64_t value) {
  constexpr char kHex[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) out += kHex[value >> shift & 15];
}

std::string encode_cursor(std::string_view last) {
  std::string out = base64(last);
  while (!out.empty() && out.back() == '=') out.pop_back();
  for (char& c : out) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  // A prefix of our own, so that an empty name has a cursor and foreign text is told apart.
  return "c" + out;
}

std::optional<std::string> decode_cursor(std::string_view text) {
  if (!text.starts_with('c')) return std::nullopt;
  std::string plain(text.substr(1));
  for (char& c : plain) {
    if (c == '+' || c == '/' || c == '=') return std::nullopt;
    if (c == '-') c = '+';
    if (c == '_') c = '/';
  }
  if (plain.size() % 4 == 1) return std::nullopt;
  while (plain.size() % 4 != 0) plain += '=';
  return base64_decode(plain);
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> known) {
  if (name.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 2) + 1;
  for (const auto candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= name.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j < row.size(); ++j) {
        const std::size_t above = row[j];
        const std::size_t change = diagonal + (name[i - 1] == candidate[j - 1] ? 0 : 1);
        row[j] = std::min({above + 1, row[j - 1] + 1, change});
        diagonal = above;
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace coord::api
