#include "coord/recipes/recipe.hpp"

#include <array>
#include <set>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/recipes/barrier.hpp"
#include "coord/recipes/config.hpp"
#include "coord/recipes/counter.hpp"
#include "coord/recipes/decision.hpp"
#include "coord/recipes/election.hpp"
#include "coord/recipes/lock.hpp"
#include "coord/recipes/queue.hpp"
#include "coord/recipes/service.hpp"
#include "coord/recipes/transaction.hpp"

namespace coord::recipes {
namespace {

// One recipe. Null: it has no such part.
struct Recipe {
  Kind kind;
  std::string_view directory;
  bool (*is_step)(std::string_view bytes) = nullptr;
  bool (*is_query)(std::string_view bytes) = nullptr;
  Answer (*run)(std::string_view bytes, Step& step) = nullptr;
  Answer (*view)(std::string_view bytes, const Look& look) = nullptr;
  void (*settle)(Step& step, std::string_view name) = nullptr;
  std::optional<std::int64_t> (*deadline)(const Look& look, const Place& place) = nullptr;
  void (*due)(Step& step, const Place& place) = nullptr;
  bool (*holds)(const Look& look, std::string_view name, std::uint64_t token) = nullptr;
  bool (*is_renewal)(std::string_view bytes) = nullptr;
  Renewal (*renewal)(std::string_view bytes, const Look& look, SessionId session) = nullptr;
  SessionId (*renewed_by)(std::string_view bytes, const Look& look, SessionId session) = nullptr;
};

constexpr std::array kRecipes = {
    Recipe{Kind::barrier, "barriers", barrier::is_step, barrier::is_query, barrier::run,
           barrier::view, barrier::settle},
    Recipe{Kind::counter, "counters", counter::is_step, counter::is_query, counter::run,
           counter::view},
    Recipe{Kind::service, "services", service::is_step, service::is_query, service::run,
           service::view, service::settle, service::deadline, service::due, nullptr,
           service::is_renewal, service::renewal, service::renewed_by},
    Recipe{Kind::lock, "locks", lock::is_step, lock::is_query, lock::run, lock::view, lock::settle,
           lock::deadline, lock::due, lock::holds},
    Recipe{Kind::election, "elections", election::is_step, election::is_query, election::run,
           election::view, election::settle, nullptr, nullptr, election::holds},
    Recipe{Kind::config, "config", config::is_step, config::is_query, config::run, config::view},
    Recipe{Kind::queue, "queues", queue::is_step, queue::is_query, queue::run, queue::view,
           queue::settle, queue::deadline, queue::due},
    Recipe{Kind::decision, "decisions", decision::is_step, decision::is_query, decision::run,
           decision::view},
    Recipe{Kind::transaction, "transactions", transaction::is_step, transaction::is_query,
           transaction::run, transaction::view, nullptr, transaction::deadline, transaction::due},
};

const Recipe* find(Kind kind) noexcept {
  for (const auto& recipe : kRecipes) {
    if (recipe.kind == kind) return &recipe;
  }
  return nullptr;
}

}  // namespace

void encode(const Answer& answer, Writer& out) {
  out.u8(static_cast<std::uint8_t>(answer.code));
  out.bytes(answer.detail);
  out.boolean(answer.is_done);
  out.boolean(answer.is_stale);
  out.bytes(answer.bytes);
  out.id(answer.etag);
  out.id(answer.changed);
  out.varint(answer.values.size());
  for (const auto& value : answer.values) out.blob(value);
  out.boolean(answer.is_waiting);
  out.boolean(answer.watches_children);
  out.boolean(answer.poll_is_step);
  out.bytes(answer.watch);
  out.bytes(answer.poll);
  out.bytes(answer.give_up);
  out.boolean(answer.is_final);
  out.boolean(answer.ends_session);
  out.id(answer.also_ends);
  out.id(answer.renews);
}

Answer decode_answer(Reader& in) {
  Answer answer;
  const auto code = code_from(in.u8());
  if (!code) in.fail();
  answer.code = code.value_or(Code::ok);
  answer.detail = in.bytes();
  answer.is_done = in.boolean();
  answer.is_stale = in.boolean();
  answer.bytes = in.bytes();
  answer.etag = in.id<Zxid>();
  answer.changed = in.id<Zxid>();
  for (auto left = in.count(); left > 0; --left) answer.values.push_back(in.blob());
  answer.is_waiting = in.boolean();
  answer.watches_children = in.boolean();
  answer.poll_is_step = in.boolean();
  answer.watch = in.bytes();
  answer.poll = in.bytes();
  answer.give_up = in.bytes();
  answer.is_final = in.boolean();
  answer.ends_session = in.boolean();
  answer.also_ends = in.id<SessionId>();
  answer.renews = in.id<SessionId>();
  return answer;
}

Answer refusal(Code code, std::string detail) {
  Answer answer;
  answer.code = code;
  answer.detail = std::move(detail);
  return answer;
}

Answer refusal(const znode::Outcome& outcome) { return refusal(outcome.code, outcome.detail); }

bool is_step(Kind kind, std::string_view bytes) {
  const auto* recipe = find(kind);
  return recipe != nullptr && recipe->is_step != nullptr && recipe->is_step(bytes);
}

bool is_query(Kind kind, std::string_view bytes) {
  const auto* recipe = find(kind);
  return recipe != nullptr && recipe->is_query != nullptr && recipe->is_query(bytes);
}

Answer run(Kind kind, std::string_view bytes, Step& step) {
  const auto* recipe = find(kind);
  COORD_CHECK(recipe != nullptr, "a step that runs is one of a known recipe");
  return recipe->run(bytes, step);
}

Answer view(Kind kind, std::string_view bytes, const Look& look) {
  const auto* recipe = find(kind);
  COORD_CHECK(recipe != nullptr, "a query that is answered is one of a known recipe");
  return recipe->view(bytes, look);
}

bool is_renewal(Kind kind, std::string_view bytes) {
  const auto* recipe = find(kind);
  return recipe != nullptr && recipe->is_renewal != nullptr && recipe->is_renewal(bytes);
}

Renewal renewal(Kind kind, std::string_view bytes, const Look& look, SessionId session) {
  const auto* recipe = find(kind);
  COORD_CHECK(recipe != nullptr, "a renewal is one of a known recipe");
  return recipe->renewal(bytes, look, session);
}

SessionId renewed_by(Kind kind, std::string_view bytes, const Look& look, SessionId session) {
  const auto* recipe = find(kind);
  if (recipe == nullptr || recipe->renewed_by == nullptr) return {};
  return recipe->renewed_by(bytes, look, session);
}

void settle(Step& step) {
  // What settling changes itself needs no settling again: it leaves its recipe settled.
  std::set<std::pair<Kind, std::string>> touched;
  for (const auto& change : step.tree.pending_changes()) {
    const auto place = place_of(change.path);
    if (!place) continue;
    const auto* recipe = find(place->kind);
    if (recipe != nullptr && recipe->settle != nullptr) touched.emplace(place->kind, place->name);
  }
  for (const auto& [kind, name] : touched) find(kind)->settle(step, name);
}

std::optional<std::int64_t> deadline_of(const Look& look, std::string_view path) {
  const auto place = place_of(path);
  if (!place) return std::nullopt;
  const auto* recipe = find(place->kind);
  if (recipe == nullptr || recipe->deadline == nullptr) return std::nullopt;
  return recipe->deadline(look, *place);
}

void due(Step& step, std::string_view path) {
  const auto place = place_of(path);
  if (!place) return;
  const auto* recipe = find(place->kind);
  if (recipe != nullptr && recipe->due != nullptr) recipe->due(step, *place);
}

bool holds(const Look& look, Kind kind, std::string_view name, std::uint64_t token) {
  const auto* recipe = find(kind);
  return recipe != nullptr && recipe->holds != nullptr && recipe->holds(look, name, token);
}

std::string name_error(std::string_view name) {
  if (name.empty()) return "a name has at least one character";
  if (name.size() > kNameBytesMax) return "a name has at most 255 characters";
  if (name == "." || name == ".." || name == "mine") {
    return fmt::format("\"{}\" cannot be a name", name);
  }
  for (const char c : name) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_letter && !is_digit && c != '.' && c != '_' && c != '-') {
      return "a name consists of letters, digits, \".\", \"_\" and \"-\"";
    }
  }
  return {};
}

