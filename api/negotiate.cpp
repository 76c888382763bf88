#include "api/negotiate.hpp"

#include <algorithm>
#include <array>

#include "api/text.hpp"
#include "znode/path.hpp"

namespace coord::api {
namespace {

constexpr std::string_view kPlain = "text/plain; charset=utf-8";
constexpr std::string_view kOctets = "application/octet-stream";

// q in thousandths; malformed ones count as 1, as most servers take them.
int quality_of(std::string_view parameters) noexcept {
  while (!parameters.empty()) {
    const auto end = parameters.find(';');
    const auto parameter = trim(parameters.substr(0, end));
    if (parameter.size() >= 3 && (parameter[0] == 'q' || parameter[0] == 'Q') &&
        parameter[1] == '=') {
      const auto text = parameter.substr(2);
      if (text[0] != '0' && text[0] != '1') return 1000;
      int value = (text[0] - '0') * 1000;
      if (text.size() > 1 && text[1] == '.') {
        int unit = 100;
        for (const char c : text.substr(2)) {
          if (c < '0' || c > '9') break;
          value += (c - '0') * unit;
          unit /= 10;
        }
      }
      return std::min(value, 1000);
    }
    if (end == std::string_view::npos) break;
    parameters.remove_prefix(end + 1);
  }
  return 1000;
}

std::optional<Format> lowest(std::uint8_t offered) noexcept {
  if ((offered & offers_raw) != 0) return Format::raw;
  if ((offered & offers_json) != 0) return Format::json;
  if ((offered & offers_event_stream) != 0) return Format::event_stream;
  if ((offered & offers_ndjson) != 0) return Format::ndjson;
  return std::nullopt;
}

std::optional<Format> format_of(std::string_view range, std::uint8_t offered) noexcept {
  const auto offers = [&](std::uint8_t one) { return (offered & one) != 0; };
  if (range == "*/*") return lowest(offered);
  if (offers(offers_event_stream) && iequals(range, "text/event-stream")) {
    return Format::event_stream;
  }
  if (offers(offers_ndjson) &&
      (iequals(range, "application/x-ndjson") || iequals(range, "application/ndjson"))) {
    return Format::ndjson;
  }
  if (offers(offers_json) &&
      (iequals(range, "application/json") || iequals(range, "application/problem+json"))) {
    return Format::json;
  }
  const auto slash = std::min(range.find('/'), range.size());
  const auto type = range.substr(0, slash);
  if (offers(offers_raw)) {
    if (iequals(type, "text") || iequals(range, kOctets) || iequals(range, "application/*")) {
      return Format::raw;
    }
    return std::nullopt;
  }
  if (iequals(range, "application/*")) {
    if (offers(offers_json)) return Format::json;
    if (offers(offers_ndjson)) return Format::ndjson;
  }
  if (iequals(range, "text/*") && offers(offers_event_stream)) return Format::event_stream;
  return std::nullopt;
}

}  // namespace

std::optional<Format> choose_format(std::string_view accept, std::uint8_t offered) {
  if (trim(accept).empty() || accept == "*/*") return lowest(offered);
  std::optional<Format> best;
  int best_quality = 0;
  while (true) {
    const auto end = accept.find(',');
    const auto item = accept.substr(0, end);
    const auto semicolon = std::min(item.find(';'), item.size());
    const auto quality =
        quality_of(semicolon < item.size() ? item.substr(semicolon + 1) : std::string_view{});
    const auto format = format_of(trim(item.substr(0, semicolon)), offered);
    if (format && quality > best_quality) {
      best = format;
      best_quality = quality;
    }
    if (end == std::string_view::npos) return best;
    accept.remove_prefix(end + 1);
  }
}

bool accepts_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const auto end = accept_encoding.find(',');
    const auto item = accept_encoding.substr(0, end);
    const auto semicolon = std::min(item.find(';'), item.size());
    const auto name = trim(item.substr(0, semicolon));
    if (iequals(name, "gzip") || name == "*") {
      return quality_of(semicolon < item.size() ? item.substr(semicolon + 1) : std::string_view{}) >
             0;
    }
    if (end == std::string_view::npos) break;
    accept_encoding.remove_prefix(end + 1);
  }
  return false;
}

std::string_view stored_content_type(std::string_view content_type) noexcept {
  const auto bare = trim(content_type.substr(0, content_type.find(';')));
  if (iequals(bare, "application/x-www-form-urlencoded")) return {};
  return content_type;
}

std::string_view served_content_type(std::string_view stored, std::string_view value) noexcept {
  if (stored.empty()) return znode::is_valid_utf8(value) ? kPlain : kOctets;
  // Another door than HTTP may have stored anything: what cannot stand in a header is not sent.
  if (std::any_of(stored.begin(), stored.end(), [](char c) { return c < 0x20 || c > 0x7e; })) {
    return kOctets;
  }
  constexpr std::array<std::string_view, 4> kActive = {"text/html", "application/xhtml+xml",
                                                       "image/svg+xml", "text/vbscript"};
  // A comma would let a browser see several types and take the last.
  const auto bare = trim(stored.substr(0, stored.find_first_of(";,")));
  const auto is_active = std::any_of(kActive.begin(), kActive.end(),
                                     [&](std::string_view type) { return iequals(type, bare); });
  const auto subtype = bare.substr(std::min(bare.find('/') + 1, bare.size()));
  const bool is_script =
      subtype.size() >= 10 && (iequals(subtype.substr(subtype.size() - 10), "javascript") ||
                               iequals(subtype.substr(subtype.size() - 10), "ecmascript"));
  if (is_active || is_script || iequals(subtype, "jscript") || iequals(subtype, "livescript") ||
      stored.find(',') != std::string_view::npos) {
    return kPlain;
  }
  return stored;
}

}  // namespace coord::api
