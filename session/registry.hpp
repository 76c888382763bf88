// Registry: the replicated sessions, and how the ended ones ended.
//
// Changed by apply() alone. It knows no paths (the tree owns the index of ephemerals) and no
// clocks (Expiry does). Every change is put into the DirtyMap and into the digest.
//
// Invariants between calls: no id is both live and ended; at most limits.ended_max ended ones are
// remembered (after a load under a smaller limit: from the next end on), the oldest end leaves
// first; digest() is the sum over its records.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coord/base/code.hpp"
#include "coord/base/limits.hpp"
#include "coord/base/records.hpp"
#include "session/session.hpp"

namespace coord::session {

class Registry {
 public:
  explicit Registry(SessionLimits limits);
  ~Registry();
  Registry(Registry&&) noexcept;
  Registry& operator=(Registry&&) noexcept;

  // Null if it is not live. Valid until the next change.
  [[nodiscard]] const Session* find(SessionId id) const noexcept;
  // How a session ended, if that is still remembered.
  [[nodiscard]] std::optional<EndReason> end_of(SessionId id) const noexcept;
  // ok, session_expired (ended), not_found (never given, or long forgotten), bad_session_secret.
  [[nodiscard]] Code check(SessionId id, const Secret& secret) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;
  // In order of ids, from the first id > `after`, until `each` returns false.
  void list(SessionId after, const std::function<bool(const Session&)>& each) const;
  [[nodiscard]] std::uint64_t digest() const noexcept;

  // What open() would say.
  [[nodiscard]] Code check_open(const Session& session) const noexcept;
  // invalid (ttl out of bounds, name too long) or overloaded (too many sessions), else ok.
  // Requires: the id was never given before.
  [[nodiscard]] Code open(const Session& session, DirtyMap& dirty);
  // False if it is not live: nothing is changed then.
  bool end(SessionId id, EndReason reason, DirtyMap& dirty);
  // Its connection is another one, and so is its ttl unless that is 0. session_expired if it is not
  // live, invalid if the ttl is out of bounds: nothing is changed then. Requires: `at` is above
  // attached.
  [[nodiscard]] Code attach(SessionId id, Zxid at, std::string_view address, std::int64_t ttl_ms,
                            DirtyMap& dirty);

  // Records of Table::sessions and Table::ended. Returns what is wrong, or nothing.
  [[nodiscard]] std::string load(Table table, std::string_view key, std::string_view bytes);
  void put_all(DirtyMap& dirty) const;
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::session
