// config: releases, their history, gray values, schemas.
#include "cli/verbs_config.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "cli/interrupt.hpp"
#include "cli/run_command.hpp"
#include "cli/text.hpp"

namespace coord::cli {
namespace {

struct NoteArgs {
  std::string comment;
  std::string author;
};

void add_note_options(CLI::App& app, NoteArgs& args) {
  app.add_option("--comment,-m", args.comment, "why; shown in the history")->type_name("TEXT");
  app.add_option("--author", args.author, "who; shown in the history")
      ->envname("COORD_AUTHOR")
      ->type_name("TEXT");
}

void add_note(const NoteArgs& args, Target& target) {
  if (!args.comment.empty()) target.add("comment", args.comment);
  if (!args.author.empty()) target.add("author", args.author);
}

void add_name(CLI::App& app, std::string& name) {
  app.add_option("NAME", name, "the configuration")->required();
}

// "release 3" of an answer that has one.
Outcome<void> report_release(const Context& context, const Answer& answer,
                             const std::string& name) {
  COORD_TRY(const Json body, parse_json(answer.body));
  if (context.print.output() == Output::json) {
    context.print.json_body(answer.body);
  } else if (context.print.output() == Output::raw) {
    context.print.line(text_of(body, "release"));
  } else {
    context.print.line(fmt::format("{} release {}  revision {}", name, text_of(body, "release"),
                                   text_of(body, "revision")));
  }
  return success();
}

Outcome<void> report_done(const Context& context, const Answer& answer, std::string_view what) {
  const std::string revision(answer.header("Coord-Revision"));
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"revision", Json::parse(revision, nullptr, false)}});
  } else if (context.print.output() == Output::table) {
    context.print.line(fmt::format("{}  revision {}", what, escaped(revision)));
  }
  return success();
}

// A value as it is; a newline only for a person who would miss it.
void print_value(const Context& context, const Answer& answer) {
  context.print.write(answer.body);
  const bool is_ragged = !answer.body.empty() && !answer.body.ends_with('\n');
  if (is_ragged && context.print.is_terminal() && context.print.output() == Output::table) {
    context.print.write("\n");
  }
}

// ---- get

struct GetArgs {
  std::string name;
  std::optional<std::uint64_t> release;
  ConfigClient client;
};

Outcome<void> get(const Context& context, const GetArgs& args) {
  Target target = args.release
                      ? config_target(args.name, fmt::format("/releases/{}", *args.release))
                      : config_target(args.name);
  if (!context.consistency.empty()) target.add("consistency", context.consistency);
  COORD_TRY(describe_client(args.client, target));
  const bool is_json = context.print.output() == Output::json;
  if (is_json) target.add("as", "json");
  COORD_TRY(const Answer answer, context.get(target, is_json ? "application/json" : "*/*"));
  if (is_json) {
    context.print.json_body(answer.body);
  } else {
    print_value(context, answer);
  }
  return success();
}

Action define_config_get(CLI::App& app) {
  auto args = std::make_shared<GetArgs>();
  add_name(app, args->name);
  app.add_option("--release", args->release, "this release, not the present one")->type_name("N");
  add_client_options(app, args->client);
  return [args](Context& context) { return get(context, *args); };
}

// ---- put, edit

struct PutArgs {
  std::string name;
  std::string value;
  std::string type;
  std::optional<std::uint64_t> if_release;
  bool if_absent = false;
  NoteArgs note;
};

Call put_call(const PutArgs& args, std::string value) {
  Target target = config_target(args.name);
  add_note(args.note, target);
  Call call{"PUT", target.text(), {}, std::move(value)};
  if (!args.type.empty()) call.headers.emplace_back("Content-Type", args.type);
  if (args.if_release)
    call.headers.emplace_back("If-Match", fmt::format("\"{}\"", *args.if_release));
  if (args.if_absent) call.headers.emplace_back("If-None-Match", "*");
  return call;
}

Outcome<void> put(const Context& context, const PutArgs& args) {
  COORD_TRY(std::string value, read_value(args.value));
  COORD_TRY(const Answer answer, context.client.call_ok(put_call(args, std::move(value))));
  return report_release(context, answer, args.name);
}

Action define_put(CLI::App& app) {
  auto args = std::make_shared<PutArgs>();
  add_name(app, args->name);
  app.add_option("VALUE", args->value, "the value; - is stdin, @FILE a file")->required();
  auto* guard =
      app.add_option("--if-release", args->if_release, "only if this is the present release")
          ->type_name("N");
  app.add_flag("--if-absent", args->if_absent, "only if there is no release")->excludes(guard);
  app.add_option("--type", args->type, "the value's content type")->type_name("MIME");
  add_note_options(app, args->note);
  return [args](Context& context) { return put(context, *args); };
}

