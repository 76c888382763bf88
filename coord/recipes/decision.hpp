// Decision: one value, chosen once. Whoever proposes learns the value that was chosen.
//
// The node /.coord/decisions/NAME holds the value as it was proposed. Its child "proposer" is a
// record (session, name) of who proposed it: so a retry learns that it was its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "coord/recipes/listing.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::recipes::decision {

struct Propose {
  std::string name;
  std::string value;
  std::string content_type;
  std::string proposer;  // A name by which a retry without a session is known; empty: none.
};
// Forgets what was decided: an operator's right, since it breaks the promise to who comes later.
struct Remove {
  std::string name;
};
struct Get {
  std::string name;
};

struct Decided {
  std::string value;
  std::string content_type;
  bool chosen_by_me = false;  // Of Propose.
  Zxid decided;               // The revision at which it was chosen.
  std::int64_t wall_ms = 0;
  SessionId session;     // Of who proposed it, or none.
  std::string proposer;  // The name that it gave, or empty.
};

[[nodiscard]] std::string encode(const Propose& op);
[[nodiscard]] std::string encode(const Remove& op);
[[nodiscard]] std::string encode(const Get& query);
// The entries hold a Decided each.
[[nodiscard]] std::string encode(const ListQuery& query);
[[nodiscard]] bool decode(std::string_view bytes, Decided& answer);

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);

}  // namespace coord::recipes::decision
