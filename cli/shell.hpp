// Shell: coordctl without a verb. On a terminal a prompt with line editing, history and completion
// (libedit); otherwise commands from stdin, one a line.
//
// It adds cd, pwd, help and exit to the verbs. Ctrl-C ends the running verb, not the shell.
#pragma once

#include <string>
#include <string_view>

#include "cli/command.hpp"

namespace coord::cli {

class Shell {
 public:
  // All must outlive the shell. `print` is the format that a line may change for itself.
  Shell(Client& client, const Printer& print, const Globals& globals);

  // The prompt, until Ctrl-D or exit. The exit code of the program.
  [[nodiscard]] Exit interact();
  // stdin, until its end or the first failure, whose code it gives.
  [[nodiscard]] Exit read_commands();

  // One line; what it ends with. Blank lines and comments are ok.
  [[nodiscard]] Exit run_line(std::string_view line);
  [[nodiscard]] const std::string& cwd() const noexcept { return cwd_; }
  [[nodiscard]] bool is_leaving() const noexcept { return is_leaving_; }
  // For completion: the paths that begin with `word`.
  [[nodiscard]] std::vector<std::string> paths_like(const std::string& word);

 private:
  [[nodiscard]] Exit change_directory(const std::vector<std::string>& words);
  [[nodiscard]] Exit run_verb(std::vector<std::string> words);

  Client& client_;
  const Printer& print_;
  const Globals& globals_;
  Client completion_client_;  // With a short time-out: Tab must not hang.
  std::string cwd_ = "/";
  bool is_leaving_ = false;
};

}  // namespace coord::cli
