#include "api/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "api/bodies.hpp"
#include "api/plan_parts.hpp"
#include "api/recipe_route.hpp"
#include "coord/base/checksum.hpp"

namespace coord::api {
namespace {

Problem wrong_value(std::string_view name, std::string_view value, std::string_view wanted) {
  return bad_request(fmt::format("{}={} must be {}", name, value, wanted));
}

Problem check_query(const RouteSpec& route, const std::vector<QueryParameter>& parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& name = parameters[i].first;
    if (!takes_parameter(route, name)) {
      const auto known = parameters_of(route);
      const auto near = nearest(name, known);
      return bad_request(
          fmt::format("there is no query parameter \"{}\" here{}", name,
                      near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
    }
    if (route.endpoint == Endpoint::watch_get && name == "path") continue;
    for (std::size_t j = 0; j < i; ++j) {
      if (parameters[j].first == name) {
        return bad_request(fmt::format("the query parameter \"{}\" stands twice", name));
      }
    }
  }
  return {};
}

Problem plan_read(const Query& query, Plan& plan) {
  Problem problem;
  auto& request = plan.request;
  if (const auto* text = query.find("consistency")) {
    if (*text == "linearizable") {
      request.consistency = core::Consistency::linearizable;
    } else if (*text == "leader") {
      request.consistency = core::Consistency::leader;
    } else if (*text == "local") {
      request.consistency = core::Consistency::local;
    } else {
      return wrong_value("consistency", *text, "linearizable, leader or local");
    }
  }
  request.max_staleness_ms = query.duration("max_staleness", problem);
  if (const auto revision = query.count("min_revision", problem)) {
    request.min_revision = Zxid(*revision);
  }
  return problem;
}

Problem plan_write(const RequestView& view, const HttpOptions& options, Plan& plan) {
  auto& request = plan.request;
  const RetryLimits retry;
  // What the client meant to be guarded is not written without the guard.
  if (!view.headers.if_match.empty() && !takes_if_match(*plan.route)) {
    return bad_request("If-Match guards nothing here");
  }
  if (!view.headers.if_none_match.empty() && !takes_if_none_match(*plan.route)) {
    return bad_request("If-None-Match guards nothing here");
  }
  if (view.headers.idempotency_key.size() > retry.key_bytes_max) {
    return bad_request(fmt::format("Idempotency-Key has at most {} bytes", retry.key_bytes_max));
  }
  if (!view.headers.idempotency_key.empty()) {
    request.idempotency_key = view.headers.idempotency_key;
    // Each part seeds the next, so that "a" + "bc" is not "ab" + "c".
    auto hash = checksum(word_of(view.method));
    hash = checksum(view.target, hash);
    hash = checksum(view.headers.if_match, hash);
    hash = checksum(view.headers.if_none_match, hash);
    hash = checksum(view.headers.fence, hash);
    if ((plan.route->traits & trait_body) != 0) hash = checksum(view.headers.content_type, hash);
    request.request_hash = checksum(view.body, hash);
  }
  if (!view.headers.fence.empty() &&
      !parse_fences(view.headers.fence, options.requests.fences_max, request.fences)) {
    return bad_request("Coord-Fence must be like jobs=57 or election:boss=58, several by comma");
  }
  return {};
}

Problem plan_wait(const RequestView& view, const Query& query, const HttpOptions& options,
                  Plan& plan) {
  Problem problem;
  if (const auto since = query.count("since", problem)) plan.since = Zxid(*since);
  const auto wait = query.duration("wait", problem);
  if (problem) return problem;
  if (wait && *wait > options.wait_ms_max) {
    return bad_request(fmt::format("wait must be at most {}s", options.wait_ms_max / 1000));
  }
  if (wait && plan.format != Format::event_stream && view.method == Method::get) {
    plan.wait_ms = *wait;
  }
  if (plan.format == Format::event_stream) {
    plan.from = plan.since;
    if (!view.headers.last_event_id.empty()) {
      const auto id = parse_u64(trim(view.headers.last_event_id));
      if (!id) return bad_request("Last-Event-ID must be a revision");
      plan.from = Zxid(*id);
    }
  }
  if (!view.headers.if_none_match.empty()) {
    if (trim(view.headers.if_none_match) == "*") {
      plan.known_any = true;
    } else if (const auto etag = parse_etag(view.headers.if_none_match)) {
      plan.known = Zxid(*etag);
    } else {
      return bad_request("If-None-Match must be one entity tag of this service, or *");
    }
  }
  return {};
}

std::uint8_t offered_by(const RouteSpec& route) noexcept {
  if (route.recipe != nullptr) return route.recipe->offers;
  switch (route.endpoint) {
    case Endpoint::tree_get:
      return offers_raw | offers_json | offers_event_stream;
    case Endpoint::children_get:
      return offers_json | offers_event_stream;
    case Endpoint::watch_get:
      return offers_event_stream | offers_ndjson;
    case Endpoint::walk_get:
      return offers_ndjson;
    case Endpoint::tree_put:
    case Endpoint::tree_patch:
      return offers_raw | offers_json;
    case Endpoint::livez:
    case Endpoint::readyz:
    case Endpoint::metrics:
    case Endpoint::backup_get:
      return offers_raw;
    default:
      return offers_json;
  }
}

Problem plan_format(const RequestView& view, const Query& query, Plan& plan) {
  const auto offered = offered_by(*plan.route);
  if (const auto* as = query.find("as")) {
    if (*as != "raw" && *as != "json") return wrong_value("as", *as, "raw or json");
    plan.format = *as == "raw" ? Format::raw : Format::json;
  } else if (const auto format = choose_format(view.headers.accept, offered)) {
    plan.format = *format;
  } else if (plan.route->recipe != nullptr && (offered & offers_raw) != 0) {
    plan.format = Format::raw;  // A value has a type of its own, whatever is asked for.
  } else if (plan.route->method == Method::get && (plan.route->traits & trait_local) == 0) {
    return {Code::not_acceptable,
            fmt::format("no form of this answer fits Accept: {}", view.headers.accept),
            {},
            {}};
  } else {
    // A write is not refused for the form of its answer, nor is a probe.
    plan.format = choose_format({}, offered).value_or(Format::raw);
  }
  plan.gzip = accepts_gzip(view.headers.accept_encoding);
  return {};
}

// A page of another site must not write with what its reader may do: who calls from loopback may do
// anything while there is no super user, and a browser sends such requests without asking.
bool is_foreign(const RequestView& view, const Plan& plan) noexcept {
  const auto origin = view.headers.origin;
  if (origin.empty() || !plan.origin.empty() || !is_writing(view.method)) return false;
  const auto scheme = origin.find("://");
  return scheme == std::string_view::npos || !iequals(origin.substr(scheme + 3), view.headers.host);
}

Problem plan_common(const PlanInput& in, Plan& plan) {
  const auto& headers = in.view.headers;
  auto& request = plan.request;
  if (is_foreign(in.view, plan)) {
    return {Code::forbidden,
            fmt::format("pages of {} may not change anything here; --cors-origin allows them to",
                        headers.origin),
            {},
            {}};
  }
  if (!headers.repeated.empty()) {
    return bad_request(fmt::format("the header {} stands twice", headers.repeated));
  }
  if (!headers.empty.empty()) {
    // Most likely a variable that was not set: to write unguarded is not what was meant.
    return bad_request(fmt::format("the header {} is empty", headers.empty));
  }
  if (!identities_of(in.caller, headers.authorization, in.options.super_digest,
                     request.identities)) {
    return {Code::unauthenticated, "Authorization must be Basic user:password", {}, {}};
  }
  if (!headers.session.empty()) {
    core::SessionCredential credential;
    if (!session::parse_token(headers.session, credential.id, credential.secret)) {
      return bad_request("Coord-Session must be a token as POST /v1/sessions gives it");
    }
    request.session = credential;
  }
  Problem problem;
  request.timeout_ms = in.options.timeout_ms_default;
  if (const auto timeout = in.query.duration("timeout", problem)) {
    if (*timeout <= 0 || *timeout > in.options.timeout_ms_max) {
      return bad_request(
          fmt::format("timeout must be above 0 and at most {}s", in.options.timeout_ms_max / 1000));
    }
    request.timeout_ms = *timeout;
  }
  return problem;
}

bool is_allowed_origin(std::string_view origin, const HttpOptions& options) {
  return std::any_of(
      options.cors_origins.begin(), options.cors_origins.end(),
      [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

// The scratch memory of one call, used again by the next: a request runs on one thread.
struct Scratch {
  std::string path;
  std::vector<QueryParameter> parameters;
};

Problem plan_routed(const RequestView& view, const Caller& caller, const HttpOptions& options,
                    Scratch& scratch, Plan& plan) {
  auto target = view.target.substr(0, view.target.find('#'));
  if (target.starts_with("http://")) {  // The absolute form, as proxies send it.
    target.remove_prefix(7);
    target.remove_prefix(std::min(target.find('/'), target.size()));
  }
  const auto question = target.find('?');
  if (!percent_decode(target.substr(0, question), false, scratch.path)) {
    return bad_request("the path has a % without two hexadecimal digits");
  }
  auto match = match_route(view.method, scratch.path);
  if (match.route == nullptr) {
    if (match.allow.empty()) {
      return {
          Code::no_route, fmt::format("there is no route {}", target.substr(0, question)), {}, {}};
    }
    return {Code::method_not_allowed,
            fmt::format("{} is not a method of this route", word_of(view.method)),
            std::move(match.allow),
            {}};
  }
  plan.route = match.route;
  plan.is_write = (match.route->traits & (trait_write | trait_change)) != 0;
  if (question != std::string_view::npos &&
      !parse_query(target.substr(question + 1), scratch.parameters)) {
    return bad_request("the query has a % without two hexadecimal digits");
  }
  const Query query(scratch.parameters);
  const PlanInput in{view, caller, options, query, match.arguments[0], match.arguments};
  if (!scratch.parameters.empty()) {
    if (auto problem = check_query(*match.route, scratch.parameters)) return problem;
  }
  if (auto problem = plan_common(in, plan)) return problem;
  if (auto problem = plan_format(view, query, plan)) return problem;
  const auto traits = match.route->traits;
  if ((traits & trait_read) != 0) {
    if (auto problem = plan_read(query, plan)) return problem;
  }
  if ((traits & trait_write) != 0) {
    if (auto problem = plan_write(view, options, plan)) return problem;
  }
  if ((traits & trait_wait) != 0) {
    if (auto problem = plan_wait(view, query, options, plan)) return problem;
  }
  if ((traits & trait_body) != 0 && !view.headers.content_encoding.empty() &&
      !iequals(view.headers.content_encoding, "identity")) {
    return {Code::unsupported_media_type, "a body must not have a Content-Encoding", {}, {}};
  }
  if ((traits & trait_body) == 0 && !view.body.empty()) {
    return bad_request("this request takes no body");
  }
  return plan_endpoint(in, plan);
}

}  // namespace

Problem bad_request(std::string detail) { return {Code::bad_request, std::move(detail), {}, {}}; }

void Plan::reset() {
  route = nullptr;
  method = Method::get;
  format = Format::raw;
  gzip = is_write = is_dry_run = false;
  target.clear();
  path.clear();
  origin.clear();
  request = core::Request{};
  wait_ms.reset();
  since.reset();
  known.reset();
  known_any = children_state = false;
  filter = watch::Filter{};
  from.reset();
  with_initial = with_values = with_prev = with_stat = with_acls = false;
  limit = 0;
  recipe = Recipe{};
  patch = PatchKind::none;
  patch_body.clear();
  has_guard = false;
  then_names.clear();
  otherwise_names.clear();
}

const std::string* Query::find(std::string_view name) const noexcept {
  for (const auto& parameter : parameters_) {
    if (parameter.first == name) return &parameter.second;
  }
  return nullptr;
}

std::optional<bool> Query::boolean(std::string_view name, Problem& problem) const {
  const auto* text = find(name);
  if (text == nullptr) return std::nullopt;
  const auto value = parse_bool(*text);
  if (!value && !problem) problem = wrong_value(name, *text, "true or false");
  return value;
}

std::optional<std::uint64_t> Query::count(std::string_view name, Problem& problem) const {
  const auto* text = find(name);
  if (text == nullptr) return std::nullopt;
  const auto value = parse_u64(*text);
  if (!value && !problem) problem = wrong_value(name, *text, "a whole number");
  return value;
}

std::optional<std::int64_t> Query::whole(std::string_view name, Problem& problem) const {
  const auto* text = find(name);
  if (text == nullptr) return std::nullopt;
  const auto value = parse_i64(*text);
  if (!value && !problem) problem = wrong_value(name, *text, "a whole number of 64 bits");
  return value;
}

std::optional<std::int64_t> Query::duration(std::string_view name, Problem& problem) const {
  const auto* text = find(name);
  if (text == nullptr) return std::nullopt;
  const auto value = parse_duration_ms(*text);
  if (!value && !problem) problem = wrong_value(name, *text, "a duration like 30s or 250ms");
  return value;
}

Problem plan_request(const RequestView& view, const Caller& caller, const HttpOptions& options,
                     Plan& plan) {
  plan.reset();
  plan.method = view.method;
  plan.target = view.target;
  if (!view.headers.origin.empty() && is_allowed_origin(view.headers.origin, options)) {
    plan.origin = view.headers.origin;
  }
  Scratch scratch;
  // Also a write that no route takes says that nothing was applied.
  plan.is_write = is_writing(view.method);
  return plan_routed(view, caller, options, scratch, plan);
}

std::size_t body_limit_of(std::string_view target, const HttpOptions& options) noexcept {
  const bool is_large = target.starts_with("/v1/txn") || target.starts_with("/v1/imports");
  return is_large ? options.json_bytes_max : options.body_bytes_max;
}

}  // namespace coord::api
