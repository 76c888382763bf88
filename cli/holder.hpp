// Holder: runs a command for as long as a session, and what it holds, is surely there.
//
// The session is renewed at a third of its ttl, and what it holds is looked at as often. Once the
// renewals have failed for three quarters of the ttl, the session may soon be gone: the command is
// told to end (SIGTERM), and killed before the ttl has run out. Signals are passed on to it. Blocks
// signals while the command runs. Thread rule: the main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cli/client.hpp"
#include "cli/outcome.hpp"
#include "cli/print.hpp"

namespace coord::cli {

struct HeldCommand {
  std::vector<std::string> words;                                // At least one.
  std::vector<std::pair<std::string, std::string>> environment;  // Added to what there is.
  std::string session;                                           // The token.
  std::int64_t ttl_ms = 0;                                       // Of the session.
  std::string target;  // What is held: asked for by GET; 404 or another state: lost.
  std::function<bool(const Json& state)> is_held;
};

// Gives the command's exit code (128 + n when signal n ended it, 126 and 127 when it could not
// run). Trouble with session_lost when it was ended because what it ran under was lost.
[[nodiscard]] Outcome<int> run_held(const ClientOptions& options, const HeldCommand& held,
                                    const Printer& print);

}  // namespace coord::cli
