#include "coord/recipes/service_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "coord/base/checksum.hpp"
#include "coord/recipes/recipe.hpp"

namespace coord::recipes::service {
namespace {

constexpr std::string_view kMetaPrefix = "meta.";
constexpr std::string_view kScheme = "http://";

template <class Number>
bool parse_number(std::string_view text, Number& number) {
  const auto* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end;
}

// The text up to the next blank, which goes too.
std::string_view take_word(std::string_view& rest) {
  const auto blank = std::min(rest.find(' '), rest.size());
  const auto word = rest.substr(0, blank);
  rest.remove_prefix(std::min(blank + 1, rest.size()));
  return word;
}

bool parse_check(std::string_view text, Check& check) {
  const auto kind = take_word(text);
  check.kind = kind == "tcp" ? CheckKind::tcp : CheckKind::http;
  const bool has_interval = parse_number(take_word(text), check.interval_ms);
  const bool has_timeout = parse_number(take_word(text), check.timeout_ms);
  check.target = text;
  return kind == word_of(check.kind) && has_interval && has_timeout && !check.target.empty();
}

bool parse_failing(std::string_view text, Instance& instance) {
  std::size_t check = 0;
  if (!parse_number(take_word(text), check) || check >= instance.failing.size()) return false;
  instance.failing[check] = text;
  return true;
}

bool parse_line(std::string_view key, std::string_view value, Instance& instance) {
  if (key == "address") {
    instance.address = value;
  } else if (key == "port") {
    return parse_number(value, instance.port);
  } else if (key == "weight") {
    return parse_number(value, instance.weight);
  } else if (key == "ttl_ms") {
    return parse_number(value, instance.ttl_ms);
  } else if (key == "tag") {
    instance.tags.emplace_back(value);
  } else if (key.starts_with(kMetaPrefix)) {
    instance.meta.emplace_back(key.substr(kMetaPrefix.size()), value);
  } else if (key == "check") {
    instance.failing.emplace_back();
    return parse_check(value, instance.checks.emplace_back());
  } else if (key == "failing") {
    return parse_failing(value, instance);
  } else if (key == "maintenance") {
    instance.maintenance = value;
  } else {
    return false;
  }
  return true;
}

bool is_address(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == ':' || c == '-' || c == '_';
         });
}

std::string problem_of(const Check& check) {
  if (!target_of(check)) {
    return check.kind == CheckKind::http ? "an http check goes to http://HOST[:PORT][/PATH]"
                                         : "a tcp check goes to HOST:PORT";
  }
  if (check.interval_ms < kIntervalMsMin || check.interval_ms > kIntervalMsMax) {
    return fmt::format("interval_ms must be {} to {}", kIntervalMsMin, kIntervalMsMax);
  }
  if (check.timeout_ms < kTimeoutMsMin || check.timeout_ms > kTimeoutMsMax) {
    return fmt::format("timeout_ms must be {} to {}", kTimeoutMsMin, kTimeoutMsMax);
  }
  return {};
}

std::string problem_of_meta(const Instance& instance) {
  if (instance.meta.size() > kMetaMax) return fmt::format("meta has at most {} keys", kMetaMax);
  for (std::size_t i = 0; i < instance.meta.size(); ++i) {
    const auto& [key, value] = instance.meta[i];
    if (!name_error(key).empty()) return fmt::format("meta: \"{}\" cannot be a key", key);
    if (i > 0 && key <= instance.meta[i - 1].first) return "meta: the keys must be sorted";
    if (value.size() > kMetaValueBytesMax || !is_one_line(value)) {
      return fmt::format("meta.{}: at most {} bytes, without control characters", key,
                         kMetaValueBytesMax);
    }
  }
  return {};
}

}  // namespace

std::string_view word_of(CheckKind kind) noexcept {
  return kind == CheckKind::http ? "http" : "tcp";
}

std::optional<Target> target_of(const Check& check) {
  std::string_view text = check.target;
  if (text.size() > kTargetBytesMax || !is_one_line(text)) return std::nullopt;
  if (text.find(' ') != std::string_view::npos) return std::nullopt;
  Target target;
  if (check.kind == CheckKind::http) {
    if (!text.starts_with(kScheme)) return std::nullopt;
    text.remove_prefix(kScheme.size());
    const auto end = std::min(text.find_first_of("/?"), text.size());
    target.path = text.substr(end);
    target.path.resize(std::min(target.path.find('#'), target.path.size()));
    if (!target.path.starts_with('/')) target.path.insert(0, 1, '/');
    text = text.substr(0, end);
    target.port = 80;
  }
  const auto bracket = text.rfind(']');
  const auto colon = text.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    if (!parse_number(text.substr(colon + 1), target.port)) return std::nullopt;
    text = text.substr(0, colon);
  }
  const bool is_v6 = text.starts_with('[') && text.ends_with(']') && text.size() > 2;
  if (is_v6) text = text.substr(1, text.size() - 2);
  target.host = text;
  if (!is_address(target.host) || target.port == 0) return std::nullopt;
  if (!is_v6 && target.host.find(':') != std::string::npos) return std::nullopt;
  return target;
}

