#include "api/bodies.hpp"

#include <fmt/format.h>

#include <array>

#include "api/json_fields.hpp"
#include "api/text.hpp"

namespace coord::api {
namespace {

// The digits of a number that say something: "-0.0120e5" -> "12".
std::string digits_of(std::string_view number) {
  std::string digits;
  for (const char c : number.substr(0, number.find_first_of("eE"))) {
    if (c >= '0' && c <= '9' && !(digits.empty() && c == '0')) digits += c;
  }
  digits.resize(digits.find_last_not_of('0') + 1);
  return digits;
}

// Finds a number that would not be written as it was read: it is no integer of 64 bits, and has
// more digits than a double holds.
class RoundedNumber : public nlohmann::json_sax<Json> {
 public:
  std::string text;  // Empty: there is none.

  bool number_float(double value, const std::string& number) override {
    if (digits_of(Json(value).dump()) != digits_of(number)) text = number;
    return text.empty();
  }
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(std::int64_t /*value*/) override { return true; }
  bool number_unsigned(std::uint64_t /*value*/) override { return true; }
  bool string(std::string& /*value*/) override { return true; }
  bool binary(Json::binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*size*/) override { return true; }
  bool key(std::string& /*name*/) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t /*size*/) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t /*at*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*why*/) override {
    return false;
  }
};

Problem parse_compare(const Json& json, std::size_t index, core::Compare& out) {
  JsonFields fields(json, fmt::format("compare[{}]", index));
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

Problem parse_create(JsonFields& fields, core::TxnOp& out) {
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
  JsonFields fields(json, where);
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

// What no state would take.
Problem check_size(const core::TxnOp& op, const std::string& where, const HttpOptions& options) {
  const Blob* value = nullptr;
  if (const auto* create = std::get_if<core::Create>(&op)) value = &create->value;
  if (const auto* set = std::get_if<core::Set>(&op)) value = &set->value;
  if (value == nullptr || value->view().size() <= options.body_bytes_max) return {};
  return {Code::too_large,
          fmt::format("{}: the value has more than {} bytes", where, options.body_bytes_max),
          {},
          options.body_bytes_max};
}

Problem parse_ops(const Json& root, std::string_view branch, const HttpOptions& options,
                  std::vector<core::TxnOp>& out, std::vector<std::string_view>& names) {
  const auto at = root.find(branch);
  if (at == root.end()) return {};
  if (!at->is_array()) return bad(fmt::format("\"{}\" must be a list", branch));
  out.reserve(at->size());
  names.reserve(at->size());
  for (std::size_t i = 0; i < at->size(); ++i) {
    const auto where = fmt::format("{}[{}]", branch, i);
    auto problem = parse_op((*at)[i], where, out.emplace_back(), names.emplace_back());
    if (!problem) problem = check_size(out.back(), where, options);
    if (problem) {
      problem.branch = branch;
      problem.op = i;
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
  JsonFields fields(root, "the transaction");
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
  if (auto problem = parse_ops(root, "then", options, txn.then, plan.then_names)) return problem;
  if (auto problem = parse_ops(root, "else", options, txn.otherwise, plan.otherwise_names)) {
    return problem;
  }
  plan.request.op = std::move(txn);
  return {};
}

Problem parse_session(std::string_view body, core::OpenSession& out) {
  Json root;
  if (auto problem = parse_object(body, root)) return problem;
  JsonFields fields(root, "the body");
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
  return parse_acl_list(*list, out);
}

Problem parse_quota(std::string_view body, core::SetQuota& out) {
  Json root;
  if (auto problem = parse_object(body, root)) return problem;
  JsonFields fields(root, "the quota");
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
  JsonFields fields(root, "the body");
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
  RoundedNumber rounded;
  for (const auto text : {trim(value), patch}) {
    if (!text.empty()) Json::sax_parse(text, &rounded);
    if (rounded.text.empty()) continue;
    return {Code::invalid,
            fmt::format("the number {} would be rounded: PUT the whole value instead",
                        rounded.text.substr(0, 64)),
            {},
            {}};
  }
  target.merge_patch(change);
  out = target.dump();
  return {};
}

Problem check_json(std::string_view text) {
  Json ignored;
  return parse(text, ignored);
}

}  // namespace coord::api
