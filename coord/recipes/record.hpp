// Record: a node's value as a flat JSON object of texts and whole numbers, for the recipes whose
// nodes people look at.
//
// Written and read here alone, so the reader is strict: no blanks, no nesting, no other escapes
// than those that the writer makes. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coord::recipes {

class RecordWriter {
 public:
  RecordWriter& text(std::string_view name, std::string_view value);
  RecordWriter& number(std::string_view name, std::uint64_t value);
  // Only when it is not empty, not zero.
  RecordWriter& text_if(std::string_view name, std::string_view value);
  RecordWriter& number_if(std::string_view name, std::uint64_t value);
  [[nodiscard]] std::string finish();

 private:
  void name(std::string_view name);
  std::string out_ = "{";
};

class RecordReader {
 public:
  explicit RecordReader(std::string_view in);
  // Was it such an object? If not, every field is missing.
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  // Empty, zero for what is missing or of the other kind.
  [[nodiscard]] std::string text(std::string_view name) const;
  [[nodiscard]] std::uint64_t number(std::string_view name) const noexcept;

 private:
  struct Field {
    std::string name;
    std::string text;
    std::optional<std::uint64_t> number;
  };
  bool parse();
  bool parse_text(std::string& text);
  bool parse_number(std::uint64_t& number);
  bool take(char c) noexcept;
  [[nodiscard]] const Field* find(std::string_view name) const noexcept;

  std::string_view in_;
  std::vector<Field> fields_;
  bool ok_ = false;
};

}  // namespace coord::recipes
