#include "coord/recipes/counter.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <variant>

#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"

namespace coord::recipes::counter {
namespace {

enum class Tag : std::uint8_t { add = 1, remove = 2, get = 3, list = 4 };

std::string tagged(Tag tag) { return std::string(1, static_cast<char>(tag)); }

using Op = std::variant<std::monostate, Add, Remove>;
using Query = std::variant<std::monostate, Get, ListQuery>;

std::string name_of(Reader& in) {
  std::string name(in.bytes());
  if (!name_error(name).empty()) in.fail();
  return name;
}

// monostate: malformed.
Op decode_op(std::string_view bytes) {
  Reader in(bytes);
  Op op;
  switch (static_cast<Tag>(in.u8())) {
    case Tag::add: {
      Add add;
      add.name = name_of(in);
      add.delta = in.svarint();
      op = std::move(add);
      break;
    }
    case Tag::remove:
      op = Remove{name_of(in)};
      break;
    case Tag::get:
    case Tag::list:
      break;
  }
  return in.done() ? op : Op();
}

Query decode_query(std::string_view bytes) {
  Reader in(bytes);
  Query query;
  switch (static_cast<Tag>(in.u8())) {
    case Tag::get:
      query = Get{name_of(in)};
      break;
    case Tag::list:
      query = decode_list_query(in);
      break;
    case Tag::add:
    case Tag::remove:
      break;
  }
  return in.done() ? query : Query();
}

std::string encode(const Value& value) {
  std::string bytes;
  Writer out(bytes);
  out.svarint(value.before);
  out.svarint(value.after);
  return bytes;
}

std::int64_t number_of(const znode::View& node) {
  std::int64_t number = 0;
  std::from_chars(node.value.data(), node.value.data() + node.value.size(), number);
  return number;
}

Value value_of(const znode::View& node) {
  const auto number = number_of(node);
  return {number, number};
}

Answer add(const Add& op, Step& step) {
  const auto path = path_of(Kind::counter, op.name);
  const auto node = step.tree.get(path);
  Value value;
  value.before = node ? number_of(*node) : 0;
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

Answer missing(std::string_view name) {
  return refusal(Code::not_found, fmt::format("there is no counter {}", name));
}

Answer remove(const Remove& op, Step& step) {
  const auto done = step.tree.erase(path_of(Kind::counter, op.name), {}, step.identities);
  if (done.code == Code::no_node) return missing(op.name);
  return done.code == Code::ok ? Answer() : refusal(done);
}

Answer get(const Get& query, const Look& look) {
  const auto path = path_of(Kind::counter, query.name);
  const auto node = look.tree.get(path);
  if (!node) return missing(query.name);
  if (look.tree.check_access(path, znode::Permission::read, look.identities) != Code::ok) {
    return refusal(Code::forbidden, "reading is not allowed");
  }
  Answer answer;
  answer.bytes = encode(value_of(*node));
  answer.etag = node->stat.mzxid;
  return answer;
}

}  // namespace

std::string encode(const Add& op) {
  auto bytes = tagged(Tag::add);
  Writer out(bytes);
  out.bytes(op.name);
  out.svarint(op.delta);
  return bytes;
}

std::string encode(const Remove& op) {
  auto bytes = tagged(Tag::remove);
  Writer(bytes).bytes(op.name);
  return bytes;
}

std::string encode(const Get& query) {
  auto bytes = tagged(Tag::get);
  Writer(bytes).bytes(query.name);
  return bytes;
}

std::string encode(const ListQuery& query) {
  auto bytes = tagged(Tag::list);
  Writer out(bytes);
  recipes::encode(query, out);
  return bytes;
}

bool decode(std::string_view bytes, Value& value) {
  Reader in(bytes);
  value.before = in.svarint();
  value.after = in.svarint();
  return in.done();
}

bool is_step(std::string_view bytes) { return decode_op(bytes).index() != 0; }
bool is_query(std::string_view bytes) { return decode_query(bytes).index() != 0; }

Answer run(std::string_view bytes, Step& step) {
  return std::visit(Overloaded{[&](const Add& op) { return add(op, step); },
                               [&](const Remove& op) { return remove(op, step); },
                               [](std::monostate) { return Answer(); }},
                    decode_op(bytes));
}

Answer view(std::string_view bytes, const Look& look) {
  return std::visit(Overloaded{[&](const Get& query) { return get(query, look); },
                               [&](const ListQuery& query) {
                                 return list_recipe(Kind::counter, query, look,
                                                    [](std::string_view, const znode::View& node) {
                                                      return encode(value_of(node));
                                                    });
                               },
                               [](std::monostate) { return Answer(); }},
                    decode_query(bytes));
}

}  // namespace coord::recipes::counter
