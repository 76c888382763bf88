#include "tests/sim/mutant.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>

namespace coord::sim {
namespace {

constexpr int kLiveness = 18;

constexpr std::uint32_t by(std::initializer_list<int> invariants) {
  std::uint32_t bits = 0;
  for (const auto one : invariants) bits |= std::uint32_t{1} << one;
  return bits;
}

constexpr std::array kRows{
    MutantRow{Mutant::vote_not_stored, by({1}), "the vote is not stored with its term"},
    MutantRow{Mutant::vote_apart_from_term, by({1}), "vote and term are stored in two writes"},
    MutantRow{Mutant::vote_without_log, by({3}), "votes are granted without comparing logs"},
    MutantRow{Mutant::commit_earlier_terms, by({3, 4}),
              "entries of earlier terms are committed by their copies"},
    MutantRow{Mutant::cut_on_append, by({2, 4}), "a late append cuts what came after it"},
    MutantRow{Mutant::conflict_kept, by({2, 4}),
              "an append that contradicts the log does not cut it"},
    MutantRow{Mutant::commit_unverified, by({4}),
              "a follower takes over the leader's commit index as it is"},
    MutantRow{Mutant::reply_before_sync, by({5}), "a member acknowledges before its sync"},
    MutantRow{Mutant::leader_counts_unsynced, by({5}), "a leader counts its own unsynced entry"},
    MutantRow{Mutant::alone_before_sync, by({5}), "a member alone acknowledges before its sync"},
    MutantRow{Mutant::believe_second_sync, by({5}),
              "after a failed sync, tries again and believes the success"},
    MutantRow{Mutant::union_majority, by({1, 6}),
              "one majority of both halves of a joint configuration"},
    MutantRow{Mutant::committed_configuration, by({1, 6}),
              "a configuration counts only once it is committed"},
    MutantRow{Mutant::change_too_early, by({4, 6}),
              "the membership changes before an entry of the own term is committed"},
    MutantRow{Mutant::configuration_not_restored, by({6, 7}),
              "the configuration is not restored from a snapshot"},
    MutantRow{Mutant::configuration_not_rolled_back, by({6, 7}),
              "a configuration stays in use when its entry is cut off"},
    MutantRow{Mutant::read_without_index, by({11}), "a leader reads without asking anybody"},
    MutantRow{Mutant::read_before_own_commit, by({11}),
              "a new leader answers reads before its first commit"},
    MutantRow{Mutant::read_of_earlier_round, by({11}),
              "answers of one round count for a read that came later"},
    MutantRow{Mutant::lease_from_reply, by({11}), "a lease is counted from the reply"},
    MutantRow{Mutant::lease_after_transfer, by({11}),
              "a lease is kept over the transfer of leadership"},
    MutantRow{Mutant::lease_by_wall_clock, by({11}), "a lease is counted by the wall clock"},
    MutantRow{Mutant::expire_by_wall_clock, by({8, 9}), "sessions expire by the node's wall clock"},
    MutantRow{Mutant::expire_without_lease, by({8, 9}), "a leader that was deposed ends sessions"},
    MutantRow{Mutant::expire_without_entry, by({8, 9}),
              "a member ends sessions by its own clock, without an entry"},
    MutantRow{Mutant::session_clocks_forgotten, by({9}),
              "a new leader does not restart the clocks of sessions"},
    MutantRow{Mutant::ephemerals_stay, by({9}),
              "ephemerals of an ended session stay in the checkpoint"},
    MutantRow{Mutant::create_after_close, by({9}),
              "an ephemeral is made although its session has just ended"},
    MutantRow{Mutant::owner_in_snapshot, by({9}),
              "ephemerals stay when their owner was opened before the snapshot"},
    MutantRow{Mutant::window_not_stored, by({13}), "the retry window is not in the checkpoint"},
    MutantRow{Mutant::evicted_made_up, by({13}),
              "the answer to a retry that the window let go is made up"},
    MutantRow{Mutant::index_apart_from_data, by({8, 15}),
              "applied index and data are stored in two transactions"},
    MutantRow{Mutant::log_cut_too_early, by({5, 15}),
              "the log is cut before the checkpoint is durable"},
    MutantRow{Mutant::directory_not_synced, by({5, 15}), "the log's directory is never synced"},
    MutantRow{Mutant::snapshot_not_synced, by({5, 15}),
              "a snapshot takes its place before it is synced"},
    MutantRow{Mutant::part_of_snapshot, by({4, 15}),
              "a part of a snapshot survives a crash as if it were whole"},
    MutantRow{Mutant::log_beyond_snapshot, by({4, 15}),
              "the old log is kept beyond a snapshot that it contradicts"},
    MutantRow{Mutant::stop_at_bad_checksum, by({3, 16}),
              "recovery stops silently at the first bad checksum"},
    MutantRow{Mutant::damage_cut_off, by({3, 4}),
              "a member of several cuts its log where it is damaged, and goes on"},
    MutantRow{Mutant::damaged_comes_back_empty, by({1, 3, 4}),
              "a damaged member comes back as itself with nothing"},
    MutantRow{Mutant::watch_after_read, by({10}),
              "a watch is registered after the read that it belongs to"},
    MutantRow{Mutant::event_at_append, by({10}), "events are sent when their entry is appended"},
    MutantRow{Mutant::resume_inclusive, by({10}), "a watch resumes at the last revision again"},
    MutantRow{Mutant::resume_without_between, by({10}),
              "a watch resumes without what lies between"},
    MutantRow{Mutant::batch_in_two_parts, by({10}),
              "the event of a transaction is sent in two parts"},
    MutantRow{Mutant::state_by_hash_order, by({8}), "the state depends on the order of a hash map"},
    MutantRow{Mutant::state_by_time_of_day, by({8}), "the state depends on the time of day"},
    MutantRow{Mutant::state_by_pointer, by({8}), "the state depends on a pointer"},
    MutantRow{Mutant::late_acknowledgement, by({6}),
              "an acknowledgement of an earlier term counts"},
    MutantRow{Mutant::no_pre_vote, by({kLiveness}), "no pre-vote"},
    MutantRow{Mutant::late_pre_vote_ignored, by({kLiveness}),
              "a pre-vote from an earlier term is not answered"},
    MutantRow{Mutant::no_check_quorum, by({kLiveness}), "a leader that hears nobody stays"},
    MutantRow{Mutant::removed_campaigns, by({kLiveness}), "a removed member goes on campaigning"},
};

const MutantRow* find(Mutant mutant) noexcept {
  const auto at = std::find_if(kRows.begin(), kRows.end(),
                               [mutant](const auto& row) { return row.mutant == mutant; });
  return at == kRows.end() ? nullptr : &*at;
}

}  // namespace

std::span<const MutantRow> mutants() noexcept { return kRows; }

std::string_view word_of(Mutant mutant) noexcept {
  const auto* row = find(mutant);
  return row == nullptr ? std::string_view() : row->word;
}

bool is_caught_by(Mutant mutant, int invariant) noexcept {
  const auto* row = find(mutant);
  return row == nullptr || (row->caught_by >> invariant & 1) != 0;
}

}  // namespace coord::sim
