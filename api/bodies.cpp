#include "api/bodies.hpp"

#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "api/text.hpp"
#include "znode/path.hpp"

namespace coord::api {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 100;

Problem bad(std::string detail) { return {Code::bad_request, std::move(detail), {}, {}}; }

// The depth of brackets outside of strings: bounded before the parser and the recursive functions
// of the library see the text.
bool is_too_deep(std::string_view text) noexcept {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDepthMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

Problem parse(std::string_view text, Json& out) {
  if (is_too_deep(text)) {
    return bad(fmt::format("the JSON is nested more than {} levels deep", kDepthMax));
  }
  out = Json::parse(text.begin(), text.end(), nullptr, false);
  if (out.is_discarded()) return bad("the body is not valid JSON");
  return {};
}

Problem parse_object(std::string_view text, Json& out) {
  if (trim(text).empty()) {
    out = Json::object();
    return {};
  }
  if (auto problem = parse(text, out)) return problem;
  if (!out.is_object()) return bad("the body must be a JSON object");
  return {};
}

// Takes the fields of one JSON object, by name; what is left over at the end is unknown.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(fmt::format("{} must be an object", where_));
  }

  const Json* find(std::string_view name) {
    if (!object_.is_object()) return nullptr;
    const auto at = object_.find(name);
    if (at == object_.end()) return nullptr;
    ++taken_;
    return &*at;
  }
  std::optional<std::string> text(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_string()) return wrong<std::string>(name, "a string");
    return field->get<std::string>();
  }
  std::optional<bool> boolean(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_boolean()) return wrong<bool>(name, "true or false");
    return field->get<bool>();
  }
  std::optional<std::uint64_t> count(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_number_unsigned()) return wrong<std::uint64_t>(name, "a whole number");
    return field->get<std::uint64_t>();
  }
  std::optional<std::int64_t> whole(std::string_view name) {
    const auto* field = find(name);
    if (field == nullptr) return std::nullopt;
    if (!field->is_number_integer() ||
        (field->is_number_unsigned() && field->get<std::uint64_t>() > INT64_MAX)) {
      return wrong<std::int64_t>(name, "a whole number");
    }
    return field->get<std::int64_t>();
  }
  // ttl ("30s") or ttl_ms.
  std::optional<std::int64_t> duration(std::string_view name, std::string_view name_ms) {
    const auto as_text = text(name);
    const auto as_ms = whole(name_ms);
    if (!as_text) return as_ms;
    const auto parsed = parse_duration_ms(*as_text);
    if (!parsed) return wrong<std::int64_t>(name, "a duration like \"30s\"");
    if (as_ms) return wrong<std::int64_t>(name, "given once, not with its _ms form too");
    return parsed;
  }
  std::string path(bool may_end_in_slash = false) {
    auto value = text("path");
    if (!value) {
      fail(fmt::format("{} needs a \"path\"", where_));
      return {};
    }
    std::string_view checked = *value;
    if (may_end_in_slash && checked.size() > 1 && checked.ends_with('/')) checked.remove_suffix(1);
    if (auto wrong_path = znode::path_error(checked); !wrong_path.empty()) {
      fail(fmt::format("{}: {}", where_, wrong_path));
    }
    return std::move(*value);
  }
  // "value" with "encoding"; null is null data.
  std::optional<Blob> value() {
    const auto encoding = text("encoding").value_or("utf8");
    const auto* field = find("value");
    if (field == nullptr) return std::nullopt;
    if (field->is_null()) return Blob();
    if (!field->is_string()) return wrong<Blob>("value", "a string or null");
    const auto& plain = field->get_ref<const std::string&>();
    if (encoding == "utf8" || encoding == "utf-8") return Blob(plain);
    if (encoding != "base64") return wrong<Blob>("encoding", "\"utf8\" or \"base64\"");
    const auto bytes = base64_decode(plain);
    if (!bytes) return wrong<Blob>("value", "valid base64");
    return Blob(*bytes);
  }
  core::WriteGuard guard() {
    core::WriteGuard guard;
    if (const auto version = whole("version")) {
      if (*version < INT32_MIN || *version > INT32_MAX) {
        fail(fmt::format("{}: \"version\" is out of range", where_));
      }
      guard.version = static_cast<std::int32_t>(*version);
    }
    if (const auto mzxid = count("mzxid")) guard.mzxid = Zxid(*mzxid);
    return guard;
  }
  void fail(std::string detail) {
    if (!problem_) problem_ = bad(std::move(detail));
  }
  // Call last: fails on a field that nobody took.
  Problem finish(std::initializer_list<std::string_view> known) {
    if (!problem_ && object_.is_object() && taken_ < object_.size()) {
      for (const auto& [name, field] : object_.items()) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
          const auto near = nearest(name, std::span(known.begin(), known.size()));
          fail(fmt::format("{} has no field \"{}\"{}", where_, name,
                           near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
          break;
        }
      }
    }
    return std::move(problem_);
  }

 private:
  template <class T>
  std::optional<T> wrong(std::string_view name, std::string_view wanted) {
    fail(fmt::format("{}: \"{}\" must be {}", where_, name, wanted));
    return std::nullopt;
  }
  const Json& object_;
  std::string where_;
  std::size_t taken_ = 0;
  Problem problem_;
};

