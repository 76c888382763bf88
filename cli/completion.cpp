#include "cli/completion.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cli/text.hpp"
#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

const CommandInfo* find_command(const std::vector<CommandInfo>& commands, std::string_view name) {
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const CommandInfo& command) { return command.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

const FlagInfo* find_flag(const std::vector<FlagInfo>& flags, std::string_view name) {
  for (const FlagInfo& flag : flags) {
    if (std::find(flag.names.begin(), flag.names.end(), name) != flag.names.end()) return &flag;
  }
  return nullptr;
}

// Where a line stands: the verb, the verb below it, and the flag whose value comes next.
struct Place {
  const CommandInfo* verb = nullptr;
  const CommandInfo* below = nullptr;
  const FlagInfo* pending = nullptr;
};

Place place_of(const std::vector<std::string>& words, const CommandTable& table) {
  Place place;
  for (const std::string& word : words) {
    if (place.pending != nullptr) {
      place.pending = nullptr;
      continue;
    }
    if (word.starts_with('-')) {
      const FlagInfo* flag = find_flag(table.globals, word);
      if (flag == nullptr && place.verb != nullptr) flag = find_flag(place.verb->flags, word);
      if (flag == nullptr && place.below != nullptr) flag = find_flag(place.below->flags, word);
      if (flag != nullptr && flag->takes_value) place.pending = flag;
    } else if (place.verb == nullptr) {
      place.verb = find_command(table.verbs, word);
    } else if (place.below == nullptr) {
      place.below = find_command(place.verb->below, word);
    }
  }
  return place;
}

void add_flags(const std::vector<FlagInfo>& flags, std::vector<std::string>& out) {
  for (const FlagInfo& flag : flags) out.insert(out.end(), flag.names.begin(), flag.names.end());
}

void add_names(const std::vector<CommandInfo>& commands, std::vector<std::string>& out) {
  for (const CommandInfo& command : commands) out.push_back(command.name);
}

std::string names_of(const std::vector<CommandInfo>& commands) {
  std::vector<std::string> names;
  add_names(commands, names);
  return fmt::format("{}", fmt::join(names, " "));
}

std::string flags_of(const CommandInfo& command) {
  std::vector<std::string> names;
  add_flags(command.flags, names);
  return fmt::format("{}", fmt::join(names, " "));
}

// The flags that take a value, as a pattern of bash and zsh: "--endpoint|--session".
std::string valued_flags_of(const CommandTable& table) {
  std::vector<std::string> names;
  const auto add = [&](const std::vector<FlagInfo>& flags) {
    for (const FlagInfo& flag : flags) {
      if (flag.takes_value) names.insert(names.end(), flag.names.begin(), flag.names.end());
    }
  };
  add(table.globals);
  for (const CommandInfo& verb : table.verbs) {
    add(verb.flags);
    for (const CommandInfo& below : verb.below) add(below.flags);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return fmt::format("{}", fmt::join(names, "|"));
}

// One case of bash's and zsh's: the words that the verb offers, and whether paths go with them.
std::string cases_of(const CommandTable& table) {
  std::string out;
  const auto add = [&](const std::string& pattern, const CommandInfo& command) {
    out += fmt::format("    {})\n      words=\"{} {}\"\n      paths={}\n      ;;\n", pattern,
                       names_of(command.below), flags_of(command), command.takes_path ? 1 : 0);
  };
  for (const CommandInfo& verb : table.verbs) {
    for (const CommandInfo& below : verb.below) {
      add(fmt::format("\"{} {}\"", verb.name, below.name), below);
    }
    add(fmt::format("\"{} \"*", verb.name), verb);
  }
  return out;
}

std::string choices_of(const CommandTable& table) {
  std::string out;
  const auto add = [&](const std::vector<FlagInfo>& flags) {
    for (const FlagInfo& flag : flags) {
      if (flag.choices.empty()) continue;
      out += fmt::format("    {}) words=\"{}\" ;;\n", fmt::join(flag.names, "|"),
                         fmt::join(flag.choices, " "));
    }
  };
  add(table.globals);
  for (const CommandInfo& verb : table.verbs) add(verb.flags);
  return out;
}

// Shared by bash and zsh: sets `words` and `paths` from `verb`, `below`, `previous`.
constexpr std::string_view kLookup = R"script(  local words="" paths=0
  case "$previous" in
{choices}    {valued}) return 0 ;;
    *)
  case "$verb $below" in
    " ") words="{verbs} {globals}" ;;
{cases}  esac
  ;;
  esac
)script";

