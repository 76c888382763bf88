#include "cli/holder.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <optional>

#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

constexpr std::array kPassedOn = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
constexpr int kSentByKernel = 0x80;  // SI_KERNEL: a key of the terminal, which the command got too.

// Goes on while the machine sleeps, as the server's clock does.
std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

sigset_t passed_on() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kPassedOn) sigaddset(&set, signal);
  return set;
}

// Blocks the signals that are passed on, and reads them from a descriptor instead.
class Signals {
 public:
  Signals() {
    const auto set = passed_on();
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    fd_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    COORD_CHECK(fd_ >= 0, "a descriptor for signals", errno);
  }
  ~Signals() {
    ::close(fd_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const sigset_t& before() const noexcept { return before_; }
  void pass_on(pid_t child) const {
    signalfd_siginfo info{};
    while (::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_code == kSentByKernel) continue;
      ::kill(child, static_cast<int>(info.ssi_signo));
    }
  }

 private:
  sigset_t before_{};
  int fd_ = -1;
};

std::vector<std::string> environment_of(const HeldCommand& held) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto name = text.substr(0, text.find('='));
    const bool is_ours = std::any_of(held.environment.begin(), held.environment.end(),
                                     [&](const auto& pair) { return pair.first == name; });
    if (!is_ours) all.emplace_back(text);
  }
  for (const auto& [name, value] : held.environment) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

pid_t start(const HeldCommand& held, const sigset_t& mask) {
  auto environment = environment_of(held);
  auto words = held.words;
  auto variables = pointers_to(environment);
  auto arguments = pointers_to(words);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  // Only calls that are safe after fork. The command does not outlive who renews for it.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(126);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execvpe(arguments[0], arguments.data(), variables.data());
  ::_exit(errno == ENOENT ? 127 : 126);
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

class Run {
 public:
  Run(const ClientOptions& options, const HeldCommand& held, const Printer& print)
      : options_(options), held_(held), print_(print) {
    options_.session = held.session;
    options_.is_timeout_given = true;
    beat_ms_ = std::max<std::int64_t>(held.ttl_ms / 3, 50);
    confirmed(now_ms());
  }

  Outcome<int> operator()();

 private:
  void confirmed(std::int64_t at) {
    next_beat_ms_ = at + beat_ms_;
    jeopardy_ms_ = at + held_.ttl_ms * 3 / 4;
    gone_ms_ = at + held_.ttl_ms;
  }
  void beat();
  void lose(std::string why);
  // Waits for the command until then; true when it has ended.
  bool wait_until(std::int64_t at_ms);
  int end_command();

  ClientOptions options_;
  const HeldCommand& held_;
  const Printer& print_;
  Signals signals_;
  pid_t child_ = -1;
  int child_fd_ = -1;
  int status_ = 0;
  std::int64_t beat_ms_ = 0;
  std::int64_t next_beat_ms_ = 0;
  std::int64_t jeopardy_ms_ = 0;
  std::int64_t gone_ms_ = 0;
  std::optional<std::string> lost_;
};

void Run::lose(std::string why) {
  if (!lost_) lost_ = std::move(why);
}

// Renews the session, and looks at what it holds. A connection of its own, so that its time-out is
// what is left until the jeopardy.
void Run::beat() {
  const auto began = now_ms();
  options_.timeout = std::chrono::milliseconds(
      std::clamp<std::int64_t>(jeopardy_ms_ - began, 50, std::max<std::int64_t>(beat_ms_, 50)));
  Client client(options_);
  const auto is_final = [](Exit exit) {
    return exit == Exit::not_found || exit == Exit::session_lost || exit == Exit::forbidden;
  };
  const auto renewed = client.call_ok({"POST", "/v1/sessions/mine/keepalive", {}, {}});
  if (!renewed) {
    next_beat_ms_ = now_ms() + std::max<std::int64_t>(beat_ms_ / 8, 50);
    if (is_final(renewed.error().exit)) lose(renewed.error().message);
    return;
  }
  confirmed(began);
  const auto state = client.call_ok({"GET", held_.target, {{"Accept", "application/json"}}, {}});
  if (!state) {
    if (is_final(state.error().exit)) lose(state.error().message);
    return;
  }
  const auto body = parse_json(state.value().body);
  if (body && !held_.is_held(body.value())) lose("it was taken away");
}

bool Run::wait_until(std::int64_t at_ms) {
  while (true) {
    const auto left = std::clamp<std::int64_t>(at_ms - now_ms(), 0, 3'600'000);
    std::array<pollfd, 2> fds{{{child_fd_, POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(left));
    if (ready > 0 && fds[1].revents != 0) signals_.pass_on(child_);
    if (ready > 0 && fds[0].revents != 0) {
      while (::waitpid(child_, &status_, 0) < 0 && errno == EINTR) {
      }
      return true;
    }
    if (now_ms() >= at_ms) return false;
  }
}

// What it ran under is lost, or will be: first asked, then killed.
int Run::end_command() {
  print_.note(fmt::format("error: {}: ending the command", *lost_));
  ::kill(child_, SIGTERM);
  ::kill(child_, SIGCONT);  // A stopped one has to see it.
  const auto most = std::clamp<std::int64_t>(held_.ttl_ms / 4, 500, 10'000);
  if (!wait_until(std::clamp(gone_ms_, now_ms() + 500, now_ms() + most))) {
    ::kill(child_, SIGKILL);
    static_cast<void>(wait_until(INT64_MAX / 2));
  }
  return code_of(status_);
}

Outcome<int> Run::operator()() {
  child_ = start(held_, signals_.before());
  if (child_ < 0) return Trouble{Exit::other, std::strerror(errno), {}};
  child_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, child_, 0));
  COORD_CHECK(child_fd_ >= 0, "a descriptor of the command", errno);
  while (!wait_until(std::min(next_beat_ms_, jeopardy_ms_))) {
    if (now_ms() < jeopardy_ms_) beat();
    if (!lost_ && now_ms() >= jeopardy_ms_) lose("the session cannot be renewed");
    if (!lost_) continue;
    static_cast<void>(end_command());
    break;
  }
  ::close(child_fd_);
  if (lost_) return Trouble{Exit::session_lost, {}, {}};
  const int code = code_of(status_);
  if (code == 127) print_.note("error: cannot find the command " + escaped(held_.words.front()));
  return code;
}

}  // namespace

Outcome<int> run_held(const ClientOptions& options, const HeldCommand& held, const Printer& print) {
  COORD_CHECK(!held.words.empty(), "there is a command");
  Run run(options, held, print);
  return run();
}

}  // namespace coord::cli
