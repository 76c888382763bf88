// Checker: what must hold in a run, whatever happens. Looks at everything, decides nothing.
//
// It keeps one canonical history of committed entries: any start of any member may repeat an entry,
// none may change one or lose one. The Model says what those entries mean; digests are noted at the
// indices where they were seen, and compared whenever an index is seen again. Violations go to
// World::fail() with the invariant's number in the project's list.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/member.hpp"
#include "tests/sim/model.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {

class Checker {
 public:
  explicit Checker(World& world);

  [[nodiscard]] const Model& model() const noexcept { return model_; }
  // The highest revision that any client was told: a later linearizable answer is not below it.
  [[nodiscard]] Zxid said() const noexcept { return said_; }

  // ---- from members
  void on_start(Member& member, const core::NodeState& state);
  // Replays what a start found, entry by entry: the same digest wherever one was seen before.
  void replay(core::NodeState state);
  void on_persist(const Member& member, const election::Persist& persist);
  void on_deliver(Member& member, const std::vector<core::Delivery>& deliveries);
  void on_checkpoint(const Member& member, const core::Checkpoint& checkpoint);
  void on_recycled(const Member& member, const disk::Wal& wal);
  void after_turn(Member& member);
  // What a recovery found, up to what was committed: equal texts, equal recoveries.
  [[nodiscard]] std::string recovered_state(const Member& member, core::NodeState state);

  // ---- from clients
  // A keepalive that left its client at this time was answered: that its session lives on for a
  // whole time-out from then.
  void on_promise(SessionId session, std::int64_t asked_us, std::int64_t ttl_ms);
  // One more attempt of the request that this hash names goes out.
  void on_sent(std::uint64_t token, bool has_key);
  // It was refused before it got into the log.
  void on_refused(std::uint64_t token);
  // Null: no client takes part in recipes.
  [[nodiscard]] Recipes* recipes() noexcept { return recipes_.get(); }
  // The session lives on for a whole time-out from then: as on_promise(), of one that hangs on what
  // was renewed.
  void on_renewed(SessionId session, std::int64_t asked_us);
  // A request that proves life reached a member.
  void on_touch(const Member& member, SessionId session);
  // An answer of apply(): the entry of that revision is this request, and answered so.
  void check_write(std::uint64_t token, const core::Reply& reply);
  void check_read(const core::Request& request, const core::Reply& reply);

  // ---- at quiet points
  void check_state(const core::StateMachine& state);
  void check_durable(Member& member);
  void check_tokens();
  // How often it took effect: more than once, if it was retried after the window let it go.
  [[nodiscard]] std::uint64_t runs_of(std::uint64_t token) const;
  void check_sessions_gone();

 private:
  struct Token {
    std::uint64_t sent = 0;
    std::uint64_t refused = 0;
    std::uint64_t entries = 0;
    std::uint64_t runs = 0;  // Entries that were not answered from the window.
    bool has_key = false;
  };
  void advance(const Member& member);
  void check_digest(const core::StateMachine& state, int invariant = 8);
  void check_digest(Zxid zxid, std::uint64_t digest, int invariant = 8);
  void check_expired(const Member& member, const election::LogEntry& entry);
  void check_late(const Member& member);
  [[nodiscard]] bool is_same_node(const core::NodeValue& got, const Model::Node& want,
                                  bool with_value) const;
  void check_get(const core::Get& op, const core::Reply& reply);
  void check_children(const core::GetChildren& op, const core::Reply& reply);
  void check_walk(const core::Walk& op, const core::Reply& reply);
  void check_history(const core::GetHistory& op, const core::Reply& reply);
  void check_changes(const core::GetChanges& op, const core::Reply& reply);

  World& world_;
  Model model_;
  std::unique_ptr<Recipes> recipes_;  // Null: no client takes part in recipes.
  std::map<Zxid, std::uint64_t> digests_;
  Zxid said_;
  std::map<std::uint64_t, Token> tokens_;
  struct Promise {
    std::int64_t since_us = 0;
    std::int64_t ttl_ms = 0;
  };
  std::map<SessionId, Promise> promises_;
  std::map<SessionId, std::int64_t> touched_us_;  // The latest sign of life that a member got.
  std::int64_t next_full_check_us_ = 0;
};

}  // namespace coord::sim
