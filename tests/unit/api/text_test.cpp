#include "api/text.hpp"

#include <gtest/gtest.h>

#include <array>

namespace coord::api {
namespace {

TEST(Text, DurationsHaveAUnitAndOnlyZeroMayLackIt) {
  struct Case {
    std::string_view given;
    std::optional<std::int64_t> want;
  };
  for (const auto& [given, want] : {
           Case{"30s", 30'000},
           {"250ms", 250},
           {"2m", 120'000},
           {"1h", 3'600'000},
           {"0", 0},
           {"0s", 0},
           {"", std::nullopt},
           {"30", std::nullopt},
           {"-1s", std::nullopt},
           {"1.5s", std::nullopt},
           {"1 s", std::nullopt},
           {"1d", std::nullopt},
           {"99999999999999999999s", std::nullopt},
           {"9223372036854775807h", std::nullopt},
       }) {
    EXPECT_EQ(parse_duration_ms(given), want) << given;
  }
}

TEST(Text, EntityTagsAreTakenQuotedBareAndWeak) {
  struct Case {
    std::string_view given;
    std::optional<std::uint64_t> want;
  };
  for (const auto& [given, want] : {
           Case{"\"42\"", 42},
           {"42", 42},
           {"W/\"42\"", 42},
           {" \"7\" ", 7},
           {"W/42", std::nullopt},
           {"\"42", std::nullopt},
           {"\"\"", std::nullopt},
           {"\"x\"", std::nullopt},
           {"\"1\", \"2\"", std::nullopt},
           {"", std::nullopt},
       }) {
    EXPECT_EQ(parse_etag(given), want) << given;
  }
}

TEST(Text, PercentDecodingIsDoneOnceAndStrict) {
  struct Case {
    std::string_view given;
    bool plus;
    bool ok;
    std::string_view want;
  };
  for (const auto& [given, plus, ok, want] : {
           Case{"/a%2Fb", false, true, "/a/b"},
           {"/a%252Fb", false, true, "/a%2Fb"},
           {"/a+b", false, true, "/a+b"},
           {"a+b", true, true, "a b"},
           {"%", false, false, ""},
           {"%4", false, false, ""},
           {"%zz", false, false, ""},
           {"%C3%A9", false, true, "\xC3\xA9"},
       }) {
    std::string out;
    EXPECT_EQ(percent_decode(given, plus, out), ok) << given;
    if (ok) {
      EXPECT_EQ(out, want) << given;
    }
  }
}

TEST(Text, APathIsEncodedSoThatDecodingGivesItBack) {
  const std::string path = "/a b/\xC3\xA9%2F?#+";
  std::string encoded;
  append_percent_encoded(encoded, path);
  EXPECT_EQ(encoded, "/a%20b/%C3%A9%252F%3F%23%2B");
  std::string back;
  EXPECT_TRUE(percent_decode(encoded, false, back));
  EXPECT_EQ(back, path);
}

TEST(Text, Base64ComesBackAndItsMalformedFormsAreRefused) {
  for (const std::string bytes : {"", "a", "ab", "abc", "\xff\xfe\x01\x02"}) {
    EXPECT_EQ(base64_decode(base64(bytes)), bytes);
  }
  EXPECT_EQ(base64("user:pw"), "dXNlcjpwdw==");
  for (const std::string_view wrong :
       {"a", "ab", "abc", "ab==cd==", "a===", "!!!!", "ab=c", "aR=="}) {
    EXPECT_EQ(base64_decode(wrong), std::nullopt) << wrong;
  }
}

TEST(Text, CursorsAreOpaqueAndForeignOnesAreRefused) {
  for (const std::string name : {"", "a", "web-1", "\xC3\xA9", "a/b?c"}) {
    const auto cursor = encode_cursor(name);
    EXPECT_EQ(cursor.find_first_of("+/=?&#% "), std::string::npos) << cursor;
    EXPECT_EQ(decode_cursor(cursor), name);
  }
  for (const std::string_view wrong : {"", "x", "zzz", "c!", "cA", "cYQ=="}) {
    EXPECT_EQ(decode_cursor(wrong), std::nullopt) << wrong;
  }
}

TEST(Text, TimesAreRfc3339AndHttpDates) {
  struct Case {
    std::int64_t ms;
    std::string_view rfc3339;
    std::string_view http;
  };
  for (const auto& [ms, rfc3339, http] : {
           Case{0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
           {1795291082123, "2026-11-21T19:58:02.123Z", "Sat, 21 Nov 2026 19:58:02 GMT"},
           {951782400000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
           {-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
       }) {
    std::string out;
    append_rfc3339(out, ms);
    EXPECT_EQ(out, rfc3339);
    out.clear();
    append_http_date(out, ms >= 0 ? ms / 1000 : -1);
    EXPECT_EQ(out, http);
  }
}

TEST(Text, ListsAreReadWithoutRegardToCaseAndSpace) {
  EXPECT_TRUE(list_has("gzip , Deflate", "deflate"));
  EXPECT_FALSE(list_has("gzip, deflate", "gzi"));
  EXPECT_FALSE(list_has("", "gzip"));
}

TEST(Text, TheNearestKnownNameIsFoundAndFarOnesAreNot) {
  constexpr std::array<std::string_view, 3> kKnown = {"consistency", "limit", "wait"};
  EXPECT_EQ(nearest("consistancy", kKnown), "consistency");
  EXPECT_EQ(nearest("wiat", kKnown), "wait");
  EXPECT_EQ(nearest("qqqqqqqqqqqq", kKnown), "");
}

}  // namespace
}  // namespace coord::api
