// Shell::interact: the terminal side, with libedit.
#include <fmt/format.h>
#include <histedit.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <memory>

#include "cli/completion.hpp"
#include "cli/interrupt.hpp"
#include "cli/shell.hpp"
#include "cli/text.hpp"
#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

constexpr int kHistorySize = 1000;
constexpr std::size_t kListedMax = 200;

std::string history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state != 0) return std::string(state) + "/coordctl_history";
  const char* home = std::getenv("HOME");
  return home != nullptr && *home != 0 ? std::string(home) + "/.coordctl_history" : std::string();
}

// Lines with a secret in them, and those that begin with a blank, stay out of the file.
bool is_kept(std::string_view line) {
  return !line.empty() && line.front() != ' ' && line.find("--session") == std::string_view::npos &&
         line.find("--user") == std::string_view::npos &&
         line.find("session keep") == std::string_view::npos &&
         line.find("session close") == std::string_view::npos;
}

struct EndEditor {
  void operator()(EditLine* editor) const { el_end(editor); }
};
struct EndHistory {
  void operator()(History* history) const { history_end(history); }
};

// What libedit's callbacks reach through its client data.
struct Editor {
  Shell& shell;
  const Printer& print;
  CommandTable table;
  std::string prompt;
};

Editor& editor_of(EditLine* line) {
  void* data = nullptr;
  el_get(line, EL_CLIENTDATA, &data);
  COORD_CHECK(data != nullptr, "the editor was given");
  return *static_cast<Editor*>(data);
}

char* prompt_of(EditLine* line) {
  Editor& editor = editor_of(line);
  const std::string path = escaped(editor.shell.cwd());
  // \1 encloses what takes no room on the screen.
  editor.prompt = editor.print.with_colours()
                      ? fmt::format("\1\x1b[1;34m\1coord:{}\1\x1b[0m\1> ", path)
                      : fmt::format("coord:{}> ", path);
  return editor.prompt.data();
}

void list_candidates(const std::vector<std::string>& candidates) {
  std::size_t width = 0;
  for (const std::string& candidate : candidates) width = std::max(width, width_of(candidate));
  winsize window{};
  const bool is_known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
  const std::size_t columns =
      std::max<std::size_t>(1, (is_known ? window.ws_col : 80U) / (width + 2));
  std::string out = "\n";
  const std::size_t shown = std::min(candidates.size(), kListedMax);
  for (std::size_t i = 0; i < shown; ++i) {
    const bool is_line_end = (i + 1) % columns == 0 || i + 1 == shown;
    const std::string text = escaped(candidates[i]);
    out += text;
    out += is_line_end ? "\n" : std::string(width + 2 - std::min(width, width_of(text)), ' ');
  }
  if (shown < candidates.size()) out += fmt::format("... {} more\n", candidates.size() - shown);
  std::fwrite(out.data(), 1, out.size(), stdout);
  std::fflush(stdout);
}

// The part of a candidate that is not typed yet, so that it stays one word.
std::string insertion(std::string_view rest, bool is_quoted) {
  if (is_quoted) return std::string(rest);
  std::string out;
  for (const char c : rest) {
    if (std::string_view(" \t'\"\\#").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

unsigned char on_tab(EditLine* line, int) {
  Editor& editor = editor_of(line);
  const LineInfo* info = el_line(line);
  const std::string_view before(info->buffer,
                                static_cast<std::size_t>(info->cursor - info->buffer));
  const Completion completion = complete(
      before, editor.table, [&](const std::string& word) { return editor.shell.paths_like(word); });
  // A Ctrl-C while the server was asked ends the asking only.
  Interrupt::clear();
  if (completion.candidates.empty()) return CC_REFRESH_BEEP;
  const std::string prefix = common_prefix(completion.candidates);
  std::string text =
      prefix.size() > completion.word.size()
          ? insertion(std::string_view(prefix).substr(completion.word.size()), completion.is_quoted)
          : std::string();
  const bool is_only = completion.candidates.size() == 1;
  if (is_only && !prefix.ends_with('/')) text += ' ';
  if (!text.empty() && el_insertstr(line, text.c_str()) == 0) return CC_REFRESH;
  if (is_only) return CC_REFRESH_BEEP;
  list_candidates(completion.candidates);
  return CC_REDISPLAY;
}

CommandTable shell_table() {
  CommandTable table = describe_commands();
  CommandInfo help{"help", "help of a verb", {}, table.verbs, false};
  table.verbs.push_back(std::move(help));
  table.verbs.push_back({"cd", "change the current node", {}, {}, true});
  table.verbs.push_back({"pwd", "print the current node", {}, {}, false});
  table.verbs.push_back({"exit", "leave", {}, {}, false});
  return table;
}

}  // namespace

Exit Shell::interact() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
  }
  Editor editor{*this, print_, shell_table(), {}};
  const std::unique_ptr<History, EndHistory> history(history_init());
  const std::unique_ptr<EditLine, EndEditor> line(el_init("coordctl", stdin, stdout, stderr));
  if (!history || !line) {
    return report_trouble({Exit::other, "cannot edit lines on this terminal", {}}, print_);
  }
  HistEvent event{};
  ::history(history.get(), &event, H_SETSIZE, kHistorySize);
  ::history(history.get(), &event, H_SETUNIQUE, 1);
  const std::string file = history_file();
  if (!file.empty()) ::history(history.get(), &event, H_LOAD, file.c_str());
  el_set(line.get(), EL_CLIENTDATA, &editor);
  el_set(line.get(), EL_PROMPT_ESC, &prompt_of, '\1');
  el_set(line.get(), EL_EDITOR, "emacs");
  el_set(line.get(), EL_SIGNAL, 1);
  el_set(line.get(), EL_HIST, ::history, history.get());
  el_set(line.get(), EL_ADDFN, "coord-complete", "complete a verb, a flag or a path", &on_tab);
  el_set(line.get(), EL_BIND, "^I", "coord-complete", nullptr);
  el_set(line.get(), EL_BIND, "^R", "em-inc-search-prev", nullptr);
  while (!is_leaving_) {
    int count = 0;
    const char* text = el_gets(line.get(), &count);
    if (Interrupt::is_terminate()) break;
    if (Interrupt::is_raised()) {
      // Ctrl-C while editing: the line is given up, the shell stays.
      Interrupt::clear();
      print_.line("");
      el_reset(line.get());
      continue;
    }
    if (text == nullptr || count <= 0) break;
    std::string_view given(text, static_cast<std::size_t>(count));
    while (given.ends_with('\n')) given.remove_suffix(1);
    if (is_kept(given)) {
      ::history(history.get(), &event, H_ENTER, std::string(given).c_str());
      if (!file.empty()) ::history(history.get(), &event, H_SAVE, file.c_str());
    }
    [[maybe_unused]] const Exit exit = run_line(given);
    if (!print_.flush()) return Exit::other;
    if (Interrupt::is_terminate()) break;
    if (Interrupt::is_raised()) print_.line("");
    Interrupt::clear();
  }
  if (!is_leaving_) print_.line("");
  return Exit::ok;
}

}  // namespace coord::cli
