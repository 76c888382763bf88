// import zookeeper: a tree of ZooKeeper, living or as a snapshot file, becomes a subtree here.
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>

#include "cli/importer.hpp"
#include "cli/interrupt.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "cli/zookeeper_client.hpp"
#include "cli/zookeeper_snapshot.hpp"

namespace coord::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Events that come within this time of each other are brought together.
constexpr auto kGather = std::chrono::milliseconds(20);
constexpr auto kLook = std::chrono::seconds(1);
constexpr auto kRelist = std::chrono::seconds(2);  // A source that is too old to tell.
constexpr auto kReconnect = std::chrono::milliseconds(500);
// More paths than that at once are a pass.
constexpr std::size_t kBroughtMax = 400;
constexpr std::string_view kLiveWord = "zookeeper";
constexpr std::string_view kFileWord = "zookeeper-snapshot";

struct Args {
  std::string source;
  std::string path = "/";
  std::string target;  // Empty: the same as at the source.
  std::string kinds;
  std::string auth;
  bool is_dry_run = false;
  bool is_follow = false;
  bool is_finish = false;
  bool is_unverified = false;
};

// What an import is of: given on the command line, or read from the mark of one that is open.
struct Source {
  bool is_file = false;
  std::string name;  // HOST:PORT,..., or the file.
  std::string path;
  std::string target;
  std::string mark;  // As an open import has it, whatever the address is now; else empty.
  // One line without blanks in its words.
  [[nodiscard]] std::string words() const {
    if (!mark.empty()) return mark;
    return fmt::format("{} {} {}", is_file ? kFileWord : kLiveWord, percent_encoded(name, true),
                       percent_encoded(path, true));
  }
};

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 2 >= text.size()) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
    i += 2;
  }
  return out;
}

std::optional<Source> source_of(std::string_view words, std::string target) {
  const auto first = words.find(' ');
  const auto last = words.rfind(' ');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const auto kind = words.substr(0, first);
  if (kind != kLiveWord && kind != kFileWord) return std::nullopt;
  return Source{kind == kFileWord, decoded(words.substr(first + 1, last - first - 1)),
                decoded(words.substr(last + 1)), std::move(target), std::string(words)};
}

