// Node's comparison of digests: members that applied the same entries have the same state, or one
// of them is damaged, and nobody may be served from it.
#include <algorithm>
#include <utility>

#include "coord/core/node.hpp"

namespace coord::core {
namespace {

constexpr std::uint64_t kEvery = 64;  // Entries between two samples.
constexpr std::size_t kSamplesMax = 512;
constexpr std::int64_t kSendMs = 1'000;

}  // namespace

void Node::sample_digest() {
  const auto index = index_of(state_.applied());
  if (index.value() % kEvery != 0) return;
  samples_[index].own = state_.digest();
  last_sample_ = index;
  if (samples_.size() > kSamplesMax) samples_.erase(samples_.begin());
}

void Node::send_digest() {
  if (now_.mono_ms - digest_sent_ms_ < kSendMs || !last_sample_) return;
  digest_sent_ms_ = now_.mono_ms;
  // Its log is as good as any: who follows it is not harmed, but it serves nobody.
  if (is_diverged()) hand_over();
  const DigestNote note{last_sample_, samples_[last_sample_].own};
  for (const auto id : raft_.membership().everybody()) {
    if (id != options_.raft.id) send(id, note);
  }
}

// The state that most voters have is taken for the right one. Where no majority can be had without
// this member (two voters), the leader's is.
void Node::on(MemberId from, DigestNote&& message) {
  const auto at = samples_.find(message.index);
  if (at == samples_.end() || at->second.own == 0 || is_diverged()) return;
  auto& samples = at->second;
  if (message.digest == samples.own) return;
  trace_.trace(Note{Note::Level::error,
                    fmt::format("member {} has another state at revision {}: digest {:016x}, here "
                                "{:016x}",
                                from, message.index, message.digest, samples.own)});
  samples.others[from] = message.digest;
  const auto& voters = raft_.membership().voters;
  const auto others =
      static_cast<std::size_t>(std::count_if(voters.begin(), voters.end(), [&](MemberId id) {
        const auto note = samples.others.find(id);
        return note != samples.others.end() && note->second == message.digest;
      }));
  const bool leader_decides =
      voters.size() <= 2 && raft_.membership().is_voter(options_.raft.id) && from == raft_.leader();
  if (others <= voters.size() / 2 && !leader_decides) return;
  declare_diverged(message.index);
  trace_.trace(Note{Note::Level::error,
                    fmt::format("this member's state differs from the others' at revision {}: it "
                                "serves nothing until it is rebuilt: coordctl cluster repair {}",
                                message.index, options_.raft.id)});
}

}  // namespace coord::core
