#include "znode/change.hpp"

#include <gtest/gtest.h>

namespace coord::znode {
namespace {

Change sample() {
  Change change;
  change.kind = ChangeKind::changed;
  change.path = "/a/b";
  change.value = Blob("new");
  change.content_type = "text/plain";
  change.prev_value = Blob("");
  change.stat = {Zxid(1), Zxid(9), Zxid(4), -5, 7, 3, 2, 1, SessionId(8), 3, 0, Mode::ephemeral, 0};
  change.prev_stat.version = -1;
  change.session = SessionId(8);
  change.acl = {{all, "digest", "ann:hash"}};
  return change;
}

TEST(Change, a_change_survives_its_encoding_and_half_of_one_does_not) {
  const auto change = sample();
  std::string bytes;
  Writer out(bytes);
  encode(change, out);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    Reader in(std::string_view(bytes).substr(0, size));
    const auto got = decode_change(in);
    EXPECT_EQ(in.done(), size == bytes.size()) << size;
    if (in.done()) {
      EXPECT_EQ(got, change);
    }
  }
}

TEST(Change, null_and_empty_values_stay_what_they_are) {
  auto change = sample();
  change.value = Blob();
  std::string bytes;
  Writer out(bytes);
  encode(change, out);
  Reader in(bytes);
  const auto got = decode_change(in);
  EXPECT_TRUE(got.value.is_null());
  EXPECT_FALSE(got.prev_value.is_null());
}

TEST(Change, an_unknown_kind_fails_the_reader) {
  std::string bytes("\x05", 1);
  Reader in(bytes);
  (void)decode_change(in);
  EXPECT_FALSE(in.ok());
}

TEST(Change, a_batch_counts_the_bytes_of_its_changes) {
  ChangeBatch batch;
  const auto empty = bytes_of(batch);
  batch.changes.push_back(sample());
  EXPECT_GE(bytes_of(batch), empty + sizeof(Change) + 4 + 3 + 10);
}

}  // namespace
}  // namespace coord::znode
