// Court: a judge of recipes and made-up entries, for tests that break one rule at a time.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/recipes_judge.hpp"

namespace coord::sim {

// One judge, and entries that are made up.
class Court {
 public:
  explicit Court(recipes::Kind kind) : judge(make_judge(kind)), kind_(kind) {}

  std::unique_ptr<RecipeJudge> judge;
  std::set<std::uint64_t> dead;  // Sessions; all others live.
  std::uint64_t zxid = 0;
  std::int64_t now_ms = 0;

  // The next entry is this act.
  Court& act(std::string bytes, std::uint64_t session = 0, recipes::Answer answer = {}) {
    bytes_ = std::move(bytes);
    answer_ = std::move(answer);
    act_ = RecipeAct{kind_, bytes_, SessionId(session), &answer_};
    return *this;
  }
  template <class Op>
  Court& noted(const Op& op, std::uint64_t session = 0, recipes::Answer answer = {}) {
    judge->note_asked(op);
    return act(encode(op), session, std::move(answer));
  }
  // It leaves these nodes; without them it changes nothing.
  std::string entry(const std::string& name, const std::optional<RecipeNodes>& nodes) {
    RecipeEntry entry;
    entry.zxid = Zxid(++zxid);
    entry.service_ms = now_ms;
    entry.act = std::exchange(act_, std::nullopt);
    entry.is_live = [this](SessionId id) { return !dead.contains(id.value()); };
    std::string wrong;
    if (nodes) wrong = judge->change(entry, name, *nodes);
    if (wrong.empty() && entry.act) wrong = judge->answered(entry);
    return wrong;
  }
  void sound(const std::string& name, const std::optional<RecipeNodes>& nodes) {
    EXPECT_EQ(entry(name, nodes), "");
  }
  // A client is told of it at this revision.
  std::string told(const std::string& bytes, std::uint64_t revision, const recipes::Answer& answer,
                   bool is_step = true, std::uint64_t client = 1) {
    return judge->told({client, is_step, bytes, Zxid(revision), &answer});
  }

 private:
  recipes::Kind kind_;
  std::optional<RecipeAct> act_;
  std::string bytes_;
  recipes::Answer answer_;
};

inline recipes::Answer answer_of(std::string bytes, Code code = Code::ok) {
  recipes::Answer answer;
  answer.code = code;
  answer.bytes = std::move(bytes);
  return answer;
}

struct Wrong {
  const char* name;
  std::function<std::string(Court&)> run;
  const char* want;  // A part of what is said of it.
};

inline void expect_found(recipes::Kind kind, const std::vector<Wrong>& cases) {
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    Court court(kind);
    const auto said = one.run(court);
    EXPECT_NE(said.find(one.want), std::string::npos) << "it says: '" << said << "'";
  }
}

}  // namespace coord::sim
