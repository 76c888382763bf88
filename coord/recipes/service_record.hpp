// ServiceRecord: one registered instance of a service, and the text of its node.
//
// The node /.coord/services/NAME/INSTANCE holds lines of key=value: what was registered (address,
// port, weight, ttl_ms, tag, meta.KEY, check), then what the service itself knows of it (failing,
// maintenance). Nothing in it needs quoting, since no value has a control character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/base/ids.hpp"

namespace coord::recipes::service {

inline constexpr std::size_t kInstancesMax = 50'000;  // Of one service.
inline constexpr std::size_t kTagsMax = 64;
inline constexpr std::size_t kMetaMax = 64;
inline constexpr std::size_t kChecksMax = 8;
inline constexpr std::size_t kTagBytesMax = 128;
inline constexpr std::size_t kMetaValueBytesMax = 1'024;
inline constexpr std::size_t kTargetBytesMax = 1'024;
inline constexpr std::size_t kReasonBytesMax = 512;
inline constexpr std::uint32_t kWeightMax = 65'535;  // As SRV records carry it.
inline constexpr std::int64_t kIntervalMsMin = 100;
inline constexpr std::int64_t kIntervalMsMax = 3'600'000;
inline constexpr std::int64_t kTimeoutMsMin = 10;
inline constexpr std::int64_t kTimeoutMsMax = 60'000;

enum class CheckKind : std::uint8_t { http = 1, tcp = 2 };
[[nodiscard]] std::string_view word_of(CheckKind kind) noexcept;

struct Check {
  CheckKind kind = CheckKind::http;
  std::string target;  // A URL, or HOST:PORT.
  std::int64_t interval_ms = 10'000;
  std::int64_t timeout_ms = 2'000;
  friend bool operator==(const Check&, const Check&) = default;
};

// Where a check goes.
struct Target {
  std::string host;  // A name or an address, IPv6 without its brackets.
  std::uint16_t port = 0;
  std::string path;  // Of a URL: "/..." with its query.
};
// None if it is neither http://HOST[:PORT][/PATH] nor (tcp) HOST:PORT.
[[nodiscard]] std::optional<Target> target_of(const Check& check);

struct Instance {
  std::string address;
  std::uint32_t port = 0;  // Zero: it has none.
  std::uint32_t weight = 1;
  std::int64_t ttl_ms = 0;  // Above zero: it hangs on a session of its own with this ttl.
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> meta;  // Sorted by key.
  std::vector<Check> checks;
  // As far as the service knows, one for each check: why it fails, or nothing.
  std::vector<std::optional<std::string>> failing;
  std::optional<std::string> maintenance;  // Why; may be empty.
  friend bool operator==(const Instance&, const Instance&) = default;
};

// No check fails, and it is not in maintenance.
[[nodiscard]] bool is_healthy(const Instance& instance) noexcept;
[[nodiscard]] bool has_tag(const Instance& instance, std::string_view tag) noexcept;

// What is wrong with what is to be registered, or nothing.
[[nodiscard]] std::string problem_of(const Instance& instance);
// The same of one text that goes into a line.
[[nodiscard]] bool is_one_line(std::string_view text) noexcept;

[[nodiscard]] std::string to_text(const Instance& instance);
// False if it is not such a text; nothing is taken on trust.
[[nodiscard]] bool parse(std::string_view text, Instance& instance);

// What the service knows of the instance stays when it is registered anew: its maintenance, and the
// state of the checks that it still has.
void keep_state(const Instance& before, Instance& after);

// Which of the members that run checks has those of this instance: none of them if there is none.
// A member that goes or comes moves its own share and no other.
[[nodiscard]] MemberId checker_of(std::string_view service, std::string_view instance,
                                  const std::vector<MemberId>& checkers);

}  // namespace coord::recipes::service
