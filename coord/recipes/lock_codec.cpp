// How the steps, queries and answers of locks become bytes.
#include "coord/recipes/lock_codec.hpp"

#include <utility>

#include "coord/base/codec.hpp"
#include "coord/recipes/lock_nodes.hpp"
#include "znode/path.hpp"

namespace coord::recipes::lock {
namespace {

// The first byte of each. Stored in the log: append only.
enum class Tag : std::uint8_t {
  acquire = 1,
  release = 2,
  leave = 3,
  show = 4,
  show_ticket = 5,
  list = 6,
  graph = 7,
  ticket_answer = 8,
  lock_answer = 9,
  list_answer = 10,
  graph_answer = 11,
  circle_answer = 12,
};

bool take_tag(Reader& in, Tag tag) { return in.u8() == static_cast<std::uint8_t>(tag); }
void put_tag(Writer& out, Tag tag) { out.u8(static_cast<std::uint8_t>(tag)); }

bool is_text(std::string_view text, std::size_t most) {
  return text.size() <= most && znode::is_valid_utf8(text);
}

bool is_ticket(std::string_view id) { return id.empty() || mode_of(id); }

Wait take_wait(Reader& in) {
  const auto wait = in.u8();
  if (wait > static_cast<std::uint8_t>(Wait::queue)) in.fail();
  return in.ok() ? static_cast<Wait>(wait) : Wait::none;
}

Mode take_mode(Reader& in) {
  const auto mode = in.u8();
  if (mode < 1 || mode > static_cast<std::uint8_t>(Mode::permits)) in.fail();
  return in.ok() ? static_cast<Mode>(mode) : Mode::exclusive;
}

void put(Writer& out, const Ticket& ticket) {
  out.bytes(ticket.id);
  out.id(ticket.session);
  out.bytes(ticket.owner);
  out.u8(static_cast<std::uint8_t>(ticket.mode));
  out.boolean(ticket.is_held);
  out.varint(ticket.token);
  out.varint(ticket.count);
  out.varint(ticket.take);
  out.varint(ticket.position);
  out.svarint(ticket.since_ms);
  out.svarint(ticket.held_ms);
  out.bytes(ticket.data);
}

Ticket take_ticket(Reader& in) {
  Ticket ticket;
  ticket.id = in.bytes();
  ticket.session = in.id<SessionId>();
  ticket.owner = in.bytes();
  ticket.mode = take_mode(in);
  ticket.is_held = in.boolean();
  ticket.token = in.varint();
  ticket.count = in.varint32();
  ticket.take = in.varint32();
  ticket.position = in.varint();
  ticket.since_ms = in.svarint();
  ticket.held_ms = in.svarint();
  ticket.data = in.bytes();
  return ticket;
}

void put(Writer& out, const std::vector<Ticket>& tickets) {
  out.varint(tickets.size());
  for (const auto& ticket : tickets) put(out, ticket);
}

std::vector<Ticket> take_tickets(Reader& in) {
  std::vector<Ticket> tickets;
  for (auto left = in.count(); left > 0 && in.ok(); --left) tickets.push_back(take_ticket(in));
  return tickets;
}

void put(Writer& out, const LockAnswer& answer) {
  out.bytes(answer.name);
  out.varint(answer.token);
  out.varint(answer.permits);
  out.svarint(answer.delay_ms);
  out.varint(answer.holder_count);
  out.varint(answer.waiter_count);
  put(out, answer.holders);
  put(out, answer.queue);
}

LockAnswer take_lock(Reader& in) {
  LockAnswer answer;
  answer.name = in.bytes();
  answer.token = in.varint();
  answer.permits = in.varint32();
  answer.delay_ms = in.svarint();
  answer.holder_count = in.varint();
  answer.waiter_count = in.varint();
  answer.holders = take_tickets(in);
  answer.queue = take_tickets(in);
  return answer;
}

}  // namespace

// ---- steps

std::string encode(const Acquire& op) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::acquire);
  out.bytes(op.name);
  out.u8(static_cast<std::uint8_t>(op.mode));
  out.varint(op.permits);
  out.varint(op.take);
  out.u8(static_cast<std::uint8_t>(op.wait));
  out.bytes(op.owner);
  out.svarint(op.lock_delay_ms);
  out.bytes(op.data);
  return bytes;
}

bool decode(std::string_view bytes, Acquire& op) {
  Reader in(bytes);
  if (!take_tag(in, Tag::acquire)) return false;
  op.name = in.bytes();
  op.mode = take_mode(in);
  op.permits = in.varint32();
  op.take = in.varint32();
  op.wait = take_wait(in);
  op.owner = in.bytes();
  op.lock_delay_ms = in.svarint();
  op.data = in.bytes();
  const bool is_semaphore = op.mode == Mode::permits;
  return in.done() && name_error(op.name).empty() && is_text(op.owner, kOwnerBytesMax) &&
         is_text(op.data, kDataBytesMax) && is_semaphore == (op.permits > 0) &&
         op.permits <= kPermitsMax && op.take >= 1 && op.take <= (is_semaphore ? op.permits : 1U) &&
         op.lock_delay_ms >= 0 && op.lock_delay_ms <= kLockDelayMsMax;
}

std::string encode(const Release& op) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::release);
  out.bytes(op.name);
  out.bytes(op.ticket);
  out.bytes(op.owner);
  out.boolean(op.is_break);
  return bytes;
}

