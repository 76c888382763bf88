#include "znode/change.hpp"

namespace coord::znode {

std::size_t bytes_of(const ChangeBatch& batch) noexcept {
  std::size_t bytes = sizeof batch;
  for (const auto& change : batch.changes) {
    bytes += sizeof change + change.path.size() + change.value.size() + change.prev_value.size() +
             change.content_type.size() + change.prev_content_type.size();
    for (const auto& entry : change.acl) {
      bytes += sizeof entry + entry.scheme.size() + entry.id.size();
    }
  }
  return bytes;
}

void encode(const Stat& stat, Writer& out) {
  out.id(stat.czxid);
  out.id(stat.mzxid);
  out.id(stat.pzxid);
  out.svarint(stat.ctime_ms);
  out.svarint(stat.mtime_ms);
  out.svarint(stat.version);
  out.svarint(stat.cversion);
  out.svarint(stat.aversion);
  out.id(stat.ephemeral_owner);
  out.varint(stat.data_length);
  out.varint(stat.num_children);
  out.u8(static_cast<std::uint8_t>(stat.mode));
  out.svarint(stat.ttl_ms);
}

Stat decode_stat(Reader& in) {
  const auto int32 = [&in] {
    const auto value = in.svarint();
    if (value < INT32_MIN || value > INT32_MAX) in.fail();
    return in.ok() ? static_cast<std::int32_t>(value) : 0;
  };
  Stat stat;
  stat.czxid = in.id<Zxid>();
  stat.mzxid = in.id<Zxid>();
  stat.pzxid = in.id<Zxid>();
  stat.ctime_ms = in.svarint();
  stat.mtime_ms = in.svarint();
  stat.version = int32();
  stat.cversion = int32();
  stat.aversion = int32();
  stat.ephemeral_owner = in.id<SessionId>();
  stat.data_length = in.varint32();
  stat.num_children = in.varint32();
  const auto mode = in.u8();
  if (mode > static_cast<std::uint8_t>(Mode::ttl)) in.fail();
  stat.mode = in.ok() ? static_cast<Mode>(mode) : Mode::persistent;
  stat.ttl_ms = in.svarint();
  return stat;
}

void encode(const Change& change, Writer& out) {
  out.u8(static_cast<std::uint8_t>(change.kind));
  out.bytes(change.path);
  out.blob(change.value);
  out.bytes(change.content_type);
  out.blob(change.prev_value);
  out.bytes(change.prev_content_type);
  encode(change.stat, out);
  encode(change.prev_stat, out);
  out.id(change.session);
  encode(change.acl, out);
}

Change decode_change(Reader& in) {
  Change change;
  const auto kind = in.u8();
  if (kind < static_cast<std::uint8_t>(ChangeKind::created) ||
      kind > static_cast<std::uint8_t>(ChangeKind::acl)) {
    in.fail();
    return change;
  }
  change.kind = static_cast<ChangeKind>(kind);
  change.path = in.bytes();
  change.value = in.blob();
  change.content_type = in.bytes();
  change.prev_value = in.blob();
  change.prev_content_type = in.bytes();
  change.stat = decode_stat(in);
  change.prev_stat = decode_stat(in);
  change.session = in.id<SessionId>();
  change.acl = decode_acl(in);
  return change;
}

}  // namespace coord::znode
