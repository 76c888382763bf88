// Mutant: what the simulator breaks on purpose, and which checkers must find it.
//
// The numbers are the rows of the project's list; hundreds are the other forms that a row names. A
// run of a mutant is failed only by the invariants that its row names (World::fail): what others
// see first is passed over, so that each checker shows that it works alone.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace coord::sim {

enum class Mutant : std::uint16_t {
  none = 0,
  vote_not_stored = 1,
  vote_apart_from_term = 101,
  vote_without_log = 2,
  commit_earlier_terms = 3,
  cut_on_append = 4,
  conflict_kept = 104,
  commit_unverified = 5,
  reply_before_sync = 6,
  leader_counts_unsynced = 106,
  alone_before_sync = 206,
  believe_second_sync = 7,
  union_majority = 8,
  committed_configuration = 108,
  change_too_early = 9,
  configuration_not_restored = 10,
  configuration_not_rolled_back = 110,
  read_without_index = 11,
  read_before_own_commit = 111,
  read_of_earlier_round = 211,
  lease_from_reply = 12,
  lease_after_transfer = 112,
  lease_by_wall_clock = 212,
  expire_by_wall_clock = 13,
  expire_without_lease = 113,
  expire_without_entry = 213,
  session_clocks_forgotten = 14,
  ephemerals_stay = 15,
  create_after_close = 115,
  owner_in_snapshot = 215,
  window_not_stored = 16,
  evicted_made_up = 116,
  index_apart_from_data = 17,
  log_cut_too_early = 18,
  directory_not_synced = 118,
  snapshot_not_synced = 218,
  part_of_snapshot = 19,
  log_beyond_snapshot = 119,
  stop_at_bad_checksum = 20,
  damage_cut_off = 120,
  damaged_comes_back_empty = 220,
  watch_after_read = 21,
  event_at_append = 121,
  resume_inclusive = 221,
  resume_without_between = 321,
  batch_in_two_parts = 22,
  state_by_hash_order = 23,
  state_by_time_of_day = 123,
  state_by_pointer = 223,
  late_acknowledgement = 24,
  no_pre_vote = 25,
  late_pre_vote_ignored = 125,
  no_check_quorum = 26,
  removed_campaigns = 126,
};

struct MutantRow {
  Mutant mutant = Mutant::none;
  std::uint32_t caught_by = 0;  // Bits by invariant.
  std::string_view word;
};
// All of them, in the order of the list.
[[nodiscard]] std::span<const MutantRow> mutants() noexcept;
[[nodiscard]] std::string_view word_of(Mutant mutant) noexcept;  // Empty: there is no such one.
// Does its row name this invariant? Of no mutant, every one does.
[[nodiscard]] bool is_caught_by(Mutant mutant, int invariant) noexcept;

}  // namespace coord::sim
