// Printing: tables, trees and values for people, JSON and raw bytes for programs.
//
// Results go to stdout, notes to stderr. Colours only on a terminal, and never with NO_COLOR. What
// comes from the server is escaped wherever it is not printed raw, so that no value can drive the
// terminal. Thread rule: values; a Printer belongs to the main thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace coord::cli {

using Json = nlohmann::ordered_json;

enum class Output : std::uint8_t { table, json, raw };

enum class Colour : std::uint8_t { none, bold, dim, red, green, yellow, blue, cyan };
[[nodiscard]] std::string coloured(std::string_view text, Colour colour, bool is_on);

struct Column {
  std::string_view title;
  bool is_right = false;
};
struct Cell {
  std::string text;
  Colour colour = Colour::none;
};

// Columns two blanks apart, as wide as their widest cell; the last is never padded.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Requires: one cell for each column.
  void row(std::vector<Cell> cells);
  [[nodiscard]] std::string text(bool with_colours) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

class Printer {
 public:
  Printer(Output output, bool with_colours, bool is_terminal)
      : output_(output), with_colours_(with_colours), is_terminal_(is_terminal) {}

  [[nodiscard]] Output output() const noexcept { return output_; }
  [[nodiscard]] bool with_colours() const noexcept { return with_colours_; }
  [[nodiscard]] bool is_terminal() const noexcept { return is_terminal_; }

  void write(std::string_view bytes) const { std::fwrite(bytes.data(), 1, bytes.size(), stdout); }
  void line(std::string_view text) const {
    write(text);
    write("\n");
  }
  void table(const Table& table) const { write(table.text(with_colours_)); }
  // One line; indented on a terminal.
  void json(const Json& value) const;
  // A body of the server that is JSON already.
  void json_body(std::string_view body) const;
  // To stderr, with a newline.
  void note(std::string_view text) const;
  // False once anything could not be written (a full disk, a closed file).
  [[nodiscard]] bool flush() const { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

 private:
  Output output_;
  bool with_colours_;
  bool is_terminal_;
};

// ---- from the server's JSON to cells; what is missing or of another type gives "-"

// Text, numbers and booleans as they are, null as "-", anything else as JSON.
[[nodiscard]] std::string text_of(const Json& object, std::string_view key);
// RFC 3339 or milliseconds since the epoch -> "2026-11-21T19:58:02Z".
[[nodiscard]] std::string time_of(const Json& object, std::string_view key);
// Of a stat: "persistent", "ephemeral", "container" or "ttl".
[[nodiscard]] std::string mode_of(const Json& stat);
// The bytes of an object's value by its encoding; empty if there is none.
[[nodiscard]] std::string value_bytes_of(const Json& object);
// The value for a table: escaped and cut, binary ones as "<21 bytes>", null as "-".
[[nodiscard]] std::string value_cell_of(const Json& object, std::size_t columns);

// ---- whole pictures

struct LongEntry {
  std::string name;
  Json stat;
  std::string session;  // "51 web-1", or "-".
};
[[nodiscard]] Table long_listing(const std::vector<LongEntry>& entries);

struct TreeNode {
  std::string path;
  std::string suffix;  // Printed after the name, e.g. the value.
  Colour colour = Colour::none;
};
// Draws the nodes (in any order, all at or below `top`) as a tree; a parent that is missing is
// drawn by its name.
[[nodiscard]] std::string draw_tree(std::string_view top, std::vector<TreeNode> nodes,
                                    bool with_colours);

}  // namespace coord::cli