std::string editor() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "vi";
}

// The bytes after the person has edited them, in the file `path` of its own.
Outcome<std::string> edited(const std::string& path, const std::string& before) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"),
                                                       &std::fclose);
  if (!file || std::fwrite(before.data(), 1, before.size(), file.get()) != before.size()) {
    return Trouble{Exit::other, fmt::format("cannot write {}: {}", path, std::strerror(errno)), {}};
  }
  file.reset();
  // The editor wants the terminal: the shell that runs it gives back what it was started with.
  const int status = std::system(fmt::format("{} '{}'", editor(), path).c_str());
  if (status != 0) {
    return Trouble{Exit::other, fmt::format("{} failed; nothing was published", editor()), {}};
  }
  return read_value("@" + path);
}

Outcome<void> edit(const Context& context, PutArgs args) {
  Target target = config_target(args.name);
  target.add("as", "json");
  const auto present = context.get_json(target);
  std::string before;
  if (present) {
    before = value_bytes_of(present.value());
    args.if_release = present.value().value("release", std::uint64_t{0});
    if (args.type.empty()) args.type = present.value().value("content_type", "");
  } else if (present.error().exit == Exit::not_found) {
    args.if_absent = true;
  } else {
    return present.error();
  }
  const char* directory = std::getenv("TMPDIR");
  std::string path =
      fmt::format("{}/coord-{}-XXXXXX", directory != nullptr ? directory : "/tmp", args.name);
  const int fd = ::mkstemp(path.data());
  if (fd < 0) return Trouble{Exit::other, "cannot make a temporary file in " + path, {}};
  ::close(fd);
  auto after = edited(path, before);
  if (!after || after.value() == before) {
    ::unlink(path.c_str());
    if (!after) return after.error();
    context.print.note("unchanged; nothing was published");
    return success();
  }
  const auto answer = context.client.call_ok(put_call(args, std::move(after).value()));
  if (!answer) {  // What was typed is not lost.
    auto trouble = answer.error();
    trouble.hint = fmt::format("what you wrote is in {}", path);
    return trouble;
  }
  ::unlink(path.c_str());
  return report_release(context, answer.value(), args.name);
}

Action define_edit(CLI::App& app) {
  auto args = std::make_shared<PutArgs>();
  add_name(app, args->name);
  app.add_option("--type", args->type, "the value's content type; as it was if left out")
      ->type_name("MIME");
  add_note_options(app, args->note);
  return [args](Context& context) { return edit(context, *args); };
}

// ---- ls, history, diff, rollback, rm

// Every page of a listing, as one list.
Outcome<Json> read_pages(const Context& context, const std::string& route, const char* field) {
  Json all = Json::array();
  std::string cursor;
  do {
    Target target(route);
    if (!context.consistency.empty()) target.add("consistency", context.consistency);
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(const Json page, context.get_json(target));
    for (const Json& one : page.value(field, Json::array())) all.push_back(one);
    cursor = page.contains("cursor") ? page.value("cursor", "") : "";
  } while (!cursor.empty());
  return all;
}

Outcome<void> list(const Context& context) {
  COORD_TRY(const Json configs, read_pages(context, "/v1/config", "configs"));
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"configs", configs}});
    return success();
  }
  Table table({{"NAME"}, {"RELEASE", true}, {"GRAY"}, {"SCHEMA"}, {"TIME"}, {"COMMENT"}});
  const auto yes = [](const Json& config, const char* key) {
    return std::string(config.value(key, false) ? "yes" : "-");
  };
  for (const Json& config : configs) {
    if (context.print.output() == Output::raw) {
      context.print.line(text_of(config, "name"));
      continue;
    }
    table.row({{text_of(config, "name")},
               {text_of(config, "release")},
               {yes(config, "gray")},
               {yes(config, "schema")},
               {time_of(config, "time"), Colour::dim},
               {escaped(config.value("comment", ""))}});
  }
  if (context.print.output() == Output::table) context.print.table(table);
  return success();
}

Action define_config_list(CLI::App&) {
  return [](Context& context) { return list(context); };
}

