#include "coord/core/identity.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/base/checksum.hpp"
#include "coord/base/codec.hpp"

namespace coord::core {
namespace {

constexpr std::uint32_t kMagic = 0x44524f43;  // "CORD"

const KnownMember* find(std::span<const KnownMember> known, MemberId id) {
  const auto at =
      std::find_if(known.begin(), known.end(), [id](const auto& k) { return k.id == id; });
  return at == known.end() ? nullptr : &*at;
}

Verdict refuse(Refusal refusal, std::string text) { return {refusal, std::move(text)}; }

std::string how_to_replace(MemberId id, const std::string& peer) {
  return fmt::format(
      "to put a new member in its place: coordctl cluster replace {} --with NEWID={}; then start "
      "it "
      "on an empty directory with: coordd --id NEWID --peer {} --join URL",
      id, peer.empty() ? "HOST:PEERPORT" : peer, peer.empty() ? "HOST:PEERPORT" : peer);
}

}  // namespace

std::string_view word_of(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::none:
      return "none";
    case Refusal::protocol:
      return "protocol";
    case Refusal::same_member:
      return "same-member";
    case Refusal::other_member:
      return "other-member";
    case Refusal::foreign_cluster:
      return "foreign-cluster";
    case Refusal::members_differ:
      return "members-differ";
    case Refusal::wiped_member:
      return "wiped-member";
    case Refusal::removed_member:
      return "removed-member";
    case Refusal::unknown_member:
      return "unknown-member";
  }
  return "unknown";
}

std::string encode(const Greeting& greeting) {
  std::string bytes;
  Writer out(bytes);
  const auto& hello = greeting.hello;
  out.u32(kMagic);
  out.u32(hello.protocol);
  // From here on as the version says. The verdict first: also another version can tell why.
  out.u8(static_cast<std::uint8_t>(greeting.verdict.refusal));
  out.bytes(greeting.verdict.text);
  out.boolean(greeting.knows_you);
  out.id(hello.id);
  out.u64(hello.disk_id);
  out.bytes(hello.cluster);
  out.u64(hello.members_hash);
  out.boolean(hello.is_empty);
  out.bytes(hello.peer);
  out.bytes(hello.http);
  out.bytes(hello.zookeeper);
  out.bytes(hello.version);
  return bytes;
}

bool decode(std::string_view bytes, Greeting& greeting) {
  Reader in(bytes);
  if (in.u32() != kMagic) return false;
  auto& hello = greeting.hello;
  hello.protocol = in.u32();
  if (!in.ok()) return false;
  if (hello.protocol != kPeerProtocol) return true;
  const auto refusal = in.u8();
  if (refusal > static_cast<std::uint8_t>(Refusal::unknown_member)) return false;
  greeting.verdict.refusal = static_cast<Refusal>(refusal);
  greeting.verdict.text = in.bytes();
  greeting.knows_you = in.boolean();
  hello.id = in.id<MemberId>();
  hello.disk_id = in.u64();
  hello.cluster = in.bytes();
  hello.members_hash = in.u64();
  hello.is_empty = in.boolean();
  hello.peer = in.bytes();
  hello.http = in.bytes();
  hello.zookeeper = in.bytes();
  hello.version = in.bytes();
  return in.done() && static_cast<bool>(hello.id);
}