Problem parse_compare(const Json& json, std::size_t index, core::Compare& out) {
  Fields fields(json, fmt::format("compare[{}]", index));
  if (const auto fence = fields.text("fence")) {
    std::vector<core::Fence> fences;
    if (!parse_fences(*fence, 1, fences) || fences.empty()) {
      fields.fail(fmt::format("compare[{}]: \"fence\" must be like \"jobs=57\"", index));
    } else {
      out.fence = std::move(fences.front());
    }
    return fields.finish({"fence"});
  }
  out.path = fields.path();
  out.exists = fields.boolean("exists");
  auto guard = fields.guard();
  out.mzxid = guard.mzxid;
  out.version = guard.version;
  out.value = fields.value();
  if (!out.exists && !out.mzxid && !out.version && !out.value) {
    fields.fail(
        fmt::format("compare[{}] compares nothing: exists, version, mzxid or value", index));
  }
  return fields.finish({"path", "exists", "mzxid", "version", "value", "encoding"});
}

Problem parse_create(Fields& fields, core::TxnOp& out) {
  core::Create create;
  create.is_sequential = fields.boolean("sequential").value_or(false);
  create.path = fields.path(create.is_sequential);
  create.value = fields.value().value_or(Blob());
  create.content_type = fields.text("content_type").value_or("");
  create.with_parents = fields.boolean("parents").value_or(false);
  create.ttl_ms = fields.duration("ttl", "ttl_ms").value_or(0);
  const auto mode = fields.text("mode");
  if (mode) {
    const auto parsed = parse_mode(*mode);
    if (!parsed) fields.fail(fmt::format("there is no mode \"{}\"", *mode));
    create.mode = parsed.value_or(znode::Mode::persistent);
  }
  if (create.ttl_ms < 0) fields.fail("\"ttl_ms\" must not be negative");
  if (create.ttl_ms > 0 && !mode) create.mode = znode::Mode::ttl;
  if ((create.ttl_ms > 0) != (create.mode == znode::Mode::ttl)) {
    fields.fail("a ttl goes with mode \"ttl\" or with none");
  }
  out = std::move(create);
  return fields.finish({"op", "path", "value", "encoding", "content_type", "mode", "sequential",
                        "parents", "ttl", "ttl_ms"});
}

