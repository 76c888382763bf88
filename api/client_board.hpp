// ClientBoard: which clients this member has lately told what, as they described themselves.
//
// For operators: who runs which release. In memory, of this member alone, and lost with it; nothing
// is written because somebody reads. A client with an open stream stays on the board as long as the
// stream holds its entry; another one goes kSeenForMs after its last request. When the board is
// full, newcomers are left out. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace coord::api {

struct SeenClient {
  std::string instance;  // Empty: it did not say.
  std::string address;
  std::string labels;  // A JSON object.
  std::uint64_t release = 0;
  bool is_gray = false;
  std::int64_t seen_ms = 0;
};

class ClientBoard {
 public:
  static constexpr std::size_t kEntriesMax = 20'000;
  static constexpr std::int64_t kSeenForMs = 15 * 60 * 1000;  // Longer than any long poll.
  using Entry = std::shared_ptr<SeenClient>;

  // `topic`: the configuration. Null when the board is full.
  Entry note(std::string_view topic, SeenClient client);
  // By instance, then by address.
  void each(std::string_view topic, std::int64_t now_ms,
            const std::function<void(const SeenClient& client, bool is_connected)>& show) const;
  // Lets go of those not seen for long. Call it now and then.
  void trim(std::int64_t now_ms);
  [[nodiscard]] std::size_t size() const noexcept { return seen_.size(); }

 private:
  std::map<std::pair<std::string, std::string>, Entry> seen_;
};

}  // namespace coord::api
