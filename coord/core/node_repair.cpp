// Node's repair: a member whose state differs from the others' takes the leader's.
//
// Its log, its term and its vote are sound, so it goes on voting and following meanwhile. What it
// has applied since does not count: from the snapshot on the committed entries are applied once
// more. So nothing of the log may go until then: no checkpoints are taken, and the snapshot has to
// be later than what was committed here when the repair began.
#include <utility>

#include "coord/base/check.hpp"
#include "coord/core/node.hpp"

namespace coord::core {
namespace {

constexpr std::int64_t kAgainMs = 500;

}  // namespace

void Node::declare_diverged(Index at) {
  diverged_at_ = at;
  for (const auto& key : keys_of_watches()) {
    end_watch(key, Code::diverged, "this member's state differs from the others'");
  }
}

// What is wrong with it, or ok.
Code Node::begin_repair(std::string& detail) {
  if (raft_.membership().everybody().size() == 1) {
    detail = "there is no other member to rebuild it from";
    return Code::invalid;
  }
  if (is_repairing_) return Code::ok;
  is_repairing_ = true;
  repair_again_ms_ = 0;
  if (!is_diverged()) declare_diverged(index_of(state_.applied()));
  trace_.trace(Note{Note::Level::info, "rebuilds its state from a snapshot of the leader"});
  wants_turn_ = true;
  return Code::ok;
}

// Until it has succeeded: a leader may go, and a snapshot be given up.
void Node::tick_repair() {
  if (!is_repairing_ || install_ || now_.mono_ms < repair_again_ms_) return;
  repair_again_ms_ = now_.mono_ms + kAgainMs;
  if (raft_.role() == election::Role::leader) return hand_over();
  // The one under way would come after the snapshot's, and lie before it.
  if (!raft_.leader() || is_checkpointing_) return;
  // No term: a snapshot that nobody announced.
  begin_install({raft_.committed().next(), Term()});
}

// A snapshot that is to be later than all that there is: an empty entry makes it so, and a
// checkpoint at once. The member asks again until it is there.
bool Node::make_snapshot_for(const election::SnapshotMark& asked) {
  if (asked.term != Term() || !was_leader_ || asked.index > raft_.last_index().next()) return false;
  if (raft_.last_index() < asked.index) {
    // Refused while leadership is handed over: then there is another leader to ask soon.
    static_cast<void>(raft_.propose(election::EntryKind::no_op, {}));
  }
  want_checkpoint(asked.index);
  return true;
}

bool Node::is_adoptable(const election::SnapshotMark& mark) const {
  if (raft_.wants_snapshot(mark)) return true;
  return is_repairing_ && raft_.role() != election::Role::leader && mark.index > checkpointed_ &&
         mark.index <= index_of(state_.applied());
}

// The snapshot is in place: what follows it comes with it, or is applied again.
void Node::take_over(const election::SnapshotMark& mark) {
  if (raft_.wants_snapshot(mark)) {
    raft_.snapshot_installed(mark, state_.membership());
  } else {
    raft_.hand_out_again(mark);
  }
  is_repairing_ = false;
  diverged_at_ = Index();
}

}  // namespace coord::core
