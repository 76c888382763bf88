// Watcher: a watch that goes on over lost connections, members and restarts, with no event lost
// and none given twice.
//
// WatchProgress is the pure half: it knows what was given to the caller and from where to resume.
// The id of a stream stands only on the last event of a transaction, so events are held back until
// theirs has come; what a cut leaves half is forgotten and comes again. Thread rule: values.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/client.hpp"
#include "cli/stream_parser.hpp"

namespace coord::cli {

using Json = nlohmann::ordered_json;

struct WatchPlan {
  std::vector<std::string> paths;  // Absolute, at least one.
  std::string depth;               // "0", "1", "all"; empty: the server's default.
  std::string consistency;         // Of the opening; empty: the server's default.
  std::optional<std::uint64_t> from;
  bool with_initial = false;
  bool with_values = false;
  bool with_previous = false;
};

class WatchProgress {
 public:
  explicit WatchProgress(WatchPlan plan) : plan_(std::move(plan)) {}

  // The target of the next connection: the first time as planned, then from where we are.
  [[nodiscard]] std::string target() const;
  // The events that are whole with this one, in order. Bookmarks are not among them.
  [[nodiscard]] std::vector<Json> take(const SseEvent& event);
  // The connection is gone: what was half is forgotten.
  void cut();
  // The server has ended this stream.
  [[nodiscard]] bool is_ended() const noexcept { return is_ended_; }
  // Why, if it was for good.
  [[nodiscard]] const std::optional<Trouble>& end() const noexcept { return end_; }
  // The revision up to which everything was given out, if any is known.
  [[nodiscard]] std::optional<std::uint64_t> position() const noexcept { return position_; }

 private:
  WatchPlan plan_;
  std::vector<Json> held_;
  std::optional<std::uint64_t> position_;
  std::optional<Trouble> end_;
  bool is_initial_done_ = false;
  bool is_ended_ = false;
  bool was_opened_ = false;  // This connection's opening bookmark has come.
};

// Gives every event to `on_event` until that answers false (then: success), the stream ends for
// good, or an interrupt. Reconnects for ever once it has been open; `on_note` is told of it.
[[nodiscard]] Outcome<void> run_watch(Client& client, const WatchPlan& plan,
                                      const std::function<bool(const Json&)>& on_event,
                                      const std::function<void(const std::string&)>& on_note);

}  // namespace coord::cli
