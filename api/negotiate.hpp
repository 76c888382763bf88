// Content negotiation: which form an answer takes, and which type a value is served with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coord::api {

enum class Format : std::uint8_t { raw, json, event_stream, ndjson };

// What a route can answer with.
enum FormatSet : std::uint8_t {
  offers_raw = 1,
  offers_json = 2,
  offers_event_stream = 4,
  offers_ndjson = 8,
};

// By the highest q, then the first named; no Accept gives the lowest format of `offered`. None:
// 406.
[[nodiscard]] std::optional<Format> choose_format(std::string_view accept, std::uint8_t offered);

// May the answer be compressed with gzip?
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);

// The type that a value is stored with: what `curl -d` sends by itself counts as none.
[[nodiscard]] std::string_view stored_content_type(std::string_view content_type) noexcept;
// The type that a value is served with; types that a browser would run are text/plain.
[[nodiscard]] std::string_view served_content_type(std::string_view stored,
                                                   std::string_view value) noexcept;

}  // namespace coord::api
