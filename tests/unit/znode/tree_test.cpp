#include "znode/tree.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace coord::znode {
namespace {

const Identities kNobody;
const Identities kAnnAnywhere = {{"digest", "ann:hash"}};
const Identities kOperator = {{"super", ""}};
const Acl kAnnOnly = {{all, "digest", "ann:hash"}};

// A tree and a clock: every transaction has the next zxid.
struct World {
  Tree tree;
  std::uint64_t zxid = 0;
  std::int64_t service_ms = 0;
  SessionId session;
  bool is_service = false;
  std::vector<Change> changes;
  DirtyMap dirty;

  explicit World(TreeLimits limits = {}) : tree(limits) {}

  Stamp stamp() {
    ++zxid;
    return {Zxid(zxid), service_ms, 1000 + static_cast<std::int64_t>(zxid), session, is_service};
  }
  // One transaction: committed if all is well, rolled back otherwise.
  template <class Mutation>
  Outcome run(Mutation mutation) {
    tree.begin(stamp());
    auto outcome = mutation(tree);
    if (outcome.code == Code::ok) {
      changes = tree.commit(dirty);
    } else {
      tree.rollback();
    }
    tree.check_invariants();
    return outcome;
  }
  Outcome create(const std::string& path, CreateOptions options = {}, const Blob& value = Blob(""),
                 const Identities& who = {}) {
    return run([&](Tree& t) { return t.create(path, value, options, who); });
  }
  Outcome set(const std::string& path, const std::string& value, Guard guard = {},
              const Identities& who = {}) {
    return run([&](Tree& t) { return t.set(path, Blob(value), "", guard, who); });
  }
  Outcome erase(const std::string& path, Guard guard = {}, const Identities& who = {}) {
    return run([&](Tree& t) { return t.erase(path, guard, who); });
  }
  Outcome erase_tree(const std::string& path, const Identities& who = {}) {
    return run([&](Tree& t) { return t.erase_tree(path, {}, who); });
  }
  Outcome set_acl(const std::string& path, const Acl& acl,
                  std::optional<std::int32_t> aversion = std::nullopt, const Identities& who = {}) {
    return run([&](Tree& t) { return t.set_acl(path, acl, aversion, who); });
  }
  Outcome set_quota(const std::string& path, const std::optional<Quota>& quota,
                    const Identities& who = {}) {
    return run([&](Tree& t) { return t.set_quota(path, quota, who); });
  }
  bool reap(const std::string& path) {
    tree.begin(stamp());
    const bool is_gone = tree.reap(path);
    changes = tree.commit(dirty);
    tree.check_invariants();
    return is_gone;
  }
  Stat stat(const std::string& path) const {
    const auto view = tree.get(path);
    return view ? view->stat : Stat{};
  }
  std::vector<std::string> walk(const std::string& top, std::size_t depth,
                                const std::string& after = "", bool with_system = false) const {
    std::vector<std::string> paths;
    tree.walk(top, depth, after, with_system, [&](std::string_view path, const View&) {
      paths.emplace_back(path);
      return true;
    });
    return paths;
  }
};

TEST(Tree, a_fresh_tree_has_the_root_and_the_nodes_of_the_system) {
  World w;
  w.tree.check_invariants();
  EXPECT_EQ(w.tree.node_count(), 5U);
  EXPECT_EQ(w.walk("/", SIZE_MAX, "", true),
            (std::vector<std::string>{"/", "/.coord", "/zookeeper", "/zookeeper/config",
                                      "/zookeeper/quota"}));
  EXPECT_EQ(w.walk("/", SIZE_MAX), (std::vector<std::string>{"/"}));
  EXPECT_FALSE(w.tree.get("/")->is_null);
  EXPECT_EQ(w.tree.digest(), Tree(TreeLimits{}).digest());
}

TEST(Tree, stats_say_what_zookeeper_says) {
  World w;
  w.create("/a");                    // 1
  w.create("/a/b", {}, Blob("xy"));  // 2
  w.create("/a/c");                  // 3
  w.set("/a", "hello");              // 4
  w.erase("/a/b");                   // 5
  w.set_acl("/a", open_acl());       // 6
  const Stat want{Zxid(1), Zxid(4), Zxid(5), 1001, 1004, 1, 3, 1, SessionId(), 5, 1};
  EXPECT_EQ(w.stat("/a"), want);
  const Stat leaf{Zxid(3), Zxid(3), Zxid(3), 1003, 1003, 0, 0, 0, SessionId(), 0, 0};
  EXPECT_EQ(w.stat("/a/c"), leaf);
}

TEST(Tree, creations_are_refused_with_the_code_that_names_why) {
  World w({.value_bytes_max = 10, .acl_entries_max = 1, .content_type_bytes_max = 5});
  w.session = SessionId(7);
  w.create("/a");
  w.create("/e", {.mode = Mode::ephemeral});
  w.create("/closed", {.acl = kAnnOnly});
  w.session = SessionId();
  struct Case {
    std::string name;
    std::string path;
    CreateOptions options;
    std::string value;
    Code want;
  };
  const std::vector<Case> cases = {
      {"the root", "/", {}, "", Code::bad_request},
      {"a malformed path", "/a/..", {}, "", Code::bad_request},
      // As ZooKeeper does: the parent is looked up first.
      {"a malformed path below no node", "/a//b", {}, "", Code::no_node},
      {"a slash at the end of a plain name", "/a/", {}, "", Code::bad_request},
      {"there already", "/a", {}, "", Code::node_exists},
      {"no parent", "/x/y", {}, "", Code::no_node},
      {"below an ephemeral", "/e/x", {}, "", Code::no_children_for_ephemerals},
      {"parents below an ephemeral",
       "/e/x/y",
       {.with_parents = true},
       "",
       Code::no_children_for_ephemerals},
      {"an ephemeral of nobody", "/x", {.mode = Mode::ephemeral}, "", Code::session_required},
      {"a ttl node without a ttl", "/x", {.mode = Mode::ttl}, "", Code::bad_request},
      {"a ttl without a ttl node", "/x", {.ttl_ms = 5}, "", Code::bad_request},
      {"what the parent does not grant", "/closed/x", {}, "", Code::forbidden},
      {"below the service's own node", "/.coord/x", {}, "", Code::forbidden},
      {"a value too large", "/x", {}, "12345678901", Code::too_large},
      {"a content type too long", "/x", {.content_type = "abcdef"}, "", Code::too_large},
      {"an ACL too long", "/x", {.acl = Acl(2, open_acl()[0])}, "", Code::too_large},
      {"an empty ACL", "/x", {.acl = Acl{}}, "", Code::bad_request},
  };
  for (const auto& c : cases) {
    const auto digest = w.tree.digest();
    const auto got = w.create(c.path, c.options, Blob(c.value));
    EXPECT_EQ(got.code, c.want) << c.name << ": " << word_of(got.code);
    EXPECT_NE(got.detail, "") << c.name;
    EXPECT_EQ(w.tree.digest(), digest) << c.name;
  }
  EXPECT_EQ(w.create("/a").stat, w.stat("/a"));
  EXPECT_EQ(w.create("/x", {}, Blob("12345678901")).detail,
            "a value of 11 bytes is larger than value_bytes_max = 10");
  w.is_service = true;
  EXPECT_EQ(w.create("/.coord/x").code, Code::ok);
}

TEST(Tree, the_suffix_of_a_sequential_node_counts_all_children_ever_created) {
  World w;
  w.create("/q");
  EXPECT_EQ(w.create("/q/n-", {.is_sequential = true}).path, "/q/n-0000000000");
  w.create("/q/plain");
  w.erase("/q/plain");
  EXPECT_EQ(w.create("/q/n-", {.is_sequential = true}).path, "/q/n-0000000002");
  EXPECT_EQ(w.create("/q/", {.is_sequential = true}).path, "/q/0000000003");
  EXPECT_EQ(w.create("/", {.is_sequential = true}).path, "/0000000001")
      << "what the tree was made with does not count";
  EXPECT_EQ(w.stat("/q").cversion, 5);
  EXPECT_EQ(w.create("/new/one-", {.is_sequential = true, .with_parents = true}).path,
            "/new/one-0000000000");
}

TEST(Tree, missing_parents_are_made_with_the_acl_of_the_parent_that_is_there) {
  World w;
  w.create("/a", {.acl = kAnnOnly});
  EXPECT_EQ(w.create("/a/b/c/d", {.with_parents = true}, Blob("v"), kAnnAnywhere).code, Code::ok);
  ASSERT_EQ(w.changes.size(), 3U);
  EXPECT_EQ(w.changes[0].path, "/a/b");
  EXPECT_EQ(w.changes[2].path, "/a/b/c/d");
  EXPECT_EQ(*w.tree.acl_of("/a/b/c"), kAnnOnly);
  EXPECT_EQ(*w.tree.acl_of("/a/b/c/d"), open_acl());
  EXPECT_TRUE(w.tree.get("/a/b")->is_null);
}

TEST(Tree, guards_hold_or_say_what_is_there) {
  World w;
  w.create("/a");
  w.set("/a", "1");
  EXPECT_EQ(w.set("/a", "2", {.version = 0}).code, Code::bad_version);
  EXPECT_EQ(w.set("/a", "2", {.version = 0}).stat, w.stat("/a"));
  EXPECT_EQ(w.set("/a", "2", {.mzxid = Zxid(1)}).code, Code::bad_version);
  EXPECT_EQ(w.set("/a", "2", {.mzxid = Zxid(2), .version = 1}).code, Code::ok);
  EXPECT_EQ(w.set("/x", "2", {.version = 0}).code, Code::precondition_no_node);
  EXPECT_EQ(w.set("/x", "2").code, Code::no_node);
  EXPECT_EQ(w.erase("/a", {.version = 0}).code, Code::bad_version);
  EXPECT_EQ(w.erase("/x", {.version = 0}).code, Code::precondition_no_node);
  EXPECT_EQ(w.tree.check("/a", {.version = 2}, kNobody).code, Code::ok);
  EXPECT_EQ(w.tree.check("/a", {.version = 1}, kNobody).code, Code::bad_version);
  EXPECT_EQ(w.tree.check("/x", {}, kNobody).code, Code::no_node);
  EXPECT_EQ(w.set_acl("/a", open_acl(), 1).code, Code::bad_version);
  EXPECT_EQ(w.set_acl("/a", open_acl(), 0).code, Code::ok);
}

TEST(Tree, each_verb_asks_for_its_permission) {
  const auto with = [](std::uint8_t permissions) { return Acl{{permissions, "world", "anyone"}}; };
  struct Case {
    std::string name;
    std::uint8_t needed;
    bool of_parent;
    std::function<Outcome(World&, const Identities&)> verb;
  };
  const std::vector<Case> cases = {
      {"create", znode::create, true,
       [](World& w, const Identities& who) { return w.create("/p/new", {}, Blob(), who); }},
      {"set", write, false,
       [](World& w, const Identities& who) { return w.set("/p/n", "v", {}, who); }},
      {"erase", znode::erase, true,
       [](World& w, const Identities& who) { return w.erase("/p/n", {}, who); }},
      {"erase_tree", znode::erase, true,
       [](World& w, const Identities& who) { return w.erase_tree("/p/n", who); }},
      {"set_acl", admin, false,
       [](World& w, const Identities& who) {
         return w.set_acl("/p/n", open_acl(), std::nullopt, who);
       }},
      {"set_quota", admin, false,
       [](World& w, const Identities& who) {
         return w.set_quota("/p/n", Quota{9, {}}, who);
       }},
      {"check", read, false,
       [](World& w, const Identities& who) { return w.tree.check("/p/n", {}, who); }},
  };
  for (const auto& c : cases) {
    for (const bool is_granted : {false, true}) {
      World w;
      const auto acl =
          with(is_granted ? c.needed : static_cast<std::uint8_t>(all & ~unsigned{c.needed}));
      w.create("/p", c.of_parent ? CreateOptions{.acl = acl} : CreateOptions{});
      w.create("/p/n", c.of_parent ? CreateOptions{} : CreateOptions{.acl = acl}, Blob(""),
               kOperator);
      const auto got = c.verb(w, kNobody).code;
      EXPECT_EQ(got, is_granted ? Code::ok : Code::forbidden) << c.name;
      if (!is_granted) {
        EXPECT_EQ(c.verb(w, kOperator).code, Code::ok) << c.name;
      }
    }
  }
  World w;
  w.create("/p", {.acl = with(write)});
  EXPECT_EQ(w.tree.check_access("/p", read, kNobody), Code::forbidden);
  EXPECT_EQ(w.tree.check_access("/p", write, kNobody), Code::ok);
  EXPECT_EQ(w.tree.check_access("/x", read, kNobody), Code::no_node);
}

TEST(Tree, what_must_stay_cannot_be_deleted) {
  World w;
  w.create("/a");
  w.create("/a/b");
  for (const auto* path : {"/", "/.coord", "/zookeeper"}) {
    EXPECT_EQ(w.erase(path, {}, kOperator).code, Code::bad_request) << path;
    EXPECT_EQ(w.erase_tree(path, kOperator).code, Code::bad_request) << path;
  }
  EXPECT_EQ(w.erase("/a").code, Code::not_empty);
  EXPECT_EQ(w.set("/.coord", "x", {}, kOperator).code, Code::forbidden);
}

TEST(Tree, a_subtree_goes_children_first_within_its_limit) {
  World w({.delete_tree_nodes_max = 4});
  for (const auto* path : {"/t", "/t/b", "/t/b/x", "/t/a"}) w.create(path);
  EXPECT_EQ(w.erase_tree("/t").code, Code::ok);
  std::vector<std::string> paths;
  for (const auto& change : w.changes) paths.push_back(change.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"/t/a", "/t/b/x", "/t/b", "/t"}));
  for (const auto* path : {"/t", "/t/1", "/t/2", "/t/3", "/t/4"}) w.create(path);
  EXPECT_EQ(w.erase_tree("/t").code, Code::too_large);
  w.erase("/t/4");
  w.set_acl("/t", {{read, "world", "anyone"}});
  EXPECT_EQ(w.erase_tree("/t").code, Code::forbidden);
  EXPECT_EQ(w.erase_tree("/t", kOperator).code, Code::ok);
}

