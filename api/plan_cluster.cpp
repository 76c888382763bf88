// Plans of the routes under /v1/cluster.
#include <fmt/format.h>

#include "api/bodies.hpp"
#include "api/plan_parts.hpp"

namespace coord::api {
namespace {

Problem invalid(std::string detail) { return {Code::invalid, std::move(detail), {}, {}}; }

// The body's fields, and over them those of the query.
Problem take_fields(const PlanInput& in, MemberFields& fields) {
  Problem problem;
  if (!in.view.body.empty()) {
    if (auto wrong = parse_member(in.view.body, fields)) return wrong;
  }
  if (const auto id = in.query.count("id", problem)) fields.id = *id;
  if (const auto* peer = in.query.find("peer")) fields.peer = *peer;
  if (const auto* role = in.query.find("role")) fields.role = *role;
  if (const auto replaces = in.query.count("replaces", problem)) fields.replaces = *replaces;
  if (const auto to = in.query.count("to", problem)) fields.to = *to;
  if (const auto dry_run = in.query.boolean("dry_run", problem)) fields.dry_run = *dry_run;
  return problem;
}

Problem take_role(const MemberFields& fields, core::MemberRole& role) {
  if (fields.role == "voter") {
    role = core::MemberRole::voter;
  } else if (fields.role == "observer") {
    role = core::MemberRole::observer;
  } else if (fields.role == "standby") {
    role = core::MemberRole::standby;
  } else {
    return invalid("role must be voter, observer or standby");
  }
  return {};
}

// HOST:PORT, HOST as a name, an address, or an address in brackets.
bool is_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto host = text.substr(0, colon);
  const auto port = parse_u64(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65'535) return false;
  const bool has_brackets = host.starts_with('[') && host.ends_with(']');
  if (host.find(':') != std::string_view::npos && !has_brackets) return false;
  for (const char c : host) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '/' || c == '"') return false;
  }
  return true;
}

Problem plan_add(const MemberFields& fields, Plan& plan) {
  core::AddMember add;
  if (fields.id.value_or(0) == 0) return invalid("a member has an id above 0, never used before");
  if (!is_address(fields.peer)) return invalid("peer must be HOST:PORT, where members reach it");
  add.id = MemberId(*fields.id);
  add.peer = fields.peer;
  if (!fields.role.empty()) {
    if (auto problem = take_role(fields, add.role)) return problem;
  }
  add.replaces = MemberId(fields.replaces.value_or(0));
  add.is_dry_run = plan.is_dry_run;
  plan.request.op = std::move(add);
  return {};
}

}  // namespace

Problem plan_cluster(const PlanInput& in, Plan& plan) {
  const auto endpoint = plan.route->endpoint;
  if (endpoint == Endpoint::cluster_get) {
    plan.request.consistency = core::Consistency::local;
    plan.request.op = core::GetCluster{};
    return {};
  }
  MemberFields fields;
  if (auto problem = take_fields(in, fields)) return problem;
  plan.is_dry_run = fields.dry_run;
  if (endpoint == Endpoint::transfer_post) {
    plan.request.op = core::TransferLeader{MemberId(fields.to.value_or(0))};
    return {};
  }
  if (endpoint == Endpoint::member_add) return plan_add(fields, plan);
  const auto id = parse_u64(in.argument);
  if (!id || *id == 0) return {Code::not_found, "there is no such member", {}, {}};
  if (fields.id && *fields.id != *id) return bad_request("the body names another id");
  if (endpoint == Endpoint::member_remove) {
    plan.request.op = core::RemoveMember{MemberId(*id), fields.dry_run};
    return {};
  }
  if (endpoint == Endpoint::member_repair) {
    plan.request.op = core::RepairMember{MemberId(*id)};
    return {};
  }
  core::ChangeMember change;
  change.id = MemberId(*id);
  change.is_dry_run = fields.dry_run;
  if (auto problem = take_role(fields, change.role)) return problem;
  plan.request.op = change;
  return {};
}

}  // namespace coord::api
