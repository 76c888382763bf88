// Services: an instance is listed exactly as long as the session that it hangs on lives, unless it
// is taken off the list; one with a ttl and the session of its own go together.
#include <fmt/format.h>

#include "coord/recipes/service_codec.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace service = recipes::service;

struct Instance {
  SessionId session;
  Zxid changed;
  bool has_ttl = false;
  friend bool operator==(const Instance&, const Instance&) = default;
};
using Instances = std::map<std::string, Instance>;

class ServiceJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    Instances now;
    for (const auto& [id, node] : nodes) {
      service::Instance record;
      if (id.empty()) continue;
      if (!service::parse(node.value, record)) return fmt::format("{} is no instance", id);
      now[id] = {node.owner, node.changed, record.ttl_ms > 0};
    }
    auto& versions = versions_[name];
    const auto before = versions.empty() ? Instances() : versions.rbegin()->second;
    if (auto wrong = check_there(entry, name, before, now); !wrong.empty()) return wrong;
    if (auto wrong = check_gone(entry, name, before, now); !wrong.empty()) return wrong;
    versions[entry.zxid] = std::move(now);
    return {};
  }

  std::string told(const RecipeTold& told) override {
    service::List query;
    service::Instances shown;
    if (told.is_step || !service::decode(told.bytes, query)) return {};
    const auto& versions = versions_[query.service];
    const auto after = versions.upper_bound(told.revision);
    const auto want = after == versions.begin() ? Instances() : std::prev(after)->second;
    if (told.answer->code == Code::not_found && want.empty()) return {};
    if (!told.is_ok() || !service::decode(told.answer->bytes, shown)) {
      return fmt::format("{} is told to be unknown at {}", query.service, told.revision);
    }
    Instances got;
    for (const auto& one : shown.instances) {
      got[one.id] = {one.session, one.changed, one.record.ttl_ms > 0};
    }
    if (got == want) return {};
    return fmt::format("client {} is shown other instances of {} at {}", told.client, query.service,
                       told.revision);
  }

  std::string at_end() const override {
    for (const auto& [name, versions] : versions_) {
      const bool is_there = !versions.empty() && !versions.rbegin()->second.empty();
      if (is_there) return fmt::format("an instance of {} stays", name);
    }
    return {};
  }

 private:
  static std::string check_there(const RecipeEntry& entry, const std::string& name,
                                 const Instances& before, const Instances& now) {
    for (const auto& [id, one] : now) {
      if (!entry.is_live(one.session)) return fmt::format("{} of {} has no session", id, name);
      const auto was = before.find(id);
      if (was != before.end() && was->second.session == one.session) continue;
      service::Register op;
      const bool is_enlisted = entry.act && entry.act->kind == recipes::Kind::service &&
                               entry.act->is_ok() && service::decode(entry.act->bytes, op) &&
                               op.service == name && op.instance == id &&
                               one.session == entry.act->session;
      if (!is_enlisted) return fmt::format("{} of {} comes by itself", id, name);
    }
    return {};
  }

  std::string check_gone(const RecipeEntry& entry, const std::string& name, const Instances& before,
                         const Instances& now) {
    for (const auto& [id, was] : before) {
      const auto at = now.find(id);
      if (at != now.end() && at->second.session == was.session) continue;
      if (!entry.is_live(was.session)) {
        count(Count::instance_gone);
        continue;
      }
      if (was.has_ttl) return fmt::format("the session of {} of {} is left behind", id, name);
      if (!is_taken_off(entry, name, id)) return fmt::format("{} of {} goes early", id, name);
    }
    return {};
  }

  static bool is_taken_off(const RecipeEntry& entry, const std::string& name,
                           const std::string& id) {
    if (!entry.act || entry.act->kind != recipes::Kind::service || !entry.act->is_ok()) {
      return false;
    }
    service::Register enlist;
    service::Deregister leave;
    if (service::decode(entry.act->bytes, enlist)) {
      return enlist.takes_over && enlist.service == name && enlist.instance == id;
    }
    return service::decode(entry.act->bytes, leave) && leave.service == name &&
           leave.instance == id;
  }

  std::map<std::string, std::map<Zxid, Instances>> versions_;
};

}  // namespace

std::unique_ptr<RecipeJudge> make_service_judge() { return std::make_unique<ServiceJudge>(); }

}  // namespace coord::sim
