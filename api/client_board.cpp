#include "api/client_board.hpp"

namespace coord::api {
namespace {

bool is_connected(const ClientBoard::Entry& entry) noexcept { return entry.use_count() > 1; }

bool is_old(const ClientBoard::Entry& entry, std::int64_t now_ms) noexcept {
  return !is_connected(entry) && now_ms - entry->seen_ms > ClientBoard::kSeenForMs;
}

}  // namespace

ClientBoard::Entry ClientBoard::note(std::string_view topic, SeenClient client) {
  // "-" is before every name: who gives none stands first, apart by address and labels.
  auto who = client.instance.empty() ? "-" + client.address + client.labels : client.instance;
  const std::pair key(std::string(topic), std::move(who));
  const auto known = seen_.find(key);
  if (known != seen_.end()) {
    *known->second = std::move(client);
    return known->second;
  }
  if (seen_.size() >= kEntriesMax) return nullptr;
  return seen_.emplace(key, std::make_shared<SeenClient>(std::move(client))).first->second;
}

void ClientBoard::each(
    std::string_view topic, std::int64_t now_ms,
    const std::function<void(const SeenClient& client, bool is_connected)>& show) const {
  for (auto at = seen_.lower_bound({std::string(topic), {}}); at != seen_.end(); ++at) {
    if (at->first.first != topic) return;
    if (!is_old(at->second, now_ms)) show(*at->second, is_connected(at->second));
  }
}

void ClientBoard::trim(std::int64_t now_ms) {
  std::erase_if(seen_, [&](const auto& entry) { return is_old(entry.second, now_ms); });
}

}  // namespace coord::api
