// Unsynced: what was handed out to be persisted, and how much of the log is known to be synced.
//
// Persists are numbered and finish in order. A truncation lowers at once both what is synced and
// what every persist in flight will make synced: a late report about entries that are no longer in
// the log must not count for those that stand at the same indexes now (the ABA race of etcd's
// `async_storage_writes_append_aba_race`; rabbitmq/ra 637).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "election/entry.hpp"

namespace coord::election {

class Unsynced {
 public:
  // What recovery found is synced.
  Unsynced(Index synced, HardState hard_state) noexcept
      : synced_(synced), hard_state_(hard_state) {}

  // Everything up to here is on the disk, and is what the log holds now.
  [[nodiscard]] Index synced() const noexcept { return synced_; }
  [[nodiscard]] HardState hard_state() const noexcept { return hard_state_; }
  [[nodiscard]] bool is_idle() const noexcept { return in_flight_.empty(); }
  [[nodiscard]] std::uint64_t last_number() const noexcept { return number_; }

  // A new persist after which the log is synced up to `last`. Returns its number.
  std::uint64_t issue(Index last, const std::optional<HardState>& hard_state);
  // The log was cut: nothing after `last` is what it was.
  void lower(Index last) noexcept;
  // A snapshot in place covers everything up to `index`.
  void raise(Index index) noexcept;
  // Everything up to `number` is synced. Requires: it was issued, and numbers never go back.
  void persisted(std::uint64_t number);

 private:
  struct InFlight {
    std::uint64_t number;
    Index last;
    std::optional<HardState> hard_state;
  };
  Index synced_;
  HardState hard_state_;
  std::uint64_t number_ = 0;
  std::deque<InFlight> in_flight_;
};

}  // namespace coord::election
