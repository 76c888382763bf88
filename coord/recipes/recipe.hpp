// Recipes: locks, elections and the rest, each a few nodes under /.coord and one replicated step.
//
// A recipe owns no state of its own: all of it is nodes, so that watches, history and backups hold
// for it. Core runs a step inside apply(), in an open transaction of the tree, as the service
// itself; after any change under /.coord, by whatever door it came (a step, the end of a session, a
// deadline), it lets the recipe settle what follows from it, in the same entry. Views are reads.
//
// Requests travel as bytes that only the recipe's header understands: core and the log carry them
// unread. They are decoded once where they are proposed and once where they are applied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/identity.hpp"
#include "coord/base/ids.hpp"
#include "coord/recipes/answer.hpp"
#include "session/registry.hpp"
#include "znode/tree.hpp"

namespace coord::recipes {

inline constexpr std::string_view kRoot = "/.coord";
inline constexpr std::size_t kNameBytesMax = 255;

// What a view sees.
struct Look {
  const znode::Tree& tree;
  const session::Registry& sessions;
  Zxid applied;
  std::int64_t service_ms = 0;
  const Identities& identities;  // Of the caller.
};

// What a step works on. The tree's transaction is open and acts as the service.
struct Step {
  znode::Tree& tree;
  const session::Registry& sessions;
  Zxid zxid;
  std::int64_t service_ms = 0;
  std::int64_t wall_ms = 0;
  // Who acts; none if nobody named a session. Ephemerals that the step makes are this session's. In
  // settle() and due() it is meaningless.
  SessionId session;
  bool brings_session = false;  // The session is made with this step, for it alone.
  const Identities& identities;

  [[nodiscard]] Look look() const { return {tree, sessions, zxid, service_ms, identities}; }
};

// ---- what core calls

// Do the bytes decode to a step (a query)?
[[nodiscard]] bool is_step(Kind kind, std::string_view bytes);
[[nodiscard]] bool is_query(Kind kind, std::string_view bytes);
// Requires: is_step(). An answer whose code is not ok and not is_done: the caller rolls back.
[[nodiscard]] Answer run(Kind kind, std::string_view bytes, Step& step);
// Requires: is_query().
[[nodiscard]] Answer view(Kind kind, std::string_view bytes, const Look& look);
// What a renewal comes to: whose life it prolongs, and the answer once the leader has confirmed it.
struct Renewal {
  Answer answer;  // A code that is not ok: nothing is renewed.
  SessionId session;
  bool is_own = false;  // The session lives exactly as long as what is renewed.
};
[[nodiscard]] bool is_renewal(Kind kind, std::string_view bytes);
// Requires: is_renewal(). `session`: the one that the request names, or none.
[[nodiscard]] Renewal renewal(Kind kind, std::string_view bytes, const Look& look,
                              SessionId session);
// Whose life a step prolongs, as far as can be told before it is carried out; or none. Its answer
// says so too, but another member may have given that answer before the leader knows of it.
[[nodiscard]] SessionId renewed_by(Kind kind, std::string_view bytes, const Look& look,
                                   SessionId session);
// What follows from the changes of the open transaction; nothing when none is under /.coord.
void settle(Step& step);
// The service time at which due() is to be called for the node, if it has such a time. Called for
// every node under /.coord that changed.
[[nodiscard]] std::optional<std::int64_t> deadline_of(const Look& look, std::string_view path);
// A deadline may have passed: looks again, and does what is due.
void due(Step& step, std::string_view path);
// Is `token` that of a present holder (leader)? `kind`: lock or election.
[[nodiscard]] bool holds(const Look& look, Kind kind, std::string_view name, std::uint64_t token);

// ---- what recipes share

// [A-Za-z0-9._-]{1,255}, but not ".", ".." and "mine". What is wrong with it, or nothing.
[[nodiscard]] std::string name_error(std::string_view name);
[[nodiscard]] std::string_view directory_of(Kind kind) noexcept;  // "locks"
// "/.coord/locks/jobs".
[[nodiscard]] std::string path_of(Kind kind, std::string_view name);
// The recipe and its name that a path belongs to ("/.coord/locks/jobs/x" is lock "jobs"), or none.
struct Place {
  Kind kind = Kind::lock;
  std::string_view name;
  std::string_view rest;  // "x"; empty for the recipe's own node.
};
[[nodiscard]] std::optional<Place> place_of(std::string_view path) noexcept;
// The identities with which the service itself writes: no ACL holds it back.
[[nodiscard]] const Identities& service_identities();
// A tree's refusal as an answer.
[[nodiscard]] Answer refusal(const znode::Outcome& outcome);

}  // namespace coord::recipes
