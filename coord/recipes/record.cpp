#include "coord/recipes/record.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

namespace coord::recipes {
namespace {

void append_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

void RecordWriter::name(std::string_view name) {
  if (out_.size() > 1) out_ += ',';
  append_text(out_, name);
  out_ += ':';
}

RecordWriter& RecordWriter::text(std::string_view name, std::string_view value) {
  this->name(name);
  append_text(out_, value);
  return *this;
}

RecordWriter& RecordWriter::number(std::string_view name, std::uint64_t value) {
  this->name(name);
  fmt::format_to(std::back_inserter(out_), "{}", value);
  return *this;
}

RecordWriter& RecordWriter::text_if(std::string_view name, std::string_view value) {
  return value.empty() ? *this : text(name, value);
}

RecordWriter& RecordWriter::number_if(std::string_view name, std::uint64_t value) {
  return value == 0 ? *this : number(name, value);
}

std::string RecordWriter::finish() {
  out_ += '}';
  return std::move(out_);
}

RecordReader::RecordReader(std::string_view in) : in_(in) {
  ok_ = parse();
  if (!ok_) fields_.clear();
}

bool RecordReader::take(char c) noexcept {
  if (in_.empty() || in_.front() != c) return false;
  in_.remove_prefix(1);
  return true;
}

bool RecordReader::parse_text(std::string& text) {
  if (!take('"')) return false;
  while (!in_.empty() && in_.front() != '"') {
    char c = in_.front();
    in_.remove_prefix(1);
    if (static_cast<unsigned char>(c) < 0x20) return false;
    if (c == '\\') {
      if (in_.empty()) return false;
      c = in_.front();
      in_.remove_prefix(1);
      if (c == 'u') {
        unsigned code = 0;
        if (in_.size() < 4) return false;
        const auto* const end = in_.data() + 4;
        if (std::from_chars(in_.data(), end, code, 16).ptr != end || code >= 0x20) return false;
        in_.remove_prefix(4);
        c = static_cast<char>(code);
      } else if (c != '"' && c != '\\') {
        return false;
      }
    }
    text += c;
  }
  return take('"');
}

bool RecordReader::parse_number(std::uint64_t& number) {
  const auto read = std::from_chars(in_.data(), in_.data() + in_.size(), number);
  if (read.ec != std::errc()) return false;
  in_.remove_prefix(static_cast<std::size_t>(read.ptr - in_.data()));
  return true;
}

bool RecordReader::parse() {
  if (!take('{')) return false;
  if (take('}')) return in_.empty();
  do {
    Field field;
    if (!parse_text(field.name) || !take(':')) return false;
    if (!in_.empty() && in_.front() == '"') {
      if (!parse_text(field.text)) return false;
    } else {
      std::uint64_t number = 0;
      if (!parse_number(number)) return false;
      field.number = number;
    }
    fields_.push_back(std::move(field));
  } while (take(','));
  return take('}') && in_.empty();
}

const RecordReader::Field* RecordReader::find(std::string_view name) const noexcept {
  for (const auto& field : fields_) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

std::string RecordReader::text(std::string_view name) const {
  const auto* field = find(name);
  return field == nullptr ? std::string() : field->text;
}

std::uint64_t RecordReader::number(std::string_view name) const noexcept {
  const auto* field = find(name);
  return field == nullptr ? 0 : field->number.value_or(0);
}

}  // namespace coord::recipes
