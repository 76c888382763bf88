#include "cli/verbs.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/text.hpp"

namespace coord::cli {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

Outcome<std::string> read_all(std::FILE* file, const std::string& name) {
  std::string out;
  char piece[65536];
  std::size_t got = 0;
  while ((got = std::fread(piece, 1, sizeof piece, file)) > 0) out.append(piece, got);
  if (std::ferror(file) != 0) {
    return Trouble{Exit::other, fmt::format("cannot read {}: {}", name, std::strerror(errno)), {}};
  }
  return out;
}

}  // namespace

std::span<const Verb> all_verbs() {
  static const std::array verbs = {
      kLs,     kGet,   kSet,     kCreate,     kRm,      kStat,    kTree,    kWalk,    kHistory,
      kWatch,  kTxn,   kSession, kAcl,        kQuota,   kCluster, kBackup,  kRestore, kImport,
      kStatus, kBench, kVersion, kCompletion, kCounter, kQueue,   kBarrier, kDecide,  kTransaction};
  return verbs;
}

std::string Context::path(std::string_view given) const { return resolve_path(cwd, given); }

Target Context::read(std::string_view route, std::string_view path) const {
  Target target(route, path);
  if (!consistency.empty()) target.add("consistency", consistency);
  return target;
}

Outcome<Answer> Context::get(const Target& target, std::string_view accept) const {
  return client.call_ok({"GET", target.text(), {{"Accept", std::string(accept)}}, {}});
}

Outcome<Json> Context::get_json(const Target& target) const {
  COORD_TRY(const Answer answer, get(target, "application/json"));
  return parse_json(answer.body);
}

Outcome<std::string> read_value(const std::string& argument) {
  if (argument == "-") {
    auto bytes = read_all(stdin, "stdin");
    // In the shell the end of one value is not the end of the session.
    std::clearerr(stdin);
    return bytes;
  }
  if (!argument.starts_with('@')) return argument;
  if (argument.starts_with("@@")) return argument.substr(1);
  const std::string name = argument.substr(1);
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(name.c_str(), "rb"));
  if (!file) {
    return Trouble{Exit::usage, fmt::format("cannot open {}: {}", name, std::strerror(errno)),
                   "a value that begins with @ names a file; @@ stands for one @"};
  }
  return read_all(file.get(), name);
}

Outcome<Json> parse_json(std::string_view body) {
  Json value = Json::parse(body, nullptr, false);
  if (!value.is_object()) {
    return Trouble{Exit::other,
                   "the server's answer is no JSON object: " + shortened(escaped(body), 80),
                   "is the endpoint a coordd?"};
  }
  return value;
}

void add_duration(CLI::App& app, const std::string& flag, std::optional<std::int64_t>& ms,
                  const std::string& summary) {
  app.add_option_function<std::string>(
         flag,
         [&ms, flag](const std::string& text) {
           ms = parse_duration_ms(text);
           if (!ms) throw CLI::ValidationError(flag, "a duration looks like 250ms, 30s, 5m, 2h");
         },
         summary)
      ->type_name("DURATION");
}

}  // namespace coord::cli
