// The simulator inside `./dev test`: the corpus, some fixed seeds, some fresh ones, the mutants in
// short form, and that a seed is a run.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/sim/farm.hpp"
#include "tests/sim/linear.hpp"

namespace coord::sim {
namespace {

constexpr unsigned kJobs = 2;

// Runs all of them; a failure names the command that repeats it.
void expect_sound(const std::vector<RunOptions>& runs, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  std::size_t done = 0;
  run_seeds(runs, kJobs, [&](const SeedResult& result) {
    ++done;
    EXPECT_EQ(result.outcome.failure, "") << "repeat: " << command_of(result.options);
    return std::chrono::steady_clock::now() < end;
  });
  EXPECT_GT(done, 0U);
}

RunOptions seed_of(std::uint64_t seed) {
  RunOptions options;
  options.seed = seed;
  return options;
}

TEST(Simulator, EverySeedOfTheCorpusIsSound) {
  std::ifstream corpus(COORD_SIM_CORPUS);
  ASSERT_TRUE(corpus.good());
  std::vector<RunOptions> runs;
  std::string word;
  while (corpus >> word) {
    if (word.front() == '#') {
      std::getline(corpus, word);
    } else if (word == "recipes") {
      ASSERT_GE(runs.size(), 2U);
      for (auto run = runs.end() - 2; run != runs.end(); ++run) {
        run->recipes = RunOptions::Recipes::always;
      }
    } else {
      runs.push_back(seed_of(std::stoull(word)));
      runs.back().recipes = RunOptions::Recipes::never;
      // As it was when it found that: without the faults that came later.
      runs.push_back(runs.back());
      for (auto i = static_cast<std::size_t>(kFirstApart); i < kFaults; ++i) {
        runs.back().faults_off |= std::uint64_t{1} << i;
      }
    }
  }
  ASSERT_FALSE(runs.empty());
  expect_sound(runs, std::chrono::seconds(60));
}

TEST(Simulator, FixedSeedsAreSound) {
  std::vector<RunOptions> runs;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) runs.push_back(seed_of(seed));
  expect_sound(runs, std::chrono::seconds(40));
}

TEST(Simulator, FreshSeedsAreSound) {
  std::random_device device;
  std::vector<RunOptions> runs;
  for (int i = 0; i < 25; ++i) runs.push_back(seed_of(device()));
  expect_sound(runs, std::chrono::seconds(30));
}

// Locks, elections and the rest under the whole fault menu: recipes_judge.hpp.
TEST(Simulator, SeedsWithRecipesAreSound) {
  std::vector<RunOptions> runs;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    runs.push_back(seed_of(seed));
    runs.back().recipes = RunOptions::Recipes::always;
    if (seed % 2 == 0) runs.back().members = 3;
  }
  expect_sound(runs, std::chrono::seconds(30));
}

TEST(Simulator, TheSameSeedIsTheSameRun) {
  for (const auto seed : {std::uint64_t{3}, std::uint64_t{5}, std::uint64_t{9}}) {
    const auto first = run_seed(seed_of(seed));
    const auto second = run_seed(seed_of(seed));
    EXPECT_EQ(first.outcome.hash, second.outcome.hash) << command_of(first.options);
    EXPECT_EQ(first.outcome.steps, second.outcome.steps);
    EXPECT_NE(first.outcome.hash, run_seed(seed_of(seed + 1)).outcome.hash);
  }
}

// A process of its own has other addresses and other seeds of its hash tables.
TEST(Simulator, TheSameSeedIsTheSameRunInAnotherProcess) {
  const auto hash_of = [] {
    std::string text;
    auto* const pipe = popen(COORD_SIM_PROGRAM " --seed 4 --seconds 20", "r");
    if (pipe == nullptr) return text;
    char buffer[512];
    while (fgets(buffer, sizeof buffer, pipe) != nullptr) text += buffer;
    pclose(pipe);
    const auto at = text.find("hash ");
    return at == std::string::npos ? std::string() : text.substr(at, 21);
  };
  const auto first = hash_of();
  EXPECT_EQ(first.size(), 21U);
  EXPECT_EQ(first, hash_of());
}

