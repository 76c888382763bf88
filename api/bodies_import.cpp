// The bodies of /v1/imports.
#include "api/bodies.hpp"
#include "api/json_fields.hpp"

namespace coord::api {
namespace {

std::int32_t take_version(JsonFields& fields, std::string_view name, const std::string& where) {
  const auto version = fields.whole(name).value_or(0);
  if (version < INT32_MIN || version > INT32_MAX) {
    fields.fail(fmt::format("{}: \"{}\" is out of range", where, name));
    return 0;
  }
  return static_cast<std::int32_t>(version);
}

Problem parse_node(const Json& json, const std::string& where, core::ImportedNode& out) {
  JsonFields fields(json, where);
  out.path = fields.path();
  out.is_deleted = fields.boolean("deleted").value_or(false);
  if (out.is_deleted) return fields.finish({"path", "deleted"});
  out.value = fields.value().value_or(Blob());
  if (const auto* acl = fields.find("acl")) {
    if (auto problem = parse_acl_list(*acl, out.as.acl)) {
      problem.detail = fmt::format("{}: {}", where, problem.detail);
      return problem;
    }
  } else {
    out.as.acl = znode::open_acl();
  }
  const auto mode = parse_mode(fields.text("mode").value_or("persistent"));
  if (!mode || *mode == znode::Mode::ephemeral) {
    fields.fail(fmt::format("{}: \"mode\" must be persistent, container or ttl", where));
  }
  out.as.mode = mode.value_or(znode::Mode::persistent);
  out.as.ttl_ms = fields.whole("ttl_ms").value_or(0);
  if ((out.as.mode == znode::Mode::ttl) != (out.as.ttl_ms > 0)) {
    fields.fail(
        fmt::format("{}: mode \"ttl\" has a \"ttl_ms\" above zero, no other has one", where));
  }
  out.as.version = take_version(fields, "version", where);
  out.as.aversion = take_version(fields, "aversion", where);
  out.as.created = fields.count("children_created").value_or(0);
  out.as.ctime_ms = fields.whole("ctime_ms").value_or(0);
  out.as.mtime_ms = fields.whole("mtime_ms").value_or(0);
  return fields.finish({"path", "deleted", "value", "encoding", "acl", "mode", "ttl_ms", "version",
                        "aversion", "children_created", "ctime_ms", "mtime_ms"});
}

}  // namespace

Problem parse_import(std::string_view body, const HttpOptions& options, core::ImportNodes& out) {
  for (std::size_t number = 1; !body.empty(); ++number) {
    const auto end = std::min(body.find('\n'), body.size());
    const auto line = trim(body.substr(0, end));
    body.remove_prefix(std::min(end + 1, body.size()));
    if (line.empty()) continue;
    if (out.nodes.size() >= options.requests.txn_ops_max) {
      return {Code::too_large, "too many nodes for one import", {}, options.requests.txn_ops_max};
    }
    const auto where = fmt::format("line {}", number);
    Json json;
    if (auto problem = parse(line, json)) {
      problem.detail = fmt::format("{}: {}", where, problem.detail);
      return problem;
    }
    if (auto problem = parse_node(json, where, out.nodes.emplace_back())) return problem;
  }
  if (out.nodes.empty()) return bad("an import has a line of JSON for each node");
  return {};
}

}  // namespace coord::api
