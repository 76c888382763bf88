#include "coord/core/peer_message.hpp"

#include <utility>

#include "coord/base/codec.hpp"

namespace coord::core {
namespace {

constexpr std::uint8_t kVersion = 1;

void write(Writer& out, const election::SnapshotMark& mark) {
  out.id(mark.index);
  out.id(mark.term);
}
election::SnapshotMark read_mark(Reader& in) {
  election::SnapshotMark mark;
  mark.index = in.id<Index>();
  mark.term = in.id<Term>();
  return mark;
}

Code read_code(Reader& in) {
  const auto code = code_from(in.u8());
  if (!code) in.fail();
  return code.value_or(Code::internal);
}

void write(Writer& out, const Forward& m) {
  out.id(m.term);
  out.u64(m.stream);
  out.varint(m.position);
  out.u64(m.number);
  out.boolean(m.session.has_value());
  if (m.session) {
    out.id(m.session->id);
    for (const auto byte : m.session->secret) out.u8(byte);
  }
  out.bytes(m.command);
}
void read(Reader& in, Forward& m) {
  m.term = in.id<Term>();
  m.stream = in.u64();
  m.position = in.varint();
  m.number = in.u64();
  if (in.boolean()) {
    auto& session = m.session.emplace();
    session.id = in.id<SessionId>();
    for (auto& byte : session.secret) byte = in.u8();
  }
  m.command = in.bytes();
}

void write(Writer& out, const ForwardRefused& m) {
  out.id(m.term);
  out.u64(m.stream);
  out.varint(m.position);
  out.u64(m.number);
  out.boolean(m.ends_stream);
  out.u8(static_cast<std::uint8_t>(m.code));
  out.bytes(m.detail);
  out.u8(m.end_reason ? static_cast<std::uint8_t>(*m.end_reason) : 0);
}
void read(Reader& in, ForwardRefused& m) {
  m.term = in.id<Term>();
  m.stream = in.u64();
  m.position = in.varint();
  m.number = in.u64();
  m.ends_stream = in.boolean();
  m.code = read_code(in);
  m.detail = in.bytes();
  const auto reason = in.u8();
  if (reason > static_cast<std::uint8_t>(session::EndReason::killed)) in.fail();
  if (reason != 0 && in.ok()) m.end_reason = static_cast<session::EndReason>(reason);
}

void write(Writer& out, const Touches& m) {
  out.id(m.term);
  out.varint(m.alive.size());
  for (const auto id : m.alive) out.id(id);
  out.varint(m.confirm.size());
  for (const auto& each : m.confirm) {
    out.varint(each.token);
    out.id(each.session);
    out.boolean(each.renews);
  }
}
void read(Reader& in, Touches& m) {
  m.term = in.id<Term>();
  const auto alive = in.count();
  for (std::size_t i = 0; i < alive && in.ok(); ++i) m.alive.push_back(in.id<SessionId>());
  const auto confirm = in.count();
  for (std::size_t i = 0; i < confirm && in.ok(); ++i) {
    auto& each = m.confirm.emplace_back();
    each.token = in.varint();
    each.session = in.id<SessionId>();
    each.renews = in.boolean();
  }
}

void write(Writer& out, const TouchesConfirmed& m) {
  out.id(m.term);
  out.varint(m.answers.size());
  for (const auto& answer : m.answers) {
    out.varint(answer.token);
    out.boolean(answer.is_confirmed);
    out.svarint(answer.remaining_ms);
    out.id(answer.wait_for);
  }
}
void read(Reader& in, TouchesConfirmed& m) {
  m.term = in.id<Term>();
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) {
    auto& answer = m.answers.emplace_back();
    answer.token = in.varint();
    answer.is_confirmed = in.boolean();
    answer.remaining_ms = in.svarint();
    answer.wait_for = in.id<Index>();
  }
}

void write(Writer& out, const DigestNote& m) {
  out.id(m.index);
  out.u64(m.digest);
}
void read(Reader& in, DigestNote& m) {
  m.index = in.id<Index>();
  m.digest = in.u64();
}

void write(Writer& out, const ClusterNote& m) {
  out.id(m.term);
  out.id(m.committed);
  out.varint(m.peers.size());
  for (const auto& peer : m.peers) {
    out.id(peer.id);
    out.id(peer.match);
    out.svarint(peer.heard_ms);
    out.boolean(peer.needs_snapshot);
  }
}
void read(Reader& in, ClusterNote& m) {
  m.term = in.id<Term>();
  m.committed = in.id<Index>();
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) {
    auto& peer = m.peers.emplace_back();
    peer.id = in.id<MemberId>();
    peer.match = in.id<Index>();
    peer.heard_ms = in.svarint();
    peer.needs_snapshot = in.boolean();
  }
}

