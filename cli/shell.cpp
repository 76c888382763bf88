#include "cli/shell.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "cli/completion.hpp"
#include "cli/interrupt.hpp"
#include "cli/text.hpp"

namespace coord::cli {
namespace {

constexpr std::chrono::milliseconds kCompletionTimeout{1'000};

ClientOptions completion_options(const Client& client) {
  ClientOptions options = client.options();
  options.timeout = kCompletionTimeout;
  options.refused_patience = std::chrono::milliseconds(0);
  return options;
}

constexpr std::string_view kBuiltins =
    "\nIn the shell also:\n"
    "  cd PATH, pwd    relative paths start at the current one\n"
    "  help [VERB]     this, or a verb with examples\n"
    "  exit            as Ctrl-D; Ctrl-C ends the running verb";

}  // namespace

Shell::Shell(Client& client, const Printer& print, const Globals& globals)
    : client_(client),
      print_(print),
      globals_(globals),
      completion_client_(completion_options(client)) {}

Exit Shell::run_line(std::string_view line) {
  Words split = split_words(line);
  if (split.is_open) {
    return report_trouble({Exit::usage, "a quote is never closed", {}}, print_);
  }
  if (split.words.empty()) return Exit::ok;
  const std::string& first = split.words.front();
  if (first == "cd") return change_directory(split.words);
  if (first == "pwd") {
    print_.line(escaped(cwd_));
    return Exit::ok;
  }
  if (first == "exit" || first == "quit") {
    is_leaving_ = true;
    return Exit::ok;
  }
  return run_verb(std::move(split.words));
}

Exit Shell::change_directory(const std::vector<std::string>& words) {
  if (words.size() > 2) return report_trouble({Exit::usage, "cd takes one path", {}}, print_);
  const std::string to = words.size() == 2 ? resolve_path(cwd_, words[1]) : "/";
  Context context{client_, print_, cwd_, globals_.consistency, true};
  // Only a node that is there: a mistyped path is told at once, not by the next verb.
  const auto stat = context.get_json(context.read("/v1/stat", to));
  if (!stat) return report_trouble(stat.error(), print_);
  cwd_ = to;
  return Exit::ok;
}

Exit Shell::run_verb(std::vector<std::string> words) {
  const bool is_help = words.size() == 1 && words.front() == "help";
  auto parsed = parse_command(std::move(words));
  if (!parsed) return report_trouble(parsed.error(), print_);
  Parsed& command = parsed.value();
  if (!command.help.empty()) {
    print_.write(command.help);
    if (is_help) print_.line(kBuiltins);
    return Exit::ok;
  }
  if (!command.action) return report_trouble({Exit::usage, "no verb", "help lists them"}, print_);
  const Printer print(command.has_output ? output_of(command.globals.output) : print_.output(),
                      print_.with_colours(), print_.is_terminal());
  Context context{client_, print, cwd_,
                  command.has_consistency ? command.globals.consistency : globals_.consistency,
                  true};
  const auto result = command.action(context);
  if (!result) return report_trouble(result.error(), print);
  return Exit::ok;
}

Exit Shell::read_commands() {
  std::string line;
  while (!is_leaving_ && std::getline(std::cin, line)) {
    const Exit exit = run_line(line);
    if (exit != Exit::ok) return exit;
  }
  return Exit::ok;
}

std::vector<std::string> Shell::paths_like(const std::string& word) {
  const std::size_t slash = word.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : word.substr(0, slash + 1);
  const std::string prefix = word.substr(directory.size());
  Context context{completion_client_, print_, cwd_, globals_.consistency, true};
  Target target = context.read("/v1/children", context.path(directory.empty() ? "." : directory));
  target.add("stat", "true").add("limit", "200");
  if (!prefix.empty()) target.add("prefix", prefix);
  const auto page = context.get_json(target);
  std::vector<std::string> out;
  if (!page || !page.value().is_object()) return out;
  for (const Json& child : page.value().value("children", Json::array())) {
    if (!child.is_object() || !child.contains("name") || !child["name"].is_string()) continue;
    const std::string count = text_of(child.value("stat", Json::object()), "num_children");
    const bool goes_on = count != "0" && count != "-";
    out.push_back(directory + child["name"].get<std::string>() + (goes_on ? "/" : ""));
  }
  return out;
}

}  // namespace coord::cli
