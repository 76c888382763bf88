// RequestView: one parsed HTTP request as the pure part of the edge sees it.
//
// Views into the connection's buffers, valid during the call that gets them.
#pragma once

#include <cstdint>
#include <string_view>

namespace coord::api {

enum class Method : std::uint8_t { get, head, put, post, patch, erase, options, other };

[[nodiscard]] constexpr std::string_view word_of(Method method) noexcept {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::put:
      return "PUT";
    case Method::post:
      return "POST";
    case Method::patch:
      return "PATCH";
    case Method::erase:
      return "DELETE";
    case Method::options:
      return "OPTIONS";
    case Method::other:
      break;
  }
  return "OTHER";
}

// May it change anything?
[[nodiscard]] constexpr bool is_writing(Method method) noexcept {
  return method == Method::put || method == Method::post || method == Method::patch ||
         method == Method::erase;
}

// The headers that the API knows; the others are ignored. Empty: not there (see `empty`).
struct Headers {
  std::string_view accept;
  std::string_view accept_encoding;
  std::string_view authorization;
  std::string_view content_type;
  std::string_view content_encoding;
  std::string_view if_match;
  std::string_view if_none_match;
  std::string_view last_event_id;
  std::string_view session;          // Coord-Session
  std::string_view fence;            // Coord-Fence, several joined by comma
  std::string_view idempotency_key;  // Idempotency-Key
  std::string_view host;
  std::string_view origin;
  std::string_view cors_method;   // Access-Control-Request-Method
  std::string_view cors_headers;  // Access-Control-Request-Headers
  // The first header that may stand once only and stood twice, or empty.
  std::string_view repeated;
  // A guard, session or key that is there without a value, or empty.
  std::string_view empty;
};

struct RequestView {
  Method method = Method::get;
  std::string_view target;
  Headers headers;
  std::string_view body;
};

}  // namespace coord::api