Verdict judge(const Hello& mine, const Hello& theirs, MemberId expected,
              std::span<const KnownMember> known) {
  if (theirs.protocol != mine.protocol) {
    return refuse(
        Refusal::protocol,
        fmt::format("member {} speaks version {} of the members' protocol, you version {}", mine.id,
                    mine.protocol, theirs.protocol));
  }
  if (theirs.id == mine.id) {
    return refuse(Refusal::same_member,
                  fmt::format("both of us are member {}: check --id and the addresses", mine.id));
  }
  if (expected && theirs.id != expected) {
    return refuse(Refusal::other_member,
                  fmt::format("member {} expected member {} at {}, not member {}", mine.id,
                              expected, theirs.peer, theirs.id));
  }
  if (!mine.cluster.empty() && !theirs.cluster.empty()) {
    if (mine.cluster != theirs.cluster) {
      return refuse(Refusal::foreign_cluster,
                    fmt::format("member {} belongs to cluster {}, you to cluster {}", mine.id,
                                mine.cluster, theirs.cluster));
    }
  } else if (mine.members_hash != 0 && theirs.members_hash != 0 &&
             mine.members_hash != theirs.members_hash) {
    return refuse(Refusal::members_differ,
                  fmt::format("member {} was started with other --members than you{}", mine.id,
                              mine.cluster.empty() ? "" : ", and its cluster exists already"));
  }
  // Who knows nobody yet learns it from the others; they judge.
  if (mine.cluster.empty() || known.empty()) return {};
  const auto* record = find(known, theirs.id);
  if (record == nullptr) {
    return refuse(
        Refusal::unknown_member,
        fmt::format("cluster {} has no member {}: coordctl cluster add {}={}; then start it on an "
                    "empty directory with --join URL",
                    mine.cluster, theirs.id, theirs.id,
                    theirs.peer.empty() ? "HOST:PEERPORT" : theirs.peer));
  }
  if (record->is_removed) {
    return refuse(Refusal::removed_member,
                  fmt::format("member {} was removed from cluster {}, and an id is never used "
                              "again: join with another --id",
                              theirs.id, mine.cluster));
  }
  if (record->disk_id != 0 && record->disk_id != theirs.disk_id) {
    return refuse(Refusal::wiped_member,
                  fmt::format("cluster {} knows member {} on disk {:016x}, not on {:016x}; {}",
                              mine.cluster, theirs.id, record->disk_id, theirs.disk_id,
                              how_to_replace(theirs.id, theirs.peer)));
  }
  return {};
}

Verdict judge_self(const Hello& mine, std::span<const KnownMember> known) {
  const auto* record = find(known, mine.id);
  if (record == nullptr || record->disk_id == 0 || record->disk_id == mine.disk_id) return {};
  const auto owner = std::find_if(known.begin(), known.end(), [&mine](const KnownMember& other) {
    return other.disk_id == mine.disk_id;
  });
  if (owner != known.end()) {
    return refuse(Refusal::wiped_member,
                  fmt::format("this is the disk of member {}, not of member {}: give each its own",
                              owner->id, mine.id));
  }
  return refuse(Refusal::wiped_member,
                fmt::format("cluster {} knows member {} on disk {:016x}, and this is {:016x}; {}",
                            mine.cluster, mine.id, record->disk_id, mine.disk_id,
                            how_to_replace(mine.id, mine.peer)));
}

bool knows_disk(std::span<const KnownMember> known, MemberId id, std::uint64_t disk) {
  const auto* record = find(known, id);
  return record != nullptr && !record->is_removed && record->disk_id != 0 &&
         record->disk_id == disk;
}

std::uint64_t hash_of(std::vector<ListedMember> members) {
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  std::string bytes;
  Writer out(bytes);
  for (const auto& member : members) {
    out.id(member.id);
    out.bytes(member.peer);
    out.bytes(member.role);
  }
  return std::max<std::uint64_t>(checksum(bytes), 1);
}

// ---------------------------------------------------------------- VoteGate

VoteGate::VoteGate(MemberId self, bool is_empty, std::vector<MemberId> voters)
    : voters_(std::move(voters)), consenting_{self}, is_open_(!is_empty || voters_.empty()) {
  weigh();
}

void VoteGate::answered(MemberId member, bool is_empty, bool knows_me) {
  if (is_open_ || (!is_empty && !knows_me)) return;
  if (std::find(consenting_.begin(), consenting_.end(), member) == consenting_.end()) {
    consenting_.push_back(member);
  }
  weigh();
}

void VoteGate::weigh() {
  const auto count = std::count_if(voters_.begin(), voters_.end(), [this](MemberId id) {
    return std::find(consenting_.begin(), consenting_.end(), id) != consenting_.end();
  });
  if (static_cast<std::size_t>(count) > voters_.size() / 2) is_open_ = true;
}

}  // namespace coord::core
