// /v1/services: discovery.
#include <algorithm>
#include <array>

#include "api/fields.hpp"
#include "api/recipe_route.hpp"
#include "api/recipes.hpp"
#include "coord/recipes/service.hpp"
#include "coord/recipes/service_codec.hpp"

namespace coord::api {
namespace {

namespace service = recipes::service;
using recipes::Kind;
constexpr std::string_view kMetaPrefix = "meta.";

Problem invalid(std::string detail) { return {Code::invalid, std::move(detail), {}, {}}; }

Problem check_names(const PlanInput& in, Plan& plan) {
  if (auto problem = check_name("the service", in.arguments[0])) return problem;
  if (auto problem = check_name("the instance", in.arguments[1])) return problem;
  plan.recipe.name = in.arguments[0];
  plan.recipe.item = in.arguments[1];
  return {};
}

// ---- registering

// A check as the query has it: http://HOST:PORT/PATH or tcp://HOST:PORT.
service::Check check_of_url(std::string_view url) {
  constexpr std::string_view kTcp = "tcp://";
  service::Check check;
  if (url.starts_with(kTcp)) {
    check.kind = service::CheckKind::tcp;
    url.remove_prefix(kTcp.size());
  }
  check.target = url;
  return check;
}

// The whole numbers and texts of one check; says what is wrong, or nothing.
std::string read_check(const nlohmann::json& json, service::Check& check) {
  if (!json.is_object()) return "a check must be an object";
  bool has_target = false;
  for (const auto& [name, value] : json.items()) {
    if (name == "http" || name == "tcp") {
      if (has_target) return "a check has http or tcp, once";
      if (!value.is_string()) return fmt::format("{} must be a string", name);
      has_target = true;
      check.kind = name == "http" ? service::CheckKind::http : service::CheckKind::tcp;
      check.target = value.get<std::string>();
    } else if (name == "interval_ms" || name == "timeout_ms") {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX) {
        return fmt::format("{} must be a whole number", name);
      }
      (name == "interval_ms" ? check.interval_ms : check.timeout_ms) = value.get<std::int64_t>();
    } else {
      return fmt::format("there is no field \"{}\" in a check", name);
    }
  }
  return has_target ? std::string() : "a check has http or tcp";
}

void read_checks(Fields& fields, service::Instance& record) {
  if (const auto url = fields.text("check")) record.checks.push_back(check_of_url(*url));
  const auto* list = fields.body("checks");
  if (list == nullptr) return;
  if (!list->is_array()) return fields.fail("checks must be a list of objects");
  for (const auto& one : *list) {
    auto problem = read_check(one, record.checks.emplace_back());
    if (!problem.empty()) return fields.fail(std::move(problem));
  }
}

void read_meta(const PlanInput& in, Fields& fields, service::Instance& record) {
  if (const auto* meta = fields.body("meta")) {
    if (!meta->is_object()) return fields.fail("meta must be an object of strings");
    for (const auto& [key, value] : meta->items()) {
      if (!value.is_string()) return fields.fail(fmt::format("meta.{} must be a string", key));
      record.meta.emplace_back(key, value.get<std::string>());
    }
  }
  for (const auto& [name, value] : in.query.all()) {
    if (!name.starts_with(kMetaPrefix)) continue;
    const auto key = name.substr(kMetaPrefix.size());
    std::erase_if(record.meta, [&key](const auto& known) { return known.first == key; });
    record.meta.emplace_back(key, value);
  }
  std::sort(record.meta.begin(), record.meta.end());
}

void read_record(const PlanInput& in, Fields& fields, service::Instance& record) {
  record.address = fields.text("address").value_or(in.caller.address);
  // Out of the field's range is as invalid as out of the value's.
  const auto narrow = [](std::uint64_t n) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, UINT32_MAX));
  };
  record.port = narrow(fields.count("port").value_or(0));
  record.weight = narrow(fields.count("weight").value_or(1));
  for (auto& tag : fields.texts("tags").value_or(std::vector<std::string>())) {
    if (!service::has_tag(record, tag)) record.tags.push_back(std::move(tag));
  }
  read_meta(in, fields, record);
  read_checks(fields, record);
}

