// Tend: runs a command, and looks after what it works on meanwhile.
//
// Signals that end coordctl are passed on to it; then its end is awaited all the same. Thread rule:
// the main thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/outcome.hpp"

namespace coord::cli {

struct TendedCommand {
  std::vector<std::string> command;  // A program, found in PATH, and its arguments.
  std::vector<std::pair<std::string, std::string>> environment;  // Beside what coordctl has.
  std::optional<std::string> input;  // Its standard input; none: that of coordctl.
};

// Runs the command to its end; `tick` is called every `interval` meanwhile. Trouble from it ends
// the command (SIGTERM, SIGKILL 5 s later) and is returned. Otherwise the exit status: 128 + the
// signal if one ended it, 127 if there is no such command.
[[nodiscard]] Outcome<int> run_tended(const TendedCommand& spec, std::chrono::milliseconds interval,
                                      const std::function<Outcome<void>()>& tick);
// The exit status of a child as coordctl's own.
[[nodiscard]] Outcome<void> end_with(int status);

}  // namespace coord::cli
