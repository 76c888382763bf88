// The byte form of a Stat inside outcomes: stored in the retry window.
#pragma once

#include "coord/base/codec.hpp"
#include "znode/stat.hpp"

namespace coord::core {

inline void put_stat(Writer& out, const znode::Stat& stat) {
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

inline znode::Stat take_stat(Reader& in) noexcept {
  const auto int32 = [&in]() noexcept {
    const auto v = in.svarint();
    if (v < INT32_MIN || v > INT32_MAX) in.fail();
    return in.ok() ? static_cast<std::int32_t>(v) : 0;
  };
  znode::Stat stat;
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
  if (mode > static_cast<std::uint8_t>(znode::Mode::ttl)) in.fail();
  if (in.ok()) stat.mode = static_cast<znode::Mode>(mode);
  stat.ttl_ms = in.svarint();
  return stat;
}

}  // namespace coord::core
