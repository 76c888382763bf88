// Retention: which changes the table of changes keeps, and since when.
//
// Counts what each checkpoint adds, in steps, so that the oldest step can be let go as a whole. Its
// record is part of Table::meta: every member trims by its own checkpoints, so it is not replicated
// and not in the digest.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "coord/base/ids.hpp"

namespace coord::core {

struct RetentionPolicy {
  std::uint64_t changes_max = 1'000'000;
  std::uint64_t bytes_max = 512ULL << 20;
};

class Retention {
 public:
  static constexpr std::string_view kKey = "retention";
  static constexpr std::size_t kStepsMax = 256;

  // One batch was applied.
  void add(Zxid zxid, std::uint64_t changes, std::uint64_t bytes);
  // Closes the step and moves the floor on by the policy: call it when a checkpoint is taken.
  void close_step(const RetentionPolicy& policy);
  // Changes with a zxid below this are gone; the zero zxid: none ever was.
  [[nodiscard]] Zxid floor() const noexcept { return floor_; }
  // After an install, or a restore: nothing before is known.
  void reset(Zxid floor);

  [[nodiscard]] std::string encode() const;
  [[nodiscard]] bool decode(std::string_view bytes);

 private:
  struct Step {
    Zxid last;
    std::uint64_t changes = 0;
    std::uint64_t bytes = 0;
  };
  std::deque<Step> steps_;  // The last one is open.
  Zxid floor_;
  bool is_open_ = false;
};

}  // namespace coord::core
