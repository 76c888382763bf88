// Barrier: a double barrier. Nobody goes on before `count` are in, and nobody is done before all of
// those have left.
//
// Nodes under /.coord/barriers/NAME, whose value is a record (count):
//   members/TICKET  an ephemeral record (own, entered; released, leaving: zxids); TICKET is the
//   zxid
//                   of the entry that made it, padded
//
// A round begins when `count` wait and nobody of an earlier round is in: the first `count` of them
// are released in that same entry. Who comes later waits for the next round. Leaving marks the
// ticket; once all of the round have left, or are gone, their tickets go in one entry. A session
// that ends takes its ticket along. The barrier itself goes with its last participant, and with it
// the count that it was made with.
//
// Invariants between entries: nobody waits in vain: fewer than `count` wait, or a round is on; the
// tickets that were released are at most `count`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coord/recipes/listing.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::recipes::barrier {

inline constexpr std::uint32_t kCountMax = 1'000;
inline constexpr std::size_t kParticipantsMax = 10'000;

// ---- steps

// A session is in once: entering again gives the ticket that it has.
struct Enter {
  std::string name;
  std::uint32_t count = 1;
};
// The wait is over: who is not released leaves, and is told conflict.
struct GiveUp {
  std::string name;
  std::uint64_t ticket = 0;
};
// With `waits`: until all of the round have left.
struct Leave {
  std::string name;
  std::uint64_t ticket = 0;  // 0: the acting session's.
  bool waits = false;
};
// Have all left? With `gives_up`: leaves alone, and is told conflict.
struct Left {
  std::string name;
  std::uint64_t ticket = 0;
  bool own = false;
  bool gives_up = false;
};

// ---- queries

struct Get {
  std::string name;
};
// One participant.
struct GetTicket {
  std::string name;
  std::uint64_t ticket = 0;
  SessionId session;  // With ticket 0: this session's.
};

// ---- answers

enum class State : std::uint8_t { waiting = 1, released = 2, leaving = 3 };
struct Participant {
  std::uint64_t ticket = 0;
  SessionId session;
  State state = State::waiting;
  std::int64_t entered_ms = 0;  // Wall time.
  std::uint64_t round = 0;      // The zxid that released it.
};
// Of Enter, GiveUp and GetTicket.
struct Entered {
  Participant self;
  std::uint32_t count = 0;
  std::uint32_t waiting = 0;
  bool was_in = false;
};
struct View {
  std::uint32_t count = 0;
  std::vector<Participant> participants;
};
struct Summary {
  std::uint32_t count = 0;
  std::uint32_t participants = 0;
};

[[nodiscard]] std::string encode(const Enter& op);
[[nodiscard]] std::string encode(const GiveUp& op);
[[nodiscard]] std::string encode(const Leave& op);
[[nodiscard]] std::string encode(const Left& op);
[[nodiscard]] std::string encode(const Get& query);
[[nodiscard]] std::string encode(const GetTicket& query);
// The entries hold a Summary each.
[[nodiscard]] std::string encode(const ListQuery& query);
[[nodiscard]] bool decode(std::string_view bytes, Entered& answer);
[[nodiscard]] bool decode(std::string_view bytes, View& answer);
[[nodiscard]] bool decode(std::string_view bytes, Summary& answer);

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);
void settle(Step& step, std::string_view name);

}  // namespace coord::recipes::barrier