std::string_view directory_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::lock:
      return "locks";
    case Kind::election:
      return "elections";
    case Kind::config:
      return "config";
    case Kind::service:
      return "services";
    case Kind::barrier:
      return "barriers";
    case Kind::counter:
      return "counters";
    case Kind::queue:
      return "queues";
    case Kind::decision:
      return "decisions";
    case Kind::transaction:
      return "transactions";
  }
  return {};
}

std::string path_of(Kind kind, std::string_view name) {
  return fmt::format("{}/{}/{}", kRoot, directory_of(kind), name);
}

std::optional<Place> place_of(std::string_view path) noexcept {
  if (!path.starts_with(kRoot) || path.size() < kRoot.size() + 2) return std::nullopt;
  if (path[kRoot.size()] != '/') return std::nullopt;
  path.remove_prefix(kRoot.size() + 1);
  const auto slash = path.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  Place place;
  const auto directory = path.substr(0, slash);
  bool is_known = false;
  for (std::uint8_t k = 1; k <= kKindLast && !is_known; ++k) {
    place.kind = static_cast<Kind>(k);
    is_known = directory_of(place.kind) == directory;
  }
  if (!is_known) return std::nullopt;
  path.remove_prefix(slash + 1);
  const auto end = path.find('/');
  place.name = path.substr(0, end);
  if (end != std::string_view::npos) place.rest = path.substr(end + 1);
  return place;
}

const Identities& service_identities() {
  static const Identities identities{{"super", ""}};
  return identities;
}

}  // namespace coord::recipes
