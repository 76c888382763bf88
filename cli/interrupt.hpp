// Interrupt: Ctrl-C and SIGTERM as something that a waiting call can see.
//
// The signal handler sets a flag and writes into a pipe; whoever waits on a connection or a timer
// waits on the pipe too. In the shell an interrupt ends the running verb, not the program. One for
// the process, since signals are. Thread rule: used by the main thread.
#pragma once

namespace coord::cli {

class Interrupt {
 public:
  // Takes over SIGINT and SIGTERM. Call once, before anything waits.
  static void install();
  [[nodiscard]] static bool is_raised() noexcept;
  // True if it was SIGTERM: the shell leaves then.
  [[nodiscard]] static bool is_terminate() noexcept;
  // Forgets an interrupt: the next verb starts without one.
  static void clear() noexcept;
  // Readable while an interrupt stands; -1 before install().
  [[nodiscard]] static int fd() noexcept;
};

}  // namespace coord::cli