Problem plan_put(const PlanInput& in, Plan& plan) {
  if (auto problem = check_names(in, plan)) return problem;
  Fields fields(in, {"address", "port", "meta", "tags", "weight", "ttl", "ttl_ms", "check",
                     "checks", "takeover"});
  service::Register op;
  op.service = plan.recipe.name;
  op.instance = plan.recipe.item;
  op.takes_over = fields.boolean("takeover").value_or(false);
  read_record(in, fields, op.record);
  const auto ttl = fields.duration("ttl", "ttl_ms");
  if (auto problem = fields.finish()) return problem;
  op.record.failing.resize(op.record.checks.size());
  if (auto wrong = service::problem_of(op.record); !wrong.empty()) return invalid(std::move(wrong));
  if (!op.record.checks.empty() && !in.options.has_health_checks) {
    return invalid("this member runs no active checks (--health-checks off)");
  }
  const bool has_session = plan.request.session.has_value();
  if (!has_session && !ttl) {
    return {Code::session_required,
            "an instance hangs on a session or has a ttl: send Coord-Session, or give ttl_ms",
            {},
            {}};
  }
  // A session says all about its instances' lives.
  if (!has_session) op.record.ttl_ms = *ttl;
  const auto bytes = encode(op);
  set_step(plan, Kind::service, bytes);
  if (!has_session) {
    auto name = fmt::format("service {}/{}", op.service, op.instance);
    name.resize(std::min(name.size(), in.options.sessions.name_bytes_max));
    if (auto problem = bring_session(in, plan, *ttl, std::move(name))) return problem;
  }
  if (!op.takes_over) try_renewal(plan, Kind::service, bytes);
  return {};
}

Problem plan_delete(const PlanInput& in, Plan& plan) {
  if (auto problem = check_names(in, plan)) return problem;
  Problem problem;
  service::Deregister op{plan.recipe.name, plan.recipe.item};
  op.takes_over = in.query.boolean("takeover", problem).value_or(false);
  set_step(plan, Kind::service, encode(op));
  return problem;
}

Problem plan_heartbeat(const PlanInput& in, Plan& plan) {
  if (auto problem = check_names(in, plan)) return problem;
  set_renewal(plan, Kind::service, encode(service::Heartbeat{plan.recipe.name, plan.recipe.item}));
  return Fields(in, {}).finish();
}

Problem plan_maintenance_on(const PlanInput& in, Plan& plan) {
  if (auto problem = check_names(in, plan)) return problem;
  Fields fields(in, {"reason"});
  service::Maintain op{plan.recipe.name, plan.recipe.item, fields.text("reason").value_or("")};
  if (auto problem = fields.finish()) return problem;
  if (op.reason->size() > service::kReasonBytesMax || !service::is_one_line(*op.reason)) {
    return invalid(fmt::format("reason: at most {} bytes, without control characters",
                               service::kReasonBytesMax));
  }
  set_step(plan, Kind::service, encode(op));
  return {};
}

Problem plan_maintenance_off(const PlanInput& in, Plan& plan) {
  if (auto problem = check_names(in, plan)) return problem;
  set_step(plan, Kind::service,
           encode(service::Maintain{plan.recipe.name, plan.recipe.item, std::nullopt}));
  return {};
}

// ---- reading

Problem read_filter(const PlanInput& in, service::Filter& filter) {
  Problem problem;
  filter.only_healthy = in.query.boolean("healthy", problem).value_or(false);
  if (const auto* tags = in.query.find("tag")) {
    std::string_view rest = *tags;
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      filter.tags.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  for (const auto& [name, value] : in.query.all()) {
    if (!name.starts_with(kMetaPrefix)) continue;
    filter.meta.emplace_back(name.substr(kMetaPrefix.size()), value);
  }
  return problem;
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  if (auto problem = check_name("the service", in.arguments[0])) return problem;
  plan.recipe.name = in.arguments[0];
  service::List query;
  query.service = plan.recipe.name;
  // A stream waits for what is not there yet, as it does for a change.
  query.may_be_unknown = plan.format == Format::event_stream;
  if (auto problem = read_filter(in, query.filter)) return problem;
  set_query(plan, Kind::service, encode(query));
  watch_recipe(plan, Kind::service, plan.recipe.name);
  return {};
}

Problem plan_services(const PlanInput& in, Plan& plan) {
  service::ListServices query;
  Problem problem;
  const auto most = in.options.requests.list_limit_max;
  const auto limit = in.query.count("limit", problem);
  if (limit && (*limit < 1 || *limit > most)) {
    return bad_request(fmt::format("limit must be 1 to {}", most));
  }
  query.limit = static_cast<std::uint32_t>(limit.value_or(in.options.requests.list_limit_default));
  if (const auto* cursor = in.query.find("cursor")) {
    const auto after = decode_cursor(*cursor);
    if (!after) return bad_request("cursor must be one of a page before");
    query.after = *after;
  }
  if (auto wrong = read_filter(in, query.filter)) return wrong;
  if (problem) return problem;
  set_query(plan, Kind::service, encode(query));
  watch_kind(plan, Kind::service);
  return {};
}

// ---- answers

void append_texts(std::string& out, const std::vector<std::string>& texts) {
  out += '[';
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, texts[i]);
  }
  out += ']';
}

