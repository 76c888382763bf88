#include "api/json.hpp"

#include <array>

#include "api/text.hpp"
#include "coord/recipes/recipe.hpp"
#include "znode/path.hpp"

namespace coord::api {
namespace {

constexpr std::array<bool, 256> needs_escape() {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 0x20; ++c) table[c] = true;
  table['"'] = table['\\'] = true;
  return table;
}
constexpr auto kNeedsEscape = needs_escape();

void append_escaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (!kNeedsEscape[c]) [[likely]] {
      continue;
    }
    out.append(text, start, i - start);
    start = i + 1;
    out += '\\';
    switch (c) {
      case '"':
      case '\\':
        out += static_cast<char>(c);
        break;
      case '\n':
        out += 'n';
        break;
      case '\r':
        out += 'r';
        break;
      case '\t':
        out += 't';
        break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(text, start, text.size() - start);
}

// How many bytes at the start of `text` are one character of valid UTF-8; 0 if none is.
std::size_t valid_character(std::string_view text) noexcept {
  for (std::size_t n = 1; n <= 4 && n <= text.size(); ++n) {
    if (znode::is_valid_utf8(text.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  if (znode::is_valid_utf8(text)) {
    append_escaped(out, text);
  } else {
    while (!text.empty()) {
      const auto n = valid_character(text);
      if (n == 0) {
        out += "\xEF\xBF\xBD";
        text.remove_prefix(1);
      } else {
        append_escaped(out, text.substr(0, n));
        text.remove_prefix(n);
      }
    }
  }
  out += '"';
}

std::string& JsonObject::name(std::string_view name) {
  if (!is_first_) out_ += ',';
  is_first_ = false;
  out_ += '"';
  out_ += name;
  out_ += "\":";
  return out_;
}
JsonObject& JsonObject::text(std::string_view field, std::string_view value) {
  append_json_string(name(field), value);
  return *this;
}
JsonObject& JsonObject::number(std::string_view field, std::uint64_t value) {
  append_number(name(field), value);
  return *this;
}
JsonObject& JsonObject::whole(std::string_view field, std::int64_t value) {
  append_signed(name(field), value);
  return *this;
}
JsonObject& JsonObject::boolean(std::string_view field, bool value) {
  name(field) += value ? "true" : "false";
  return *this;
}
JsonObject& JsonObject::null(std::string_view field) {
  name(field) += "null";
  return *this;
}
JsonObject& JsonObject::time(std::string_view field, std::int64_t wall_ms) {
  name(field) += '"';
  append_rfc3339(out_, wall_ms);
  out_ += '"';
  return *this;
}
JsonObject& JsonObject::id(std::string_view field, std::uint64_t value) {
  if (value == 0) return null(field);
  name(field) += '"';
  append_number(out_, value);
  out_ += '"';
  return *this;
}
JsonObject& JsonObject::value(std::string_view field, std::string_view encoding_name,
                              const Blob& value) {
  if (value.is_null()) {
    null(field);
    return text(encoding_name, "utf8");
  }
  const auto bytes = value.view();
  name(field) += '"';
  if (znode::is_valid_utf8(bytes)) {
    append_escaped(out_, bytes);
    out_ += '"';
    return text(encoding_name, "utf8");
  }
  append_base64(out_, bytes);
  out_ += '"';
  return text(encoding_name, "base64");
}
JsonObject& JsonObject::stat(std::string_view field, const znode::Stat& stat) {
  append_json_stat(name(field), stat);
  return *this;
}

std::string_view word_of(znode::Mode mode) noexcept {
  switch (mode) {
    case znode::Mode::persistent:
      return "persistent";
    case znode::Mode::ephemeral:
      return "ephemeral";
    case znode::Mode::container:
      return "container";
    case znode::Mode::ttl:
      return "ttl";
  }
  return "persistent";
}

std::string_view word_of(znode::ChangeKind kind) noexcept {
  switch (kind) {
    case znode::ChangeKind::created:
      return "created";
    case znode::ChangeKind::changed:
      return "changed";
    case znode::ChangeKind::deleted:
      return "deleted";
    case znode::ChangeKind::acl:
      return "acl";
  }
  return "changed";
}

std::string_view word_of(core::Consistency consistency) noexcept {
  switch (consistency) {
    case core::Consistency::linearizable:
      return "linearizable";
    case core::Consistency::leader:
      return "leader";
    case core::Consistency::local:
      return "local";
  }
  return "linearizable";
}

void append_json_stat(std::string& out, const znode::Stat& stat) {
  JsonObject object(out);
  object.number("czxid", stat.czxid.value())
      .number("mzxid", stat.mzxid.value())
      .number("pzxid", stat.pzxid.value())
      .time("ctime", stat.ctime_ms)
      .time("mtime", stat.mtime_ms)
      .whole("version", stat.version)
      .whole("cversion", stat.cversion)
      .whole("aversion", stat.aversion)
      .id("ephemeral_owner", stat.ephemeral_owner.value())
      .number("data_length", stat.data_length)
      .number("num_children", stat.num_children)
      .text("mode", word_of(stat.mode));
  if (stat.mode == znode::Mode::ttl) object.whole("ttl_ms", stat.ttl_ms);
  object.close();
}

void append_stat_header(std::string& out, const znode::Stat& stat) {
  out += "czxid=";
  append_number(out, stat.czxid.value());
  out += ", mzxid=";
  append_number(out, stat.mzxid.value());
  out += ", version=";
  append_signed(out, stat.version);
  out += ", pzxid=";
  append_number(out, stat.pzxid.value());
  out += ", ctime=";
  append_rfc3339(out, stat.ctime_ms);
  out += ", mtime=";
  append_rfc3339(out, stat.mtime_ms);
  out += ", cversion=";
  append_signed(out, stat.cversion);
  out += ", aversion=";
  append_signed(out, stat.aversion);
  if (stat.ephemeral_owner) {
    out += ", ephemeral_owner=";
    append_number(out, stat.ephemeral_owner.value());
  }
  out += ", data_length=";
  append_number(out, stat.data_length);
  out += ", num_children=";
  append_number(out, stat.num_children);
  out += ", mode=";
  out += word_of(stat.mode);
  if (stat.mode == znode::Mode::ttl) {
    out += ", ttl_ms=";
    append_signed(out, stat.ttl_ms);
  }
}

void append_json_change(std::string& out, const znode::Change& change, Zxid revision,
                        const ChangeForm& form) {
  JsonObject object(out);
  object.text("type", word_of(change.kind)).text("path", change.path);
  object.number("revision", revision.value());
  const bool is_deleted = change.kind == znode::ChangeKind::deleted;
  if (form.with_value && !is_deleted && change.kind != znode::ChangeKind::acl) {
    object.value("value", "encoding", change.value);
    if (!change.content_type.empty()) object.text("content_type", change.content_type);
  }
  object.whole("version", change.stat.version);
  if (form.with_prev && change.kind != znode::ChangeKind::created && !form.is_initial) {
    object.value("prev_value", "prev_encoding", change.prev_value);
    object.whole("prev_version", change.prev_stat.version);
  }
  if (change.stat.ephemeral_owner) {
    object.id("ephemeral_owner", change.stat.ephemeral_owner.value());
  }
  if (form.is_initial) object.boolean("initial", true);
  object.close();
}

void append_json_history(std::string& out, const core::HistoryEntry& entry) {
  JsonObject object(out);
  object.number("revision", entry.zxid.value()).time("time", entry.wall_ms);
  object.text("kind", word_of(entry.change.kind)).id("session", entry.change.session.value());
  object.whole("version", entry.change.stat.version);
  if (entry.change.kind == znode::ChangeKind::created ||
      entry.change.kind == znode::ChangeKind::changed) {
    object.value("value", "encoding", entry.change.value);
    if (!entry.change.content_type.empty()) {
      object.text("content_type", entry.change.content_type);
    }
  }
  object.close();
}

void append_json_child(std::string& out, const core::ChildEntry& child, bool with_values) {
  JsonObject object(out);
  object.text("name", child.name);
  if (with_values) object.value("value", "encoding", child.node.value);
  object.stat("stat", child.node.stat).close();
}

void append_json_walk_entry(std::string& out, const core::WalkEntry& entry, bool with_values,
                            bool with_acl) {
  JsonObject object(out);
  object.text("path", entry.path);
  if (with_values) object.value("value", "encoding", entry.node.value);
  if (with_acl) append_json_acl(object.name("acl"), entry.acl);
  object.stat("stat", entry.node.stat).close();
}

void append_json_acl(std::string& out, const znode::Acl& acl) {
  constexpr std::array<std::pair<std::uint8_t, std::string_view>, 5> kWords = {{
      {znode::read, "read"},
      {znode::write, "write"},
      {znode::create, "create"},
      {znode::erase, "delete"},
      {znode::admin, "admin"},
  }};
  out += '[';
  bool is_first = true;
  for (const auto& entry : acl) {
    if (!is_first) out += ',';
    is_first = false;
    JsonObject object(out);
    object.text("scheme", entry.scheme).text("id", entry.id);
    object.name("permissions") += '[';
    bool is_first_word = true;
    for (const auto& [bit, word] : kWords) {
      if ((entry.permissions & bit) == 0) continue;
      if (!is_first_word) out += ',';
      is_first_word = false;
      append_json_string(out, word);
    }
    out += ']';
    object.close();
  }
  out += ']';
}

namespace {

// The nodes of a session, and the locks whose tickets are among them. Null: too many for a list.
void append_ephemerals(JsonObject& object, std::string& out, const core::SessionView& session) {
  const auto& paths = session.ephemerals;
  if (paths.empty() && session.ephemeral_count > 0) {
    object.null("ephemerals").null("locks");
    return;
  }
  object.name("ephemerals") += '[';
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, paths[i]);
  }
  out += ']';
  object.name("locks") += '[';
  const auto top = recipes::path_of(recipes::Kind::lock, "");
  std::string_view last;
  for (const std::string_view path : paths) {
    if (!path.starts_with(top)) continue;
    const auto name = path.substr(top.size(), path.find('/', top.size()) - top.size());
    if (name == last) continue;  // Another ticket of the same lock: paths are sorted.
    if (!last.empty()) out += ',';
    append_json_string(out, name);
    last = name;
  }
  out += ']';
}

}  // namespace

void append_json_session(std::string& out, const core::SessionView& session) {
  JsonObject object(out);
  object.id("id", session.id.value()).text("name", session.name).text("address", session.address);
  object.whole("ttl_ms", session.ttl_ms);
  if (session.remaining_ms) {
    object.whole("remaining_ms", *session.remaining_ms);
  } else {
    object.null("remaining_ms");
  }
  object.time("opened", session.opened_ms);
  append_ephemerals(object, out, session);
  object.number("ephemeral_count", session.ephemeral_count);
  object.number("watches", session.watch_count).close();
}

void append_json_txn_results(std::string& out, const core::TxnResult& result,
                             std::span<const std::string_view> names) {
  constexpr std::array<std::string_view, 6> kOps = {"get",    "children", "check",
                                                    "create", "set",      "delete"};
  out += '[';
  for (std::size_t i = 0; i < result.results.size(); ++i) {
    const auto& one = result.results[i];
    if (i > 0) out += ',';
    JsonObject object(out);
    const auto op = one.op < kOps.size() ? kOps[one.op] : std::string_view("unknown");
    object.text("op", i < names.size() ? names[i] : op).text("path", one.path);
    if (one.code != Code::ok) object.text("code", coord::word_of(one.code));
    if (op == "get") {
      object.value("value", "encoding", one.value);
      if (!one.content_type.empty()) object.text("content_type", one.content_type);
    }
    if (op == "children") {
      object.name("children") += '[';
      for (std::size_t j = 0; j < one.children.size(); ++j) {
        if (j > 0) out += ',';
        append_json_string(out, one.children[j]);
      }
      out += ']';
    }
    if (op != "delete") object.stat("stat", one.stat);
    object.close();
  }
  out += ']';
}

void append_json_status(std::string& out, const core::Status& status, std::string_view version) {
  JsonObject object(out);
  object.number("id", status.member.value()).text("cluster", status.cluster);
  object.text("role", status.role);
  if (status.leader) {
    object.number("leader", status.leader.value());
  } else {
    object.null("leader");
  }
  object.number("term", status.term.value()).number("last", status.last.value());
  object.number("committed", status.committed.value()).number("applied", status.applied.value());
  object.number("checkpointed", status.checkpointed.value());
  {
    JsonObject digest(object.name("digest"));
    digest.number("revision", status.applied.value());
    digest.name("value") += '"';
    append_hex(out, status.digest);
    out += '"';
    digest.close();
  }
  object.number("nodes", status.nodes).number("value_bytes", status.value_bytes);
  object.number("sessions", status.sessions).number("watches", status.watches);
  object.number("connections", status.connections).boolean("ready", status.is_ready);
  object.whole("uptime_ms", status.uptime_ms).text("version", version);
  object.number("revision", status.applied.value()).close();
}

}  // namespace coord::api
