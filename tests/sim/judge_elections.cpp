// Elections: one leader whenever anybody stands, epochs only grow, a leader leads until it goes or
// hands over, and the next is the first by priority and then by time.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "coord/recipes/election_codec.hpp"
#include "coord/recipes/record.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace election = recipes::election;

struct Candidate {
  SessionId session;
  std::uint64_t priority = 0;
  std::uint64_t epoch = 0;  // Of the leader.
};
struct Election {
  std::uint64_t epoch = 0;
  std::map<std::string, Candidate> candidates;
  std::string leader;
};

Election read_election(const RecipeNodes& nodes) {
  Election one;
  for (const auto& [name, node] : nodes) {
    const recipes::RecordReader in(node.value);
    if (name.empty()) {
      one.epoch = in.number("epoch");
    } else {
      one.candidates[name] = {node.owner, in.number("priority"), in.number("epoch")};
    }
  }
  return one;
}

class ElectionJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    auto now = read_election(nodes);
    if (auto wrong = check_candidates(entry, name, now); !wrong.empty()) return wrong;
    if (auto wrong = check_reign(entry, name, now); !wrong.empty()) return wrong;
    elections_[name] = std::move(now);
    return {};
  }

  std::string told(const RecipeTold& told) override {
    election::CandidateAnswer answer;
    election::ElectionAnswer shown;
    if (election::decode(told.answer->bytes, answer)) {
      if (answer.candidate.is_leader && answer.candidate.id != answer.leader.id) {
        return fmt::format("two lead {} in one answer", answer.name);
      }
      return check_told(told, answer.name, answer.leader);
    }
    if (election::decode(told.answer->bytes, shown)) {
      return check_told(told, shown.name, shown.leader);
    }
    return {};
  }

  std::string at_end() const override {
    for (const auto& [name, one] : elections_) {
      if (!one.candidates.empty()) return fmt::format("{} is led for ever", name);
    }
    return {};
  }

  bool holds(const std::string& name, std::uint64_t token) const override {
    const auto at = elections_.find(name);
    return at != elections_.end() && !at->second.leader.empty() && at->second.epoch == token;
  }

  std::string fenced_write(const std::string& name, std::uint64_t token) override {
    const auto last = std::exchange(written_[name], token);
    if (token >= last) return {};
    return fmt::format("a write with epoch {} of {} after one with {}", token, name, last);
  }

 private:
  struct Reign {
    std::string leader;
    Span span;
  };

  static std::string check_candidates(const RecipeEntry& entry, const std::string& name,
                                      Election& now) {
    std::set<SessionId> sessions;
    for (const auto& [id, candidate] : now.candidates) {
      if (!entry.is_live(candidate.session)) {
        return fmt::format("{} is left of session {}", id, candidate.session);
      }
      if (!sessions.insert(candidate.session).second) {
        return fmt::format("session {} stands twice in {}", candidate.session, name);
      }
      if (candidate.epoch == 0) continue;
      if (!now.leader.empty()) return fmt::format("two lead {}", name);
      if (candidate.epoch != now.epoch) return fmt::format("{} leads with an old epoch", id);
      now.leader = id;
    }
    if (now.leader.empty() && !now.candidates.empty()) {
      return fmt::format("{} has candidates and no leader", name);
    }
    return {};
  }

  std::string check_reign(const RecipeEntry& entry, const std::string& name, const Election& now) {
    const auto& before = elections_[name];
    if (now.leader == before.leader) {
      if (now.leader.empty() || now.epoch == before.epoch) return {};
      return fmt::format("the epoch of {} changes, and its leader does not", name);
    }
    auto& reigns = reigns_[name];
    if (!before.leader.empty()) reigns.at(before.epoch).span.until = entry.zxid;
    if (now.leader.empty()) return {};
    if (!reigns.empty() && now.epoch <= reigns.rbegin()->first) {
      return fmt::format("epoch {} of {} after {}", now.epoch, name, reigns.rbegin()->first);
    }
    count(Count::elected);
    reigns[now.epoch] = {now.leader, {entry.zxid, {}}};
    return check_turn(entry, name, before, now);
  }

  static std::string check_turn(const RecipeEntry& entry, const std::string& name,
                                const Election& before, const Election& now) {
    election::Transfer op;
    const bool is_transfer = entry.act && entry.act->kind == recipes::Kind::election &&
                             entry.act->is_ok() && election::decode(entry.act->bytes, op) &&
                             op.name == name;
    if (is_transfer) {
      return op.to == now.leader ? std::string() : fmt::format("{} goes to somebody else", name);
    }
    if (now.candidates.contains(before.leader)) {
      return fmt::format("the leader of {} is put down", name);
    }
    const auto& leader = now.candidates.at(now.leader);
    for (const auto& [id, other] : now.candidates) {
      const bool is_before = other.priority > leader.priority ||
                             (other.priority == leader.priority && id < now.leader);
      if (is_before) return fmt::format("{} leads {} before its turn", now.leader, name);
    }
    return {};
  }

  std::string check_told(const RecipeTold& told, const std::string& name,
                         const election::Candidate& leader) const {
    if (leader.id.empty()) return {};
    const auto at = reigns_.find(name);
    if (at != reigns_.end()) {
      const auto reign = at->second.find(leader.epoch);
      if (reign != at->second.end() && reign->second.leader == leader.id &&
          reign->second.span.covers(told.revision)) {
        return {};
      }
    }
    return fmt::format("{} is told to lead {} in epoch {} at {}", leader.id, name, leader.epoch,
                       told.revision);
  }

  std::map<std::string, Election> elections_;
  std::map<std::string, std::map<std::uint64_t, Reign>> reigns_;  // By epoch.
  std::map<std::string, std::uint64_t> written_;  // The epoch of the last fenced write.
};

}  // namespace

std::unique_ptr<RecipeJudge> make_election_judge() { return std::make_unique<ElectionJudge>(); }

}  // namespace coord::sim
