// Snapshots between members, as data: what a Node asks of the store, and what comes back.
//
// A sender reads a source in order, piece by piece; a receiver fills a store beside the one in use,
// has it checked and loaded, and then puts it in the place of the old one. Where to and when is
// Node's decision (node_snapshot.cpp); the shell only carries it out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coord/core/checkpoint.hpp"
#include "coord/core/retention.hpp"
#include "coord/core/state_machine.hpp"
#include "election/entry.hpp"

namespace coord::core {

// The state that stands in a store.
struct LoadedState {
  StateMachine state;
  Retention retention;
  CheckpointMark mark;
};

// Takes what StateStore::load() hands out, for every shell alike.
class StateLoader {
 public:
  explicit StateLoader(StateLimits limits)
      : loaded_(std::make_shared<LoadedState>(LoadedState{StateMachine(limits), {}, {}})) {}
  // A RecordSink.
  [[nodiscard]] std::string take(Table table, std::string_view key, std::string_view bytes);
  // After the last record; what is wrong, or nothing.
  [[nodiscard]] std::string done(const CheckpointMark& mark);
  [[nodiscard]] std::shared_ptr<LoadedState> loaded() && { return std::move(loaded_); }

 private:
  std::shared_ptr<LoadedState> loaded_;
};

// ---- the sender

// Asks for the next bytes of a source; a stream that is new opens one first.
struct SnapshotRead {
  std::uint64_t stream = 0;
  std::size_t bytes_max = 0;  // Zero: nobody wants the rest, the source is let go.
};
struct SnapshotWasRead {
  std::uint64_t stream = 0;
  std::string error;  // Empty when it was read.
  election::SnapshotMark mark;
  std::string bytes;
  bool is_last = false;
};

// ---- the receiver

// In this order: begin, append ..., finish, adopt; drop instead of any that would follow begin.
// Each but drop is answered. Tasks of an install that a later begin replaced may go unanswered.
struct SnapshotWrite {
  enum class Kind : std::uint8_t {
    begin,
    append,
    finish,  // Check, sync and load; the old store is still the one in use.
    adopt,   // Put it in the place of the old one, durably.
    drop
  };
  std::uint64_t install = 0;
  Kind kind = Kind::begin;
  std::string bytes;  // append
};
struct SnapshotWritten {
  std::uint64_t install = 0;
  SnapshotWrite::Kind kind = SnapshotWrite::Kind::begin;
  std::string error;                    // The bytes are no good: nothing but begin may follow.
  std::shared_ptr<LoadedState> loaded;  // finish
};

// ---- what Node keeps of both

// A snapshot that is sent.
struct OutStream {
  std::uint64_t id = 0;
  MemberId to;
  election::SnapshotMark asked;
  election::SnapshotMark mark;  // Zero until the first piece was read.
  std::uint64_t offset = 0;     // Of `bytes`, the last piece, kept for a second pull.
  std::string bytes;
  bool is_last = false;    // `bytes` is the last piece.
  bool is_wanted = false;  // The piece after it was pulled.
  bool is_reading = false;
  Index hold;                      // The log after it stays.
  std::int64_t pulled_ms = 0;      // When it was pulled last.
  std::uint64_t bytes_before = 0;  // Of the payloads applied, at its beginning.
};
// A snapshot that is received.
struct Install {
  enum class Stage : std::uint8_t { beginning, pulling, writing, finishing, whole, adopting };
  Stage stage = Stage::beginning;
  std::uint64_t id = 0;
  MemberId from;
  election::SnapshotMark announced;
  std::uint64_t stream = 0;     // The sender's; zero until its first piece.
  election::SnapshotMark mark;  // Of the stream.
  std::uint64_t offset = 0;
  bool is_last = false;
  std::int64_t asked_ms = 0;
  std::int64_t heard_ms = 0;
  std::shared_ptr<LoadedState> loaded;
  std::optional<std::uint64_t> after_persist;  // With it the snapshot's term is synced.
};

// ---- bounds

struct SnapshotPolicy {
  std::size_t chunk_bytes = 256 * 1024;
  std::uint64_t bytes_per_second = 64ULL << 20;  // Of all streams of a sender.
  std::size_t streams_max = 2;
  // A stream without a pull, or a pull without an answer, for so long is over.
  std::int64_t idle_ms = 60'000;
  std::int64_t retry_ms = 1'000;  // A pull without an answer is sent again.
  // The log that is kept for a member which installs, beyond what the policy of the log keeps.
  std::size_t held_log_bytes_max = 256ULL << 20;
};

}  // namespace coord::core
