// HttpParser: one HTTP/1 request at a time, by Beast's parser.
//
// Keeps only the headers that the API knows, and the body, in strings that the next request uses
// again. Bounds the header's and the body's bytes. Does no I/O. Beast stays inside the source.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/http_options.hpp"
#include "api/request_view.hpp"

namespace coord::api {

class HttpParser {
 public:
  enum class Status : std::uint8_t { need_more, done, failed };
  enum class Failure : std::uint8_t { none, malformed, header_too_large, body_too_large };

  explicit HttpParser(const HttpOptions& options);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Makes ready for the next request.
  void reset();
  // Takes bytes; `used` says how many. On need_more the rest must come again, with more behind it.
  [[nodiscard]] Status put(std::string_view bytes, std::size_t& used);

  [[nodiscard]] bool has_header() const noexcept;
  // After has_header().
  [[nodiscard]] bool keep_alive() const noexcept;
  [[nodiscard]] bool is_http10() const noexcept;
  [[nodiscard]] bool expects_continue() const noexcept;
  [[nodiscard]] std::size_t body_bytes() const noexcept;
  // Valid until reset(). Complete after done; on a failure as much as was understood.
  [[nodiscard]] const RequestView& view();

  [[nodiscard]] Failure failure() const noexcept;
  [[nodiscard]] const std::string& detail() const noexcept;  // For people, after a failure.
  [[nodiscard]] std::size_t limit() const noexcept;          // The one that was exceeded.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::api
