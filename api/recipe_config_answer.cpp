// /v1/config: answers.
#include <fmt/format.h>

#include <utility>

#include "api/config_diff.hpp"
#include "api/negotiate.hpp"
#include "api/recipe_config.hpp"
#include "api/text.hpp"
#include "coord/base/check.hpp"

namespace coord::api::config_route {
namespace {

namespace config = recipes::config;
using config::Item;
using config::Items;

Items items_of(const core::Reply& reply) {
  Items items;
  COORD_CHECK(decode(recipe_result(reply).answer.bytes, items), "our own answer decodes");
  return items;
}

Item item_of(const core::Reply& reply) {
  auto items = items_of(reply);
  COORD_CHECK(items.items.size() == 1, "an answer of one item");
  return std::move(items.items[0]);
}

const Blob& value_of(const core::Reply& reply) { return recipe_result(reply).answer.values.at(0); }

void append_note(JsonObject& object, const config::Note& note) {
  object.text("comment", note.comment).text("author", note.author);
  if (note.from != 0) object.number("rollback_to", note.from);
}

void append_rule(JsonObject& object, const config::Rule& rule) {
  {
    JsonObject labels(object.name("labels"));
    for (const auto& [name, value] : rule.labels) labels.text(name, value);
    labels.close();
  }
  rule.percent ? object.number("percent", *rule.percent) : object.null("percent");
}

void take_raw(const Item& item, const core::Reply& reply, RecipeBody& body) {
  body.raw = value_of(reply).view();
  body.raw_type = served_content_type(item.content_type, *body.raw);
}

void append_value(JsonObject& object, const Item& item, const core::Reply& reply) {
  object.value("value", "encoding", value_of(reply));
  if (!item.content_type.empty()) object.text("content_type", item.content_type);
}

}  // namespace

void answer_value(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto item = item_of(reply);
  if (plan.format == Format::raw) {
    body.headers = fmt::format("Coord-Release: {}\r\n", item.release);
    if (item.is_gray) body.headers += "Coord-Gray: true\r\n";
    return take_raw(item, reply, body);
  }
  JsonObject object(body.text);
  object.text("name", plan.recipe.name).number("release", item.release);
  object.boolean("gray", item.is_gray);
  append_value(object, item, reply);
  append_note(object, item.note);
  object.time("time", item.time_ms).number("revision", reply.revision.value()).close();
}

SeenClient told(const Plan& plan, const core::Reply& reply) {
  const auto item = item_of(reply);
  SeenClient client;
  client.instance = plan.recipe.item;
  client.labels = plan.recipe.labels;
  client.release = item.release;
  client.is_gray = item.is_gray;
  return client;
}

void answer_clients(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  COORD_CHECK(body.clients != nullptr, "an answer has the board");
  body.is_volatile = true;
  JsonObject object(body.text);
  object.text("name", plan.recipe.name);
  object.name("clients") += '[';
  bool is_first = true;
  body.clients->each(
      plan.recipe.name, body.now_ms, [&](const SeenClient& client, bool is_connected) {
        if (!std::exchange(is_first, false)) body.text += ',';
        JsonObject entry(body.text);
        client.instance.empty() ? entry.null("instance") : entry.text("instance", client.instance);
        entry.text("address", client.address);
        entry.name("labels") += client.labels;
        entry.number("release", client.release).boolean("gray", client.is_gray);
        entry.boolean("connected", is_connected);
        entry.whole("seen_ms_ago", body.now_ms - client.seen_ms).close();
      });
  body.text += ']';
  object.number("revision", reply.revision.value()).close();
}

void answer_list(const Plan&, const core::Reply& reply, RecipeBody& body) {
  const auto items = items_of(reply);
  JsonObject object(body.text);
  object.name("configs") += '[';
  for (std::size_t i = 0; i < items.items.size(); ++i) {
    const auto& item = items.items[i];
    if (i > 0) body.text += ',';
    JsonObject entry(body.text);
    entry.text("name", item.name);
    item.release != 0 ? entry.number("release", item.release) : entry.null("release");
    entry.boolean("gray", item.has_gray).boolean("schema", item.has_schema);
    if (item.release != 0) {
      entry.number("size", item.size);
      append_note(entry, item.note);
      entry.time("time", item.time_ms);
    }
    entry.close();
  }
  body.text += ']';
  if (!items.is_last) object.text("cursor", encode_cursor(items.items.back().name));
  object.number("revision", reply.revision.value()).close();
}

void answer_releases(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto items = items_of(reply);
  JsonObject object(body.text);
  object.text("name", plan.recipe.name);
  object.name("releases") += '[';
  for (std::size_t i = 0; i < items.items.size(); ++i) {
    const auto& item = items.items[i];
    if (i > 0) body.text += ',';
    JsonObject entry(body.text);
    entry.number("release", item.release).number("size", item.size);
    append_note(entry, item.note);
    entry.time("time", item.time_ms).number("revision", item.revision.value()).close();
  }
  body.text += ']';
  if (!items.is_last) {
    object.text("cursor", encode_cursor(fmt::format("{}", items.items.back().release)));
  }
  object.number("revision", reply.revision.value()).close();
}

void answer_diff(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto items = items_of(reply).items;
  const auto& values = recipe_result(reply).answer.values;
  COORD_CHECK(items.size() == 2 && values.size() == 2, "a difference is one of two");
  const DiffNames names{fmt::format("{} release {}", plan.recipe.name, items[0].release),
                        fmt::format("{} release {}", plan.recipe.name, items[1].release)};
  auto text = unified_diff(values[0].view(), values[1].view(), names);
  if (plan.format == Format::raw) {
    body.content_type = "text/plain; charset=utf-8";
    body.text = std::move(text);
    return;
  }
  JsonObject object(body.text);
  object.text("name", plan.recipe.name);
  object.number("from", items[0].release).number("to", items[1].release);
  object.boolean("equal", values[0].view() == values[1].view()).text("diff", text);
  object.number("revision", reply.revision.value()).close();
}

void answer_schema(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto item = item_of(reply);
  if (plan.format == Format::raw) return take_raw(item, reply, body);
  JsonObject object(body.text);
  object.text("name", plan.recipe.name);
  append_value(object, item, reply);
  object.time("time", item.time_ms).number("revision", reply.revision.value()).close();
}

void answer_gray(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto item = item_of(reply);
  if (plan.format == Format::raw) return take_raw(item, reply, body);
  JsonObject object(body.text);
  object.text("name", plan.recipe.name).number("release", item.release).boolean("gray", true);
  append_value(object, item, reply);
  append_rule(object, item.rule);
  append_note(object, item.note);
  object.time("time", item.time_ms).number("revision", reply.revision.value()).close();
}

void answer_published(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto item = item_of(reply);
  body.status = 201;
  JsonObject object(body.text);
  object.text("name", plan.recipe.name).number("release", item.release);
  object.number("revision", reply.revision.value()).close();
}

void answer_set(const Plan& plan, const core::Reply& reply, RecipeBody& body) {
  const auto item = item_of(reply);
  const bool was_there = item.is_gray ? item.has_gray : item.has_schema;
  body.status = was_there ? 200 : 201;
  JsonObject object(body.text);
  object.text("name", plan.recipe.name);
  if (item.is_gray) object.number("release", item.release).boolean("gray", true);
  object.number("revision", reply.revision.value()).close();
}

void answer_gone(const Plan&, const core::Reply&, RecipeBody& body) { body.status = 204; }

void add_misfit(const Plan& plan, const core::Reply& reply, JsonObject& object) {
  if (reply.code != Code::schema_refused || plan.recipe.refusal.empty()) return;
  const auto& misfit = draft_of(plan).misfit;
  object.text("path", misfit.path).text("reason", misfit.reason);
}

}  // namespace coord::api::config_route
