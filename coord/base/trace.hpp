// TraceSink: what pure code reports, as typed events.
//
// The shell prints one key=value line each; the simulator prints the same as its trace; scenario
// tests compare them. One of the five virtual seams. Implementations must not call back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "coord/base/ids.hpp"

namespace coord {

struct BecameLeader {
  MemberId member;
  Term term;
};
struct BecameFollower {
  MemberId member;
  Term term;
  MemberId leader;  // None while it is not known.
  std::string_view why;
};
struct BecameCandidate {
  MemberId member;
  Term term;
  bool pre_vote;
};
struct SessionOpened {
  SessionId session;
  std::int64_t ttl_ms;
};
struct SessionEnded {
  SessionId session;
  std::string_view reason;
  std::size_t ephemerals;
};
struct CheckpointWritten {
  Index index;
  std::size_t records;
};
// Anything rarer, as one line of text.
struct Note {
  enum class Level : std::uint8_t { debug, info, warn, error };
  Level level;
  std::string text;
};

using TraceEvent = std::variant<BecameLeader, BecameFollower, BecameCandidate, SessionOpened,
                                SessionEnded, CheckpointWritten, Note>;

class TraceSink {
 public:
  virtual ~TraceSink() = default;
  virtual void trace(const TraceEvent& event) = 0;
};

}  // namespace coord