TEST(Tree, ephemerals_go_with_their_session_in_path_order) {
  World w;
  w.session = SessionId(7);
  for (const auto* path : {"/b", "/a", "/c"}) w.create(path, {.mode = Mode::ephemeral});
  w.session = SessionId(8);
  w.create("/d", {.mode = Mode::ephemeral});
  EXPECT_EQ(w.stat("/a").ephemeral_owner, SessionId(7));
  w.erase("/c");
  EXPECT_EQ(w.tree.ephemerals_of(SessionId(7)), (std::vector<std::string>{"/a", "/b"}));
  w.tree.begin(w.stamp());
  EXPECT_EQ(w.tree.erase_ephemerals(SessionId(7)), 2U);
  const auto changes = w.tree.commit(w.dirty);
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].path, "/a");
  EXPECT_EQ(changes[1].path, "/b");
  EXPECT_EQ(w.tree.ephemeral_count_of(SessionId(7)), 0U);
  EXPECT_EQ(w.tree.ephemeral_count_of(SessionId(8)), 1U);
}

TEST(Tree, a_quota_bounds_nodes_and_bytes_of_all_that_is_below) {
  World w;
  w.create("/q", {}, Blob("12345"));
  w.create("/q/in");
  EXPECT_EQ(w.set_quota("/q", Quota{3, 10}).code, Code::ok);
  EXPECT_EQ(w.tree.quota_of("/q")->nodes, 2U);
  EXPECT_EQ(w.tree.quota_of("/q")->bytes, 5U);
  EXPECT_EQ(w.create("/q/in/x/y", {.with_parents = true}).code, Code::quota);
  EXPECT_EQ(w.set("/q/in", "123456").code, Code::quota);
  EXPECT_EQ(w.set("/q/in", "12345").code, Code::ok);
  EXPECT_EQ(w.set("/q/in", "54321").code, Code::ok);
  const auto full = w.create("/q/in/x", {}, Blob("1"));
  EXPECT_EQ(full.code, Code::quota);
  EXPECT_EQ(full.detail, "the quota of /q is 3 nodes and 10 bytes; it has 2 nodes and 10 bytes");
  EXPECT_EQ(w.set_quota("/q/in", Quota{1, {}}).code, Code::ok);
  EXPECT_EQ(w.create("/q/in/x").code, Code::quota);
  EXPECT_EQ(w.set_quota("/q", Quota{{}, 1}).code, Code::ok) << "it may be exceeded already";
  EXPECT_EQ(w.set("/q", "1234").code, Code::ok) << "what does not grow is accepted";
  EXPECT_EQ(w.set("/q", "12345").code, Code::quota);
  EXPECT_EQ(w.set_quota("/q", std::nullopt).code, Code::ok);
  EXPECT_FALSE(w.tree.quota_of("/q"));
  EXPECT_EQ(w.set("/q", "12345678").code, Code::ok);
}

