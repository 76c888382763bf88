#include "cli/print.hpp"

#include <gtest/gtest.h>

namespace coord::cli {
namespace {

Json stat_of(const char* mode, int version, int size, int children, const char* mtime) {
  return Json{{"mode", mode},
              {"version", version},
              {"data_length", size},
              {"num_children", children},
              {"mtime", mtime}};
}

// The sample of the API page, to the byte.
TEST(LongListing, looks_as_the_contract_shows_it) {
  const Table table =
      long_listing({{"config", stat_of("persistent", 3, 118, 0, "2026-11-21T19:58:02Z"), "-"},
                    {"workers", stat_of("container", 0, 0, 12, "2026-11-21T19:40:11.250Z"), "-"},
                    {"web-1", stat_of("ephemeral", 0, 21, 0, "2026-11-21T19:57:40Z"), "51 web-1"}});
  EXPECT_EQ(table.text(false),
            "NAME      TYPE        VERSION  SIZE  CHILDREN  MODIFIED              SESSION\n"
            "config    persistent        3   118         0  2026-11-21T19:58:02Z  -\n"
            "workers/  container         0     0        12  2026-11-21T19:40:11Z  -\n"
            "web-1     ephemeral         0    21         0  2026-11-21T19:57:40Z  51 web-1\n");
}

TEST(Table, aligns_by_what_is_seen_and_not_by_bytes) {
  Table table({{"A"}, {"N", true}, {"B"}});
  table.row({{"\xc3\xa4\xc3\xa4", Colour::red}, {"1"}, {"x"}});
  table.row({{"c"}, {"100"}, {""}});
  EXPECT_EQ(table.text(false), "A     N  B\n\xc3\xa4\xc3\xa4    1  x\nc   100\n");
  EXPECT_EQ(table.text(true),
            "\x1b[1mA\x1b[0m     \x1b[1mN\x1b[0m  \x1b[1mB\x1b[0m\n"
            "\x1b[31m\xc3\xa4\xc3\xa4\x1b[0m    1  x\nc   100\n");
}

TEST(Cells, show_whatever_the_server_sends) {
  const Json object = Json::parse(
      R"({"n":7,"t":"a\u001bb","none":null,"flag":true,"list":[1],
          "ms":1795291082999,"time":"2026-11-21T19:58:02.123Z"})");
  EXPECT_EQ(text_of(object, "n"), "7");
  EXPECT_EQ(text_of(object, "t"), "a\\x1bb");
  EXPECT_EQ(text_of(object, "none"), "-");
  EXPECT_EQ(text_of(object, "missing"), "-");
  EXPECT_EQ(text_of(object, "flag"), "true");
  EXPECT_EQ(text_of(object, "list"), "[1]");
  EXPECT_EQ(time_of(object, "ms"), "2026-11-21T19:58:02Z");
  EXPECT_EQ(time_of(object, "time"), "2026-11-21T19:58:02Z");
  EXPECT_EQ(time_of(object, "none"), "-");
  EXPECT_EQ(text_of(Json("no object"), "n"), "-");
}

TEST(Values, are_decoded_for_programs_and_short_for_people) {
  const Json text{{"value", "line\nend"}, {"encoding", "utf8"}};
  const Json binary{{"value", "AAEC"}, {"encoding", "base64"}};
  const Json null{{"value", nullptr}};
  EXPECT_EQ(value_bytes_of(text), "line\nend");
  EXPECT_EQ(value_bytes_of(binary), std::string("\0\1\2", 3));
  EXPECT_EQ(value_bytes_of(null), "");
  EXPECT_EQ(value_cell_of(text, 60), "line\\nend");
  EXPECT_EQ(value_cell_of(text, 6), "lin...");
  EXPECT_EQ(value_cell_of(binary, 60), "<3 bytes>");
  EXPECT_EQ(value_cell_of(null, 60), "-");
}

TEST(Tree, is_drawn_whatever_the_order_of_the_nodes) {
  const std::string want =
      "/app\n"
      "├── a = 1\n"
      "│   ├── x\n"
      "│   └── y\n"
      "│       └── deep\n"
      "└── b\n";
  EXPECT_EQ(draw_tree("/app",
                      {{"/app/b", ""},
                       {"/app", ""},
                       {"/app/a/y/deep", ""},
                       {"/app/a/x", ""},
                       {"/app/a", " = 1"}},
                      false),
            want);
  EXPECT_EQ(draw_tree("/", {{"/", ""}, {"/a", "", Colour::blue}}, true),
            "\x1b[1;34m/\x1b[0m\n└── \x1b[1;34ma\x1b[0m\n");
}

}  // namespace
}  // namespace coord::cli