// Those that few seeds find; `./dev sim --mutants` hunts all of them.
constexpr std::array kQuickMutants{Mutant::vote_not_stored,
                                   Mutant::vote_apart_from_term,
                                   Mutant::vote_without_log,
                                   Mutant::cut_on_append,
                                   Mutant::conflict_kept,
                                   Mutant::commit_unverified,
                                   Mutant::reply_before_sync,
                                   Mutant::leader_counts_unsynced,
                                   Mutant::alone_before_sync,
                                   Mutant::believe_second_sync,
                                   Mutant::union_majority,
                                   Mutant::committed_configuration,
                                   Mutant::configuration_not_restored,
                                   Mutant::read_without_index,
                                   Mutant::read_before_own_commit,
                                   Mutant::expire_without_entry,
                                   Mutant::session_clocks_forgotten,
                                   Mutant::ephemerals_stay,
                                   Mutant::create_after_close,
                                   Mutant::owner_in_snapshot,
                                   Mutant::index_apart_from_data,
                                   Mutant::log_cut_too_early,
                                   Mutant::directory_not_synced,
                                   Mutant::stop_at_bad_checksum,
                                   Mutant::damage_cut_off,
                                   Mutant::damaged_comes_back_empty,
                                   Mutant::watch_after_read,
                                   Mutant::event_at_append,
                                   Mutant::resume_inclusive,
                                   Mutant::resume_without_between,
                                   Mutant::batch_in_two_parts,
                                   Mutant::state_by_hash_order,
                                   Mutant::state_by_time_of_day,
                                   Mutant::state_by_pointer,
                                   Mutant::removed_campaigns};

// Where the seeds that find one come late, the short form begins close to them.
std::uint64_t first_seed(Mutant mutant) { return mutant == Mutant::damage_cut_off ? 80 : 1; }

class EachMutant : public testing::TestWithParam<Mutant> {};

TEST_P(EachMutant, IsFound) {
  SeedResult found;
  Hunt how;
  how.first = first_seed(GetParam());
  how.last = 400;
  how.jobs = kJobs;
  EXPECT_GT(hunt(GetParam(), how, found), 0U) << word_of(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Simulator, EachMutant, testing::ValuesIn(kQuickMutants),
                         [](const auto& given) {
                           return "Mutant" + std::to_string(static_cast<int>(given.param));
                         });

struct HistoryCase {
  const char* name;
  std::vector<RegisterOp> given;
  Verdict want;
};

RegisterOp put(const char* value, std::int64_t asked, std::int64_t answered = INT64_MAX) {
  return {RegisterOp::Kind::put, value, false, asked, answered, 0};
}
RegisterOp get(const char* value, std::int64_t asked, std::int64_t answered) {
  return {RegisterOp::Kind::get, value, false, asked, answered, 0};
}
RegisterOp nothing(std::int64_t asked, std::int64_t answered) {
  return {RegisterOp::Kind::get, "", true, asked, answered, 0};
}
RegisterOp erase(bool is_absent, std::int64_t asked, std::int64_t answered = INT64_MAX) {
  return {RegisterOp::Kind::erase, "", is_absent, asked, answered, 0};
}

TEST(Linearizability, JudgesSmallHistories) {
  const std::vector<HistoryCase> cases{
      {"nothing happened", {}, Verdict::linearizable},
      {"a read after a write", {put("a", 1, 2), get("a", 3, 4)}, Verdict::linearizable},
      {"a stale read", {put("a", 1, 2), put("b", 3, 4), get("a", 5, 6)}, Verdict::illegal},
      {"a read beside a write",
       {put("a", 1, 2), put("b", 3, 9), get("a", 5, 6)},
       Verdict::linearizable},
      {"back and forth",
       {put("a", 1, 2), put("b", 3, 20), get("b", 5, 6), get("a", 7, 8)},
       Verdict::illegal},
      {"a lost write", {put("a", 1, 2), nothing(3, 4)}, Verdict::illegal},
      {"an unknown write that was read late",
       {put("a", 1), nothing(3, 4), get("a", 9, 10)},
       Verdict::linearizable},
      {"an unknown write read before it was asked",
       {get("a", 1, 2), put("a", 3)},
       Verdict::illegal},
      {"an unknown write that went away again",
       {put("a", 1), get("a", 2, 3), nothing(4, 5)},
       Verdict::illegal},
      {"an unknown erase may have been",
       {put("a", 1, 2), erase(false, 3), nothing(4, 5)},
       Verdict::linearizable},
      {"an unknown erase happens once",
       {put("a", 1, 2), erase(false, 3), nothing(4, 5), put("b", 6, 7), nothing(8, 9)},
       Verdict::illegal},
      {"an erase finds an unknown write", {put("a", 1), erase(false, 2, 3)}, Verdict::linearizable},
      {"an erase finds nothing that was asked",
       {erase(false, 2, 3), put("a", 4)},
       Verdict::illegal},
      {"an erase is told that nothing is there",
       {put("a", 1, 2), erase(true, 3, 4)},
       Verdict::illegal},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(judge(one.given, 10'000), one.want) << one.name;
  }
  EXPECT_EQ(judge({put("a", 1, 2), get("a", 3, 4)}, 0), Verdict::undecided);
}

}  // namespace
}  // namespace coord::sim
