// A tree and sessions on which steps of recipes run, as core runs them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coord/recipes/deadlines.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::recipes {

class Bench {
 public:
  // A session that is live until end().
  SessionId open(std::int64_t ttl_ms = 10'000) {
    session::Session session;
    session.id = SessionId(next().value());
    session.ttl_ms = ttl_ms;
    EXPECT_EQ(sessions_.open(session, dirty_), Code::ok);
    return session.id;
  }

  // One entry. With `brings`: the session is the step's own, opened unless the answer ends it.
  Answer run(Kind kind, const std::string& bytes, SessionId session = {}) {
    return act(kind, bytes, session, false);
  }
  // The same, bringing a session: `opened` is its id, or none.
  Answer run_with_own(Kind kind, const std::string& bytes, SessionId& opened) {
    const auto answer = act(kind, bytes, {}, true);
    const SessionId id(zxid_.value());
    opened = sessions_.find(id) != nullptr ? id : SessionId();
    return answer;
  }
  Answer view(Kind kind, const std::string& bytes) {
    EXPECT_TRUE(is_query(kind, bytes));
    return recipes::view(kind, bytes, look());
  }
  void end(SessionId session) {
    begin({});
    end_session(session);
    finish();
  }
  bool is_live(SessionId session) const { return sessions_.find(session) != nullptr; }

  // Service time goes on, and what is due is done, in entries of their own.
  void pass(std::int64_t ms) {
    const auto until = now_ms + ms;
    while (deadlines_.soonest() && *deadlines_.soonest() <= until) {
      now_ms = std::max(now_ms, *deadlines_.soonest());
      const auto paths = deadlines_.due(now_ms, 100);
      begin({});
      tree.act_as_service();
      auto step = make_step({}, false, service_identities());
      for (const auto& path : paths) due(step, path);
      finish();
      for (const auto& path : paths) {  // Otherwise this would go on for ever.
        const auto again = deadlines_.of(path);
        ASSERT_TRUE(!again || *again > now_ms) << path;
      }
    }
    now_ms = until;
  }

  // What a load would find.
  Deadlines deadlines_anew() {
    Deadlines anew;
    tree.walk(kRoot, SIZE_MAX, {}, true, [&](std::string_view path, const znode::View&) {
      anew.set(path, deadline_of(look(), path));
      return true;
    });
    return anew;
  }
  const Deadlines& deadlines() const { return deadlines_; }
  std::string value(const std::string& path) const { return tree.value_of(path).str(); }
  std::vector<std::string> names(const std::string& path) const {
    std::vector<std::string> all;
    tree.children(path, {}, {}, [&](std::string_view name, const znode::View&) {
      all.emplace_back(name);
      return true;
    });
    return all;
  }
  Zxid zxid() const { return zxid_; }
  Look look() { return {tree, sessions_, zxid_, now_ms, service_identities()}; }

  znode::Tree tree{TreeLimits{}};
  std::int64_t now_ms = 1'000;
  std::vector<znode::Change> changes;  // Of the last entry.
  Identities identities{{"ip", "10.0.0.1"}};

 private:
  Zxid next() {
    zxid_ = zxid_.next();
    return zxid_;
  }
  void begin(SessionId session) {
    next();
    tree.begin({zxid_, now_ms, 1'700'000'000'000 + now_ms, session, true});
  }
  Step make_step(SessionId session, bool brings, const Identities& who) {
    return {tree, sessions_, zxid_, now_ms, 1'700'000'000'000 + now_ms, session, brings, who};
  }
  void end_session(SessionId session) {
    EXPECT_TRUE(sessions_.end(session, session::EndReason::closed, dirty_));
    tree.erase_ephemerals(session);
  }
  Answer act(Kind kind, const std::string& bytes, SessionId session, bool brings) {
    EXPECT_TRUE(is_step(kind, bytes));
    if (session && !is_live(session)) return refusal(Code::session_expired, "it has ended");
    const auto id = brings ? SessionId(zxid_.next().value()) : session;
    begin(id);
    auto step = make_step(id, brings, identities);
    auto answer = recipes::run(kind, bytes, step);
    if (answer.code != Code::ok && !answer.is_done) {
      tree.rollback();
      changes.clear();
      return answer;
    }
    if (brings && !answer.ends_session) {
      session::Session own;
      own.id = id;
      own.ttl_ms = 15'000;
      EXPECT_EQ(sessions_.open(own, dirty_), Code::ok);
    } else if (answer.ends_session && id && !brings) {
      end_session(id);
    }
    finish();
    return answer;
  }
  void finish() {
    tree.act_as_service();
    auto step = make_step({}, false, service_identities());
    if (!tree.pending_changes().empty()) settle(step);
    changes = tree.commit(dirty_);
    for (const auto& change : changes) {
      EXPECT_TRUE(!change.stat.ephemeral_owner || change.kind == znode::ChangeKind::deleted ||
                  is_live(change.stat.ephemeral_owner))
          << change.path;
      deadlines_.set(change.path, deadline_of(look(), change.path));
    }
    tree.check_invariants();
  }

  session::Registry sessions_{SessionLimits{}};
  Deadlines deadlines_;
  DirtyMap dirty_;
  Zxid zxid_;
};

}  // namespace coord::recipes
