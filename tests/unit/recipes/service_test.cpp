#include "coord/recipes/service.hpp"

#include <gtest/gtest.h>

#include "recipe_harness.hpp"

namespace coord::recipes::service {
namespace {

constexpr auto kService = Kind::service;

Instance record(std::int64_t ttl_ms = 0, std::uint32_t port = 80) {
  Instance one;
  one.address = "10.0.0.1";
  one.port = port;
  one.ttl_ms = ttl_ms;
  return one;
}

Instance checked() {
  auto one = record(10'000);
  one.checks = {{CheckKind::tcp, "10.0.0.1:80"}};
  one.failing.resize(1);
  return one;
}

class ServiceTest : public ::testing::Test {
 protected:
  Answer put(const Instance& instance, SessionId session, bool takes_over = false,
             const std::string& id = "i1") {
    const auto bytes = encode(Register{"web", id, instance, takes_over});
    if (session) return bench.run(kService, bytes, session);
    return bench.run_with_own(kService, bytes, opened);
  }
  Instances list(const Filter& filter = {}) {
    const auto answer = bench.view(kService, encode(List{"web", filter, true}));
    EXPECT_EQ(answer.code, Code::ok);
    Instances found;
    EXPECT_TRUE(decode(answer.bytes, found));
    return found;
  }
  Registered registered(const Answer& answer) {
    Registered one;
    EXPECT_TRUE(decode(answer.bytes, one));
    return one;
  }
  Renewal renew(const std::string& bytes, SessionId session = {}) {
    EXPECT_TRUE(is_renewal(bytes));
    return renewal(bytes, bench.look(), session);
  }

  Bench bench;
  SessionId opened;
};

TEST_F(ServiceTest, ATtlBringsASessionOfItsOwn) {
  const auto answer = put(record(10'000), {});
  ASSERT_EQ(answer.code, Code::ok);
  EXPECT_TRUE(registered(answer).is_new);
  ASSERT_TRUE(opened);
  ASSERT_EQ(list().instances.size(), 1U);
  EXPECT_EQ(list().instances[0].session, opened);
  bench.end(opened);
  EXPECT_TRUE(list().instances.empty());
}

TEST_F(ServiceTest, TheSameAgainChangesNothingAndOpensNothing) {
  put(record(10'000), {});
  const auto first = opened;
  const auto answer = put(record(10'000), {});
  EXPECT_EQ(answer.code, Code::ok);
  EXPECT_EQ(answer.renews, first);
  EXPECT_FALSE(registered(answer).is_new);
  EXPECT_FALSE(opened);
  EXPECT_TRUE(bench.changes.empty());
}

TEST_F(ServiceTest, AChangeKeepsTheSession) {
  put(record(10'000), {});
  const auto first = opened;
  EXPECT_EQ(put(record(10'000, 81), {}).code, Code::ok);
  EXPECT_FALSE(opened);
  EXPECT_EQ(list().instances[0].record.port, 81U);
  EXPECT_EQ(list().instances[0].session, first);
}

TEST_F(ServiceTest, AnotherTtlIsAnotherSessionAndTheOldOneEnds) {
  put(record(10'000), {});
  const auto first = opened;
  EXPECT_EQ(put(record(20'000), {}).code, Code::ok);
  ASSERT_TRUE(opened);
  EXPECT_FALSE(bench.is_live(first));
  EXPECT_EQ(list().instances[0].session, opened);
  EXPECT_EQ(list().instances[0].record.ttl_ms, 20'000);
}

TEST_F(ServiceTest, AnotherSessionsInstanceIsHeldUnlessItIsTakenOver) {
  const auto mine = bench.open();
  const auto other = bench.open();
  EXPECT_EQ(put(record(), mine).code, Code::ok);
  EXPECT_EQ(put(record(), mine).code, Code::ok);
  const auto refused = put(record(), other);
  EXPECT_EQ(refused.code, Code::instance_held);
  EXPECT_EQ(registered(refused).now.session, mine);
  EXPECT_EQ(put(record(10'000), {}).code, Code::instance_held);
  EXPECT_FALSE(opened);
  EXPECT_EQ(put(record(), other, true).code, Code::ok);
  EXPECT_EQ(list().instances[0].session, other);
  EXPECT_TRUE(bench.is_live(mine));
  bench.end(mine);
  EXPECT_EQ(list().instances.size(), 1U);
}

TEST_F(ServiceTest, ATakeoverEndsTheSessionThatATtlBrought) {
  put(record(10'000), {});
  const auto own = opened;
  const auto mine = bench.open();
  EXPECT_EQ(put(record(), mine).code, Code::instance_held);
  EXPECT_EQ(put(record(), mine, true).code, Code::ok);
  EXPECT_FALSE(bench.is_live(own));
  EXPECT_EQ(list().instances[0].session, mine);
}

TEST_F(ServiceTest, DeregisteringEndsWhatTheTtlBrought) {
  put(record(10'000), {});
  const auto own = opened;
  EXPECT_EQ(bench.run(kService, encode(Deregister{"web", "i1"})).code, Code::ok);
  EXPECT_FALSE(bench.is_live(own));
  EXPECT_EQ(bench.run(kService, encode(Deregister{"web", "i1"})).code, Code::not_found);
}

TEST_F(ServiceTest, ASessionsInstanceIsNotAnothersToDeregister) {
  const auto mine = bench.open();
  put(record(), mine);
  EXPECT_EQ(bench.run(kService, encode(Deregister{"web", "i1"})).code, Code::instance_held);
  EXPECT_EQ(bench.run(kService, encode(Deregister{"web", "i1", true})).code, Code::ok);
  EXPECT_TRUE(bench.is_live(mine));
}

TEST_F(ServiceTest, AHeartbeatNamesTheSessionToRenew) {
  const auto beat = encode(Heartbeat{"web", "i1"});
  EXPECT_EQ(renew(beat).answer.code, Code::not_found);
  put(record(10'000), {});
  const auto found = renew(beat);
  EXPECT_EQ(found.answer.code, Code::ok);
  EXPECT_EQ(found.session, opened);
  EXPECT_TRUE(found.is_own);
}

TEST_F(ServiceTest, AHeartbeatOfASessionsInstanceTakesThatSession) {
  const auto mine = bench.open();
  put(record(), mine);
  const auto beat = encode(Heartbeat{"web", "i1"});
  EXPECT_EQ(renew(beat).answer.code, Code::instance_held);
  EXPECT_EQ(renew(beat, bench.open()).answer.code, Code::instance_held);
  EXPECT_EQ(renew(beat, mine).answer.code, Code::ok);
  EXPECT_FALSE(renew(beat, mine).is_own);
}

TEST_F(ServiceTest, ARegistrationIsARenewalOnlyWhenNothingChanges) {
  const auto same = encode(Register{"web", "i1", record(10'000)});
  EXPECT_EQ(renew(same).answer.code, Code::not_found);
  put(record(10'000), {});
  EXPECT_EQ(renew(same).answer.code, Code::ok);
  EXPECT_FALSE(renew(same).is_own);
  EXPECT_EQ(renew(encode(Register{"web", "i1", record(10'000, 81)})).answer.code, Code::not_found);
  EXPECT_EQ(renew(encode(Register{"web", "i1", record(20'000)})).answer.code, Code::not_found);
  EXPECT_EQ(renew(same, bench.open()).answer.code, Code::not_found);
}

TEST_F(ServiceTest, OnlyAChangeOfHealthIsWritten) {
  put(checked(), {});
  const auto check = checked().checks[0];
  const auto say = [&](std::optional<std::string> why) {
    return bench.run(kService, encode(Report{"web", "i1", check, std::move(why)})).code;
  };
  EXPECT_EQ(say(std::nullopt), Code::ok);
  EXPECT_TRUE(bench.changes.empty());
  EXPECT_EQ(say("refused"), Code::ok);
  EXPECT_EQ(bench.changes.size(), 1U);
  EXPECT_FALSE(is_healthy(list().instances[0].record));
  EXPECT_EQ(say("another reason"), Code::ok);
  EXPECT_TRUE(bench.changes.empty());
  EXPECT_EQ(put(checked(), {}).code, Code::ok);
  EXPECT_TRUE(bench.changes.empty());
  EXPECT_EQ(say(std::nullopt), Code::ok);
  EXPECT_TRUE(is_healthy(list().instances[0].record));
  auto other = check;
  other.target = "10.0.0.1:81";
  EXPECT_EQ(bench.run(kService, encode(Report{"web", "i1", other, "x"})).code, Code::not_found);
}

TEST_F(ServiceTest, MaintenanceIsNotHealthyAndLastsOverAChange) {
  EXPECT_EQ(bench.run(kService, encode(Maintain{"web", "i1", "disk"})).code, Code::not_found);
  put(record(10'000), {});
  EXPECT_EQ(bench.run(kService, encode(Maintain{"web", "i1", "disk"})).code, Code::ok);
  put(record(10'000, 81), {});
  EXPECT_EQ(list().instances[0].record.maintenance, "disk");
  EXPECT_TRUE(list({true, {}, {}}).instances.empty());
  EXPECT_EQ(bench.run(kService, encode(Maintain{"web", "i1", {}})).code, Code::ok);
  EXPECT_EQ(list({true, {}, {}}).instances.size(), 1U);
}

TEST_F(ServiceTest, FiltersNameTagsAndMeta) {
  auto blue = record(10'000);
  blue.tags = {"blue", "new"};
  blue.meta = {{"zone", "eu"}};
  put(blue, {}, false, "a");
  put(record(10'000), {}, false, "b");
  EXPECT_EQ(list().instances.size(), 2U);
  EXPECT_EQ(list({false, {"blue"}, {}}).instances.size(), 1U);
  EXPECT_EQ(list({false, {"blue", "old"}, {}}).instances.size(), 0U);
  EXPECT_EQ(list({false, {}, {{"zone", "eu"}}}).instances.size(), 1U);
  EXPECT_EQ(list({false, {}, {{"zone", "us"}}}).instances.size(), 0U);
}

TEST_F(ServiceTest, AFilteredListHasAnotherEtagWhenSomethingLeavesIt) {
  put(record(10'000), {}, false, "a");
  put(record(10'000), {}, false, "b");
  const auto etag = [&] {
    return bench.view(kService, encode(List{"web", {true, {}, {}}, false})).etag;
  };
  const auto before = etag();
  bench.run(kService, encode(Maintain{"web", "a", ""}));
  EXPECT_NE(etag(), before);
  EXPECT_EQ(etag(), etag());
}

TEST_F(ServiceTest, AServiceWithoutInstancesIsForgottenAfterAWhile) {
  const auto ask = [&] { return bench.view(kService, encode(List{"web", {}, false})).code; };
  EXPECT_EQ(ask(), Code::not_found);
  put(record(10'000), {});
  bench.end(opened);
  EXPECT_EQ(ask(), Code::ok);
  bench.pass(kForgetMs - 1);
  EXPECT_EQ(ask(), Code::ok);
  put(record(10'000), {});
  bench.pass(2 * kForgetMs);
  EXPECT_EQ(ask(), Code::ok);
  bench.end(opened);
  bench.pass(kForgetMs);
  EXPECT_EQ(ask(), Code::not_found);
  EXPECT_EQ(bench.deadlines().size(), 0U);
}

TEST_F(ServiceTest, ServicesAreListedInPagesWithTheirCounts) {
  for (const auto* name : {"a", "b", "c"}) {
    bench.run_with_own(kService, encode(Register{name, "i", record(10'000)}), opened);
  }
  bench.run(kService, encode(Maintain{"b", "i", ""}));
  bench.end(opened);  // Of c.
  Services found;
  ASSERT_TRUE(decode(bench.view(kService, encode(ListServices{{}, "", 1})).bytes, found));
  ASSERT_EQ(found.services.size(), 1U);
  EXPECT_FALSE(found.is_last);
  ASSERT_TRUE(decode(bench.view(kService, encode(ListServices{{}, "a", 10})).bytes, found));
  ASSERT_EQ(found.services.size(), 1U);
  EXPECT_EQ(found.services[0].service, "b");
  EXPECT_EQ(found.services[0].instances, 1U);
  EXPECT_EQ(found.services[0].healthy, 0U);
  EXPECT_TRUE(found.is_last);
}

TEST_F(ServiceTest, AVolunteerChecksAsLongAsItsSessionLives) {
  put(checked(), {});
  EXPECT_TRUE(list().checkers.empty());
  SessionId first;
  bench.run_with_own(kService, encode(Volunteer{MemberId(2)}), first);
  EXPECT_EQ(list().checkers, std::vector{MemberId(2)});
  SessionId second;  // After a restart of the same member.
  bench.run_with_own(kService, encode(Volunteer{MemberId(2)}), second);
  EXPECT_FALSE(bench.is_live(first));
  EXPECT_EQ(list().checkers, std::vector{MemberId(2)});
  bench.end(second);
  EXPECT_TRUE(list().checkers.empty());
}

TEST_F(ServiceTest, BytesThatAreNoRequestAreNone) {
  const auto good = encode(Register{"web", "i1", checked()});
  EXPECT_TRUE(is_step(good));
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_FALSE(is_step(std::string_view(good).substr(0, n))) << n;
  }
  EXPECT_FALSE(is_step(good + "x"));
  EXPECT_FALSE(is_step(encode(Register{"..", "i1", record()})));
  EXPECT_FALSE(is_step(encode(Register{"web", "mine", record()})));
  EXPECT_FALSE(is_step(encode(Maintain{"web", "i1", "a\nb"})));
  EXPECT_FALSE(is_step(encode(Volunteer{})));
  auto lying = checked();
  lying.failing[0] = "x";
  EXPECT_FALSE(is_step(encode(Register{"web", "i1", lying})));
  EXPECT_FALSE(is_query(encode(ListServices{{}, "", 0})));
}

}  // namespace
}  // namespace coord::recipes::service
