#include "cli/substitute.hpp"

#include <gtest/gtest.h>

namespace coord::cli {
namespace {

TEST(Substitute, PutsInValuesByTheirNames) {
  struct Case {
    const char* text;
    const char* value;
    const char* want;
  };
  const Case cases[] = {
      {"plain", "{}", "plain"},
      {"h={{db.host}};", R"({"db":{"host":"h1"}})", "h=h1;"},
      {"{{ a.1 }}{{a.0.b}}", R"({"a":[{"b":7},true]})", "true7"},
      {"{{a}}", R"({"a":{"z":1,"b":null}})", R"({"z":1,"b":null})"},
      {"<{{.}}>", "not json", "<not json>"},
  };
  for (const auto& one : cases) {
    const auto made = substitute(one.text, one.value);
    ASSERT_TRUE(made) << one.text << ": " << made.error().message;
    EXPECT_EQ(made.value(), one.want);
  }
}

TEST(Substitute, WhatIsNotThereIsAnError) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{a}}", "{}"},
      {"{{a.b}}", R"({"a":1})"},
      {"{{a.2}}", R"({"a":[1,2]})"},
      {"{{a.x}}", R"({"a":[]})"},
      {"{{a", "{}"},
      {"{{a}}", "no json"},
      {"{{}}", "{}"},
  };
  for (const auto& [text, value] : cases) EXPECT_FALSE(substitute(text, value)) << text;
}

}  // namespace
}  // namespace coord::cli
