// /v1/locks and /v1/lock-graph: locks, semaphores, their tickets, and who waits for whom.
#include <array>
#include <chrono>

#include "api/fields.hpp"
#include "api/recipe_route.hpp"
#include "api/recipes.hpp"
#include "api/text.hpp"
#include "coord/recipes/lock.hpp"
#include "znode/path.hpp"

namespace coord::api {
namespace {

namespace lock = recipes::lock;
constexpr auto kKind = recipes::Kind::lock;

std::int64_t wall_ms() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// ---- from requests to steps and queries

// mode, permits and take.
void take_kind(Fields& fields, lock::Acquire& op) {
  const auto mode = fields.text("mode");
  const auto permits = fields.count("permits");
  const auto take = fields.count("take");
  if (mode && *mode != "exclusive" && *mode != "shared") {
    fields.fail(fmt::format("mode={} must be exclusive or shared", *mode));
  }
  if (mode && permits) fields.fail("mode and permits do not go together");
  if (take && !permits) fields.fail("take goes with permits, the size of the semaphore");
  if (mode == "shared") op.mode = lock::Mode::shared;
  if (!permits) return;
  if (*permits < 1 || *permits > lock::kPermitsMax) {
    fields.fail(fmt::format("permits must be 1 to {}", lock::kPermitsMax));
    return;
  }
  op.mode = lock::Mode::permits;
  op.permits = static_cast<std::uint32_t>(*permits);
  if (take && (*take < 1 || *take > *permits)) {
    fields.fail(fmt::format("take must be 1 to {}, the permits", *permits));
    return;
  }
  op.take = static_cast<std::uint32_t>(take.value_or(1));
}

void take_texts(Fields& fields, lock::Acquire& op) {
  op.owner = fields.text("owner").value_or("");
  op.data = fields.text("data").value_or("");
  if (op.owner.size() > lock::kOwnerBytesMax) {
    fields.fail(fmt::format("owner has at most {} bytes", lock::kOwnerBytesMax));
  }
  if (op.data.size() > lock::kDataBytesMax) {
    fields.fail(fmt::format("data has at most {} bytes", lock::kDataBytesMax));
  }
  if (!znode::is_valid_utf8(op.owner) || !znode::is_valid_utf8(op.data))
    fields.fail("owner and data must be UTF-8");
}

Problem plan_acquire(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the lock", name)) return problem;
  Fields fields(in, {"mode", "permits", "take", "wait", "ttl", "ttl_ms", "owner", "lock_delay",
                     "lock_delay_ms", "queue", "data"});
  lock::Acquire op;
  op.name = name;
  take_kind(fields, op);
  take_texts(fields, op);
  op.lock_delay_ms = fields.duration("lock_delay", "lock_delay_ms").value_or(0);
  if (op.lock_delay_ms < 0 || op.lock_delay_ms > lock::kLockDelayMsMax) {
    fields.fail(fmt::format("lock_delay must be at most {}s", lock::kLockDelayMsMax / 1000));
  }
  const auto wait = fields.duration("wait", "").value_or(0);
  if (wait > in.options.wait_ms_max) {
    fields.fail(fmt::format("wait must be at most {}s", in.options.wait_ms_max / 1000));
  }
  const auto ttl = fields.duration("ttl", "ttl_ms").value_or(in.options.sessions.ttl_ms_default);
  plan.recipe.stays = fields.boolean("queue").value_or(false);
  if (auto problem = fields.finish()) return problem;
  op.wait = plan.recipe.stays ? lock::Wait::queue : wait > 0 ? lock::Wait::wait : lock::Wait::none;
  if (wait > 0) plan.recipe.wait_ms = wait;
  plan.recipe.name = name;
  set_step(plan, kKind, encode(op));
  return bring_session(in, plan, ttl, fmt::format("lock {}", name));
}

// The ticket of the path: an id, or empty for "mine".
Problem take_ticket(const PlanInput& in, const Plan& plan, std::string& ticket,
                    std::string& owner) {
  if (auto problem = check_name("the lock", in.arguments[0])) return problem;
  ticket = in.arguments[1] == "mine" ? std::string() : std::string(in.arguments[1]);
  if (ticket.empty() && !plan.request.session) {
    return {
        Code::session_required, "\"mine\" is the ticket of the session in Coord-Session", {}, {}};
  }
  if (const auto* given = in.query.find("owner")) owner = *given;
  if (owner.size() > lock::kOwnerBytesMax || !znode::is_valid_utf8(owner)) {
    return bad_request(fmt::format("owner is UTF-8 of at most {} bytes", lock::kOwnerBytesMax));
  }
  return {};
}

// A text that cannot be a ticket is one that is not there.
Problem no_such_ticket(std::string_view name, std::string_view ticket) {
  return {Code::not_found, fmt::format("lock {} has no ticket {}", name, ticket), {}, {}};
}

Problem plan_release(const PlanInput& in, Plan& plan) {
  Problem problem;
  lock::Release op;
  if (auto wrong = take_ticket(in, plan, op.ticket, op.owner)) return wrong;
  op.name = in.arguments[0];
  op.is_break = in.query.boolean("break", problem).value_or(false);
  auto bytes = encode(op);
  if (!lock::is_step(bytes)) return no_such_ticket(op.name, op.ticket);
  set_step(plan, kKind, std::move(bytes));
  return problem;
}

Problem plan_ticket(const PlanInput& in, Plan& plan) {
  lock::ShowTicket query;
  if (auto wrong = take_ticket(in, plan, query.ticket, query.owner)) return wrong;
  query.name = in.arguments[0];
  if (plan.request.session) query.session = plan.request.session->id;
  auto bytes = encode(query);
  if (!lock::is_query(bytes)) return no_such_ticket(query.name, query.ticket);
  set_query(plan, kKind, std::move(bytes));
  watch_recipe(plan, kKind, query.name);
  if (!query.ticket.empty()) {
    plan.filter.paths.front() += '/';
    plan.filter.paths.front() += query.ticket;
    plan.filter.depth = watch::Depth::node;
  }
  return {};
}

Problem plan_show(const PlanInput& in, Plan& plan) {
  const auto name = in.arguments[0];
  if (auto problem = check_name("the lock", name)) return problem;
  set_query(plan, kKind, encode(lock::Show{std::string(name)}));
  watch_recipe(plan, kKind, name);
  return {};
}

template <class Page>
Problem plan_page(const PlanInput& in, Plan& plan) {
  Page page;
  if (auto problem = take_limit(in, plan)) return problem;
  if (auto problem = take_cursor(in, page.after)) return problem;
  if (page.after.size() > recipes::kNameBytesMax) return bad_request("this is no cursor of a list");
  page.limit = static_cast<std::uint32_t>(plan.limit);
  set_query(plan, kKind, encode(page));
  watch_kind(plan, kKind);
  return {};
}

// ---- from answers to JSON

std::string_view word_of(lock::Mode mode) {
  switch (mode) {
    case lock::Mode::exclusive:
      return "exclusive";
    case lock::Mode::shared:
      return "shared";
    case lock::Mode::permits:
      return "permits";
  }
  return {};
}

// The fields of a ticket but its id, session and token.
void append_details(JsonObject& object, const lock::Ticket& ticket) {
  object.text("mode", word_of(ticket.mode)).text("owner", ticket.owner);
  object.number("count", ticket.count).number("take", ticket.take);
  if (!ticket.data.empty()) object.text("data", ticket.data);
  object.time("since", ticket.since_ms);
  if (ticket.is_held) {
    object.time("held_since", ticket.held_ms);
  } else {
    object.whole("waiting_ms", std::max<std::int64_t>(0, wall_ms() - ticket.since_ms));
  }
}

void append_ticket(std::string& out, const lock::Ticket& ticket) {
  JsonObject object(out);
  object.text("ticket", ticket.id).id("session", ticket.session.value());
  object.text("state", ticket.is_held ? "held" : "queued");
  if (ticket.is_held) object.number("token", ticket.token);
  object.number("position", ticket.position);
  append_details(object, ticket);
  object.close();
}

void append_tickets(std::string& out, const std::vector<lock::Ticket>& tickets) {
  out += '[';
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    if (i > 0) out += ',';
    append_ticket(out, tickets[i]);
  }
  out += ']';
}

void answer_ticket(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto& result = recipe_result(reply);
  lock::TicketAnswer answer;
  static_cast<void>(decode(result.answer.bytes, answer));
  const auto& ticket = answer.ticket;
  const bool is_step = plan.method == Method::post;
  if (is_step) body.status = !ticket.is_held ? 202 : ticket.count > 1 ? 200 : 201;
  if (ticket.is_held && (is_step || plan.request.session)) {
    body.headers += fmt::format("Coord-Fence: {}={}\r\n", answer.name, ticket.token);
  }
  if (is_step) {
    body.headers += fmt::format("Location: /v1/locks/{}/{}\r\n", answer.name, ticket.id);
  }
  JsonObject object(body.text);
  object.text("lock", answer.name).text("ticket", ticket.id);
  object.text("state", ticket.is_held ? "held" : "queued");
  if (ticket.is_held) {
    object.number("token", ticket.token);
  } else {
    object.null("token");
  }
  object.number("position", ticket.position);
  append_details(object, ticket);
  if (answer.permits > 0) object.number("permits", answer.permits);
  append_tickets(object.name("holders"), answer.holders);
  object.number("holder_count", answer.holder_count);
  const auto& sender = plan.request.session;
  if (result.opened) {
    const auto token = session::token_of(result.opened->id, result.opened->secret);
    body.headers += fmt::format("Coord-Session: {}\r\nCache-Control: no-store\r\n", token);
    object.text("session", token).whole("ttl_ms", result.opened->ttl_ms);
  } else if (ticket.is_held && answer.is_own_session && sender && sender->id == ticket.session) {
    // Whoever asks again can keep this answer's headers as well as the first one's.
    body.headers += fmt::format("Coord-Session: {}\r\nCache-Control: no-store\r\n",
                                session::token_of(sender->id, sender->secret));
  }
  object.number("revision", reply.revision.value()).close();
}

void refuse_ticket(const Plan&, const core::Reply& reply, JsonObject& object) {
  const auto& bytes = recipe_result(reply).answer.bytes;
  if (lock::TicketAnswer held; decode(bytes, held)) {
    object.text("lock", held.name);
    append_tickets(object.name("holders"), held.holders);
    object.number("holder_count", held.holder_count);
  }
  lock::CircleAnswer circle;
  if (!decode(bytes, circle)) return;
  auto& out = object.name("circle");
  out += '[';
  for (std::size_t i = 0; i < circle.members.size(); ++i) {
    if (i > 0) out += ',';
    const auto& member = circle.members[i];
    const auto& next = circle.members[(i + 1) % circle.members.size()];
    JsonObject one(out);
    one.id("session", member.session.value()).text("owner", member.owner);
    one.text("waits_for", member.lock).text("ticket", member.ticket);
    one.id("held_by", next.session.value()).close();
  }
  out += ']';
}

void answer_released(const Plan&, const core::Reply&, RecipeBody& body) { body.status = 204; }

void append_lock(JsonObject& object, const lock::LockAnswer& answer) {
  object.text("lock", answer.name).number("token", answer.token);
  if (answer.permits > 0) object.number("permits", answer.permits);
  if (answer.delay_ms > 0) object.whole("lock_delay_ms", answer.delay_ms);
  append_tickets(object.name("holders"), answer.holders);
  object.number("holder_count", answer.holder_count);
}

void answer_lock(const Plan&, const core::Reply& reply, RecipeBody& body) {
  lock::LockAnswer answer;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, answer));
  JsonObject object(body.text);
  append_lock(object, answer);
  append_tickets(object.name("queue"), answer.queue);
  object.number("queue_length", answer.waiter_count);
  object.number("revision", reply.revision.value()).close();
}

