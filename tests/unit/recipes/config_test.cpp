#include "coord/recipes/config.hpp"

#include <gtest/gtest.h>

#include "coord/base/limits.hpp"
#include "coord/base/records.hpp"
#include "coord/recipes/config_limits.hpp"

namespace coord::recipes::config {
namespace {

const Identities kNobody;
const Identities kAnn = {{"digest", "ann:hash"}};

// A tree on which steps run one after the other, each in an entry of its own.
struct World {
  znode::Tree tree{TreeLimits{}};
  session::Registry sessions{SessionLimits{}};
  DirtyMap dirty;
  std::uint64_t zxid = 0;

  Answer run(const Step& op, const Identities& who = kNobody) {
    ++zxid;
    tree.begin({Zxid(zxid), 0, wall(zxid), {}, true});
    recipes::Step step{tree, sessions, Zxid(zxid), 0, wall(zxid), {}, false, who};
    const auto bytes = encode(op);
    EXPECT_TRUE(is_step(bytes));
    auto answer = config::run(bytes, step);
    if (answer.code == Code::ok) {
      static_cast<void>(tree.commit(dirty));
    } else {
      tree.rollback();
    }
    tree.check_invariants();
    return answer;
  }
  Answer ask(const Query& query, const Identities& who = kNobody) {
    const auto bytes = encode(query);
    EXPECT_TRUE(is_query(bytes));
    return config::view(bytes, {tree, sessions, Zxid(zxid), 0, who});
  }
  static std::int64_t wall(std::uint64_t at) { return 1'000 + static_cast<std::int64_t>(at); }
};

Step publish(std::string_view value) {
  Step step;
  step.name = "app";
  step.value = Blob(value);
  return step;
}

Step act(Act what, std::uint64_t to = 0) {
  Step step;
  step.act = what;
  step.name = "app";
  step.to = to;
  return step;
}

Step gray(std::string_view value, Rule rule) {
  Step step = publish(value);
  step.act = Act::set_gray;
  step.rule = std::move(rule);
  return step;
}

Query query(Ask ask, std::uint64_t from = 0, std::uint64_t to = 0) {
  Query query;
  query.ask = ask;
  query.name = "app";
  query.from = from;
  query.to = to;
  query.limit = 1'000;
  return query;
}

Items items_of(const Answer& answer) {
  EXPECT_EQ(answer.code, Code::ok) << answer.detail;
  Items items;
  EXPECT_TRUE(decode(answer.bytes, items));
  return items;
}

std::uint64_t release_of(const Answer& answer) { return items_of(answer).items.at(0).release; }

std::string value_of(const Answer& answer) {
  EXPECT_EQ(answer.code, Code::ok) << answer.detail;
  return answer.values.empty() ? "" : answer.values[0].str();
}

std::string seen_by(World& world, Client client) {
  auto present = query(Ask::present);
  present.client = std::move(client);
  return value_of(world.ask(present));
}

TEST(Config, ReleasesAreNumberedFromOneAndTheLastIsShown) {
  World world;
  auto first = publish("v1");
  first.content_type = "text/x";
  first.note = {"first\nof all", "ann", 0};
  EXPECT_EQ(release_of(world.run(first)), 1U);
  EXPECT_EQ(release_of(world.run(publish("v2"))), 2U);
  const auto answer = world.ask(query(Ask::present));
  EXPECT_EQ(value_of(answer), "v2");
  EXPECT_EQ(answer.etag, Zxid(2));
  const auto old = world.ask(query(Ask::release, 1));
  EXPECT_EQ(value_of(old), "v1");
  const auto item = items_of(old).items.at(0);
  EXPECT_EQ(item.content_type, "text/x");
  EXPECT_EQ(item.note, (Note{"first\nof all", "ann", 0}));
  EXPECT_EQ(item.time_ms, World::wall(1));
  EXPECT_EQ(world.tree.get("/.coord/config/app")->value, "2");
  const auto all = items_of(world.ask(query(Ask::releases))).items;
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].release, 2U);
  EXPECT_EQ(all[1].release, 1U);
}

TEST(Config, AGuardedReleaseIsRefusedWhenAnotherIsThere) {
  World world;
  auto second = publish("v2");
  second.if_release = 1;
  EXPECT_EQ(world.run(second).code, Code::precondition_no_node);
  static_cast<void>(world.run(publish("v1")));
  EXPECT_EQ(release_of(world.run(second)), 2U);
  const auto refused = world.run(second);
  EXPECT_EQ(refused.code, Code::bad_version);
  EXPECT_EQ(refused.etag, Zxid(2));
  auto only_new = publish("v3");
  only_new.if_absent = true;
  EXPECT_EQ(world.run(only_new).code, Code::precondition_exists);
  EXPECT_EQ(seen_by(world, {}), "v2");
}

TEST(Config, ARollbackIsANewRelease) {
  World world;
  static_cast<void>(world.run(publish("v1")));
  static_cast<void>(world.run(publish("v2")));
  EXPECT_EQ(release_of(world.run(act(Act::roll_back, 1))), 3U);
  const auto answer = world.ask(query(Ask::release, 3));
  EXPECT_EQ(value_of(answer), "v1");
  EXPECT_EQ(items_of(answer).items.at(0).note.from, 1U);
  EXPECT_EQ(world.run(act(Act::roll_back, 4)).code, Code::not_found);
}

TEST(Config, TheOldestReleasesAreTrimmedByCount) {
  World world;
  const auto most = kConfigLimits.releases_max;
  for (std::size_t i = 0; i < most + 2; ++i) static_cast<void>(world.run(publish("v")));
  EXPECT_EQ(items_of(world.ask(query(Ask::releases))).items.size(), most);
  EXPECT_EQ(world.run(act(Act::roll_back, 2)).code, Code::release_trimmed);
  EXPECT_EQ(world.ask(query(Ask::release, 1)).code, Code::release_trimmed);
  EXPECT_EQ(world.ask(query(Ask::pair, 2, 5)).code, Code::release_trimmed);
  EXPECT_EQ(release_of(world.run(act(Act::roll_back, 3))), most + 3);
}

TEST(Config, TheOldestReleasesAreTrimmedByBytes) {
  World world;
  const auto fit = kConfigLimits.release_bytes_max / kMiB;
  const std::string large(kMiB, 'x');
  for (std::size_t i = 0; i < fit + 1; ++i) static_cast<void>(world.run(publish(large)));
  EXPECT_EQ(world.ask(query(Ask::release, 1)).code, Code::release_trimmed);
  EXPECT_EQ(items_of(world.ask(query(Ask::releases))).items.size(), fit);
}

TEST(Config, NumbersGoOnAfterADeletion) {
  World world;
  static_cast<void>(world.run(publish("v1")));
  static_cast<void>(world.run(publish("v2")));
  EXPECT_EQ(world.run(act(Act::erase)).code, Code::ok);
  const auto gone = world.ask(query(Ask::present));
  EXPECT_EQ(gone.code, Code::not_found);
  EXPECT_EQ(gone.changed, Zxid(3));
  EXPECT_EQ(world.run(act(Act::erase)).code, Code::not_found);
  EXPECT_EQ(world.run(act(Act::roll_back, 1)).code, Code::not_found);
  EXPECT_TRUE(items_of(world.ask(query(Ask::list))).items.empty());
  auto guarded = publish("v3");
  guarded.if_release = 2;
  EXPECT_EQ(world.run(guarded).code, Code::precondition_no_node);
  guarded.if_release.reset();
  guarded.if_absent = true;
  EXPECT_EQ(release_of(world.run(guarded)), 3U);
  EXPECT_EQ(world.ask(query(Ask::release, 2)).code, Code::release_trimmed);
}

TEST(Config, AGrayValueIsForThoseWhoMatch) {
  World world;
  EXPECT_EQ(world.run(gray("g", {{{"zone", "eu"}}, {}})).code, Code::not_found);
  static_cast<void>(world.run(publish("base")));
  EXPECT_EQ(world.run(gray("g", {{{"zone", "eu"}}, {}})).code, Code::ok);
  EXPECT_EQ(seen_by(world, {}), "base");
  EXPECT_EQ(seen_by(world, {{{"zone", "us"}}, {}}), "base");
  EXPECT_EQ(seen_by(world, {{{"tier", "x"}, {"zone", "eu"}}, {}}), "g");
  auto asked = query(Ask::present);
  asked.client.labels = {{"zone", "eu"}};
  const auto answer = world.ask(asked);
  EXPECT_EQ(answer.etag, Zxid(kGrayTag | 3));
  EXPECT_TRUE(items_of(answer).items.at(0).is_gray);
  EXPECT_EQ(release_of(answer), 1U);
  // Withdrawn.
  EXPECT_EQ(world.run(act(Act::erase_gray)).code, Code::ok);
  EXPECT_EQ(seen_by(world, {{{"zone", "eu"}}, {}}), "base");
  EXPECT_EQ(world.run(act(Act::erase_gray)).code, Code::not_found);
}

TEST(Config, APercentageIsStableGrowsAndNeedsAnInstance) {
  const Client nobody;
  std::size_t within[3] = {};
  for (int i = 0; i < 2'000; ++i) {
    Client client;
    client.instance = "host-" + std::to_string(i);
    const bool in_10 = matches({{}, 10}, "app", client);
    const bool in_50 = matches({{}, 50}, "app", client);
    EXPECT_TRUE(!in_10 || in_50);
    EXPECT_TRUE(matches({{}, 100}, "app", client));
    EXPECT_FALSE(matches({{}, 0}, "app", client));
    within[0] += in_10 ? 1 : 0;
    within[1] += in_50 ? 1 : 0;
    within[2] += in_10 == matches({{}, 10}, "other", client) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(within[0]), 200, 60);
  EXPECT_NEAR(static_cast<double>(within[1]), 1'000, 120);
  EXPECT_LT(within[2], 1'900U) << "each configuration tries others first";
  EXPECT_FALSE(matches({{}, 100}, "app", nobody));
  EXPECT_FALSE(matches({{{"zone", "eu"}}, 100}, "app", {{{"zone", "us"}}, "host-1"}));
  EXPECT_TRUE(matches({{{"zone", "eu"}}, 100}, "app", {{{"zone", "eu"}}, "host-1"}));
}

TEST(Config, PromotionMakesAReleaseOfTheGrayValue) {
  World world;
  static_cast<void>(world.run(publish("base")));
  auto set = gray("g", {{}, 10});
  set.note = {"try it", "bob", 0};
  static_cast<void>(world.run(set));
  auto promote = act(Act::promote);
  promote.gray = Zxid(1);
  const auto refused = world.run(promote);
  EXPECT_TRUE(refused.is_stale);
  promote.gray = Zxid(2);
  EXPECT_EQ(release_of(world.run(promote)), 2U);
  EXPECT_EQ(seen_by(world, {}), "g");
  EXPECT_EQ(items_of(world.ask(query(Ask::release, 2))).items.at(0).note.comment, "try it");
  EXPECT_EQ(world.run(promote).code, Code::not_found);
}

TEST(Config, AReleaseIsStaleWhenTheSchemaChangedMeanwhile) {
  World world;
  auto schema = act(Act::set_schema);
  schema.value = Blob("{}");
  EXPECT_EQ(world.run(schema).code, Code::ok);
  EXPECT_EQ(world.ask(query(Ask::present)).code, Code::not_found);
  EXPECT_EQ(items_of(world.ask(query(Ask::list))).items.size(), 1U);
  EXPECT_TRUE(world.run(publish("v1")).is_stale);
  auto checked = publish("v1");
  checked.schema = Zxid(1);
  EXPECT_EQ(release_of(world.run(checked)), 1U);
  EXPECT_EQ(world.run(schema).code, Code::ok);
  EXPECT_TRUE(world.run(checked).is_stale);
  checked.schema = Zxid(4);
  checked.refusal = "at /port: too small";
  const auto refused = world.run(checked);
  EXPECT_EQ(refused.code, Code::schema_refused);
  EXPECT_EQ(refused.detail, "at /port: too small");
  const auto basis = world.ask(query(Ask::basis));
  EXPECT_EQ(items_of(basis).items.at(0).revision, Zxid(4));
  EXPECT_EQ(basis.values.at(0).str(), "{}");
  auto erase = act(Act::erase_schema);
  erase.if_schema = Zxid(1);
  EXPECT_EQ(world.run(erase).code, Code::bad_version);
  erase.if_schema = Zxid(4);
  EXPECT_EQ(world.run(erase).code, Code::ok);
  EXPECT_EQ(world.ask(query(Ask::schema)).code, Code::not_found);
}

TEST(Config, TheNodesAclHoldsForAllOfIt) {
  World world;
  static_cast<void>(world.run(publish("v1")));
  world.tree.begin({Zxid(++world.zxid), 0, 0, {}, true});
  const znode::Acl acl = {{znode::all, "digest", "ann:hash"}};
  ASSERT_EQ(world.tree.set_acl("/.coord/config/app", acl, {}, service_identities()).code, Code::ok);
  static_cast<void>(world.tree.commit(world.dirty));
  EXPECT_EQ(world.run(publish("v2")).code, Code::forbidden);
  EXPECT_EQ(world.run(gray("g", {{}, 1})).code, Code::forbidden);
  EXPECT_EQ(world.run(act(Act::erase)).code, Code::forbidden);
  EXPECT_EQ(world.ask(query(Ask::present)).code, Code::forbidden);
  EXPECT_EQ(world.ask(query(Ask::basis)).code, Code::forbidden);
  EXPECT_EQ(release_of(world.run(publish("v2"), kAnn)), 2U);
  EXPECT_EQ(*world.tree.acl_of(release_path("app", 2)), acl);
  EXPECT_EQ(value_of(world.ask(query(Ask::present), kAnn)), "v2");
}

TEST(Config, StepsWithBadPartsDoNotDecode) {
  const auto is_refused = [](auto change) {
    Step step = gray("g", {{{"zone", "eu"}}, 10});
    change(step);
    return !is_step(encode(step));
  };
  EXPECT_FALSE(is_refused([](Step&) {}));
  EXPECT_TRUE(is_refused([](Step& s) { s.name = "a/b"; }));
  EXPECT_TRUE(is_refused([](Step& s) { s.rule = {}; }));
  EXPECT_TRUE(is_refused([](Step& s) { s.rule.percent = 101; }));
  EXPECT_TRUE(is_refused([](Step& s) { s.rule.labels = {{"z", "1"}, {"a", "1"}}; }));
  EXPECT_TRUE(is_refused([](Step& s) { s.rule.labels = {{"a b", "1"}}; }));
  EXPECT_TRUE(is_refused([](Step& s) { s.note.comment = "\xff"; }));
  EXPECT_TRUE(is_refused([](Step& s) { s.note.author.assign(256, 'a'); }));
  EXPECT_TRUE(is_refused([](Step& s) { s.act = static_cast<Act>(9); }));
  EXPECT_FALSE(is_step(""));
  EXPECT_FALSE(is_query("\x01"));
}

}  // namespace
}  // namespace coord::recipes::config