void append_checks(std::string& out, const service::Instance& record) {
  out += '[';
  for (std::size_t i = 0; i < record.checks.size(); ++i) {
    if (i > 0) out += ',';
    const auto& check = record.checks[i];
    const auto& why = record.failing[i];
    JsonObject object(out);
    object.text(word_of(check.kind), check.target);
    object.whole("interval_ms", check.interval_ms).whole("timeout_ms", check.timeout_ms);
    object.text("status", why ? "failing" : "passing");
    if (why) object.text("output", *why);
    object.close();
  }
  out += ']';
}

// `checker`: who runs its checks, none if that is not known here.
void append_instance(JsonObject& object, const service::Found& found, MemberId checker) {
  const auto& record = found.record;
  object.text("id", found.id).text("address", record.address).number("port", record.port);
  object.boolean("healthy", service::is_healthy(record));
  append_texts(object.name("tags"), record.tags);
  {
    JsonObject meta(object.name("meta"));
    for (const auto& [key, value] : record.meta) meta.text(key, value);
    meta.close();
  }
  object.number("weight", record.weight);
  if (record.ttl_ms > 0) {
    object.whole("ttl_ms", record.ttl_ms);
  } else {
    object.id("session", found.session.value());
  }
  if (!record.checks.empty()) {
    append_checks(object.name("checks"), record);
    if (checker) object.number("checked_by", checker.value());
  }
  if (record.maintenance) object.text("maintenance", *record.maintenance);
  object.number("changed", found.changed.value());
}

void answer_list(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  service::Instances found;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, found));
  JsonObject object(body.text);
  object.text("service", plan.recipe.name).number("revision", reply.revision.value());
  auto& out = object.name("instances");
  out += '[';
  bool is_first = true;
  for (const auto& one : found.instances) {
    if (!is_first) out += ',';
    is_first = false;
    JsonObject instance(out);
    append_instance(instance, one, service::checker_of(plan.recipe.name, one.id, found.checkers));
    instance.close();
  }
  out += ']';
  object.close();
}

void answer_services(const Plan&, const core::Reply& reply, RecipeBody& body) {
  service::Services found;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, found));
  JsonObject object(body.text);
  object.number("revision", reply.revision.value());
  auto& out = object.name("services");
  out += '[';
  bool is_first = true;
  for (const auto& one : found.services) {
    if (!is_first) out += ',';
    is_first = false;
    JsonObject summary(out);
    summary.text("service", one.service);
    summary.number("instances", one.instances).number("healthy", one.healthy);
    append_texts(summary.name("tags"), one.tags);
    summary.close();
  }
  out += ']';
  if (!found.is_last) object.text("cursor", encode_cursor(found.services.back().service));
  object.close();
}

void answer_put(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  service::Registered registered;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, registered));
  body.status = registered.is_new ? 201 : 200;
  JsonObject object(body.text);
  object.text("service", plan.recipe.name);
  append_instance(object, registered.now, {});
  object.number("revision", reply.revision.value()).close();
}

void answer_nothing(const Plan&, const core::Reply&, RecipeBody& body) { body.status = 204; }

// Who holds what the request wanted.
void explain(const Plan&, const core::Reply& reply, JsonObject& object) {
  service::Registered held;
  if (reply.code != Code::instance_held) return;
  if (!decode(recipe_result(reply).answer.bytes, held)) return;
  object.id("owner", held.now.session.value());
}

// ---- streams

std::optional<service::Found> seen(const recipes::Place& place, const Blob& value,
                                   const znode::Stat& stat, const service::Filter& filter) {
  service::Found found;
  if (!service::parse(value.view(), found.record) || !filter.fits(found.record)) {
    return std::nullopt;
  }
  found.id = place.rest;
  found.session = stat.ephemeral_owner;
  found.changed = stat.mzxid;
  return found;
}

service::Filter filter_of(const Plan& plan) {
  const auto& bytes = std::get<core::RecipeQuery>(plan.request.op).bytes;
  service::List list;
  if (decode(bytes, list)) return list.filter;
  service::ListServices services;
  static_cast<void>(decode(bytes, services));
  return services.filter;
}

