#include "coord/recipes/decision.hpp"

#include <fmt/format.h>

#include <variant>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/recipes/fields.hpp"

namespace coord::recipes::decision {
namespace {

enum class Tag : std::uint8_t { propose = 1, remove = 2, get = 3, list = 4 };

using Op = std::variant<std::monostate, Propose, Remove>;
using Query = std::variant<std::monostate, Get, ListQuery>;

std::string tagged(Tag tag, std::string_view name) {
  std::string bytes(1, static_cast<char>(tag));
  Writer(bytes).bytes(name);
  return bytes;
}

std::string name_of(Reader& in) {
  std::string name(in.bytes());
  if (!name_error(name).empty()) in.fail();
  return name;
}

Propose take_propose(Reader& in) {
  Propose op;
  op.name = name_of(in);
  op.value = in.bytes();
  op.content_type = in.bytes();
  op.proposer = in.bytes();
  if (!op.proposer.empty() && !name_error(op.proposer).empty()) in.fail();
  return op;
}

Op decode_op(std::string_view bytes) {
  Reader in(bytes);
  Op op;
  switch (static_cast<Tag>(in.u8())) {
    case Tag::propose:
      op = take_propose(in);
      break;
    case Tag::remove:
      op = Remove{name_of(in)};
      break;
    default:
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
    default:
      break;
  }
  return in.done() ? query : Query();
}

std::string encode(const Decided& answer) {
  std::string bytes;
  Writer out(bytes);
  out.bytes(answer.value);
  out.bytes(answer.content_type);
  out.boolean(answer.chosen_by_me);
  out.id(answer.decided);
  out.svarint(answer.wall_ms);
  out.id(answer.session);
  out.bytes(answer.proposer);
  return bytes;
}

std::string proposer_path(std::string_view name) {
  return path_of(Kind::decision, name) + "/proposer";
}

Decided decided_of(const znode::Tree& tree, std::string_view name, const znode::View& node) {
  Decided decided;
  decided.value = node.value;
  decided.content_type = node.content_type;
  decided.decided = node.stat.czxid;
  decided.wall_ms = node.stat.ctime_ms;
  if (const auto proposer = tree.get(proposer_path(name))) {
    decided.session = SessionId(static_cast<std::uint64_t>(number_of(proposer->value, "session")));
    decided.proposer = field_of(proposer->value, "name");
  }
  return decided;
}

Answer told(const Decided& decided) {
  Answer answer;
  answer.bytes = encode(decided);
  answer.etag = decided.decided;
  answer.is_final = true;
  return answer;
}

Answer propose(const Propose& op, Step& step) {
  const auto path = path_of(Kind::decision, op.name);
  if (const auto node = step.tree.get(path)) {
    auto decided = decided_of(step.tree, op.name, *node);
    decided.chosen_by_me = (step.session && step.session == decided.session) ||
                           (!op.proposer.empty() && op.proposer == decided.proposer);
    return told(decided);
  }
  znode::CreateOptions options;
  options.with_parents = true;
  options.content_type = op.content_type;
  const auto done = step.tree.create(path, Blob(op.value), options, service_identities());
  if (done.code != Code::ok) return refusal(done);
  Record record;
  record.number("session", static_cast<std::int64_t>(step.session.value()));
  if (!op.proposer.empty()) record.text("name", op.proposer);
  const auto noted =
      step.tree.create(proposer_path(op.name), record.blob(), {}, service_identities());
  COORD_CHECK(noted.code == Code::ok, "a new decision has no proposer yet", op.name);
  auto decided = decided_of(step.tree, op.name, *step.tree.get(path));
  decided.chosen_by_me = true;
  return told(decided);
}

Answer missing(std::string_view name) {
  return refusal(Code::not_found, fmt::format("nothing was decided about {} yet", name));
}

Answer remove(const Remove& op, Step& step) {
  if (!is_operator(step.identities)) {
    return refusal(Code::forbidden, "to forget a decision is an operator's right");
  }
  const auto done =
      step.tree.erase_tree(path_of(Kind::decision, op.name), {}, service_identities());
  if (done.code == Code::no_node) return missing(op.name);
  return done.code == Code::ok ? Answer() : refusal(done);
}

Answer get(const Get& query, const Look& look) {
  const auto path = path_of(Kind::decision, query.name);
  const auto node = look.tree.get(path);
  if (!node) return missing(query.name);
  if (look.tree.check_access(path, znode::Permission::read, look.identities) != Code::ok) {
    return refusal(Code::forbidden, "reading is not allowed");
  }
  return told(decided_of(look.tree, query.name, *node));
}

Answer list(const ListQuery& query, const Look& look) {
  return list_recipe(Kind::decision, query, look,
                     [&](std::string_view name, const znode::View& node) {
                       return encode(decided_of(look.tree, name, node));
                     });
}

}  // namespace

std::string encode(const Propose& op) {
  auto bytes = tagged(Tag::propose, op.name);
  Writer out(bytes);
  out.bytes(op.value);
  out.bytes(op.content_type);
  out.bytes(op.proposer);
  return bytes;
}

std::string encode(const Remove& op) { return tagged(Tag::remove, op.name); }
std::string encode(const Get& query) { return tagged(Tag::get, query.name); }

std::string encode(const ListQuery& query) {
  std::string bytes(1, static_cast<char>(Tag::list));
  Writer out(bytes);
  recipes::encode(query, out);
  return bytes;
}

bool decode(std::string_view bytes, Decided& answer) {
  Reader in(bytes);
  answer.value = in.bytes();
  answer.content_type = in.bytes();
  answer.chosen_by_me = in.boolean();
  answer.decided = in.id<Zxid>();
  answer.wall_ms = in.svarint();
  answer.session = in.id<SessionId>();
  answer.proposer = in.bytes();
  return in.done();
}

bool is_step(std::string_view bytes) { return decode_op(bytes).index() != 0; }
bool is_query(std::string_view bytes) { return decode_query(bytes).index() != 0; }

Answer run(std::string_view bytes, Step& step) {
  return std::visit(Overloaded{[&](const Propose& op) { return propose(op, step); },
                               [&](const Remove& op) { return remove(op, step); },
                               [](std::monostate) { return Answer(); }},
                    decode_op(bytes));
}

Answer view(std::string_view bytes, const Look& look) {
  return std::visit(Overloaded{[&](const Get& query) { return get(query, look); },
                               [&](const ListQuery& query) { return list(query, look); },
                               [](std::monostate) { return Answer(); }},
                    decode_query(bytes));
}

}  // namespace coord::recipes::decision
