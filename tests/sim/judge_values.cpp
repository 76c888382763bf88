// Counters and decisions: nothing that was added is lost, no id is given twice, and what was
// decided stays so and is told to everybody.
#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <set>

#include "coord/recipes/fields.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace counter = recipes::counter;
namespace decision = recipes::decision;
using recipes::Kind;

class CounterJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    const auto* op = done<counter::Add>(entry, Kind::counter);
    if (op == nullptr || op->name != name) return fmt::format("{} changes by itself", name);
    const auto top = nodes.find("");
    if (top == nodes.end()) return fmt::format("{} has gone", name);
    auto& value = values_[name];
    value += op->delta;
    if (top->second.value == fmt::format("{}", value)) return {};
    return fmt::format("{} is {} and should be {}", name, top->second.value, value);
  }

  std::string answered(const RecipeEntry& entry) override {
    const auto* op = asked<counter::Add>(entry.act->bytes);
    if (op == nullptr) return {};
    const auto now = values_[op->name];
    if (!entry.act->is_ok()) return check_overflow(*op, now);
    counter::Value value;
    if (!counter::decode(entry.act->answer->bytes, value)) return "an answer that is none";
    if (value.after != now || value.before != now - op->delta) {
      return fmt::format("{}..{} of {} is given at {}", value.before, value.after, op->name, now);
    }
    given_[op->name][entry.zxid] = value;
    if (op->delta < 0) shrinks_.insert(op->name);
    return {};
  }

  // The ids of two requests are never the same, as far as nothing was ever taken off.
  std::string told(const RecipeTold& told) override {
    counter::Value value;
    if (!told.is_ok() || !counter::decode(told.answer->bytes, value)) return {};
    if (const auto* query = asked<counter::Get>(told.bytes)) return check_read(*query, told, value);
    const auto* op = asked<counter::Add>(told.bytes);
    if (op == nullptr || shrinks_.contains(op->name)) return {};
    auto& ids = told_[op->name];
    for (auto at = ids.upper_bound(value.before); at != ids.end(); ++at) {
      const auto& [before, revision] = at->second;
      if (before >= value.after) break;
      if (revision == told.revision) continue;
      return fmt::format("ids up to {} of {} are given at {} and at {}", value.after, op->name,
                         told.revision, revision);
    }
    ids[value.after] = {value.before, told.revision};
    return {};
  }

 private:
  static std::string check_overflow(const counter::Add& op, std::int64_t now) {
    using Limits = std::numeric_limits<std::int64_t>;
    const bool overflows =
        op.delta > 0 ? now > Limits::max() - op.delta : now < Limits::min() - op.delta;
    return overflows ? std::string() : fmt::format("{} {:+} is refused", now, op.delta);
  }
  std::string check_read(const counter::Get& query, const RecipeTold& told,
                         const counter::Value& value) const {
    const auto at = given_.find(query.name);
    if (at == given_.end()) return fmt::format("{} is told and was never made", query.name);
    const auto after = at->second.upper_bound(told.revision);
    const bool is_right =
        after != at->second.begin() && std::prev(after)->second.after == value.after;
    return is_right ? std::string()
                    : fmt::format("{} is read as {} at {}", query.name, value.after, told.revision);
  }
  std::map<std::string, std::int64_t> values_;
  std::map<std::string, std::map<Zxid, counter::Value>> given_;
  std::set<std::string> shrinks_;  // What was taken off of is no source of ids.
  // By the last id: the one before the first, and when.
  std::map<std::string, std::map<std::int64_t, std::pair<std::int64_t, Zxid>>> told_;
};

class DecisionJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    const auto top = nodes.find("");
    const auto before = chosen_.find(name);
    if (top == nodes.end()) return fmt::format("{} is forgotten", name);
    if (before != chosen_.end()) return fmt::format("{} is decided again", name);
    const auto* op = done<decision::Propose>(entry, Kind::decision);
    if (op == nullptr || op->name != name || op->value != top->second.value) {
      return fmt::format("'{}' is chosen for {}, and nobody proposed it", top->second.value, name);
    }
    count(Count::decided);
    chosen_[name] = {op->value, op->proposer, entry.act->session, entry.zxid};
    return {};
  }

  std::string answered(const RecipeEntry& entry) override {
    const auto* op = asked<decision::Propose>(entry.act->bytes);
    if (op == nullptr) return {};
    decision::Decided decided;
    if (!entry.act->is_ok() || !decision::decode(entry.act->answer->bytes, decided)) {
      return fmt::format("a proposal for {} is refused", op->name);
    }
    const auto at = chosen_.find(op->name);
    if (at == chosen_.end()) return fmt::format("{} is told and not decided", op->name);
    const auto& chosen = at->second;
    const bool is_mine = chosen.zxid == entry.zxid ||
                         (entry.act->session && entry.act->session == chosen.session) ||
                         (!op->proposer.empty() && op->proposer == chosen.proposer);
    if (decided.value == chosen.value && decided.chosen_by_me == is_mine) return {};
    return fmt::format("'{}' is told of {}", decided.value, op->name);
  }

  std::string told(const RecipeTold& told) override {
    const auto* query = asked<decision::Get>(told.bytes);
    const auto* op = asked<decision::Propose>(told.bytes);
    if (query == nullptr && op == nullptr) return {};
    const auto& name = op != nullptr ? op->name : query->name;
    const auto at = chosen_.find(name);
    const bool is_decided = at != chosen_.end() && at->second.zxid <= told.revision;
    if (told.answer->code == Code::not_found && !is_decided) return {};
    decision::Decided decided;
    const bool is_right = told.is_ok() && is_decided &&
                          decision::decode(told.answer->bytes, decided) &&
                          decided.value == at->second.value && decided.decided == at->second.zxid;
    return is_right ? std::string()
                    : fmt::format("client {} learns something else of {}", told.client, name);
  }

 private:
  struct Chosen {
    std::string value;
    std::string proposer;
    SessionId session;
    Zxid zxid;
  };
  std::map<std::string, Chosen> chosen_;
};

}  // namespace

std::unique_ptr<RecipeJudge> make_counter_judge() { return std::make_unique<CounterJudge>(); }
std::unique_ptr<RecipeJudge> make_decision_judge() { return std::make_unique<DecisionJudge>(); }

}  // namespace coord::sim
