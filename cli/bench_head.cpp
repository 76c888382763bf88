// parse_head: apart from the sending, so that its test needs no network.
#include <algorithm>
#include <charconv>

#include "cli/bench.hpp"
#include "cli/text.hpp"

namespace coord::cli {
namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

HeadState parse_head(std::string_view bytes, Head& head) noexcept {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return HeadState::incomplete;
  // "HTTP/1.1 200"
  if (!bytes.starts_with("HTTP/1.") || end < 12) return HeadState::malformed;
  const auto status = std::from_chars(bytes.data() + 9, bytes.data() + 12, head.status);
  if (status.ec != std::errc() || status.ptr != bytes.data() + 12) return HeadState::malformed;
  head.head_bytes = end + 4;
  head.body_bytes = 0;
  head.is_closing = bytes[7] == '0';
  bool has_length = head.status == 204 || head.status == 304;
  std::string_view rest = bytes.substr(0, end + 2);
  rest.remove_prefix(rest.find("\r\n") + 2);
  while (!rest.empty()) {
    const std::size_t line_end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, line_end);
    rest.remove_prefix(line_end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return HeadState::malformed;
    const std::string_view name = line.substr(0, colon);
    if (name.size() == 14 && equals_ignoring_case(name, "content-length")) {
      const std::string_view value = trimmed(line.substr(colon + 1));
      const auto parsed =
          std::from_chars(value.data(), value.data() + value.size(), head.body_bytes);
      if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size()) {
        return HeadState::malformed;
      }
      has_length = true;
    } else if (name.size() == 10 && equals_ignoring_case(name, "connection")) {
      head.is_closing = equals_ignoring_case(trimmed(line.substr(colon + 1)), "close");
    }
  }
  // Neither has a body, whatever its Content-Length says of the one that it stands for.
  if (head.status == 204 || head.status == 304) head.body_bytes = 0;
  return has_length ? HeadState::complete : HeadState::malformed;
}

}  // namespace coord::cli