std::string replaced(std::string text, std::string_view from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string lookup_of(const CommandTable& table) {
  std::vector<std::string> globals;
  add_flags(table.globals, globals);
  std::string out(kLookup);
  out = replaced(std::move(out), "{choices}", choices_of(table));
  out = replaced(std::move(out), "{valued}", valued_flags_of(table));
  out = replaced(std::move(out), "{verbs}", names_of(table.verbs));
  out = replaced(std::move(out), "{globals}", fmt::format("{}", fmt::join(globals, " ")));
  return replaced(std::move(out), "{cases}", cases_of(table));
}

constexpr std::string_view kBash =
    R"script(# bash completion of coordctl: source <(coordctl completion bash)
_coordctl_paths() {
  local word=$1 directory=/
  [[ $word == */* ]] && directory=${word%/*}/
  coordctl --timeout 1s --output raw ls --limit 200 --prefix "${word##*/}" "$directory" 2>/dev/null |
    while IFS= read -r name; do printf '%s%s\n' "$([[ $word == */* ]] && echo "$directory")" "$name"; done
}
_coordctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local verb="" below="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
      {valued}) ((i++)) ;;
      -*) ;;
      *) if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; elif [[ -z $below ]]; then below=${COMP_WORDS[i]}; fi ;;
    esac
  done
{lookup}  COMPREPLY=()
  local candidate
  while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -W "$words" -- "$current")
  if ((paths)) && [[ $current != -* ]]; then
    while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(_coordctl_paths "$current")
    compopt -o nospace 2>/dev/null
  fi
  return 0
}
complete -F _coordctl coordctl
)script";

