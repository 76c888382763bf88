// The bytes of the requests and answers of services.
#include "coord/recipes/service_codec.hpp"

#include "coord/base/codec.hpp"
#include "coord/recipes/service.hpp"

namespace coord::recipes::service {
namespace {

void put(Writer& out, const std::optional<std::string>& text) {
  out.boolean(text.has_value());
  if (text) out.bytes(*text);
}

std::optional<std::string> take_optional(Reader& in) {
  if (!in.boolean()) return std::nullopt;
  return std::string(in.bytes());
}

void put(Writer& out, const Check& check) {
  out.u8(static_cast<std::uint8_t>(check.kind));
  out.bytes(check.target);
  out.svarint(check.interval_ms);
  out.svarint(check.timeout_ms);
}

Check take_check(Reader& in) {
  Check check;
  const auto kind = in.u8();
  if (kind != 1 && kind != 2) in.fail();
  check.kind = static_cast<CheckKind>(kind);
  check.target = in.bytes();
  check.interval_ms = in.svarint();
  check.timeout_ms = in.svarint();
  return check;
}

void put(Writer& out, const Filter& filter) {
  out.boolean(filter.only_healthy);
  out.varint(filter.tags.size());
  for (const auto& tag : filter.tags) out.bytes(tag);
  out.varint(filter.meta.size());
  for (const auto& [key, value] : filter.meta) {
    out.bytes(key);
    out.bytes(value);
  }
}

Filter take_filter(Reader& in) {
  Filter filter;
  filter.only_healthy = in.boolean();
  const auto tags = in.count();
  for (std::size_t i = 0; i < tags && in.ok(); ++i) filter.tags.emplace_back(in.bytes());
  const auto keys = in.count();
  for (std::size_t i = 0; i < keys && in.ok(); ++i) {
    const auto key = in.bytes();
    filter.meta.emplace_back(key, in.bytes());
  }
  return filter;
}

// A record travels as the text of its node.
Instance take_record(Reader& in) {
  Instance record;
  if (!parse(in.bytes(), record)) in.fail();
  return record;
}

void put(Writer& out, const Found& found) {
  out.bytes(found.id);
  out.id(found.session);
  out.id(found.changed);
  out.bytes(to_text(found.record));
}

Found take_found(Reader& in) {
  Found found;
  found.id = in.bytes();
  found.session = in.id<SessionId>();
  found.changed = in.id<Zxid>();
  found.record = take_record(in);
  return found;
}

std::string start(Op op, std::string_view service, std::string_view instance) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(op));
  out.bytes(service);
  out.bytes(instance);
  return bytes;
}

// Reads what start() wrote.
bool take_start(Reader& in, Op op, std::string& service, std::string& instance) {
  if (in.u8() != static_cast<std::uint8_t>(op)) return false;
  service = in.bytes();
  instance = in.bytes();
  return in.ok() && name_error(service).empty() && name_error(instance).empty();
}

}  // namespace

std::string encode(const Register& op) {
  auto bytes = start(Op::enlist, op.service, op.instance);
  Writer out(bytes);
  out.bytes(to_text(op.record));
  out.boolean(op.takes_over);
  return bytes;
}

bool decode(std::string_view bytes, Register& op) {
  Reader in(bytes);
  if (!take_start(in, Op::enlist, op.service, op.instance)) return false;
  op.record = take_record(in);
  op.takes_over = in.boolean();
  if (!in.done() || op.record.maintenance || !problem_of(op.record).empty()) return false;
  for (const auto& why : op.record.failing) {
    if (why) return false;
  }
  return true;
}

std::string encode(const Deregister& op) {
  auto bytes = start(Op::leave, op.service, op.instance);
  Writer(bytes).boolean(op.takes_over);
  return bytes;
}

bool decode(std::string_view bytes, Deregister& op) {
  Reader in(bytes);
  if (!take_start(in, Op::leave, op.service, op.instance)) return false;
  op.takes_over = in.boolean();
  return in.done();
}

std::string encode(const Maintain& op) {
  auto bytes = start(Op::maintain, op.service, op.instance);
  Writer out(bytes);
  put(out, op.reason);
  return bytes;
}

bool decode(std::string_view bytes, Maintain& op) {
  Reader in(bytes);
  if (!take_start(in, Op::maintain, op.service, op.instance)) return false;
  op.reason = take_optional(in);
  return in.done() &&
         (!op.reason || (op.reason->size() <= kReasonBytesMax && is_one_line(*op.reason)));
}

