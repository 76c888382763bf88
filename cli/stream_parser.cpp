#include "cli/stream_parser.hpp"

#include <utility>

namespace coord::cli {

std::vector<std::string> LineSplitter::feed(std::string_view bytes) {
  std::vector<std::string> lines;
  while (ok_ && !bytes.empty()) {
    if (std::exchange(skip_newline_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    rest_.append(bytes.substr(0, end));
    if (rest_.size() > kStreamedBytesMax) {
      ok_ = false;
      break;
    }
    if (end == std::string_view::npos) break;
    skip_newline_ = bytes[end] == '\r';
    lines.push_back(std::exchange(rest_, {}));
    bytes.remove_prefix(end + 1);
  }
  return lines;
}

std::vector<SseEvent> SseParser::feed(std::string_view bytes) {
  std::vector<SseEvent> events;
  for (std::string& line : lines_.feed(bytes)) {
    // A byte order mark may stand before the first line.
    if (std::exchange(is_first_line_, false) && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    if (!line.empty()) {
      take_field(line);
      continue;
    }
    if (has_data_ || event_.id) {
      if (event_.type.empty()) event_.type = "message";
      events.push_back(std::move(event_));
    }
    event_ = SseEvent();
    has_data_ = false;
  }
  return events;
}

void SseParser::take_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "event") {
    event_.type = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) event_.id = std::string(value);
  } else if (name == "data") {
    if (has_data_) event_.data += '\n';
    event_.data.append(value);
    has_data_ = true;
    if (event_.data.size() > kStreamedBytesMax) ok_ = false;
  }
}

std::vector<std::string> NdjsonParser::feed(std::string_view bytes) {
  std::vector<std::string> lines = lines_.feed(bytes);
  std::erase_if(lines, [](const std::string& line) {
    return line.find_first_not_of(" \t") == std::string::npos;
  });
  return lines;
}

std::optional<std::string> NdjsonParser::finish() const {
  const std::string& rest = lines_.rest();
  if (rest.find_first_not_of(" \t") == std::string::npos) return std::nullopt;
  return rest;
}

}  // namespace coord::cli
