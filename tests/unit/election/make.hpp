// Short ways to write down entries and memberships in tests.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "election/entry.hpp"
#include "election/membership.hpp"

namespace coord::election {

inline SharedEntry entry(std::uint64_t index, std::uint64_t term, std::string payload = "") {
  return std::make_shared<LogEntry>(
      LogEntry{Term(term), Index(index), EntryKind::command, std::move(payload)});
}

// Entries from `first` on, with these terms.
inline std::vector<SharedEntry> entries(std::uint64_t first,
                                        std::initializer_list<std::uint64_t> terms) {
  std::vector<SharedEntry> all;
  for (const auto term : terms) all.push_back(entry(first++, term));
  return all;
}

inline std::vector<MemberId> ids(std::initializer_list<std::uint64_t> values) {
  std::vector<MemberId> all;
  for (const auto value : values) all.emplace_back(value);
  return all;
}

}  // namespace coord::election