TEST(Tree, a_quota_taken_away_comes_back_with_a_rollback_beneath_new_children_too) {
  World w;
  w.create("/q");
  w.set_quota("/q", Quota{3, 10});
  const auto digest = w.tree.digest();
  const auto refused = w.run([](Tree& t) {
    EXPECT_EQ(t.set_quota("/q", std::nullopt, {}).code, Code::ok);
    EXPECT_EQ(t.create("/q/in", Blob("x"), {}, {}).code, Code::ok);
    return t.erase("/none", {}, {});
  });
  EXPECT_EQ(refused.code, Code::no_node);
  EXPECT_EQ(w.tree.quota_of("/q")->quota.nodes_max, 3U);
  EXPECT_EQ(w.tree.quota_of("/q")->nodes, 1U);
  EXPECT_EQ(w.tree.digest(), digest);
}

TEST(Tree, containers_and_ttl_nodes_are_due_when_their_time_has_passed) {
  World w({.container_grace_ms = 100});
  w.service_ms = 1000;
  w.create("/c", {.mode = Mode::container});
  w.create("/t", {.mode = Mode::ttl, .ttl_ms = 500});
  EXPECT_EQ(w.tree.next_deadline(), 1500) << "a container that never had a child stays";
  w.create("/c/x");
  w.service_ms = 1450;
  w.erase("/c/x");
  EXPECT_EQ(w.tree.due(1549, 9), (std::vector<std::string>{"/t"}));
  EXPECT_EQ(w.tree.due(1550, 9), (std::vector<std::string>{"/t", "/c"}));
  EXPECT_EQ(w.tree.due(1550, 1), (std::vector<std::string>{"/t"}));
  w.set("/t", "again");
  EXPECT_EQ(w.tree.next_deadline(), 1550);
  EXPECT_FALSE(w.reap("/c")) << "not yet";
  w.service_ms = 1550;
  EXPECT_TRUE(w.reap("/c"));
  EXPECT_FALSE(w.tree.get("/c"));
  EXPECT_FALSE(w.reap("/t"));
  w.create("/t/child");
  EXPECT_FALSE(w.tree.next_deadline()) << "a ttl node with children stays";
  w.service_ms = 5000;
  EXPECT_FALSE(w.reap("/t"));
  w.erase("/t/child");
  EXPECT_TRUE(w.reap("/t"));
}

