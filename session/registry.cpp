#include "session/registry.hpp"

#include <absl/container/btree_map.h>
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"

namespace coord::session {
namespace {

// The first byte of every record, so that a later format can be told from this one.
constexpr std::uint8_t kFormat = 1;
// Of a session that was attached anew: ends with the entry that did.
constexpr std::uint8_t kAttachedFormat = 2;

struct Ended {
  EndReason reason = EndReason::closed;
  std::uint64_t order = 0;  // The ends are numbered: a load finds them in the order of ids.
};

std::string key_of(SessionId id) {
  std::string key;
  append_big_endian(key, id.value());
  return key;
}

std::string encode(const Session& session) {
  std::string bytes;
  Writer out(bytes);
  const bool is_attached = session.attached.value() != session.id.value();
  out.u8(is_attached ? kAttachedFormat : kFormat);
  for (const auto byte : session.secret) out.u8(byte);
  out.svarint(session.ttl_ms);
  out.bytes(session.name);
  out.bytes(session.address);
  out.svarint(session.opened_ms);
  if (is_attached) out.id(session.attached);
  return bytes;
}

bool decode(std::string_view bytes, Session& session) {
  Reader in(bytes);
  const auto format = in.u8();
  if (format != kFormat && format != kAttachedFormat) return false;
  for (auto& byte : session.secret) byte = in.u8();
  session.ttl_ms = in.svarint();
  session.name = in.bytes();
  session.address = in.bytes();
  session.opened_ms = in.svarint();
  session.attached = format == kAttachedFormat ? in.id<Zxid>() : Zxid(session.id.value());
  return in.done();
}

std::string encode(const Ended& ended) {
  std::string bytes;
  Writer out(bytes);
  out.u8(kFormat);
  out.u8(static_cast<std::uint8_t>(ended.reason));
  out.varint(ended.order);
  return bytes;
}

bool decode(std::string_view bytes, Ended& ended) {
  Reader in(bytes);
  if (in.u8() != kFormat) return false;
  const auto reason = in.u8();
  ended.order = in.varint();
  if (!in.done() || reason < 1 || reason > 3) return false;
  ended.reason = static_cast<EndReason>(reason);
  return true;
}

template <class Value>
std::uint64_t hash_of(Table table, SessionId id, const Value& value) {
  return record_hash(table, key_of(id), encode(value));
}

}  // namespace

struct Registry::Impl {
  SessionLimits limits;
  absl::btree_map<SessionId, Session> live;
  absl::flat_hash_map<SessionId, Ended> ended;
  absl::btree_map<std::uint64_t, SessionId> by_order;  // The ended ones, oldest end first.
  std::uint64_t digest = 0;
  std::size_t ended_bound = 0;  // limits.ended_max, or what a load brought if that is more.

  // A function of the records alone, so that a member that was loaded numbers like the others.
  [[nodiscard]] std::uint64_t next_order() const {
    return by_order.empty() ? 1 : by_order.rbegin()->first + 1;
  }

  [[nodiscard]] bool is_ttl(std::int64_t ms) const noexcept {
    return ms >= limits.ttl_ms_min && ms <= limits.ttl_ms_max;
  }

  void put(const Session& session, DirtyMap& dirty) {
    auto key = key_of(session.id);
    auto bytes = encode(session);
    digest += record_hash(Table::sessions, key, bytes);
    dirty.put(Table::sessions, key, std::move(bytes));
  }

  void remember_end(SessionId id, EndReason reason, DirtyMap& dirty) {
    const Ended one{reason, next_order()};
    ended.emplace(id, one);
    by_order.emplace(one.order, id);
    auto bytes = encode(one);
    const auto key = key_of(id);
    digest += record_hash(Table::ended, key, bytes);
    dirty.put(Table::ended, key, std::move(bytes));
    while (by_order.size() > limits.ended_max) forget_oldest_end(dirty);
    ended_bound = limits.ended_max;
  }