Outcome<void> history(const Context& context, const std::string& name) {
  const auto route = config_target(name, "/releases").text();
  COORD_TRY(const Json releases, read_pages(context, route, "releases"));
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"name", name}, {"releases", releases}});
    return success();
  }
  Table table({{"RELEASE", true}, {"TIME"}, {"AUTHOR"}, {"SIZE", true}, {"COMMENT"}});
  for (const Json& release : releases) {
    std::string comment = escaped(release.value("comment", ""));
    if (release.contains("rollback_to")) {
      comment = fmt::format("(rollback to {}) {}", text_of(release, "rollback_to"), comment);
    }
    table.row({{text_of(release, "release")},
               {time_of(release, "time"), Colour::dim},
               {escaped(release.value("author", ""))},
               {text_of(release, "size")},
               {comment}});
  }
  context.print.table(table);
  return success();
}

Action define_history(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  add_name(app, *name);
  return [name](Context& context) { return history(context, *name); };
}

struct DiffArgs {
  std::string name;
  std::optional<std::uint64_t> from;
  std::optional<std::uint64_t> to;
};

Outcome<void> diff(const Context& context, const DiffArgs& args) {
  Target target = config_target(args.name, "/diff");
  if (args.from) target.add("from", std::to_string(*args.from));
  if (args.to) target.add("to", std::to_string(*args.to));
  const bool is_json = context.print.output() == Output::json;
  COORD_TRY(const Answer answer, context.get(target, is_json ? "application/json" : "text/plain"));
  if (is_json) {
    context.print.json_body(answer.body);
    return success();
  }
  std::string_view rest = answer.body;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size() - 1);
    const auto line = rest.substr(0, end);
    const auto colour = line.starts_with('+')   ? Colour::green
                        : line.starts_with('-') ? Colour::red
                                                : Colour::none;
    context.print.line(coloured(escaped(line), colour, context.print.with_colours()));
    rest.remove_prefix(end + 1);
  }
  return success();
}

Action define_diff(CLI::App& app) {
  auto args = std::make_shared<DiffArgs>();
  add_name(app, args->name);
  app.add_option("FROM", args->from, "the older release; the one before TO if left out");
  app.add_option("TO", args->to, "the newer release; the present one if left out");
  return [args](Context& context) { return diff(context, *args); };
}

struct RollbackArgs {
  std::string name;
  std::uint64_t to = 0;
  std::optional<std::uint64_t> if_release;
  NoteArgs note;
};

Outcome<void> rollback(const Context& context, const RollbackArgs& args) {
  Target target = config_target(args.name, "/rollback");
  target.add("to", std::to_string(args.to));
  add_note(args.note, target);
  Call call{"POST", target.text(), {}, {}};
  if (args.if_release)
    call.headers.emplace_back("If-Match", fmt::format("\"{}\"", *args.if_release));
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  return report_release(context, answer, args.name);
}

Action define_rollback(CLI::App& app) {
  auto args = std::make_shared<RollbackArgs>();
  add_name(app, args->name);
  app.add_option("RELEASE", args->to, "the release whose value is published again")->required();
  app.add_option("--if-release", args->if_release, "only if this is the present release")
      ->type_name("N");
  add_note_options(app, args->note);
  return [args](Context& context) { return rollback(context, *args); };
}

// A DELETE of the configuration or of a part of it.
Action define_removal(CLI::App& app, std::string rest, std::string done) {
  auto name = std::make_shared<std::string>();
  add_name(app, *name);
  return [name, rest = std::move(rest), done = std::move(done)](Context& context) -> Outcome<void> {
    const Call call{"DELETE", config_target(*name, rest).text(), {}, {}};
    COORD_TRY(const Answer answer, context.client.call_ok(call));
    return report_done(context, answer, fmt::format("{} {}", *name, done));
  };
}
Action define_rm(CLI::App& app) { return define_removal(app, "", "deleted"); }
Action define_gray_clear(CLI::App& app) { return define_removal(app, "/gray", "gray withdrawn"); }
Action define_schema_rm(CLI::App& app) { return define_removal(app, "/schema", "schema removed"); }

// A GET of a part, raw or as JSON.
Action define_part(CLI::App& app, std::string rest) {
  auto name = std::make_shared<std::string>();
  add_name(app, *name);
  return [name, rest = std::move(rest)](Context& context) -> Outcome<void> {
    Target target = config_target(*name, rest);
    const bool is_json = context.print.output() == Output::json;
    if (is_json) target.add("as", "json");
    COORD_TRY(const Answer answer, context.get(target, "*/*"));
    if (is_json) {
      context.print.json_body(answer.body);
    } else {
      print_value(context, answer);
    }
    return success();
  };
}
Action define_gray_get(CLI::App& app) { return define_part(app, "/gray"); }
Action define_schema_get(CLI::App& app) { return define_part(app, "/schema"); }

// ---- gray, schema

