#include "coord/core/outcome.hpp"

#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"
#include "znode/change.hpp"

namespace coord::core {
namespace {

enum class Kind : std::uint8_t { none = 0, written = 1, txn = 2, session = 3, recipe = 4 };

void put(Writer& out, const Written& w) {
  out.bytes(w.path);
  znode::encode(w.stat, out);
  out.boolean(w.created);
  out.boolean(w.number.has_value());
  if (w.number) out.svarint(*w.number);
}
Written take_written(Reader& in) {
  Written w;
  w.path = in.bytes();
  w.stat = znode::decode_stat(in);
  w.created = in.boolean();
  if (in.boolean()) w.number = in.svarint();
  return w;
}

void put(Writer& out, const TxnResult& txn) {
  out.boolean(txn.succeeded);
  out.boolean(txn.failed_op.has_value());
  if (txn.failed_op) out.varint(*txn.failed_op);
  out.varint(txn.results.size());
  for (const auto& r : txn.results) {
    out.u8(r.op);
    out.u8(static_cast<std::uint8_t>(r.code));
    out.bytes(r.path);
    znode::encode(r.stat, out);
    out.blob(r.value);
    out.bytes(r.content_type);
    out.varint(r.children.size());
    for (const auto& child : r.children) out.bytes(child);
  }
}
TxnResult take_txn(Reader& in) {
  TxnResult txn;
  txn.succeeded = in.boolean();
  if (in.boolean()) txn.failed_op = in.varint32();
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) {
    auto& r = txn.results.emplace_back();
    r.op = in.u8();
    const auto code = code_from(in.u8());
    if (!code) in.fail();
    r.code = code.value_or(Code::ok);
    r.path = in.bytes();
    r.stat = znode::decode_stat(in);
    r.value = in.blob();
    r.content_type = in.bytes();
    const auto children = in.count();
    for (std::size_t c = 0; c < children && in.ok(); ++c) r.children.emplace_back(in.bytes());
  }
  return txn;
}

void put(Writer& out, const SessionOpened& s) {
  out.id(s.id);
  for (const auto byte : s.secret) out.u8(byte);
  out.svarint(s.ttl_ms);
}
SessionOpened take_session(Reader& in) {
  SessionOpened s;
  s.id = in.id<SessionId>();
  for (auto& byte : s.secret) byte = in.u8();
  s.ttl_ms = in.svarint();
  return s;
}

void put(Writer& out, const RecipeResult& r) {
  recipes::encode(r.answer, out);
  out.boolean(r.opened.has_value());
  if (r.opened) put(out, *r.opened);
  out.svarint(r.session_ttl_ms);
}
RecipeResult take_recipe(Reader& in) {
  RecipeResult r;
  r.answer = recipes::decode_answer(in);
  if (in.boolean()) r.opened = take_session(in);
  r.session_ttl_ms = in.svarint();
  return r;
}

}  // namespace

Outcome refusal(Code code, std::string path, std::string detail) {
  Outcome outcome;
  outcome.code = code;
  outcome.path = std::move(path);
  outcome.detail = std::move(detail);
  return outcome;
}

std::string encode(const Outcome& outcome) {
  std::string bytes;
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(outcome.code));
  out.bytes(outcome.detail);
  out.bytes(outcome.path);
  out.id(outcome.revision);
  out.boolean(outcome.present.has_value());
  if (outcome.present) znode::encode(*outcome.present, out);
  out.u8(outcome.end_reason ? static_cast<std::uint8_t>(*outcome.end_reason) : 0);
  const auto kind = [&out](Kind k) { out.u8(static_cast<std::uint8_t>(k)); };
  std::visit(Overloaded{[&](const Written& w) {
                          kind(Kind::written);
                          put(out, w);
                        },
                        [&](const TxnResult& t) {
                          kind(Kind::txn);
                          put(out, t);
                        },
                        [&](const SessionOpened& s) {
                          kind(Kind::session);
                          put(out, s);
                        },
                        [&](const RecipeResult& r) {
                          kind(Kind::recipe);
                          put(out, r);
                        },
                        [&](const auto&) { kind(Kind::none); }},
             outcome.result);
  return bytes;
}

bool decode(std::string_view bytes, Outcome& outcome) {
  Reader in(bytes);
  outcome = Outcome();
  const auto code = code_from(in.u8());
  if (!code) return false;
  outcome.code = *code;
  outcome.detail = in.bytes();
  outcome.path = in.bytes();
  outcome.revision = in.id<Zxid>();
  if (in.boolean()) outcome.present = znode::decode_stat(in);
  const auto reason = in.u8();
  if (reason > 3) return false;
  if (reason > 0) outcome.end_reason = static_cast<session::EndReason>(reason);
  switch (in.u8()) {
    case 0:
      break;
    case 1:
      outcome.result = take_written(in);
      break;
    case 2:
      outcome.result = take_txn(in);
      break;
    case 3:
      outcome.result = take_session(in);
      break;
    case 4:
      outcome.result = take_recipe(in);
      break;
    default:
      return false;
  }
  return in.done();
}

Reply reply_of(ConnectionId connection, RequestId id, Outcome&& outcome) {
  Reply reply;
  reply.connection = connection;
  reply.id = id;
  reply.code = outcome.code;
  reply.detail = std::move(outcome.detail);
  reply.path = std::move(outcome.path);
  reply.revision = outcome.revision;
  reply.present = outcome.present;
  reply.end_reason = outcome.end_reason;
  reply.was_applied_before = outcome.was_applied_before;
  reply.result = std::move(outcome.result);
  return reply;
}

}  // namespace coord::core
