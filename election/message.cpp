#include "election/message.hpp"

#include <memory>
#include <utility>

#include "coord/base/codec.hpp"

namespace coord::election {
namespace {

constexpr std::uint8_t kVersion = 1;

void write(Writer& out, const VoteRequest& m) {
  out.boolean(m.is_pre_vote);
  out.id(m.term);
  out.id(m.last_index);
  out.id(m.last_term);
  out.boolean(m.is_transfer);
}
void write(Writer& out, const VoteReply& m) {
  out.boolean(m.is_pre_vote);
  out.id(m.term);
  out.boolean(m.granted);
}
void write(Writer& out, const AppendRequest& m) {
  out.id(m.term);
  out.id(m.prev_index);
  out.id(m.prev_term);
  out.id(m.committed);
  out.varint(m.round);
  out.svarint(m.sent_at_ms);
  out.varint(m.entries.size());
  // Indexes follow from prev_index: they cannot be wrong.
  for (const auto& entry : m.entries) {
    out.id(entry->term);
    out.u8(static_cast<std::uint8_t>(entry->kind));
    out.bytes(entry->payload);
  }
}
void write(Writer& out, const AppendReply& m) {
  out.id(m.term);
  out.boolean(m.success);
  out.id(m.match);
  out.id(m.hint_index);
  out.id(m.hint_term);
  out.varint(m.round);
  out.svarint(m.sent_at_ms);
}
void write(Writer& out, const SnapshotRequest& m) {
  out.id(m.term);
  out.id(m.mark.index);
  out.id(m.mark.term);
  out.bytes(encode(m.membership));
}
void write(Writer& out, const SnapshotReply& m) {
  out.id(m.term);
  out.boolean(m.success);
  out.id(m.match);
}
void write(Writer& out, const TimeoutNow& m) { out.id(m.term); }
void write(Writer& out, const ReadIndexRequest& m) {
  out.id(m.term);
  out.id(m.read);
}
void write(Writer& out, const ReadIndexReply& m) {
  out.id(m.term);
  out.id(m.read);
  out.boolean(m.granted);
  out.id(m.index);
}

// Terms and indexes leave room for more: nothing computed from them may wrap around.
template <class Id>
Id read_bounded(Reader& in) {
  const auto id = in.id<Id>();
  if (id.value() > UINT64_MAX / 2) in.fail();
  return id;
}

void read(Reader& in, VoteRequest& m) {
  m.is_pre_vote = in.boolean();
  m.term = read_bounded<Term>(in);
  m.last_index = read_bounded<Index>(in);
  m.last_term = read_bounded<Term>(in);
  m.is_transfer = in.boolean();
}
void read(Reader& in, VoteReply& m) {
  m.is_pre_vote = in.boolean();
  m.term = read_bounded<Term>(in);
  m.granted = in.boolean();
}

bool is_kind(std::uint8_t value) {
  switch (static_cast<EntryKind>(value)) {
    case EntryKind::command:
    case EntryKind::no_op:
    case EntryKind::membership:
      return true;
  }
  return false;
}

// What an entry claims is checked here, so that a log can rely on it: terms never fall and none is
// above its leader's, and a membership can be read.
SharedEntry read_entry(Reader& in, Index index, Term at_least, Term at_most) {
  auto entry = std::make_shared<LogEntry>();
  entry->index = index;
  entry->term = read_bounded<Term>(in);
  const auto kind = in.u8();
  entry->payload = in.bytes();
  if (!is_kind(kind) || entry->term < at_least || entry->term > at_most) in.fail();
  entry->kind = static_cast<EntryKind>(kind);
  Membership membership;
  if (in.ok() && entry->kind == EntryKind::membership && !decode(entry->payload, membership)) {
    in.fail();
  }
  return entry;
}

void read(Reader& in, AppendRequest& m) {
  m.term = read_bounded<Term>(in);
  m.prev_index = read_bounded<Index>(in);
  m.prev_term = read_bounded<Term>(in);
  m.committed = read_bounded<Index>(in);
  m.round = in.varint();
  m.sent_at_ms = in.svarint();
  const auto count = in.count();
  Index index = m.prev_index;
  Term term = m.prev_term;
  if (term > m.term) in.fail();
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    index = index.next();
    auto entry = read_entry(in, index, term, m.term);
    term = entry->term;
    m.entries.push_back(std::move(entry));
  }
  if (m.committed > index) in.fail();
}
void read(Reader& in, AppendReply& m) {
  m.term = read_bounded<Term>(in);
  m.success = in.boolean();
  m.match = read_bounded<Index>(in);
  m.hint_index = read_bounded<Index>(in);
  m.hint_term = read_bounded<Term>(in);
  m.round = in.varint();
  m.sent_at_ms = in.svarint();
}
void read(Reader& in, SnapshotRequest& m) {
  m.term = read_bounded<Term>(in);
  m.mark.index = read_bounded<Index>(in);
  m.mark.term = read_bounded<Term>(in);
  const auto bytes = in.bytes();
  if (in.ok() && (!decode(bytes, m.membership) || m.mark.term > m.term)) in.fail();
}
void read(Reader& in, SnapshotReply& m) {
  m.term = read_bounded<Term>(in);
  m.success = in.boolean();
  m.match = read_bounded<Index>(in);
}
void read(Reader& in, TimeoutNow& m) { m.term = read_bounded<Term>(in); }
void read(Reader& in, ReadIndexRequest& m) {
  m.term = read_bounded<Term>(in);
  m.read = in.id<ReadId>();
}
void read(Reader& in, ReadIndexReply& m) {
  m.term = read_bounded<Term>(in);
  m.read = in.id<ReadId>();
  m.granted = in.boolean();
  m.index = read_bounded<Index>(in);
}

// The number of a body on the wire is its place in the variant: append only.
template <std::size_t Place = 0>
bool read_body(Reader& in, std::size_t kind, Body& body) {
  if constexpr (Place < std::variant_size_v<Body>) {
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
  if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    std::size_t size = 64;
    for (const auto& entry : append->entries) size += entry->payload.size() + 16;
    bytes.reserve(size);
  }
  Writer out(bytes);
  out.u8(kVersion);
  out.id(message.from);
  out.id(message.to);
  out.u8(static_cast<std::uint8_t>(message.body.index()));
  std::visit([&](const auto& body) { write(out, body); }, message.body);
  return bytes;
}

bool decode(std::string_view bytes, Message& message) {
  Reader in(bytes);
  if (in.u8() != kVersion) return false;
  message.from = in.id<MemberId>();
  message.to = in.id<MemberId>();
  const auto kind = in.u8();
  if (!in.ok() || !read_body(in, kind, message.body)) return false;
  return in.done();
}

}  // namespace coord::election