bool is_file(const std::string& name) {
  struct stat status {};
  return ::stat(name.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

Outcome<Source> given_source(const Args& args) {
  if (args.source.empty()) {
    return Trouble{Exit::usage, "import from where?",
                   "give HOST:PORT of a ZooKeeper, or one of its snapshot files"};
  }
  const auto path = resolve_path("/", args.path);
  if (is_below(path, "/zookeeper")) {
    return Trouble{
        Exit::usage, "what is under /zookeeper is ZooKeeper's own and is not imported", {}};
  }
  const auto target = args.target.empty() ? path : resolve_path("/", args.target);
  Source source{is_file(args.source), args.source, path, target, {}};
  if (!source.is_file) {
    if (args.source.starts_with('/') || args.source.starts_with('.')) {
      return Trouble{Exit::usage, fmt::format("there is no file {}", escaped(args.source)), {}};
    }
    COORD_TRY(parse_servers(args.source));
  }
  return source;
}

// The imports that are open here.
Outcome<std::vector<Source>> open_imports(const Context& context) {
  Target target("/v1/children", "/.coord/imports");
  target.add("values", "true").add("limit", "10000");
  COORD_TRY(const Answer answer, context.client.call({"GET", target.text(), {}, {}}));
  std::vector<Source> open;
  if (answer.status == 404) return open;
  if (answer.status >= 400) return trouble_of(answer.status, answer.body);
  COORD_TRY(const Json body, parse_json(answer.body));
  for (const Json& child : body.value("children", Json::array())) {
    const auto mark = value_bytes_of(child);
    const auto end = mark.find('\n');
    if (end == std::string::npos) continue;
    if (auto source = source_of(std::string_view(mark).substr(end + 1), mark.substr(0, end))) {
      open.push_back(*std::move(source));
    }
  }
  return open;
}

// The one that --finish means.
Outcome<Source> import_to_finish(const Context& context, const Args& args) {
  COORD_TRY(const auto open, open_imports(context));
  if (open.empty()) return Trouble{Exit::not_found, "no import is open", {}};
  const auto wanted = !args.target.empty() ? resolve_path("/", args.target)
                      : args.path != "/"   ? resolve_path("/", args.path)
                                           : std::string();
  for (const auto& source : open) {
    if (wanted.empty() ? open.size() == 1 : source.target == wanted) {
      if (args.source.empty()) return source;
      auto other = source;  // The same tree, by another address.
      other.name = args.source;
      other.is_file = is_file(args.source);
      return other;
    }
  }
  std::string all;
  for (const auto& source : open) all += " " + escaped(source.target);
  return Trouble{wanted.empty() ? Exit::usage : Exit::not_found,
                 wanted.empty() ? "more than one import is open"
                                : fmt::format("no import into {} is open", escaped(wanted)),
                 "name one with --target:" + all};
}

Outcome<ZooKeeperClient::Options> options_of(const Args& args, const Source& source) {
  ZooKeeperClient::Options options;
  COORD_TRY(options.servers, parse_servers(source.name));
  if (!args.auth.empty()) {
    const auto colon = args.auth.find(':');
    if (colon == std::string::npos) {
      return Trouble{Exit::usage, "--auth is SCHEME:CREDENTIAL", "such as digest:super:PASSWORD"};
    }
    options.scheme = args.auth.substr(0, colon);
    options.credential = args.auth.substr(colon + 1);
  }
  return options;
}

// ---- what it came to

struct Summary {
  const Source& source;
  const ImportCounts& last;
  const Importer& importer;
  bool is_dry_run = false;
  bool is_verified = false;
  bool is_read_only = false;
  std::int64_t ms = 0;
};

void print_summary(const Context& context, const Summary& s) {
  const auto& total = s.importer.total();
  const auto digest = [](std::uint64_t v) { return fmt::format("{:016x}", v); };
  if (context.print.output() == Output::json) {
    context.print.json(
        Json{{"source", s.source.name},
             {"path", s.source.path},
             {"target", s.source.target},
             {"dry_run", s.is_dry_run},
             {"nodes", s.last.nodes},
             {"bytes", s.last.bytes},
             {"created", total.created},
             {"updated", total.updated},
             {"deleted", total.deleted},
             {"ephemerals_skipped", s.last.ephemerals},
             {"extra", s.last.extra},
             {"passes", s.importer.passes()},
             {"verified", s.is_verified},
             {"digest",
              {{"source", digest(s.last.source_digest)}, {"target", digest(s.last.target_digest)}}},
             {"read_only", s.is_read_only},
             {"duration_ms", s.ms}});
    return;
  }
  if (context.print.output() != Output::table) return;
  const auto line = [&](const std::string& text) { context.print.line(text); };
  line(fmt::format("{} {} of {} into {}: {} nodes, {} bytes, in {}",
                   s.is_dry_run ? "would import" : "imported", escaped(s.source.path),
                   escaped(s.source.name), escaped(s.source.target), s.last.nodes, s.last.bytes,
                   rough_duration(s.ms)));
  line(fmt::format("{} created, {} updated, {} deleted", total.created, total.updated,
                   total.deleted));
  line(fmt::format("{} ephemeral nodes were not copied: their sessions are not here",
                   s.last.ephemerals));
  if (s.last.extra > 0) line(fmt::format("{} nodes are only here and were left", s.last.extra));
  if (s.is_verified) {
    line(fmt::format("verified: both sides have the digest {}", digest(s.last.source_digest)));
  }
  if (s.is_read_only) {
    line(fmt::format("{} is read-only until: coordctl import zookeeper --finish --target {}",
                     escaped(s.source.target), coord::cli::quoted(s.source.target)));
  }
}

// Trouble that goes away, of either side.
bool is_passing(Exit exit) {
  return exit == Exit::unavailable || exit == Exit::timed_out || exit == Exit::unknown_outcome;
}

// ---- the ways to do it

class Run {
 public:
  Run(const Context& context, const Args& args, Source source)
      : context_(context),
        args_(args),
        source_(std::move(source)),
        importer_(context, {source_.path, source_.target, args.is_dry_run}) {}

  Outcome<void> run() {
    COORD_TRY(open());
    if (args_.is_dry_run) return dry_run();
    if (args_.is_finish) return finish();
    COORD_TRY(make_parent());
    COORD_TRY(const bool is_new, importer_.begin(source_.words()));
    if (args_.is_follow) return follow();
    if (!is_new) {
      return Trouble{Exit::conflict,
                     fmt::format("an import into {} is open already", escaped(source_.target)),
                     "go on with it: --follow; end it: --finish"};
    }
    auto settled = importer_.settle(*from_);
    // Whatever it was: what this run closed it opens again.
    Interrupt::clear();
    auto opened = importer_.finish();
    if (!settled) return std::move(settled).error();
    if (!opened) return std::move(opened).error();
    last_ = settled.value();
    summarize(true, false);
    return success();
  }

 private:
  Outcome<void> open() {
    if (args_.is_finish && args_.is_unverified) return success();
    if (source_.is_file) {
      if (args_.is_follow) {
        return Trouble{
            Exit::usage, "a snapshot file does not change: --follow takes HOST:PORT", {}};
      }
      from_ = std::make_unique<SnapshotSource>(source_.name, source_.path);
      return success();
    }
    ImportKinds kinds;
    if (!args_.kinds.empty()) {
      COORD_TRY(kinds, kinds_in(args_.kinds));
    }
    COORD_TRY(auto options, options_of(args_, source_));
    client_ = std::make_unique<ZooKeeperClient>(std::move(options));
    COORD_TRY(client_->connect());
    auto live = std::make_unique<LiveSource>(*client_, source_.path, std::move(kinds));
    live_ = live.get();
    from_ = std::move(live);
    return success();
  }

  // Above the target, which the import itself makes.
  Outcome<void> make_parent() {
    const auto parent = parent_path(source_.target);
    if (source_.target == "/" || parent == "/") return success();
    Target target("/v1/tree", parent);
    target.add("parents", "true");
    COORD_TRY(const Answer answer,
              context_.client.call({"PUT", target.text(), {{"If-None-Match", "*"}}, {}}));
    if (answer.status == 412 || answer.status < 400) return success();
    return trouble_of(answer.status, answer.body);
  }

  Outcome<void> dry_run() {
    COORD_TRY(last_, importer_.pass(*from_));
    summarize(last_.changes() == 0, false);
    return success();
  }

  Outcome<void> finish() {
    if (!args_.is_unverified) {
      COORD_TRY(importer_.begin(source_.words()));
      COORD_TRY(last_, importer_.settle(*from_));
    }
    COORD_TRY(importer_.finish());
    summarize(!args_.is_unverified, false);
    return success();
  }

  Outcome<void> follow() {
    bool is_caught_up = false;
    while (true) {
      auto done = keep_up(is_caught_up);
      if (Interrupt::is_raised() || importer_.is_closed()) break;
      if (!done && !is_passing(done.error().exit)) return std::move(done).error();
      if (!done) context_.print.note(done.error().message + "; trying again");
      if (!context_.client.pause(kReconnect)) break;
      // One that was never reached is not waited for.
      if (auto connected = client_->connect(); !connected && !is_caught_up) {
        return std::move(connected).error();
      }
    }
    Interrupt::clear();
    if (!is_caught_up) return Trouble{Exit::interrupted, {}, {}};
    summarize(false, !importer_.is_closed());
    return success();
  }

  // From a fresh connection until it breaks.
  Outcome<void> keep_up(bool& is_caught_up) {
    COORD_TRY(const bool is_told, live_->watch());
    if (!is_told) {
      client_->close();
      COORD_TRY(client_->connect());
    }
    COORD_TRY(last_, importer_.pass(*from_));
    if (!std::exchange(is_caught_up, true)) {
      context_.print.note(fmt::format("following {}; Ctrl-C stops, {} stays read-only",
                                      escaped(source_.name), escaped(source_.target)));
    }
    while (true) {
      const auto wait = is_told ? Clock::duration(kLook) : Clock::duration(kRelist);
      COORD_TRY(client_->await_event(Clock::now() + wait));
      if (!is_told) {
        COORD_TRY(last_, importer_.pass(*from_));
        continue;
      }
      COORD_TRY(bring_events());
      COORD_TRY(const auto open, open_imports(context_));
      const auto is_ours = [&](const Source& s) { return s.target == source_.target; };
      if (std::none_of(open.begin(), open.end(), is_ours)) return importer_.close();
    }
  }

  Outcome<void> bring_events() {
    std::set<std::string> paths;
    while (paths.size() <= kBroughtMax) {
      auto events = client_->take_events();
      if (events.empty()) break;
      for (auto& event : events) {
        if (!is_below(event.path, source_.path) || is_below(event.path, "/zookeeper")) continue;
        // A birth or death counts at the parent.
        const auto parent = parent_path(event.path);
        if (event.path != source_.path && is_below(parent, source_.path)) paths.insert(parent);
        paths.insert(std::move(event.path));
      }
      COORD_TRY(client_->await_event(Clock::now() + kGather));
    }
    if (paths.empty()) return success();
    bool is_brought = paths.size() <= kBroughtMax;
    if (is_brought) {
      COORD_TRY(is_brought, importer_.bring(*live_, paths));
    }
    if (!is_brought) {
      COORD_TRY(last_, importer_.pass(*from_));
    }
    return success();
  }

  void summarize(bool is_verified, bool is_read_only) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_).count();
    print_summary(context_,
                  {source_, last_, importer_, args_.is_dry_run, is_verified, is_read_only, ms});
  }

  const Context& context_;
  const Args& args_;
  Source source_;
  Importer importer_;
  const Clock::time_point started_ = Clock::now();
  std::unique_ptr<ZooKeeperClient> client_;
  std::unique_ptr<ImportSource> from_;
  LiveSource* live_ = nullptr;  // from_, if it lives.
  ImportCounts last_;
};

