#include "api/json.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/bodies.hpp"
#include "api/openapi.hpp"
#include "api/respond.hpp"
#include "api/route_table.hpp"
#include "api/watch_stream.hpp"

namespace coord::api {
namespace {

using Json = nlohmann::json;

TEST(Json, StringsOfAllBytesParseBack) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  std::string out;
  append_json_string(out, all);
  EXPECT_EQ(Json::parse(out).get<std::string>(), all);
  out.clear();
  append_json_string(out, "a\xff\x62");
  EXPECT_EQ(Json::parse(out).get<std::string>(),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(Json, ValuesAreTextWhereTheyCanAndBase64WhereTheyMust) {
  struct Case {
    Blob value;
    Json want;
    std::string_view encoding;
  };
  for (const auto& [value, want, encoding] : {
           Case{Blob("hello"), "hello", "utf8"},
           {Blob(""), "", "utf8"},
           {Blob(), nullptr, "utf8"},
           {Blob("\xff"), "/w==", "base64"},
       }) {
    std::string out;
    JsonObject object(out);
    object.value("value", "encoding", value).close();
    const auto json = Json::parse(out);
    EXPECT_EQ(json["value"], want);
    EXPECT_EQ(json["encoding"], encoding);
  }
}

TEST(Json, AStatHasZooKeepersNames) {
  znode::Stat stat;
  stat.czxid = Zxid(40);
  stat.mzxid = Zxid(42);
  stat.ephemeral_owner = SessionId(51);
  std::string out;
  append_json_stat(out, stat);
  const auto json = Json::parse(out);
  for (const auto* name : {"czxid", "mzxid", "pzxid", "ctime", "mtime", "version", "cversion",
                           "aversion", "ephemeral_owner", "data_length", "num_children"}) {
    EXPECT_TRUE(json.contains(name)) << name;
  }
  EXPECT_EQ(json["ephemeral_owner"], "51");
  EXPECT_EQ(json["mzxid"], 42);
  out.clear();
  append_stat_header(out, stat);
  EXPECT_TRUE(out.starts_with("czxid=40, mzxid=42, version=0, ")) << out;
}

TEST(MergePatch, FollowsTheTableOfTheRfc) {
  struct Case {
    std::string_view target, patch, want;
  };
  for (const auto& [target, patch, want] : {
           Case{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
           {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
           {R"({"a":"b"})", R"({"a":null})", R"({})"},
           {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
           {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
           {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
           {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
           {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
           {"", R"({"a":1})", R"({"a":1})"},
       }) {
    std::string out;
    EXPECT_FALSE(merge_patch(target, patch, out)) << target;
    EXPECT_EQ(Json::parse(out), Json::parse(want)) << target;
  }
  std::string out;
  EXPECT_EQ(merge_patch("no json", "{}", out).code, Code::invalid);
}

TEST(MergePatch, RefusesANumberThatItWouldRound) {
  std::string out;
  for (const auto* kept : {"0", "-0.0", "1.50", "0.1", "18446744073709551615",
                           "-9223372036854775808", "1e22", "10000000000000000000000", "1.25E-7"}) {
    const auto value = fmt::format(R"({{"a":{}}})", kept);
    EXPECT_FALSE(merge_patch(value, R"({"b":1})", out)) << kept;
    EXPECT_EQ(Json::parse(out)["a"], Json::parse(kept)) << kept;
  }
  for (const auto* rounded : {"18446744073709551616", "-9223372036854775809",
                              "0.1234567890123456789", "12345678901234567890123"}) {
    const auto value = fmt::format(R"({{"a":{}}})", rounded);
    for (const auto& [target, patch] :
         {std::pair<std::string, std::string>{value, "{}"}, {"{}", value}}) {
      const auto problem = merge_patch(target, patch, out);
      EXPECT_EQ(problem.code, Code::invalid) << rounded;
      EXPECT_NE(problem.detail.find(rounded), std::string::npos) << problem.detail;
    }
  }
}

TEST(Bodies, AnAclIsReadAndWrittenInOneForm) {
  znode::Acl acl;
  ASSERT_FALSE(parse_acl(R"([{"scheme":"world","id":"anyone","permissions":["read","create"]},
                             {"scheme":"digest","id":"u:x","permissions":"cdrwa"}])",
                         acl));
  ASSERT_EQ(acl.size(), 2U);
  EXPECT_EQ(acl[0].permissions, znode::read | znode::create);
  EXPECT_EQ(acl[1].permissions, znode::all);
  std::string out;
  append_json_acl(out, acl);
  znode::Acl back;
  ASSERT_FALSE(parse_acl(out, back));
  EXPECT_EQ(back, acl);
  for (const std::string_view wrong :
       {"{}", "[1]", R"([{"scheme":"world"}])", R"([{"scheme":"world","permissions":"x"}])",
        R"([{"scheme":"world","permissions":["fly"]}])", R"([{"permissions":"r","extra":1}])"}) {
    znode::Acl ignored;
    EXPECT_EQ(parse_acl(wrong, ignored).code, Code::bad_request) << wrong;
  }
}

TEST(Problems, CarryAllThatThePageNames) {
  Plan plan;
  plan.route = match_route(Method::put, "/v1/tree/a").route;
  plan.method = Method::put;
  plan.target = "/v1/tree/a?x=\"";
  plan.path = "/a";
  plan.is_write = true;
  core::Reply reply;
  reply.code = Code::fence_stale;
  reply.detail = "lock jobs is held with token 59, not 57";
  reply.revision = Zxid(61);
  std::string text;
  append_problem(text, plan, reply, nullptr);
  const auto json = Json::parse(text);
  EXPECT_EQ(json["status"], 409);
  EXPECT_EQ(json["code"], "fence-stale");
  EXPECT_EQ(json["path"], "/a");
  EXPECT_EQ(json["revision"], 61);
  EXPECT_EQ(json["retryable"], false);
  EXPECT_EQ(json["outcome"], "not-applied");
  EXPECT_EQ(json["instance"], plan.target);
  for (const auto* name : {"type", "title", "detail"}) EXPECT_TRUE(json.contains(name)) << name;

  text.clear();
  reply.code = Code::outcome_unknown;
  append_problem(text, plan, reply, nullptr);
  EXPECT_EQ(Json::parse(text)["outcome"], "unknown");
  text.clear();
  plan.is_write = false;
  reply.code = Code::compacted;
  reply.oldest = Zxid(9);
  append_problem(text, plan, reply, nullptr);
  EXPECT_EQ(Json::parse(text)["oldest_revision"], 9);
  EXPECT_FALSE(Json::parse(text).contains("outcome"));
  text.clear();
  reply.code = Code::session_expired;
  reply.end_reason = session::EndReason::killed;
  append_problem(text, plan, reply, nullptr);
  EXPECT_EQ(Json::parse(text)["reason"], "killed");
}

TEST(OpenApi, DescribesExactlyTheRoutesThatExist) {
  const auto document = Json::parse(openapi_document("1.2.3"));
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::size_t operations = 0;
  for (const auto& [path, item] : document["paths"].items()) operations += item.size();
  std::size_t wanted = 0;
  for (const auto& route : route_table()) {
    std::string method(word_of(route.method));
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto& operation = document["paths"][std::string(route.path)][method];
    EXPECT_FALSE(operation["summary"].get<std::string>().empty()) << route.path;
    wanted += route.method == Method::get ? 2 : 1;
    for (const auto known : parameters_of(route)) {
      auto name = std::string(known);
      if (name.ends_with('.')) name += "KEY";  // Any name that begins so.
      bool is_described = false;
      for (const auto& parameter : operation["parameters"]) {
        if (parameter["in"] == "query" && parameter["name"] == name) {
          is_described = !parameter["description"].get<std::string>().empty();
        }
      }
      EXPECT_TRUE(is_described) << route.path << " " << name;
    }
  }
  EXPECT_EQ(operations, wanted);
}

core::WatchEvent event_of(std::vector<znode::Change> changes) {
  auto batch = std::make_shared<znode::ChangeBatch>();
  batch->zxid = Zxid(44);
  batch->changes = std::move(changes);
  return {ConnectionId(1), WatchId(1), batch, {}, false};
}

TEST(WatchStream, TheIdStandsOnTheLastEventOfATransactionOnly) {
  znode::Change a;
  a.path = "/app";
  a.value = Blob("v3");
  a.stat.version = 2;
  znode::Change b = a;
  b.kind = znode::ChangeKind::deleted;
  b.path = "/b";
  auto event = event_of({a, b});
  const StreamForm form{Format::event_stream, false, true, false};
  EXPECT_EQ(render_event(event, form),
            "event: changed\n"
            "data: {\"type\":\"changed\",\"path\":\"/app\",\"revision\":44,\"value\":\"v3\","
            "\"encoding\":\"utf8\",\"version\":2}\n\n"
            "event: deleted\nid: 44\n"
            "data: {\"type\":\"deleted\",\"path\":\"/b\",\"revision\":44,\"version\":2}\n\n");
  event.is_initial = true;
  EXPECT_EQ(render_event(event, form).find("id: "), std::string::npos);
  const StreamForm lines{Format::ndjson, false, false, false};
  event.is_initial = false;
  event.wanted = {1};
  EXPECT_EQ(render_event(event, lines),
            "{\"type\":\"deleted\",\"path\":\"/b\",\"revision\":44,\"version\":2,\"id\":44}\n");
}

TEST(WatchStream, BookmarksAndChunksAreFramed) {
  const StreamForm plain{Format::event_stream, false, false, false};
  EXPECT_EQ(render_bookmark(Zxid(43), true, plain),
            "event: bookmark\nid: 43\ndata: {\"revision\":43}\n\n");
  EXPECT_EQ(render_bookmark(Zxid(43), false, plain),
            "event: bookmark\ndata: {\"revision\":43}\n\n");
  const StreamForm chunked{Format::event_stream, true, false, false};
  EXPECT_EQ(render_comment(chunked), "3\r\n:\n\n\r\n");
  std::string out;
  append_chunk(out, std::string(255, 'x'));
  EXPECT_TRUE(out.starts_with("ff\r\nxxx"));
}

TEST(WatchStream, WatchersOfTheSameThingShareOneText) {
  znode::Change change;
  change.path = "/a";
  const auto event = event_of({change});
  RenderCache cache;
  const StreamForm form{Format::event_stream, true, true, false};
  const auto first = cache.get(event, form);
  EXPECT_EQ(cache.get(event, form), first);
  EXPECT_NE(cache.get(event, StreamForm{Format::ndjson, true, true, false}), first);
  const auto other = event_of({change});
  EXPECT_NE(cache.get(other, form), first);
}

}  // namespace
}  // namespace coord::api
