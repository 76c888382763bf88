#include "tests/sim/linear.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace coord::sim {
namespace {

using OpKind = RegisterOp::Kind;

// What is known of writes whose fate is not: one whose value was read took effect before that read
// was answered. The others are spares: of a put that nobody read, only that something was there can
// matter, and of an erase only that nothing was; either is taken just before an operation that
// needs it, so they are counted and not searched.
struct Spares {
  std::vector<std::int64_t> puts;  // When they were asked.
  std::vector<std::int64_t> erases;
};

Spares settle_unknown(std::vector<RegisterOp>& history) {
  std::map<std::string, std::int64_t> first_read;
  for (const auto& op : history) {
    if (op.kind != OpKind::get || op.is_absent || op.answered_us == INT64_MAX) continue;
    const auto at = first_read.try_emplace(op.value, op.answered_us).first;
    at->second = std::min(at->second, op.answered_us);
  }
  Spares spares;
  std::erase_if(history, [&](RegisterOp& op) {
    if (op.answered_us != INT64_MAX) return false;
    if (op.kind == OpKind::erase) spares.erases.push_back(op.asked_us);
    if (op.kind != OpKind::put) return true;
    const auto read = first_read.find(op.value);
    if (read != first_read.end()) {
      op.answered_us = read->second;
      return false;
    }
    spares.puts.push_back(op.asked_us);
    return true;
  });
  return spares;
}

class Search {
 public:
  Search(std::vector<RegisterOp> history, Spares spares, std::uint64_t steps_max)
      : history_(std::move(history)), spares_(std::move(spares)), steps_left_(steps_max) {
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
    if (is_done()) return Verdict::linearizable;
    std::vector<Frame> frames{{choices(), 0, {}}};
    while (!frames.empty()) {
      auto& frame = frames.back();
      if (frame.taken != 0) undo(frame);
      if (frame.left.empty()) {
        frames.pop_back();
        continue;
      }
      const auto question = frame.left.back();
      frame.left.pop_back();
      if (steps_left_-- == 0) return Verdict::undecided;
      if (!take(question, frame)) continue;
      if (is_done()) return Verdict::linearizable;
      frames.push_back({choices(), 0, {}});
    }
    return Verdict::illegal;
  }

 private:
  struct Mark {
    std::int64_t at_us;
    bool is_answer;
    std::uint32_t op;
  };
  // What the register and the spares have come to.
  struct State {
    std::uint32_t value = 0;  // Zero: absent.
    std::uint32_t puts_taken = 0;
    std::uint32_t erases_taken = 0;
    friend auto operator<=>(const State&, const State&) = default;
  };
  // One choice of what comes next: what was taken, what is left to try, the state before.
  struct Frame {
    std::vector<std::uint32_t> left;  // Questions, the best one last.
    std::uint32_t taken = 0;
    State before;
  };
  [[nodiscard]] bool is_done() const { return next_[0] == marks_.size() + 1; }
  [[nodiscard]] std::uint32_t op_at(std::uint32_t at) const { return marks_[at - 1].op; }
  // Changes nothing as things stand: to take it at once is never worse than later.
  [[nodiscard]] bool is_free(std::uint32_t op) const {
    const auto& one = history_[op];
    if (one.kind == OpKind::put) return false;
    if (one.is_absent) return state_.value == 0;
    return one.kind == OpKind::get && state_.value == values_[op];
  }
  // What was asked before the first answer that is still to come; who is answered first goes first.
  [[nodiscard]] std::vector<std::uint32_t> choices() const {
    std::vector<std::uint32_t> found;
    for (auto at = next_[0]; !marks_[at - 1].is_answer; at = next_[at]) {
      if (is_free(op_at(at))) return {at};
      found.push_back(at);
    }
    std::sort(found.begin(), found.end(), [this](std::uint32_t a, std::uint32_t b) {
      return answer_of_[op_at(a)] > answer_of_[op_at(b)];
    });
    return found;
  }
  bool take(std::uint32_t question, Frame& frame) {
    const auto op = op_at(question);
    frame.before = state_;
    if (step(op)) {
      flip(op);
      if (seen_.emplace(done_, state_).second) {
        lift(question);
        lift(answer_of_[op]);
        frame.taken = question;
        return true;
      }
      flip(op);
    }
    state_ = frame.before;
    return false;
  }
  void undo(Frame& frame) {
    const auto op = op_at(frame.taken);
    put_back(answer_of_[op]);
    put_back(frame.taken);
    flip(op);
    state_ = frame.before;
    frame.taken = 0;
  }
  // Takes effect before the first answer that is still to come.
  bool take_spare(const std::vector<std::int64_t>& asked, std::uint32_t& taken) const {
    auto at = next_[0];
    while (!marks_[at - 1].is_answer) at = next_[at];
    const auto until = marks_[at - 1].at_us;
    const auto there =
        std::count_if(asked.begin(), asked.end(), [until](std::int64_t us) { return us <= until; });
    if (static_cast<std::int64_t>(taken) >= there) return false;
    ++taken;
    return true;
  }
  bool make_absent() {
    if (state_.value == 0) return true;
    if (!take_spare(spares_.erases, state_.erases_taken)) return false;
    state_.value = 0;
    return true;
  }
  bool step(std::uint32_t op) {
    const auto& one = history_[op];
    switch (one.kind) {
      case OpKind::put:
        state_.value = values_[op];
        return true;
      case OpKind::get:
        return one.is_absent ? make_absent() : state_.value == values_[op];
      case OpKind::erase:
        if (one.is_absent) return make_absent();
        if (state_.value == 0 && !take_spare(spares_.puts, state_.puts_taken)) return false;
        state_.value = 0;
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
  Spares spares_;
  std::uint64_t steps_left_;
  std::vector<std::uint32_t> values_;
  std::vector<Mark> marks_;
  std::vector<std::uint32_t> next_;  // Of mark i at i + 1; the list begins at 0.
  std::vector<std::uint32_t> previous_;
  std::vector<std::uint32_t> answer_of_;
  std::vector<std::uint64_t> done_;
  State state_;
  std::set<std::pair<std::vector<std::uint64_t>, State>> seen_;
};

}  // namespace

Verdict judge(std::vector<RegisterOp> history, std::uint64_t steps_max) {
  auto spares = settle_unknown(history);
  return Search(std::move(history), std::move(spares), steps_max).run();
}

}  // namespace coord::sim
