#include "coord/recipes/barrier_codec.hpp"

#include "coord/base/codec.hpp"

namespace coord::recipes::barrier {
namespace {

enum class Tag : std::uint8_t {
  enter = 1,
  give_up = 2,
  leave = 3,
  left = 4,
  get = 5,
  get_ticket = 6,
  list = 7,
};

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

Enter take_enter(Reader& in) {
  Enter op;
  op.name = name_of(in);
  op.count = in.varint32();
  if (op.count == 0 || op.count > kCountMax) in.fail();
  return op;
}

GiveUp take_give_up(Reader& in) {
  GiveUp op;
  op.name = name_of(in);
  op.ticket = in.varint();
  return op;
}

Leave take_leave(Reader& in) {
  Leave op;
  op.name = name_of(in);
  op.ticket = in.varint();
  op.waits = in.boolean();
  return op;
}

Left take_left(Reader& in) {
  Left op;
  op.name = name_of(in);
  op.ticket = in.varint();
  op.own = in.boolean();
  op.gives_up = in.boolean();
  return op;
}

GetTicket take_get_ticket(Reader& in) {
  GetTicket query;
  query.name = name_of(in);
  query.ticket = in.varint();
  query.session = in.id<SessionId>();
  return query;
}

void write(const Participant& one, Writer& out) {
  out.varint(one.ticket);
  out.id(one.session);
  out.u8(static_cast<std::uint8_t>(one.state));
  out.svarint(one.entered_ms);
  out.varint(one.round);
}

Participant read_participant(Reader& in) {
  Participant one;
  one.ticket = in.varint();
  one.session = in.id<SessionId>();
  const auto state = in.u8();
  if (state < 1 || state > 3) in.fail();
  one.state = in.ok() ? static_cast<State>(state) : State::waiting;
  one.entered_ms = in.svarint();
  one.round = in.varint();
  return one;
}

}  // namespace

Op decode_op(std::string_view bytes) {
  Reader in(bytes);
  Op op;
  switch (static_cast<Tag>(in.u8())) {
    case Tag::enter:
      op = take_enter(in);
      break;
    case Tag::give_up:
      op = take_give_up(in);
      break;
    case Tag::leave:
      op = take_leave(in);
      break;
    case Tag::left:
      op = take_left(in);
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
    case Tag::get_ticket:
      query = take_get_ticket(in);
      break;
    case Tag::list:
      query = decode_list_query(in);
      break;
    default:
      break;
  }
  return in.done() ? query : Query();
}

std::string encode(const Enter& op) {
  auto bytes = tagged(Tag::enter, op.name);
  Writer(bytes).varint(op.count);
  return bytes;
}

std::string encode(const GiveUp& op) {
  auto bytes = tagged(Tag::give_up, op.name);
  Writer(bytes).varint(op.ticket);
  return bytes;
}

std::string encode(const Leave& op) {
  auto bytes = tagged(Tag::leave, op.name);
  Writer out(bytes);
  out.varint(op.ticket);
  out.boolean(op.waits);
  return bytes;
}

std::string encode(const Left& op) {
  auto bytes = tagged(Tag::left, op.name);
  Writer out(bytes);
  out.varint(op.ticket);
  out.boolean(op.own);
  out.boolean(op.gives_up);
  return bytes;
}

std::string encode(const Get& query) { return tagged(Tag::get, query.name); }

std::string encode(const GetTicket& query) {
  auto bytes = tagged(Tag::get_ticket, query.name);
  Writer out(bytes);
  out.varint(query.ticket);
  out.id(query.session);
  return bytes;
}

std::string encode(const ListQuery& query) {
  std::string bytes(1, static_cast<char>(Tag::list));
  Writer out(bytes);
  recipes::encode(query, out);
  return bytes;
}

std::string encode(const Entered& answer) {
  std::string bytes;
  Writer out(bytes);
  write(answer.self, out);
  out.varint(answer.count);
  out.varint(answer.waiting);
  out.boolean(answer.was_in);
  return bytes;
}

std::string encode(const View& answer) {
  std::string bytes;
  Writer out(bytes);
  out.varint(answer.count);
  out.varint(answer.participants.size());
  for (const auto& one : answer.participants) write(one, out);
  return bytes;
}

std::string encode(const Summary& answer) {
  std::string bytes;
  Writer out(bytes);
  out.varint(answer.count);
  out.varint(answer.participants);
  return bytes;
}

bool decode(std::string_view bytes, Entered& answer) {
  Reader in(bytes);
  answer.self = read_participant(in);
  answer.count = in.varint32();
  answer.waiting = in.varint32();
  answer.was_in = in.boolean();
  return in.done();
}

bool decode(std::string_view bytes, View& answer) {
  Reader in(bytes);
  answer.count = in.varint32();
  for (auto left = in.count(); left > 0; --left)
    answer.participants.push_back(read_participant(in));
  return in.done();
}

bool decode(std::string_view bytes, Summary& answer) {
  Reader in(bytes);
  answer.count = in.varint32();
  answer.participants = in.varint32();
  return in.done();
}

}  // namespace coord::recipes::barrier
