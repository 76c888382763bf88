#include "cli/interrupt.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

volatile std::sig_atomic_t last_signal = 0;
int pipe_ends[2] = {-1, -1};

void on_signal(int signal) {
  const int saved = errno;
  last_signal = signal;
  const char byte = 0;
  // A full pipe is as readable as one more byte would make it.
  [[maybe_unused]] const auto written = ::write(pipe_ends[1], &byte, 1);
  errno = saved;
}

}  // namespace

void Interrupt::install() {
  COORD_CHECK(pipe_ends[0] < 0, "installed once");
  COORD_CHECK(::pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe for signals", errno);
  struct sigaction action {};
  action.sa_handler = &on_signal;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool Interrupt::is_raised() noexcept { return last_signal != 0; }

bool Interrupt::is_terminate() noexcept { return last_signal == SIGTERM; }

void Interrupt::clear() noexcept {
  last_signal = 0;
  char bytes[64];
  while (pipe_ends[0] >= 0 && ::read(pipe_ends[0], bytes, sizeof bytes) > 0) {
  }
}

int Interrupt::fd() noexcept { return pipe_ends[0]; }

}  // namespace coord::cli
