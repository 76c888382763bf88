#include "api/fields.hpp"

#include <gtest/gtest.h>

namespace coord::api {
namespace {

const Caller kCaller{"127.0.0.1", true};
const HttpOptions kOptions;

// What a route says of its fields, kept together.
struct Given {
  Given(std::string_view body, std::vector<QueryParameter> parameters = {})
      : view{Method::post, "/x", {}, body}, all(std::move(parameters)), query(all) {}
  PlanInput input() { return {view, kCaller, kOptions, query, {}, {}}; }

  RequestView view;
  std::vector<QueryParameter> all;
  Query query;
};

TEST(Fields, StandInTheBodyOrInTheQueryAndTheQueryWins) {
  Given given(R"({"n":5,"t":"a","b":true,"d_ms":250})", {{"n", "7"}});
  const auto in = given.input();
  Fields fields(in, {"n", "t", "b", "d", "d_ms"});
  EXPECT_EQ(fields.whole("n"), 7);
  EXPECT_EQ(fields.text("t"), "a");
  EXPECT_EQ(fields.boolean("b"), true);
  EXPECT_EQ(fields.duration("d", "d_ms"), 250);
  EXPECT_EQ(fields.count("none"), std::nullopt);
  EXPECT_TRUE(fields.has("t"));
  EXPECT_FALSE(fields.has("none"));
  EXPECT_FALSE(fields.finish());
}

TEST(Fields, AnEmptyBodyIsNoFields) {
  for (const auto* body : {"", "  \r\n", "{}"}) {
    Given given(body);
    const auto in = given.input();
    Fields fields(in, {"n"});
    EXPECT_EQ(fields.whole("n"), std::nullopt);
    EXPECT_FALSE(fields.finish()) << body;
  }
}

TEST(Fields, WhatIsWrongIsSaid) {
  struct Case {
    const char* name;
    const char* body;
    const char* says;
  };
  for (const auto& [name, body, says] : {
           Case{"no JSON", "{", ""},
           {"no object", "[1]", "must be a JSON object"},
           {"an unknown name", R"({"cuont":1})", "did you mean \"count\"?"},
           {"a text for a number", R"({"count":"1"})", "count must be a whole number"},
           {"a negative count", R"({"count":-1})", "count must be a whole number"},
           {"a fraction", R"({"whole":1.5})", "whole must be a whole number"},
           {"too large", R"({"whole":18446744073709551615})", "whole must be a whole number"},
           {"a number for a text", R"({"text":1})", "text must be a string"},
           {"a text for a truth", R"({"truth":"true"})", "truth must be true or false"},
           {"no duration", R"({"wait":"x"})", "must be a duration"},
           {"both durations", R"({"wait":"1s","wait_ms":1})", "say the same"},
           {"no list", R"({"texts":"a"})", "texts must be a list of strings"},
           {"a list of numbers", R"({"texts":["a",1]})", "texts must be a list of strings"},
       }) {
    Given given(body);
    const auto in = given.input();
    Fields fields(in, {"count", "whole", "text", "truth", "wait", "wait_ms", "texts"});
    static_cast<void>(fields.count("count"));
    static_cast<void>(fields.whole("whole"));
    static_cast<void>(fields.text("text"));
    static_cast<void>(fields.boolean("truth"));
    static_cast<void>(fields.duration("wait", "wait_ms"));
    static_cast<void>(fields.texts("texts"));
    const auto problem = fields.finish();
    EXPECT_EQ(problem.code, Code::bad_request) << name;
    EXPECT_NE(problem.detail.find(says), std::string::npos) << name << ": " << problem.detail;
  }
}

TEST(Fields, TheFirstThingThatIsWrongIsKept) {
  Given given(R"({"count":"x","truth":1})");
  const auto in = given.input();
  Fields fields(in, {"count", "truth"});
  static_cast<void>(fields.count("count"));
  static_cast<void>(fields.boolean("truth"));
  EXPECT_NE(fields.finish().detail.find("count"), std::string::npos);
}

TEST(Fields, AListStandsInTheQueryWithCommas) {
  Given given("", {{"texts", "a,b"}});
  const auto in = given.input();
  Fields fields(in, {"texts"});
  EXPECT_EQ(fields.texts("texts"), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace coord::api
