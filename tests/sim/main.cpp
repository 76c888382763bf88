// sim: runs seeds of the deterministic simulator. See tests/sim/README.md.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/farm.hpp"

namespace coord::sim {
namespace {

struct Arguments {
  RunOptions run;
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  bool is_range = false;
  bool all_mutants = false;
  unsigned jobs = 1;
};

constexpr std::string_view kUsage =
    "usage: sim [--seed N | --seeds A..B] [-j JOBS] [--seconds S] [--steps M] [--trace]\n"
    "           [--mutant N] [--mutants] [--off FAULT]... [--members N]\n"
    "           [--recipes] [--no-recipes]\n";

constexpr std::string_view kHelp =
    "\n"
    "  --seed N         one run\n"
    "  --seeds A..B     so many; every failure with the command that repeats it\n"
    "  -j JOBS          processors to use (1)\n"
    "  --seconds S      simulated seconds with faults (60)\n"
    "  --steps M        end after so many steps: where a failure begins\n"
    "  --trace          write down every step\n"
    "  --mutants        hunt every deliberately broken variant; --mutant N: this one\n"
    "  --off FAULT      without this class of faults, as tests/sim/README.md names it\n"
    "  --members N      so many voters, whatever the seed draws\n"
    "  --recipes        locks, elections and the rest in every seed; --no-recipes: in none\n"
    "\n"
    "Ends with 0 if nothing failed, 1 if something did, 2 if it was asked wrongly.\n";

[[noreturn]] void die(std::string_view why) {
  fmt::print(stderr, "sim: {}\n{}", why, kUsage);
  std::exit(2);
}

std::uint64_t number_of(const std::string& text) {
  char* end = nullptr;
  const auto number = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0') die(fmt::format("'{}' is not a number", text));
  return number;
}

void turn_off(RunOptions& options, std::string_view name) {
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (word_of(static_cast<Fault>(i)) != name) continue;
    options.faults_off |= std::uint64_t{1} << i;
    return;
  }
  die(fmt::format("there is no fault '{}'", name));
}

void take_range(Arguments& arguments, const std::string& text) {
  const auto dots = text.find("..");
  if (dots == std::string::npos) die("a range is A..B");
  arguments.first = number_of(text.substr(0, dots));
  arguments.last = number_of(text.substr(dots + 2));
  arguments.is_range = true;
}

Arguments parse(const std::vector<std::string>& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i];
    const auto value = [&] {
      if (i + 1 >= words.size()) die(fmt::format("{} takes a value", word));
      return words[++i];
    };
    if (word == "--seed") {
      arguments.first = arguments.last = number_of(value());
    } else if (word == "--seeds") {
      take_range(arguments, value());
    } else if (word == "-j") {
      arguments.jobs = static_cast<unsigned>(number_of(value()));
    } else if (word == "--seconds") {
      arguments.run.seconds = static_cast<std::int64_t>(number_of(value()));
    } else if (word == "--steps") {
      arguments.run.steps_max = number_of(value());
    } else if (word == "--trace") {
      arguments.run.with_trace = true;
    } else if (word == "--recipes") {
      arguments.run.recipes = RunOptions::Recipes::always;
    } else if (word == "--no-recipes") {
      arguments.run.recipes = RunOptions::Recipes::never;
    } else if (word == "--members") {
      arguments.run.members = static_cast<std::size_t>(number_of(value()));
    } else if (word == "--mutant") {
      arguments.run.mutant = static_cast<Mutant>(number_of(value()));
      if (word_of(arguments.run.mutant).empty()) die("there is no such mutant");
    } else if (word == "--mutants") {
      arguments.all_mutants = true;
    } else if (word == "--off") {
      turn_off(arguments.run, value());
    } else if (word == "--help" || word == "-h") {
      fmt::print("{}{}", kUsage, kHelp);
      std::exit(0);
    } else {
      die(fmt::format("'{}' is not known", word));
    }
  }
  if (arguments.jobs == 0) arguments.jobs = 1;
  return arguments;
}