void append_cursor(JsonObject& object, bool is_last, std::string_view last) {
  if (!is_last) object.text("cursor", encode_cursor(last));
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  lock::ListAnswer answer;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, answer));
  JsonObject object(body.text);
  auto& out = object.name("locks");
  out += '[';
  for (std::size_t i = 0; i < answer.locks.size(); ++i) {
    if (i > 0) out += ',';
    JsonObject one(out);
    append_lock(one, answer.locks[i]);
    one.number("queue_length", answer.locks[i].waiter_count).close();
  }
  out += ']';
  if (!answer.locks.empty()) append_cursor(object, answer.is_last, answer.locks.back().name);
  object.number("revision", reply.revision.value()).close();
}

void answer_graph(const Plan&, const core::Reply& reply, RecipeBody& body) {
  lock::GraphAnswer answer;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, answer));
  JsonObject object(body.text);
  auto& out = object.name("waits");
  out += '[';
  for (std::size_t i = 0; i < answer.edges.size(); ++i) {
    if (i > 0) out += ',';
    const auto& edge = answer.edges[i];
    JsonObject one(out);
    one.text("lock", edge.lock);
    append_ticket(one.name("waiter"), edge.ticket);
    append_tickets(one.name("waits_for"), edge.waits_for);
    one.close();
  }
  out += ']';
  if (!answer.edges.empty()) append_cursor(object, answer.is_last, answer.edges.back().lock);
  object.number("revision", reply.revision.value()).close();
}

