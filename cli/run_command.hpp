// Running a command of the user's for an event: by the shell, with variables in its environment and
// bytes on its standard input. Thread rule: the main thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace coord::cli {

using Variables = std::vector<std::pair<std::string, std::string>>;

// Its exit status when it has ended, 128 + the signal that ended it, or -1 if it did not run. A
// variable that is too long for an environment is left out, and taken away if it was there.
int run_command(const std::string& command, const Variables& variables, const std::string& input);

}  // namespace coord::cli