// One event for each instance that the batch changed, under the filter: what was not shown before
// and is now is up, the reverse is down.
void append_deltas(const Plan& plan, const core::WatchEvent& event, std::vector<Delta>& out) {
  const auto filter = filter_of(plan);
  const auto& changes = event.batch->changes;
  const auto count = event.wanted.empty() ? changes.size() : event.wanted.size();
  std::vector<const znode::Change*> wanted;
  for (std::size_t i = 0; i < count; ++i) {
    wanted.push_back(&changes[event.wanted.empty() ? i : event.wanted[i]]);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto& first = *wanted[i];
    const auto place = recipes::place_of(first.path);
    if (!place || place->kind != Kind::service || place->rest.empty()) continue;
    const auto is_same = [&first](const auto* change) { return change->path == first.path; };
    // Gone and back in one revision is one change: a takeover.
    const auto here = wanted.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::any_of(wanted.begin(), here, is_same)) continue;
    const auto& last = **std::find_if(wanted.rbegin(), wanted.rend(), is_same);
    const auto before = seen(*place, first.prev_value, first.prev_stat, filter);
    const auto after = seen(*place, last.value, last.stat, filter);
    if (!before && !after) continue;
    auto& delta = out.emplace_back();
    delta.name = !before ? "up" : after ? "changed" : "down";
    JsonObject object(delta.json);
    object.text("service", place->name);
    if (after) {
      append_instance(object, *after, {});
    } else {
      object.text("id", place->rest);
    }
    object.number("revision", event.batch->zxid.value()).close();
  }
}

// ---- the routes

constexpr RecipeRoute kPut{plan_put, answer_put, explain};
constexpr RecipeRoute kDelete{plan_delete, answer_nothing, explain, offers_json, {}, "204"};
constexpr RecipeRoute kHeartbeat{plan_heartbeat, answer_nothing, explain, offers_json, {}, "204"};
constexpr RecipeRoute kMaintenanceOn{
    plan_maintenance_on, answer_nothing, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kMaintenanceOff{
    plan_maintenance_off, answer_nothing, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kList{
    plan_list, answer_list,        nullptr,      offers_json | offers_event_stream, "service",
    "200",     "application/json", append_deltas};
constexpr RecipeRoute kServices{
    plan_services, answer_services,    nullptr,      offers_json | offers_event_stream, "services",
    "200",         "application/json", append_deltas};

constexpr std::array<std::string_view, 9> kPutNames{"address", "port",  "tags",  "weight",  "ttl",
                                                    "ttl_ms",  "check", "meta.", "takeover"};
constexpr std::array<std::string_view, 1> kDeleteNames{"takeover"};
constexpr std::array<std::string_view, 1> kReasonNames{"reason"};
constexpr std::array<std::string_view, 3> kFilterNames{"healthy", "tag", "meta."};

constexpr std::string_view kInstance = "/v1/services/{service}/{instance}";
constexpr std::string_view kMaintenance = "/v1/services/{service}/{instance}/maintenance";

constexpr std::array kRoutes = {
    RouteSpec{Method::put, kInstance, Endpoint::recipe, trait_write | trait_body, kPutNames,
              "Register an instance; unchanged, it is a heartbeat", &kPut},
    RouteSpec{Method::erase, kInstance, Endpoint::recipe, trait_write, kDeleteNames,
              "Deregister an instance", &kDelete},
    RouteSpec{Method::post,
              "/v1/services/{service}/{instance}/heartbeat",
              Endpoint::recipe,
              trait_body,
              {},
              "Renew an instance, confirmed by the leader",
              &kHeartbeat},
    RouteSpec{Method::put, kMaintenance, Endpoint::recipe, trait_write | trait_body, kReasonNames,
              "Take an instance out of use; it stays registered", &kMaintenanceOn},
    RouteSpec{Method::erase,
              kMaintenance,
              Endpoint::recipe,
              trait_write,
              {},
              "Take an instance back into use",
              &kMaintenanceOff},
    RouteSpec{Method::get, "/v1/services/{service}", Endpoint::recipe, trait_read | trait_wait,
              kFilterNames, "The instances of a service", &kList},
    RouteSpec{Method::get, "/v1/services", Endpoint::recipe, trait_read | trait_wait | trait_list,
              kFilterNames, "The services that have instances", &kServices},
};

}  // namespace

std::span<const RouteSpec> service_routes() noexcept { return kRoutes; }

}  // namespace coord::api