Problem parse_op(const Json& json, std::string where, core::TxnOp& out, std::string_view& name) {
  Fields fields(json, where);
  const auto op = fields.text("op").value_or("");
  if (op == "get") {
    name = "get";
    out = core::TxnGet{fields.path()};
    return fields.finish({"op", "path"});
  }
  if (op == "children") {
    name = "children";
    core::TxnChildren children{fields.path(), 1000};
    const auto limit = fields.count("limit").value_or(1000);
    if (limit == 0 || limit > 10'000) fields.fail(where + ": \"limit\" must be 1 to 10000");
    children.limit = static_cast<std::uint32_t>(limit);
    out = std::move(children);
    return fields.finish({"op", "path", "limit"});
  }
  if (op == "check") {
    name = "check";
    core::Check check{fields.path(), fields.guard()};
    out = std::move(check);
    return fields.finish({"op", "path", "version", "mzxid"});
  }
  if (op == "create") {
    name = "create";
    return parse_create(fields, out);
  }
  if (op == "set") {
    name = "set";
    core::Set set;
    set.path = fields.path();
    set.value = fields.value().value_or(Blob());
    set.content_type = fields.text("content_type").value_or("");
    set.guard = fields.guard();
    out = std::move(set);
    return fields.finish({"op", "path", "value", "encoding", "content_type", "version", "mzxid"});
  }
  if (op == "delete" || op == "delete-tree") {
    name = op == "delete" ? "delete" : "delete-tree";
    core::Delete erase;
    erase.path = fields.path();
    erase.is_recursive = op == "delete-tree";
    erase.guard = fields.guard();
    out = std::move(erase);
    return fields.finish({"op", "path", "version", "mzxid"});
  }
  return bad(fmt::format(
      "{}: \"op\" must be get, children, check, create, set, delete or delete-tree", where));
}

Problem parse_ops(const Json& root, std::string_view branch, std::vector<core::TxnOp>& out,
                  std::vector<std::string_view>& names) {
  const auto at = root.find(branch);
  if (at == root.end()) return {};
  if (!at->is_array()) return bad(fmt::format("\"{}\" must be a list", branch));
  out.reserve(at->size());
  names.reserve(at->size());
  for (std::size_t i = 0; i < at->size(); ++i) {
    auto where = fmt::format("{}[{}]", branch, i);
    if (auto problem =
            parse_op((*at)[i], std::move(where), out.emplace_back(), names.emplace_back())) {
      return problem;
    }
  }
  return {};
}

}  // namespace

