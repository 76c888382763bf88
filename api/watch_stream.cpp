#include "api/watch_stream.hpp"

#include "api/json.hpp"
#include "api/recipe_route.hpp"
#include "api/respond.hpp"
#include "api/text.hpp"
#include "coord/base/check.hpp"

namespace coord::api {
namespace {

std::string framed(std::string text, const StreamForm& form) {
  if (!form.is_chunked || text.empty()) return text;
  std::string out;
  out.reserve(text.size() + 16);
  append_chunk(out, text);
  return out;
}

// One event: `name`, its JSON, and an id if it has one.
void append_event(std::string& out, std::string_view name, std::optional<Zxid> id,
                  std::string_view json, const StreamForm& form) {
  if (form.format == Format::ndjson) {
    out += json;
    if (id) {  // The line's own form of the promise.
      out.pop_back();
      out += ",\"id\":";
      append_number(out, id->value());
      out += '}';
    }
    out += '\n';
    return;
  }
  out += "event: ";
  out += name;
  if (id) {
    out += "\nid: ";
    append_number(out, id->value());
  }
  out += "\ndata: ";
  out += json;
  out += "\n\n";
}

}  // namespace

std::string render_event(const core::WatchEvent& event, const StreamForm& form) {
  COORD_CHECK(event.batch != nullptr, "an event has a batch");
  const auto& changes = event.batch->changes;
  const std::size_t count = event.wanted.empty() ? changes.size() : event.wanted.size();
  const ChangeForm change_form{form.with_value, form.with_prev, event.is_initial};
  std::string out;
  std::string json;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& change = changes[event.wanted.empty() ? i : event.wanted[i]];
    // Of the present state each node says its own revision; of a transaction all say the same.
    const auto revision = event.is_initial ? change.stat.mzxid : event.batch->zxid;
    json.clear();
    append_json_change(json, change, revision, change_form);
    std::optional<Zxid> id;
    if (!event.is_initial && i + 1 == count) id = event.batch->zxid;
    append_event(out, word_of(change.kind), id, json, form);
  }
  return framed(std::move(out), form);
}

std::string render_bookmark(Zxid revision, bool with_id, const StreamForm& form) {
  std::string json;
  JsonObject object(json);
  if (form.format == Format::ndjson) object.text("type", "bookmark");
  object.number("revision", revision.value()).close();
  std::string out;
  std::optional<Zxid> id;
  if (with_id) id = revision;
  append_event(out, "bookmark", id, json, form);
  return framed(std::move(out), form);
}

std::string render_state(std::string_view name, Zxid revision, std::string_view json,
                         const StreamForm& form) {
  std::string out;
  append_event(out, name, revision, json, form);
  return framed(std::move(out), form);
}

std::string render_deltas(std::span<const Delta> deltas, Zxid revision, const StreamForm& form) {
  std::string out;
  for (const auto& delta : deltas) {
    std::optional<Zxid> id;
    if (&delta == &deltas.back()) id = revision;
    append_event(out, delta.name, id, delta.json, form);
  }
  return framed(std::move(out), form);
}

std::string render_comment(const StreamForm& form) {
  if (form.format == Format::ndjson) return {};
  return framed(":\n\n", form);
}

std::string render_end(const core::WatchState& state, const StreamForm& form) {
  const auto code = word_of(state.code);
  std::string json;
  JsonObject object(json);
  object.text("type", code).text("code", code).text("detail", state.detail);
  if (state.code == Code::compacted) object.number("oldest_revision", state.oldest.value());
  if (state.end_reason) object.text("reason", session::word_of(*state.end_reason));
  object.number("revision", state.revision.value()).close();
  std::string out;
  append_event(out, code, std::nullopt, json, form);
  out = framed(std::move(out), form);
  if (form.is_chunked) out += "0\r\n\r\n";
  return out;
}

SharedText RenderCache::get(const core::WatchEvent& event, const StreamForm& form) {
  if (batch_ != event.batch) {
    entries_.clear();
    batch_ = event.batch;
  }
  for (const auto& entry : entries_) {
    if (entry.form == form && entry.is_initial == event.is_initial &&
        entry.wanted == event.wanted) {
      return entry.text;
    }
  }
  auto text = std::make_shared<const std::string>(render_event(event, form));
  if (entries_.size() < kEntriesMax) {
    entries_.push_back({form, event.is_initial, event.wanted, text});
  }
  return text;
}

SharedText StateRenders::find(const Key& key) const {
  for (const auto& [known, text] : entries_) {
    if (known == key) return text;
  }
  return nullptr;
}

void StateRenders::put(Key key, SharedText text) {
  if (entries_.size() < kEntriesMax) {
    entries_.emplace_back(std::move(key), std::move(text));
    return;
  }
  entries_[next_] = {std::move(key), std::move(text)};
  next_ = (next_ + 1) % kEntriesMax;
}

void StateRenders::clear() {
  entries_.clear();
  next_ = 0;
}

void RenderCache::clear() {
  entries_.clear();
  batch_.reset();
}

}  // namespace coord::api
