#include "coord/recipes/counter.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "coord/base/codec.hpp"

namespace coord::recipes::counter {
namespace {

bool decode(std::string_view bytes, Add& op) {
  Reader in(bytes);
  op.name = in.bytes();
  op.delta = in.svarint();
  return in.done() && name_error(op.name).empty();
}

bool decode(std::string_view bytes, Get& query) {
  Reader in(bytes);
  query.name = in.bytes();
  return in.done() && name_error(query.name).empty();
}

std::string encode(const Value& value) {
  std::string bytes;
  Writer out(bytes);
  out.svarint(value.before);
  out.svarint(value.after);
  return bytes;
}

// Zero for a counter that nobody has added to.
std::int64_t number_of(const std::optional<znode::View>& node) {
  std::int64_t number = 0;
  if (node) std::from_chars(node->value.data(), node->value.data() + node->value.size(), number);
  return number;
}

}  // namespace

std::string encode(const Add& op) {
  std::string bytes;
  Writer out(bytes);
  out.bytes(op.name);
  out.svarint(op.delta);
  return bytes;
}

std::string encode(const Get& query) {
  std::string bytes;
  Writer(bytes).bytes(query.name);
  return bytes;
}

bool decode(std::string_view bytes, Value& value) {
  Reader in(bytes);
  value.before = in.svarint();
  value.after = in.svarint();
  return in.done();
}

bool is_step(std::string_view bytes) {
  Add op;
  return decode(bytes, op);
}

bool is_query(std::string_view bytes) {
  Get query;
  return decode(bytes, query);
}

Answer run(std::string_view bytes, Step& step) {
  Add op;
  static_cast<void>(decode(bytes, op));  // It decoded where it was proposed.
  const auto path = path_of(Kind::counter, op.name);
  const auto node = step.tree.get(path);
  Value value;
  value.before = number_of(node);
  using Limits = std::numeric_limits<std::int64_t>;
  if (op.delta > 0 ? value.before > Limits::max() - op.delta
                   : value.before < Limits::min() - op.delta) {
    return refusal(Code::invalid, fmt::format("{} {:+} overflows", value.before, op.delta));
  }
  value.after = value.before + op.delta;
  const Blob text(fmt::format("{}", value.after));
  znode::CreateOptions options;
  options.with_parents = true;
  const auto done = node ? step.tree.set(path, text, {}, {}, step.identities)
                         : step.tree.create(path, text, options, step.identities);
  if (done.code != Code::ok) return refusal(done);
  Answer answer;
  answer.bytes = encode(value);
  return answer;
}

Answer view(std::string_view bytes, const Look& look) {
  Get query;
  static_cast<void>(decode(bytes, query));
  const auto path = path_of(Kind::counter, query.name);
  const auto node = look.tree.get(path);
  if (!node) return refusal(Code::not_found, fmt::format("there is no counter {}", query.name));
  if (look.tree.check_access(path, znode::Permission::read, look.identities) != Code::ok) {
    return refusal(Code::forbidden, "reading is not allowed");
  }
  Value value;
  value.before = value.after = number_of(node);
  Answer answer;
  answer.bytes = encode(value);
  answer.etag = node->stat.mzxid;
  return answer;
}

}  // namespace coord::recipes::counter
