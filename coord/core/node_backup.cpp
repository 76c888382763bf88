// Node's part of a backup: brings the store up to the revision that was asked for. The bytes are
// read by the shell, from the store itself: Node never sees them.
#include <algorithm>
#include <utility>

#include "coord/core/node.hpp"

namespace coord::core {

// Takes a checkpoint at the next turn, or when the one under way has ended, though none is due.
void Node::want_checkpoint(Index at_least) {
  wanted_checkpoint_ = std::max(wanted_checkpoint_, at_least);
  wants_turn_ = true;
}

void Node::prepare_backup(Request&& request) {
  if (!is_operator(request.identities)) {
    return refuse(request, Code::forbidden, "a backup takes an operator's right");
  }
  const auto index = index_of(state_.applied());
  want_checkpoint(index);
  const auto deadline = now_.mono_ms + request.timeout_ms;
  backups_.push_back({index, {std::move(request), deadline}});
}

// After what may have moved the checkpoint, before deliveries are taken.
void Node::serve_backups() {
  std::erase_if(backups_, [this](const Backup& backup) {
    const auto& request = std::get<Request>(backup.waiting.what);
    if (is_diverged()) {
      refuse_diverged(request);
    } else if (backup.index <= checkpointed_) {
      deliver(reply_to(request));
    } else if (backup.waiting.deadline_ms <= now_.mono_ms) {
      refuse(request, Code::not_ready, "the state was not written to the store in time");
    } else {
      return false;
    }
    return true;
  });
}

}  // namespace coord::core
