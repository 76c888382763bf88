#include "api/negotiate.hpp"

#include <gtest/gtest.h>

#include "api/credentials.hpp"

namespace coord::api {
namespace {

constexpr std::uint8_t kTree = offers_raw | offers_json | offers_event_stream;

TEST(Negotiate, TheHighestQualityWinsThenTheFirstNamed) {
  struct Case {
    std::string_view accept;
    std::optional<Format> want;
  };
  for (const auto& [accept, want] : {
           Case{"", Format::raw},
           {"*/*", Format::raw},
           {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::raw},
           {"application/octet-stream", Format::raw},
           {"application/json", Format::json},
           {"application/json, */*", Format::json},
           {"*/*, application/json", Format::raw},
           {"text/plain;q=0.5, application/json;q=0.6", Format::json},
           {"application/json;q=0, */*;q=0.1", Format::raw},
           {"text/event-stream", Format::event_stream},
           {"TEXT/Event-Stream", Format::event_stream},
           {"image/png", std::nullopt},
           {"application/json;q=0", std::nullopt},
           {",,;;q=,/", std::nullopt},
       }) {
    EXPECT_EQ(choose_format(accept, kTree), want) << accept;
  }
  EXPECT_EQ(choose_format("application/x-ndjson", offers_event_stream | offers_ndjson),
            Format::ndjson);
  EXPECT_EQ(choose_format("text/plain", offers_json), std::nullopt);
}

TEST(Negotiate, GzipIsTakenOnlyWhereItIsNamedAndNotRefused) {
  EXPECT_TRUE(accepts_gzip("deflate, gzip;q=1.0"));
  EXPECT_TRUE(accepts_gzip("*"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0"));
  EXPECT_FALSE(accepts_gzip("identity"));
  EXPECT_FALSE(accepts_gzip(""));
}

TEST(Negotiate, WhatABrowserWouldRunIsServedAsText) {
  struct Case {
    std::string_view stored;
    std::string_view value;
    std::string_view want;
  };
  constexpr std::string_view kPlain = "text/plain; charset=utf-8";
  for (const auto& [stored, value, want] : {
           Case{"", "text", kPlain},
           {"", "\xff", "application/octet-stream"},
           {"text/html", "<b>", kPlain},
           {"TEXT/HTML; charset=utf-8", "<b>", kPlain},
           {"image/svg+xml", "<svg/>", kPlain},
           {"application/javascript", "x", kPlain},
           {"text/ecmascript", "x", kPlain},
           {"text/plain, text/html", "x", kPlain},
           {"application/json", "{}", "application/json"},
           {"image/png", "x", "image/png"},
           {"text/x\r\nSet-Cookie: a", "x", "application/octet-stream"},
       }) {
    EXPECT_EQ(served_content_type(stored, value), want) << stored;
  }
  EXPECT_EQ(stored_content_type("application/x-www-form-urlencoded; charset=utf-8"), "");
  EXPECT_EQ(stored_content_type("text/css"), "text/css");
}

TEST(Credentials, ADigestIsZooKeepersAndTheOperatorIsNamed) {
  // The example of ZooKeeper's own documentation of DigestAuthenticationProvider.
  EXPECT_EQ(digest_identity("super:admin"), "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
  EXPECT_EQ(digest_identity("blah"), "blah:W/H9kn37hnlJai5s8Ay+UMHIcUU=");
  struct Case {
    std::string_view name;
    bool is_loopback;
    std::string_view authorization;
    std::string_view super_digest;
    bool ok;
    bool is_operator;
    std::size_t count;
  };
  constexpr std::string_view kAdmin = "Basic c3VwZXI6YWRtaW4=";
  constexpr std::string_view kSuper = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=";
  for (const auto& c : {
           Case{"loopback, no super", true, "", "", true, true, 2},
           {"far, no super", false, "", "", true, false, 1},
           {"loopback, super set", true, "", kSuper, true, false, 1},
           {"super's password", false, kAdmin, kSuper, true, true, 3},
           {"a user", false, "basic dTpw", kSuper, true, false, 2},
           {"not base64", true, "Basic !!!", "", false, false, 0},
           {"no colon", true, "Basic YWJj", "", false, false, 0},
           {"another scheme", true, "Bearer abc", "", false, false, 0},
       }) {
    Identities out;
    EXPECT_EQ(identities_of({"10.0.0.1", c.is_loopback}, c.authorization, c.super_digest, out),
              c.ok)
        << c.name;
    if (!c.ok) continue;
    EXPECT_EQ(is_operator(out), c.is_operator) << c.name;
    EXPECT_EQ(out.size(), c.count) << c.name;
    EXPECT_EQ(out[0], (Identity{"ip", "10.0.0.1"}));
  }
}

}  // namespace
}  // namespace coord::api