void write(Writer& out, const SnapshotPull& m) {
  write(out, m.mark);
  out.varint(m.offset);
  out.u64(m.stream);
}
void read(Reader& in, SnapshotPull& m) {
  m.mark = read_mark(in);
  m.offset = in.varint();
  m.stream = in.u64();
}

void write(Writer& out, const SnapshotChunk& m) {
  out.u64(m.stream);
  write(out, m.mark);
  out.varint(m.offset);
  out.boolean(m.is_last);
  out.bytes(m.bytes);
}
void read(Reader& in, SnapshotChunk& m) {
  m.stream = in.u64();
  m.mark = read_mark(in);
  m.offset = in.varint();
  m.is_last = in.boolean();
  m.bytes = in.bytes();
}

void write(Writer& out, const AdminRequest& m) {
  out.id(m.term);
  out.u64(m.token);
  out.bytes(m.bytes);
}
void read(Reader& in, AdminRequest& m) {
  m.term = in.id<Term>();
  m.token = in.u64();
  m.bytes = in.bytes();
}

void write(Writer& out, const AdminReply& m) {
  out.u64(m.token);
  out.u8(static_cast<std::uint8_t>(m.code));
  out.bytes(m.detail);
  out.bytes(m.bytes);
}
void read(Reader& in, AdminReply& m) {
  m.token = in.u64();
  m.code = read_code(in);
  m.detail = in.bytes();
  m.bytes = in.bytes();
}

// The number of a body on the wire is its place in the variant: append only. Raft's own messages,
// the first, keep their own form.
template <std::size_t Place = 1>
bool read_body(Reader& in, std::size_t kind, PeerBody& body) {
  if constexpr (Place < std::variant_size_v<PeerBody>) {
    if (kind != Place) return read_body<Place + 1>(in, kind, body);
    read(in, body.emplace<Place>());
    return true;
  } else {
    return false;
  }
}

}  // namespace

std::string encode(const Message& message) {
  std::string bytes;
  Writer out(bytes);
  out.u8(kVersion);
  out.u8(static_cast<std::uint8_t>(message.body.index()));
  if (const auto* raft = std::get_if<election::Body>(&message.body)) {
    bytes += election::encode(election::Message{message.from, message.to, *raft});
    return bytes;
  }
  out.id(message.from);
  out.id(message.to);
  std::visit(
      [&out](const auto& body) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(body)>, election::Body>) {
          write(out, body);
        }
      },
      message.body);
  return bytes;
}

bool decode(std::string_view bytes, Message& message) {
  if (bytes.size() < 2 || static_cast<std::uint8_t>(bytes[0]) != kVersion) return false;
  const auto kind = static_cast<std::uint8_t>(bytes[1]);
  bytes.remove_prefix(2);
  if (kind == 0) {
    election::Message raft;
    if (!election::decode(bytes, raft)) return false;
    message = Message{raft.from, raft.to, std::move(raft.body)};
    return true;
  }
  Reader in(bytes);
  message.from = in.id<MemberId>();
  message.to = in.id<MemberId>();
  if (!in.ok() || !read_body(in, kind, message.body)) return false;
  return in.done();
}

}  // namespace coord::core
