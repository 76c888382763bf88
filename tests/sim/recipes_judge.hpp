// RecipeJudge: what must hold of one kind of recipe after each committed entry, whatever happens.
//
// A judge sees what an entry left of a recipe's nodes, and what it was: it keeps what it saw
// before, and has rules of its own for what may follow from what (coord/recipes decides, judges
// only compare). It also hears what clients were told, and holds that against all it knows. Every
// function that judges returns what is wrong, or nothing. It knows neither World nor cluster, so
// that a test can feed it a history that is wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "coord/recipes/counter.hpp"
#include "coord/recipes/decision.hpp"
#include "coord/recipes/recipe.hpp"
#include "coord/recipes/transaction.hpp"

namespace coord::sim {

enum class Count : std::uint8_t;

struct RecipeNode {
  std::string value;
  SessionId owner;  // Of an ephemeral.
  Zxid made;
  Zxid changed;
};
// By the path below the recipe's own node, which is "" itself. Empty: there is no such recipe.
using RecipeNodes = std::map<std::string, RecipeNode, std::less<>>;
[[nodiscard]] RecipeNodes read_recipe(const znode::Tree& tree, recipes::Kind kind,
                                      std::string_view name);

// A step that an entry carried out: not one that was answered from the retry window.
struct RecipeAct {
  recipes::Kind kind = recipes::Kind::lock;
  std::string_view bytes;
  SessionId session;  // Who acts: a session that the step brings has the entry's number.
  const recipes::Answer* answer = nullptr;
  [[nodiscard]] bool is_ok() const { return answer->code == Code::ok; }
};

struct RecipeEntry {
  Zxid zxid;
  std::int64_t service_ms = 0;
  std::optional<RecipeAct> act;
  std::function<bool(SessionId)> is_live;  // Afterwards.
};

// What a client was told: the answer to a step, or to a query.
struct RecipeTold {
  std::uint64_t client = 0;
  bool is_step = false;
  std::string_view bytes;  // What it asked.
  Zxid revision;
  const recipes::Answer* answer = nullptr;
  [[nodiscard]] bool is_ok() const { return answer->code == Code::ok; }
};

// What some recipes read of themselves alone: judges know it by what was asked.
using RecipeOp =
    std::variant<recipes::counter::Add, recipes::counter::Get, recipes::decision::Propose,
                 recipes::decision::Get, recipes::transaction::Begin, recipes::transaction::Vote,
                 recipes::transaction::Abort, recipes::transaction::Get>;

class RecipeJudge {
 public:
  RecipeJudge() = default;
  RecipeJudge(const RecipeJudge&) = delete;
  RecipeJudge& operator=(const RecipeJudge&) = delete;
  virtual ~RecipeJudge() = default;

  // Before it is sent.
  void note_asked(const RecipeOp& op);
  // The entry changed something of this recipe.
  virtual std::string change(const RecipeEntry& entry, const std::string& name,
                             const RecipeNodes& nodes) = 0;
  // After the changes, if the entry's act is of this kind.
  virtual std::string answered(const RecipeEntry& entry);
  virtual std::string told(const RecipeTold& told);
  // What should have happened by this service time.
  [[nodiscard]] virtual std::string overdue(std::int64_t service_ms) const;
  // When every session is gone and no time is running.
  [[nodiscard]] virtual std::string at_end() const;
  // Of locks and elections.
  [[nodiscard]] virtual bool holds(const std::string& name, std::uint64_t token) const;
  virtual std::string fenced_write(const std::string& name, std::uint64_t token);

  // What happened since the last call.
  [[nodiscard]] std::vector<Count> take_counts() { return std::exchange(counts_, {}); }

 protected:
  void count(Count what) { counts_.push_back(what); }
  // Null: these bytes ask for something else.
  template <class Op>
  [[nodiscard]] const Op* asked(std::string_view bytes) const {
    const auto at = asked_.find(bytes);
    return at == asked_.end() ? nullptr : std::get_if<Op>(&at->second);
  }
  template <class Op>
  [[nodiscard]] const Op* done(const RecipeEntry& entry, recipes::Kind kind) const {
    const bool is_done = entry.act && entry.act->kind == kind && entry.act->is_ok();
    return is_done ? asked<Op>(entry.act->bytes) : nullptr;
  }

 private:
  std::map<std::string, RecipeOp, std::less<>> asked_;
  std::vector<Count> counts_;
};

// Something that begins with an entry and ends with one, or not yet.
struct Span {
  Zxid from;
  Zxid until;
  [[nodiscard]] bool covers(Zxid at) const { return from <= at && (!until || at < until); }
};

[[nodiscard]] std::unique_ptr<RecipeJudge> make_judge(recipes::Kind kind);
[[nodiscard]] std::unique_ptr<RecipeJudge> make_lock_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_election_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_barrier_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_counter_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_queue_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_decision_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_transaction_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_config_judge();
[[nodiscard]] std::unique_ptr<RecipeJudge> make_service_judge();

}  // namespace coord::sim
