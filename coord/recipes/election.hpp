// Election: one leader among candidates, with an epoch that only grows.
//
// The node /.coord/elections/NAME (a container) holds the highest epoch ever given and the name of
// the candidate that has it. Its children are candidates, ephemerals of the sessions that stand:
// 0000000000000039-latch-0000000007 (the entry that made it, in hex, and ZooKeeper's sequence).
//
// A leader leads until it resigns, its session ends or it hands over; nobody is put down for a
// higher priority. Then the candidate with the highest priority leads, among equals the one that
// has stood longest. The epoch is the zxid of the entry that elected it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coord/recipes/recipe.hpp"

namespace coord::recipes::election {

inline constexpr std::size_t kValueBytesMax = 4096;
inline constexpr std::size_t kCandidatesMax = 10'000;
inline constexpr std::uint32_t kPriorityMax = 1'000'000;
inline constexpr std::size_t kShownMax = 1'000;
inline constexpr std::size_t kListMax = 10'000;

// ---- steps

// Stands as a candidate; a session that stands already stays as it is.
struct Join {
  std::string name;
  std::string value;
  std::uint32_t priority = 0;
  bool waits = false;  // The request stays open until it leads.
};
// Without a candidate: the session's own.
struct Post {
  std::string name;
  std::string candidate;
  std::string value;
};
struct Resign {
  std::string name;
  std::string candidate;
  bool is_break = false;  // Takes an operator's right: whoever stands there.
};
// By the leader's session or an operator. The old leader stays as a candidate.
struct Transfer {
  std::string name;
  std::string to;
};

// ---- queries

struct Show {
  std::string name;
};
struct ShowCandidate {
  std::string name;
  std::string candidate;  // Empty: the session's.
  SessionId session;
  bool waits = false;      // Of a request that polls.
  bool is_joined = false;  // By that request.
};
struct List {
  std::string after;
  std::uint32_t limit = 1000;
};

[[nodiscard]] std::string encode(const Join& op);
[[nodiscard]] std::string encode(const Post& op);
[[nodiscard]] std::string encode(const Resign& op);
[[nodiscard]] std::string encode(const Transfer& op);
[[nodiscard]] std::string encode(const Show& query);
[[nodiscard]] std::string encode(const ShowCandidate& query);
[[nodiscard]] std::string encode(const List& query);

// ---- what answers hold

struct Candidate {
  std::string id;  // Empty: none.
  SessionId session;
  std::string value;
  std::uint32_t priority = 0;
  bool is_leader = false;
  std::uint64_t epoch = 0;     // Of the leader.
  std::uint64_t position = 0;  // 0: leads; 1: the next.
  std::int64_t since_ms = 0;   // Wall time: of the joining.
  std::int64_t led_ms = 0;     // Wall time: of the election.
};
// Of join, post, transfer and show-candidate.
struct CandidateAnswer {
  std::string name;
  Candidate candidate;
  Candidate leader;
  bool has_joined = false;  // With this step.
};
struct ElectionAnswer {
  std::string name;
  std::uint64_t epoch = 0;  // The highest ever given.
  Candidate leader;
  std::uint64_t candidate_count = 0;  // The leader among them.
  std::vector<Candidate> candidates;  // In the order in which they would lead.
};
struct ListAnswer {
  std::vector<ElectionAnswer> elections;  // Without their candidates.
  bool is_last = true;
};

[[nodiscard]] bool decode(std::string_view bytes, CandidateAnswer& answer);
[[nodiscard]] bool decode(std::string_view bytes, ElectionAnswer& answer);
[[nodiscard]] bool decode(std::string_view bytes, ListAnswer& answer);

// ---- what the table of recipes calls

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);
void settle(Step& step, std::string_view name);
[[nodiscard]] bool holds(const Look& look, std::string_view name, std::uint64_t token);

}  // namespace coord::recipes::election
