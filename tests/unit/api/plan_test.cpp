#include "api/plan.hpp"

#include <gtest/gtest.h>

#include "api/route_table.hpp"

namespace coord::api {
namespace {

struct Given {
  Method method = Method::get;
  std::string_view target;
  Headers headers;
  std::string_view body;
};

const Caller kCaller{"127.0.0.1", true};
const HttpOptions kOptions;

Problem plan(const Given& given, Plan& out) {
  return plan_request({given.method, given.target, given.headers, given.body}, kCaller, kOptions,
                      out);
}

TEST(Plan, PathsAreDecodedOnceAndThenSplit) {
  struct Case {
    std::string_view target;
    std::string_view path;  // Empty: bad-request.
  };
  for (const auto& [target, path] : {
           Case{"/v1/tree", "/"},
           {"/v1/tree/", "/"},
           {"/v1/tree/a/b", "/a/b"},
           {"/v1/tree/a%2Fb", "/a/b"},
           {"/v1/tree/a+b", "/a+b"},
           {"/v1/tree/a%252Fb", "/a%2Fb"},
           {"http://host:7070/v1/tree/a", "/a"},
           {"/v1/tree/a/", ""},
           {"/v1/tree//a", ""},
           {"/v1/tree/a//b", ""},
           {"/v1/tree/.", ""},
           {"/v1/tree/a/../b", ""},
           {"/v1/tree/%00", ""},
           {"/v1/tree/%ff", ""},
           {"/v1/tree/%zz", ""},
           {"/v1/tree/%", ""},
       }) {
    Plan out;
    const auto problem = plan({Method::get, target, {}, {}}, out);
    if (path.empty()) {
      EXPECT_EQ(problem.code, Code::bad_request) << target;
    } else {
      EXPECT_EQ(problem.code, Code::ok) << target << " " << problem.detail;
      EXPECT_EQ(out.path, path) << target;
      EXPECT_EQ(std::get<core::Get>(out.request.op).path, path);
    }
  }
}

TEST(Plan, ChangesOfTheMembersComeFromTheBodyOrTheQuery) {
  const core::AddMember want{MemberId(4), "[::1]:7071", core::MemberRole::observer, MemberId(),
                             true};
  Plan out;
  ASSERT_FALSE(plan({Method::post,
                     "/v1/cluster/members?dry_run=true",
                     {},
                     R"({"id":4,"peer":"[::1]:7071","role":"observer"})"},
                    out));
  EXPECT_EQ(std::get<core::AddMember>(out.request.op), want);
  EXPECT_TRUE(out.is_dry_run);
  EXPECT_TRUE(out.is_write);
  ASSERT_FALSE(plan(
      {Method::post, "/v1/cluster/members?id=4&peer=[::1]:7071&role=observer&dry_run=true", {}, {}},
      out));
  EXPECT_EQ(std::get<core::AddMember>(out.request.op), want);
  ASSERT_FALSE(plan({Method::post, "/v1/cluster/transfer-leader", {}, R"({"to":2})"}, out));
  EXPECT_EQ(std::get<core::TransferLeader>(out.request.op), core::TransferLeader{MemberId(2)});
  ASSERT_FALSE(plan({Method::erase, "/v1/cluster/members/3", {}, {}}, out));
  EXPECT_EQ(std::get<core::RemoveMember>(out.request.op), (core::RemoveMember{MemberId(3), false}));
  ASSERT_FALSE(plan({Method::get, "/v1/cluster", {}, {}}, out));
  EXPECT_TRUE(std::holds_alternative<core::GetCluster>(out.request.op));
}

TEST(Plan, WhatDoesNotFitIsRefusedWithItsCode) {
  const std::string long_key(256, 'k');
  struct Case {
    Given given;
    Code want;
  };
  for (const auto& [given, want] : {
           Case{{Method::get, "/", {}, {}}, Code::no_route},
           {{Method::get, "/v1", {}, {}}, Code::no_route},
           {{Method::get, "/v1/treex/a", {}, {}}, Code::no_route},
           {{Method::get, "/v2/tree/a", {}, {}}, Code::no_route},
           {{Method::post, "/v1/sessions/1/2/3", {}, {}}, Code::no_route},
           {{Method::put, "/v1/txn", {}, {}}, Code::method_not_allowed},
           {{Method::other, "/v1/tree/a", {}, {}}, Code::method_not_allowed},
           {{Method::get, "/v1/tree/a?consistancy=local", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?consistency=maybe", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?wait=1s&wait=2s", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?wait=1", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?wait=1h", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?timeout=0s", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?min_revision=-1", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?at=1&wait=1s", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?as=xml", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a?a=%zz", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a", {}, "body"}, Code::bad_request},
           {{Method::get, "/v1/tree/a", {.accept = "image/png"}, {}}, Code::not_acceptable},
           {{Method::get, "/v1/tree/a", {.authorization = "Bearer x"}, {}}, Code::unauthenticated},
           {{Method::get, "/v1/tree/a", {.session = "1.zz"}, {}}, Code::bad_request},
           {{Method::get, "/v1/tree/a", {.repeated = "Coord-Session"}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a?mode=ephemeral", {}, {}}, Code::session_required},
           {{Method::put, "/v1/tree/a?mode=sticky", {}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a?mode=container&ttl=1s", {}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a?mode=ttl", {}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a?version=99999999999", {}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a", {.if_match = "\"x\""}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a", {.if_none_match = "\"1\""}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a", {.if_match = "1", .if_none_match = "*"}, {}},
            Code::bad_request},
           {{Method::put, "/v1/tree/a", {.fence = "jobs"}, {}}, Code::bad_request},
           {{Method::put, "/v1/tree/a", {.content_encoding = "gzip"}, {}},
            Code::unsupported_media_type},
           {{Method::put, "/v1/tree/a", {.idempotency_key = long_key}, {}}, Code::bad_request},
           {{Method::post, "/v1/tree/a?prefix=x/y", {}, {}}, Code::bad_request},
           {{Method::patch, "/v1/tree/a", {}, {}}, Code::bad_request},
           {{Method::patch, "/v1/tree/a", {}, "{"}, Code::bad_request},
           {{Method::patch, "/v1/tree/a?add=9223372036854775808", {}, {}}, Code::bad_request},
           {{Method::patch, "/v1/tree/a?add=1", {}, "{}"}, Code::bad_request},
           {{Method::get, "/v1/children/a?limit=0", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/children/a?limit=10001", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/children/a?cursor=zz!", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/watch", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/watch?path=a", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/watch?path=/a&depth=2", {}, {}}, Code::bad_request},
           {{Method::get, "/v1/watch?path=/a", {.accept = "application/json"}, {}},
            Code::not_acceptable},
           {{Method::post, "/v1/sessions", {}, "{\"ttl_ms\":999}"}, Code::invalid},
           {{Method::post, "/v1/sessions", {}, "{\"ttl_ms\":86400001}"}, Code::invalid},
           {{Method::post, "/v1/sessions", {}, "{\"tll_ms\":1000}"}, Code::bad_request},
           {{Method::post, "/v1/sessions/mine/keepalive", {}, {}}, Code::session_required},
           {{Method::get, "/v1/sessions/abc", {}, {}}, Code::not_found},
           {{Method::put, "/v1/quotas/a", {}, "{}"}, Code::bad_request},
           {{Method::post, "/v1/cluster/members", {}, "{}"}, Code::invalid},
           {{Method::post, "/v1/cluster/members", {}, "{\"id\":4,\"peer\":\"h4\"}"}, Code::invalid},
           {{Method::post, "/v1/cluster/members?id=4&peer=::1:7", {}, {}}, Code::invalid},
           {{Method::post, "/v1/cluster/members?id=4&peer=h:1&role=king", {}, {}}, Code::invalid},
           {{Method::patch, "/v1/cluster/members/4", {}, "{}"}, Code::invalid},
           {{Method::patch, "/v1/cluster/members/4?role=voter", {}, "{\"id\":5}"},
            Code::bad_request},
           {{Method::erase, "/v1/cluster/members/x", {}, {}}, Code::not_found},
           {{Method::put, "/v1/cluster", {}, {}}, Code::method_not_allowed},
           {{Method::post, "/v1/txn", {}, ""}, Code::bad_request},
       }) {
    Plan out;
    EXPECT_EQ(plan(given, out).code, want) << word_of(given.method) << " " << given.target;
  }
}

TEST(Plan, TheProblemNamesTheParameterAndTheNearestKnownOne) {
  Plan out;
  const auto problem = plan({Method::get, "/v1/tree/a?consistancy=local", {}, {}}, out);
  EXPECT_NE(problem.detail.find("\"consistancy\""), std::string::npos);
  EXPECT_NE(problem.detail.find("\"consistency\""), std::string::npos);
  const auto other = plan({Method::put, "/v1/txn", {}, {}}, out);
  EXPECT_EQ(other.allow, "POST, OPTIONS");
}

TEST(Plan, APutCarriesItsModeGuardsFencesAndSession) {
  Plan out;
  const std::string token = "51.000102030405060708090a0b0c0d0e0f";
  const auto problem = plan({Method::put,
                             "/v1/tree/a?mode=ephemeral&version=3&parents=true&timeout=250ms",
                             {.content_type = "text/css",
                              .if_match = "W/\"42\"",
                              .session = token,
                              .fence = "jobs=57, election:boss=58",
                              .idempotency_key = "k"},
                             "body"},
                            out);
  ASSERT_EQ(problem.code, Code::ok) << problem.detail;
  const auto& put = std::get<core::Put>(out.request.op);
  EXPECT_EQ(put.mode, znode::Mode::ephemeral);
  EXPECT_EQ(put.guard.mzxid, Zxid(42));
  EXPECT_EQ(put.guard.version, 3);
  EXPECT_TRUE(put.with_parents);
  EXPECT_EQ(put.value, Blob("body"));
  EXPECT_EQ(put.content_type, "text/css");
  EXPECT_EQ(out.request.session->id, SessionId(51));
  ASSERT_EQ(out.request.fences.size(), 2U);
  EXPECT_EQ(out.request.fences[1], (core::Fence{core::Fence::Kind::election, "boss", 58}));
  EXPECT_EQ(out.request.timeout_ms, 250);
  EXPECT_NE(out.request.request_hash, 0U);
}

TEST(Plan, TheRequestHashTellsRequestsApart) {
  const auto hash = [](Method method, std::string_view target, std::string_view body) {
    Plan out;
    EXPECT_FALSE(plan({method, target, {.idempotency_key = "k"}, body}, out));
    return out.request.request_hash;
  };
  const auto base = hash(Method::put, "/v1/tree/a", "x");
  EXPECT_EQ(hash(Method::put, "/v1/tree/a", "x"), base);
  EXPECT_NE(hash(Method::put, "/v1/tree/a", "y"), base);
  EXPECT_NE(hash(Method::put, "/v1/tree/b", "x"), base);
  EXPECT_NE(hash(Method::put, "/v1/tree/a?parents=true", "x"), base);
  EXPECT_NE(hash(Method::post, "/v1/tree/a", "x"), base);
}

TEST(Plan, ASequentialChildIsNamedByItsPrefix) {
  struct Case {
    std::string_view target;
    std::string_view want;
  };
  for (const auto& [target, want] : {
           Case{"/v1/tree/jobs", "/jobs/"},
           {"/v1/tree/jobs?prefix=j-", "/jobs/j-"},
           {"/v1/tree?prefix=j-", "/j-"},
           {"/v1/tree", "/"},
       }) {
    Plan out;
    const auto problem = plan({Method::post, target, {}, "v"}, out);
    ASSERT_EQ(problem.code, Code::ok) << problem.detail;
    const auto& create = std::get<core::Create>(out.request.op);
    EXPECT_EQ(create.path, want);
    EXPECT_TRUE(create.is_sequential);
  }
}

TEST(Plan, ATransactionIsReadWhole) {
  Plan out;
  const auto problem =
      plan({Method::post,
            "/v1/txn",
            {},
            R"({"compare":[{"path":"/app","version":1},{"path":"/lock","exists":false},
           {"path":"/x","mzxid":7},{"path":"/y","value":"v"},{"fence":"jobs=57"}],
          "then":[{"op":"set","path":"/app","value":"v2"},
           {"op":"create","path":"/b","value":"AAEC","encoding":"base64","mode":"container"},
           {"op":"check","path":"/c","version":3},{"op":"delete-tree","path":"/d"},
           {"op":"create","path":"/q/","sequential":true},{"op":"children","path":"/"}],
          "else":[{"op":"get","path":"/app"}]})"},
           out);
  ASSERT_EQ(problem.code, Code::ok) << problem.detail;
  const auto& txn = std::get<core::Txn>(out.request.op);
  ASSERT_EQ(txn.compare.size(), 5U);
  EXPECT_EQ(txn.compare[1].exists, false);
  EXPECT_EQ(txn.compare[4].fence->token, 57U);
  ASSERT_EQ(txn.then.size(), 6U);
  EXPECT_EQ(std::get<core::Create>(txn.then[1]).value, Blob(std::string_view("\0\1\2", 3)));
  EXPECT_TRUE(std::get<core::Delete>(txn.then[3]).is_recursive);
  EXPECT_EQ(out.then_names[3], "delete-tree");
  EXPECT_EQ(txn.otherwise.size(), 1U);
}

TEST(Plan, MalformedTransactionsAreRefused) {
  const std::string deep(1000, '[');
  std::string many = R"({"then":[)";
  for (int i = 0; i <= 1000; ++i) many += R"({"op":"get","path":"/a"},)";
  many.back() = ']';
  many += '}';
  struct Case {
    std::string_view body;
    Code want;
  };
  for (const auto& [body, want] : {
           Case{"[]", Code::bad_request},
           {"{", Code::bad_request},
           {deep, Code::bad_request},
           {R"({"then":{}})", Code::bad_request},
           {R"({"when":[]})", Code::bad_request},
           {R"({"then":[1]})", Code::bad_request},
           {R"({"then":[{"op":"jump","path":"/a"}]})", Code::bad_request},
           {R"({"then":[{"op":"get"}]})", Code::bad_request},
           {R"({"then":[{"op":"get","path":"a"}]})", Code::bad_request},
           {R"({"then":[{"op":"get","path":"/a","x":1}]})", Code::bad_request},
           {R"({"then":[{"op":"set","path":"/a","value":1}]})", Code::bad_request},
           {R"({"then":[{"op":"set","path":"/a","value":"!","encoding":"base64"}]})",
            Code::bad_request},
           {R"({"then":[{"op":"set","path":"/a","version":1.5}]})", Code::bad_request},
           {R"({"compare":[{"path":"/a"}]})", Code::bad_request},
           {R"({"compare":[{"fence":"jobs"}]})", Code::bad_request},
           {R"({"then":[{"op":"create","path":"/a","mode":"ephemeral"}]})", Code::session_required},
           {many, Code::too_large},
       }) {
    Plan out;
    EXPECT_EQ(plan({Method::post, "/v1/txn", {}, body}, out).code, want) << body.substr(0, 80);
  }
}

TEST(Plan, LastEventIdResumesInPlaceOfTheInitialState) {
  Plan out;
  ASSERT_FALSE(plan({Method::get,
                     "/v1/watch?path=/a&path=/b&depth=all&initial=true&from=3",
                     {.last_event_id = "9"},
                     {}},
                    out));
  EXPECT_EQ(out.filter.paths, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(out.filter.depth, watch::Depth::subtree);
  EXPECT_EQ(out.from, Zxid(9));
  EXPECT_FALSE(out.with_initial);
}

TEST(Plan, HeadNeverWaitsAndSseIgnoresWait) {
  Plan out;
  ASSERT_FALSE(plan({Method::head, "/v1/tree/a?wait=30s", {}, {}}, out));
  EXPECT_FALSE(out.wait_ms);
  ASSERT_FALSE(
      plan({Method::get, "/v1/tree/a?wait=30s", {.accept = "text/event-stream"}, {}}, out));
  EXPECT_FALSE(out.wait_ms);
  EXPECT_EQ(out.format, Format::event_stream);
  ASSERT_FALSE(plan({Method::get, "/v1/tree/a?wait=30s", {}, {}}, out));
  EXPECT_EQ(out.wait_ms, 30'000);
}

TEST(Plan, TheSessionInThePathMayBeIdTokenOrMine) {
  const std::string token = "51.000102030405060708090a0b0c0d0e0f";
  for (const auto* id : {"51", "51.000102030405060708090a0b0c0d0e0f", "mine"}) {
    Plan out;
    const std::string target = std::string("/v1/sessions/") + id;
    ASSERT_FALSE(plan({Method::erase, target, {.session = token}, {}}, out)) << id;
    const auto& close = std::get<core::CloseSession>(out.request.op);
    EXPECT_EQ(close.id, SessionId(51));
    EXPECT_EQ(close.reason, session::EndReason::closed);
  }
  Plan out;
  ASSERT_FALSE(plan({Method::erase, "/v1/sessions/51", {}, {}}, out));
  EXPECT_EQ(std::get<core::CloseSession>(out.request.op).reason, session::EndReason::killed);
}

TEST(RouteTable, EveryRouteIsFoundByItsOwnTemplate) {
  for (const auto& route : route_table()) {
    std::string path(route.path);
    if (const auto at = path.find("{path}"); at != std::string::npos) path.replace(at, 6, "a/b");
    if (const auto at = path.find("{id}"); at != std::string::npos) path.replace(at, 4, "51");
    EXPECT_EQ(match_route(route.method, path).route, &route) << path;
    EXPECT_EQ(match_route(Method::other, path).route, nullptr) << path;
  }
}

}  // namespace
}  // namespace coord::api