// All of them, or the one that --mutant names.
int run_mutants(const Arguments& arguments) {
  int survivors = 0;
  Hunt how;
  how.seconds = arguments.run.seconds;
  how.jobs = arguments.jobs;
  if (arguments.is_range) {
    how.first = arguments.first;
    how.last = arguments.last;
  }
  for (const auto& [mutant, caught_by, word] : mutants()) {
    if (arguments.run.mutant != Mutant::none && arguments.run.mutant != mutant) continue;
    SeedResult found;
    const auto seeds = hunt(mutant, how, found);
    if (seeds == 0) {
      ++survivors;
      fmt::print("mutant {:3} survives {} seeds: {}\n", static_cast<int>(mutant),
                 how.last - how.first + 1, word);
      std::fflush(stdout);
      continue;
    }
    fmt::print("mutant {:3} found after {} seeds ({}): {}\n    {}\n", static_cast<int>(mutant),
               seeds, word, found.outcome.failure, command_of(found.options));
    std::fflush(stdout);
  }
  return survivors == 0 ? 0 : 1;
}

// A kind of fault or event that never came in so many runs is a fault of the simulator.
constexpr std::size_t kSeedsForAll = 1'000;

bool has_all(const Arguments& arguments, std::size_t runs, const Counts& sums) {
  const auto& options = arguments.run;
  const bool is_judged = runs >= kSeedsForAll && options.faults_off == 0 && options.members == 0 &&
                         options.steps_max == 0 && options.mutant == Mutant::none &&
                         options.recipes != RunOptions::Recipes::never;
  bool is_whole = true;
  for (std::size_t i = 0; i < kCounts && is_judged; ++i) {
    if (sums[i] > 0) continue;
    is_whole = false;
    fmt::print("never happened: {}\n", word_of(static_cast<Count>(i)));
  }
  return is_whole;
}

int run_range(const Arguments& arguments) {
  std::vector<RunOptions> runs;
  for (auto seed = arguments.first; seed <= arguments.last; ++seed) {
    auto options = arguments.run;
    options.seed = seed;
    runs.push_back(options);
  }
  Counts sums{};
  std::int64_t simulated_us = 0;
  std::uint64_t undecided = 0;
  std::vector<SeedResult> failed;
  const auto start = std::chrono::steady_clock::now();
  run_seeds(runs, arguments.jobs, [&](const SeedResult& result) {
    for (std::size_t i = 0; i < kCounts; ++i) sums[i] += result.outcome.counts[i];
    simulated_us += result.outcome.simulated_us;
    undecided += result.outcome.undecided;
    if (!result.outcome.failure.empty()) failed.push_back(result);
    if (!arguments.is_range || !result.outcome.failure.empty()) {
      fmt::print("{}\n", report_of(result));
      std::fflush(stdout);
    }
    return failed.size() < 10;
  });
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const auto& one : failed) {
    fmt::print("repeat: {}\n", command_of(one.options));
  }
  if (!failed.empty() && !arguments.run.with_trace && arguments.run.steps_max == 0) {
    const auto least = reduce(failed.front());
    fmt::print("reduced: {}\n    {}\n", command_of(least.options), least.outcome.failure);
  }
  if (arguments.is_range) {
    for (std::size_t i = 0; i < kCounts; ++i) {
      fmt::print("{:>28}: {}\n", word_of(static_cast<Count>(i)), sums[i]);
    }
  }
  fmt::print(
      "{} seeds, {} failed, {} keys undecided, {:.0f} simulated seconds in {:.1f} s: {:.0f} a "
      "second\n",
      runs.size(), failed.size(), undecided, static_cast<double>(simulated_us) / 1e6, took,
      static_cast<double>(simulated_us) / 1e6 / took);
  const bool is_whole = has_all(arguments, runs.size(), sums);
  return failed.empty() && is_whole ? 0 : 1;
}

}  // namespace
}  // namespace coord::sim

int main(int argc, char** argv) {
  const auto arguments = coord::sim::parse(std::vector<std::string>(argv + 1, argv + argc));
  return arguments.all_mutants ? coord::sim::run_mutants(arguments)
                               : coord::sim::run_range(arguments);
}
