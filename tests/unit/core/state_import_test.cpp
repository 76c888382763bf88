// Imports: who may, what they close, and that a loaded state knows it too.
#include <gtest/gtest.h>

#include <map>

#include "coord/core/state_machine.hpp"

namespace coord::core {
namespace {

class Imports : public ::testing::Test {
 protected:
  Imports() { state_.set_membership({{MemberId(1)}, {}, {}, {}}); }
  Outcome run(WriteOp op, Identities identities = {{"super", ""}}) {
    Command command;
    command.service_ms = state_.service_ms() + 1;
    command.wall_ms = 1'700'000'000'000;
    command.identities = std::move(identities);
    command.op = std::move(op);
    auto applied = state_.apply(state_.applied().next(), Term(1), command);
    state_.check_invariants();
    return applied.outcome;
  }
  Code put(const std::string& path) {
    Put op;
    op.path = path;
    op.value = Blob("mine");
    return run(op).code;
  }
  static ImportedNode node(const std::string& path) {
    ImportedNode node{path, false, Blob("theirs"), {}};
    node.as.acl = znode::open_acl();
    node.as.version = 4;
    return node;
  }
  static ImportedNode gone(const std::string& path) { return {path, true, Blob(), {}}; }

  StateMachine state_{StateLimits{}};
};

TEST_F(Imports, close_a_subtree_until_they_are_finished) {
  const auto begun = run(BeginImport{"/a", "zk /"});
  ASSERT_EQ(begun.code, Code::ok) << begun.detail;
  EXPECT_TRUE(std::get<Written>(begun.result).created);
  EXPECT_EQ(state_.tree().value_of(begun.path).str(), "/a\nzk /");
  EXPECT_EQ(put("/a"), Code::forbidden);
  EXPECT_EQ(put("/b"), Code::ok);
  EXPECT_EQ(run(ImportNodes{"/a", {node("/a"), node("/a/x")}}).code, Code::ok);
  EXPECT_EQ(state_.tree().get("/a/x")->stat.version, 4);
  EXPECT_EQ(put("/a/x"), Code::forbidden);
  EXPECT_EQ(run(Txn{{}, {Set{"/a/x", Blob(), "", {}}}, {}}).code, Code::forbidden);
  EXPECT_EQ(run(FinishImport{"/a"}).code, Code::ok);
  EXPECT_EQ(put("/a/x"), Code::ok);
  EXPECT_EQ(run(ImportNodes{"/a", {node("/a")}}).code, Code::not_found);
  EXPECT_EQ(run(FinishImport{"/a"}).code, Code::not_found);
}

TEST_F(Imports, are_all_or_nothing) {
  run(BeginImport{"/a", "zk"});
  EXPECT_EQ(run(ImportNodes{"/a", {node("/a"), node("/a/b/c")}}).code, Code::no_node);
  EXPECT_FALSE(state_.tree().get("/a"));
  EXPECT_EQ(run(ImportNodes{"/a", {node("/a"), node("/b")}}).code, Code::bad_request);
  EXPECT_FALSE(state_.tree().get("/a"));
  run(ImportNodes{"/a", {node("/a"), node("/a/b")}});
  EXPECT_EQ(run(ImportNodes{"/a", {gone("/a/none"), gone("/a")}}).code, Code::not_empty);
  EXPECT_EQ(run(ImportNodes{"/a", {gone("/a/b"), gone("/a")}}).code, Code::ok);
  EXPECT_FALSE(state_.tree().get("/a"));
}

TEST_F(Imports, go_on_for_the_same_source_and_exclude_others) {
  const auto first = run(BeginImport{"/a/b", "zk"});
  const auto again = run(BeginImport{"/a/b", "zk"});
  EXPECT_EQ(again.code, Code::ok);
  EXPECT_FALSE(std::get<Written>(again.result).created);
  EXPECT_EQ(std::get<Written>(again.result).stat, std::get<Written>(first.result).stat);
  EXPECT_EQ(run(BeginImport{"/a/b", "other"}).code, Code::node_exists);
  EXPECT_EQ(run(BeginImport{"/a", "zk"}).code, Code::node_exists);
  EXPECT_EQ(run(BeginImport{"/a/b/c", "zk"}).code, Code::node_exists);
  EXPECT_EQ(run(BeginImport{"/a/bc", "zk"}).code, Code::ok);
}

TEST_F(Imports, are_of_operators_and_leave_the_service_alone) {
  for (const WriteOp& op : {WriteOp(BeginImport{"/a", "zk"}), WriteOp(ImportNodes{"/a", {}}),
                            WriteOp(FinishImport{"/a"})}) {
    EXPECT_EQ(run(op, {{"ip", "10.0.0.1"}}).code, Code::forbidden);
  }
  EXPECT_EQ(run(BeginImport{"/.coord/x", "zk"}).code, Code::forbidden);
  EXPECT_EQ(run(BeginImport{"/a", "two\nlines"}).code, Code::invalid);
  EXPECT_EQ(run(BeginImport{"/a", std::string(kImportSourceMax + 1, 'z')}).code, Code::invalid);
  ASSERT_EQ(run(BeginImport{"/", "zk"}).code, Code::ok);
  EXPECT_EQ(run(ImportNodes{"/", {node("/.coord/imports")}}).code, Code::bad_request);
  EXPECT_EQ(run(ImportNodes{"/", {gone("/zookeeper")}}).code, Code::bad_request);
  EXPECT_EQ(put("/any"), Code::forbidden);
}

TEST_F(Imports, are_known_to_a_state_that_was_loaded) {
  run(BeginImport{"/a", "zk"});
  auto checkpoint = state_.take_checkpoint();
  StateMachine loaded{StateLimits{}};
  std::map<std::pair<Table, std::string>, std::string> sorted;
  for (const auto& [key, bytes] : checkpoint.records.records()) {
    if (bytes) sorted[{key.table, std::string(key.key)}] = *bytes;
  }
  for (const auto& [key, bytes] : sorted) {
    ASSERT_EQ(loaded.load(key.first, key.second, bytes), "");
  }
  ASSERT_EQ(loaded.load_done({checkpoint.applied, checkpoint.applied_term, checkpoint.digest}), "");
  state_ = std::move(loaded);
  EXPECT_EQ(put("/a"), Code::forbidden);
  EXPECT_EQ(put("/b"), Code::ok);
}

}  // namespace
}  // namespace coord::core