  void forget_oldest_end(DirtyMap& dirty) {
    const auto id = by_order.begin()->second;
    const auto at = ended.find(id);
    COORD_CHECK(at != ended.end(), "an end that is ordered is known", id);
    digest -= hash_of(Table::ended, id, at->second);
    dirty.erase(Table::ended, key_of(id));
    ended.erase(at);
    by_order.erase(by_order.begin());
  }
};

Registry::Registry(SessionLimits limits) : impl_(std::make_unique<Impl>()) {
  impl_->limits = limits;
  impl_->ended_bound = limits.ended_max;
}
Registry::~Registry() = default;
Registry::Registry(Registry&&) noexcept = default;
Registry& Registry::operator=(Registry&&) noexcept = default;

const Session* Registry::find(SessionId id) const noexcept {
  const auto at = impl_->live.find(id);
  return at == impl_->live.end() ? nullptr : &at->second;
}

std::optional<EndReason> Registry::end_of(SessionId id) const noexcept {
  const auto at = impl_->ended.find(id);
  if (at == impl_->ended.end()) return std::nullopt;
  return at->second.reason;
}

Code Registry::check(SessionId id, const Secret& secret) const noexcept {
  if (const auto* session = find(id)) {
    return is_same_secret(session->secret, secret) ? Code::ok : Code::bad_session_secret;
  }
  return impl_->ended.contains(id) ? Code::session_expired : Code::not_found;
}

std::size_t Registry::size() const noexcept { return impl_->live.size(); }

void Registry::list(SessionId after, const std::function<bool(const Session&)>& each) const {
  for (auto at = impl_->live.upper_bound(after); at != impl_->live.end(); ++at) {
    if (!each(at->second)) return;
  }
}

std::uint64_t Registry::digest() const noexcept { return impl_->digest; }

Code Registry::check_open(const Session& session) const noexcept {
  const auto& limits = impl_->limits;
  if (!impl_->is_ttl(session.ttl_ms)) return Code::invalid;
  if (session.name.size() > limits.name_bytes_max) return Code::invalid;
  if (impl_->live.size() >= limits.sessions_max) return Code::overloaded;
  return Code::ok;
}

Code Registry::open(const Session& session, DirtyMap& dirty) {
  if (const auto code = check_open(session); code != Code::ok) return code;
  COORD_CHECK(session.id, "a session has an id");
  COORD_CHECK(!impl_->ended.contains(session.id), "an id is given once", session.id);
  const auto [at, inserted] = impl_->live.emplace(session.id, session);
  COORD_CHECK(inserted, "an id is given once", session.id);
  at->second.attached = Zxid(session.id.value());
  impl_->put(at->second, dirty);
  return Code::ok;
}

bool Registry::end(SessionId id, EndReason reason, DirtyMap& dirty) {
  const auto at = impl_->live.find(id);
  if (at == impl_->live.end()) return false;
  impl_->digest -= hash_of(Table::sessions, id, at->second);
  dirty.erase(Table::sessions, key_of(id));
  impl_->live.erase(at);
  impl_->remember_end(id, reason, dirty);
  return true;
}

Code Registry::attach(SessionId id, Zxid zxid, std::string_view address, std::int64_t ttl_ms,
                      DirtyMap& dirty) {
  const auto at = impl_->live.find(id);
  if (at == impl_->live.end()) return Code::session_expired;
  if (ttl_ms != 0 && !impl_->is_ttl(ttl_ms)) return Code::invalid;
  COORD_CHECK(zxid > at->second.attached, "attachments only grow", zxid);
  impl_->digest -= hash_of(Table::sessions, id, at->second);
  at->second.address = address;
  at->second.attached = zxid;
  if (ttl_ms != 0) at->second.ttl_ms = ttl_ms;
  impl_->put(at->second, dirty);
  return Code::ok;
}

std::string Registry::load(Table table, std::string_view key, std::string_view bytes) {
  if (key.size() != 8) return "a session record has a key that is not an id";
  const SessionId id(read_big_endian(key));
  if (!id) return "a session record has the id 0";
  if (impl_->live.contains(id) || impl_->ended.contains(id)) {
    return fmt::format("session {} is there twice", id);
  }
  if (table == Table::sessions) {
    Session session;
    session.id = id;
    if (!decode(bytes, session)) return fmt::format("the record of session {} is malformed", id);
    impl_->live.emplace(id, std::move(session));
  } else if (table == Table::ended) {
    Ended ended;
    if (!decode(bytes, ended)) return fmt::format("the end of session {} is malformed", id);
    if (!impl_->by_order.emplace(ended.order, id).second) {
      return fmt::format("the end of session {} has the number of another", id);
    }
    impl_->ended.emplace(id, ended);
    impl_->ended_bound = std::max(impl_->ended_bound, impl_->ended.size());
  } else {
    return fmt::format("table {} is not one of sessions", static_cast<int>(table));
  }
  impl_->digest += record_hash(table, key, bytes);
  return {};
}

void Registry::put_all(DirtyMap& dirty) const {
  for (const auto& [id, session] : impl_->live) {
    dirty.put(Table::sessions, key_of(id), encode(session));
  }
  for (const auto& [order, id] : impl_->by_order) {
    dirty.put(Table::ended, key_of(id), encode(impl_->ended.at(id)));
  }
}

void Registry::check_invariants() const {
  std::uint64_t sum = 0;
  for (const auto& [id, session] : impl_->live) {
    COORD_CHECK(session.id == id, "a session lies under its id", id);
    COORD_CHECK(!impl_->ended.contains(id), "no session is both live and ended", id);
    sum += hash_of(Table::sessions, id, session);
  }
  for (const auto& [order, id] : impl_->by_order) {
    const auto at = impl_->ended.find(id);
    COORD_CHECK(at != impl_->ended.end(), "an end that is ordered is known", id);
    COORD_CHECK(at->second.order == order, "an end has its number", id);
    sum += hash_of(Table::ended, id, at->second);
  }
  COORD_CHECK(impl_->ended.size() == impl_->by_order.size(), "every end is ordered");
  COORD_CHECK(impl_->ended.size() <= impl_->ended_bound, "the ends are bounded");
  COORD_CHECK(sum == impl_->digest, "the digest is the sum over the records");
}

}  // namespace coord::session
