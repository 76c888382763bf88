#include "cli/tend.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/interrupt.hpp"

namespace coord::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPatience{5'000};  // From SIGTERM to SIGKILL.

int open_input(const std::string& bytes) {
  const int fd = ::memfd_create("coord-value", MFD_CLOEXEC);
  if (fd < 0) return -1;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto written = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

std::vector<std::string> environment_of(const TendedCommand& spec) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto name = text.substr(0, text.find('='));
    const bool is_ours = std::any_of(spec.environment.begin(), spec.environment.end(),
                                     [&](const auto& one) { return one.first == name; });
    if (!is_ours) out.emplace_back(text);
  }
  for (const auto& [name, value] : spec.environment) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers_of(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

Outcome<pid_t> start(const TendedCommand& spec) {
  auto environment = environment_of(spec);
  auto words = spec.command;
  const auto variables = pointers_of(environment);
  const auto arguments = pointers_of(words);
  const int input = spec.input ? open_input(*spec.input) : -1;
  const pid_t child = ::fork();
  if (child == 0) {
    // Only calls that are safe after fork.
    if (input >= 0) ::dup2(input, STDIN_FILENO);
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    ::signal(SIGPIPE, SIG_DFL);
    ::execvpe(arguments[0], arguments.data(), variables.data());
    ::_exit(errno == ENOENT ? 127 : 126);
  }
  if (input >= 0) ::close(input);
  if (child < 0) {
    return Trouble{
        Exit::other, fmt::format("cannot start {}: {}", words[0], std::strerror(errno)), {}};
  }
  return child;
}

// The child, until its end has been waited for.
class Running {
 public:
  explicit Running(pid_t pid)
      : pid_(pid), fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Running() {
    if (fd_ >= 0) ::close(fd_);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  // Its status once it has ended. Returns at the latest at `until`, or when an interrupt comes.
  std::optional<int> wait(Clock::time_point until) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd ready[] = {{fd_, POLLIN, 0}, {Interrupt::fd(), POLLIN, 0}};
    ::poll(ready, 2, static_cast<int>(std::clamp<std::int64_t>(left.count() + 1, 0, 60'000)));
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
  int fd_;
};

void end(Running& child) {
  child.signal(SIGTERM);
  const auto until = Clock::now() + kPatience;
  while (Clock::now() < until) {
    if (child.wait(until)) return;
    Interrupt::clear();
  }
  child.signal(SIGKILL);
  while (!child.wait(Clock::now() + kPatience)) Interrupt::clear();
}

}  // namespace

Outcome<int> run_tended(const TendedCommand& spec, std::chrono::milliseconds interval,
                        const std::function<Outcome<void>()>& tick) {
  COORD_TRY(const pid_t pid, start(spec));
  Running child(pid);
  auto next = Clock::now() + interval;
  while (true) {
    if (const auto status = child.wait(next)) return *status;
    if (Interrupt::is_raised()) {
      child.signal(Interrupt::is_terminate() ? SIGTERM : SIGINT);
      Interrupt::clear();
    }
    if (Clock::now() < next) continue;
    next = Clock::now() + interval;
    if (auto done = tick(); !done) {
      if (done.error().exit == Exit::interrupted) continue;  // Passed on above.
      end(child);
      return done.error();
    }
  }
}

Outcome<void> end_with(int status) {
  if (status == 0) return success();
  return Trouble{static_cast<Exit>(status), {}, {}};
}

}  // namespace coord::cli
