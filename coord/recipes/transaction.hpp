// Transaction: two-phase commit among participants outside, whose coordinator is the replicated
// state: it does not fail as long as a majority of the members is up.
//
// Nodes under /.coord/transactions/ID (ID: the zxid that began it, padded), whose value is a record
// (state, until, timeout_ms; once decided: decided, reason):
//   PARTICIPANT  a record (vote): "yes", "no", or empty as long as it has not voted
//
// Committed in the entry of the last yes; aborted in that of the first no, or when the time has run
// out before all have voted: nobody waits for one that died. What was decided never changes. It is
// kept for a while so that all can ask for it, and is then trimmed: committed ones for kKeepMs,
// aborted ones for kKeepAbortedMs.
//
// Invariant between entries: committed exactly if every participant has voted yes in time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coord/recipes/listing.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::recipes::transaction {

inline constexpr std::size_t kParticipantsMax = 256;
inline constexpr std::size_t kTransactionsMax = 100'000;
inline constexpr std::int64_t kTimeoutMsMin = 100;
inline constexpr std::int64_t kTimeoutMsMax = 24LL * 3600 * 1000;
inline constexpr std::int64_t kTimeoutMsDefault = 30'000;
inline constexpr std::int64_t kKeepMs = 24LL * 3600 * 1000;
inline constexpr std::int64_t kKeepAbortedMs = 3600LL * 1000;

struct Begin {
  std::vector<std::string> participants;  // Names, none twice.
  std::int64_t timeout_ms = kTimeoutMsDefault;
};
struct Vote {
  std::uint64_t id = 0;
  std::string participant;
  bool is_yes = false;
};
// Whoever began it, or notices that it is no use.
struct Abort {
  std::uint64_t id = 0;
};
struct Get {
  std::uint64_t id = 0;
};

enum class State : std::uint8_t { preparing = 1, committed = 2, aborted = 3 };
enum class Ballot : std::uint8_t { none = 0, yes = 1, no = 2 };
struct ParticipantVote {
  std::string participant;
  Ballot ballot = Ballot::none;
  friend bool operator==(const ParticipantVote&, const ParticipantVote&) = default;
};
struct View {
  std::uint64_t id = 0;
  State state = State::preparing;
  std::string reason;         // Why it was aborted.
  std::int64_t begun_ms = 0;  // Wall time.
  std::int64_t timeout_ms = 0;
  std::int64_t left_ms = 0;  // Of the time to vote, in service time.
  Zxid decided;
  std::vector<ParticipantVote> votes;  // By name.
};

[[nodiscard]] std::string encode(const Begin& op);
[[nodiscard]] std::string encode(const Vote& op);
[[nodiscard]] std::string encode(const Abort& op);
[[nodiscard]] std::string encode(const Get& query);
// The entries hold a View each.
[[nodiscard]] std::string encode(const ListQuery& query);
[[nodiscard]] bool decode(std::string_view bytes, View& answer);

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
// Every answer of a known transaction, refusals too, holds its View.
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);
[[nodiscard]] std::optional<std::int64_t> deadline(const Look& look, const Place& place);
void due(Step& step, const Place& place);

}  // namespace coord::recipes::transaction
