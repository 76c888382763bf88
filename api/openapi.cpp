#include "api/openapi.hpp"

#include <algorithm>
#include <cctype>

#include "api/json.hpp"
#include "api/recipe_route.hpp"
#include "api/route_table.hpp"

namespace coord::api {
namespace {

struct ParameterInfo {
  std::string_view name;
  std::string_view type;  // Of JSON Schema; "duration" is a string of our own form.
  std::string_view summary;
  std::string_view routes = {};  // Only of the routes that begin so.
};

constexpr ParameterInfo kParameters[] = {
    {"address", "string", "Where the instance is; by default where the request comes from"},
    {"acls", "boolean", "With the ACLs"},
    {"add", "integer", "Add this to a signed 64-bit decimal value"},
    {"as", "raw|json", "Overrides Accept"},
    {"author", "string", "Who publishes; shown in the history"},
    {"at", "integer", "As it was at this revision, within what is retained"},
    {"block", "integer", "Take a block of so many ids"},
    {"break", "boolean", "Whoever holds it; for operators"},
    {"comment", "string", "Why; shown in the history"},
    {"bytes", "integer", "The most bytes that the values of the subtree may have"},
    {"check", "string", "An active check: http://HOST:PORT/PATH or tcp://HOST:PORT"},
    {"consistency", "linearizable|leader|local", "Of the read; linearizable by default"},
    {"data", "string", "For people: kept with the ticket"},
    {"cursor", "string", "Of the page before; opaque"},
    {"depth", "string", "Levels below the node: 0, 1 (watches), N (walks), all"},
    {"dry_run", "boolean", "Only say what the cluster would come to"},
    {"healthy", "boolean", "Only instances whose checks pass and that are not in maintenance"},
    {"from", "integer", "After this revision; of a difference: the older release"},
    {"id", "integer", "Of the new member; never used before"},
    {"initial", "boolean", "The present state first"},
    {"instance", "string", "What the client calls itself; percentages are stable by it"},
    {"label.", "string", "A label of the client, or of those that a gray value is for"},
    {"limit", "integer", "Entries of a page, 1 to 10,000; 1,000 by default"},
    {"lock_delay", "duration", "So long nobody else has it after a holder was lost"},
    {"lock_delay_ms", "integer", "The same in milliseconds"},
    {"count", "integer", "How many have to come"},
    {"for", "duration", "The lease ends so long from now; 0s gives the item back"},
    {"for_ms", "integer", "The same in milliseconds"},
    {"lease", "string",
     "How long the item is the taker's (30s); of an item that was taken: its lease"},
    {"lease_ms", "integer", "The same in milliseconds"},
    {"max_deliveries", "integer",
     "An item that was delivered so often in vain is dead; 0: no bound"},
    {"max_staleness", "duration", "Of a local read: refuse rather than be older"},
    {"meta.", "string", "Of the instance: this key of its meta has this value"},
    {"min_revision", "integer", "Of a local read: wait until this revision is applied"},
    {"mode", "exclusive|shared", "Of a lock; exclusive by default", "/v1/locks"},
    {"mode", "persistent|ephemeral|container", "Of a node that is created"},
    {"name", "string", "What the session calls itself"},
    {"nodes", "integer", "The most nodes that the subtree may have"},
    {"owner", "string", "Tells apart those who share a session"},
    {"parents", "boolean", "Make missing parents"},
    {"participants", "string", "Who has to vote: names, separated by commas"},
    {"path", "string", "A node to watch; may stand more than once"},
    {"permits", "integer", "The size of the semaphore"},
    {"peer", "string", "HOST:PORT, where the other members reach it"},
    {"port", "integer", "Where the instance listens"},
    {"percent", "integer", "So many in a hundred instances, 0 to 100"},
    {"prefix", "string", "Names that start with it; of POST: what the digits follow"},
    {"prev", "boolean", "Events carry the value before"},
    {"reason", "string", "Why"},
    {"priority", "integer", "The highest leads next", "/v1/elections"},
    {"queue", "boolean", "A place in the queue that outlives the request: 202"},
    {"proposer", "string", "A name by which a retry is known"},
    {"recursive", "boolean", "The node and all below it"},
    {"replaces", "integer", "The member that goes when this one is promoted"},
    {"role", "voter|observer|standby", "Of a member; a standby becomes a voter by itself"},
    {"since", "integer", "Changes after this revision; from now on by default"},
    {"source", "string", "Where the import comes from, in words"},
    {"stat", "boolean", "With the stat of each child"},
    {"system", "boolean", "With /.coord and /zookeeper"},
    {"tag", "string", "The instance has this tag; several by comma: all of them"},
    {"tags", "string", "Its tags, by comma"},
    {"takeover", "boolean", "Even if it hangs on another session"},
    {"take", "integer", "Permits of a semaphore to take; 1 by default"},
    {"timeout", "duration", "How long the request may take; 10s by default"},
    {"to", "string", "The candidate that is to lead", "/v1/elections"},
    {"to", "integer",
     "The member that is to lead (by default the one that has most of the log), or a release"},
    {"timeout_ms", "integer", "How long the participants have to vote"},
    {"ttl", "duration", "The node, or the session, ends when it is not renewed for so long"},
    {"ttl_ms", "integer", "The same in milliseconds"},
    {"value", "string", "What a candidate posts", "/v1/elections"},
    {"values", "boolean", "With the values"},
    {"version", "integer", "Only if the node has this data version"},
    {"weight", "integer", "Its share of the load, 0 to 65535; 1 by default"},
    {"wait", "duration", "How long to wait: for a change (a long poll), or for one's turn"},
    {"vote", "yes|no", "The participant's vote"},
};

// The first that fits: those of some routes alone stand before the others.
const ParameterInfo* info_of(const RouteSpec& route, std::string_view name) noexcept {
  for (const auto& info : kParameters) {
    if (info.name == name && route.path.starts_with(info.routes)) return &info;
  }
  return nullptr;
}

void append_schema(std::string& out, std::string_view type) {
  JsonObject schema(out);
  if (type == "duration") {
    schema.text("type", "string").text("pattern", "^([0-9]+(ms|s|m|h)|0)$");
  } else if (type.find('|') != std::string_view::npos) {
    schema.text("type", "string");
    schema.name("enum") += '[';
    bool is_first = true;
    while (true) {
      const auto end = type.find('|');
      if (!is_first) out += ',';
      is_first = false;
      append_json_string(out, type.substr(0, end));
      if (end == std::string_view::npos) break;
      type.remove_prefix(end + 1);
    }
    out += ']';
  } else {
    schema.text("type", type);
    if (type == "integer") schema.text("format", "int64");
  }
  schema.close();
}

void append_parameter(std::string& out, std::string_view name, std::string_view place,
                      bool is_required, std::string_view type, std::string_view summary) {
  JsonObject parameter(out);
  // "label." stands for all names that begin so.
  const bool is_open = name.ends_with('.');
  parameter.text("name", is_open ? std::string(name) + "NAME" : std::string(name));
  parameter.text("in", place).boolean("required", is_required);
  parameter.text("description", summary);
  append_schema(parameter.name("schema"), type);
  parameter.close();
}

// The headers that a route takes.
void append_header_parameters(std::string& out, const RouteSpec& route, bool& is_first) {
  const auto add = [&](std::string_view name, std::string_view summary) {
    if (!is_first) out += ',';
    is_first = false;
    append_parameter(out, name, "header", false, "string", summary);
  };
  if ((route.traits & trait_local) != 0) return;
  add("Coord-Session", "The session's token");
  if ((route.traits & trait_write) != 0) {
    add("Coord-Fence", "jobs=57 (a lock) or election:boss=58, several by comma");
    add("Idempotency-Key", "A retry with the same key gets the first answer");
    if (takes_if_match(route)) {
      add("If-Match", route.recipe == nullptr
                          ? "Only if the node's ETag is this one"
                          : "Only if this is the present release (of a schema: its ETag)");
    }
    if (takes_if_none_match(route)) add("If-None-Match", "* : create only");
  }
  if ((route.traits & trait_wait) != 0) {
    add("If-None-Match", "304 while the ETag is this one; with wait= a long poll");
  }
  if ((route.traits & (trait_wait | trait_stream)) != 0) {
    add("Last-Event-ID", "A stream goes on after this revision");
  }
}

std::string_view summary_of_argument(const RouteSpec& route, std::string_view name) noexcept {
  if (name == "path") return "The node's path, without the leading slash; may be empty";
  if (route.path.starts_with("/v1/cluster")) return "The member's id";
  if (route.path.starts_with("/v1/sessions")) return "The id, the whole token, or `mine`";
  if (name == "id") return "The number that POST gave it";
  if (name == "item") return "The number that it was put under";
  if (name == "ticket" || name == "candidate") return "Its id, or `mine`";
  return "[A-Za-z0-9._-]{1,255}";
}

void append_parameters(std::string& out, const RouteSpec& route) {
  out += '[';
  bool is_first = true;
  for (auto brace = route.path.find('{'); brace != std::string_view::npos;
       brace = route.path.find('{', brace + 1)) {
    const auto name = route.path.substr(brace + 1, route.path.find('}', brace) - brace - 1);
    if (!is_first) out += ',';
    is_first = false;
    append_parameter(out, name, "path", true, "string", summary_of_argument(route, name));
  }
  for (const auto name : parameters_of(route)) {
    if (!is_first) out += ',';
    is_first = false;
    const auto* info = info_of(route, name);
    std::string shown(name);
    if (name.ends_with('.')) shown += "KEY";  // Any name that begins so.
    append_parameter(out, shown, "query", route.endpoint == Endpoint::watch_get && name == "path",
                     info != nullptr ? info->type : "string", info != nullptr ? info->summary : "");
  }
  append_header_parameters(out, route, is_first);
  out += ']';
}

std::string_view success_of(const RouteSpec& route) noexcept {
  if (route.recipe != nullptr) return route.recipe->success;
  switch (route.endpoint) {
    case Endpoint::tree_post:
    case Endpoint::session_open:
      return "201";
    case Endpoint::tree_delete:
    case Endpoint::import_finish:
    case Endpoint::quota_delete:
    case Endpoint::session_delete:
    case Endpoint::transfer_post:
      return "204";
    case Endpoint::member_add:
    case Endpoint::member_change:
    case Endpoint::member_remove:
    case Endpoint::member_repair:
      return "202";
    default:
      return "200";
  }
}

// What the answer of success consists of.
void append_content(JsonObject& response, std::string& out, const RouteSpec& route) {
  response.name("content") += '{';
  bool is_first = true;
  const auto add = [&](std::string_view type) {
    if (!is_first) out += ',';
    is_first = false;
    append_json_string(out, type);
    out += ":{}";
  };
  if ((route.traits & trait_local) != 0 && route.endpoint != Endpoint::version &&
      route.endpoint != Endpoint::openapi) {
    add("text/plain");
  } else if (route.endpoint == Endpoint::tree_get) {
    add("*/*");
    add("application/json");
  } else if (route.endpoint == Endpoint::backup_get) {
    add("application/octet-stream");
  } else if (route.endpoint == Endpoint::walk_get) {
    add("application/x-ndjson");
  } else if (route.endpoint != Endpoint::watch_get) {
    if (route.recipe != nullptr && (route.recipe->offers & offers_raw) != 0) add("*/*");
    add("application/json");
  }
  if (route.recipe != nullptr ? (route.recipe->offers & offers_event_stream) != 0
                              : (route.traits & (trait_wait | trait_stream)) != 0) {
    add("text/event-stream");
  }
  if ((route.traits & trait_stream) != 0) add("application/x-ndjson");
  out += '}';
}

void append_responses(std::string& out, const RouteSpec& route) {
  JsonObject responses(out);
  const auto success = success_of(route);
  {
    JsonObject response(responses.name(success));
    response.text("description", route.summary);
    if (success != "204") append_content(response, out, route);
    response.close();
  }
  if (route.endpoint == Endpoint::tree_put) {
    JsonObject response(responses.name("201"));
    response.text("description", "The node was created").close();
  }
  if ((route.traits & trait_wait) != 0) {
    JsonObject response(responses.name("304"));
    response.text("description", "No change").close();
  }
  JsonObject problem(responses.name("default"));
  problem.text("description", "A problem document (RFC 9457)");
  problem.name("content") +=
      "{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}";
  problem.close();
  responses.close();
}

void append_operation(std::string& out, const RouteSpec& route) {
  JsonObject operation(out);
  operation.text("summary", route.summary);
  append_parameters(operation.name("parameters"), route);
  if ((route.traits & trait_body) != 0) {
    const bool is_raw =
        route.endpoint == Endpoint::tree_put || route.endpoint == Endpoint::tree_post;
    std::string& body = operation.name("requestBody");
    const bool is_lines = route.endpoint == Endpoint::import_nodes;
    const bool is_any = is_raw || (route.recipe != nullptr && route.recipe->body_type == "*/*");
    body += is_any     ? "{\"content\":{\"*/*\":{}}}"
            : is_lines ? "{\"content\":{\"application/x-ndjson\":{}}}"
                       : "{\"content\":{\"application/json\":{}}}";
  }
  append_responses(operation.name("responses"), route);
  operation.close();
}

std::string lower(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

constexpr std::string_view kComponents =
    R"({"schemas":{"Problem":{"type":"object","required":["type","title","status","code",)"
    R"("retryable","revision"],"properties":{"type":{"type":"string"},"title":{"type":"string"},)"
    R"("status":{"type":"integer"},"detail":{"type":"string"},"instance":{"type":"string"},)"
    R"("code":{"type":"string"},"path":{"type":"string"},"revision":{"type":"integer"},)"
    R"("retryable":{"type":"boolean"},"outcome":{"type":"string","enum":["not-applied","unknown"]},)"
    R"("leader":{"type":["string","null"]},"limit":{"type":"integer"},"owner":{"type":"string"},)"
    R"("reason":{"type":"string"},"oldest_revision":{"type":"integer"},"branch":{"type":"string"},)"
    R"("op":{"type":"integer"}}}}})";

}  // namespace

std::string openapi_document(std::string_view version) {
  std::string out;
  JsonObject document(out);
  document.text("openapi", "3.1.0");
  {
    JsonObject info(document.name("info"));
    info.text("title", "coord").text("version", version);
    info.text("description", "Coordination over HTTP: znodes, sessions and watches.").close();
  }
  std::vector<std::string_view> paths;
  for (const auto& route : route_table()) {
    if (std::find(paths.begin(), paths.end(), route.path) == paths.end()) {
      paths.push_back(route.path);
    }
  }
  {
    JsonObject all(document.name("paths"));
    for (const auto path : paths) {
      JsonObject item(all.name(path));
      for (const auto& route : route_table()) {
        if (route.path != path) continue;
        append_operation(item.name(lower(word_of(route.method))), route);
        if (route.method == Method::get) append_operation(item.name("head"), route);
      }
      item.close();
    }
    all.close();
  }
  document.name("components") += kComponents;
  document.close();
  return out;
}

}  // namespace coord::api
