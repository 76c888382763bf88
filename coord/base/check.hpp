// COORD_CHECK: a broken invariant ends the process, in every build.
//
// Use it for what only a bug of ours can break; never for input, a disk or a peer.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace coord {

// Prints "check failed" with the condition, the place and the message to stderr, and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               std::string_view message) noexcept;

namespace detail {
[[noreturn]] inline void check_failed_with(const char* condition, const char* file, int line,
                                           std::string_view what) noexcept {
  check_failed(condition, file, line, what);
}
template <class... Args>
[[noreturn]] void check_failed_with(const char* condition, const char* file, int line,
                                    std::string_view what, const Args&... args) noexcept {
  std::string text(what);
  ((text += fmt::format(" {}", args)), ...);
  check_failed(condition, file, line, text);
}
}  // namespace detail

}  // namespace coord

// COORD_CHECK(condition, "what", values...): the values are formatted only on failure.
#define COORD_CHECK(condition, ...)                                                    \
  do {                                                                                 \
    if (!(condition)) [[unlikely]] {                                                   \
      ::coord::detail::check_failed_with(#condition, __FILE__, __LINE__, __VA_ARGS__); \
    }                                                                                  \
  } while (false)
