#include "cli/stream_parser.hpp"

#include <gtest/gtest.h>

namespace coord::cli {
namespace {

struct SseCase {
  const char* name;
  std::string given;
  std::vector<SseEvent> want;
};

const SseCase kSseCases[] = {
    {"an event with all fields", "event: changed\nid: 4\ndata: {}\n\n", {{"changed", "4", "{}"}}},
    {"an event without a type or an id", "data: x\n\n", {{"message", {}, "x"}}},
    {"several lines of data", "data: a\ndata\ndata: b\n\n", {{"message", {}, "a\n\nb"}}},
    {"carriage returns as line ends",
     "data: a\r\rdata: b\r\n\r\n",
     {{"message", {}, "a"}, {"message", {}, "b"}}},
    {"comments are nothing", ":\n\n: hello\ndata: a\n\n", {{"message", {}, "a"}}},
    {"one blank after the colon goes", "data:  a\ndata:b\n\n", {{"message", {}, " a\nb"}}},
    {"an id without data", "id: 7\n\n", {{"message", "7", ""}}},
    {"a type alone is no event", "event: x\n\ndata: a\n\n", {{"message", {}, "a"}}},
    {"an event that was cut is none", "data: a\n\ndata: b\n", {{"message", {}, "a"}}},
    {"unknown fields are left out", "retry: 5\nfoo: x\ndata: a\n\n", {{"message", {}, "a"}}},
    {"a byte order mark",
     "\xef\xbb\xbf"
     "data: a\n\n",
     {{"message", {}, "a"}}},
    {"an id with a NUL is left out",
     std::string("id: a\0b\ndata: a\n\n", 18),
     {{"message", {}, "a"}}},
};

TEST(SseParser, reads_what_the_standard_says) {
  for (const SseCase& c : kSseCases) {
    SseParser parser;
    EXPECT_EQ(parser.feed(c.given), c.want) << c.name;
    EXPECT_TRUE(parser.ok()) << c.name;
  }
}

TEST(SseParser, does_not_care_where_the_bytes_are_cut) {
  for (const SseCase& c : kSseCases) {
    for (std::size_t cut = 0; cut <= c.given.size(); ++cut) {
      SseParser parser;
      auto got = parser.feed(c.given.substr(0, cut));
      for (auto& event : parser.feed(c.given.substr(cut))) got.push_back(std::move(event));
      EXPECT_EQ(got, c.want) << c.name << ", cut at " << cut;
    }
  }
}

TEST(SseParser, refuses_a_line_that_never_ends) {
  SseParser parser;
  const std::string piece(std::size_t{1} << 20, 'x');
  for (std::size_t sent = 0; sent <= kStreamedBytesMax; sent += piece.size()) {
    EXPECT_TRUE(parser.feed(piece).empty());
  }
  EXPECT_FALSE(parser.ok());
}

TEST(NdjsonParser, gives_whole_lines_and_the_last_one_at_the_end) {
  NdjsonParser parser;
  EXPECT_EQ(parser.feed("{\"a\":1}\n{\"b\""), (std::vector<std::string>{"{\"a\":1}"}));
  EXPECT_EQ(parser.feed(":2}\r\n\n  \n{}"), (std::vector<std::string>{"{\"b\":2}"}));
  EXPECT_EQ(parser.finish(), "{}");
  EXPECT_EQ(NdjsonParser().finish(), std::nullopt);
}

}  // namespace
}  // namespace coord::cli
