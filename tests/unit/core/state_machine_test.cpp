// StateMachine: every outcome of apply(), exactly once, sessions, transactions; and that the same
// commands give the same state, whichever way it came to be.
#include "coord/core/state_machine.hpp"

#include <gtest/gtest.h>

#include <map>

#include "commands.hpp"
#include "tests/unit/core/stored.hpp"

namespace coord::core {
namespace {

class Machine {
 public:
  explicit Machine(StateLimits limits = {}) : state(limits) {
    state.set_membership({{MemberId(1)}, {}, {}, {}});
  }
  Command command(WriteOp op) {
    Command command;
    command.service_ms = state.service_ms() + 1;
    command.wall_ms = 1'700'000'000'000;
    command.identities = {{"ip", "10.0.0.1"}};
    command.op = std::move(op);
    return command;
  }
  Applied apply(const Command& command) {
    auto applied = state.apply(state.applied().next(), Term(1), command);
    state.check_invariants();
    return applied;
  }
  Outcome run(WriteOp op) { return apply(command(std::move(op))).outcome; }
  Outcome run_as(SessionId session, WriteOp op) {
    auto one = command(std::move(op));
    one.session = session;
    return apply(one).outcome;
  }
  Outcome put(std::string path, std::string_view value = "v") {
    Put op;
    op.path = std::move(path);
    op.value = Blob(value);
    return run(op);
  }
  SessionId open() {
    const auto outcome = run(OpenSession{5'000, "client", "10.0.0.1:9", {}});
    return std::get<SessionOpened>(outcome.result).id;
  }
  std::string value(const std::string& path) { return state.tree().value_of(path).str(); }
  bool exists(const std::string& path) { return state.tree().get(path).has_value(); }

  StateMachine state;
};

Put put_of(std::string path, WriteGuard guard = {}) {
  Put op;
  op.path = std::move(path);
  op.value = Blob("new");
  op.guard = guard;
  return op;
}

TEST(StateMachine, GivesEachOperationTheCodeOfTheApiPage) {
  Machine machine;
  machine.put("/a", "1");                             // zxid 1
  machine.put("/a/b");                                // zxid 2
  machine.put("/text", "x");                          // zxid 3
  machine.put("/max", fmt::format("{}", INT64_MAX));  // zxid 4
  const auto session = machine.open();                // zxid 5
  auto ephemeral = put_of("/e");
  ephemeral.mode = znode::Mode::ephemeral;
  machine.run_as(session, ephemeral);  // zxid 6
  machine.run(Create{.path = "/ro", .acl = znode::Acl{{1, "world", "anyone"}}});
  auto create_only = put_of("/a");
  create_only.create_only = true;
  auto other_mode = put_of("/a");
  other_mode.mode = znode::Mode::container;
  auto ttl_mode = put_of("/a");
  ttl_mode.ttl_ms = 5'000;
  auto missing_parent = put_of("/x/y/z");
  auto with_parents = missing_parent;
  with_parents.with_parents = true;
  auto large = put_of("/a");
  large.value = Blob(std::string((1 << 20) + 1, 'v'));
  auto below_ephemeral = put_of("/e/x");
  const WriteGuard right{Zxid(1), 0};
  const WriteGuard wrong{Zxid(99), {}};
  struct Case {
    const char* name;
    WriteOp op;
    Code want;
  };
  const std::vector<Case> cases = {
      {"set with a wrong mzxid", put_of("/a", wrong), Code::bad_version},
      {"set with a wrong version", put_of("/a", {{}, 7}), Code::bad_version},
      {"one guard of two is wrong", put_of("/a", {Zxid(1), 7}), Code::bad_version},
      {"a guarded put never creates", put_of("/none", right), Code::precondition_no_node},
      {"create only", create_only, Code::precondition_exists},
      {"another mode", other_mode, Code::node_exists},
      {"another mode by ttl", ttl_mode, Code::node_exists},
      {"an ephemeral of another session", ephemeral, Code::node_exists},
      {"a missing parent", missing_parent, Code::no_node},
      {"a large value", large, Code::too_large},
      {"a child of an ephemeral", below_ephemeral, Code::no_children_for_ephemerals},
      {"create again", Create{.path = "/a"}, Code::node_exists},
      {"an ephemeral without a session", Create{.path = "/e2", .mode = znode::Mode::ephemeral},
       Code::session_required},
      {"an unknown scheme", Create{.path = "/acl", .acl = znode::Acl{{31, "what", "x"}}},
       Code::invalid},
      {"set what is missing", Set{"/none", Blob("v"), "", {}}, Code::no_node},
      {"set what is missing, guarded", Set{"/none", Blob("v"), "", right},
       Code::precondition_no_node},
      {"set what may not be written", Set{"/ro", Blob("v"), "", {}}, Code::forbidden},
      {"add to text", Add{"/text", 1, {}}, Code::invalid},
      {"add to text under a wrong guard", Add{"/text", 1, wrong}, Code::bad_version},
      {"add over the end", Add{"/max", 1, {}}, Code::invalid},
      {"add to nothing", Add{"/none", 1, {}}, Code::no_node},
      {"add to nothing, guarded", Add{"/none", 1, right}, Code::precondition_no_node},
      {"delete what has children", Delete{"/a", false, {}}, Code::not_empty},
      {"delete what is missing", Delete{"/none", false, {}}, Code::no_node},
      {"delete what is missing, guarded", Delete{"/none", false, right},
       Code::precondition_no_node},
      {"delete under a wrong guard", Delete{"/a/b", false, wrong}, Code::bad_version},
      {"set the ACL of nothing", SetAcl{"/none", znode::open_acl(), {}}, Code::no_node},
      {"set an empty ACL", SetAcl{"/a", {}, {}}, Code::invalid},
      {"set an ACL of another version", SetAcl{"/a", znode::open_acl(), 5}, Code::bad_version},
      {"set a quota on nothing", SetQuota{"/none", 1, {}}, Code::no_node},
      {"write under /.coord", put_of("/.coord/x"), Code::forbidden},
      {"a session of no time", OpenSession{0, "", "", {}}, Code::invalid},
      {"close what is not mine", CloseSession{session, session::EndReason::closed},
       Code::forbidden},
      {"guards that hold", put_of("/a", right), Code::ok},
      {"parents too", with_parents, Code::ok},
      {"add", Add{"/max", -1, {}}, Code::ok},
      {"delete all", Delete{"/a", true, {}}, Code::ok},
  };
  for (const auto& [name, op, want] : cases) {
    const auto digest = machine.state.digest();
    const auto outcome = machine.run(op);
    EXPECT_EQ(outcome.code, want) << name << ": " << outcome.detail;
    EXPECT_EQ(outcome.revision, machine.state.applied()) << name;
    EXPECT_EQ(outcome.code != Code::ok, outcome.detail != "") << name;
    if (want != Code::ok) {
      EXPECT_EQ(machine.state.digest(), digest) << name << " left something";
    }
    const bool has_stat =
        want == Code::bad_version || want == Code::precondition_exists || want == Code::node_exists;
    EXPECT_EQ(outcome.present.has_value(), has_stat) << name;
  }
  EXPECT_EQ(machine.value("/max"), fmt::format("{}", INT64_MAX - 1));
}

TEST(StateMachine, AQuotaIsHeldAndAnswered) {
  Machine machine;
  machine.put("/q", "1");
  EXPECT_EQ(machine.run(SetQuota{"/q", 2, 10}).code, Code::ok);
  EXPECT_EQ(machine.put("/q/a", "12345").code, Code::ok);
  EXPECT_EQ(machine.put("/q/b", "1").code, Code::quota);
  EXPECT_EQ(machine.put("/q/a", "1234567890").code, Code::quota);
  EXPECT_EQ(machine.run(SetQuota{"/q", {}, {}}).code, Code::ok);
  EXPECT_EQ(machine.put("/q/b", "1").code, Code::ok);
}

TEST(StateMachine, ATransactionIsAllOrNothing) {
  Machine machine;
  machine.put("/a", "1");
  Txn txn;
  txn.compare = {{"/a", true, Zxid(1), 0, Blob("1"), {}}};
  txn.then = {Set{"/a", Blob("2"), "", {}}, TxnGet{"/a"}, Create{.path = "/b"},
              TxnChildren{"/", 10}, Delete{"/b", false, {}}};
  txn.otherwise = {Create{.path = "/else"}};
  auto applied = machine.apply(machine.command(txn));
  auto result = std::get<TxnResult>(applied.outcome.result);
  EXPECT_TRUE(result.succeeded);
  ASSERT_EQ(result.results.size(), 5U);
  EXPECT_EQ(result.results[1].value, Blob("2")) << "an operation sees those before it";
  EXPECT_EQ(result.results[3].children,
            (std::vector<std::string>{".coord", "a", "b", "zookeeper"}));
  ASSERT_TRUE(applied.batch);
  for (const auto& change : applied.batch->changes) EXPECT_NE(change.path, "/else");

  auto otherwise = machine.apply(machine.command(txn));  // /a has changed.
  result = std::get<TxnResult>(otherwise.outcome.result);
  EXPECT_EQ(otherwise.outcome.code, Code::ok);
  EXPECT_FALSE(result.succeeded);
  EXPECT_TRUE(machine.exists("/else"));

  const auto digest = machine.state.digest();
  const auto failed = machine.apply(machine.command(txn));  // /else is there by now.
  result = std::get<TxnResult>(failed.outcome.result);
  EXPECT_EQ(failed.outcome.code, Code::node_exists);
  EXPECT_EQ(result.failed_op, 0U);
  EXPECT_FALSE(result.succeeded);

  Txn half;
  half.then = {Set{"/a", Blob("9"), "", {}}, Create{.path = "/c"}, Check{"/a", {Zxid(1), {}}}};
  const auto undone = machine.apply(machine.command(half));
  EXPECT_EQ(undone.outcome.code, Code::bad_version);
  EXPECT_EQ(std::get<TxnResult>(undone.outcome.result).failed_op, 2U);
  EXPECT_TRUE(undone.outcome.present);
  EXPECT_FALSE(undone.batch);
  EXPECT_FALSE(machine.exists("/c"));
  EXPECT_EQ(machine.value("/a"), "2");
  EXPECT_EQ(machine.state.digest(), digest);
}

TEST(StateMachine, AComparisonHoldsOnlyIfAllThatIsSetHolds) {
  Machine machine;
  machine.put("/a", "1");
  struct Case {
    const char* name;
    Compare compare;
    bool want;
  };
  machine.run(Create{.path = "/null"});
  const Fence fence{Fence::Kind::lock, "jobs", 57};
  const std::vector<Case> cases = {
      {"exists", {"/a", true, {}, {}, {}, {}}, true},
      {"does not exist", {"/a", false, {}, {}, {}, {}}, false},
      {"a missing node does not exist", {"/b", false, {}, {}, {}, {}}, true},
      {"a missing node exists", {"/b", true, {}, {}, {}, {}}, false},
      {"a missing node has no version", {"/b", false, {}, 0, {}, {}}, false},
      {"mzxid", {"/a", {}, Zxid(1), {}, {}, {}}, true},
      {"another mzxid", {"/a", {}, Zxid(2), {}, {}, {}}, false},
      {"version", {"/a", {}, {}, 0, {}, {}}, true},
      {"another version", {"/a", {}, {}, 1, {}, {}}, false},
      {"value", {"/a", {}, {}, {}, Blob("1"), {}}, true},
      {"another value", {"/a", {}, {}, {}, Blob("2"), {}}, false},
      {"null is not a value", {"/a", {}, {}, {}, Blob(), {}}, false},
      {"null is not empty", {"/null", {}, {}, {}, Blob(""), {}}, false},
      {"null is null", {"/null", {}, {}, {}, Blob(), {}}, true},
      {"one of two", {"/a", true, {}, 1, {}, {}}, false},
      {"a fence that nobody holds", {"", {}, {}, {}, {}, fence}, false},
  };
  for (const auto& [name, compare, want] : cases) {
    const auto outcome = machine.run(Txn{{compare}, {}, {}});
    EXPECT_EQ(outcome.code, Code::ok) << name;
    EXPECT_EQ(std::get<TxnResult>(outcome.result).succeeded, want) << name;
  }
  machine.run(Create{.path = "/secret", .acl = znode::Acl{{31, "digest", "ann:h"}}});
  const Compare secret{"/secret", {}, {}, {}, Blob("x"), {}};
  EXPECT_EQ(machine.run(Txn{{secret}, {}, {}}).code, Code::forbidden);
}

TEST(StateMachine, WhatATransactionReadsIsBounded) {
  Machine machine;
  machine.put("/a", std::string(1 << 20, 'v'));
  Txn txn;
  txn.then.assign(16, TxnGet{"/a"});
  EXPECT_EQ(machine.run(txn).code, Code::ok);
  txn.then.emplace_back(TxnGet{"/a"});
  const auto outcome = machine.run(txn);
  EXPECT_EQ(outcome.code, Code::too_large);
  EXPECT_EQ(std::get<TxnResult>(outcome.result).failed_op, 16U);
}

TEST(StateMachine, AFenceThatNobodyHoldsRefusesEveryWrite) {
  Machine machine;
  const auto session = machine.open();
  for (const WriteOp& op :
       {WriteOp(put_of("/a")), WriteOp(Txn{}), WriteOp(OpenSession{5'000, "", "", {}}),
        WriteOp(CloseSession{session, session::EndReason::closed})}) {
    auto command = machine.command(op);
    command.session = session;
    command.fences = {{Fence::Kind::lock, "jobs", 57}};
    EXPECT_EQ(machine.apply(command).outcome.code, Code::fence_stale) << op.index();
  }
  EXPECT_FALSE(machine.exists("/a"));
  EXPECT_NE(machine.state.sessions().find(session), nullptr);
}

// ---- exactly once

TEST(StateMachine, ARetryGivesTheFirstAnswerAndRevision) {
  Machine machine;
  auto create = machine.command(Create{.path = "/s-", .is_sequential = true});
  create.idempotency_key = "k";
  create.request_hash = 1;
  const auto first = machine.apply(create).outcome;
  auto again = machine.apply(create);
  EXPECT_EQ(again.outcome.revision, first.revision);
  EXPECT_TRUE(again.outcome.was_applied_before);
  EXPECT_EQ(std::get<Written>(again.outcome.result).path, std::get<Written>(first.result).path);
  EXPECT_EQ(std::get<Written>(again.outcome.result).stat, std::get<Written>(first.result).stat);
  EXPECT_FALSE(again.batch);
  create.request_hash = 2;
  EXPECT_EQ(machine.apply(create).outcome.code, Code::idempotency_mismatch);
  auto refused = machine.command(put_of("/none/x"));
  refused.idempotency_key = "r";
  EXPECT_EQ(machine.apply(refused).outcome.code, Code::no_node);
  machine.put("/none");
  EXPECT_EQ(machine.apply(refused).outcome.code, Code::no_node) << "a refusal is an answer too";
}

TEST(StateMachine, AKeyBelongsToItsSessionOrElseToItsCaller) {
  Machine machine;
  const auto session = machine.open();
  int count = 0;
  const auto is_new = [&](SessionId of, Identities identities) {
    auto command = machine.command(Create{.path = "/k-", .is_sequential = true});
    command.idempotency_key = "k";
    command.session = of;
    command.identities = std::move(identities);
    const auto outcome = machine.apply(command).outcome;
    ++count;
    return !outcome.was_applied_before;
  };
  EXPECT_TRUE(is_new({}, {{"ip", "10.0.0.1"}}));
  EXPECT_FALSE(is_new({}, {{"ip", "10.0.0.1"}}));
  EXPECT_TRUE(is_new({}, {{"ip", "10.0.0.2"}}));
  EXPECT_TRUE(is_new(session, {{"ip", "10.0.0.1"}}));
  EXPECT_FALSE(is_new(session, {{"ip", "10.0.0.9"}}));
  EXPECT_TRUE(is_new({}, {{"ip", "10.0.0.1"}, {"digest", "ann:h"}}));
  EXPECT_FALSE(is_new({}, {{"ip", "10.0.0.7"}, {"digest", "ann:h"}})) << "from another address";
  EXPECT_TRUE(is_new({}, {{"digest", "an"}, {"n", ":h"}})) << "no two scopes run into one";
  EXPECT_EQ(count, 8);
}

// ---- sessions

TEST(StateMachine, TheEndOfASessionTakesItsEphemeralsInOneRevision) {
  for (const bool is_expiry : {false, true}) {
    Machine machine;
    const auto session = machine.open();
    for (const auto* path : {"/x", "/y"}) {
      auto op = put_of(path);
      op.mode = znode::Mode::ephemeral;
      EXPECT_EQ(machine.run_as(session, op).code, Code::ok);
    }
    auto command = is_expiry ? machine.command(ExpireSessions{{session, session, SessionId(999)}})
                             : machine.command(CloseSession{session, session::EndReason::closed});
    if (!is_expiry) command.session = session;
    const auto applied = machine.apply(command);
    EXPECT_EQ(applied.outcome.code, Code::ok);
    ASSERT_TRUE(applied.batch);
    EXPECT_EQ(applied.batch->changes.size(), 2U);
    ASSERT_EQ(applied.ended.size(), 1U);
    EXPECT_EQ(applied.ended[0].ephemerals, 2U);
    EXPECT_FALSE(machine.exists("/x"));
    const auto late = machine.run_as(session, put_of("/z"));
    EXPECT_EQ(late.code, Code::session_expired);
    EXPECT_EQ(late.end_reason,
              is_expiry ? session::EndReason::expired : session::EndReason::closed);
    const auto again = machine.run_as(session, CloseSession{session, session::EndReason::closed});
    EXPECT_EQ(again.code, Code::session_expired);
  }
}

TEST(StateMachine, TheFirstBootstrapCounts) {
  Machine machine;
  machine.run(Bootstrap{"one", {{MemberId(1), 5, "", "", "", {}, false}}, {}});
  const auto digest = machine.state.digest();
  machine.run(Bootstrap{"two", {}, {}});
  EXPECT_EQ(machine.state.cluster(), "one");
  EXPECT_EQ(machine.state.digest(), digest);
}

TEST(StateMachine, ReapTakesOnlyWhatIsDue) {
  Machine machine;
  auto ttl = put_of("/t");
  ttl.ttl_ms = 2'000;
  machine.run(ttl);
  machine.put("/p");
  machine.run(Reap{{"/t", "/p", "/none", "/"}});
  EXPECT_TRUE(machine.exists("/t"));
  auto later = machine.command(Reap{{"/t", "/p", "/t"}});
  later.service_ms += 5'000;
  machine.apply(later);
  EXPECT_FALSE(machine.exists("/t"));
  EXPECT_TRUE(machine.exists("/p"));
}

TEST(StateMachine, IsTotalAlsoForPathsThatNoDoorLetsIn) {
  Machine machine;
  const std::vector<std::string> paths = {"",
                                          "a",
                                          "//",
                                          "/a//b",
                                          "/a/",
                                          "/..",
                                          std::string("/\0", 2),
                                          "/" + std::string(9'000, 'x'),
                                          "/\xff\xfe"};
  for (const auto& path : paths) {
    Create sequential{.path = path, .is_sequential = true, .with_parents = true};
    for (const WriteOp& op :
         {WriteOp(put_of(path)), WriteOp(Create{.path = path}), WriteOp(sequential),
          WriteOp(Set{path, Blob("v"), "", {}}), WriteOp(Add{path, 1, {}}),
          WriteOp(Delete{path, true, {}}), WriteOp(SetAcl{path, znode::open_acl(), {}}),
          WriteOp(SetQuota{path, 1, 1}), WriteOp(Txn{{}, {TxnGet{path}}, {}}),
          WriteOp(Txn{{}, {TxnChildren{path, 1}}, {}}), WriteOp(Txn{{}, {Check{path, {}}}, {}})}) {
      const auto outcome = machine.run(op);
      const bool is_fine = op.index() == 1 && (path == "/a/" || path == "a" || path == "/..");
      EXPECT_TRUE(outcome.code != Code::ok || is_fine) << path << " " << op.index();
    }
    machine.run(Reap{{path}});
  }
}

// ---- the same everywhere

struct Fed {
  explicit Fed(std::uint64_t seed) : source(seed) {}
  CommandSource source;
  std::vector<SessionId> sessions;

  Command next(const StateMachine& state) {
    sessions.clear();
    state.sessions().list(SessionId(), [this](const session::Session& session) {
      sessions.push_back(session.id);
      return sessions.size() < 5;
    });
    return source.next(sessions, state.applied().value());
  }
};

StateLimits tiny_limits() {
  StateLimits limits;
  limits.tree.depth_max = 4;
  limits.tree.delete_tree_nodes_max = 6;
  limits.tree.container_grace_ms = 300;
  limits.sessions.sessions_max = 5;
  limits.sessions.ended_max = 4;
  limits.retry.age_ms = 500;
  limits.retry.entries_kept = 3;
  limits.retry.entries_max = 8;
  return limits;
}

TEST(StateMachine, TwoMachinesThatAreFedTheSameAgreeAndSoDoesOneThatWasLoaded) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Machine one(tiny_limits());
    Machine two(tiny_limits());
    Fed fed(seed);
    Store store;
    for (int i = 0; i < 300; ++i) {
      const auto command = fed.next(one.state);
      const auto a = one.apply(command);
      Command decoded;
      ASSERT_EQ(decode(encode(command), decoded), DecodeError::none);
      const auto b = two.apply(decoded);
      ASSERT_EQ(encode(a.outcome), encode(b.outcome)) << "seed " << seed << " at " << i;
      ASSERT_EQ(one.state.digest(), two.state.digest()) << "seed " << seed << " at " << i;
      ASSERT_EQ(a.batch == nullptr, b.batch == nullptr);
      if (a.batch) {
        ASSERT_EQ(a.batch->changes, b.batch->changes);
      }
      if (i % 37 != 36) continue;
      // The third way: what the checkpoints left in a store, loaded, takes the second's place.
      const auto checkpoint = two.state.take_checkpoint();
      commit(checkpoint.records.records(), store);
      StateMachine loaded(tiny_limits());
      for (const auto& [key, bytes] : store) {
        ASSERT_EQ(loaded.load(key.first, key.second, bytes), "") << "seed " << seed;
      }
      ASSERT_EQ(loaded.load_done({checkpoint.applied, checkpoint.applied_term, checkpoint.digest}),
                "")
          << "seed " << seed << " at " << i;
      ASSERT_EQ(loaded.service_ms(), one.state.service_ms());
      ASSERT_TRUE(loaded.dirty().empty());
      two.state = std::move(loaded);
    }
  }
}

TEST(StateMachine, DirtyMapsLeaveInAStoreExactlyWhatPutAllPuts) {
  for (std::uint64_t seed = 100; seed < 110; ++seed) {
    Machine machine(tiny_limits());
    Fed fed(seed);
    Store store;
    for (int i = 0; i < 200; ++i) {
      machine.apply(fed.next(machine.state));
      if (i % 9 == 0) commit(machine.state.take_checkpoint().records.records(), store);
    }
    commit(machine.state.take_checkpoint().records.records(), store);
    DirtyMap all;
    machine.state.tree().put_all(all);
    machine.state.sessions().put_all(all);
    machine.state.retry().put_all(all);
    Store want;
    commit(all.records(), want);
    std::erase_if(store, [](const auto& record) {
      const auto table = record.first.first;
      return !is_in_digest(table) || table == Table::members;
    });
    EXPECT_EQ(store, want) << "seed " << seed;
  }
}

TEST(StateMachine, ALoadThatDoesNotGiveTheMarksDigestSaysSo) {
  Machine machine;
  machine.put("/a");
  const auto checkpoint = machine.state.take_checkpoint();
  StateMachine loaded{StateLimits()};
  Store store;
  commit(checkpoint.records.records(), store);
  for (const auto& [key, bytes] : store) EXPECT_EQ(loaded.load(key.first, key.second, bytes), "");
  EXPECT_NE(loaded.load_done({checkpoint.applied, Term(1), checkpoint.digest + 1}), "");
  EXPECT_NE(loaded.load(Table::meta, "service", "\xff"), "");
  EXPECT_NE(loaded.load(Table::members, "membership", "\xff"), "");
  EXPECT_NE(loaded.load(Table::sessions, "short", ""), "");
}

TEST(StateMachineDeathTest, StopsAtAnUnknownVersionAndAtAHole) {
  Machine machine;
  election::LogEntry entry;
  entry.index = Index(1);
  entry.term = Term(1);
  entry.payload = std::string(1, static_cast<char>(kCommandVersion + 1));
  EXPECT_DEATH((void)machine.state.apply(entry), "newer version");
  entry.payload.clear();
  EXPECT_DEATH((void)machine.state.apply(entry), "decodes");
  entry.index = Index(2);
  EXPECT_DEATH((void)machine.state.apply(entry), "applied in order");
}

}  // namespace
}  // namespace coord::core