bool decode(std::string_view bytes, Release& op) {
  Reader in(bytes);
  if (!take_tag(in, Tag::release)) return false;
  op.name = in.bytes();
  op.ticket = in.bytes();
  op.owner = in.bytes();
  op.is_break = in.boolean();
  return in.done() && name_error(op.name).empty() && is_ticket(op.ticket) &&
         is_text(op.owner, kOwnerBytesMax);
}

std::string encode(const Leave& op) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::leave);
  out.bytes(op.name);
  out.bytes(op.ticket);
  return bytes;
}

bool decode(std::string_view bytes, Leave& op) {
  Reader in(bytes);
  if (!take_tag(in, Tag::leave)) return false;
  op.name = in.bytes();
  op.ticket = in.bytes();
  return in.done() && name_error(op.name).empty() && mode_of(op.ticket);
}

// ---- queries

std::string encode(const Show& query) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::show);
  out.bytes(query.name);
  return bytes;
}

bool decode(std::string_view bytes, Show& query) {
  Reader in(bytes);
  if (!take_tag(in, Tag::show)) return false;
  query.name = in.bytes();
  return in.done() && name_error(query.name).empty();
}

std::string encode(const ShowTicket& query) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::show_ticket);
  out.bytes(query.name);
  out.bytes(query.ticket);
  out.id(query.session);
  out.bytes(query.owner);
  out.u8(static_cast<std::uint8_t>(query.wait));
  return bytes;
}

bool decode(std::string_view bytes, ShowTicket& query) {
  Reader in(bytes);
  if (!take_tag(in, Tag::show_ticket)) return false;
  query.name = in.bytes();
  query.ticket = in.bytes();
  query.session = in.id<SessionId>();
  query.owner = in.bytes();
  query.wait = take_wait(in);
  return in.done() && name_error(query.name).empty() && is_ticket(query.ticket) &&
         is_text(query.owner, kOwnerBytesMax);
}

namespace {

template <class Page>
std::string encode_page(Tag tag, const Page& query) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, tag);
  out.bytes(query.after);
  out.varint(query.limit);
  return bytes;
}

template <class Page>
bool decode_page(Tag tag, std::string_view bytes, Page& query) {
  Reader in(bytes);
  if (!take_tag(in, tag)) return false;
  query.after = in.bytes();
  query.limit = in.varint32();
  return in.done() && query.after.size() <= kNameBytesMax && query.limit >= 1 &&
         query.limit <= kListMax;
}

}  // namespace

std::string encode(const List& query) { return encode_page(Tag::list, query); }
bool decode(std::string_view bytes, List& query) { return decode_page(Tag::list, bytes, query); }
std::string encode(const Graph& query) { return encode_page(Tag::graph, query); }
bool decode(std::string_view bytes, Graph& query) { return decode_page(Tag::graph, bytes, query); }

// ---- answers

std::string encode(const TicketAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::ticket_answer);
  out.bytes(answer.name);
  put(out, answer.ticket);
  out.varint(answer.permits);
  out.varint(answer.holder_count);
  put(out, answer.holders);
  out.boolean(answer.is_own_session);
  return bytes;
}

bool decode(std::string_view bytes, TicketAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::ticket_answer)) return false;
  answer.name = in.bytes();
  answer.ticket = take_ticket(in);
  answer.permits = in.varint32();
  answer.holder_count = in.varint();
  answer.holders = take_tickets(in);
  // Answers that were remembered by an earlier version end here.
  if (in.remaining() > 0) answer.is_own_session = in.boolean();
  return in.done();
}

std::string encode(const LockAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::lock_answer);
  put(out, answer);
  return bytes;
}

bool decode(std::string_view bytes, LockAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::lock_answer)) return false;
  answer = take_lock(in);
  return in.done();
}

std::string encode(const ListAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::list_answer);
  out.boolean(answer.is_last);
  out.varint(answer.locks.size());
  for (const auto& lock : answer.locks) put(out, lock);
  return bytes;
}

bool decode(std::string_view bytes, ListAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::list_answer)) return false;
  answer.is_last = in.boolean();
  for (auto left = in.count(); left > 0 && in.ok(); --left) answer.locks.push_back(take_lock(in));
  return in.done();
}

std::string encode(const GraphAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::graph_answer);
  out.boolean(answer.is_last);
  out.varint(answer.edges.size());
  for (const auto& edge : answer.edges) {
    out.bytes(edge.lock);
    put(out, edge.ticket);
    put(out, edge.waits_for);
  }
  return bytes;
}

bool decode(std::string_view bytes, GraphAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::graph_answer)) return false;
  answer.is_last = in.boolean();
  for (auto left = in.count(); left > 0 && in.ok(); --left) {
    WaitEdge edge;
    edge.lock = in.bytes();
    edge.ticket = take_ticket(in);
    edge.waits_for = take_tickets(in);
    answer.edges.push_back(std::move(edge));
  }
  return in.done();
}

std::string encode(const CircleAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::circle_answer);
  out.varint(answer.members.size());
  for (const auto& member : answer.members) {
    out.id(member.session);
    out.bytes(member.owner);
    out.bytes(member.lock);
    out.bytes(member.ticket);
  }
  return bytes;
}

bool decode(std::string_view bytes, CircleAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::circle_answer)) return false;
  for (auto left = in.count(); left > 0 && in.ok(); --left) {
    CircleAnswer::Member member;
    member.session = in.id<SessionId>();
    member.owner = in.bytes();
    member.lock = in.bytes();
    member.ticket = in.bytes();
    answer.members.push_back(std::move(member));
  }
  return in.done();
}

}  // namespace coord::recipes::lock
