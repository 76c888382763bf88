#include "api/respond.hpp"

#include <zlib.h>

#include <algorithm>

#include "api/json.hpp"
#include "api/problem_titles.hpp"
#include "api/recipe_route.hpp"
#include "api/text.hpp"
#include "coord/base/check.hpp"

namespace coord::api {
namespace {

constexpr std::size_t kGzipMin = 1024;
constexpr std::size_t kGzipFastAbove = 64 * kKiB;  // Larger bodies take the fastest level.

std::string_view reason_of(int status) noexcept {
  switch (status) {
    case 200:
      return "200 OK";
    case 201:
      return "201 Created";
    case 202:
      return "202 Accepted";
    case 204:
      return "204 No Content";
    case 304:
      return "304 Not Modified";
    case 400:
      return "400 Bad Request";
    case 401:
      return "401 Unauthorized";
    case 403:
      return "403 Forbidden";
    case 404:
      return "404 Not Found";
    case 405:
      return "405 Method Not Allowed";
    case 406:
      return "406 Not Acceptable";
    case 408:
      return "408 Request Timeout";
    case 409:
      return "409 Conflict";
    case 410:
      return "410 Gone";
    case 412:
      return "412 Precondition Failed";
    case 413:
      return "413 Content Too Large";
    case 415:
      return "415 Unsupported Media Type";
    case 422:
      return "422 Unprocessable Content";
    case 429:
      return "429 Too Many Requests";
    case 431:
      return "431 Request Header Fields Too Large";
    case 503:
      return "503 Service Unavailable";
    case 504:
      return "504 Gateway Timeout";
    case 507:
      return "507 Insufficient Storage";
    default:
      return "500 Internal Server Error";
  }
}

void header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

void append_head(std::string& out, const Plan& plan, int status, const AnswerContext& context) {
  out += "HTTP/1.1 ";
  out += reason_of(status);
  out += "\r\n";
  out += context.date;
  if (!context.keep_alive) {
    out += "Connection: close\r\n";
  } else if (context.is_http10) {
    out += "Connection: keep-alive\r\n";
  }
  if (!plan.origin.empty()) {
    header(out, "Access-Control-Allow-Origin", plan.origin);
    out +=
        "Access-Control-Expose-Headers: Coord-Revision, Coord-Consistency, Coord-Staleness-Ms, "
        "Coord-Stat, Coord-Session, Coord-Fence, Coord-Cursor, Coord-Release, Coord-Gray, ETag, "
        "Location, Retry-After\r\n"
        "Vary: Origin\r\n";
  }
}

void append_revision(std::string& out, Zxid revision) {
  out += "Coord-Revision: ";
  append_number(out, revision.value());
  out += "\r\n";
}

void append_etag(std::string& out, Zxid etag) {
  out += "ETag: \"";
  append_number(out, etag.value());
  out += "\"\r\n";
}

bool is_read(const Plan& plan) noexcept {
  return plan.route != nullptr && (plan.route->traits & trait_read) != 0;
}

// Nobody chooses it for a watch, nor for what this member itself says, but these have one as well.
bool has_consistency(const Plan& plan) noexcept {
  if (plan.route == nullptr) return false;
  switch (plan.route->endpoint) {
    case Endpoint::watch_get:
    case Endpoint::status_get:
    case Endpoint::cluster_get:
      return true;
    default:
      return is_read(plan);
  }
}

void append_read_headers(std::string& out, const Plan& plan, const core::Reply& reply) {
  append_revision(out, reply.revision);
  if (!has_consistency(plan)) return;
  header(out, "Coord-Consistency", word_of(reply.consistency));
  if (reply.consistency == core::Consistency::local) {
    out += "Coord-Staleness-Ms: ";
    append_signed(out, reply.staleness_ms);
    out += "\r\n";
  }
}

void append_stat(std::string& out, const znode::Stat& stat) {
  out += "Coord-Stat: ";
  append_stat_header(out, stat);
  out += "\r\n";
}

// Ends the head, with the body unless the request was HEAD.
void finish(std::string& out, const Plan& plan, std::string_view content_type,
            std::string_view body) {
  if (!content_type.empty()) header(out, "Content-Type", content_type);
  out += "Content-Length: ";
  append_number(out, body.size());
  out += "\r\nX-Content-Type-Options: nosniff\r\n\r\n";
  if (plan.method != Method::head) out += body;
}

std::string gzip(std::string_view body) {
  z_stream stream{};
  const int level = body.size() > kGzipFastAbove ? 1 : 5;
  if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, static_cast<uLong>(body.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(result == Z_STREAM_END ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

// A complete JSON body, compressed when that is allowed and worth it.
void finish_json(std::string& out, const Plan& plan, std::string_view body,
                 std::string_view content_type = "application/json") {
  if (body.size() <= kGzipMin) {
    finish(out, plan, content_type, body);
    return;
  }
  out += "Vary: Accept-Encoding\r\n";
  if (plan.gzip) {
    const auto small = gzip(body);
    if (!small.empty()) {
      out += "Content-Encoding: gzip\r\n";
      finish(out, plan, content_type, small);
      return;
    }
  }
  finish(out, plan, content_type, body);
}

void append_problem_extras(JsonObject& object, const core::Reply& reply, const Plan& plan) {
  if (reply.code == Code::compacted) object.number("oldest_revision", reply.oldest.value());
  if (reply.end_reason) object.text("reason", session::word_of(*reply.end_reason));
  if (reply.present && reply.present->ephemeral_owner) {
    object.id("owner", reply.present->ephemeral_owner.value());
  } else if (reply.present && reply.code == Code::node_exists) {
    object.null("owner");
  }
  if (!reply.leader_http.empty()) {
    object.text("leader", reply.leader_http);
  } else if (reply.code == Code::no_leader) {
    object.null("leader");
  }
  if (plan.route != nullptr && plan.route->recipe != nullptr &&
      plan.route->recipe->problem != nullptr &&
      std::holds_alternative<core::RecipeResult>(reply.result)) {
    plan.route->recipe->problem(plan, reply, object);
  }
  const auto* txn = std::get_if<core::TxnResult>(&reply.result);
  if (txn != nullptr && txn->failed_op && plan.route != nullptr) {
    object.text("branch", txn->succeeded ? "then" : "else").number("op", *txn->failed_op);
  }
}

void answer_error(const Plan& plan, const core::Reply& reply, const Problem* problem,
                  const AnswerContext& context, std::string& out) {
  const int status = status_of(reply.code);
  append_head(out, plan, status, context);
  append_read_headers(out, plan, reply);
  if (problem != nullptr && !problem->allow.empty()) header(out, "Allow", problem->allow);
  if (reply.present && status == 412) append_etag(out, reply.present->mzxid);
  const auto* recipe = std::get_if<core::RecipeResult>(&reply.result);
  if (recipe != nullptr && status == 412 && recipe->answer.etag) {
    append_etag(out, recipe->answer.etag);
  }
  if (status == 401) out += "WWW-Authenticate: Basic realm=\"coord\", charset=\"UTF-8\"\r\n";
  if (status == 503 || status == 429) out += "Retry-After: 1\r\n";
  if (plan.route != nullptr && (plan.route->traits & trait_wait) != 0) out += "Vary: Accept\r\n";
  append_problem(context.scratch, plan, reply, problem);
  finish_json(out, plan, context.scratch, "application/problem+json");
  context.scratch.clear();
}

// ---- one function for each kind of result

void answer_value(const Plan& plan, const core::Reply& reply, const core::NodeValue& node,
                  const AnswerContext& context, std::string& out) {
  const bool is_stat = plan.route->endpoint == Endpoint::stat_get;
  const bool is_same = plan.known_any || plan.known == node.stat.mzxid;
  if (!is_stat && is_same && !plan.wait_ms) {
    answer_not_modified(plan, reply, node.stat.mzxid, context, out);
    return;
  }
  append_head(out, plan, 200, context);
  append_read_headers(out, plan, reply);
  append_etag(out, node.stat.mzxid);
  append_stat(out, node.stat);
  if (is_stat) {
    append_json_stat(context.scratch, node.stat);
    finish_json(out, plan, context.scratch);
  } else if (plan.format == Format::raw) {
    out += "Vary: Accept\r\n";
    finish(out, plan, served_content_type(node.content_type, node.value.view()), node.value.view());
  } else {
    out += "Vary: Accept\r\n";
    JsonObject object(context.scratch);
    object.text("path", plan.path).value("value", "encoding", node.value);
    if (!node.content_type.empty()) object.text("content_type", node.content_type);
    object.stat("stat", node.stat).number("revision", reply.revision.value()).close();
    finish_json(out, plan, context.scratch);
  }
}

void answer_written(const Plan& plan, const core::Reply& reply, const core::Written& written,
                    const AnswerContext& context, std::string& out) {
  const auto endpoint = plan.route->endpoint;
  if (endpoint == Endpoint::tree_delete || endpoint == Endpoint::quota_delete ||
      endpoint == Endpoint::import_finish) {
    append_head(out, plan, 204, context);
    append_revision(out, reply.revision);
    out += "X-Content-Type-Options: nosniff\r\n\r\n";
    return;
  }
  const bool is_created = written.created || endpoint == Endpoint::tree_post;
  const bool is_patch = endpoint == Endpoint::tree_patch;
  append_head(out, plan, is_created && !is_patch ? 201 : 200, context);
  append_revision(out, reply.revision);
  if (endpoint != Endpoint::quota_put) {
    append_etag(out, written.stat.mzxid);
    append_stat(out, written.stat);
  }
  if (endpoint == Endpoint::tree_post) {
    out += "Location: /v1/tree";
    append_percent_encoded(out, written.path);
    out += "\r\n";
  }
  if (endpoint == Endpoint::tree_put || is_patch) out += "Vary: Accept\r\n";
  auto& body = context.scratch;
  if (plan.format == Format::raw && written.number) {
    append_signed(body, *written.number);
    finish(out, plan, "text/plain; charset=utf-8", body);
    return;
  }
  if (plan.format == Format::raw) {
    finish(out, plan, {}, {});
    return;
  }
  JsonObject object(body);
  object.text("path", written.path.empty() ? plan.path : written.path);
  if (written.number) {
    std::string digits;
    append_signed(digits, *written.number);
    object.text("value", digits);
  }
  object.number("revision", reply.revision.value());
  if (endpoint != Endpoint::tree_post && endpoint != Endpoint::quota_put) {
    object.stat("stat", written.stat);
  }
  object.close();
  finish_json(out, plan, body);
}

void answer_children(const Plan& plan, const core::Reply& reply, const core::ChildList& list,
                     const AnswerContext& context, std::string& out) {
  const bool is_same = plan.known_any || plan.known == list.stat.pzxid;
  if (!plan.with_stat && is_same && !plan.wait_ms) {
    answer_not_modified(plan, reply, list.stat.pzxid, context, out);
    return;
  }
  append_head(out, plan, 200, context);
  append_read_headers(out, plan, reply);
  // The parent's pzxid says which names there are; it knows nothing of their values.
  if (!plan.with_stat) append_etag(out, list.stat.pzxid);
  out += "Vary: Accept\r\n";
  auto& body = context.scratch;
  JsonObject object(body);
  object.text("path", plan.path);
  object.name("children") += '[';
  for (std::size_t i = 0; i < list.children.size(); ++i) {
    if (i > 0) body += ',';
    if (plan.with_stat) {
      append_json_child(body, list.children[i], plan.with_values);
    } else {
      append_json_string(body, list.children[i].name);
    }
  }
  body += ']';
  if (!list.is_last && !list.children.empty()) {
    object.text("cursor", encode_cursor(list.children.back().name));
  }
  object.number("revision", reply.revision.value()).close();
  finish_json(out, plan, body);
}

void answer_walk(const Plan& plan, const core::Reply& reply, const core::WalkList& list,
                 const AnswerContext& context, std::string& out) {
  append_head(out, plan, 200, context);
  append_read_headers(out, plan, reply);
  if (!list.is_last && !list.nodes.empty()) {
    header(out, "Coord-Cursor", encode_cursor(list.nodes.back().path));
  }
  for (const auto& node : list.nodes) {
    append_json_walk_entry(context.scratch, node, plan.with_values, plan.with_acls);
    context.scratch += '\n';
  }
  finish(out, plan, "application/x-ndjson", context.scratch);
}

void append_number_cursor(JsonObject& object, std::uint64_t last) {
  std::string digits;
  append_number(digits, last);
  object.text("cursor", encode_cursor(digits));
}

void answer_history(const Plan& plan, const core::Reply& reply, const core::HistoryList& list,
                    const AnswerContext& context, std::string& out) {
  append_head(out, plan, 200, context);
  append_read_headers(out, plan, reply);
  const bool is_history = plan.route->endpoint == Endpoint::history_get;
  auto& body = context.scratch;
  JsonObject object(body);
  if (is_history) object.text("path", plan.path);
  object.name(is_history ? "history" : "changes") += '[';
  const ChangeForm form{plan.with_values, plan.with_prev, false};
  for (std::size_t i = 0; i < list.entries.size(); ++i) {
    if (i > 0) body += ',';
    if (is_history) {
      append_json_history(body, list.entries[i]);
    } else {
      append_json_change(body, list.entries[i].change, list.entries[i].zxid, form);
    }
  }
  body += ']';
  if (!list.is_last && !list.entries.empty()) {
    append_number_cursor(object, list.entries.back().zxid.value());
  }
  object.number("oldest_revision", list.oldest.value());
  object.number("revision", reply.revision.value()).close();
  finish_json(out, plan, body);
}

void append_sessions(std::string& body, const core::SessionList& list, Zxid revision) {
  JsonObject object(body);
  object.name("sessions") += '[';
  for (std::size_t i = 0; i < list.sessions.size(); ++i) {
    if (i > 0) body += ',';
    append_json_session(body, list.sessions[i]);
  }
  body += ']';
  if (!list.is_last && !list.sessions.empty()) {
    append_number_cursor(object, list.sessions.back().id.value());
  }
  object.number("revision", revision.value()).close();
}

void append_quota(std::string& body, const Plan& plan, const core::QuotaView& quota,
                  Zxid revision) {
  JsonObject object(body);
  object.text("path", plan.path);
  quota.nodes_max ? object.number("nodes", *quota.nodes_max) : object.null("nodes");
  quota.bytes_max ? object.number("bytes", *quota.bytes_max) : object.null("bytes");
  {
    JsonObject used(object.name("used"));
    used.number("nodes", quota.nodes).number("bytes", quota.bytes).close();
  }
  object.number("revision", revision.value()).close();
}

// The bodies that are JSON only; false when the result is of another kind.
bool append_json_result(const Plan& plan, const core::Reply& reply, const AnswerContext& context,
                        std::string& body) {
  const auto revision = reply.revision.value();
  if (const auto* acl = std::get_if<core::AclView>(&reply.result)) {
    JsonObject object(body);
    object.text("path", plan.path);
    append_json_acl(object.name("acl"), acl->acl);
    object.whole("aversion", acl->stat.aversion).number("revision", revision).close();
  } else if (const auto* quota = std::get_if<core::QuotaView>(&reply.result)) {
    append_quota(body, plan, *quota, reply.revision);
  } else if (const auto* txn = std::get_if<core::TxnResult>(&reply.result)) {
    JsonObject object(body);
    object.boolean("succeeded", txn->succeeded).number("revision", revision);
    append_json_txn_results(object.name("results"), *txn,
                            txn->succeeded ? plan.then_names : plan.otherwise_names);
    object.close();
  } else if (const auto* alive = std::get_if<core::KeepaliveResult>(&reply.result)) {
    JsonObject object(body);
    object.whole("remaining_ms", alive->remaining_ms).close();
  } else if (const auto* session = std::get_if<core::SessionView>(&reply.result)) {
    append_json_session(body, *session);
  } else if (const auto* sessions = std::get_if<core::SessionList>(&reply.result)) {
    append_sessions(body, *sessions, reply.revision);
  } else if (const auto* status = std::get_if<core::Status>(&reply.result)) {
    append_json_status(body, *status, context.version);
  } else if (const auto* cluster = std::get_if<core::ClusterView>(&reply.result)) {
    append_json_cluster(body, *cluster, reply.revision);
  } else if (const auto* members = std::get_if<core::ClusterPlan>(&reply.result)) {
    append_json_cluster_plan(body, *members, reply.revision);
  } else {
    return false;
  }
  return true;
}

void answer_opened(const Plan& plan, const core::Reply& reply, const core::SessionOpened& opened,
                   const AnswerContext& context, std::string& out) {
  const auto token = session::token_of(opened.id, opened.secret);
  append_head(out, plan, 201, context);
  append_revision(out, reply.revision);
  header(out, "Coord-Session", token);
  out += "Location: /v1/sessions/";
  append_number(out, opened.id.value());
  out += "\r\nCache-Control: no-store\r\n";
  JsonObject object(context.scratch);
  object.text("session", token).id("id", opened.id.value());
  object.whole("ttl_ms", opened.ttl_ms).close();
  finish_json(out, plan, context.scratch);
}

// A write whose result has nothing to show.
void answer_done(const Plan& plan, const core::Reply& reply, const AnswerContext& context,
                 std::string& out) {
  const bool has_body = plan.route->endpoint == Endpoint::quota_put;
  append_head(out, plan, has_body ? 200 : 204, context);
  append_revision(out, reply.revision);
  if (!has_body) {
    out += "X-Content-Type-Options: nosniff\r\n\r\n";
    return;
  }
  JsonObject object(context.scratch);
  object.text("path", plan.path).number("revision", reply.revision.value()).close();
  finish_json(out, plan, context.scratch);
}

void answer_recipe(const Plan& plan, const core::Reply& reply, const AnswerContext& context,
                   std::string& out) {
  const auto etag = recipe_result(reply).answer.etag;
  const bool is_same = plan.known_any || plan.known == etag;
  if (is_read(plan) && etag && is_same && !plan.wait_ms) {
    answer_not_modified(plan, reply, etag, context, out);
    return;
  }
  RecipeBody body{200, "application/json", {}, context.scratch};
  body.clients = context.clients;
  body.now_ms = context.now_ms;
  plan.route->recipe->answer(plan, reply, body);
  append_head(out, plan, body.status, context);
  append_read_headers(out, plan, reply);
  if (etag && !body.is_volatile) append_etag(out, etag);
  if ((plan.route->traits & trait_wait) != 0) out += "Vary: Accept\r\n";
  out += body.headers;
  if (body.status == 204) {
    out += "X-Content-Type-Options: nosniff\r\n\r\n";
  } else if (body.raw) {
    finish(out, plan, body.raw_type, *body.raw);
  } else if (body.content_type == "application/json") {
    finish_json(out, plan, context.scratch);
  } else {
    finish(out, plan, body.content_type, context.scratch);
  }
}

}  // namespace

void append_problem(std::string& out, const Plan& plan, const core::Reply& reply,
                    const Problem* problem) {
  const auto code = word_of(reply.code);
  std::string type = "urn:coord:problem:";
  type += code;
  JsonObject object(out);
  object.text("type", type).text("title", title_of(reply.code));
  object.whole("status", status_of(reply.code));
  object.text("detail", reply.detail.empty() ? title_of(reply.code) : reply.detail);
  object.text("instance", plan.target).text("code", code);
  const std::string_view path = reply.path.empty() ? plan.path : reply.path;
  if (!path.empty()) object.text("path", path);
  object.number("revision", reply.revision.value());
  object.boolean("retryable", is_retryable(reply.code));
  if (plan.is_write) {
    object.text("outcome", reply.code == Code::outcome_unknown ? "unknown" : "not-applied");
  }
  if (problem != nullptr && problem->limit) object.number("limit", *problem->limit);
  if (problem != nullptr && !problem->branch.empty()) {
    object.text("branch", problem->branch).number("op", problem->op);
  }
  append_problem_extras(object, reply, plan);
  object.close();
}

void answer_reply(const Plan& plan, const core::Reply& reply, const AnswerContext& context,
                  std::string& out) {
  COORD_CHECK(plan.route != nullptr, "a reply answers a routed request");
  context.scratch.clear();
  if (reply.code != Code::ok) {
    answer_error(plan, reply, nullptr, context, out);
    return;
  }
  if (const auto* node = std::get_if<core::NodeValue>(&reply.result)) {
    answer_value(plan, reply, *node, context, out);
  } else if (const auto* written = std::get_if<core::Written>(&reply.result)) {
    answer_written(plan, reply, *written, context, out);
  } else if (const auto* children = std::get_if<core::ChildList>(&reply.result)) {
    answer_children(plan, reply, *children, context, out);
  } else if (const auto* walk = std::get_if<core::WalkList>(&reply.result)) {
    answer_walk(plan, reply, *walk, context, out);
  } else if (const auto* history = std::get_if<core::HistoryList>(&reply.result)) {
    answer_history(plan, reply, *history, context, out);
  } else if (const auto* opened = std::get_if<core::SessionOpened>(&reply.result)) {
    answer_opened(plan, reply, *opened, context, out);
  } else if (std::holds_alternative<core::RecipeResult>(reply.result)) {
    answer_recipe(plan, reply, context, out);
  } else if (append_json_result(plan, reply, context, context.scratch)) {
    const bool is_change = (plan.route->traits & trait_change) != 0 && !plan.is_dry_run;
    append_head(out, plan, is_change ? 202 : 200, context);
    append_read_headers(out, plan, reply);
    finish_json(out, plan, context.scratch);
  } else {
    answer_done(plan, reply, context, out);
  }
  context.scratch.clear();
}

void answer_problem(const Plan& plan, const Problem& problem, const AnswerContext& context,
                    std::string& out) {
  context.scratch.clear();
  core::Reply reply;
  reply.code = problem.code;
  reply.detail = problem.detail;
  reply.revision = context.applied;
  reply.consistency = core::Consistency::local;
  reply.staleness_ms = context.staleness_ms;
  answer_error(plan, reply, &problem, context, out);
}

void answer_not_modified(const Plan& plan, const core::Reply& reply, std::optional<Zxid> etag,
                         const AnswerContext& context, std::string& out) {
  append_head(out, plan, 304, context);
  append_read_headers(out, plan, reply);
  if (etag) append_etag(out, *etag);
  out += "Vary: Accept\r\nX-Content-Type-Options: nosniff\r\n\r\n";
}

void answer_body(const Plan& plan, int status, std::string_view content_type, std::string_view body,
                 const AnswerContext& context, std::string& out) {
  append_head(out, plan, status, context);
  append_revision(out, context.applied);
  if (status == 503) out += "Retry-After: 1\r\n";
  if (content_type == "application/json") {
    finish_json(out, plan, body);
  } else {
    finish(out, plan, content_type, body);
  }
}

void answer_options(const Plan& plan, const RequestView& view, const AnswerContext& context,
                    std::string& out) {
  std::string path;
  const auto target = view.target.substr(0, view.target.find('?'));
  if (!percent_decode(target, false, path)) path = target;
  auto match = match_route(Method::other, path);
  if (match.allow.empty() && path != "*") {
    answer_problem(plan, {Code::no_route, "there is no such route", {}, {}}, context, out);
    return;
  }
  append_head(out, plan, 204, context);
  append_revision(out, context.applied);
  if (!match.allow.empty()) header(out, "Allow", match.allow);
  if (!plan.origin.empty() && !view.headers.cors_method.empty()) {
    header(out, "Access-Control-Allow-Methods", match.allow);
    // What may be asked for is what the API knows, whatever the browser names.
    out +=
        "Access-Control-Allow-Headers: Accept, Authorization, Content-Type, If-Match, "
        "If-None-Match, Last-Event-ID, Idempotency-Key, Coord-Session, Coord-Fence\r\n"
        "Access-Control-Max-Age: 600\r\n";
  }
  out += "X-Content-Type-Options: nosniff\r\n\r\n";
}

void answer_stream_head(const Plan& plan, const core::Reply& reply, const AnswerContext& context,
                        std::string& out) {
  append_head(out, plan, 200, context);
  append_read_headers(out, plan, reply);
  header(out, "Content-Type",
         plan.format == Format::raw      ? "application/octet-stream"
         : plan.format == Format::ndjson ? "application/x-ndjson"
                                         : "text/event-stream");
  out +=
      "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\nVary: Accept\r\n"
      "X-Content-Type-Options: nosniff\r\n";
  if (!context.is_http10) out += "Transfer-Encoding: chunked\r\n";
  out += "\r\n";
}

void append_chunk(std::string& out, std::string_view text) {
  char digits[16];
  std::size_t n = sizeof digits;
  for (auto rest = text.size(); rest > 0; rest >>= 4) digits[--n] = "0123456789abcdef"[rest & 15];
  out.append(digits + n, sizeof digits - n);
  out += "\r\n";
  out += text;
  out += "\r\n";
}

}  // namespace coord::api