bool parse_fences(std::string_view text, std::size_t most, std::vector<core::Fence>& out) {
  while (true) {
    const auto end = text.find(',');
    auto item = trim(text.substr(0, end));
    core::Fence fence;
    if (item.starts_with("election:")) {
      fence.kind = core::Fence::Kind::election;
      item.remove_prefix(9);
    } else if (item.starts_with("lock:")) {
      item.remove_prefix(5);
    }
    const auto equals = item.rfind('=');
    if (equals == std::string_view::npos || equals == 0 || out.size() >= most) return false;
    const auto token = parse_u64(item.substr(equals + 1));
    if (!token) return false;
    fence.name = item.substr(0, equals);
    fence.token = *token;
    out.push_back(std::move(fence));
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

std::optional<znode::Mode> parse_mode(std::string_view text) noexcept {
  if (text == "persistent") return znode::Mode::persistent;
  if (text == "ephemeral") return znode::Mode::ephemeral;
  if (text == "container") return znode::Mode::container;
  if (text == "ttl") return znode::Mode::ttl;
  return std::nullopt;
}

Problem parse_txn(std::string_view body, const HttpOptions& options, Plan& plan) {
  if (trim(body).empty()) return bad("a transaction is a JSON object with compare, then, else");
  Json root;
  if (auto problem = parse_object(body, root)) return problem;
  Fields fields(root, "the transaction");
  if (auto problem = fields.finish({"compare", "then", "else"})) return problem;
  core::Txn txn;
  if (const auto at = root.find("compare"); at != root.end()) {
    if (!at->is_array()) return bad("\"compare\" must be a list");
    if (at->size() > options.requests.txn_ops_max) {
      return {Code::too_large, "too many comparisons", {}, options.requests.txn_ops_max};
    }
    for (std::size_t i = 0; i < at->size(); ++i) {
      if (auto problem = parse_compare((*at)[i], i, txn.compare.emplace_back())) return problem;
    }
  }
  for (const auto* branch : {"then", "else"}) {
    const auto at = root.find(branch);
    if (at != root.end() && at->is_array() && at->size() > options.requests.txn_ops_max) {
      return {
          Code::too_large,
          fmt::format("\"{}\" has more than {} operations", branch, options.requests.txn_ops_max),
          {},
          options.requests.txn_ops_max};
    }
  }
  if (auto problem = parse_ops(root, "then", txn.then, plan.then_names)) return problem;
  if (auto problem = parse_ops(root, "else", txn.otherwise, plan.otherwise_names)) return problem;
  plan.request.op = std::move(txn);
  return {};
}

Problem parse_session(std::string_view body, core::OpenSession& out) {
  Json root;
  if (auto problem = parse_object(body, root)) return problem;
  Fields fields(root, "the body");
  if (const auto ttl = fields.duration("ttl", "ttl_ms")) out.ttl_ms = *ttl;
  if (auto name = fields.text("name")) out.name = std::move(*name);
  return fields.finish({"ttl", "ttl_ms", "name"});
}

Problem parse_acl(std::string_view body, znode::Acl& out) {
  Json root;
  if (auto problem = parse(body, root)) return problem;
  const Json* list = &root;
  if (root.is_object()) {
    if (root.size() != 1 || !root.contains("acl")) return bad("the body must have one field, acl");
    list = &root["acl"];
  }
  if (!list->is_array()) return bad("an ACL is a list of entries");
  constexpr std::array<std::pair<std::string_view, std::uint8_t>, 6> kWords = {{
      {"read", znode::read},
      {"write", znode::write},
      {"create", znode::create},
      {"delete", znode::erase},
      {"admin", znode::admin},
      {"all", znode::all},
  }};
  constexpr std::string_view kLetters = "rwcda";
  for (std::size_t i = 0; i < list->size(); ++i) {
    Fields fields((*list)[i], fmt::format("entry {}", i));
    znode::AclEntry entry;
    entry.scheme = fields.text("scheme").value_or("");
    entry.id = fields.text("id").value_or("");
    const auto* permissions = fields.find("permissions");
    if (permissions != nullptr && permissions->is_string()) {
      for (const char c : permissions->get_ref<const std::string&>()) {
        const auto at = kLetters.find(c);
        if (at == std::string_view::npos) fields.fail("permissions are letters of \"cdrwa\"");
        if (at != std::string_view::npos) entry.permissions |= static_cast<std::uint8_t>(1U << at);
      }
    } else if (permissions != nullptr && permissions->is_array()) {
      for (const auto& word : *permissions) {
        const auto text = word.is_string() ? word.get<std::string>() : std::string();
        const auto* found = std::find_if(kWords.begin(), kWords.end(),
                                         [&](const auto& known) { return known.first == text; });
        if (found == kWords.end()) {
          fields.fail("permissions are read, write, create, delete, admin, all");
        } else {
          entry.permissions |= found->second;
        }
      }
    } else {
      fields.fail(fmt::format("entry {} needs \"permissions\"", i));
    }
    if (auto problem = fields.finish({"scheme", "id", "permissions"})) return problem;
    out.push_back(std::move(entry));
  }
  return {};
}

Problem parse_quota(std::string_view body, core::SetQuota& out) {
  Json root;
  if (auto problem = parse_object(body, root)) return problem;
  Fields fields(root, "the quota");
  for (auto [name, bound] : {std::pair{"nodes", &out.nodes_max}, {"bytes", &out.bytes_max}}) {
    const auto at = root.find(name);
    if (at != root.end() && at->is_null()) continue;
    if (const auto value = fields.count(name)) *bound = *value;
  }
  return fields.finish({"nodes", "bytes"});
}

Problem parse_member(std::string_view body, MemberFields& out) {
  Json root;
  if (auto problem = parse_object(body, root)) return problem;
  Fields fields(root, "the body");
  out.id = fields.count("id");
  out.peer = fields.text("peer").value_or("");
  out.role = fields.text("role").value_or("");
  out.replaces = fields.count("replaces");
  out.to = fields.count("to");
  out.dry_run = fields.boolean("dry_run").value_or(false);
  return fields.finish({"id", "peer", "role", "replaces", "to", "dry_run"});
}

Problem merge_patch(std::string_view value, std::string_view patch, std::string& out) {
  Json target;
  if (trim(value).empty()) {
    target = Json::object();
  } else if (parse(value, target)) {
    return {Code::invalid, "the present value is not JSON", {}, {}};
  }
  Json change;
  if (auto problem = parse(patch, change)) return problem;
  target.merge_patch(change);
  out = target.dump();
  return {};
}

Problem check_json(std::string_view text) {
  Json ignored;
  return parse(text, ignored);
}

}  // namespace coord::api