Outcome<void> import_zookeeper(Context& context, const Args& args) {
  if (args.is_finish && (args.is_follow || args.is_dry_run)) {
    return Trouble{Exit::usage, "--finish stands alone", {}};
  }
  if (args.is_unverified && !args.is_finish) {
    return Trouble{Exit::usage, "--no-verify goes with --finish", {}};
  }
  if (args.is_follow && args.is_dry_run) {
    return Trouble{Exit::usage, "--follow and --dry-run exclude each other", {}};
  }
  Outcome<Source> source = args.is_finish ? import_to_finish(context, args) : given_source(args);
  if (!source) return std::move(source).error();
  return Run(context, args, std::move(source).value()).run();
}

Action define_zookeeper(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("SOURCE", args->source,
                 "HOST:PORT of a ZooKeeper (several by comma), or a snapshot file of one");
  app.add_option("--path", args->path, "what to import of it (/)")->type_name("PATH");
  app.add_option("--target", args->target, "where to; the same path by default")->type_name("PATH");
  app.add_option("--kinds", args->kinds,
                 "a snapshot file that tells which nodes are containers or have a ttl: a running "
                 "ZooKeeper tells nobody")
      ->type_name("FILE");
  app.add_option("--auth", args->auth,
                 "SCHEME:CREDENTIAL for ZooKeeper, such as digest:super:PASSWORD")
      ->type_name("AUTH");
  app.add_flag("--dry-run", args->is_dry_run, "only say what it would come to");
  app.add_flag("--follow", args->is_follow, "keep up with the source; the target is read-only");
  app.add_flag("--finish", args->is_finish,
               "verify, and open the target of an import to everybody");
  app.add_flag("--no-verify", args->is_unverified,
               "with --finish: without a look at the source, which may be gone");
  return [args](Context& context) { return import_zookeeper(context, *args); };
}

constexpr std::array kImportVerbs = {
    Verb{"zookeeper", "copy a tree of ZooKeeper: data, ACLs, versions, times, counters",
         "  coordctl import zookeeper zk1:2181,zk2:2181\n"
         "  coordctl import zookeeper zk1:2181 --path /app --follow\n"
         "  coordctl import zookeeper --finish\n"
         "  coordctl import zookeeper /var/lib/zookeeper/version-2/snapshot.1000003e7",
         &define_zookeeper},
};

}  // namespace

const Verb kImport{"import", "bring nodes from another service",
                   "  coordctl import zookeeper zk1:2181 --dry-run", nullptr, kImportVerbs};

}  // namespace coord::cli
