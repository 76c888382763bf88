// scenario [--rewrite] FILE...: runs stories and compares what happens with what they tell.
//
// A story is blocks: lines of commands, a line `----`, what each of them printed, an empty line.
// `#` begins a comment. With --rewrite the file is written anew with what happened: review the
// difference like code.

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "scenario/raft_stage.hpp"

namespace {

struct Told {
  std::string text;  // The whole story, as it happens now.
  std::size_t commands = 0;
};

// Goes through the story: keeps commands and comments, and writes down what happens at each block.
Told tell(std::istream& in) {
  coord::scenario::RaftStage stage;
  Told told;
  std::string happened;
  bool is_expectation = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "----") {
      told.text += "----\n" + happened;
      happened.clear();
      is_expectation = true;
    } else if (is_expectation) {
      if (!line.empty()) continue;  // What was told before; `happened` stands in its place.
      told.text += "\n";
      is_expectation = false;
    } else {
      told.text += line + "\n";
      if (line.empty() || line.front() == '#') continue;
      happened += stage.run(line);
      ++told.commands;
    }
  }
  return told;
}

// The first line that differs, for the message.
void print_difference(const std::string& name, const std::string& want, const std::string& got) {
  std::istringstream want_in(want);
  std::istringstream got_in(got);
  std::string want_line;
  std::string got_line;
  for (int number = 1;; ++number) {
    const bool has_want = static_cast<bool>(std::getline(want_in, want_line));
    const bool has_got = static_cast<bool>(std::getline(got_in, got_line));
    if (has_want && has_got && want_line == got_line) continue;
    fmt::print("{}:{}: told:     {}\n{}:{}: happened: {}\n", name, number,
               has_want ? want_line : "(the end)", name, number, has_got ? got_line : "(the end)");
    return;
  }
}

bool run(const std::string& name, bool rewrites) {
  std::ifstream file(name);
  std::stringstream content;
  content << file.rdbuf();
  const auto want = content.str();
  const auto told = tell(content);
  if (!file || told.commands == 0) {
    fmt::print("{}: cannot be read, or tells nothing\n", name);
    return false;
  }
  if (told.text == want) return true;
  if (rewrites) {
    std::ofstream(name) << told.text;
    fmt::print("{}: rewritten\n", name);
    return true;
  }
  print_difference(name, want, told.text);
  fmt::print("  if that is right: scenario --rewrite {}\n", name);
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const bool rewrites = argc > 1 && std::string_view(argv[1]) == "--rewrite";
  int failures = 0;
  int stories = 0;
  for (int i = rewrites ? 2 : 1; i < argc; ++i, ++stories) {
    try {
      if (!run(argv[i], rewrites)) ++failures;
    } catch (const std::exception& e) {
      fmt::print("{}: {}\n", argv[i], e.what());
      ++failures;
    }
  }
  fmt::print("{} stories, {} failures\n", stories, failures);
  return stories > 0 && failures == 0 ? 0 : 1;
}
