#include "tests/sim/farm.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"

namespace coord::sim {
namespace {

std::string encode(const Outcome& outcome) {
  std::string bytes;
  Writer out(bytes);
  out.bytes(outcome.failure);
  out.u64(static_cast<std::uint64_t>(outcome.invariant));
  out.u64(outcome.hash);
  out.u64(outcome.steps);
  out.u64(static_cast<std::uint64_t>(outcome.simulated_us));
  out.u64(outcome.undecided);
  for (const auto count : outcome.counts) out.u64(count);
  return bytes;
}

Outcome decode(std::string_view bytes, int status) {
  Reader in(bytes);
  Outcome outcome;
  outcome.failure = in.bytes();
  outcome.invariant = static_cast<int>(in.u64());
  outcome.hash = in.u64();
  outcome.steps = in.u64();
  outcome.simulated_us = static_cast<std::int64_t>(in.u64());
  outcome.undecided = in.u64();
  for (auto& count : outcome.counts) count = in.u64();
  if (!in.done() || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    outcome.invariant = 17;
    outcome.failure = WIFSIGNALED(status) ? fmt::format("invariant 17: a check failed ({})",
                                                        strsignal(WTERMSIG(status)))
                                          : std::string("invariant 17: the run did not end");
  }
  return outcome;
}

struct Child {
  pid_t pid = 0;
  int pipe = -1;
  std::size_t run = 0;
  std::string bytes;
};

Child begin(const RunOptions& options, std::size_t run, bool is_quiet) {
  std::fflush(stdout);
  int ends[2];
  COORD_CHECK(::pipe(ends) == 0, "a pipe can be made");
  const auto pid = ::fork();
  COORD_CHECK(pid >= 0, "a process can be made");
  if (pid == 0) {
    ::close(ends[0]);
    if (is_quiet) COORD_CHECK(std::freopen("/dev/null", "w", stderr) != nullptr, "no output");
    const auto bytes = encode(World(options).run());
    std::fflush(stdout);
    const auto written = ::write(ends[1], bytes.data(), bytes.size());
    ::_exit(written == static_cast<ssize_t>(bytes.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  return {pid, ends[0], run, {}};
}

// True when the child is done.
bool read_from(Child& child) {
  char buffer[4096];
  const auto n = ::read(child.pipe, buffer, sizeof buffer);
  if (n > 0) child.bytes.append(buffer, static_cast<std::size_t>(n));
  return n <= 0;
}

Outcome finish(Child& child) {
  ::close(child.pipe);
  int status = 0;
  COORD_CHECK(::waitpid(child.pid, &status, 0) == child.pid, "the run can be waited for");
  return decode(child.bytes, status);
}

}  // namespace

void run_seeds(const std::vector<RunOptions>& runs, unsigned jobs,
               const std::function<bool(const SeedResult&)>& each) {
  std::vector<Child> children;
  std::size_t next = 0;
  bool goes_on = true;
  while (!children.empty() || (goes_on && next < runs.size())) {
    while (goes_on && children.size() < jobs && next < runs.size()) {
      children.push_back(
          begin(runs[next], next, runs[next].mutant != Mutant::none && runs.size() > 1));
      ++next;
    }
    std::vector<pollfd> polled;
    for (const auto& child : children) polled.push_back({child.pipe, POLLIN, 0});
    ::poll(polled.data(), static_cast<nfds_t>(polled.size()), -1);
    for (std::size_t i = polled.size(); i-- > 0;) {
      if (polled[i].revents == 0 || !read_from(children[i])) continue;
      auto child = std::move(children[i]);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
      const SeedResult result{runs[child.run], finish(child)};
      if (goes_on) goes_on = each(result);
    }
  }
}

SeedResult run_seed(const RunOptions& options) {
  SeedResult found;
  run_seeds({options}, 1, [&](const SeedResult& result) {
    found = result;
    return true;
  });
  return found;
}

SeedResult reduce(const SeedResult& failed) {
  auto least = failed;
  for (std::size_t fault = 0; fault < kFaults; ++fault) {
    auto options = least.options;
    options.faults_off |= std::uint64_t{1} << fault;
    // Another plan is another run: it need not fail, or not of the same.
    const auto result = run_seed(options);
    if (!result.outcome.failure.empty()) least = result;
  }
  auto options = least.options;
  options.recipes = RunOptions::Recipes::never;
  if (const auto result = run_seed(options); !result.outcome.failure.empty()) least = result;
  if (least.outcome.steps > 0) least.options.steps_max = least.outcome.steps;
  return least;
}

std::string command_of(const RunOptions& options) {
  auto command = fmt::format("sim --seed {}", options.seed);
  if (options.seconds != RunOptions().seconds)
    command += fmt::format(" --seconds {}", options.seconds);
  if (options.mutant != Mutant::none) {
    command += fmt::format(" --mutant {}", static_cast<int>(options.mutant));
  }
  if (options.members > 0) command += fmt::format(" --members {}", options.members);
  using Recipes = RunOptions::Recipes;
  if (options.recipes == Recipes::always) command += " --recipes";
  if (options.recipes == Recipes::never) command += " --no-recipes";
  for (std::size_t i = 0; i < kFaults; ++i) {
    if ((options.faults_off >> i & 1) != 0) {
      command += fmt::format(" --off {}", word_of(static_cast<Fault>(i)));
    }
  }
  if (options.steps_max > 0) command += fmt::format(" --steps {}", options.steps_max);
  return command;
}

std::string report_of(const SeedResult& result) {
  const auto& outcome = result.outcome;
  return fmt::format("seed {} hash {:016x} steps {} simulated {:.1f} s{}{}", result.options.seed,
                     outcome.hash, outcome.steps, static_cast<double>(outcome.simulated_us) / 1e6,
                     outcome.failure.empty() ? "" : " FAILED: ", outcome.failure);
}

std::uint64_t hunt(Mutant mutant, const Hunt& how, SeedResult& found) {
  std::vector<RunOptions> runs;
  for (auto seed = how.first; seed <= how.last; ++seed) {
    RunOptions options;
    options.seed = seed;
    options.mutant = mutant;
    options.recipes = RunOptions::Recipes::never;  // They have nothing to do with any of them.
    options.seconds = how.seconds;
    runs.push_back(options);
  }
  std::uint64_t taken = 0;
  std::uint64_t tried = 0;
  run_seeds(runs, how.jobs, [&](const SeedResult& result) {
    ++tried;
    const auto& outcome = result.outcome;
    if (outcome.failure.empty() || !is_caught_by(mutant, outcome.invariant)) return true;
    taken = tried;
    found = result;
    return false;
  });
  return taken;
}

}  // namespace coord::sim
