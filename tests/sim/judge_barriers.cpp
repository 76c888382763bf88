// Barriers: rounds are whole, nobody passes before all are in or is done before all have left,
// nobody waits in vain, and nobody is forgotten.
#include <fmt/format.h>

#include <algorithm>

#include "coord/base/overloaded.hpp"
#include "coord/recipes/barrier_codec.hpp"
#include "coord/recipes/fields.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace barrier = recipes::barrier;
using recipes::number_of;

constexpr std::string_view kMembers = "members/";

struct Participant {
  SessionId session;
  std::uint64_t round = 0;
  bool is_leaving = false;
};
struct Barrier {
  std::int64_t count = 0;
  std::map<std::uint64_t, Participant> participants;  // By ticket.
  // Of the round that is on, as far as they have not left.
  [[nodiscard]] bool has_round() const {
    return std::any_of(participants.begin(), participants.end(), [](const auto& one) {
      return one.second.round != 0 && !one.second.is_leaving;
    });
  }
};

Barrier read_barrier(const RecipeNodes& nodes) {
  Barrier one;
  for (const auto& [name, node] : nodes) {
    if (name.empty()) one.count = number_of(node.value, "count");
    if (!name.starts_with(kMembers)) continue;
    const auto ticket = recipes::unpadded(std::string_view(name).substr(kMembers.size()));
    const auto round = static_cast<std::uint64_t>(number_of(node.value, "released"));
    one.participants[ticket.value_or(0)] = {node.owner, round,
                                            number_of(node.value, "leaving") != 0};
  }
  return one;
}

// Does this act take the ticket away, by its owner's wish?
bool takes_away(const RecipeEntry& entry, const std::string& name, std::uint64_t ticket,
                SessionId owner) {
  if (!entry.act || entry.act->kind != recipes::Kind::barrier || entry.act->session != owner) {
    return false;
  }
  return std::visit(
      Overloaded{[&](const barrier::Leave& op) {
                   return op.name == name && (op.ticket == ticket || op.ticket == 0);
                 },
                 [&](const barrier::GiveUp& op) { return op.name == name && op.ticket == ticket; },
                 [](const auto&) { return false; }},
      barrier::decode_op(entry.act->bytes));
}

class BarrierJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    auto now = read_barrier(nodes);
    const auto& before = barriers_[name];
    for (const auto& check :
         {&BarrierJudge::check_round, &BarrierJudge::check_gone, &BarrierJudge::check_rest}) {
      if (auto wrong = (this->*check)(entry, name, before, now); !wrong.empty()) return wrong;
    }
    barriers_[name] = std::move(now);
    return {};
  }

  std::string answered(const RecipeEntry& entry) override {
    const auto op = barrier::decode_op(entry.act->bytes);
    const auto* left = std::get_if<barrier::Left>(&op);
    const bool is_over = left != nullptr && entry.act->is_ok() && !entry.act->answer->is_waiting;
    const auto round = is_over ? rounds_of_.find(left->ticket) : rounds_of_.end();
    if (round == rounds_of_.end()) return {};
    for (const auto& [ticket, one] : barriers_[left->name].participants) {
      if (one.round == round->second) {
        return fmt::format("{} is done at {} before {} is", left->ticket, left->name, ticket);
      }
    }
    return {};
  }

  std::string told(const RecipeTold& told) override {
    barrier::Entered answer;
    if (!told.is_ok() || !barrier::decode(told.answer->bytes, answer)) return {};
    if (answer.self.state == barrier::State::waiting) return {};
    const auto at = rounds_of_.find(answer.self.ticket);
    const bool is_right = at != rounds_of_.end() && at->second == answer.self.round &&
                          at->second <= told.revision.value();
    if (is_right) return {};
    return fmt::format("client {} passes a barrier with {}", told.client, answer.self.ticket);
  }

  std::string at_end() const override {
    for (const auto& [name, one] : barriers_) {
      if (!one.participants.empty()) return fmt::format("{} is never left", name);
    }
    return {};
  }

 private:
  std::string check_round(const RecipeEntry& entry, const std::string& name, const Barrier& before,
                          const Barrier& now) {
    std::int64_t released = 0;
    std::int64_t others = 0;
    bool is_out_of_turn = false;
    bool has_waiter = false;
    for (const auto& [ticket, one] : now.participants) {
      const auto known = rounds_of_.find(ticket);
      const auto was = known == rounds_of_.end() ? 0 : known->second;
      if (was != 0 && was != one.round) return fmt::format("{} changes its round", ticket);
      if (one.round == 0) {
        has_waiter = true;
      } else if (was != 0) {
        ++others;
      } else if (one.round != entry.zxid.value()) {
        return fmt::format("{} is in a round that is over", ticket);
      } else {
        ++released;
        is_out_of_turn = is_out_of_turn || has_waiter;
        rounds_of_[ticket] = one.round;
      }
    }
    if (released == 0) return {};
    count(Count::barrier_round);
    if (released != now.count) {
      return fmt::format("{} pass {}, which is one of {}", released, name, now.count);
    }
    if (others > 0) return fmt::format("a round of {} begins before the last is over", name);
    if (before.count != 0 && before.count != now.count) {
      return fmt::format("{} is of {} and was of {}", name, now.count, before.count);
    }
    return is_out_of_turn ? fmt::format("{} is passed out of turn", name) : std::string();
  }

  std::string check_gone(const RecipeEntry& entry, const std::string& name, const Barrier& before,
                         const Barrier& now) {
    for (const auto& [ticket, one] : before.participants) {
      if (now.participants.contains(ticket) || !entry.is_live(one.session)) continue;
      if (!one.is_leaving && takes_away(entry, name, ticket, one.session)) continue;
      if (!one.is_leaving) return fmt::format("{} forgets {}", name, ticket);
      for (const auto& [other, still] : now.participants) {
        if (still.round != one.round) continue;
        return fmt::format("{} is done at {} before {} is", ticket, name, other);
      }
    }
    return {};
  }

  std::string check_rest(const RecipeEntry& entry, const std::string& name,
                         const Barrier& /*before*/, const Barrier& now) {
    std::int64_t waiting = 0;
    for (const auto& [ticket, one] : now.participants) {
      if (!entry.is_live(one.session)) {
        return fmt::format("{} is left of session {}", ticket, one.session);
      }
      if (one.round == 0) ++waiting;
      if (one.is_leaving && !now.has_round()) return fmt::format("{} is held back", ticket);
    }
    if (now.has_round() || waiting < now.count || waiting == 0) return {};
    return fmt::format("{} wait at {}, which is one of {}", waiting, name, now.count);
  }

  std::map<std::string, Barrier> barriers_;
  std::map<std::uint64_t, std::uint64_t> rounds_of_;  // Of each ticket that ever passed.
};

}  // namespace

std::unique_ptr<RecipeJudge> make_barrier_judge() { return std::make_unique<BarrierJudge>(); }

}  // namespace coord::sim