constexpr std::uint8_t kStreams = offers_json | offers_event_stream;
constexpr RecipeRoute kAcquire{plan_acquire, answer_ticket, refuse_ticket, offers_json, {}, "201"};
constexpr RecipeRoute kRelease{plan_release, answer_released, nullptr, offers_json, {}, "204"};
constexpr RecipeRoute kTicket{plan_ticket, answer_ticket, nullptr, kStreams, "ticket"};
constexpr RecipeRoute kShow{plan_show, answer_lock, nullptr, kStreams, "lock"};
constexpr RecipeRoute kList{plan_page<lock::List>, answer_list, nullptr, kStreams, "locks"};
constexpr RecipeRoute kGraph{plan_page<lock::Graph>, answer_graph, nullptr, kStreams, "waits"};

using Names = std::string_view;
constexpr std::array<Names, 11> kAcquireNames{"mode", "permits",    "take",         "wait",
                                              "ttl",  "ttl_ms",     "owner",        "queue",
                                              "data", "lock_delay", "lock_delay_ms"};
constexpr std::array<Names, 1> kOwnerNames{"owner"};
constexpr std::array<Names, 2> kReleaseNames{"owner", "break"};
constexpr std::uint8_t kView = trait_read | trait_wait;
constexpr std::array kRoutes = {
    RouteSpec{Method::post, "/v1/locks/{name}", Endpoint::recipe, trait_write | trait_body,
              kAcquireNames, "Take a lock, or permits of a semaphore, or a place in the queue",
              &kAcquire},
    RouteSpec{Method::get,
              "/v1/locks",
              Endpoint::recipe,
              kView | trait_list,
              {},
              "The locks that somebody holds or wants",
              &kList},
    RouteSpec{Method::get,
              "/v1/locks/{name}",
              Endpoint::recipe,
              kView,
              {},
              "Who holds a lock, and who waits for it",
              &kShow},
    RouteSpec{Method::get, "/v1/locks/{name}/{ticket}", Endpoint::recipe, kView, kOwnerNames,
              "A ticket: does it hold the lock yet?", &kTicket},
    RouteSpec{Method::erase, "/v1/locks/{name}/{ticket}", Endpoint::recipe, trait_write,
              kReleaseNames, "Release a lock, or leave its queue", &kRelease},
    RouteSpec{Method::get,
              "/v1/lock-graph",
              Endpoint::recipe,
              kView | trait_list,
              {},
              "Who waits for whom, over all locks",
              &kGraph},
};

}  // namespace

std::span<const RouteSpec> lock_routes() noexcept { return kRoutes; }

}  // namespace coord::api
