#include "cli/run_command.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string_view>

namespace coord::cli {
namespace {

// Longer environment strings are refused by execve (MAX_ARG_STRLEN is 128 KiB).
constexpr std::size_t kEnvironmentValueMax = 120 * 1024;

// The child's standard input: the bytes, of any size and kind.
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

std::vector<std::string> environment_with(const Variables& variables) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool is_ours = std::any_of(variables.begin(), variables.end(),
                                     [&](const auto& variable) { return variable.first == name; });
    if (!is_ours) out.emplace_back(text);
  }
  for (const auto& [name, value] : variables) {
    const bool fits = value.size() <= kEnvironmentValueMax && value.find('\0') == std::string::npos;
    if (fits) out.push_back(name + "=" + value);
  }
  return out;
}

}  // namespace

int run_command(const std::string& command, const Variables& variables, const std::string& input) {
  std::vector<std::string> environment = environment_with(variables);
  std::vector<char*> pointers;
  for (std::string& entry : environment) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  const int source = open_input(input);
  const pid_t child = ::fork();
  if (child == 0) {
    // Only calls that are safe after fork.
    if (source >= 0) ::dup2(source, STDIN_FILENO);
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    const char* arguments[] = {"sh", "-c", command.c_str(), nullptr};
    ::execve("/bin/sh", const_cast<char* const*>(arguments), pointers.data());
    ::_exit(127);
  }
  if (source >= 0) ::close(source);
  if (child < 0) return -1;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace coord::cli
