// Linearizability of one register, decided by search (Wing and Gong 1993, with Lowe's memory).
//
// It knows nothing of revisions: only who asked when, who was answered when, and what.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace coord::sim {

struct RegisterOp {
  enum class Kind : std::uint8_t { put, get, erase };
  Kind kind = Kind::get;
  std::string value;       // Put: unique. Get: what was found.
  bool is_absent = false;  // Get: nothing was there. Erase: there was nothing to erase.
  std::int64_t asked_us = 0;
  std::int64_t answered_us = INT64_MAX;  // INT64_MAX: never, its fate is unknown.
  std::uint64_t token = 0;               // Of the request; the search does not look at it.
};

enum class Verdict : std::uint8_t { linearizable, illegal, undecided };

// The register is absent at first. `steps_max` bounds the search.
[[nodiscard]] Verdict judge(std::vector<RegisterOp> history, std::uint64_t steps_max);

}  // namespace coord::sim
