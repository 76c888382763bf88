// config watch: at each change files are written and a command runs.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <tuple>

#include "cli/interrupt.hpp"
#include "cli/replace_file.hpp"
#include "cli/run_command.hpp"
#include "cli/stream_parser.hpp"
#include "cli/substitute.hpp"
#include "cli/text.hpp"
#include "cli/verbs_config.hpp"
#include "coord/base/code.hpp"

namespace coord::cli {
namespace {

using std::chrono::milliseconds;

// The server sends a comment every 10 s: three missing ones mean a dead connection.
constexpr milliseconds kIdle{30'000};
constexpr milliseconds kBackoffMin{50};
constexpr milliseconds kBackoffMax{2'000};

struct ConfigWatchArgs {
  std::string name;
  ConfigClient client;
  std::vector<std::string> templates;  // IN=OUT
  std::vector<std::string> files;
  std::string command;
  std::optional<std::uint64_t> count;
};

// One run of the verb over all its connections.
class Follower {
 public:
  Follower(const Context& context, const ConfigWatchArgs& args)
      : context_(context), args_(args), left_(args.count.value_or(UINT64_MAX)) {}

  Outcome<void> run() {
    Target target = config_target(args_.name);
    COORD_TRY(describe_client(args_.client, target));
    bool was_open = false;
    milliseconds backoff = kBackoffMin;
    while (true) {
      SseParser parser;
      Call call{"GET", target.text(), {{"Accept", "text/event-stream"}}, {}};
      if (!last_id_.empty()) call.headers.emplace_back("Last-Event-ID", last_id_);
      bool has_news = false;
      const auto answer = context_.client.stream(
          call,
          [&](std::string_view piece) {
            for (const SseEvent& event : parser.feed(piece)) {
              has_news = true;
              take(event);
              if (is_over()) return false;
            }
            return parser.ok();
          },
          kIdle);
      if (left_ == 0) return success();
      if (Interrupt::is_raised()) return Trouble{Exit::interrupted, {}, {}};
      if (!is_written_) return Trouble{Exit::other, "cannot write to stdout", {}};
      if (end_) return *end_;
      if (!parser.ok()) return Trouble{Exit::other, "an event of the stream is too large", {}};
      const bool is_refused = answer && answer.value().status >= 400;
      if (is_refused && (answer.value().status < 500 || !was_open)) {
        return trouble_of(answer.value().status, answer.value().body);
      }
      if (!answer && !was_open) return answer.error();
      was_open = was_open || !is_refused;
      if (has_news) backoff = kBackoffMin;
      context_.print.note("note: the stream was cut, resuming");
      if (!context_.client.pause(backoff)) return Trouble{Exit::interrupted, {}, {}};
      backoff = std::min(backoff * 2, kBackoffMax);
    }
  }

 private:
  [[nodiscard]] bool is_over() const {
    return left_ == 0 || end_.has_value() || !is_written_ || Interrupt::is_raised();
  }

  void take(const SseEvent& event) {
    if (event.id) last_id_ = *event.id;
    if (event.type == "bookmark" || event.type == "message") return;
    const Json data = Json::parse(event.data, nullptr, false);
    if (event.type == "release") {
      if (data.is_object()) on_release(data);
    } else if (event.type == "not-found") {
      seen_ = {};
      context_.print.note(
          fmt::format("note: there is no configuration {}; waiting for it", args_.name));
    } else {
      end_ = trouble_of_end(event.type, data);
    }
  }

  // Any other event is the code of why there is nothing (more) to show.
  static std::optional<Trouble> trouble_of_end(const std::string& type, const Json& data) {
    for (int value = 0; value < 256; ++value) {
      const auto code = code_from(static_cast<std::uint8_t>(value));
      if (!code || word_of(*code) != type) continue;
      if (is_retryable(*code)) return std::nullopt;
      return trouble_of(status_of(*code), data.is_object() ? data.dump() : std::string());
    }
    return std::nullopt;
  }

  // The same again, after a resume, is no change.
  void on_release(const Json& release) {
    const std::string value = value_bytes_of(release);
    std::tuple seen(text_of(release, "release"), release.value("gray", false), value);
    if (seen == seen_) return;
    seen_ = std::move(seen);
    if (args_.command.empty() && args_.files.empty() && args_.templates.empty()) {
      show(release);
    } else {
      apply(release, value);
    }
    --left_;
  }

  void show(const Json& release) {
    if (context_.print.output() == Output::json) {
      context_.print.line(release.dump(-1, ' ', false, Json::error_handler_t::replace));
    } else {
      context_.print.line(fmt::format(
          "{} release {}{}  {}", args_.name, text_of(release, "release"),
          release.value("gray", false) ? " (gray)" : "", escaped(release.value("comment", ""))));
    }
    is_written_ = context_.print.flush();
  }

  // All files first; when one cannot be written the command does not run.
  void apply(const Json& release, const std::string& value) {
    const auto number = text_of(release, "release");
    if (const auto written = write_files(value); !written) {
      context_.print.note(fmt::format("error: release {}: {}", number, written.error().message));
      return;
    }
    if (args_.command.empty()) {
      context_.print.note(fmt::format("{} release {} written", args_.name, number));
      return;
    }
    const Variables variables = {{"COORD_CONFIG", args_.name},
                                 {"COORD_RELEASE", number},
                                 {"COORD_GRAY", release.value("gray", false) ? "true" : "false"},
                                 {"COORD_VALUE", value}};
    const int status = run_command(args_.command, variables, value);
    if (status != 0) {
      context_.print.note(
          fmt::format("note: the command for release {} exited with {}", number, status));
    }
  }

  Outcome<void> write_files(const std::string& value) {
    std::vector<std::pair<std::string, std::string>> ready;
    for (const std::string& both : args_.templates) {
      const auto equals = both.find('=');
      COORD_TRY(const std::string text, read_value("@" + both.substr(0, equals)));
      COORD_TRY(std::string made, substitute(text, value));
      ready.emplace_back(both.substr(equals + 1), std::move(made));
    }
    for (const std::string& file : args_.files) ready.emplace_back(file, value);
    for (const auto& [path, bytes] : ready) {
      COORD_TRY(replace_file(path, bytes));
    }
    return success();
  }

  const Context& context_;
  const ConfigWatchArgs& args_;
  std::uint64_t left_;
  std::string last_id_;
  std::tuple<std::string, bool, std::string> seen_;
  std::optional<Trouble> end_;
  bool is_written_ = true;
};

}  // namespace

Action define_config_watch(CLI::App& app) {
  auto args = std::make_shared<ConfigWatchArgs>();
  app.add_option("NAME", args->name, "the configuration; it need not exist yet")->required();
  app.add_option("--exec", args->command,
                 "run this at each change, with COORD_CONFIG, COORD_RELEASE, COORD_GRAY and "
                 "COORD_VALUE in its environment and the value on its stdin")
      ->type_name("COMMAND");
  app.add_option("--file", args->files, "write the value to this file, whole or not at all")
      ->type_name("FILE");
  app.add_option("--template", args->templates,
                 "write OUT from the template IN, in which {{a.b}} stands for a value of the JSON")
      ->type_name("IN=OUT")
      ->check([](const std::string& text) {
        const auto equals = text.find('=');
        const bool is_pair = equals != std::string::npos && equals > 0 && equals + 1 < text.size();
        return is_pair ? std::string() : "a template is IN=OUT";
      });
  app.add_option("--count", args->count, "end after so many changes")->type_name("N");
  add_client_options(app, args->client);
  return [args](Context& context) { return Follower(context, *args).run(); };
}

}  // namespace coord::cli
