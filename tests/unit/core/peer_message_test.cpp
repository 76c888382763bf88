#include "coord/core/peer_message.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace coord::core {
namespace {

std::vector<Message> one_of_each() {
  const auto wrap = [](PeerBody body) {
    return Message{MemberId(1), MemberId(2), std::move(body)};
  };
  election::AppendRequest append;
  append.term = Term(3);
  append.entries.push_back(std::make_shared<election::LogEntry>(
      election::LogEntry{Term(3), Index(1), election::EntryKind::command, "payload"}));
  SessionCredential session{SessionId(9), {1, 2, 3}};
  return {wrap(election::Body(append)),
          wrap(Forward{Term(4), 77, 1, 1ULL << 60, session, "command"}),
          wrap(ForwardRefused{Term(4), 77, 1, 5, true, Code::session_expired, "why",
                              session::EndReason::killed}),
          wrap(Touches{Term(4), {SessionId(1), SessionId(2)}, {{7, SessionId(3)}}}),
          wrap(TouchesConfirmed{Term(4), {{7, true, 1500, Index()}, {8, false, 0, Index(9)}}}),
          wrap(DigestNote{Index(1024), 0xdeadbeef}),
          wrap(ClusterNote{Term(4), Index(9), {{MemberId(2), Index(8), -1, true}}}),
          wrap(SnapshotPull{{Index(5), Term(2)}, 100, 3}),
          wrap(SnapshotChunk{3, {Index(5), Term(2)}, 100, std::string(10'000, 'x'), true}),
          wrap(AdminRequest{Term(4), 1ULL << 60, "operation"}),
          wrap(AdminReply{9, Code::quorum_at_risk, "why", "plan"})};
}

TEST(PeerMessage, comes_back_alike_for_every_kind) {
  const auto messages = one_of_each();
  ASSERT_EQ(messages.size(), std::variant_size_v<PeerBody>);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ASSERT_EQ(messages[i].body.index(), i);
    const auto bytes = encode(messages[i]);
    Message again;
    ASSERT_TRUE(decode(bytes, again)) << i;
    EXPECT_EQ(again.from, MemberId(1));
    EXPECT_EQ(again.to, MemberId(2));
    EXPECT_EQ(again.body.index(), i);
    EXPECT_EQ(encode(again), bytes) << i;
  }
}

TEST(PeerMessage, every_cut_and_a_byte_too_many_are_refused) {
  for (const auto& message : one_of_each()) {
    auto bytes = encode(message);
    Message again;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), again));
    }
    bytes.push_back('\0');
    EXPECT_FALSE(decode(bytes, again));
  }
}

}  // namespace
}  // namespace coord::core
