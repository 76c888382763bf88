// Child: a command that runs while something is held for it: a registration, a lock, an office.
//
// Signals that would end coordctl go to the command instead; those that a terminal sends reach it
// anyway and are not sent twice. Who holds decides what the end of either means. Thread rule: the
// main thread, one child at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/outcome.hpp"

namespace coord::cli {

class Child {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  // Starts the words as a command, found in PATH, with these variables besides its parent's.
  // Trouble with usage when it cannot be started.
  [[nodiscard]] static Outcome<Child> start(const std::vector<std::string>& words,
                                            const Environment& environment);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  // A child that still runs is killed.
  ~Child();

  // Waits for its end, so long at most.
  [[nodiscard]] bool wait(std::chrono::milliseconds duration);
  // Of one that has ended: its exit code, or 128 and the signal that ended it.
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  void signal(int number) const;
  // SIGTERM, and SIGKILL when it has not ended after `grace`.
  void end(std::chrono::milliseconds grace);

 private:
  Child(pid_t pid, int descriptor) : pid_(pid), descriptor_(descriptor) {}
  pid_t pid_;
  int descriptor_;  // A pidfd: readable once it has ended.
  std::optional<int> exit_code_;
};

// The command's exit code as the end of a verb; nothing is said about it.
[[nodiscard]] Outcome<void> exit_like(int code);

}  // namespace coord::cli
