// Config: named values that are published in numbered releases.
//
//   /.coord/config/NAME                     the number of the present release, as text; "0" while
//                                           there is none, "was 7" once a configuration was deleted
//   /.coord/config/NAME/releases/0000000007 one release: the value, raw, with its content type
//   /.coord/config/NAME/releases/.../note   who published it, and why
//   /.coord/config/NAME/schema              the JSON Schema that releases must fit
//   /.coord/config/NAME/gray                a second value, for the clients that its rule names
//   /.coord/config/NAME/gray/rule
//
// Numbers grow by one and are never used again, also not after a deletion: a number that a client
// has seen means the same value for ever. The oldest releases are trimmed (ConfigLimits).
//
// A value is checked against the schema where it comes in, not here; the step then carries the
// revision of the schema that passed it, and is refused as stale when that is no more the present
// one. A value that did not pass is proposed only so that a retry is told the same: with `refusal`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/recipes/recipe.hpp"

namespace coord::recipes::config {

// Sorted by name, each name once.
using Labels = std::vector<std::pair<std::string, std::string>>;

// Who asks, as it describes itself.
struct Client {
  Labels labels;
  std::string instance;
  friend bool operator==(const Client&, const Client&) = default;
};

// For whom a gray value is: who has all the labels and, with a percentage, is in that part of all
// instances. Not empty.
struct Rule {
  Labels labels;
  std::optional<std::uint32_t> percent;
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct Note {
  std::string comment;
  std::string author;
  std::uint64_t from = 0;  // The release that was rolled back to.
  friend bool operator==(const Note&, const Note&) = default;
};

enum class Act : std::uint8_t {
  publish = 1,       // value, content_type, note
  roll_back = 2,     // to, note
  erase = 3,         // All of it.
  set_schema = 4,    // value, content_type, if_schema
  erase_schema = 5,  // if_schema
  set_gray = 6,      // value, content_type, note, rule
  erase_gray = 7,
  promote = 8,  // gray, note: the gray value becomes a release.
};

struct Step {
  Act act = Act::publish;
  std::string name;
  Blob value;
  std::string content_type;
  Note note;
  Rule rule;
  std::uint64_t to = 0;
  Zxid gray;  // The revision of the gray value that was checked.

  std::optional<std::uint64_t> if_release;  // Only while this is the present release.
  bool if_absent = false;                   // Only while there is none.
  std::optional<Zxid> if_schema;            // Only while the schema is of this revision.

  Zxid schema;          // Of the schema that passed the value; none: there was none.
  std::string refusal;  // It did not pass, and why.
  friend bool operator==(const Step&, const Step&) = default;
};

enum class Ask : std::uint8_t {
  present = 1,   // What `client` is to run: one item and its value.
  list = 2,      // All configurations, after `after`.
  releases = 3,  // The newest first, below `below` (zero: from the newest on).
  release = 4,   // `from`: one item and its value.
  pair = 5,      // `from` and `to`: two items and their values.
  schema = 6,    // One item and the schema.
  gray = 7,      // One item with its rule, and the value.
  basis = 8,     // For a check: item and value of the schema, then of what `act` would publish.
};

struct Query {
  Ask ask = Ask::present;
  std::string name;
  Client client;
  std::string after;
  std::uint64_t below = 0;
  std::uint64_t from = 0;  // Zero in a pair: the release before `to`.
  std::uint64_t to = 0;    // Zero in a pair: the present release.
  std::size_t limit = 0;
  Act act = Act::publish;  // Of a basis: publish, roll_back (to `from`) or promote.
  friend bool operator==(const Query&, const Query&) = default;
};

// A release, a schema, a gray value, or a configuration in a list.
struct Item {
  std::string name;           // Only in a list.
  std::uint64_t release = 0;  // Zero: none. Of a gray value: the release that the others run.
  bool is_gray = false;
  Zxid revision;  // That set the value; none: there is no such thing (in a basis).
  std::int64_t time_ms = 0;
  std::uint64_t size = 0;
  std::string content_type;
  Note note;
  Rule rule;  // Of a gray value.
  // In a list: there is one. Of a step that sets one: there was one before.
  bool has_gray = false;
  bool has_schema = false;
  friend bool operator==(const Item&, const Item&) = default;
};

// What a step or query answers with. Of a step: one item, the release that is there now.
struct Items {
  std::vector<Item> items;
  bool is_last = true;
};

[[nodiscard]] std::string encode(const Step& step);
[[nodiscard]] std::string encode(const Query& query);
[[nodiscard]] std::string encode(const Items& items);
[[nodiscard]] bool decode(std::string_view bytes, Step& step);
[[nodiscard]] bool decode(std::string_view bytes, Query& query);
[[nodiscard]] bool decode(std::string_view bytes, Items& items);
// The text of the nodes `note` and `rule`: one "name=value" a line.
[[nodiscard]] std::string text_of(const Note& note);
[[nodiscard]] std::string text_of(const Rule& rule);
[[nodiscard]] Note note_of(std::string_view text);
[[nodiscard]] Rule rule_of(std::string_view text);

// What is wrong with it, or nothing.
[[nodiscard]] std::string note_error(const Note& note);
[[nodiscard]] std::string labels_error(const Labels& labels);
[[nodiscard]] std::string rule_error(const Rule& rule);
[[nodiscard]] std::string instance_error(std::string_view instance);

// Stable: an instance that is within 10 percent is within 20 percent too, on every member and for
// ever. Without an instance no percentage matches.
[[nodiscard]] bool matches(const Rule& rule, std::string_view name, const Client& client);

// The entity tag of a gray value: no release has this number.
inline constexpr std::uint64_t kGrayTag = std::uint64_t{1} << 62;

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
[[nodiscard]] Answer run(std::string_view bytes, recipes::Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);

// ---- between the sources of this recipe

// What stands in the recipe's own node.
struct State {
  bool has_node = false;
  bool is_live = false;    // There is a present release, `last`.
  std::uint64_t last = 0;  // The highest number ever given.
  Zxid changed;            // Of the node itself.
};
[[nodiscard]] State state_of(const znode::Tree& tree, std::string_view name);
// The paths of a release (ten digits), of "schema", of "gray".
[[nodiscard]] std::string release_path(std::string_view name, std::uint64_t release);
[[nodiscard]] std::string part_path(std::string_view name, std::string_view part);
[[nodiscard]] Answer no_config(std::string_view name);
// The refusal of a release that is not there.
[[nodiscard]] Answer no_release(std::string_view name, const State& state, std::uint64_t release);

}  // namespace coord::recipes::config