bool is_healthy(const Instance& instance) noexcept {
  return !instance.maintenance && std::none_of(instance.failing.begin(), instance.failing.end(),
                                               [](const auto& why) { return why.has_value(); });
}

bool has_tag(const Instance& instance, std::string_view tag) noexcept {
  return std::find(instance.tags.begin(), instance.tags.end(), tag) != instance.tags.end();
}

bool is_one_line(std::string_view text) noexcept {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string problem_of(const Instance& instance) {
  if (!is_address(instance.address)) {
    return "address must be an IP address or a host name of at most 255 bytes";
  }
  if (instance.port > 65'535) return "port must be 0 to 65535";
  if (instance.weight > kWeightMax) return fmt::format("weight must be 0 to {}", kWeightMax);
  if (instance.ttl_ms < 0) return "ttl_ms must not be negative";
  if (instance.tags.size() > kTagsMax) return fmt::format("there are at most {} tags", kTagsMax);
  for (const auto& tag : instance.tags) {
    if (tag.empty() || tag.size() > kTagBytesMax || !is_one_line(tag)) {
      return fmt::format("a tag has 1 to {} bytes, without control characters", kTagBytesMax);
    }
  }
  if (auto problem = problem_of_meta(instance); !problem.empty()) return problem;
  if (instance.checks.size() > kChecksMax) {
    return fmt::format("there are at most {} checks", kChecksMax);
  }
  for (const auto& check : instance.checks) {
    if (auto problem = problem_of(check); !problem.empty()) return problem;
  }
  return {};
}

std::string to_text(const Instance& instance) {
  std::string text;
  auto out = std::back_inserter(text);
  fmt::format_to(out, "address={}\nport={}\nweight={}\n", instance.address, instance.port,
                 instance.weight);
  if (instance.ttl_ms > 0) fmt::format_to(out, "ttl_ms={}\n", instance.ttl_ms);
  for (const auto& tag : instance.tags) fmt::format_to(out, "tag={}\n", tag);
  for (const auto& [key, value] : instance.meta) {
    fmt::format_to(out, "{}{}={}\n", kMetaPrefix, key, value);
  }
  for (const auto& check : instance.checks) {
    fmt::format_to(out, "check={} {} {} {}\n", word_of(check.kind), check.interval_ms,
                   check.timeout_ms, check.target);
  }
  for (std::size_t i = 0; i < instance.failing.size(); ++i) {
    if (instance.failing[i]) fmt::format_to(out, "failing={} {}\n", i, *instance.failing[i]);
  }
  if (instance.maintenance) fmt::format_to(out, "maintenance={}\n", *instance.maintenance);
  return text;
}

bool parse(std::string_view text, Instance& instance) {
  instance = Instance();
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return false;
    if (!parse_line(line.substr(0, equals), line.substr(equals + 1), instance)) return false;
  }
  return !instance.address.empty();
}

void keep_state(const Instance& before, Instance& after) {
  after.maintenance = before.maintenance;
  after.failing.assign(after.checks.size(), std::nullopt);
  for (std::size_t i = 0; i < after.checks.size(); ++i) {
    const auto at = std::find(before.checks.begin(), before.checks.end(), after.checks[i]);
    if (at == before.checks.end()) continue;
    const auto old = static_cast<std::size_t>(at - before.checks.begin());
    if (old < before.failing.size()) after.failing[i] = before.failing[old];
  }
}

MemberId checker_of(std::string_view service, std::string_view instance,
                    const std::vector<MemberId>& checkers) {
  MemberId best;
  std::uint64_t best_score = 0;
  const auto seed = checksum(instance, checksum(service));
  for (const auto member : checkers) {
    const auto score = checksum(fmt::format("{}", member), seed);
    if (best && score <= best_score) continue;
    best = member;
    best_score = score;
  }
  return best;
}

}  // namespace coord::recipes::service
