#include "coord/recipes/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "coord/base/check.hpp"
#include "coord/recipes/config_limits.hpp"

namespace coord::recipes::config {
namespace {

constexpr std::string_view kWas = "was ";

// The outcome of a part of a step: what stops it, if anything does.
using Stop = std::optional<Answer>;

Stop stop(const znode::Outcome& outcome) {
  if (outcome.code == Code::ok) return std::nullopt;
  return refusal(outcome);
}

Answer done(const State& state, std::uint64_t release, recipes::Step& step, Item item = {}) {
  item.release = release != 0 ? release : (state.is_live ? state.last : 0);
  item.revision = step.zxid;
  item.time_ms = step.wall_ms;
  Items items;
  items.items.push_back(std::move(item));
  Answer answer;
  answer.bytes = encode(items);
  answer.etag = Zxid(release);
  return answer;
}

// If-Match and If-None-Match of the present release.
Stop check_guards(const Step& op, const State& state) {
  if (op.if_absent && state.is_live) {
    auto answer = refusal(Code::precondition_exists,
                          fmt::format("{} is at release {} already", op.name, state.last));
    answer.etag = Zxid(state.last);
    return answer;
  }
  if (!op.if_release) return std::nullopt;
  if (!state.is_live) {
    return refusal(Code::precondition_no_node, fmt::format("{} has no release", op.name));
  }
  if (*op.if_release == state.last) return std::nullopt;
  auto answer = refusal(Code::bad_version, fmt::format("the present release of {} is {}, not {}",
                                                       op.name, state.last, *op.if_release));
  answer.etag = Zxid(state.last);
  return answer;
}

// What was checked before must still be what there is.
Stop check_basis(const Step& op, const recipes::Step& step) {
  const auto schema = step.tree.get(part_path(op.name, "schema"));
  if (op.schema != (schema ? schema->stat.mzxid : Zxid())) {
    auto answer = refusal(Code::bad_version, "the schema has just changed: try again");
    answer.is_stale = true;
    return answer;
  }
  if (op.refusal.empty()) return std::nullopt;
  return refusal(Code::schema_refused, op.refusal);
}

Stop check_write(const Step& op, recipes::Step& step) {
  const auto code = step.tree.check_access(path_of(Kind::config, op.name), znode::Permission::write,
                                           step.identities);
  if (code == Code::ok) return std::nullopt;
  return refusal(Code::forbidden, fmt::format("{} may not be changed by this caller", op.name));
}

// Sets a node below the recipe's own, or makes it, with the same ACL.
Stop put_part(const Step& op, recipes::Step& step, const std::string& path, const Blob& value,
              std::string_view content_type) {
  if (step.tree.get(path)) {
    return stop(step.tree.set(path, value, content_type, {}, service_identities()));
  }
  znode::CreateOptions options;
  options.with_parents = true;
  options.content_type = content_type;
  if (const auto* acl = step.tree.acl_of(path_of(Kind::config, op.name))) options.acl = *acl;
  return stop(step.tree.create(path, value, std::move(options), service_identities()));
}

Stop erase_part(recipes::Step& step, const std::string& path) {
  if (!step.tree.get(path)) return std::nullopt;
  return stop(step.tree.erase_tree(path, {}, service_identities()));
}

// The recipe's own node, as the caller: whoever may not write it publishes nothing.
Stop set_state(const Step& op, recipes::Step& step, const State& state, std::string text) {
  const auto path = path_of(Kind::config, op.name);
  const Blob value(text);
  if (state.has_node) return stop(step.tree.set(path, value, {}, {}, step.identities));
  znode::CreateOptions options;
  options.with_parents = true;
  return stop(step.tree.create(path, value, std::move(options), step.identities));
}

// Lets the oldest releases go while there are too many, or too many bytes of them; never `newest`.
Stop trim(const Step& op, recipes::Step& step, std::uint64_t newest) {
  const auto& limits = kConfigLimits;
  std::vector<std::pair<std::string, std::size_t>> all;
  std::size_t bytes = 0;
  const auto directory = part_path(op.name, "releases");
  step.tree.children(directory, {}, {}, [&](std::string_view name, const znode::View& view) {
    all.emplace_back(name, view.stat.data_length);
    bytes += view.stat.data_length;
    return true;
  });
  std::size_t count = all.size();
  for (const auto& [name, size] : all) {
    if (count <= limits.releases_max && bytes <= limits.release_bytes_max) break;
    const auto path = fmt::format("{}/{}", directory, name);
    if (path == release_path(op.name, newest)) break;
    if (auto stopped = erase_part(step, path)) return stopped;
    --count;
    bytes -= size;
  }
  return std::nullopt;
}

Answer publish_value(const Step& op, recipes::Step& step, const State& state, const Blob& value,
                     std::string_view content_type, const Note& note) {
  const auto number = state.last + 1;
  if (auto stopped = set_state(op, step, state, fmt::format("{}", number))) return *stopped;
  const auto path = release_path(op.name, number);
  if (auto stopped = put_part(op, step, path, value, content_type)) return *stopped;
  if (const auto text = text_of(note); !text.empty()) {
    if (auto stopped = put_part(op, step, path + "/note", Blob(text), {})) return *stopped;
  }
  if (auto stopped = trim(op, step, number)) return *stopped;
  return done(state, number, step);
}

Answer publish(const Step& op, recipes::Step& step, const State& state) {
  if (auto stopped = check_basis(op, step)) return *stopped;
  auto note = op.note;
  note.from = 0;
  return publish_value(op, step, state, op.value, op.content_type, note);
}

Answer roll_back(const Step& op, recipes::Step& step, const State& state) {
  if (!state.is_live) return no_config(op.name);
  const auto path = release_path(op.name, op.to);
  const auto release = step.tree.get(path);
  if (!release) return no_release(op.name, state, op.to);
  if (auto stopped = check_basis(op, step)) return *stopped;
  auto note = op.note;
  note.from = op.to;
  const std::string content_type(release->content_type);
  const auto value = step.tree.value_of(path);
  return publish_value(op, step, state, value, content_type, note);
}

// The number stays, so that it is never given again.
Answer erase(const Step& op, recipes::Step& step, const State& state) {
  const bool has_schema = step.tree.get(part_path(op.name, "schema")).has_value();
  if (!state.is_live && !has_schema) return no_config(op.name);
  if (auto stopped = check_write(op, step)) return *stopped;
  for (const auto* part : {"releases", "gray", "schema"}) {
    if (auto stopped = erase_part(step, part_path(op.name, part))) return *stopped;
  }
  if (state.last == 0) {
    if (auto stopped = erase_part(step, path_of(Kind::config, op.name))) return *stopped;
  } else if (auto stopped = set_state(op, step, state, fmt::format("{}{}", kWas, state.last))) {
    return *stopped;
  }
  return done({}, 0, step);
}

Stop check_schema_guard(const Step& op, const std::optional<znode::View>& schema) {
  if (!op.if_schema) return std::nullopt;
  if (!schema) {
    return refusal(Code::precondition_no_node, fmt::format("{} has no schema", op.name));
  }
  if (schema->stat.mzxid == *op.if_schema) return std::nullopt;
  auto answer = refusal(Code::bad_version, fmt::format("the schema of {} has changed", op.name));
  answer.etag = schema->stat.mzxid;
  return answer;
}

Answer set_schema(const Step& op, recipes::Step& step, const State& state) {
  const auto path = part_path(op.name, "schema");
  const auto before = step.tree.get(path);
  if (auto stopped = check_schema_guard(op, before)) return *stopped;
  Item item;
  item.has_schema = before.has_value();
  if (state.has_node) {
    if (auto stopped = check_write(op, step)) return *stopped;
  } else if (auto stopped = set_state(op, step, state, "0")) {
    return *stopped;
  }
  if (auto stopped = put_part(op, step, path, op.value, op.content_type)) return *stopped;
  auto answer = done(state, 0, step, std::move(item));
  answer.etag = step.zxid;
  return answer;
}

Answer erase_schema(const Step& op, recipes::Step& step, const State& state) {
  const auto path = part_path(op.name, "schema");
  const auto schema = step.tree.get(path);
  if (auto stopped = check_schema_guard(op, schema)) return *stopped;
  if (!schema) return refusal(Code::not_found, fmt::format("{} has no schema", op.name));
  if (auto stopped = check_write(op, step)) return *stopped;
  if (auto stopped = erase_part(step, path)) return *stopped;
  if (state.last == 0) {  // Nothing is left of it.
    if (auto stopped = erase_part(step, path_of(Kind::config, op.name))) return *stopped;
  }
  return done(state, 0, step);
}

Answer set_gray(const Step& op, recipes::Step& step, const State& state) {
  if (!state.is_live) return no_config(op.name);
  if (auto stopped = check_write(op, step)) return *stopped;
  if (auto stopped = check_basis(op, step)) return *stopped;
  const auto path = part_path(op.name, "gray");
  Item item;
  item.is_gray = true;
  item.has_gray = step.tree.get(path).has_value();
  if (auto stopped = put_part(op, step, path, op.value, op.content_type)) return *stopped;
  const Blob rule(text_of(op.rule));
  if (auto stopped = put_part(op, step, path + "/rule", rule, {})) return *stopped;
  auto note = op.note;
  note.from = 0;
  if (auto stopped = put_part(op, step, path + "/note", Blob(text_of(note)), {})) return *stopped;
  auto answer = done(state, 0, step, std::move(item));
  answer.etag = Zxid(kGrayTag | step.zxid.value());
  return answer;
}

Answer no_gray(std::string_view name) {
  return refusal(Code::not_found, fmt::format("{} has no gray value", name));
}

Answer erase_gray(const Step& op, recipes::Step& step, const State& state) {
  const auto path = part_path(op.name, "gray");
  if (!step.tree.get(path)) return state.is_live ? no_gray(op.name) : no_config(op.name);
  if (auto stopped = check_write(op, step)) return *stopped;
  if (auto stopped = erase_part(step, path)) return *stopped;
  return done(state, 0, step);
}

Answer promote(const Step& op, recipes::Step& step, const State& state) {
  const auto path = part_path(op.name, "gray");
  const auto gray = step.tree.get(path);
  if (!gray) return state.is_live ? no_gray(op.name) : no_config(op.name);
  if (gray->stat.mzxid != op.gray) {
    auto answer = refusal(Code::bad_version, "the gray value has just changed: try again");
    answer.is_stale = true;
    return answer;
  }
  if (auto stopped = check_basis(op, step)) return *stopped;
  const std::string content_type(gray->content_type);
  const auto value = step.tree.value_of(path);
  auto note = op.note;
  note.from = 0;
  if (const auto told = step.tree.get(path + "/note"); told && note == Note{}) {
    note = note_of(told->value);
  }
  auto answer = publish_value(op, step, state, value, content_type, note);
  if (answer.code != Code::ok) return answer;
  if (auto stopped = erase_part(step, path)) return *stopped;
  return answer;
}

}  // namespace

State state_of(const znode::Tree& tree, std::string_view name) {
  State state;
  const auto node = tree.get(path_of(Kind::config, name));
  if (!node) return state;
  state.has_node = true;
  state.changed = node->stat.mzxid;
  auto text = node->value;
  state.is_live = !text.starts_with(kWas);
  if (!state.is_live) text.remove_prefix(kWas.size());
  std::from_chars(text.data(), text.data() + text.size(), state.last);
  state.is_live = state.is_live && state.last != 0;
  return state;
}

std::string release_path(std::string_view name, std::uint64_t release) {
  return fmt::format("{}/releases/{:010}", path_of(Kind::config, name), release);
}

std::string part_path(std::string_view name, std::string_view part) {
  return fmt::format("{}/{}", path_of(Kind::config, name), part);
}

Answer no_config(std::string_view name) {
  return refusal(Code::not_found, fmt::format("there is no configuration {}", name));
}

Answer no_release(std::string_view name, const State& state, std::uint64_t release) {
  if (!state.is_live) return no_config(name);
  if (release == 0 || release > state.last) {
    return refusal(Code::not_found, fmt::format("{} has no release {}: the newest is {}", name,
                                                release, state.last));
  }
  return refusal(Code::release_trimmed,
                 fmt::format("release {} of {} is not kept any more", release, name));
}

Answer run(std::string_view bytes, recipes::Step& step) {
  Step op;
  COORD_CHECK(decode(bytes, op), "a step that runs decodes");
  const auto state = state_of(step.tree, op.name);
  if (auto stopped = check_guards(op, state)) return *stopped;
  switch (op.act) {
    case Act::publish:
      return publish(op, step, state);
    case Act::roll_back:
      return roll_back(op, step, state);
    case Act::erase:
      return erase(op, step, state);
    case Act::set_schema:
      return set_schema(op, step, state);
    case Act::erase_schema:
      return erase_schema(op, step, state);
    case Act::set_gray:
      return set_gray(op, step, state);
    case Act::erase_gray:
      return erase_gray(op, step, state);
    case Act::promote:
      return promote(op, step, state);
  }
  return refusal(Code::internal, "no such act");
}

}  // namespace coord::recipes::config
