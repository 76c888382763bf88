#include "tests/sim/linear.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace coord::sim {
namespace {

using Kind = RegisterOp::Kind;

// Of writes whose fate is unknown: one that nobody read may as well not have been, and one that was
// read took effect before that read was answered.
void settle_unknown(std::vector<RegisterOp>& history) {
  std::map<std::string, std::int64_t> first_read;
  for (const auto& op : history) {
    if (op.kind != Kind::get || op.is_absent || op.answered_us == INT64_MAX) continue;
    const auto at = first_read.try_emplace(op.value, op.answered_us).first;
    at->second = std::min(at->second, op.answered_us);
  }
  std::erase_if(history, [&](const RegisterOp& op) {
    if (op.answered_us != INT64_MAX) return false;
    return op.kind == Kind::get || (op.kind == Kind::put && !first_read.contains(op.value));
  });
  for (auto& op : history) {
    if (op.answered_us == INT64_MAX && op.kind == Kind::put) {
      op.answered_us = first_read.at(op.value);
    }
  }
}

class Search {
 public:
  Search(std::vector<RegisterOp> history, std::uint64_t steps_max)
      : history_(std::move(history)), steps_left_(steps_max) {
    std::map<std::string, std::uint32_t> numbers;
    for (const auto& op : history_) {
      numbers.try_emplace(op.value, static_cast<std::uint32_t>(numbers.size() + 1));
    }
    for (const auto& op : history_) values_.push_back(numbers.at(op.value));
    for (std::uint32_t i = 0; i < history_.size(); ++i) {
      marks_.push_back({history_[i].asked_us, false, i});
      marks_.push_back({history_[i].answered_us, true, i});
    }
    // At one instant an answer comes after a question: that allows more orders, never fewer.
    std::sort(marks_.begin(), marks_.end(), [](const Mark& a, const Mark& b) {
      return std::pair(a.at_us, a.is_answer) < std::pair(b.at_us, b.is_answer);
    });
    const auto count = static_cast<std::uint32_t>(marks_.size());
    answer_of_.resize(history_.size());
    for (std::uint32_t i = 0; i <= count; ++i) {
      next_.push_back(i + 1);
      previous_.push_back(i == 0 ? 0 : i - 1);
      if (i < count && marks_[i].is_answer) answer_of_[marks_[i].op] = i + 1;
    }
    done_.assign(history_.size() / 64 + 1, 0);
  }

  Verdict run() {
    const auto end = static_cast<std::uint32_t>(marks_.size() + 1);
    auto at = next_[0];
    while (next_[0] != end) {
      if (steps_left_-- == 0) return Verdict::undecided;
      const auto& mark = marks_[at - 1];
      if (!mark.is_answer) {
        const auto before = state_;
        if (step(mark.op)) {
          flip(mark.op);
          if (seen_.emplace(done_, state_).second) {
            taken_.push_back({at, before});
            lift(at);
            lift(answer_of_[mark.op]);
            at = next_[0];
            continue;
          }
          flip(mark.op);
          state_ = before;
        }
        at = next_[at];
        if (at != end) continue;
      }
      // An answer whose question was not taken yet: back to the last choice.
      if (taken_.empty()) return Verdict::illegal;
      const auto [question, state] = taken_.back();
      taken_.pop_back();
      state_ = state;
      flip(marks_[question - 1].op);
      put_back(answer_of_[marks_[question - 1].op]);
      put_back(question);
      at = next_[question];
    }
    return Verdict::linearizable;
  }

 private:
  struct Mark {
    std::int64_t at_us;
    bool is_answer;
    std::uint32_t op;
  };
  bool step(std::uint32_t op) {
    const auto& one = history_[op];
    switch (one.kind) {
      case Kind::put:
        state_ = values_[op];
        return true;
      case Kind::get:
        return one.is_absent ? state_ == 0 : state_ == values_[op];
      case Kind::erase:
        if (one.answered_us != INT64_MAX && one.is_absent != (state_ == 0)) return false;
        state_ = 0;
        return true;
    }
    return false;
  }
  void flip(std::uint32_t op) { done_[op / 64] ^= std::uint64_t{1} << (op % 64); }
  void lift(std::uint32_t at) {
    next_[previous_[at]] = next_[at];
    if (next_[at] < previous_.size()) previous_[next_[at]] = previous_[at];
  }
  void put_back(std::uint32_t at) {
    next_[previous_[at]] = at;
    if (next_[at] < previous_.size()) previous_[next_[at]] = at;
  }

  std::vector<RegisterOp> history_;
  std::uint64_t steps_left_;
  std::vector<std::uint32_t> values_;
  std::vector<Mark> marks_;
  std::vector<std::uint32_t> next_;  // Of mark i at i + 1; the list begins at 0.
  std::vector<std::uint32_t> previous_;
  std::vector<std::uint32_t> answer_of_;
  std::vector<std::uint64_t> done_;
  std::uint32_t state_ = 0;
  std::set<std::pair<std::vector<std::uint64_t>, std::uint32_t>> seen_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> taken_;
};

}  // namespace

Verdict judge(std::vector<RegisterOp> history, std::uint64_t steps_max) {
  settle_unknown(history);
  // Where nothing is under way the past is decided but for its last state: the search runs over
  // the whole, its memory makes that cheap.
  return Search(std::move(history), steps_max).run();
}

}  // namespace coord::sim
