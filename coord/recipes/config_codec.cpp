// The bytes and texts of config: steps, queries and answers; notes and rules as nodes hold them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "coord/base/checksum.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/limits.hpp"
#include "coord/recipes/config.hpp"
#include "coord/recipes/config_limits.hpp"
#include "znode/path.hpp"

namespace coord::recipes::config {
namespace {

constexpr std::uint8_t kActLast = static_cast<std::uint8_t>(Act::promote);
constexpr std::uint8_t kAskLast = static_cast<std::uint8_t>(Ask::basis);
constexpr std::uint32_t kPercentMax = 100;
constexpr std::size_t kContentTypeBytesMax = TreeLimits{}.content_type_bytes_max;

void put(Writer& out, const Labels& labels) {
  out.varint(labels.size());
  for (const auto& [name, value] : labels) {
    out.bytes(name);
    out.bytes(value);
  }
}

void put(Writer& out, const Note& note) {
  out.bytes(note.comment);
  out.bytes(note.author);
  out.varint(note.from);
}

void put(Writer& out, const Rule& rule) {
  put(out, rule.labels);
  out.varint(rule.percent ? *rule.percent + 1 : 0);
}

void take(Reader& in, Labels& labels) {
  for (auto left = in.count(); left > 0; --left) {
    std::string name(in.bytes());
    labels.emplace_back(std::move(name), std::string(in.bytes()));
  }
}

void take(Reader& in, Note& note) {
  note.comment = in.bytes();
  note.author = in.bytes();
  note.from = in.varint();
}

void take(Reader& in, Rule& rule) {
  take(in, rule.labels);
  if (const auto percent = in.varint32(); percent > 0) rule.percent = percent - 1;
}

bool is_plain(std::string_view text, std::size_t most) {
  return text.size() <= most && znode::is_valid_utf8(text) &&
         text.find('\0') == std::string_view::npos;
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += '=';
  for (const char c : value) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  out += '\n';
}

// Calls `each` with the name and the value of every line.
template <class Each>
void each_line(std::string_view text, Each each) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    std::string value;
    for (std::size_t i = equals + 1; i < line.size(); ++i) {
      if (line[i] == '\\' && i + 1 < line.size()) {
        ++i;
        value += line[i] == 'n' ? '\n' : line[i];
      } else {
        value += line[i];
      }
    }
    each(line.substr(0, equals), std::move(value));
  }
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::string encode(const Step& step) {
  std::string bytes;
  bytes.reserve(step.value.size() + 256);
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(step.act));
  out.bytes(step.name);
  out.blob(step.value);
  out.bytes(step.content_type);
  put(out, step.note);
  put(out, step.rule);
  out.varint(step.to);
  out.id(step.gray);
  out.boolean(step.if_release.has_value());
  out.varint(step.if_release.value_or(0));
  out.boolean(step.if_absent);
  out.boolean(step.if_schema.has_value());
  out.id(step.if_schema.value_or(Zxid()));
  out.id(step.schema);
  out.bytes(step.refusal);
  return bytes;
}

bool decode(std::string_view bytes, Step& step) {
  Reader in(bytes);
  const auto act = in.u8();
  step.act = static_cast<Act>(act);
  step.name = in.bytes();
  step.value = in.blob();
  step.content_type = in.bytes();
  take(in, step.note);
  take(in, step.rule);
  step.to = in.varint();
  step.gray = in.id<Zxid>();
  const bool if_release = in.boolean();
  const auto release = in.varint();
  if (if_release) step.if_release = release;
  step.if_absent = in.boolean();
  const bool if_schema = in.boolean();
  const auto schema = in.id<Zxid>();
  if (if_schema) step.if_schema = schema;
  step.schema = in.id<Zxid>();
  step.refusal = in.bytes();
  if (!in.done() || act == 0 || act > kActLast || !name_error(step.name).empty()) return false;
  if (!note_error(step.note).empty() || !is_plain(step.content_type, kContentTypeBytesMax)) {
    return false;
  }
  if (step.act == Act::set_gray ? !rule_error(step.rule).empty() : step.rule != Rule{})
    return false;
  return is_plain(step.refusal, kConfigLimits.refusal_bytes_max);
}

std::string encode(const Query& query) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(query.ask));
  out.bytes(query.name);
  put(out, query.client.labels);
  out.bytes(query.client.instance);
  out.bytes(query.after);
  out.varint(query.below);
  out.varint(query.from);
  out.varint(query.to);
  out.varint(query.limit);
  out.u8(static_cast<std::uint8_t>(query.act));
  return bytes;
}

bool decode(std::string_view bytes, Query& query) {
  Reader in(bytes);
  const auto ask = in.u8();
  query.ask = static_cast<Ask>(ask);
  query.name = in.bytes();
  take(in, query.client.labels);
  query.client.instance = in.bytes();
  query.after = in.bytes();
  query.below = in.varint();
  query.from = in.varint();
  query.to = in.varint();
  query.limit = in.varint();
  const auto act = in.u8();
  query.act = static_cast<Act>(act);
  if (!in.done() || ask == 0 || ask > kAskLast || act == 0 || act > kActLast) return false;
  if (query.ask != Ask::list && !name_error(query.name).empty()) return false;
  return labels_error(query.client.labels).empty() && instance_error(query.client.instance).empty();
}