TEST(Tree, changes_tell_what_was_before_and_after) {
  World w;
  w.session = SessionId(3);
  w.create("/a", {.content_type = "x/y"}, Blob("1"));
  ASSERT_EQ(w.changes.size(), 1U);
  EXPECT_EQ(w.changes[0].kind, ChangeKind::created);
  EXPECT_EQ(w.changes[0].value, Blob("1"));
  EXPECT_EQ(w.changes[0].session, SessionId(3));
  EXPECT_TRUE(w.changes[0].acl.empty());
  const auto before = w.stat("/a");
  w.set("/a", "2");
  EXPECT_EQ(w.changes[0].prev_value, Blob("1"));
  EXPECT_EQ(w.changes[0].prev_content_type, "x/y");
  EXPECT_EQ(w.changes[0].prev_stat, before);
  EXPECT_EQ(w.changes[0].stat, w.stat("/a"));
  w.set_acl("/a", kAnnOnly);
  EXPECT_EQ(w.changes[0].kind, ChangeKind::acl);
  EXPECT_EQ(w.changes[0].acl, kAnnOnly);
  const auto last = w.stat("/a");
  w.erase("/a");
  EXPECT_EQ(w.changes[0].kind, ChangeKind::deleted);
  EXPECT_EQ(w.changes[0].stat, last);
  EXPECT_EQ(w.changes[0].prev_value, Blob("2"));
  EXPECT_EQ(w.changes[0].acl, kAnnOnly);

  w.tree.begin(w.stamp());
  EXPECT_EQ(w.tree.create("/b", Blob(), {}, kNobody).code, Code::ok);
  EXPECT_EQ(w.tree.erase("/b", {}, kNobody).code, Code::ok);
  const auto both = w.tree.commit(w.dirty);
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0].kind, ChangeKind::created);
  EXPECT_EQ(both[1].kind, ChangeKind::deleted);
}

