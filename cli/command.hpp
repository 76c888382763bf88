// CommandLine: from words to an Action, by the verb table; and the running of one line.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/verbs.hpp"

namespace coord::cli {

struct Globals {
  std::string endpoint = "http://127.0.0.1:7070";
  std::string session;
  std::string user;
  std::string consistency;
  std::string output = "table";
  std::optional<std::int64_t> timeout_ms;
  bool no_colour = false;
};

struct Parsed {
  Globals globals;
  Action action;     // Empty: no verb was given.
  std::string help;  // Not empty: print this and do nothing.
  bool has_output = false;
  bool has_consistency = false;
};

// Words without the program's name. Trouble with usage when they make no sense.
[[nodiscard]] Outcome<Parsed> parse_command(std::vector<std::string> words);

[[nodiscard]] Output output_of(const std::string& name);
[[nodiscard]] Outcome<ClientOptions> client_options_of(const Globals& globals);

// Says on stderr what ended a verb, and gives its exit code.
[[nodiscard]] Exit report_trouble(const Trouble& trouble, const Printer& print);

}  // namespace coord::cli