struct GrayArgs {
  std::string name;
  std::string value;
  std::string type;
  ConfigClient clients;
  std::optional<std::uint64_t> percent;
  NoteArgs note;
};

Outcome<void> gray_set(const Context& context, const GrayArgs& args) {
  COORD_TRY(std::string value, read_value(args.value));
  Target target = config_target(args.name, "/gray");
  COORD_TRY(describe_client(args.clients, target));
  if (args.percent) target.add("percent", std::to_string(*args.percent));
  add_note(args.note, target);
  Call call{"PUT", target.text(), {}, std::move(value)};
  if (!args.type.empty()) call.headers.emplace_back("Content-Type", args.type);
  COORD_TRY(const Answer answer, context.client.call_ok(call));
  return report_done(context, answer, args.name + " gray set");
}

Action define_gray_set(CLI::App& app) {
  auto args = std::make_shared<GrayArgs>();
  add_name(app, args->name);
  app.add_option("VALUE", args->value, "the value; - is stdin, @FILE a file")->required();
  app.add_option("--label", args->clients.labels, "for clients with this label; may repeat")
      ->type_name("NAME=VALUE");
  app.add_option("--percent", args->percent, "for so many in a hundred instances")->type_name("N");
  app.add_option("--type", args->type, "the value's content type")->type_name("MIME");
  add_note_options(app, args->note);
  return [args](Context& context) { return gray_set(context, *args); };
}

struct PromoteArgs {
  std::string name;
  NoteArgs note;
};

Action define_gray_promote(CLI::App& app) {
  auto args = std::make_shared<PromoteArgs>();
  add_name(app, args->name);
  add_note_options(app, args->note);
  return [args](Context& context) -> Outcome<void> {
    Target target = config_target(args->name, "/gray/promote");
    add_note(args->note, target);
    COORD_TRY(const Answer answer, context.client.call_ok({"POST", target.text(), {}, {}}));
    return report_release(context, answer, args->name);
  };
}

struct SchemaArgs {
  std::string name;
  std::string value;
};

Action define_schema_set(CLI::App& app) {
  auto args = std::make_shared<SchemaArgs>();
  add_name(app, args->name);
  app.add_option("SCHEMA", args->value, "the JSON Schema; - is stdin, @FILE a file")->required();
  return [args](Context& context) -> Outcome<void> {
    COORD_TRY(std::string value, read_value(args->value));
    const Call call{"PUT",
                    config_target(args->name, "/schema").text(),
                    {{"Content-Type", "application/schema+json"}},
                    std::move(value)};
    COORD_TRY(const Answer answer, context.client.call_ok(call));
    return report_done(context, answer, args->name + " schema set");
  };
}

// ---- clients

// Each member knows those that ask it: all members are asked.
Outcome<Json> read_clients(const Context& context, const std::string& name) {
  COORD_TRY(const Json cluster, context.get_json(Target("/v1/cluster")));
  Json all = Json::array();
  for (const Json& member : cluster.value("members", Json::array())) {
    const std::string http = text_of(member, "http");
    const auto endpoints = parse_endpoints(http);
    if (!endpoints) continue;
    auto options = context.client.options();
    options.endpoints = endpoints.value();
    Client client(std::move(options));
    const auto answer = client.call_ok({"GET", config_target(name, "/clients").text(), {}, {}});
    if (!answer && answer.error().exit == Exit::not_found) return answer.error();
    if (!answer) {
      context.print.note(fmt::format("note: member {} ({}): {}", text_of(member, "id"), http,
                                     answer.error().message));
      continue;
    }
    COORD_TRY(const Json told, parse_json(answer.value().body));
    for (Json client_of : told.value("clients", Json::array())) {
      client_of["member"] = member.value("id", Json());
      all.push_back(std::move(client_of));
    }
  }
  return all;
}

Outcome<void> clients(const Context& context, const std::string& name) {
  COORD_TRY(const Json all, read_clients(context, name));
  if (context.print.output() == Output::json) {
    context.print.json(Json{{"name", name}, {"clients", all}});
    return success();
  }
  Table table(
      {{"INSTANCE"}, {"RELEASE", true}, {"GRAY"}, {"SEEN"}, {"MEMBER"}, {"ADDRESS"}, {"LABELS"}});
  for (const Json& one : all) {
    std::string labels;
    const Json labels_of = one.value("labels", Json::object());
    for (const auto& [label, value] : labels_of.items()) {
      labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", label,
                            value.is_string() ? escaped(value.get<std::string>()) : "");
    }
    const bool is_connected = one.value("connected", false);
    const auto ago = rough_duration(one.value("seen_ms_ago", std::int64_t{0}));
    table.row({{text_of(one, "instance")},
               {text_of(one, "release")},
               {one.value("gray", false) ? "yes" : "-"},
               {is_connected ? "connected" : ago + " ago"},
               {text_of(one, "member")},
               {text_of(one, "address")},
               {labels}});
  }
  context.print.table(table);
  return success();
}

