#include <fmt/format.h>

#include <algorithm>

#include "api/bodies.hpp"
#include "api/plan_parts.hpp"
#include "api/recipe_route.hpp"
#include "znode/path.hpp"

namespace coord::api {
namespace {

// The argument of "{path}", which lacks its leading slash.
Problem take_path(const PlanInput& in, Plan& plan) {
  plan.path.assign(1, '/');
  plan.path += in.argument;
  auto wrong = znode::path_error(plan.path);
  if (!wrong.empty()) return bad_request(std::move(wrong));
  return {};
}

// If-Match and version=.
Problem take_guard(const PlanInput& in, core::WriteGuard& guard, Plan& plan) {
  Problem problem;
  if (const auto version = in.query.whole("version", problem)) {
    if (*version < INT32_MIN || *version > INT32_MAX) {
      return bad_request("version is out of range");
    }
    guard.version = static_cast<std::int32_t>(*version);
  }
  const auto if_match = trim(in.view.headers.if_match);
  if (!if_match.empty()) {
    const auto etag = parse_etag(if_match);
    if (!etag) return bad_request("If-Match must be one entity tag of this service");
    guard.mzxid = Zxid(*etag);
  }
  plan.has_guard = guard.mzxid || guard.version;
  return problem;
}

// mode= and ttl=.
Problem take_mode(const PlanInput& in, const Plan& plan, std::optional<znode::Mode>& mode,
                  std::int64_t& ttl_ms) {
  Problem problem;
  if (const auto* text = in.query.find("mode")) {
    mode = parse_mode(*text);
    if (!mode) {
      return bad_request(fmt::format("mode={} must be persistent, ephemeral or container", *text));
    }
  }
  if (const auto ttl = in.query.duration("ttl", problem)) {
    if (*ttl <= 0) return bad_request("ttl must be above 0");
    ttl_ms = *ttl;
    if (!mode) mode = znode::Mode::ttl;
  }
  if (problem) return problem;
  if ((ttl_ms > 0) != (mode == znode::Mode::ttl)) {
    return bad_request("ttl= makes a node of its own kind and goes with no other mode");
  }
  if (mode == znode::Mode::ephemeral && !plan.request.session) {
    return {Code::session_required, "an ephemeral node takes a Coord-Session header", {}, {}};
  }
  return {};
}

Problem check_content_type(std::string_view type) {
  constexpr TreeLimits kLimits;
  if (type.size() <= kLimits.content_type_bytes_max) return {};
  return {Code::too_large,
          fmt::format("Content-Type has more than {} bytes", kLimits.content_type_bytes_max),
          {},
          kLimits.content_type_bytes_max};
}

Problem plan_put(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::Put put;
  if (auto wrong = take_mode(in, plan, put.mode, put.ttl_ms)) return wrong;
  if (auto wrong = take_guard(in, put.guard, plan)) return wrong;
  put.with_parents = in.query.boolean("parents", problem).value_or(false);
  const auto if_none_match = trim(in.view.headers.if_none_match);
  if (!if_none_match.empty()) {
    if (if_none_match != "*") return bad_request("If-None-Match of a write must be *");
    put.create_only = true;
    if (plan.has_guard) return bad_request("If-None-Match: * contradicts If-Match and version=");
  }
  put.path = plan.path;
  put.value = Blob(in.view.body);
  put.content_type = stored_content_type(in.view.headers.content_type);
  if (auto wrong = check_content_type(put.content_type)) return wrong;
  plan.request.op = std::move(put);
  return problem;
}

Problem plan_post(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::Create create;
  std::optional<znode::Mode> mode;
  if (auto wrong = take_mode(in, plan, mode, create.ttl_ms)) return wrong;
  create.mode = mode.value_or(znode::Mode::persistent);
  create.with_parents = in.query.boolean("parents", problem).value_or(false);
  create.is_sequential = true;
  create.path = plan.path;
  if (create.path.size() > 1) create.path += '/';
  if (const auto* prefix = in.query.find("prefix")) {
    // The digits come behind it, so a prefix is a name but may be "." or "..".
    if (auto wrong = znode::name_error(*prefix + "0"); !wrong.empty()) {
      return bad_request("prefix: " + wrong);
    }
    create.path += *prefix;
  }
  create.value = Blob(in.view.body);
  create.content_type = stored_content_type(in.view.headers.content_type);
  if (auto wrong = check_content_type(create.content_type)) return wrong;
  plan.request.op = std::move(create);
  return problem;
}

Problem plan_patch(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::WriteGuard guard;
  if (auto wrong = take_guard(in, guard, plan)) return wrong;
  const auto add = in.query.whole("add", problem);
  if (problem) return problem;
  if (add) {
    if (!in.view.body.empty()) return bad_request("?add= takes no body");
    plan.request.op = core::Add{plan.path, *add, guard};
    return {};
  }
  if (in.view.body.empty()) return bad_request("PATCH takes a JSON merge patch, or ?add=");
  if (in.view.headers.content_type.starts_with("application/json-patch+json")) {
    return {Code::unsupported_media_type,
            "PATCH takes a merge patch (application/merge-patch+json), not a JSON Patch",
            {},
            {}};
  }
  if (auto wrong = check_json(in.view.body)) return wrong;
  plan.patch = PatchKind::merge;
  plan.patch_body = in.view.body;
  core::Set set;
  set.path = plan.path;
  set.guard = guard;
  plan.request.op = std::move(set);
  return {};
}

Problem plan_delete(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::Delete erase;
  if (auto wrong = take_guard(in, erase.guard, plan)) return wrong;
  erase.is_recursive = in.query.boolean("recursive", problem).value_or(false);
  erase.path = plan.path;
  plan.request.op = std::move(erase);
  return problem;
}

Problem plan_get(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::Get get;
  get.path = plan.path;
  get.with_value = plan.route->endpoint == Endpoint::tree_get;
  if (const auto at = in.query.count("at", problem)) get.at = Zxid(*at);
  if (get.at && (plan.wait_ms || plan.format == Format::event_stream)) {
    return bad_request("at= is the past: it does not go with waiting");
  }
  plan.filter.paths.assign(plan.wait_ms || plan.format == Format::event_stream ? 1 : 0, plan.path);
  plan.with_values = true;
  plan.request.op = std::move(get);
  return problem;
}

Problem take_number_cursor(const PlanInput& in, std::uint64_t& after) {
  std::string text;
  if (auto problem = take_cursor(in, text)) return problem;
  if (text.empty()) return {};
  const auto number = parse_u64(text);
  if (!number) return bad_request("this is not a cursor of this listing");
  after = *number;
  return {};
}

Problem plan_children(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::GetChildren get;
  if (auto wrong = take_limit(in, plan)) return wrong;
  if (auto wrong = take_cursor(in, get.after)) return wrong;
  get.path = plan.path;
  get.limit = plan.limit;
  if (const auto* prefix = in.query.find("prefix")) get.prefix = *prefix;
  get.with_values = in.query.boolean("values", problem).value_or(false);
  get.with_stat = in.query.boolean("stat", problem).value_or(false) || get.with_values;
  get.with_system = in.query.boolean("system", problem).value_or(false);
  plan.with_stat = get.with_stat;
  plan.with_values = get.with_values;
  plan.children_state = get.with_stat;
  if (plan.wait_ms || plan.format == Format::event_stream) {
    plan.filter.paths.assign(1, plan.path);
    plan.filter.depth = watch::Depth::children;
    plan.filter.with_system = get.with_system;
  }
  plan.request.op = std::move(get);
  return problem;
}

Problem plan_walk(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::Walk walk;
  if (auto wrong = take_cursor(in, walk.after)) return wrong;
  if (in.query.find("limit") != nullptr || in.query.find("cursor") != nullptr) {
    if (auto wrong = take_limit(in, plan)) return wrong;
    walk.limit = plan.limit;
  }
  if (const auto* depth = in.query.find("depth"); depth != nullptr && *depth != "all") {
    const auto levels = in.query.count("depth", problem);
    if (levels) walk.depth = static_cast<std::size_t>(*levels);
  }
  walk.path = plan.path;
  walk.with_values = in.query.boolean("values", problem).value_or(false);
  walk.with_system = in.query.boolean("system", problem).value_or(false);
  walk.with_acls = in.query.boolean("acls", problem).value_or(false);
  plan.with_values = walk.with_values;
  plan.with_acls = walk.with_acls;
  plan.request.op = std::move(walk);
  return problem;
}

Problem plan_history(const PlanInput& in, Plan& plan) {
  std::uint64_t before = 0;
  if (auto wrong = take_limit(in, plan)) return wrong;
  if (auto wrong = take_number_cursor(in, before)) return wrong;
  plan.request.op = core::GetHistory{plan.path, plan.limit, Zxid(before)};
  return {};
}

Problem plan_changes(const PlanInput& in, Plan& plan) {
  Problem problem;
  if (auto wrong = take_limit(in, plan)) return wrong;
  core::GetChanges get;
  get.limit = plan.limit;
  std::uint64_t cursor = 0;
  if (auto wrong = take_number_cursor(in, cursor)) return wrong;
  get.from = Zxid(in.query.count("from", problem).value_or(0));
  if (in.query.find("cursor") != nullptr) get.from = Zxid(cursor);
  get.with_system = in.query.boolean("system", problem).value_or(false);
  plan.with_values = in.query.boolean("values", problem).value_or(false);
  plan.with_prev = in.query.boolean("prev", problem).value_or(false);
  plan.request.op = get;
  return problem;
}

Problem plan_watch(const PlanInput& in, Plan& plan) {
  Problem problem;
  auto& filter = plan.filter;
  for (const auto& [name, value] : in.query.all()) {
    if (name != "path") continue;
    if (auto wrong = znode::path_error(value); !wrong.empty()) {
      return bad_request("path: " + wrong);
    }
    filter.paths.push_back(value);
  }
  if (filter.paths.empty()) return bad_request("a watch needs path=");
  const WatchLimits limits;
  if (filter.paths.size() > limits.paths_per_watch_max) {
    return {Code::too_large, "too many paths for one watch", {}, limits.paths_per_watch_max};
  }
  if (const auto* depth = in.query.find("depth")) {
    if (*depth == "0") {
      filter.depth = watch::Depth::node;
    } else if (*depth == "1") {
      filter.depth = watch::Depth::children;
    } else if (*depth == "all") {
      filter.depth = watch::Depth::subtree;
    } else {
      return bad_request(fmt::format("depth={} must be 0, 1 or all", *depth));
    }
  }
  if (const auto from = in.query.count("from", problem)) plan.from = Zxid(*from);
  plan.with_initial = in.query.boolean("initial", problem).value_or(false);
  if (const auto id = trim(in.view.headers.last_event_id); !id.empty()) {
    // A browser that comes back repeats the whole request: the id says what it has seen.
    const auto revision = parse_u64(id);
    if (!revision) return bad_request("Last-Event-ID must be a revision");
    plan.from = Zxid(*revision);
    plan.with_initial = false;
  }
  filter.with_system = in.query.boolean("system", problem).value_or(false);
  plan.with_values = in.query.boolean("values", problem).value_or(false);
  plan.with_prev = in.query.boolean("prev", problem).value_or(false);
  return problem;
}

Problem plan_open(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::OpenSession open;
  open.ttl_ms = in.options.sessions.ttl_ms_default;
  open.address = in.caller.address;
  if (!trim(in.view.body).empty()) {
    if (auto wrong = parse_session(in.view.body, open)) return wrong;
  }
  if (const auto ttl = in.query.duration("ttl", problem)) open.ttl_ms = *ttl;
  if (const auto ttl = in.query.whole("ttl_ms", problem)) open.ttl_ms = *ttl;
  if (const auto* name = in.query.find("name")) open.name = *name;
  if (problem) return problem;
  const auto& limits = in.options.sessions;
  if (open.ttl_ms < limits.ttl_ms_min || open.ttl_ms > limits.ttl_ms_max) {
    return {Code::invalid,
            fmt::format("the ttl must be {} to {} ms", limits.ttl_ms_min, limits.ttl_ms_max),
            {},
            {}};
  }
  if (open.name.size() > limits.name_bytes_max || !znode::is_valid_utf8(open.name)) {
    return {Code::invalid,
            fmt::format("a session's name is UTF-8 of at most {} bytes", limits.name_bytes_max),
            {},
            {}};
  }
  plan.request.op = std::move(open);
  return {};
}

// {id}: the id, the whole token, or `mine`.
Problem take_session(const PlanInput& in, Plan& plan, SessionId& id) {
  const auto text = in.argument;
  if (text == "mine") {
    if (!plan.request.session) {
      return {Code::session_required, "\"mine\" takes a Coord-Session header", {}, {}};
    }
    id = plan.request.session->id;
    return {};
  }
  core::SessionCredential credential;
  if (session::parse_token(text, credential.id, credential.secret)) {
    plan.request.session = credential;
    id = credential.id;
    return {};
  }
  const auto number = parse_u64(text);
  if (!number || *number == 0) return {Code::not_found, "there is no such session", {}, {}};
  id = SessionId(*number);
  return {};
}

Problem plan_session(const PlanInput& in, Plan& plan) {
  SessionId id;
  if (auto problem = take_session(in, plan, id)) return problem;
  const bool is_mine = plan.request.session && plan.request.session->id == id;
  if (plan.route->endpoint == Endpoint::session_get) {
    plan.request.op = core::GetSession{id};
  } else if (plan.route->endpoint == Endpoint::session_keepalive) {
    plan.request.op = core::Keepalive{id};
  } else {
    plan.request.op =
        core::CloseSession{id, is_mine ? session::EndReason::closed : session::EndReason::killed};
  }
  return {};
}

Problem plan_sessions(const PlanInput& in, Plan& plan) {
  std::uint64_t after = 0;
  if (auto problem = take_limit(in, plan)) return problem;
  if (auto problem = take_number_cursor(in, after)) return problem;
  plan.request.op = core::ListSessions{SessionId(after), plan.limit};
  return {};
}

Problem plan_set_acl(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::SetAcl set;
  set.path = plan.path;
  if (const auto version = in.query.whole("version", problem)) {
    if (*version < INT32_MIN || *version > INT32_MAX) {
      return bad_request("version is out of range");
    }
    set.aversion = static_cast<std::int32_t>(*version);
  }
  if (problem) return problem;
  if (auto wrong = parse_acl(in.view.body, set.acl)) return wrong;
  plan.request.op = std::move(set);
  return {};
}

Problem plan_set_quota(const PlanInput& in, Plan& plan) {
  Problem problem;
  core::SetQuota set;
  set.path = plan.path;
  if (auto wrong = parse_quota(in.view.body, set)) return wrong;
  if (const auto nodes = in.query.count("nodes", problem)) set.nodes_max = *nodes;
  if (const auto bytes = in.query.count("bytes", problem)) set.bytes_max = *bytes;
  if (problem) return problem;
  if (!set.nodes_max && !set.bytes_max) {
    return bad_request("a quota has \"nodes\" or \"bytes\"; DELETE removes it");
  }
  plan.request.op = std::move(set);
  return {};
}

Problem plan_import(const PlanInput& in, Plan& plan) {
  if (plan.route->endpoint == Endpoint::import_finish) {
    plan.request.op = core::FinishImport{plan.path};
  } else if (plan.route->endpoint == Endpoint::import_begin) {
    const auto* source = in.query.find("source");
    if (source == nullptr) return bad_request("an import needs source=");
    if (!znode::is_valid_utf8(*source)) return bad_request("source must be UTF-8");
    plan.request.op = core::BeginImport{plan.path, *source};
  } else {
    core::ImportNodes import;
    import.path = plan.path;
    if (auto problem = parse_import(in.view.body, in.options, import)) return problem;
    plan.request.op = std::move(import);
  }
  return {};
}

Problem plan_txn(const PlanInput& in, Plan& plan) {
  if (auto problem = parse_txn(in.view.body, in.options, plan)) return problem;
  if (plan.request.session) return {};
  const auto& txn = std::get<core::Txn>(plan.request.op);
  const auto is_ephemeral = [](const core::TxnOp& op) {
    const auto* create = std::get_if<core::Create>(&op);
    return create != nullptr && create->mode == znode::Mode::ephemeral;
  };
  for (const auto& [branch, ops] : {std::pair{"then", &txn.then}, {"else", &txn.otherwise}}) {
    const auto found = std::find_if(ops->begin(), ops->end(), is_ephemeral);
    if (found == ops->end()) continue;
    const auto op = static_cast<std::size_t>(found - ops->begin());
    return {Code::session_required,
            fmt::format("{}[{}]: an ephemeral node takes a Coord-Session header", branch, op),
            {},
            {},
            branch,
            op};
  }
  return {};
}

}  // namespace

Problem take_limit(const PlanInput& in, Plan& plan) {
  Problem problem;
  plan.limit = in.options.requests.list_limit_default;
  if (const auto limit = in.query.count("limit", problem)) {
    if (*limit == 0 || *limit > in.options.requests.list_limit_max) {
      return bad_request(fmt::format("limit must be 1 to {}", in.options.requests.list_limit_max));
    }
    plan.limit = static_cast<std::size_t>(*limit);
  }
  return problem;
}

// The cursor's text, or an empty one.
Problem take_cursor(const PlanInput& in, std::string& after) {
  const auto* text = in.query.find("cursor");
  if (text == nullptr) return {};
  auto cursor = decode_cursor(*text);
  if (!cursor) return bad_request("this is not a cursor that a listing gave");
  after = std::move(*cursor);
  return {};
}

Problem plan_endpoint(const PlanInput& in, Plan& plan) {
  if (plan.route->path.ends_with("{path}")) {
    if (auto problem = take_path(in, plan)) return problem;
  }
  switch (plan.route->endpoint) {
    case Endpoint::tree_get:
    case Endpoint::stat_get:
      return plan_get(in, plan);
    case Endpoint::tree_put:
      return plan_put(in, plan);
    case Endpoint::tree_post:
      return plan_post(in, plan);
    case Endpoint::tree_patch:
      return plan_patch(in, plan);
    case Endpoint::tree_delete:
      return plan_delete(in, plan);
    case Endpoint::children_get:
      return plan_children(in, plan);
    case Endpoint::walk_get:
      return plan_walk(in, plan);
    case Endpoint::history_get:
      return plan_history(in, plan);
    case Endpoint::acl_get:
      plan.request.op = core::GetAcl{plan.path};
      return {};
    case Endpoint::acl_put:
      return plan_set_acl(in, plan);
    case Endpoint::quota_get:
      plan.request.op = core::GetQuota{plan.path};
      return {};
    case Endpoint::quota_put:
      return plan_set_quota(in, plan);
    case Endpoint::quota_delete:
      plan.request.op = core::SetQuota{plan.path, {}, {}};
      return {};
    case Endpoint::txn_post:
      return plan_txn(in, plan);
    case Endpoint::watch_get:
      return plan_watch(in, plan);
    case Endpoint::changes_get:
      return plan_changes(in, plan);
    case Endpoint::session_open:
      return plan_open(in, plan);
    case Endpoint::session_list:
      return plan_sessions(in, plan);
    case Endpoint::session_get:
    case Endpoint::session_delete:
    case Endpoint::session_keepalive:
      return plan_session(in, plan);
    case Endpoint::status_get:
      plan.request.consistency = core::Consistency::local;
      plan.request.op = core::GetStatus{};
      return {};
    case Endpoint::backup_get:
      // Its first piece is read from the store: there is nothing to say of it before.
      if (in.view.method == Method::head) return bad_request("a backup takes GET");
      plan.request.op = core::PrepareBackup{};
      return {};
    case Endpoint::import_begin:
    case Endpoint::import_nodes:
    case Endpoint::import_finish:
      return plan_import(in, plan);
    case Endpoint::cluster_get:
    case Endpoint::member_add:
    case Endpoint::member_change:
    case Endpoint::member_remove:
    case Endpoint::member_repair:
    case Endpoint::transfer_post:
      return plan_cluster(in, plan);
    case Endpoint::recipe:
      return plan.route->recipe->plan(in, plan);
    case Endpoint::livez:
    case Endpoint::readyz:
    case Endpoint::metrics:
    case Endpoint::version:
    case Endpoint::openapi:
      return {};
  }
  return {};
}

}  // namespace coord::api