std::string encode(const Items& items) {
  std::string bytes;
  Writer out(bytes);
  out.boolean(items.is_last);
  out.varint(items.items.size());
  for (const auto& item : items.items) {
    out.bytes(item.name);
    out.varint(item.release);
    out.boolean(item.is_gray);
    out.id(item.revision);
    out.svarint(item.time_ms);
    out.varint(item.size);
    out.bytes(item.content_type);
    put(out, item.note);
    put(out, item.rule);
    out.boolean(item.has_gray);
    out.boolean(item.has_schema);
  }
  return bytes;
}

bool decode(std::string_view bytes, Items& items) {
  Reader in(bytes);
  items.is_last = in.boolean();
  for (auto left = in.count(); left > 0; --left) {
    auto& item = items.items.emplace_back();
    item.name = in.bytes();
    item.release = in.varint();
    item.is_gray = in.boolean();
    item.revision = in.id<Zxid>();
    item.time_ms = in.svarint();
    item.size = in.varint();
    item.content_type = in.bytes();
    take(in, item.note);
    take(in, item.rule);
    item.has_gray = in.boolean();
    item.has_schema = in.boolean();
  }
  return in.done();
}

bool is_step(std::string_view bytes) {
  Step step;
  return decode(bytes, step);
}

bool is_query(std::string_view bytes) {
  Query query;
  return decode(bytes, query);
}

// ---- texts of nodes

std::string text_of(const Note& note) {
  std::string text;
  if (!note.comment.empty()) append_line(text, "comment", note.comment);
  if (!note.author.empty()) append_line(text, "author", note.author);
  if (note.from != 0) append_line(text, "from", fmt::format("{}", note.from));
  return text;
}

Note note_of(std::string_view text) {
  Note note;
  each_line(text, [&](std::string_view name, std::string value) {
    if (name == "comment") note.comment = std::move(value);
    if (name == "author") note.author = std::move(value);
    if (name == "from") note.from = number_of(value);
  });
  return note;
}

std::string text_of(const Rule& rule) {
  std::string text;
  for (const auto& [name, value] : rule.labels) append_line(text, "label." + name, value);
  if (rule.percent) append_line(text, "percent", fmt::format("{}", *rule.percent));
  return text;
}

Rule rule_of(std::string_view text) {
  Rule rule;
  each_line(text, [&](std::string_view name, std::string value) {
    if (name.starts_with("label.")) rule.labels.emplace_back(name.substr(6), std::move(value));
    if (name == "percent") rule.percent = static_cast<std::uint32_t>(number_of(value));
  });
  return rule;
}

// ---- what may stand in them

std::string note_error(const Note& note) {
  const auto& limits = kConfigLimits;
  if (!is_plain(note.comment, limits.comment_bytes_max)) {
    return fmt::format("a comment is UTF-8 of at most {} bytes", limits.comment_bytes_max);
  }
  if (!is_plain(note.author, limits.author_bytes_max)) {
    return fmt::format("an author is UTF-8 of at most {} bytes", limits.author_bytes_max);
  }
  return {};
}

std::string labels_error(const Labels& labels) {
  const auto& limits = kConfigLimits;
  if (labels.size() > limits.labels_max) {
    return fmt::format("there are at most {} labels", limits.labels_max);
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto& [name, value] = labels[i];
    if (const auto wrong = name_error(name); !wrong.empty()) return "a label: " + wrong;
    if (value.empty() || !is_plain(value, limits.label_bytes_max)) {
      return fmt::format("label {}: a value is UTF-8 of 1 to {} bytes", name,
                         limits.label_bytes_max);
    }
    if (i > 0 && labels[i - 1].first >= name) {
      return fmt::format("label {}: labels are sorted, and each is given once", name);
    }
  }
  return {};
}

std::string rule_error(const Rule& rule) {
  if (rule.labels.empty() && !rule.percent) {
    return "a gray value is for some clients: give label.NAME=VALUE, percent= or both";
  }
  if (rule.percent && *rule.percent > kPercentMax) return "percent must be 0 to 100";
  return labels_error(rule.labels);
}

std::string instance_error(std::string_view instance) {
  if (instance.empty()) return {};
  const auto wrong = name_error(instance);
  return wrong.empty() ? std::string() : "the instance: " + wrong;
}

bool matches(const Rule& rule, std::string_view name, const Client& client) {
  for (const auto& label : rule.labels) {
    if (std::find(client.labels.begin(), client.labels.end(), label) == client.labels.end()) {
      return false;
    }
  }
  if (!rule.percent) return !rule.labels.empty();
  if (client.instance.empty()) return false;
  return checksum(client.instance, checksum(name)) % kPercentMax < *rule.percent;
}

}  // namespace coord::recipes::config