constexpr std::string_view kZsh = R"script(#compdef coordctl
# zsh completion of coordctl: coordctl completion zsh > a file _coordctl in a folder of $fpath
_coordctl() {
  local current=${words[CURRENT]} previous=${words[CURRENT-1]}
  local verb="" below="" i
  local -a given=("${(@)words}")
  for ((i = 2; i < CURRENT; i++)); do
    case "${given[i]}" in
      {valued}) ((i++)) ;;
      -*) ;;
      *) if [[ -z $verb ]]; then verb=${given[i]}; elif [[ -z $below ]]; then below=${given[i]}; fi ;;
    esac
  done
{lookup}  compadd -- ${=words}
  if ((paths)) && [[ $current != -* ]]; then
    local directory=/
    [[ $current == */* ]] && directory=${current%/*}/
    local -a found=("${(@f)$(coordctl --timeout 1s --output raw ls --limit 200 --prefix "${current##*/}" "$directory" 2>/dev/null)}")
    if [[ $current == */* ]]; then compadd -S '' -p "$directory" -- $found; else compadd -S '' -- $found; fi
  fi
  return 0
}
if [[ $funcstack[1] == _coordctl ]]; then _coordctl "$@"; else compdef _coordctl coordctl; fi
)script";

constexpr std::string_view kFishPaths =
    R"script(# fish completion of coordctl: coordctl completion fish | source
function __coordctl_paths
    set -l word (commandline -ct)
    set -l directory (string replace -r '[^/]*$' '' -- $word)
    set -l from $directory
    test -z "$from"; and set from /
    for name in (coordctl --timeout 1s --output raw ls --limit 200 $from 2>/dev/null)
        echo $directory$name
    end
end
complete -c coordctl -f
)script";

std::string fish_quoted(const std::string& text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

void add_fish_flags(std::string& out, const std::vector<FlagInfo>& flags,
                    const std::string& condition) {
  for (const FlagInfo& flag : flags) {
    out += "complete -c coordctl" + condition;
    for (const std::string& name : flag.names) {
      out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    if (flag.takes_value) out += " -x";
    if (!flag.choices.empty()) {
      out += " -a " + fish_quoted(fmt::format("{}", fmt::join(flag.choices, " ")));
    }
    out += " -d " + fish_quoted(flag.summary) + "\n";
  }
}

std::string fish_script(const CommandTable& table) {
  std::string out(kFishPaths);
  add_fish_flags(out, table.globals, "");
  for (const CommandInfo& verb : table.verbs) {
    out += fmt::format("complete -c coordctl -n __fish_use_subcommand -a {} -d {}\n", verb.name,
                       fish_quoted(verb.summary));
    const std::string seen = fmt::format(" -n '__fish_seen_subcommand_from {}'", verb.name);
    add_fish_flags(out, verb.flags, seen);
    if (verb.takes_path) out += "complete -c coordctl" + seen + " -a '(__coordctl_paths)'\n";
    for (const CommandInfo& below : verb.below) {
      out += fmt::format(
          "complete -c coordctl -n '__fish_seen_subcommand_from {}; and not "
          "__fish_seen_subcommand_from {}' -a {} -d {}\n",
          verb.name, names_of(verb.below), below.name, fish_quoted(below.summary));
      const std::string both =
          fmt::format(" -n '__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}'",
                      verb.name, below.name);
      add_fish_flags(out, below.flags, both);
      if (below.takes_path) out += "complete -c coordctl" + both + " -a '(__coordctl_paths)'\n";
    }
  }
  return out;
}

}  // namespace

Completion complete(std::string_view line, const CommandTable& table,
                    const PathLister& list_paths) {
  Words split = split_words(line);
  const bool is_new_word =
      !split.is_open && (line.empty() || line.back() == ' ' || line.back() == '\t');
  Completion out;
  out.is_quoted = split.is_open;
  if (!is_new_word && !split.words.empty()) {
    out.word = split.words.back();
    split.words.pop_back();
  }
  const Place place = place_of(split.words, table);
  std::vector<std::string> all;
  const CommandInfo* command = place.below != nullptr ? place.below : place.verb;
  if (place.pending != nullptr) {
    all = place.pending->choices;
  } else if (out.word.starts_with('-')) {
    add_flags(table.globals, all);
    if (place.verb != nullptr) add_flags(place.verb->flags, all);
    if (place.below != nullptr) add_flags(place.below->flags, all);
  } else if (command == nullptr) {
    if (split.words.empty() || place_of(split.words, table).verb == nullptr) {
      add_names(table.verbs, all);
    }
  } else if (!command->below.empty()) {
    add_names(command->below, all);
  } else if (command->takes_path) {
    all = list_paths(out.word);
  }
  std::erase_if(all, [&](const std::string& text) { return !text.starts_with(out.word); });
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  out.candidates = std::move(all);
  return out;
}

std::string common_prefix(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  std::string prefix = candidates.front();
  for (const std::string& candidate : candidates) {
    const auto ends =
        std::mismatch(prefix.begin(), prefix.end(), candidate.begin(), candidate.end());
    prefix.erase(ends.first, prefix.end());
  }
  // Not into the middle of a character.
  while (!prefix.empty() && prefix.size() < candidates.front().size() &&
         (static_cast<unsigned char>(candidates.front()[prefix.size()]) & 0xc0) == 0x80) {
    prefix.pop_back();
  }
  return prefix;
}

std::string completion_script(std::string_view shell, const CommandTable& table) {
  if (shell == "fish") return fish_script(table);
  COORD_CHECK(shell == "bash" || shell == "zsh", "a shell that we know", shell);
  std::string lookup = lookup_of(table);
  if (shell == "zsh") {
    // zsh keeps the line in `words`, which the lookup would hide.
    lookup = replaced(std::move(lookup), "words", "offered");
  }
  std::string out(shell == "bash" ? kBash : kZsh);
  if (shell == "zsh") out = replaced(std::move(out), "${=words}", "${=offered}");
  out = replaced(std::move(out), "{lookup}", lookup);
  return replaced(std::move(out), "{valued}", valued_flags_of(table));
}

}  // namespace coord::cli
