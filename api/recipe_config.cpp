// /v1/config: requests.
#include "api/recipe_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/bodies.hpp"
#include "api/fields.hpp"
#include "api/recipes.hpp"
#include "coord/base/check.hpp"
#include "coord/base/limits.hpp"
#include "coord/recipes/config_limits.hpp"

namespace coord::api {
namespace {

namespace config = recipes::config;
namespace out = config_route;
using config::Act;
using config::Ask;

Problem begin(const PlanInput& in, Plan& plan) {
  plan.recipe.name = in.arguments[0];
  return check_name("the configuration", in.arguments[0]);
}

// label.NAME=VALUE of the query, sorted.
config::Labels labels_of(const PlanInput& in) {
  constexpr std::string_view kPrefix = "label.";
  config::Labels labels;
  for (const auto& [name, value] : in.query.all()) {
    if (name.starts_with(kPrefix)) labels.emplace_back(name.substr(kPrefix.size()), value);
  }
  std::sort(labels.begin(), labels.end());
  return labels;
}

// If-Match guards by the number of the release; If-None-Match: * is the first one.
Problem take_guards(const PlanInput& in, config::Step& step) {
  const auto if_match = trim(in.view.headers.if_match);
  if (!if_match.empty()) {
    step.if_release = parse_etag(if_match);
    if (!step.if_release) {
      return bad_request("If-Match must be the number of a release, like \"3\"");
    }
  }
  const auto if_none_match = trim(in.view.headers.if_none_match);
  if (if_none_match.empty()) return {};
  if (if_none_match != "*") return bad_request("If-None-Match of a write must be *");
  if (step.if_release) return bad_request("If-None-Match: * contradicts If-Match");
  step.if_absent = true;
  return {};
}

Problem take_note(const PlanInput& in, config::Step& step) {
  if (const auto* comment = in.query.find("comment")) step.note.comment = *comment;
  if (const auto* author = in.query.find("author")) step.note.author = *author;
  return {};
}

Problem check_note(const config::Step& step) {
  const auto wrong = config::note_error(step.note);
  return wrong.empty() ? Problem{} : bad_request(wrong);
}

void take_value(const PlanInput& in, config::Step& step) {
  step.value = Blob(in.view.body);
  step.content_type = stored_content_type(in.view.headers.content_type);
}

Problem check_content_type(const config::Step& step) {
  const TreeLimits limits;
  const auto& type = step.content_type;
  const bool is_plain =
      std::all_of(type.begin(), type.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
  if (is_plain && type.size() <= limits.content_type_bytes_max) return {};
  return bad_request(fmt::format("Content-Type must be at most {} printable characters",
                                 limits.content_type_bytes_max));
}

// A step that publishes something: the schema is asked for first.
void set_checked(Plan& plan, config::Step step) {
  config::Query query;
  query.ask = Ask::basis;
  query.name = step.name;
  query.act = step.act == Act::set_gray ? Act::publish : step.act;
  query.from = step.to;
  plan.recipe.basis = encode(query);
  auto draft = std::make_shared<out::Draft>();
  draft->step = std::move(step);
  plan.recipe.draft = std::move(draft);
  set_step(plan, recipes::Kind::config, {});
}

// Makes the step: the answer to the basis has the schema, and the value that a rollback or a
// promotion would publish.
void check_step(Plan& plan, const core::Reply& reply) {
  auto& draft = out::draft_of(plan);
  const auto& answer = recipe_result(reply).answer;
  config::Items basis;
  COORD_CHECK(decode(answer.bytes, basis) && !basis.items.empty(), "a basis has a schema's place");
  auto step = draft.step;
  step.schema = basis.items[0].revision;
  const bool is_stored = step.act == Act::roll_back || step.act == Act::promote;
  bool has_value = true;
  if (is_stored) {
    has_value = static_cast<bool>(basis.items.at(1).revision);
    if (step.act == Act::promote) step.gray = basis.items[1].revision;
  }
  plan.recipe.refusal.clear();
  if (step.schema && has_value) {
    const auto& value = is_stored ? answer.values.at(1) : step.value;
    if (auto misfit = check_value(answer.values.at(0).view(), value.view())) {
      draft.misfit = std::move(*misfit);
      plan.recipe.refusal = draft.misfit.path.empty()
                                ? draft.misfit.reason
                                : fmt::format("{}: {}", draft.misfit.path, draft.misfit.reason);
      step.refusal = plan.recipe.refusal;
    }
  }
  set_step(plan, recipes::Kind::config, encode(step));
}

Problem plan_put(const PlanInput& in, Plan& plan) {
  if (auto problem = begin(in, plan)) return problem;
  config::Step step;
  step.name = plan.recipe.name;
  take_value(in, step);
  if (auto problem = take_guards(in, step)) return problem;
  if (auto problem = take_note(in, step)) return problem;
  if (auto problem = check_note(step)) return problem;
  if (auto problem = check_content_type(step)) return problem;
  set_checked(plan, std::move(step));
  return {};
}

// Of a step without a body.
Problem plan_act(const PlanInput& in, Plan& plan, Act act) {
  if (auto problem = begin(in, plan)) return problem;
  config::Step step;
  step.act = act;
  step.name = plan.recipe.name;
  if (auto problem = take_guards(in, step)) return problem;
  if (step.if_absent) return bad_request("If-None-Match is for PUT");
  set_step(plan, recipes::Kind::config, encode(step));
  return {};
}
Problem plan_delete(const PlanInput& in, Plan& plan) { return plan_act(in, plan, Act::erase); }
Problem plan_delete_gray(const PlanInput& in, Plan& plan) {
  return plan_act(in, plan, Act::erase_gray);
}

// Of rollback and promotion: the fields stand in a body or in the query.
Problem plan_again(const PlanInput& in, Plan& plan, Act act) {
  if (auto problem = begin(in, plan)) return problem;
  config::Step step;
  step.act = act;
  step.name = plan.recipe.name;
  const bool is_rollback = act == Act::roll_back;
  Fields fields =
      is_rollback ? Fields(in, {"to", "comment", "author"}) : Fields(in, {"comment", "author"});
  if (is_rollback) {
    const auto to = fields.count("to");
    if (!to) fields.fail("a rollback needs \"to\": the number of a release");
    step.to = to.value_or(0);
  }
  step.note.comment = fields.text("comment").value_or("");
  step.note.author = fields.text("author").value_or("");
  if (auto problem = fields.finish()) return problem;
  if (auto problem = take_guards(in, step)) return problem;
  if (step.if_absent) return bad_request("If-None-Match is for PUT");
  if (auto problem = check_note(step)) return problem;
  set_checked(plan, std::move(step));
  return {};
}
Problem plan_rollback(const PlanInput& in, Plan& plan) {
  return plan_again(in, plan, Act::roll_back);
}
Problem plan_promote(const PlanInput& in, Plan& plan) { return plan_again(in, plan, Act::promote); }

Problem plan_put_gray(const PlanInput& in, Plan& plan) {
  if (auto problem = begin(in, plan)) return problem;
  Problem problem;
  config::Step step;
  step.act = Act::set_gray;
  step.name = plan.recipe.name;
  take_value(in, step);
  step.rule.labels = labels_of(in);
  if (const auto percent = in.query.count("percent", problem)) {
    step.rule.percent = static_cast<std::uint32_t>(std::min<std::uint64_t>(*percent, 1'000));
  }
  if (problem) return problem;
  if (const auto wrong = config::rule_error(step.rule); !wrong.empty()) return bad_request(wrong);
  if (auto wrong = take_guards(in, step)) return wrong;
  if (step.if_absent) return bad_request("If-None-Match is for releases");
  if (auto wrong = take_note(in, step)) return wrong;
  if (auto wrong = check_note(step)) return wrong;
  if (auto wrong = check_content_type(step)) return wrong;
  set_checked(plan, std::move(step));
  return {};
}

Problem plan_put_schema(const PlanInput& in, Plan& plan) {
  if (auto problem = begin(in, plan)) return problem;
  config::Step step;
  step.act = Act::set_schema;
  step.name = plan.recipe.name;
  take_value(in, step);
  if (auto problem = check_content_type(step)) return problem;
  if (in.view.body.size() > kConfigLimits.schema_bytes_max) {
    return {Code::too_large, "the schema is too large", {}, kConfigLimits.schema_bytes_max};
  }
  if (auto problem = check_json(in.view.body)) return problem;
  if (const auto wrong = schema_error(in.view.body); !wrong.empty()) {
    return {Code::invalid, "this is no usable JSON Schema: " + wrong, {}, {}};
  }
  if (auto problem = take_guards(in, step)) return problem;
  if (step.if_absent) return bad_request("If-None-Match is for releases");
  // The schema's own ETag is its revision.
  if (step.if_release) step.if_schema = Zxid(*step.if_release);
  step.if_release.reset();
  set_step(plan, recipes::Kind::config, encode(step));
  return {};
}

Problem plan_delete_schema(const PlanInput& in, Plan& plan) {
  if (auto problem = begin(in, plan)) return problem;
  config::Step step;
  step.act = Act::erase_schema;
  step.name = plan.recipe.name;
  if (auto problem = take_guards(in, step)) return problem;
  if (step.if_absent) return bad_request("If-None-Match is for releases");
  if (step.if_release) step.if_schema = Zxid(*step.if_release);
  step.if_release.reset();
  set_step(plan, recipes::Kind::config, encode(step));
  return {};
}

// ---- questions

Problem plan_get(const PlanInput& in, Plan& plan) {
  if (auto problem = begin(in, plan)) return problem;
  config::Query query;
  query.name = plan.recipe.name;
  query.client.labels = labels_of(in);
  if (const auto* instance = in.query.find("instance")) {
    if (instance->empty()) return bad_request("the instance: a name has at least one character");
    query.client.instance = *instance;
  }
  for (const auto& wrong :
       {config::labels_error(query.client.labels), config::instance_error(query.client.instance)}) {
    if (!wrong.empty()) return bad_request(wrong);
  }
  plan.recipe.item = query.client.instance;
  JsonObject labels(plan.recipe.labels);
  for (const auto& [name, value] : query.client.labels) labels.text(name, value);
  labels.close();
  set_query(plan, recipes::Kind::config, encode(query));
  watch_recipe(plan, recipes::Kind::config, plan.recipe.name);
  return {};
}

// The state says whether there is such a configuration; who runs it is known to the board.
Problem plan_clients(const PlanInput& in, Plan& plan) {
  if (auto problem = begin(in, plan)) return problem;
  config::Query query;
  query.name = plan.recipe.name;
  set_query(plan, recipes::Kind::config, encode(query));
  return {};
}

Problem plan_list(const PlanInput& in, Plan& plan) {
  config::Query query;
  query.ask = Ask::list;
  if (auto problem = take_limit(in, plan)) return problem;
  if (auto problem = take_cursor(in, query.after)) return problem;
  query.limit = plan.limit;
  set_query(plan, recipes::Kind::config, encode(query));
  watch_kind(plan, recipes::Kind::config);
  return {};
}

Problem plan_part(const PlanInput& in, Plan& plan, config::Query query) {
  if (auto problem = begin(in, plan)) return problem;
  query.name = plan.recipe.name;
  set_query(plan, recipes::Kind::config, encode(query));
  watch_recipe(plan, recipes::Kind::config, plan.recipe.name);
  return {};
}

Problem plan_releases(const PlanInput& in, Plan& plan) {
  config::Query query;
  query.ask = Ask::releases;
  std::string cursor;
  if (auto problem = take_limit(in, plan)) return problem;
  if (auto problem = take_cursor(in, cursor)) return problem;
  query.limit = plan.limit;
  if (!cursor.empty()) {
    const auto below = parse_u64(cursor);
    if (!below) return bad_request("this is not a cursor of this listing");
    query.below = *below;
  }
  return plan_part(in, plan, std::move(query));
}

Problem plan_release(const PlanInput& in, Plan& plan) {
  const auto number = parse_u64(in.arguments[1]);
  if (!number) {
    return bad_request(fmt::format("\"{}\" is not the number of a release", in.arguments[1]));
  }
  config::Query query;
  query.ask = Ask::release;
  query.from = *number;
  return plan_part(in, plan, std::move(query));
}

Problem plan_diff(const PlanInput& in, Plan& plan) {
  Problem problem;
  config::Query query;
  query.ask = Ask::pair;
  const auto from = in.query.count("from", problem);
  const auto to = in.query.count("to", problem);
  if (problem) return problem;
  if (from == 0 || to == 0) return bad_request("releases are numbered from 1");
  query.from = from.value_or(0);
  query.to = to.value_or(0);
  return plan_part(in, plan, std::move(query));
}

Problem plan_get_schema(const PlanInput& in, Plan& plan) {
  config::Query query;
  query.ask = Ask::schema;
  return plan_part(in, plan, std::move(query));
}

Problem plan_get_gray(const PlanInput& in, Plan& plan) {
  config::Query query;
  query.ask = Ask::gray;
  return plan_part(in, plan, std::move(query));
}

// ---- the table

constexpr RecipeRoute checked(Problem (*plan)(const PlanInput&, Plan&),
                              void (*answer)(const Plan&, const core::Reply&, RecipeBody&),
                              std::string_view body_type) {
  RecipeRoute route{plan, answer, out::add_misfit};
  route.success = "201";
  route.body_type = body_type;
  route.check = check_step;
  return route;
}
constexpr RecipeRoute erasing(Problem (*plan)(const PlanInput&, Plan&)) {
  RecipeRoute route{plan, out::answer_gone};
  route.success = "204";
  return route;
}
// A GET, also as a stream; `offers` says in which other forms.
constexpr RecipeRoute viewing(Problem (*plan)(const PlanInput&, Plan&),
                              void (*answer)(const Plan&, const core::Reply&, RecipeBody&),
                              std::uint8_t offers, std::string_view event) {
  RecipeRoute route{plan, answer};
  route.offers = static_cast<std::uint8_t>(offers | offers_event_stream);
  route.event = event;
  return route;
}
constexpr RecipeRoute present_route() {
  auto route = viewing(plan_get, out::answer_value, offers_raw, "release");
  route.is_alike = true;
  route.told = out::told;
  return route;
}
constexpr RecipeRoute schema_route() {
  RecipeRoute route{plan_put_schema, out::answer_set};
  route.success = "201";
  route.body_type = "*/*";
  return route;
}

constexpr RecipeRoute kPut = checked(plan_put, out::answer_published, "*/*");
constexpr RecipeRoute kGet = present_route();
constexpr RecipeRoute kDelete = erasing(plan_delete);
constexpr RecipeRoute kList = viewing(plan_list, out::answer_list, offers_json, "configs");
constexpr RecipeRoute kClients{plan_clients, out::answer_clients};
constexpr RecipeRoute kReleases =
    viewing(plan_releases, out::answer_releases, offers_json, "releases");
constexpr RecipeRoute kRelease = viewing(plan_release, out::answer_value, offers_raw, "release");
constexpr RecipeRoute kDiff =
    viewing(plan_diff, out::answer_diff, offers_raw | offers_json, "diff");
constexpr RecipeRoute kRollback = checked(plan_rollback, out::answer_published, "application/json");
constexpr RecipeRoute kPutSchema = schema_route();
constexpr RecipeRoute kGetSchema =
    viewing(plan_get_schema, out::answer_schema, offers_raw, "schema");
constexpr RecipeRoute kDeleteSchema = erasing(plan_delete_schema);
constexpr RecipeRoute kPutGray = checked(plan_put_gray, out::answer_set, "*/*");
constexpr RecipeRoute kGetGray = viewing(plan_get_gray, out::answer_gray, offers_raw, "gray");
constexpr RecipeRoute kDeleteGray = erasing(plan_delete_gray);
constexpr RecipeRoute kPromote = checked(plan_promote, out::answer_published, "application/json");

constexpr std::array<std::string_view, 2> kNoteNames{"comment", "author"};
constexpr std::array<std::string_view, 3> kGetNames{"as", "instance", "label."};
constexpr std::array<std::string_view, 1> kAsNames{"as"};
constexpr std::array<std::string_view, 3> kDiffNames{"from", "to", "as"};
constexpr std::array<std::string_view, 3> kRollbackNames{"to", "comment", "author"};
constexpr std::array<std::string_view, 4> kGrayNames{"label.", "percent", "comment", "author"};

constexpr auto kWrite = trait_write;
constexpr auto kBodyWrite = static_cast<std::uint8_t>(trait_write | trait_body);
constexpr auto kPoll = static_cast<std::uint8_t>(trait_read | trait_wait);
constexpr auto kPage = static_cast<std::uint8_t>(trait_read | trait_wait | trait_list);

constexpr std::array kRoutes = {
    RouteSpec{Method::put, "/v1/config/{name}", Endpoint::recipe, kBodyWrite, kNoteNames,
              "Publish a release: the body is the value", &kPut},
    RouteSpec{Method::get, "/v1/config/{name}", Endpoint::recipe, kPoll, kGetNames,
              "The value in force for this client", &kGet},
    RouteSpec{Method::erase,
              "/v1/config/{name}",
              Endpoint::recipe,
              kWrite,
              {},
              "Delete a configuration with all its releases",
              &kDelete},
    RouteSpec{Method::get,
              "/v1/config",
              Endpoint::recipe,
              kPage,
              {},
              "The configurations, in pages",
              &kList},
    RouteSpec{Method::get,
              "/v1/config/{name}/releases",
              Endpoint::recipe,
              kPage,
              {},
              "The releases, the newest first",
              &kReleases},
    RouteSpec{Method::get, "/v1/config/{name}/releases/{release}", Endpoint::recipe, kPoll,
              kAsNames, "The value of one release", &kRelease},
    RouteSpec{Method::get, "/v1/config/{name}/diff", Endpoint::recipe, kPoll, kDiffNames,
              "What is different between two releases, by lines", &kDiff},
    RouteSpec{Method::get,
              "/v1/config/{name}/clients",
              Endpoint::recipe,
              trait_read,
              {},
              "Which clients of this member run which release",
              &kClients},
    RouteSpec{Method::post, "/v1/config/{name}/rollback", Endpoint::recipe, kBodyWrite,
              kRollbackNames, "Publish the value of an earlier release again", &kRollback},
    RouteSpec{Method::put,
              "/v1/config/{name}/schema",
              Endpoint::recipe,
              kBodyWrite,
              {},
              "Set the JSON Schema that releases must fit",
              &kPutSchema},
    RouteSpec{Method::get, "/v1/config/{name}/schema", Endpoint::recipe, kPoll, kAsNames,
              "The JSON Schema of a configuration", &kGetSchema},
    RouteSpec{Method::erase,
              "/v1/config/{name}/schema",
              Endpoint::recipe,
              kWrite,
              {},
              "Remove the JSON Schema",
              &kDeleteSchema},
    RouteSpec{Method::put, "/v1/config/{name}/gray", Endpoint::recipe, kBodyWrite, kGrayNames,
              "Set a second value for the clients that match", &kPutGray},
    RouteSpec{Method::get, "/v1/config/{name}/gray", Endpoint::recipe, kPoll, kAsNames,
              "The gray value; as=json with the clients that it is for", &kGetGray},
    RouteSpec{Method::erase,
              "/v1/config/{name}/gray",
              Endpoint::recipe,
              kWrite,
              {},
              "Withdraw the gray value",
              &kDeleteGray},
    RouteSpec{Method::post, "/v1/config/{name}/gray/promote", Endpoint::recipe, kBodyWrite,
              kNoteNames, "Publish the gray value as a release for all", &kPromote},
};

}  // namespace

std::span<const RouteSpec> config_routes() noexcept { return kRoutes; }

namespace config_route {

Draft& draft_of(const Plan& plan) {
  COORD_CHECK(plan.recipe.draft != nullptr, "a step that is checked has a draft");
  return *static_cast<Draft*>(plan.recipe.draft.get());
}

}  // namespace config_route
}  // namespace coord::api
