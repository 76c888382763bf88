#include "cli/outcome.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "cli/text.hpp"

namespace coord::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Hint {
  std::string_view code;
  std::string_view text;
};

// Only where there is something to do that the error itself does not say.
constexpr std::array kHints = {
    Hint{"session-required",
         "open a session first: export COORD_SESSION=$(coordctl session open --ttl 30s)"},
    Hint{"session-expired",
         "the session and its ephemeral nodes are gone; open another: coordctl "
         "session open --ttl 30s"},
    Hint{"bad-session-secret", "give the whole token, <id>.<secret>, as session open printed it"},
    Hint{"unauthenticated", "give --user name:password, or set COORD_USER"},
    Hint{"forbidden", "see who may with: coordctl acl get PATH; say who you are with --user"},
    Hint{"not-empty", "delete it with all that is below: coordctl rm -r PATH"},
    Hint{"bad-version", "it was changed since; read it again: coordctl get --stat PATH"},
    Hint{"compacted", "that revision is no longer retained; watch again with --initial"},
    Hint{"no-leader", "read what this member has with --consistency local"},
    Hint{"outcome-unknown", "the write may or may not have happened; read before repeating it"},
    Hint{"quota", "see what is used: coordctl quota get PATH"},
};

std::string text_of(const Json& problem, const char* key) {
  const auto found = problem.find(key);
  return found != problem.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The readable words of a code: what the title of a problem is, but short and without its subject.
std::string_view words_of(std::string_view code) {
  if (code == "no-node") return "no such node";
  if (code == "node-exists") return "the node exists already";
  if (code == "not-empty") return "the node has children";
  if (code == "bad-version") return "the version is another";
  if (code == "session-expired") return "the session has expired";
  if (code == "no-leader") return "the cluster has no leader";
  return {};
}

std::string hint_of(const std::string& code, const std::string& path) {
  for (const Hint& hint : kHints) {
    if (hint.code != code) continue;
    std::string text(hint.text);
    const auto at = text.find("PATH");
    if (at != std::string::npos && !path.empty()) text.replace(at, 4, path);
    return text;
  }
  return {};
}

}  // namespace

Exit exit_of(int status, std::string_view code) noexcept {
  if (status < 400) return Exit::ok;
  if (code == "session-expired") return Exit::session_lost;
  switch (status) {
    case 401:
    case 403:
      return Exit::forbidden;
    case 404:
      return Exit::not_found;
    case 408:
      return Exit::timed_out;
    case 409:
    case 412:
      return Exit::conflict;
    case 503:
      return Exit::unavailable;
    case 504:
      return Exit::unknown_outcome;
    default:
      return Exit::other;
  }
}

Trouble trouble_of(int status, std::string_view body) {
  const Json problem = Json::parse(body, nullptr, false);
  if (!problem.is_object()) {
    return {exit_of(status, {}), fmt::format("the server answered {}", status), {}};
  }
  const std::string code = text_of(problem, "code");
  const std::string path = text_of(problem, "path");
  const std::string detail = text_of(problem, "detail");
  std::string what(words_of(code));
  const bool is_own_word = !what.empty();
  if (!is_own_word) what = detail.empty() ? text_of(problem, "title") : detail;
  if (what.empty()) what = "refused";
  if (!path.empty() && what.find(path) == std::string::npos) what += " " + path;
  const std::string word = code.empty() ? std::string("problem") : code;
  std::string line = fmt::format("{} ({}, {})", escaped(what), escaped(word), status);
  // Our own words stand for the usual case; what the server knows of this one is told too.
  if (is_own_word && !detail.empty() && code != "no-node" && code != "node-exists") {
    line += ": " + escaped(detail);
  }
  if (const std::string reason = text_of(problem, "reason"); !reason.empty()) {
    line += fmt::format(" [reason: {}]", escaped(reason));
  }
  return {exit_of(status, code), std::move(line), hint_of(code, escaped(path))};
}

std::string describe(const Trouble& trouble) {
  if (trouble.message.empty()) return {};
  std::string out = "error: " + trouble.message + "\n";
  if (!trouble.hint.empty()) out += "hint: " + trouble.hint + "\n";
  return out;
}

}  // namespace coord::cli
