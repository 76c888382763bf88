// Parsers of streamed answers: Server-Sent Events and NDJSON lines, fed in pieces of any size.
//
// Pure: bytes in, events out; they own no connection and resume nothing (that is Watcher). An
// answer is bounded: a line or event that grows past the bound makes ok() false, and everything
// after it is ignored.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coord::cli {

inline constexpr std::size_t kStreamedBytesMax = std::size_t{64} << 20;

// Splits at \n, \r\n or \r; a line may come in any number of pieces.
class LineSplitter {
 public:
  // The lines that `bytes` completes, without their ends.
  [[nodiscard]] std::vector<std::string> feed(std::string_view bytes);
  // What stands after the last line end.
  [[nodiscard]] const std::string& rest() const noexcept { return rest_; }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  std::string rest_;
  bool skip_newline_ = false;  // The last byte was \r: a \n that follows belongs to it.
  bool ok_ = true;
};

struct SseEvent {
  std::string type;               // "message" when the stream names none.
  std::optional<std::string> id;  // Only if this very event carried one.
  std::string data;               // Lines joined by \n.
  friend bool operator==(const SseEvent&, const SseEvent&) = default;
};

// As the HTML standard says, except that an id without data is an event too: a bookmark may be one.
class SseParser {
 public:
  [[nodiscard]] std::vector<SseEvent> feed(std::string_view bytes);
  [[nodiscard]] bool ok() const noexcept { return ok_ && lines_.ok(); }

 private:
  void take_field(std::string_view line);

  LineSplitter lines_;
  SseEvent event_;
  bool has_data_ = false;
  bool is_first_line_ = true;
  bool ok_ = true;
};

// One JSON text a line; blank lines are skipped.
class NdjsonParser {
 public:
  [[nodiscard]] std::vector<std::string> feed(std::string_view bytes);
  // At the end of the answer: the last line if it had no end, or none.
  [[nodiscard]] std::optional<std::string> finish() const;
  [[nodiscard]] bool ok() const noexcept { return lines_.ok(); }

 private:
  LineSplitter lines_;
};

}  // namespace coord::cli
