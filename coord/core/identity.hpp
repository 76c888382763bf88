// Identity: what two members tell each other before they talk, and whether they may. Pure rules;
// the links of coord/server carry them out.
//
// A cluster has a UUID, a member an id, a disk a random id. A member that lost its disk has lost
// its promises: under its old id it could vote twice. So a known id with another disk is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/ids.hpp"

namespace coord::core {

// Raised with every change of what members send or of what they make of an entry: versions that
// differ must not share a log. 2: a follower asks for the time a session has left; answers of locks
// say whose the session is. 3: a fresh tree has /zookeeper/config and /zookeeper/quota, and what it
// was made with numbers no sequential node; an attachment may change a session's ttl.
inline constexpr std::uint32_t kPeerProtocol = 3;

// What a member says of itself.
struct Hello {
  std::uint32_t protocol = kPeerProtocol;
  MemberId id;
  std::uint64_t disk_id = 0;
  std::string cluster;             // Empty: it knows none yet.
  std::uint64_t members_hash = 0;  // Of --members; zero: it was not given.
  bool is_empty = false;           // It holds no term, no entry, no checkpoint.
  std::string peer;                // Where it listens for members: HOST:PORT.
  std::string http;
  std::string zookeeper;
  std::string version;
};

enum class Refusal : std::uint8_t {
  none = 0,
  protocol = 1,         // The other speaks another version of the protocol.
  same_member = 2,      // The other has the id of this member.
  other_member = 3,     // Another member answers at that address.
  foreign_cluster = 4,  // It belongs to another cluster.
  members_differ = 5,   // Before there is a cluster: other --members.
  wiped_member = 6,     // A known id on another disk.
  removed_member = 7,   // Its id was removed.
  unknown_member = 8,   // The cluster has no member of this id.
};
[[nodiscard]] std::string_view word_of(Refusal refusal) noexcept;

struct Verdict {
  Refusal refusal = Refusal::none;
  std::string text;  // For people, when it is one.
};

// What is said first on a link, by both sides. The side that was dialled judges first, and says so.
struct Greeting {
  Hello hello;
  bool knows_you = false;  // The receiver's disk is the one that this member knows under its id.
  Verdict verdict;         // Of the receiver.
};
[[nodiscard]] std::string encode(const Greeting& greeting);
// False: no greeting at all. One of another protocol decodes as far as its version goes.
[[nodiscard]] bool decode(std::string_view bytes, Greeting& greeting);

// What the replicated state knows of a member.
struct KnownMember {
  MemberId id;
  std::string peer;           // HOST:PORT; empty: not recorded.
  std::uint64_t disk_id = 0;  // Zero: not recorded yet.
  bool is_removed = false;
};

// May these two talk? `known`: everybody whom `mine`'s state knows, in any order; empty while it
// knows nobody. `expected`: whom `mine` dialled, or none. The text is addressed to `theirs`.
[[nodiscard]] Verdict judge(const Hello& mine, const Hello& theirs, MemberId expected,
                            std::span<const KnownMember> known);
// Of this member itself: its state may know its id on another disk.
[[nodiscard]] Verdict judge_self(const Hello& mine, std::span<const KnownMember> known);

[[nodiscard]] bool knows_disk(std::span<const KnownMember> known, MemberId id, std::uint64_t disk);

// One of --members.
struct ListedMember {
  MemberId id;
  std::string peer;
  std::string role;  // "voter", "observer", "standby".
  friend bool operator==(const ListedMember&, const ListedMember&) = default;
};
// The same for the same list in any order; never zero.
[[nodiscard]] std::uint64_t hash_of(std::vector<ListedMember> members);

// Decides when an empty member may vote: once a majority of the listed voters (itself is one) has
// answered that it is empty too, or that it knows this disk. Before that, this may be the disk
// that replaced one whose votes are forgotten. It stays true: what is empty now promised nothing.
class VoteGate {
 public:
  // `voters`: of --members; empty for a member that joins, which needs no gate: it gets a vote by
  // an entry that makes it more than empty.
  VoteGate(MemberId self, bool is_empty, std::vector<MemberId> voters);
  void answered(MemberId member, bool is_empty, bool knows_me);
  // It has applied what identifies the cluster: it follows, and is empty no more.
  void follows() noexcept { is_open_ = true; }
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }

 private:
  void weigh();

  std::vector<MemberId> voters_;
  std::vector<MemberId> consenting_;
  bool is_open_ = false;
};

}  // namespace coord::core
