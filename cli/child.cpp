#include "cli/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace coord::cli {
namespace {

// What is passed on. SIGKILL and SIGSTOP cannot be.
constexpr std::array kPassed = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

volatile pid_t passed_to = 0;
std::array<struct sigaction, kPassed.size()> handlers_before{};

// The terminal sends to the whole group, in which the child is.
void pass_on(int number, siginfo_t* info, void*) {
  const int saved = errno;
  if (passed_to > 0 && info->si_code != SI_KERNEL) ::kill(passed_to, number);
  errno = saved;
}

void take_signals(pid_t pid) {
  passed_to = pid;
  struct sigaction action {};
  action.sa_sigaction = &pass_on;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kPassed.size(); ++i) {
    ::sigaction(kPassed[i], &action, &handlers_before[i]);
  }
}

void give_back_signals() {
  passed_to = 0;
  for (std::size_t i = 0; i < kPassed.size(); ++i) {
    ::sigaction(kPassed[i], &handlers_before[i], nullptr);
  }
}

// In the child, before it becomes the command: as coordctl found them.
[[noreturn]] void become(const std::vector<std::string>& words, int report) {
  for (const int number : kPassed) ::signal(number, SIG_DFL);
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int why = errno;
  [[maybe_unused]] const auto written = ::write(report, &why, sizeof why);
  ::_exit(127);
}

Trouble cannot_start(const std::string& word, int why) {
  return {Exit::usage, fmt::format("cannot run {}: {}", word, std::strerror(why)), {}};
}

}  // namespace

Outcome<Child> Child::start(const std::vector<std::string>& words, const Environment& environment) {
  // A pipe that closes with a successful exec; else it brings why there was none.
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return cannot_start(words.front(), errno);
  const pid_t pid = ::fork();
  if (pid < 0) {
    const int why = errno;
    ::close(report[0]);
    ::close(report[1]);
    return cannot_start(words.front(), why);
  }
  if (pid == 0) {
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    become(words, report[1]);
  }
  take_signals(pid);
  ::close(report[1]);
  const int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  Child child(pid, descriptor);
  int why = 0;
  const auto got = ::read(report[0], &why, sizeof why);
  ::close(report[0]);
  if (got == sizeof why) return cannot_start(words.front(), why);
  if (descriptor < 0) return cannot_start(words.front(), ENOSYS);
  return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      exit_code_(other.exit_code_) {}

Child::~Child() {
  if (pid_ < 0) return;
  give_back_signals();
  if (!exit_code_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool Child::wait(std::chrono::milliseconds duration) {
  if (exit_code_) return true;
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + duration;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    struct pollfd one {
      descriptor_, POLLIN, 0
    };
    ::poll(&one, 1, left > 0 ? static_cast<int>(left) : 0);
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return true;
    }
    if (left <= 0) return false;  // A signal only cuts one round short.
  }
}

void Child::signal(int number) const {
  if (!exit_code_) ::kill(pid_, number);
}

void Child::end(std::chrono::milliseconds grace) {
  signal(SIGTERM);
  if (wait(grace)) return;
  signal(SIGKILL);
  static_cast<void>(wait(std::chrono::hours(1)));
}

Outcome<void> exit_like(int code) {
  if (code == 0) return success();
  return Trouble{static_cast<Exit>(code), {}, {}};
}

}  // namespace coord::cli
