// How steps, queries and answers of queues are written.
#include "coord/recipes/queue_codec.hpp"

#include "coord/base/codec.hpp"

namespace coord::recipes::queue {
namespace {

enum class Tag : std::uint8_t {
  put = 1,
  take = 2,
  claim = 3,
  withdraw = 4,
  acknowledge = 5,
  renew = 6,
  configure = 7,
  remove = 8,
  get = 9,
  items = 10,
  list = 11,
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

template <class Op>
Op ticket_of(Reader& in) {
  Op op;
  op.name = name_of(in);
  op.ticket = in.varint();
  op.own = in.boolean();
  return op;
}

std::int64_t lease_ms_of(Reader& in) {
  const auto ms = in.svarint();
  if (ms < kLeaseMsMin || ms > kLeaseMsMax) in.fail();
  return ms;
}

Put take_put(Reader& in) {
  Put op;
  op.name = name_of(in);
  op.value = in.bytes();
  op.content_type = in.bytes();
  return op;
}

Take take_take(Reader& in) {
  Take op;
  op.name = name_of(in);
  op.lease_ms = lease_ms_of(in);
  op.waits = in.boolean();
  return op;
}

Acknowledge take_acknowledge(Reader& in) {
  Acknowledge op;
  op.name = name_of(in);
  op.item = in.varint();
  op.lease = in.varint();
  return op;
}

Renew take_renew(Reader& in) {
  Renew op;
  op.name = name_of(in);
  op.item = in.varint();
  op.lease = in.varint();
  op.for_ms = in.svarint();
  if (op.for_ms < 0 || op.for_ms > kLeaseMsMax) in.fail();
  return op;
}

Configure take_configure(Reader& in) {
  Configure op;
  op.name = name_of(in);
  op.max_deliveries = in.varint32();
  if (op.max_deliveries > kDeliveriesMax) in.fail();
  return op;
}

Remove take_remove(Reader& in) {
  Remove op;
  op.name = name_of(in);
  op.with_items = in.boolean();
  return op;
}

Items take_items(Reader& in) {
  Items query;
  query.name = name_of(in);
  query.list = decode_list_query(in);
  query.with_values = in.boolean();
  return query;
}

template <class Op>
std::string encode_ticket(Tag tag, const Op& op) {
  auto bytes = tagged(tag, op.name);
  Writer out(bytes);
  out.varint(op.ticket);
  out.boolean(op.own);
  return bytes;
}

}  // namespace

Op decode_op(std::string_view bytes) {
  Reader in(bytes);
  Op op;
  switch (static_cast<Tag>(in.u8())) {
    case Tag::put:
      op = take_put(in);
      break;
    case Tag::take:
      op = take_take(in);
      break;
    case Tag::claim:
      op = ticket_of<Claim>(in);
      break;
    case Tag::withdraw:
      op = ticket_of<Withdraw>(in);
      break;
    case Tag::acknowledge:
      op = take_acknowledge(in);
      break;
    case Tag::renew:
      op = take_renew(in);
      break;
    case Tag::configure:
      op = take_configure(in);
      break;
    case Tag::remove:
      op = take_remove(in);
      break;
    case Tag::get:
    case Tag::items:
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
    case Tag::items:
      query = take_items(in);
      break;
    case Tag::list:
      query = decode_list_query(in);
      break;
    default:
      break;
  }
  return in.done() ? query : Query();
}

std::string encode(const Put& op) {
  auto bytes = tagged(Tag::put, op.name);
  Writer out(bytes);
  out.bytes(op.value);
  out.bytes(op.content_type);
  return bytes;
}

std::string encode(const Take& op) {
  auto bytes = tagged(Tag::take, op.name);
  Writer out(bytes);
  out.svarint(op.lease_ms);
  out.boolean(op.waits);
  return bytes;
}

std::string encode(const Claim& op) { return encode_ticket(Tag::claim, op); }
std::string encode(const Withdraw& op) { return encode_ticket(Tag::withdraw, op); }

std::string encode(const Acknowledge& op) {
  auto bytes = tagged(Tag::acknowledge, op.name);
  Writer out(bytes);
  out.varint(op.item);
  out.varint(op.lease);
  return bytes;
}

std::string encode(const Renew& op) {
  auto bytes = tagged(Tag::renew, op.name);
  Writer out(bytes);
  out.varint(op.item);
  out.varint(op.lease);
  out.svarint(op.for_ms);
  return bytes;
}

std::string encode(const Configure& op) {
  auto bytes = tagged(Tag::configure, op.name);
  Writer(bytes).varint(op.max_deliveries);
  return bytes;
}

std::string encode(const Remove& op) {
  auto bytes = tagged(Tag::remove, op.name);
  Writer(bytes).boolean(op.with_items);
  return bytes;
}

std::string encode(const Get& query) { return tagged(Tag::get, query.name); }

std::string encode(const Items& query) {
  auto bytes = tagged(Tag::items, query.name);
  Writer out(bytes);
  recipes::encode(query.list, out);
  out.boolean(query.with_values);
  return bytes;
}

std::string encode(const ListQuery& query) {
  std::string bytes(1, static_cast<char>(Tag::list));
  Writer out(bytes);
  recipes::encode(query, out);
  return bytes;
}

std::string encode(const PutDone& answer) {
  std::string bytes;
  Writer(bytes).varint(answer.item);
  return bytes;
}

std::string encode(const Taken& answer) {
  std::string bytes;
  Writer out(bytes);
  out.varint(answer.item);
  out.varint(answer.lease);
  out.varint(answer.deliveries);
  out.bytes(answer.value);
  out.bytes(answer.content_type);
  return bytes;
}

std::string encode(const Counts& answer) {
  std::string bytes;
  Writer out(bytes);
  out.varint(answer.ready);
  out.varint(answer.leased);
  out.varint(answer.dead);
  out.varint(answer.waiting);
  out.svarint(answer.bytes);
  out.varint(answer.max_deliveries);
  return bytes;
}

std::string encode(const Item& answer) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(answer.state));
  out.varint(answer.deliveries);
  out.svarint(answer.put_ms);
  out.svarint(answer.left_ms);
  out.varint(answer.size);
  out.bytes(answer.value);
  return bytes;
}

bool decode(std::string_view bytes, PutDone& answer) {
  Reader in(bytes);
  answer.item = in.varint();
  return in.done();
}

bool decode(std::string_view bytes, Taken& answer) {
  Reader in(bytes);
  answer.item = in.varint();
  answer.lease = in.varint();
  answer.deliveries = in.varint32();
  answer.value = in.bytes();
  answer.content_type = in.bytes();
  return in.done();
}

bool decode(std::string_view bytes, Counts& answer) {
  Reader in(bytes);
  answer.ready = in.varint();
  answer.leased = in.varint();
  answer.dead = in.varint();
  answer.waiting = in.varint();
  answer.bytes = in.svarint();
  answer.max_deliveries = in.varint32();
  return in.done();
}

bool decode(std::string_view bytes, Item& answer) {
  Reader in(bytes);
  const auto state = in.u8();
  if (state < 1 || state > 3) in.fail();
  answer.state = in.ok() ? static_cast<ItemState>(state) : ItemState::ready;
  answer.deliveries = in.varint32();
  answer.put_ms = in.svarint();
  answer.left_ms = in.svarint();
  answer.size = in.varint();
  answer.value = in.bytes();
  return in.done();
}

}  // namespace coord::recipes::queue
