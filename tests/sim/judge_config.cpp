// Configurations: releases are numbered one by one and never again, what a number means never
// changes, a guard holds, and who reads gets the release that is in force.
#include <fmt/format.h>

#include <charconv>

#include "coord/recipes/config.hpp"
#include "tests/sim/recipes_judge.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

namespace config = recipes::config;

constexpr std::string_view kWas = "was ";
constexpr std::string_view kReleases = "releases/";

struct Config {
  std::uint64_t last = 0;
  bool is_live = false;
  std::map<std::uint64_t, std::string> releases;
  [[nodiscard]] std::string value() const {
    const auto at = releases.find(last);
    return is_live && at != releases.end() ? at->second : std::string();
  }
};

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Config read_config(const RecipeNodes& nodes) {
  Config one;
  for (const auto& [name, node] : nodes) {
    if (name.empty()) {
      const bool was = node.value.starts_with(kWas);
      one.last = number_in(std::string_view(node.value).substr(was ? kWas.size() : 0));
      one.is_live = !was && one.last != 0;
    }
    const bool is_release = name.starts_with(kReleases) && !name.ends_with("/note");
    if (is_release) one.releases[number_in(name.substr(kReleases.size()))] = node.value;
  }
  return one;
}

class ConfigJudge final : public RecipeJudge {
 public:
  std::string change(const RecipeEntry& entry, const std::string& name,
                     const RecipeNodes& nodes) override {
    auto now = read_config(nodes);
    const auto& before = configs_[name];
    config::Step op;
    const bool is_act = entry.act && entry.act->kind == recipes::Kind::config &&
                        entry.act->is_ok() && config::decode(entry.act->bytes, op) &&
                        op.name == name;
    if (!is_act) return fmt::format("{} changes by itself", name);
    if (auto wrong = check_numbers(op, before, now); !wrong.empty()) return wrong;
    if (auto wrong = check_kept(op, before, now); !wrong.empty()) return wrong;
    versions_[name][entry.zxid] = {now.is_live ? now.last : 0, now.value()};
    configs_[name] = std::move(now);
    return {};
  }

  std::string told(const RecipeTold& told) override {
    config::Query query;
    config::Items items;
    if (told.is_step || !config::decode(told.bytes, query)) return {};
    if (query.ask != config::Ask::present) return {};
    const auto at = versions_.find(query.name);
    Version want;
    if (at != versions_.end()) {
      const auto after = at->second.upper_bound(told.revision);
      if (after != at->second.begin()) want = std::prev(after)->second;
    }
    if (told.answer->code == Code::not_found && want.release == 0) return {};
    const bool is_right = told.is_ok() && config::decode(told.answer->bytes, items) &&
                          items.items.size() == 1 && told.answer->values.size() == 1 &&
                          items.items.front().release == want.release &&
                          told.answer->values.front().view() == want.value;
    if (is_right) return {};
    return fmt::format("client {} reads another release of {} at {}", told.client, query.name,
                       told.revision);
  }

 private:
  struct Version {
    std::uint64_t release = 0;
    std::string value;
  };

  std::string check_numbers(const config::Step& op, const Config& before, const Config& now) {
    const bool publishes = op.act == config::Act::publish || op.act == config::Act::roll_back;
    if (now.last != before.last + (publishes ? 1 : 0)) {
      return fmt::format("release {} of {} after {}", now.last, op.name, before.last);
    }
    if (!publishes) return {};
    count(Count::config_released);
    const bool is_guarded = op.if_release && (!before.is_live || *op.if_release != before.last);
    if (is_guarded || (op.if_absent && before.is_live)) {
      return fmt::format("release {} of {} comes in spite of its guard", now.last, op.name);
    }
    const auto from = before.releases.find(op.to);
    const bool is_back = op.act == config::Act::roll_back;
    if (is_back && from == before.releases.end()) {
      return fmt::format("{} goes back to what is not there", op.name);
    }
    const auto& want = is_back ? from->second : op.value.str();
    if (now.is_live && now.value() == want) return {};
    return fmt::format("release {} of {} is not what was published", now.last, op.name);
  }

  static std::string check_kept(const config::Step& op, const Config& before, const Config& now) {
    if (op.act == config::Act::erase) {
      const bool is_gone = !now.is_live && now.releases.empty();
      return is_gone ? std::string() : fmt::format("{} is erased, and stays", op.name);
    }
    for (const auto& [number, value] : before.releases) {
      const auto at = now.releases.find(number);
      if (at != now.releases.end()) {
        if (at->second != value) return fmt::format("release {} changes", number);
        continue;
      }
      // The oldest are trimmed.
      const bool is_oldest = !now.releases.empty() && number < now.releases.begin()->first;
      if (!is_oldest) return fmt::format("release {} of {} is lost", number, op.name);
    }
    return {};
  }

  std::map<std::string, Config> configs_;
  std::map<std::string, std::map<Zxid, Version>> versions_;
};

}  // namespace

std::unique_ptr<RecipeJudge> make_config_judge() { return std::make_unique<ConfigJudge>(); }

}  // namespace coord::sim
