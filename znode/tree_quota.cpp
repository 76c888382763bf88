// Quotas and deadlines.
#include <fmt/format.h>

#include "coord/base/check.hpp"
#include "znode/tree_impl.hpp"

namespace coord::znode {
namespace {

std::string words_of(const Quota& quota) {
  if (!quota.bytes_max) return fmt::format("{} nodes", *quota.nodes_max);
  if (!quota.nodes_max) return fmt::format("{} bytes", *quota.bytes_max);
  return fmt::format("{} nodes and {} bytes", *quota.nodes_max, *quota.bytes_max);
}

bool is_broken(const std::optional<std::uint64_t>& most, std::uint64_t used, std::uint64_t more) {
  return most && more > 0 && (used >= *most || more > *most - used);
}

}  // namespace

Outcome Tree::Impl::set_quota(std::string_view path, const std::optional<Quota>& quota,
                              const Identities& who) {
  if (auto no = refuse_service(path); no.code != Code::ok) return no;
  auto* const node = find(path);
  if (node == nullptr) return missing(path, false);
  if (!may(*node, admin, who)) {
    return refused(Code::forbidden, path, "the ACL does not grant ADMIN");
  }
  Outcome done{Code::ok, {}, std::string(path), node->stat()};
  const bool is_wanted = quota.has_value();
  const bool was_set = node->extension != nullptr && node->extension->quota;
  if (!is_wanted && !was_set) return done;

  auto* const extension = extend(node);
  const auto key = key_of(node->id);
  std::unique_ptr<QuotaUsage> fresh;
  if (was_set) digest -= record_hash(Table::quotas, key, encode_quota(extension->quota->quota));
  if (is_wanted) {
    fresh = std::make_unique<QuotaUsage>();
    fresh->quota = *quota;
    digest += record_hash(Table::quotas, key, encode_quota(*quota));
  }
  quota_records.push_back({node->id, is_wanted ? quota : std::nullopt});
  steps.push_back({Step::Kind::quota, node, nullptr, 0, {}, 0, {}, 0, false});
  quotas_before.push_back(std::exchange(extension->quota, std::move(fresh)));
  if (is_wanted && was_set) {
    extension->quota->nodes = quotas_before.back()->nodes;
    extension->quota->bytes = quotas_before.back()->bytes;
  } else if (is_wanted) {
    measure(*extension);
  }
  quota_count += is_wanted ? 1 : 0;
  quota_count -= was_set ? 1 : 0;
  return done;
}

Outcome Tree::Impl::refuse_growth(std::string_view path, const Node* node, std::uint64_t nodes,
                                  std::uint64_t bytes) const {
  if (quota_count == 0) return {};
  for (; node != nullptr; node = node->parent_node()) {
    if (node->extension == nullptr || !node->extension->quota) continue;
    const auto& [quota, nodes_used, bytes_used] = *node->extension->quota;
    if (!is_broken(quota.nodes_max, nodes_used, nodes) &&
        !is_broken(quota.bytes_max, bytes_used, bytes)) {
      continue;
    }
    return refused(Code::quota, path,
                   fmt::format("the quota of {} is {}; it has {} nodes and {} bytes", node->path(),
                               words_of(quota), nodes_used, bytes_used));
  }
  return {};
}

void Tree::Impl::account(Node* node, std::int64_t nodes, std::int64_t bytes) {
  if (quota_count == 0) return;
  for (; node != nullptr; node = node->parent_node()) {
    if (node->extension == nullptr || !node->extension->quota) continue;
    auto& usage = *node->extension->quota;
    usage.nodes += static_cast<std::uint64_t>(nodes);
    usage.bytes += static_cast<std::uint64_t>(bytes);
  }
}

void Tree::Impl::measure(Extension& extension) const {
  auto& usage = *extension.quota;
  usage.nodes = usage.bytes = 0;
  std::vector<const Node*> left{extension.node};
  while (!left.empty()) {
    const auto* const node = left.back();
    left.pop_back();
    ++usage.nodes;
    usage.bytes += node->value().size();
    if (node->extension == nullptr) continue;
    for (auto* const child : node->extension->children) left.push_back(child);
  }
}

// The index follows from the state: called after any change of what wanted_deadline() reads.
void Tree::Impl::refresh_deadline(Extension* extension) {
  const auto wanted = extension->wanted_deadline(limits.container_grace_ms);
  if (wanted == extension->deadline_ms) return;
  const auto id = extension->node->id;
  if (extension->deadline_ms != kNoDeadline) deadlines.erase({extension->deadline_ms, id});
  if (wanted != kNoDeadline) deadlines[{wanted, id}] = extension;
  extension->deadline_ms = wanted;
}

}  // namespace coord::znode
