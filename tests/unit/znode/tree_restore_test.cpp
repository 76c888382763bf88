// restore() and closed subtrees; the property test has the rest of what restore() does.
#include <gtest/gtest.h>

#include "znode/tree.hpp"

namespace coord::znode {
namespace {

const Identities kRestorer = {{"super", ""}};

class Importing : public ::testing::Test {
 protected:
  Stamp stamp(bool is_import) {
    Stamp stamp{Zxid(++zxid_), service_ms_, 5'000, SessionId()};
    stamp.is_import = is_import;
    return stamp;
  }
  template <class Mutation>
  Outcome run(Mutation mutation, bool is_import = false, bool is_kept = true) {
    tree_.begin(stamp(is_import));
    auto outcome = mutation(tree_);
    if (outcome.code == Code::ok && is_kept) {
      changes_ = tree_.commit(dirty_);
    } else {
      tree_.rollback();
    }
    tree_.check_invariants();
    return outcome;
  }
  Outcome restore(const std::string& path, const Restored& as, bool is_kept = true) {
    return run([&](Tree& t) { return t.restore(path, Blob("v"), as); }, true, is_kept);
  }
  Outcome create(const std::string& path, bool is_sequential = false) {
    CreateOptions options;
    options.is_sequential = is_sequential;
    return run([&](Tree& t) { return t.create(path, Blob(""), options, kRestorer); });
  }
  static Restored restored(std::uint64_t created = 0) {
    Restored as;
    as.acl = {{all, "digest", "ann:hash"}};
    as.version = 7;
    as.aversion = 3;
    as.created = created;
    as.ctime_ms = 111;
    as.mtime_ms = 222;
    return as;
  }

  Tree tree_{TreeLimits{.container_grace_ms = 10}};
  DirtyMap dirty_;
  std::vector<Change> changes_;
  std::uint64_t zxid_ = 10;
  std::int64_t service_ms_ = 100;
};

TEST_F(Importing, a_node_keeps_what_it_was_and_gets_our_zxids) {
  const auto done = restore("/a", restored(9));
  ASSERT_EQ(done.code, Code::ok) << done.detail;
  EXPECT_EQ(done.stat.czxid, Zxid(11));
  EXPECT_EQ(done.stat.mzxid, Zxid(11));
  EXPECT_EQ(done.stat.ctime_ms, 111);
  EXPECT_EQ(done.stat.mtime_ms, 222);
  EXPECT_EQ(done.stat.version, 7);
  EXPECT_EQ(done.stat.aversion, 3);
  EXPECT_EQ(done.stat.cversion, 18);
  EXPECT_EQ(*tree_.acl_of("/a"), restored().acl);
  ASSERT_EQ(changes_.size(), 1U);
  EXPECT_EQ(changes_[0].kind, ChangeKind::created);
}

TEST_F(Importing, sequential_names_go_on_from_the_count_of_children) {
  restore("/a", restored(9));
  restore("/a/item-0000000004", restored());
  EXPECT_EQ(create("/a/item-", true).path, "/a/item-0000000009");
  // Fewer than there are cannot have been created.
  EXPECT_EQ(restore("/a", restored(1)).stat.cversion, 2);
  EXPECT_EQ(create("/a/item-", true).path, "/a/item-0000000002");
}

TEST_F(Importing, the_same_again_changes_nothing) {
  restore("/a", restored(2));
  const auto digest = tree_.digest();
  const auto again = restore("/a", restored(2));
  EXPECT_EQ(again.stat.mzxid, Zxid(11));
  EXPECT_TRUE(changes_.empty());
  EXPECT_EQ(tree_.digest(), digest);
  // A larger count alone is no change of the value.
  EXPECT_EQ(restore("/a", restored(3)).stat.mzxid, Zxid(11));
  EXPECT_TRUE(changes_.empty());
  EXPECT_NE(tree_.digest(), digest);
}

TEST_F(Importing, a_rollback_undoes_everything) {
  create("/a");
  const auto before = tree_.get("/a")->stat;
  const auto digest = tree_.digest();
  auto container = restored(5);
  container.mode = Mode::container;
  restore("/a", container, false);
  EXPECT_EQ(tree_.get("/a")->stat, before);
  EXPECT_EQ(tree_.digest(), digest);
  EXPECT_FALSE(tree_.next_deadline());
  restore("/a", container);
  EXPECT_EQ(tree_.get("/a")->stat.mode, Mode::container);
  const auto restored_stat = tree_.get("/a")->stat;
  restore("/a", restored(), false);
  EXPECT_EQ(tree_.get("/a")->stat, restored_stat);
  EXPECT_EQ(tree_.next_deadline(), 110);
}

TEST_F(Importing, a_rollback_brings_back_a_kind_that_said_nothing_in_between) {
  auto container = restored();
  container.mode = Mode::container;
  restore("/a", container);
  const auto before = tree_.get("/a")->stat;
  run(
      [](Tree& t) {
        static_cast<void>(t.restore("/a", Blob("v"), restored()));
        return t.create("/a/b", Blob(), {}, kRestorer);
      },
      true, false);
  EXPECT_EQ(tree_.get("/a")->stat, before);
}

TEST_F(Importing, what_makes_no_sense_is_refused) {
  auto ephemeral = restored();
  ephemeral.mode = Mode::ephemeral;
  auto ttl = restored();
  ttl.mode = Mode::ttl;
  auto nobody = restored();
  nobody.acl.clear();
  EXPECT_EQ(restore("/a", ephemeral).code, Code::bad_request);
  EXPECT_EQ(restore("/a", ttl).code, Code::bad_request);
  EXPECT_EQ(restore("/a", nobody).code, Code::bad_request);
  EXPECT_EQ(restore("/a", restored(UINT64_MAX)).code, Code::bad_request);
  EXPECT_EQ(restore("/a/b", restored()).code, Code::no_node);
  EXPECT_EQ(restore("/a//b", restored()).code, Code::bad_request);
  EXPECT_EQ(restore("/.coord/x", restored()).code, Code::forbidden);
  EXPECT_EQ(restore("/zookeeper", restored()).code, Code::forbidden);
}

TEST_F(Importing, a_closed_subtree_is_written_by_imports_alone) {
  create("/a");
  create("/a/b");
  create("/ab");
  tree_.set_closed({"/a"});
  const auto forbidden = [&](auto mutation) {
    EXPECT_EQ(run(mutation).code, Code::forbidden);
    EXPECT_NE(run(mutation, true).code, Code::forbidden);
  };
  forbidden([](Tree& t) { return t.create("/a/c", Blob(), {}, kRestorer); });
  forbidden([](Tree& t) { return t.set("/a", Blob(), "", {}, kRestorer); });
  forbidden([](Tree& t) { return t.set_acl("/a/b", open_acl(), {}, kRestorer); });
  forbidden([](Tree& t) { return t.set_quota("/a", Quota{1, 1}, kRestorer); });
  forbidden([](Tree& t) { return t.erase("/a/b", {}, kRestorer); });
  forbidden([](Tree& t) { return t.erase_tree("/a", {}, kRestorer); });
  EXPECT_EQ(create("/ab/c").code, Code::ok);
  create("/a");
  tree_.set_closed({"/ab/c"});
  EXPECT_EQ(run([](Tree& t) { return t.erase_tree("/ab", {}, kRestorer); }).code, Code::forbidden);
  tree_.set_closed({"/"});
  EXPECT_EQ(create("/new").code, Code::forbidden);
  tree_.set_closed({});
  EXPECT_EQ(create("/new").code, Code::ok);
}

TEST_F(Importing, what_is_due_in_a_closed_subtree_gets_its_time_once_more) {
  auto container = restored(5);
  container.mode = Mode::container;
  restore("/a", container);
  tree_.set_closed({"/a"});
  service_ms_ = 110;
  ASSERT_EQ(tree_.due(service_ms_, 9).size(), 1U);
  const auto reap = [&] {
    tree_.begin(stamp(false));
    const bool is_gone = tree_.reap("/a");
    static_cast<void>(tree_.commit(dirty_));
    tree_.check_invariants();
    return is_gone;
  };
  EXPECT_FALSE(reap());
  EXPECT_EQ(tree_.next_deadline(), 120);
  tree_.set_closed({});
  service_ms_ = 120;
  EXPECT_TRUE(reap());
}

}  // namespace
}  // namespace coord::znode
