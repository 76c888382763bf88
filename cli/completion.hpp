// Completion: what may stand next on a line, for the shell's Tab and for the scripts of bash, zsh
// and fish. All of it comes from the verb table. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace coord::cli {

struct FlagInfo {
  std::vector<std::string> names;  // "--long", "-l".
  std::string summary;
  bool takes_value = false;
  std::vector<std::string> choices;  // Of its value, if they are few.
};
struct CommandInfo {
  std::string name;
  std::string summary;
  std::vector<FlagInfo> flags;
  std::vector<CommandInfo> below;
  bool takes_path = false;
};
struct CommandTable {
  std::vector<FlagInfo> globals;
  std::vector<CommandInfo> verbs;
};

// The table as it is parsed (command.cpp).
[[nodiscard]] const CommandTable& describe_commands();

struct Completion {
  std::string word;                     // What stands before the cursor of it, without quotes.
  std::vector<std::string> candidates;  // Whole words; a path that goes on ends in "/". Sorted.
  bool is_quoted = false;               // The word stands in an open quote.
};
// The paths that begin with `word`, as it was typed: "we" -> {"web-1", "web/"}.
using PathLister = std::function<std::vector<std::string>(const std::string& word)>;
// What may stand at the end of `line` (up to the cursor).
[[nodiscard]] Completion complete(std::string_view line, const CommandTable& table,
                                  const PathLister& list_paths);
// The longest beginning that all candidates share.
[[nodiscard]] std::string common_prefix(const std::vector<std::string>& candidates);

// Requires: shell is "bash", "zsh" or "fish".
[[nodiscard]] std::string completion_script(std::string_view shell, const CommandTable& table);

}  // namespace coord::cli
