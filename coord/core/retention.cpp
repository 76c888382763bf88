#include "coord/core/retention.hpp"

#include "coord/base/codec.hpp"

namespace coord::core {

void Retention::add(Zxid zxid, std::uint64_t changes, std::uint64_t bytes) {
  if (!is_open_) {
    steps_.emplace_back();
    is_open_ = true;
  }
  auto& step = steps_.back();
  step.last = zxid;
  step.changes += changes;
  step.bytes += bytes;
}

void Retention::close_step(const RetentionPolicy& policy) {
  is_open_ = false;
  std::uint64_t changes = 0;
  std::uint64_t bytes = 0;
  for (const auto& step : steps_) {
    changes += step.changes;
    bytes += step.bytes;
  }
  // The newest step always stays, whatever its size: a watch must be able to resume from there.
  while (steps_.size() > 1 && (changes > policy.changes_max || bytes > policy.bytes_max)) {
    const auto& oldest = steps_.front();
    changes -= oldest.changes;
    bytes -= oldest.bytes;
    floor_ = oldest.last.next();
    steps_.pop_front();
  }
  // A bounded number of steps: neighbours join, so a step may let go a little more at once.
  if (steps_.size() <= kStepsMax) return;
  std::deque<Step> joined;
  for (std::size_t i = 0; i < steps_.size(); i += 2) {
    auto step = steps_[i];
    if (i + 1 < steps_.size()) {
      step.last = steps_[i + 1].last;
      step.changes += steps_[i + 1].changes;
      step.bytes += steps_[i + 1].bytes;
    }
    joined.push_back(step);
  }
  steps_ = std::move(joined);
}

void Retention::reset(Zxid floor) {
  steps_.clear();
  is_open_ = false;
  floor_ = floor;
}

std::string Retention::encode() const {
  std::string bytes;
  Writer out(bytes);
  out.id(floor_);
  out.varint(steps_.size());
  for (const auto& step : steps_) {
    out.id(step.last);
    out.varint(step.changes);
    out.varint(step.bytes);
  }
  return bytes;
}

bool Retention::decode(std::string_view bytes) {
  Reader in(bytes);
  reset(in.id<Zxid>());
  const auto n = in.count();
  for (std::size_t i = 0; i < n && in.ok(); ++i) {
    auto& step = steps_.emplace_back();
    step.last = in.id<Zxid>();
    step.changes = in.varint();
    step.bytes = in.varint();
  }
  return in.done();
}

}  // namespace coord::core
