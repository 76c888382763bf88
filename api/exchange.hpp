// Exchange: one request of a connection on its way to its answer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "api/client_board.hpp"
#include "api/plan.hpp"
#include "api/watch_stream.hpp"

namespace coord::api {

// A stream of events after its opening.
struct StreamState {
  StreamForm form;
  bool is_open = false;     // The head and the first bookmark are out.
  bool is_live = false;     // The replay has reached the present: bookmarks may go out.
  bool wants_more = false;  // A page was taken; the next is asked for when there is room.
  std::int64_t beat_ms = 0;
  std::int64_t next_beat_ms = 0;
  std::int64_t next_bookmark_ms = 0;
  Zxid bookmarked;                  // The last id that was promised.
  std::uint64_t touch_at_sent = 0;  // Touch the session once so many bytes were acknowledged.

  // Of a recipe's stream, which shows states and not changes.
  Zxid state_due;           // A change up to here is not shown yet; none: all is.
  bool is_reading = false;  // The state is being asked for.
  bool has_state = false;   // One was shown: the bytes of its answer are in `state`.
  std::string state;
  ClientBoard::Entry client;  // On the board, as long as the stream is open.
};

// A recipe's request that waits (for a lock, a turn, an item).
struct RecipeWait {
  recipes::Answer answer;  // The last: what to watch, what to ask, how to give up.
  Zxid revision;           // Of that answer.
  std::optional<core::SessionCredential> session;  // Kept alive while this waits.
  std::optional<core::SessionOpened> opened;       // The session that the request brought.
  bool is_retry = false;  // It waits for what an earlier request with its key asked for.
  std::int64_t beat_ms = 0;
  std::int64_t next_beat_ms = 0;
};

struct Exchange {
  enum class Phase : std::uint8_t {
    queued,          // Waits for earlier requests of its connection.
    submitted,       // One request, one reply.
    patch_read,      // A merge patch reads the value ...
    patch_write,     // ... and writes it back under the mzxid that it read.
    poll_read,       // A long poll looks whether the client's ETag is still the present one ...
    poll_wait,       // ... waits for a change ...
    poll_answer,     // ... and reads what is there now.
    stream_session,  // A stream asks for its session's ttl ...
    stream,          // ... and runs.
    backup_asked,    // A backup waits until the store holds all of it ...
    backup,          // ... and runs.
    recipe_renew,    // What may be a renewal is tried as one.
    recipe_basis,    // A step is checked against what there is ...
    recipe_checked,  // ... and done.
    recipe_wait,     // A step waits for its turn ...
    recipe_poll,     // ... asks whether it has come ...
    recipe_give_up,  // ... or takes back what it asked for.
    done,
  };

  Plan plan;
  Phase phase = Phase::queued;
  RequestId request;  // The one whose reply is awaited.
  WatchId watch;      // None when there is none.
  bool keep_alive = true;
  bool is_http10 = false;
  std::int64_t deadline_ms = 0;  // When the edge answers by itself. Zero: never.
  std::int64_t wait_until_ms = 0;
  int attempts = 0;
  std::optional<std::pair<Code, Zxid>> seen;  // Of a recipe's long poll: what it saw at first.
  bool has_begun = false;                     // Of a backup: its head is out.
  bool is_reading_piece = false;              // Of a backup.
  std::string out;                            // The answer, while earlier ones are not out.
  std::unique_ptr<StreamState> stream;
  std::unique_ptr<RecipeWait> waiting;
  Exchange* next = nullptr;

  void reset() {
    plan.reset();
    phase = Phase::queued;
    request = RequestId();
    watch = WatchId();
    keep_alive = true;
    is_http10 = false;
    deadline_ms = wait_until_ms = 0;
    attempts = 0;
    seen.reset();
    has_begun = is_reading_piece = false;
    out.clear();
    stream.reset();
    waiting.reset();
    next = nullptr;
  }
};

}  // namespace coord::api
