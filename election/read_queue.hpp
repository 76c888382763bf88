// ReadQueue: linearizable reads that wait for the leader to be confirmed (thesis, section 6.4).
//
// A read first waits for a round to start; the round that starts serves every read that waits, with
// the commit index of that moment; it is granted when a quorum has answered that round or a later
// one. Answers of a round that started before the read never count for it (etcd 7331, raft 397).
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "coord/base/check.hpp"
#include "coord/base/ids.hpp"

namespace coord::election {

class ReadQueue {
 public:
  struct Asker {
    MemberId from;  // None: this member's own read.
    ReadId read;
    friend bool operator==(const Asker&, const Asker&) = default;
  };

  void add(Asker asker) { waiting_.push_back(asker); }
  [[nodiscard]] bool has_waiting() const noexcept { return !waiting_.empty(); }
  [[nodiscard]] bool empty() const noexcept { return waiting_.empty() && batches_.empty(); }

  // All that wait join the round, which starts now, with the commit index of now.
  void start(std::uint64_t round, Index committed) {
    if (waiting_.empty()) return;
    COORD_CHECK(batches_.empty() || batches_.back().round < round, "rounds rise", round);
    batches_.push_back(Batch{round, committed, std::exchange(waiting_, {})});
  }
  // A quorum answered `round`: calls grant(Asker, Index) for each read of it and of earlier ones.
  template <class Grant>
  void confirm(std::uint64_t round, Grant&& grant) {
    while (!batches_.empty() && batches_.front().round <= round) {
      const auto batch = std::move(batches_.front());
      batches_.pop_front();
      for (const auto& asker : batch.askers) grant(asker, batch.index);
    }
  }
  // Calls fail(Asker) for every read and forgets them: this member does not lead any more.
  template <class Fail>
  void clear(Fail&& fail) {
    for (const auto& batch : std::exchange(batches_, {})) {
      for (const auto& asker : batch.askers) fail(asker);
    }
    for (const auto& asker : std::exchange(waiting_, {})) fail(asker);
  }

 private:
  struct Batch {
    std::uint64_t round;
    Index index;
    std::vector<Asker> askers;
  };
  std::vector<Asker> waiting_;
  std::deque<Batch> batches_;
};

}  // namespace coord::election
