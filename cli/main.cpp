// coordctl: parses the command line, makes a client, runs one verb or the shell.
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/shell.hpp"

namespace {

using coord::cli::Exit;

bool wants_colours(const coord::cli::Globals& globals) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && !globals.no_colour &&
         (no_color == nullptr || *no_color == 0) &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

Exit run(std::vector<std::string> words) {
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  const coord::cli::Printer plain(coord::cli::Output::table, false, is_terminal);
  const auto parsed = coord::cli::parse_command(std::move(words));
  if (!parsed) return report_trouble(parsed.error(), plain);
  const coord::cli::Parsed& command = parsed.value();
  if (!command.help.empty()) {
    plain.write(command.help);
    return Exit::ok;
  }
  const auto options = client_options_of(command.globals);
  if (!options) return report_trouble(options.error(), plain);
  coord::cli::Interrupt::install();
  coord::cli::Client client(options.value());
  const coord::cli::Printer print(coord::cli::output_of(command.globals.output),
                                  wants_colours(command.globals), is_terminal);
  if (!command.action) {
    coord::cli::Shell shell(client, print, command.globals);
    const bool is_interactive = is_terminal && ::isatty(STDIN_FILENO) == 1;
    return is_interactive ? shell.interact() : shell.read_commands();
  }
  coord::cli::Context context{client, print, "/", command.globals.consistency, false};
  const auto result = command.action(context);
  return result ? Exit::ok : report_trouble(result.error(), print);
}

}  // namespace

int main(int argc, char** argv) {
  Exit exit = run({argv + 1, argv + argc});
  const coord::cli::Printer print(coord::cli::Output::table, false, false);
  // A full disk behind stdout must not look like success.
  if (!print.flush() && exit == Exit::ok) {
    exit = report_trouble({Exit::other, "cannot write to stdout", {}}, print);
  }
  return static_cast<int>(exit);
}