TEST(Tree, a_large_value_is_shared_and_outlives_its_node) {
  World w;
  const Blob large(std::string(Tree::kInlineValueMax + 1, 'x'));
  const Blob small(std::string(Tree::kInlineValueMax, 'y'));
  w.create("/large", {}, large);
  w.create("/small", {}, small);
  w.create("/null", {}, Blob());
  EXPECT_EQ(w.tree.get("/large")->value.data(), large.view().data());
  const auto kept = w.tree.value_of("/large");
  w.set("/large", "");
  EXPECT_EQ(kept, large);
  EXPECT_FALSE(w.tree.get("/large")->is_null);
  EXPECT_TRUE(w.tree.value_of("/null").is_null());
  EXPECT_EQ(w.tree.value_of("/small"), small);
  EXPECT_EQ(w.tree.value_bytes(), Tree::kInlineValueMax);
}

TEST(Tree, children_come_in_pages_by_prefix_and_in_byte_order) {
  World w;
  w.create("/d");
  for (const auto* name : {"b1", "a", "b3", "b2", "c", "\xc3\xa4"}) w.create(join("/d", name));
  const auto page = [&](std::string_view after, std::string_view prefix, std::size_t most) {
    std::vector<std::string> names;
    EXPECT_TRUE(w.tree.children("/d", after, prefix, [&](std::string_view name, const View&) {
      names.emplace_back(name);
      return names.size() < most;
    }));
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(page("", "", 9), (Names{"a", "b1", "b2", "b3", "c", "\xc3\xa4"}));
  EXPECT_EQ(page("", "", 2), (Names{"a", "b1"}));
  EXPECT_EQ(page("b1", "", 2), (Names{"b2", "b3"}));
  EXPECT_EQ(page("", "b", 9), (Names{"b1", "b2", "b3"}));
  EXPECT_EQ(page("b1", "b", 9), (Names{"b2", "b3"}));
  EXPECT_EQ(page("b15", "b", 1), (Names{"b2"}));
  EXPECT_EQ(page("c", "b", 9), Names{});
  EXPECT_FALSE(w.tree.children("/x", "", "", [](auto, auto&) { return true; }));
}

TEST(Tree, a_walk_is_bounded_in_depth_and_goes_on_after_any_path) {
  World w;
  for (const auto* path : {"/a", "/a/b", "/a/b/c", "/a-x", "/b"}) w.create(path);
  using Paths = std::vector<std::string>;
  EXPECT_EQ(w.walk("/", SIZE_MAX), (Paths{"/", "/a", "/a/b", "/a/b/c", "/a-x", "/b"}));
  EXPECT_EQ(w.walk("/", 1), (Paths{"/", "/a", "/a-x", "/b"}));
  EXPECT_EQ(w.walk("/a", 0), (Paths{"/a"}));
  EXPECT_EQ(w.walk("/", SIZE_MAX, "/a/b"), (Paths{"/a/b/c", "/a-x", "/b"}));
  EXPECT_EQ(w.walk("/", SIZE_MAX, "/a/gone"), (Paths{"/a-x", "/b"}));
  EXPECT_EQ(w.walk("/a", SIZE_MAX, "/a"), (Paths{"/a/b", "/a/b/c"}));
  EXPECT_EQ(w.walk("/a", SIZE_MAX, "/b"), Paths{});
  EXPECT_EQ(w.walk("/b", SIZE_MAX, "/a"), (Paths{"/b"}));
  EXPECT_EQ(w.walk("/.coord", SIZE_MAX), (Paths{"/.coord"}));
  EXPECT_EQ(w.tree.descendants_of("/a"), 2U);
}

TEST(Tree, loading_refuses_records_that_do_not_fit_together) {
  World w;
  w.create("/a", {.acl = kAnnOnly});
  w.create("/a/b", {}, Blob("v"), kAnnAnywhere);
  w.set_quota("/a", Quota{9, {}}, kAnnAnywhere);
  std::map<std::pair<Table, std::string>, std::string> records;
  DirtyMap everything;
  w.tree.put_all(everything);
  for (const auto& [key, bytes] : everything.records())
    records[{key.table, std::string(key.key)}] = *bytes;
  ASSERT_EQ(records.size(), 10U);
  const auto load = [&](const auto& from) {
    Tree tree(TreeLimits{});
    tree.set_next_node_id(w.tree.next_node_id());
    for (const auto& [key, bytes] : from) {
      if (auto problem = tree.load(key.first, key.second, bytes); !problem.empty()) return problem;
    }
    if (auto problem = tree.load_done(); !problem.empty()) return problem;
    tree.check_invariants();
    return tree.digest() == w.tree.digest() ? std::string() : std::string("another digest");
  };
  EXPECT_EQ(load(records), "");
  std::size_t refused = 0;
  for (const auto& [key, bytes] : records) {
    auto without = records;
    without.erase(key);
    refused += load(without).empty() ? 0 : 1;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      auto cut = records;
      cut[key].resize(size);
      EXPECT_NE(load(cut), "") << size;
    }
  }
  EXPECT_EQ(refused, records.size());
}

}  // namespace
}  // namespace coord::znode
