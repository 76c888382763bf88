// Recipes: what the entries do to locks, elections and the rest, and who judges it.
//
// A second copy of the replicated state follows the committed entries; it says what the steps of
// recipes answered, which the model does not work out by itself. Whatever an entry touched is read
// anew and given to the judge of its kind (recipes_judge.hpp), and so is what clients were told.
// Violations go to World::fail().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/core/state_machine.hpp"
#include "tests/sim/recipes_judge.hpp"

namespace coord::sim {

class World;

// What an operation asks of a recipe, if it does.
struct RecipeAsk {
  recipes::Kind kind = recipes::Kind::lock;
  std::string_view bytes;
  bool is_step = false;  // Else a query.
};
[[nodiscard]] std::optional<RecipeAsk> recipe_ask(const core::Operation& op);

class Recipes {
 public:
  Recipes(World& world, const core::StateLimits& limits);

  // ---- entries
  // Were all of them held before the entry that comes next?
  [[nodiscard]] bool holds(const std::vector<core::Fence>& fences) const;
  // The next entry; null: it is no command. What it did, valid until the next.
  const core::Applied& apply(const election::LogEntry& entry, const core::Command* command);
  // A write that carried this fence was done.
  void on_fenced_write(const core::Fence& fence);
  [[nodiscard]] Zxid applied() const noexcept { return state_.applied(); }
  // The session that is renewed so, as far as the entries say; or none.
  [[nodiscard]] SessionId session_of(const core::RecipeRenew& renew) const;

  // ---- clients
  void note_asked(recipes::Kind kind, const RecipeOp& op);
  void check_told(std::uint64_t client, const core::Request& request, const core::Reply& reply);
  // What clients tell each other: transactions that began of late.
  [[nodiscard]] const std::vector<std::uint64_t>& transactions() const { return transactions_; }

  // ---- quiet points
  void check_overdue(std::int64_t late_ms_max) const;
  // When every session is gone.
  void check_end() const;

 private:
  using Touched = std::set<std::pair<recipes::Kind, std::string>>;
  [[nodiscard]] Touched touched() const;
  void judge(const RecipeEntry& entry);
  void fail(recipes::Kind kind, const std::string& wrong) const;
  [[nodiscard]] recipes::Look look() const;
  void note_waiting(const RecipeAct& act);
  void check_woken();
  [[nodiscard]] RecipeJudge& judge_of(recipes::Kind kind) const;
  [[nodiscard]] static recipes::Kind kind_of(const core::Fence& fence);

  World& world_;
  core::StateMachine state_;
  core::Applied applied_;
  std::map<recipes::Kind, std::unique_ptr<RecipeJudge>> judges_;
  struct Wait {
    recipes::Kind kind = recipes::Kind::lock;
    std::string poll;  // Empty: what would be polled is a step.
  };
  std::map<std::string, Wait> waits_;  // By the node that is watched.
  std::vector<std::uint64_t> transactions_;
};

}  // namespace coord::sim