std::string encode(const Report& op) {
  auto bytes = start(Op::report, op.service, op.instance);
  Writer out(bytes);
  put(out, op.check);
  put(out, op.why);
  return bytes;
}

bool decode(std::string_view bytes, Report& op) {
  Reader in(bytes);
  if (!take_start(in, Op::report, op.service, op.instance)) return false;
  op.check = take_check(in);
  op.why = take_optional(in);
  return in.done() && (!op.why || (op.why->size() <= kReasonBytesMax && is_one_line(*op.why)));
}

std::string encode(const Volunteer& op) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(Op::volunteer));
  out.id(op.member);
  return bytes;
}

bool decode(std::string_view bytes, Volunteer& op) {
  Reader in(bytes);
  if (in.u8() != static_cast<std::uint8_t>(Op::volunteer)) return false;
  op.member = in.id<MemberId>();
  return in.done() && op.member;
}

std::string encode(const Heartbeat& op) { return start(Op::heartbeat, op.service, op.instance); }

bool decode(std::string_view bytes, Heartbeat& op) {
  Reader in(bytes);
  return take_start(in, Op::heartbeat, op.service, op.instance) && in.done();
}

std::string encode(const List& query) {
  auto bytes = start(Op::list, query.service, {});
  Writer out(bytes);
  put(out, query.filter);
  out.boolean(query.may_be_unknown);
  return bytes;
}

bool decode(std::string_view bytes, List& query) {
  Reader in(bytes);
  if (in.u8() != static_cast<std::uint8_t>(Op::list)) return false;
  query.service = in.bytes();
  if (!in.bytes().empty()) return false;
  query.filter = take_filter(in);
  query.may_be_unknown = in.boolean();
  return in.done() && name_error(query.service).empty();
}

std::string encode(const ListServices& query) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(Op::list_services));
  put(out, query.filter);
  out.bytes(query.after);
  out.varint(query.limit);
  return bytes;
}

bool decode(std::string_view bytes, ListServices& query) {
  Reader in(bytes);
  if (in.u8() != static_cast<std::uint8_t>(Op::list_services)) return false;
  query.filter = take_filter(in);
  query.after = in.bytes();
  query.limit = in.varint32();
  return in.done() && query.limit > 0;
}

std::string encode(const Registered& answer) {
  std::string bytes;
  Writer out(bytes);
  out.boolean(answer.is_new);
  put(out, answer.now);
  return bytes;
}

bool decode(std::string_view bytes, Registered& answer) {
  Reader in(bytes);
  answer.is_new = in.boolean();
  answer.now = take_found(in);
  return in.done();
}

std::string encode(const Instances& answer) {
  std::string bytes;
  Writer out(bytes);
  out.varint(answer.instances.size());
  for (const auto& found : answer.instances) put(out, found);
  out.varint(answer.checkers.size());
  for (const auto member : answer.checkers) out.id(member);
  return bytes;
}

bool decode(std::string_view bytes, Instances& answer) {
  Reader in(bytes);
  answer = Instances();
  const auto instances = in.count();
  for (std::size_t i = 0; i < instances && in.ok(); ++i) answer.instances.push_back(take_found(in));
  const auto checkers = in.count();
  for (std::size_t i = 0; i < checkers && in.ok(); ++i) {
    answer.checkers.push_back(in.id<MemberId>());
  }
  return in.done();
}

std::string encode(const Services& answer) {
  std::string bytes;
  Writer out(bytes);
  out.varint(answer.services.size());
  for (const auto& one : answer.services) {
    out.bytes(one.service);
    out.varint(one.instances);
    out.varint(one.healthy);
    out.varint(one.tags.size());
    for (const auto& tag : one.tags) out.bytes(tag);
  }
  out.boolean(answer.is_last);
  return bytes;
}

bool decode(std::string_view bytes, Services& answer) {
  Reader in(bytes);
  answer = Services();
  const auto services = in.count();
  for (std::size_t i = 0; i < services && in.ok(); ++i) {
    auto& one = answer.services.emplace_back();
    one.service = in.bytes();
    one.instances = in.varint();
    one.healthy = in.varint();
    const auto tags = in.count();
    for (std::size_t t = 0; t < tags && in.ok(); ++t) one.tags.emplace_back(in.bytes());
  }
  answer.is_last = in.boolean();
  return in.done();
}

}  // namespace coord::recipes::service
