// ZooKeeper's quotas: a client writes them into nodes below /zookeeper/quota, and the tree keeps
// them. /zookeeper/quota/a/b/zookeeper_limits says what /a/b may have, and zookeeper_stats beside
// it, when it is read, what /a/b has.
//
// ZooKeeper only warns of its soft limits (count, bytes); the hard ones alone refuse here. With
// none the quota only measures.
#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>

#include "coord/core/reads.hpp"
#include "coord/core/state_machine.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

using znode::kQuotaPath;
constexpr std::string_view kLimitsName = "/zookeeper_limits";
constexpr std::string_view kStatsName = "/zookeeper_stats";

// "count=5,bytes=-1=;byteHardLimit=100;countHardLimit=-1": the number behind the name, none if it
// is missing, malformed or negative.
std::optional<std::uint64_t> limit_of(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + name.size());
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

// Of which node /zookeeper/quota/a/b/NAME tells, if the path is one such.
std::optional<std::string_view> target_of(std::string_view path, std::string_view name) {
  if (!path.ends_with(name) || !path.starts_with(kQuotaPath)) return std::nullopt;
  path.remove_suffix(name.size());
  if (path.size() < kQuotaPath.size()) return std::nullopt;
  path.remove_prefix(kQuotaPath.size());
  if (path.empty()) return "/";
  return path.front() == '/' ? std::optional(path) : std::nullopt;
}

}  // namespace

void StateMachine::follow_quota_node(std::string_view path, const Identities& identities) {
  const auto target = target_of(path, kLimitsName);
  if (!target || !tree_.get(*target)) return;
  std::optional<znode::Quota> quota;
  if (const auto node = tree_.get(path)) {
    quota = znode::Quota{limit_of(node->value, "countHardLimit="),
                         limit_of(node->value, "byteHardLimit=")};
  }
  if (!quota && !tree_.quota_of(*target)) return;
  // Without the right to administer the target the node is only a node.
  static_cast<void>(tree_.set_quota(*target, quota, identities));
}

std::vector<std::string> StateMachine::quota_nodes_of(const Delete& op) const {
  std::vector<std::string> paths;
  if (!znode::is_within(op.path, kQuotaPath)) return paths;
  // More than a deletion takes are not looked at: it is refused.
  std::size_t left = limits_.tree.delete_tree_nodes_max;
  tree_.walk(op.path, op.is_recursive ? SIZE_MAX : 0, {}, true,
             [&](std::string_view path, const znode::View&) {
               if (path.ends_with(kLimitsName)) paths.emplace_back(path);
               return left-- > 1;
             });
  return paths;
}

std::optional<std::string> quota_stats(const znode::Tree& tree, std::string_view path) {
  const auto target = target_of(path, kStatsName);
  if (!target) return std::nullopt;
  const auto usage = tree.quota_of(*target);
  if (!usage) return std::nullopt;
  return fmt::format("count={},bytes={}", usage->nodes, usage->bytes);
}

}  // namespace coord::core
