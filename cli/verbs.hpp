// Verbs: the one table of what coordctl can do. Parsing, help, the shell and the completion scripts
// are all made from it.
//
// A verb adds its flags to a CLI::App and gives back an Action; nothing runs while parsing. Thread
// rule: the main thread.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/client.hpp"
#include "cli/outcome.hpp"
#include "cli/print.hpp"

namespace CLI {
class App;
}

namespace coord::cli {

// What every verb may use.
struct Context {
  Client& client;
  const Printer& print;
  std::string cwd = "/";    // Relative paths start here; only the shell changes it.
  std::string consistency;  // For reads; empty: the server's default.
  bool is_shell = false;

  [[nodiscard]] std::string path(std::string_view given) const;
  // A GET on `route` and `path` with the context's consistency.
  [[nodiscard]] Target read(std::string_view route, std::string_view path) const;
  // The same, sent: Trouble for 400 and more.
  [[nodiscard]] Outcome<Answer> get(const Target& target, std::string_view accept) const;
  [[nodiscard]] Outcome<Json> get_json(const Target& target) const;
};

using Action = std::function<Outcome<void>(Context&)>;

struct Verb {
  std::string_view name;
  std::string_view summary;   // One line, for lists.
  std::string_view examples;  // Lines of commands, each with its two blanks of indent.
  Action (*define)(CLI::App& app) = nullptr;  // Null when it has only verbs below it.
  std::span<const Verb> below = {};
  bool takes_path = false;  // Its arguments are paths, for completion.
};

[[nodiscard]] std::span<const Verb> all_verbs();

// Parts of the table, each in a file of its own.
extern const Verb kLs, kGet, kStat, kTree, kWalk, kHistory;              // verbs_read.cpp
extern const Verb kSet, kCreate, kRm, kTxn;                              // verbs_write.cpp
extern const Verb kWatch, kSession;                                      // verbs_live.cpp
extern const Verb kBackup, kRestore;                                     // verbs_backup.cpp
extern const Verb kAcl, kQuota, kStatus, kBench, kVersion, kCompletion;  // verbs_admin.cpp
extern const Verb kImport;                                               // verbs_import.cpp
extern const Verb kCluster;                                              // verbs_cluster.cpp
extern const Verb kCounter, kDecide;                                     // verbs_recipes.cpp
extern const Verb kQueue;                                                // verbs_queue.cpp
extern const Verb kBarrier;                                              // verbs_barrier.cpp
extern const Verb kTransaction;                                          // verbs_transaction.cpp

// The value of an argument: "-" is stdin, "@file" a file, "@@x" the text "@x", else the text.
[[nodiscard]] Outcome<std::string> read_value(const std::string& argument);
// An answer's body: a JSON object, or Trouble.
[[nodiscard]] Outcome<Json> parse_json(std::string_view body);
// Adds an option that takes a duration ("30s") and checks it while parsing.
void add_duration(CLI::App& app, const std::string& flag, std::optional<std::int64_t>& ms,
                  const std::string& summary);
// Renews the session of `token` until an interrupt (then: success), at a third of what remains.
[[nodiscard]] Outcome<void> keep_session(Context& context, const std::string& token);
// Opens a session; its whole answer.
[[nodiscard]] Outcome<Json> open_session(Context& context, std::optional<std::int64_t> ttl_ms,
                                         const std::string& name);
// Closes the session; a session that is gone already is fine.
[[nodiscard]] Outcome<void> close_session(Context& context, const std::string& token);

}  // namespace coord::cli
