#include "cli/command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>

#include "cli/completion.hpp"
#include "cli/text.hpp"

namespace coord::cli {
namespace {

constexpr std::string_view kAbout =
    "coordctl: the shell of the coordination service.\n"
    "Without a verb it is interactive on a terminal, and reads commands from stdin otherwise.";
constexpr std::string_view kFooter =
    "Exit codes: 0 ok, 1 other, 2 usage, 3 not found, 4 conflict, 5 unavailable,\n"
    "6 unknown outcome, 7 forbidden, 124 timed out, 125 session lost.\n"
    "Examples of a verb: coordctl VERB --help";

struct App {
  App() : cli(std::string(kAbout), "coordctl") {}
  CLI::App cli;
  Globals globals;
  std::map<const CLI::App*, Action> actions;
};

void add_globals(App& app) {
  Globals& globals = app.globals;
  CLI::App& cli = app.cli;
  cli.add_option("--endpoint", globals.endpoint, "members to talk to, separated by commas")
      ->envname("COORD_ENDPOINT")
      ->type_name("URL[,URL...]");
  cli.add_option("--session", globals.session, "the token of the session to act in")
      ->envname("COORD_SESSION")
      ->type_name("TOKEN");
  cli.add_option("--user", globals.user, "name and password")
      ->envname("COORD_USER")
      ->type_name("NAME:PASSWORD");
  cli.add_option("--output", globals.output, "table, json or raw")
      ->check(CLI::IsMember({"table", "json", "raw"}));
  cli.add_option("--consistency", globals.consistency, "of reads: linearizable, leader or local")
      ->check(CLI::IsMember({"linearizable", "leader", "local"}));
  add_duration(cli, "--timeout", globals.timeout_ms, "of each request, fail-over included (10s)");
  cli.add_flag("--no-color,--no-colour", globals.no_colour, "no colours, as with NO_COLOR");
}

void add_verb(App& app, CLI::App& parent, const Verb& verb) {
  CLI::App* sub = parent.add_subcommand(std::string(verb.name), std::string(verb.summary));
  sub->footer("Examples:\n" + std::string(verb.examples));
  if (verb.define != nullptr) app.actions.emplace(sub, verb.define(*sub));
  for (const Verb& below : verb.below) add_verb(app, *sub, below);
  if (!verb.below.empty()) sub->require_subcommand(verb.define == nullptr ? 1 : 0, 1);
}

// A verb's options refer to what its Action owns, so an App serves for one parse.
std::shared_ptr<App> make_app() {
  auto app = std::make_shared<App>();
  app->cli.fallthrough();
  app->cli.footer(std::string(kFooter));
  add_globals(*app);
  for (const Verb& verb : all_verbs()) add_verb(*app, app->cli, verb);
  app->cli.require_subcommand(0, 1);
  return app;
}

const CLI::App& deepest(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : deepest(*chosen.front());
}

FlagInfo flag_of(const CLI::Option& option) {
  FlagInfo flag;
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  flag.summary = option.get_description();
  flag.takes_value = option.get_items_expected_max() > 0;
  // "TEXT:{table,json,raw}": CLI11 shows its choices only there.
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}');
  if (open != std::string::npos && close != std::string::npos) {
    flag.choices = CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
  }
  return flag;
}

std::vector<FlagInfo> flags_of(const CLI::App& app) {
  std::vector<FlagInfo> flags;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) flags.push_back(flag_of(*option));
  }
  return flags;
}

CommandInfo describe(const Verb& verb, const CLI::App& app) {
  CommandInfo info{
      std::string(verb.name), std::string(verb.summary), flags_of(app), {}, verb.takes_path};
  for (const Verb& below : verb.below) {
    info.below.push_back(describe(below, *app.get_subcommand(std::string(below.name))));
  }
  return info;
}

}  // namespace

Outcome<Parsed> parse_command(std::vector<std::string> words) {
  // "help VERB" is "VERB --help".
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  const auto app = make_app();
  Parsed parsed;
  try {
    // CLI11 wants the words in reverse.
    app->cli.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    parsed.help = app->cli.help();
    return parsed;
  } catch (const CLI::ParseError& failure) {
    const CLI::App& at = deepest(app->cli);
    std::string verb;
    for (const CLI::App* up = &at; up->get_parent() != nullptr; up = up->get_parent()) {
      verb = up->get_name() + " " + verb;
    }
    return Trouble{Exit::usage, escaped(failure.what()), fmt::format("coordctl {}--help", verb)};
  }
  parsed.globals = app->globals;
  parsed.has_output = app->cli.get_option("--output")->count() > 0;
  parsed.has_consistency = app->cli.get_option("--consistency")->count() > 0;
  const CLI::App& chosen = deepest(app->cli);
  const auto found = app->actions.find(&chosen);
  // The action keeps the app, whose options write into what the action reads.
  if (found != app->actions.end()) {
    parsed.action = [app, action = found->second](Context& context) -> Outcome<void> {
      try {
        return action(context);
      } catch (const Json::exception&) {
        // JSON of another shape than the contract's: some other service, or a newer one.
        return Trouble{Exit::other, "the server's answer is not what was expected",
                       "is the endpoint a coordd of this version?"};
      }
    };
  }
  return parsed;
}

Output output_of(const std::string& name) {
  if (name == "json") return Output::json;
  return name == "raw" ? Output::raw : Output::table;
}

Outcome<ClientOptions> client_options_of(const Globals& globals) {
  ClientOptions options;
  COORD_TRY(options.endpoints, parse_endpoints(globals.endpoint));
  options.session = globals.session;
  options.user = globals.user;
  if (globals.timeout_ms) {
    options.timeout = std::chrono::milliseconds(*globals.timeout_ms);
    options.is_timeout_given = true;
  }
  // They become headers: a line end in one would begin another.
  for (const std::string* text : {&options.session, &options.user}) {
    if (text->find_first_of("\r\n") != std::string::npos) {
      return Trouble{Exit::usage, "a session or user with a line end in it", {}};
    }
  }
  return options;
}

Exit report_trouble(const Trouble& trouble, const Printer& print) {
  std::string text = describe(trouble);
  if (!text.empty()) {
    text.pop_back();
    print.note(text);
  }
  return trouble.exit;
}

const CommandTable& describe_commands() {
  static const CommandTable table = [] {
    const auto app = make_app();
    CommandTable out{flags_of(app->cli), {}};
    for (const Verb& verb : all_verbs()) {
      out.verbs.push_back(describe(verb, *app->cli.get_subcommand(std::string(verb.name))));
    }
    return out;
  }();
  return table;
}

}  // namespace coord::cli