Action define_clients(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  add_name(app, *name);
  return [name](Context& context) { return clients(context, *name); };
}

constexpr std::array kGrayVerbs = {
    Verb{"set", "set a second value for the clients that match",
         "  coordctl config gray set app @new.json --percent 10\n"
         "  coordctl config gray set app @new.json --label zone=eu",
         &define_gray_set},
    Verb{"get", "print the gray value", "  coordctl --output json config gray get app",
         &define_gray_get},
    Verb{"promote", "publish the gray value as a release for all",
         "  coordctl config gray promote app -m 'worked for 10 percent'", &define_gray_promote},
    Verb{"clear", "withdraw the gray value", "  coordctl config gray clear app",
         &define_gray_clear},
};

constexpr std::array kSchemaVerbs = {
    Verb{"set", "set the JSON Schema that releases must fit",
         "  coordctl config schema set app @schema.json", &define_schema_set},
    Verb{"get", "print the schema", "  coordctl config schema get app", &define_schema_get},
    Verb{"rm", "remove the schema", "  coordctl config schema rm app", &define_schema_rm},
};

constexpr std::array kConfigVerbs = {
    Verb{"get", "print the value in force, or of a release",
         "  coordctl config get app\n"
         "  coordctl config get app --release 3\n"
         "  coordctl config get app --label zone=eu --instance host-1",
         &define_config_get},
    Verb{"put", "publish a release",
         "  coordctl config put app @app.json --comment 'more workers' --author ann\n"
         "  coordctl config put app @app.json --if-release 3   # only if 3 is the present one",
         &define_put},
    Verb{"edit", "edit the value in $EDITOR and publish it if it changed",
         "  coordctl config edit app", &define_edit},
    Verb{"ls", "list the configurations", "  coordctl config ls", &define_config_list},
    Verb{"history", "list the releases, the newest first", "  coordctl config history app",
         &define_history},
    Verb{"diff", "print what is different between two releases",
         "  coordctl config diff app          # the present one against the one before\n"
         "  coordctl config diff app 3 7",
         &define_diff},
    Verb{"rollback", "publish the value of an earlier release again",
         "  coordctl config rollback app 3 --comment 'too many errors'", &define_rollback},
    Verb{"watch", "run a command or write files at each change",
         "  coordctl config watch app --exec 'systemctl reload app'\n"
         "  coordctl config watch app --file /etc/app.json --exec 'reload'\n"
         "  coordctl config watch app --template app.conf.in=/etc/app.conf --instance host-1",
         &define_config_watch},
    Verb{"gray", "a second value for some of the clients",
         "  coordctl config gray set app @new.json --percent 10", nullptr, kGrayVerbs},
    Verb{"schema", "the JSON Schema of a configuration",
         "  coordctl config schema set app @schema.json", nullptr, kSchemaVerbs},
    Verb{"clients", "list which clients run which release, of all members",
         "  coordctl config clients app", &define_clients},
    Verb{"rm", "delete a configuration with all its releases", "  coordctl config rm app",
         &define_rm},
};

}  // namespace

void add_client_options(CLI::App& app, ConfigClient& client) {
  app.add_option("--label", client.labels, "what the client is, as zone=eu; may repeat")
      ->type_name("NAME=VALUE");
  app.add_option("--instance", client.instance, "what the client calls itself")->type_name("ID");
}

Outcome<void> describe_client(const ConfigClient& client, Target& target) {
  for (const std::string& label : client.labels) {
    const auto equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Trouble{Exit::usage, fmt::format("a label is NAME=VALUE, not {}", escaped(label)), {}};
    }
    target.add("label." + label.substr(0, equals), label.substr(equals + 1));
  }
  if (!client.instance.empty()) target.add("instance", client.instance);
  return success();
}

Target config_target(const std::string& name, std::string_view rest) {
  return Target("/v1/config/" + percent_encoded(name, false) + std::string(rest));
}

const Verb kConfig{"config", "publish configurations and follow them",
                   "  coordctl config put app @app.json --comment 'first'\n"
                   "  coordctl config watch app --file /etc/app.json --exec 'systemctl reload app'",
                   nullptr, kConfigVerbs};

}  // namespace coord::cli
