#include "coord/recipes/service_record.hpp"

#include <gtest/gtest.h>

#include <map>

namespace coord::recipes::service {
namespace {

Instance full() {
  Instance one;
  one.address = "10.0.0.1";
  one.port = 80;
  one.weight = 7;
  one.ttl_ms = 10'000;
  one.tags = {"blue", "a=b c"};
  one.meta = {{"note", "x=y = z"}, {"zone", ""}};
  one.checks = {{CheckKind::http, "http://10.0.0.1/health?a=b", 500, 100},
                {CheckKind::tcp, "[::1]:80", 1'000, 200}};
  one.failing = {std::nullopt, "connection refused"};
  one.maintenance = "";
  return one;
}

TEST(ServiceRecord, ItsTextGivesItBack) {
  Instance small;
  small.address = "h";
  for (const auto& given : {full(), small}) {
    Instance read;
    ASSERT_TRUE(parse(to_text(given), read)) << to_text(given);
    EXPECT_EQ(read, given);
  }
}

TEST(ServiceRecord, WhatIsNoSuchTextIsRefused) {
  for (const std::string_view text :
       {"", "port=1\n", "address=a\nport=x\n", "address=a\nport=-1\n", "address=a\nnonsense\n",
        "address=a\nunknown=1\n", "address=a\nfailing=0 x\n", "address=a\ncheck=http 1 1 \n",
        "address=a\ncheck=udp 1 1 h:1\n", "address=a\nfailing=99999999999999999999 x\n"}) {
    Instance read;
    EXPECT_FALSE(parse(text, read)) << text;
  }
}

TEST(ServiceRecord, HealthIsNoFailingCheckAndNoMaintenance) {
  auto one = full();
  EXPECT_FALSE(is_healthy(one));
  one.maintenance.reset();
  EXPECT_FALSE(is_healthy(one));
  one.failing[1].reset();
  EXPECT_TRUE(is_healthy(one));
}

TEST(ServiceRecord, WhatIsWrongWithARegistrationIsSaid) {
  const auto problem_with = [](auto change) {
    auto one = full();
    change(one);
    return problem_of(one);
  };
  EXPECT_EQ(problem_with([](Instance&) {}), "");
  for (const auto& change : std::vector<void (*)(Instance&)>{
           [](Instance& i) { i.address = ""; }, [](Instance& i) { i.address = "a b"; },
           [](Instance& i) { i.address = "a\nport=1"; }, [](Instance& i) { i.port = 65'536; },
           [](Instance& i) { i.weight = 65'536; }, [](Instance& i) { i.tags = {"a\nb"}; },
           [](Instance& i) { i.tags.assign(kTagsMax + 1, "t"); },
           [](Instance& i) {
             i.meta = {{"b", ""}, {"a", ""}};
           },
           [](Instance& i) {
             i.meta = {{"k", "\x01"}};
           },
           [](Instance& i) {
             i.meta = {{"", "v"}};
           },
           [](Instance& i) { i.checks[0].interval_ms = 1; },
           [](Instance& i) { i.checks[0].timeout_ms = kTimeoutMsMax + 1; },
           [](Instance& i) { i.checks[0].target = "https://h/"; },
           [](Instance& i) { i.checks.resize(kChecksMax + 1, i.checks[0]); }}) {
    EXPECT_NE(problem_with(change), "");
  }
}

TEST(ServiceRecord, TargetsOfChecksAreTakenApart) {
  struct Case {
    CheckKind kind;
    std::string target;
    std::string host;  // Empty: it is none.
    std::uint16_t port = 0;
    std::string path;
  };
  for (const auto& [kind, target, host, port, path] : {
           Case{CheckKind::http, "http://h", "h", 80, "/"},
           {CheckKind::http, "http://h:81/a?b#c", "h", 81, "/a?b"},
           {CheckKind::http, "http://h?x=1", "h", 80, "/?x=1"},
           {CheckKind::http, "http://[::1]:81/", "::1", 81, "/"},
           {CheckKind::http, "http://[::1]", "::1", 80, "/"},
           {CheckKind::tcp, "h:1", "h", 1, ""},
           {CheckKind::tcp, "[fe80::1]:65535", "fe80::1", 65'535, ""},
           {CheckKind::http, "https://h", ""},
           {CheckKind::http, "http://", ""},
           {CheckKind::http, "http://user@h/", ""},
           {CheckKind::http, "http://h/a b", ""},
           {CheckKind::http, "http://h/\r\nX: y", ""},
           {CheckKind::tcp, "h", ""},
           {CheckKind::tcp, "h:0", ""},
           {CheckKind::tcp, "h:65536", ""},
           {CheckKind::tcp, "::1:80", ""},
           {CheckKind::tcp, ":80", ""},
       }) {
    const auto found = target_of({kind, target});
    EXPECT_EQ(found.has_value(), !host.empty()) << target;
    if (!found) continue;
    EXPECT_EQ(found->host, host);
    EXPECT_EQ(found->port, port);
    EXPECT_EQ(found->path, path);
  }
}

TEST(ServiceRecord, ChecksThatStayKeepTheirStateAndMaintenanceStays) {
  const auto before = full();
  auto after = full();
  after.checks = {before.checks[1], {CheckKind::tcp, "h:2"}};
  after.maintenance.reset();
  keep_state(before, after);
  EXPECT_EQ(after.failing, (std::vector<std::optional<std::string>>{before.failing[1], {}}));
  EXPECT_EQ(after.maintenance, "");
}

TEST(ServiceRecord, AMemberThatGoesMovesItsOwnShareAndNoOther) {
  const std::vector<MemberId> three{MemberId(1), MemberId(2), MemberId(3)};
  const std::vector<MemberId> two{MemberId(1), MemberId(3)};
  std::map<MemberId, int> shares;
  for (int i = 0; i < 3'000; ++i) {
    const auto id = std::to_string(i);
    const auto before = checker_of("web", id, three);
    ++shares[before];
    if (before != MemberId(2)) {
      EXPECT_EQ(checker_of("web", id, two), before);
    }
  }
  for (const auto& [member, share] : shares) EXPECT_NEAR(share, 1'000, 150) << member.value();
  EXPECT_EQ(checker_of("web", "1", {}), MemberId());
}

}  // namespace
}  // namespace coord::recipes::service
