// Two-phase commits: committed exactly if all have voted yes in time, decided once, and everybody
// learns the same; who dies holds nobody up.
#include <fmt/format.h>

#include <algorithm>

#include "coord/recipes/fields.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace transaction = recipes::transaction;
using recipes::Kind;
using transaction::Ballot;
using transaction::State;

struct Transaction {
  std::map<std::string, std::string> votes;
  std::string state;
  std::int64_t until = 0;  // As it should be: of the time to vote.
  std::string record;      // Of what was decided.
  Zxid decided;
};

bool has_vote(const Transaction& one, std::string_view vote) {
  return std::any_of(one.votes.begin(), one.votes.end(),
                     [&](const auto& cast) { return cast.second == vote; });
}
bool is_unanimous(const Transaction& one) { return !has_vote(one, "no") && !has_vote(one, ""); }

Transaction read_transaction(const RecipeNodes& nodes) {
  Transaction one;
  for (const auto& [name, node] : nodes) {
    if (name.empty()) {
      one.record = node.value;
      one.state = recipes::field_of(node.value, "state");
    } else {
      one.votes[name] = recipes::field_of(node.value, "vote");
    }
  }
  return one;
}

class TransactionJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    const auto id = recipes::unpadded(name).value_or(0);
    auto now = read_transaction(nodes);
    const auto at = all_.find(id);
    if (at == all_.end()) return check_new(entry, id, std::move(now));
    const auto& before = at->second;
    now.until = before.until;
    now.decided = before.decided;
    // Runs do not last as long as what was decided is kept.
    if (nodes.empty()) return fmt::format("{} is forgotten", id);
    if (auto wrong = check_votes(entry, id, before, now); !wrong.empty()) return wrong;
    if (auto wrong = check_state(entry, id, before, now); !wrong.empty()) return wrong;
    all_[id] = std::move(now);
    return {};
  }

  std::string answered(const RecipeEntry& entry) override {
    const auto* op = asked<transaction::Vote>(entry.act->bytes);
    if (op == nullptr) return {};
    const auto at = all_.find(op->id);
    if (at == all_.end() || !at->second.votes.contains(op->participant)) {
      return entry.act->is_ok() ? "a vote counts that nobody asked for" : std::string();
    }
    const auto& one = at->second;
    const bool counts = one.votes.at(op->participant) == (op->is_yes ? "yes" : "no");
    if (entry.act->is_ok() == counts &&
        (counts || one.state != "preparing" || !one.votes.at(op->participant).empty())) {
      return {};
    }
    return fmt::format("a vote of {} in {} is answered {}", op->participant, op->id,
                       entry.act->answer->code);
  }

  std::string told(const RecipeTold& told) override {
    const auto* query = asked<transaction::Get>(told.bytes);
    transaction::View view;
    if (!transaction::decode(told.answer->bytes, view)) {
      const bool is_lost = query != nullptr && told.answer->code == Code::not_found &&
                           all_.contains(query->id) && query->id <= told.revision.value();
      return is_lost ? fmt::format("{} is told to be unknown", query->id) : std::string();
    }
    const auto at = all_.find(view.id);
    if (at == all_.end()) return fmt::format("{} is told and never began", view.id);
    const auto& one = at->second;
    const bool is_decided = one.decided && one.decided <= told.revision;
    const auto want = !is_decided                ? State::preparing
                      : one.state == "committed" ? State::committed
                                                 : State::aborted;
    if (view.state == want) return {};
    return fmt::format("client {} learns another outcome of {}", told.client, view.id);
  }

  std::string overdue(std::int64_t service_ms) const override {
    for (const auto& [id, one] : all_) {
      if (one.state == "preparing" && one.until < service_ms) {
        return fmt::format("{} is open, and its time is over", id);
      }
    }
    return {};
  }
  std::string at_end() const override { return overdue(INT64_MAX); }

 private:
  std::string check_new(const RecipeEntry& entry, std::uint64_t id, Transaction now) {
    const auto* op = done<transaction::Begin>(entry, Kind::transaction);
    if (op == nullptr || id != entry.zxid.value()) return fmt::format("{} begins by itself", id);
    auto names = op->participants;
    std::sort(names.begin(), names.end());
    const bool is_same = std::equal(names.begin(), names.end(), now.votes.begin(), now.votes.end(),
                                    [](const auto& name, const auto& vote) {
                                      return vote.first == name && vote.second.empty();
                                    });
    if (!is_same || now.state != "preparing") return fmt::format("{} begins with votes", id);
    now.until = entry.service_ms + op->timeout_ms;
    all_[id] = std::move(now);
    return {};
  }

  std::string check_votes(const RecipeEntry& entry, std::uint64_t id, const Transaction& before,
                          const Transaction& now) const {
    const auto* op = done<transaction::Vote>(entry, Kind::transaction);
    if (before.votes.size() != now.votes.size()) return fmt::format("{} loses participants", id);
    for (const auto& [name, vote] : now.votes) {
      const auto was = before.votes.find(name);
      if (was == before.votes.end()) return fmt::format("{} has a new participant", id);
      if (was->second == vote) continue;
      const bool is_cast = op != nullptr && op->id == id && op->participant == name &&
                           vote == (op->is_yes ? "yes" : "no") && was->second.empty() &&
                           before.state == "preparing" && entry.service_ms < before.until;
      if (!is_cast) return fmt::format("the vote of {} in {} becomes '{}'", name, id, vote);
    }
    return {};
  }

  std::string check_state(const RecipeEntry& entry, std::uint64_t id, const Transaction& before,
                          Transaction& now) {
    if (before.state != "preparing") {
      return now.record == before.record ? std::string()
                                         : fmt::format("{} was {} already", id, before.state);
    }
    if (now.state == "preparing") {
      const bool is_open = !is_unanimous(now) && !has_vote(now, "no");
      return is_open ? std::string() : fmt::format("{} is not decided", id);
    }
    now.decided = entry.zxid;
    if (now.state == "committed") {
      count(Count::committed);
      return is_unanimous(now) ? std::string() : fmt::format("{} is committed", id);
    }
    count(Count::aborted);
    const auto* abort = done<transaction::Abort>(entry, Kind::transaction);
    const bool is_right =
        now.state == "aborted" && (has_vote(now, "no") || entry.service_ms >= before.until ||
                                   (abort != nullptr && abort->id == id));
    return is_right ? std::string() : fmt::format("{} is {} without a reason", id, now.state);
  }

  std::map<std::uint64_t, Transaction> all_;
};

}  // namespace

std::unique_ptr<RecipeJudge> make_transaction_judge() {
  return std::make_unique<TransactionJudge>();
}

}  // namespace coord::sim
