// ZooKeeper's quotas: a client writes them into nodes below /zookeeper/quota, and the tree keeps
// them. /zookeeper/quota/a/b/zookeeper_limits says what /a/b may have.
//
// ZooKeeper only warns of its soft limits (count, bytes); the hard ones refuse, and they alone are
// quotas here.
#include <charconv>
#include <optional>
#include <string>

#include "coord/core/state_machine.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

constexpr std::string_view kQuotaPath = "/zookeeper/quota";
constexpr std::string_view kLimitsName = "/zookeeper_limits";

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

}  // namespace

// The first quota makes the directory of all quotas.
void StateMachine::prepare_quota_node(std::string_view path) {
  if (!znode::is_within(path, kQuotaPath) || path == kQuotaPath) return;
  if (tree_.get(kQuotaPath)) return;
  const Identities service{{"super", ""}};
  static_cast<void>(tree_.create(kQuotaPath, Blob(), {}, service));
}

void StateMachine::follow_quota_node(std::string_view path, const Identities& identities) {
  if (!path.starts_with(kQuotaPath) || !path.ends_with(kLimitsName)) return;
  auto target = path.substr(kQuotaPath.size());
  target.remove_suffix(std::min(target.size(), kLimitsName.size()));
  if (target.empty()) target = "/";
  if (!tree_.get(target)) return;
  std::optional<znode::Quota> quota;
  if (const auto node = tree_.get(path)) {
    const znode::Quota wanted{limit_of(node->value, "countHardLimit="),
                              limit_of(node->value, "byteHardLimit=")};
    if (wanted.nodes_max || wanted.bytes_max) quota = wanted;
  }
  if (!quota && !tree_.quota_of(target)) return;
  // Without the right to administer the target the node is only a node.
  static_cast<void>(tree_.set_quota(target, quota, identities));
}

}  // namespace coord::core
