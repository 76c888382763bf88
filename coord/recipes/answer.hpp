// Answer: what a recipe says to whoever asked, in a form that core and every edge carry unread.
//
// A recipe's own fields travel as bytes that only its header understands; what stands beside them
// is what an edge must know of any recipe: whether the request waits, and on what. Thread rule:
// values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/blob.hpp"
#include "coord/base/code.hpp"
#include "coord/base/ids.hpp"

namespace coord {
class Reader;
class Writer;
}  // namespace coord

namespace coord::recipes {

// Stored in the log: append only.
enum class Kind : std::uint8_t {
  lock = 1,
  election = 2,
  config = 3,
  service = 4,
  barrier = 5,
  counter = 6,
  queue = 7,
  decision = 8,
  transaction = 9,
};
inline constexpr std::uint8_t kKindLast = 9;

struct Answer {
  Code code = Code::ok;  // What the client is told.
  std::string detail;    // For people; empty when ok.
  // With a code that is not ok: the step's changes stand all the same (a ticket has left the queue,
  // and its owner is told that the lock is held by others).
  bool is_done = false;
  // Refused because what the edge has checked is not there any more as it was: to be checked again.
  bool is_stale = false;
  std::string bytes;  // The recipe's own.
  // Of a view: the revision of the last change of what it shows, or a checksum of that; zero: none.
  Zxid etag;
  // Of a view whose etag is no revision: the revision of the last change of it, perhaps of one that
  // the caller does not see. Also when there is nothing to show any more.
  Zxid changed;
  // Large values that the answer speaks of, shared with the tree.
  std::vector<Blob> values;

  // A request that has to wait: on changes of the node `watch` (and of its children, with
  // `watches_children`). Then `poll` is asked: a view, or a step with `poll_is_step`. When the time
  // has run out, or the client has gone, `give_up` is done, a step (empty: nothing).
  bool is_waiting = false;
  bool watches_children = false;
  bool poll_is_step = false;
  std::string watch;
  std::string poll;
  std::string give_up;
  // Of a view: what it shows stays so, and a long poll is answered at once.
  bool is_final = false;

  // The acting session ends with this step (a lock gives back the session that it brought).
  bool ends_session = false;
  // Another session that ends with this step: one that an earlier step brought, and that has served
  // its purpose.
  SessionId also_ends;
  // A session of which this step is a sign of life, whoever acts.
  SessionId renews;

  friend bool operator==(const Answer&, const Answer&) = default;
};

void encode(const Answer& answer, Writer& out);
[[nodiscard]] Answer decode_answer(Reader& in);

[[nodiscard]] Answer refusal(Code code, std::string detail);

}  // namespace coord::recipes
