#include "cli/watcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "coord/base/code.hpp"

namespace coord::cli {
namespace {

using std::chrono::milliseconds;

// The server sends a comment every 10 s: three missing ones mean a dead connection.
constexpr milliseconds kIdle{30'000};
constexpr milliseconds kBackoffMin{50};
constexpr milliseconds kBackoffMax{2'000};

std::optional<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Any other event ends the stream, and its type is the code of why. None if it may be resumed: the
// member has lost its leader, or the reader was too slow.
std::optional<Trouble> trouble_of_end(const std::string& type, const Json& data) {
  for (int value = 0; value < 256; ++value) {
    const auto code = code_from(static_cast<std::uint8_t>(value));
    if (!code || word_of(*code) != type) continue;
    if (is_retryable(*code)) return std::nullopt;
    Json problem = data.is_object() ? data : Json::object();
    problem["code"] = type;
    return trouble_of(status_of(*code), problem.dump());
  }
  return std::nullopt;
}

bool is_event(const std::string& type) {
  return type == "created" || type == "changed" || type == "deleted";
}

}  // namespace

std::string WatchProgress::target() const {
  Target target("/v1/watch");
  for (const std::string& path : plan_.paths) target.add("path", path);
  if (!plan_.depth.empty()) target.add("depth", plan_.depth);
  if (plan_.with_values) target.add("values", "true");
  if (plan_.with_previous) target.add("prev", "true");
  if (plan_.with_initial && !is_initial_done_) {
    // Nothing of the present state was given out yet, so the whole of it may come (again).
    target.add("initial", "true");
    if (plan_.from) target.add("from", std::to_string(*plan_.from));
  } else if (position_) {
    target.add("from", std::to_string(*position_));
  } else if (plan_.from) {
    target.add("from", std::to_string(*plan_.from));
  }
  return target.text();
}

std::vector<Json> WatchProgress::take(const SseEvent& event) {
  std::vector<Json> out;
  const bool is_bookmark = event.type == "bookmark";
  Json data = Json::parse(event.data, nullptr, false);
  if (is_event(event.type)) {
    if (data.is_object()) held_.push_back(std::move(data));
  } else if (!is_bookmark && event.type != "message") {
    end_ = trouble_of_end(event.type, data);
    is_ended_ = true;
    return out;
  }
  // The present state is through once some of it, or a bookmark after the opening one, has come.
  const bool is_later_bookmark = is_bookmark && was_opened_;
  if (is_bookmark) was_opened_ = true;
  const auto id = event.id ? number_of(*event.id) : std::nullopt;
  if (!id) return out;
  out = std::exchange(held_, {});
  position_ = id;
  is_initial_done_ = is_initial_done_ || !out.empty() || is_later_bookmark;
  return out;
}

void WatchProgress::cut() {
  held_.clear();
  is_ended_ = false;
  was_opened_ = false;
}

Outcome<void> run_watch(Client& client, const WatchPlan& plan,
                        const std::function<bool(const Json&)>& on_event,
                        const std::function<void(const std::string&)>& on_note) {
  WatchProgress progress(plan);
  bool was_open = false;
  bool is_enough = false;
  milliseconds backoff = kBackoffMin;
  while (true) {
    SseParser parser;
    bool has_news = false;
    const Call call{"GET", progress.target(), {{"Accept", "text/event-stream"}}, {}};
    const auto answer = client.stream(
        call,
        [&](std::string_view piece) {
          for (const SseEvent& event : parser.feed(piece)) {
            has_news = true;
            for (const Json& whole : progress.take(event)) {
              if (!is_enough) is_enough = !on_event(whole);
            }
            if (is_enough || progress.is_ended()) return false;
          }
          return parser.ok();
        },
        kIdle);
    if (is_enough) return success();
    if (progress.end()) return *progress.end();
    if (!parser.ok()) return Trouble{Exit::other, "an event of the stream is too large", {}};
    if (answer && answer.value().status == 200) {
      was_open = true;
    } else if (answer && answer.value().status < 500) {
      return trouble_of(answer.value().status, answer.value().body);
    } else if (answer && !was_open) {
      return trouble_of(answer.value().status, answer.value().body);
    } else if (!answer && (!was_open || answer.error().exit == Exit::interrupted)) {
      return answer.error();
    }
    progress.cut();
    const auto from = progress.position();
    if (has_news) backoff = kBackoffMin;
    on_note(fmt::format("the stream was cut, resuming from {}",
                        from ? fmt::format("revision {}", *from) : "the start"));
    if (!client.pause(backoff)) return Trouble{Exit::interrupted, {}, {}};
    backoff = std::min(backoff * 2, kBackoffMax);
  }
}

}  // namespace coord::cli
